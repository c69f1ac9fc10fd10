//! JSON messages of the simulator's wire. Both sides use these types.

use serde::{Deserialize, Serialize};

use crate::domain::call::CallStatus;

/// Body of `/webhooks/simulator/sms`: a phone sends a text.
#[derive(Serialize, Deserialize)]
pub struct Text {
    /// The network's id of the text.
    pub id: String,
    pub from: String,
    pub to: String,
    pub text: String,
}

/// Body of `/webhooks/simulator/voice`: a phone calls.
#[derive(Serialize, Deserialize)]
pub struct Call {
    /// The network's id of the call.
    pub id: String,
    pub from: String,
    pub to: String,
}

/// Body of `/webhooks/simulator/status`: progress of a text or a call.
#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Status {
    Text {
        reference: String,
    },
    /// The status of a call changed.
    Call {
        /// The network's id of the call.
        call_id: String,
        status: CallStatus,
        /// Length of the conversation, in seconds.
        duration_s: Option<i64>,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Flow {
    Connect {
        to: String,
        /// Number shown on its screen.
        caller_id: String,
    },
    /// Say this and hang up.
    Say {
        text: String,
    },
    HangUp,
}

#[derive(Serialize, Deserialize)]
pub struct Send {
    pub from: String,
    pub to: String,
    pub text: String,
    pub reference: String,
}

/// Response to a send: the network accepted the text.
#[derive(Serialize, Deserialize)]
pub struct Sent {
    /// The network's id of the text.
    pub id: String,
}
