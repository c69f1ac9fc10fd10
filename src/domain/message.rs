//! Texts as the platform sees them, and the parts that providers carry.

use super::{
    clock::Time,
    ids::{MessageId, NumberId, RideId},
    number::ProviderName,
    person::Role,
    phone::PhoneNumber,
    string_enum::string_enum,
    text::MessageText,
};

string_enum! {
    /// Origin of a text.
    MessageKind {
        /// One party wrote it to the other.
        Relay = "relay",
        /// We wrote it to a party.
        Notice = "notice",
        /// The platform wrote it to a party.
        Platform = "platform",
    }

    MessageStatus {
        /// Accepted, not yet queued.
        Received = "received",
        /// Queued for the recipient's provider.
        Queued = "queued",
        /// Being handed to the provider.
        Sending = "sending",
        /// The provider has accepted it.
        Sent = "sent",
        /// The phone has received it.
        Delivered = "delivered",
        /// The provider could not deliver it.
        Undelivered = "undelivered",
        /// It will not be sent.
        Failed = "failed",
        /// It expired before it could be sent.
        Expired = "expired",
        /// The sender may not reach anybody here.
        Rejected = "rejected",
    }

    /// State of one part of a text.
    PartState {
        /// Pending.
        Pending = "pending",
        /// The provider has accepted it.
        Sent = "sent",
        /// The phone has received it.
        Delivered = "delivered",
        /// The provider gave it up.
        Undelivered = "undelivered",
        /// We gave it up.
        Failed = "failed",
        /// It expired before it could be sent.
        Expired = "expired",
    }
}

impl MessageStatus {
    /// Checks whether any of the text did not get through.
    pub fn is_lost(self) -> bool {
        matches!(self, Self::Failed | Self::Expired | Self::Undelivered)
    }
}

impl PartState {
    /// Returns the state after a report. Reports arrive late, twice and in any order, so a state never goes back. Only
    /// `Delivered` is final, because the phone has the text.
    pub fn after_report(self, reported: Self) -> Self {
        match (self, reported) {
            (Self::Pending, news) | (Self::Sent, news @ (Self::Delivered | Self::Undelivered)) => news,
            // A send whose outcome we never learnt was given up and then reported: the report is right.
            (Self::Failed | Self::Expired, news @ (Self::Delivered | Self::Undelivered)) => news,
            // The network gave up although it had delivered the part, or it delivered the part later.
            (Self::Undelivered, Self::Delivered) => Self::Delivered,
            (settled, _) => settled,
        }
    }
}

/// Derives the status of a text from its parts: the worst outcome among them, otherwise the least advanced state.
pub fn status_of_parts(parts: &[PartState]) -> MessageStatus {
    let any = |state| parts.contains(&state);
    if any(PartState::Failed) {
        MessageStatus::Failed
    } else if any(PartState::Expired) {
        MessageStatus::Expired
    } else if any(PartState::Undelivered) {
        MessageStatus::Undelivered
    } else if any(PartState::Pending) || parts.is_empty() {
        MessageStatus::Queued
    } else if any(PartState::Sent) {
        MessageStatus::Sent
    } else {
        MessageStatus::Delivered
    }
}

/// A provider's own code for a failure, shortened so that it cannot hold a phone number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderCode(String);

