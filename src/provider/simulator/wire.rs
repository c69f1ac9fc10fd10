//! What goes over the simulator's wire, in JSON. Both sides use these.

use serde::{Deserialize, Serialize};

use crate::domain::call::CallStatus;

/// A phone sends a text: the body of `/webhooks/simulator/sms`.
#[derive(Serialize, Deserialize)]
pub struct Text {
    /// The network's id of the text.
    pub id: String,
    /// The phone.
    pub from: String,
    /// The proxy number.
    pub to: String,
    /// The words.
    pub text: String,
}

/// A phone calls: the body of `/webhooks/simulator/voice`.
#[derive(Serialize, Deserialize)]
pub struct Call {
    /// The network's id of the call.
    pub id: String,
    /// The phone.
    pub from: String,
    /// The proxy number.
    pub to: String,
}

/// News: the body of `/webhooks/simulator/status`.
#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Status {
    /// A text is on its phone.
    Text {
        /// Our reference.
        reference: String,
    },
    /// A call has become something.
    Call {
        /// The network's id of the call.
        call_id: String,
        /// What.
        status: CallStatus,
        /// How long they talked, in seconds.
        duration_s: Option<i64>,
    },
}

/// What we answer to a call.
#[derive(Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Flow {
    /// Ring this phone.
    Connect {
        /// The phone.
        to: String,
        /// The number on its screen.
        caller_id: String,
    },
    /// Say this and hang up.
    Say {
        /// The sentence.
        text: String,
    },
    /// Hang up.
    HangUp,
}

/// A text that we send.
#[derive(Serialize, Deserialize)]
pub struct Send {
    /// The proxy number.
    pub from: String,
    /// The phone.
    pub to: String,
    /// The words.
    pub text: String,
    /// Our reference.
    pub reference: String,
}

/// The network took it.
#[derive(Serialize, Deserialize)]
pub struct Sent {
    /// The network's id.
    pub id: String,
}