impl ProviderCode {
    /// Keeps up to six letters, digits, `_` and `-`; `None` if nothing is left.
    pub fn of(code: &str) -> Option<Self> {
        let kept: String =
            code.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-')).take(6).collect();
        (!kept.is_empty()).then_some(Self(kept))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

string_enum! {
    /// Reason why a queued text was not delivered, or not yet.
    SendFailure {
        /// Contact had closed before it could be sent.
        ContactClosed = "contact_closed",
        /// The provider refused it.
        ProviderRejected = "provider_rejected",
        /// The provider was unreachable or busy for too long.
        ProviderUnavailable = "provider_unavailable",
        /// The provider refused our credentials or our account.
        ProviderRefusedUs = "provider_refused_us",
        /// The number's provider is not configured here.
        ProviderNotConfigured = "provider_not_configured",
        /// The network gave it up.
        Undeliverable = "undeliverable",
        /// It could not be sent before it expired.
        TooLate = "too_late",
        /// Its text is blank, and it has no pictures that could be passed on.
        NothingToSend = "nothing_to_send",
    }
}

impl SendFailure {
    /// Formats a message's `reason`: the failure, and the provider's code after a colon.
    pub fn with_code(self, code: Option<&ProviderCode>) -> String {
        match code {
            Some(code) => format!("{self}:{}", code.as_str()),
            None => self.as_str().to_owned(),
        }
    }
}

#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Message {
    pub id: MessageId,
    /// None for a text from a phone without a ride on this number.
    pub ride_id: Option<RideId>,
    pub kind: MessageKind,
    /// Party that wrote it.
    pub from_role: Option<Role>,
    /// Party that it is for; none if it may reach nobody.
    pub to_role: Option<Role>,
    #[serde(with = "super::text::exposed")]
    pub body: MessageText,
    /// Picture URLs.
    pub media: Vec<String>,
    /// Whether pictures were left out because the number or its provider cannot carry them.
    pub media_dropped: bool,
    pub status: MessageStatus,
    /// Reason why the text ended badly or did not reach the other party. While the text waits, the reason why its last
    /// send failed.
    pub reason: Option<String>,
    /// HTTP status of the provider's response to that send.
    pub provider_status: Option<u16>,
    /// Provider that carries it.
    pub provider: ProviderName,
    /// Proxy number.
    pub number_id: Option<NumberId>,
    /// Number of parts that it is split into for the provider.
    pub parts: i32,
    /// When the provider passed it to us.
    pub received_at: Option<Time>,
    /// When the provider had accepted all of it.
    pub sent_at: Option<Time>,
    /// When the phone had received all of it.
    pub delivered_at: Option<Time>,
    /// Whether a send with an unknown outcome was repeated.
    pub possibly_duplicated: bool,
    pub created_at: Time,
}

/// Text to store. Fields without a comment are those of [`Message`].
#[derive(Clone, Debug)]
pub struct NewMessage {
    pub ride_id: Option<RideId>,
    pub kind: MessageKind,
    pub from_role: Option<Role>,
    pub to_role: Option<Role>,
    /// Phone that it goes to, if no ride gives it. Erased as soon as the text has been sent.
    pub recipient: Option<PhoneNumber>,
    pub body: MessageText,
    pub media: Vec<String>,
    pub status: MessageStatus,
    pub reason: Option<String>,
    pub provider: ProviderName,
    pub number_id: Option<NumberId>,
    pub parts: i32,
    /// The provider's limit of pictures per part when the text was split; 0 if they are not passed on.
    pub media_limit: i32,
    /// Whether it goes from its number to the party's phone even if contact is closed: it announces the end of contact.
    pub ignores_window: bool,
    pub received_at: Option<Time>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn states() -> impl Strategy<Value = PartState> {
        proptest::sample::select(PartState::ALL)
    }

    /// States that providers report.
    fn news() -> impl Strategy<Value = PartState> {
        proptest::sample::select(&[PartState::Sent, PartState::Delivered, PartState::Undelivered][..])
    }

    #[test]
    fn a_text_is_delivered_when_all_parts_are() {
        use PartState::{Delivered, Failed, Pending, Sent};
        assert_eq!(status_of_parts(&[Delivered, Delivered]), MessageStatus::Delivered);
        assert_eq!(status_of_parts(&[Delivered, Sent]), MessageStatus::Sent);
        assert_eq!(status_of_parts(&[Delivered, Pending]), MessageStatus::Queued);
        assert_eq!(status_of_parts(&[Delivered, Failed]), MessageStatus::Failed);
    }

    #[test]
    fn codes_are_too_short_for_a_phone() {
        assert_eq!(ProviderCode::of("no route +31612345678").expect("a code").as_str(), "norout");
        assert_eq!(ProviderCode::of("+31612345678").expect("a code").as_str(), "316123");
        assert_eq!(ProviderCode::of("!"), None);
    }

    proptest! {
        #[test]
        fn delivery_reports_end_in_the_same_state_in_any_order(first in states(), second in news(), third in news()) {
            prop_assert_eq!(
                first.after_report(second).after_report(third),
                first.after_report(third).after_report(second)
            );
        }

        #[test]
        fn final_states_stay(reports in proptest::collection::vec(states(), 0..6)) {
            let end = reports.iter().fold(PartState::Delivered, |state, news| state.after_report(*news));
            prop_assert_eq!(end, PartState::Delivered);
        }
    }
}
