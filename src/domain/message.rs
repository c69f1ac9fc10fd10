//! Texts, as the platform sees them, and the parts that providers carry.

use super::{
    clock::Time,
    ids::{MessageId, NumberId, RideId},
    number::ProviderName,
    person::Role,
    phone::PhoneNumber,
    text::Body,
    words::words,
};

words! {
    /// Where a text comes from.
    MessageKind {
        /// One party wrote it to the other.
        Relay = "relay",
        /// We wrote it to a party.
        Notice = "notice",
        /// The platform wrote it to a party.
        Platform = "platform",
    }

    /// Where a text stands.
    MessageStatus {
        /// Taken, not yet owed to anybody.
        Received = "received",
        /// Owed to the recipient's provider.
        Queued = "queued",
        /// Handed to the provider at this moment.
        Sending = "sending",
        /// The provider has it.
        Sent = "sent",
        /// The phone has it.
        Delivered = "delivered",
        /// The provider could not deliver it.
        Undelivered = "undelivered",
        /// It will not be sent.
        Failed = "failed",
        /// It was pointless by the time it could be sent.
        Expired = "expired",
        /// It came from a phone that may not reach anybody here.
        Rejected = "rejected",
    }

    /// Where one part of a text stands.
    PartState {
        /// We owe it.
        Owed = "owed",
        /// The provider has it.
        Sent = "sent",
        /// The phone has it.
        Delivered = "delivered",
        /// The provider gave it up.
        Undelivered = "undelivered",
        /// We gave it up.
        Failed = "failed",
        /// It was pointless by the time it could be sent.
        Expired = "expired",
    }
}

impl MessageStatus {
    /// Something of the text did not get through.
    pub fn is_lost(self) -> bool {
        matches!(self, Self::Failed | Self::Expired | Self::Undelivered)
    }
}

impl PartState {
    /// What a report makes of the present state. Reports come late, twice and in any order, so nothing goes back. What a
    /// phone has it has: no other state is final.
    pub fn after_report(self, reported: Self) -> Self {
        match (self, reported) {
            (Self::Owed, news) | (Self::Sent, news @ (Self::Delivered | Self::Undelivered)) => news,
            // A send whose outcome we never learnt, given up and then reported: the report knows better.
            (Self::Failed | Self::Expired, news @ (Self::Delivered | Self::Undelivered)) => news,
            // A network that gave up and had delivered it all the same, or did so later.
            (Self::Undelivered, Self::Delivered) => Self::Delivered,
            (settled, _) => settled,
        }
    }
}

/// The status of a text from its parts: as bad as the worst, as far as the least.
pub fn status_of_parts(parts: &[PartState]) -> MessageStatus {
    let any = |state| parts.contains(&state);
    if any(PartState::Failed) {
        MessageStatus::Failed
    } else if any(PartState::Expired) {
        MessageStatus::Expired
    } else if any(PartState::Undelivered) {
        MessageStatus::Undelivered
    } else if any(PartState::Owed) || parts.is_empty() {
        MessageStatus::Queued
    } else if any(PartState::Sent) {
        MessageStatus::Sent
    } else {
        MessageStatus::Delivered
    }
}

/// A provider's own code for a failure, cut down to what cannot hold a phone number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderCode(String);

impl ProviderCode {
    /// Keeps up to six letters, digits, `_` and `-`; `None` when nothing is left.
    pub fn of(code: &str) -> Option<Self> {
        let kept: String =
            code.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-')).take(6).collect();
        (!kept.is_empty()).then_some(Self(kept))
    }

    /// The code.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

words! {
    /// Why a text that we owed was not delivered, or not yet.
    SendFailure {
        /// Contact was closed by the time it could go out.
        ContactClosed = "contact_closed",
        /// The provider refused it.
        ProviderRejected = "provider_rejected",
        /// The provider could not be reached, or was busy, for too long.
        ProviderUnavailable = "provider_unavailable",
        /// The provider refused our credentials or our account.
        ProviderRefusedUs = "provider_refused_us",
        /// The number's provider is not configured here.
        ProviderNotConfigured = "provider_not_configured",
        /// The network gave it up.
        Undeliverable = "undeliverable",
        /// It could not be sent in time, and was pointless by then.
        TooLate = "too_late",
        /// It had nothing to see in its words, and no pictures that could be passed on.
        NothingToSend = "nothing_to_send",
    }
}

impl SendFailure {
    /// As it stands in a message's `reason`: the word, and the provider's code behind a colon.
    pub fn with_code(self, code: Option<&ProviderCode>) -> String {
        match code {
            Some(code) => format!("{self}:{}", code.as_str()),
            None => self.as_str().to_owned(),
        }
    }
}

/// A text.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Message {
    /// Its id.
    pub id: MessageId,
    /// Its ride; none for a text from a phone that has no ride here.
    pub ride_id: Option<RideId>,
    /// Where it comes from.
    pub kind: MessageKind,
    /// The party that wrote it.
    pub from_role: Option<Role>,
    /// The party it is for; none if it may reach nobody.
    pub to_role: Option<Role>,
    /// The words.
    #[serde(with = "super::text::exposed")]
    pub body: Body,
    /// Addresses of pictures.
    pub media: Vec<String>,
    /// The number or its provider cannot carry pictures: they were not passed on.
    #[serde(default)]
    pub media_dropped: bool,
    /// Where it stands.
    pub status: MessageStatus,
    /// Why, where it ended badly or did not reach the other party, or why its last send failed while it waits.
    pub reason: Option<String>,
    /// The HTTP status with which the provider answered that send.
    #[serde(default)]
    pub provider_status: Option<u16>,
    /// The provider that carries it.
    pub provider: ProviderName,
    /// The proxy number.
    pub number_id: Option<NumberId>,
    /// Into how many texts it is split for the provider.
    pub parts: i32,
    /// When the provider gave it to us.
    pub received_at: Option<Time>,
    /// When the provider had all of it.
    pub sent_at: Option<Time>,
    /// When the phone had all of it.
    pub delivered_at: Option<Time>,
    /// A send with an unknown outcome was repeated.
    pub possibly_duplicated: bool,
    /// When it was stored.
    pub created_at: Time,
}

/// A text to be stored.
#[derive(Clone, Debug)]
pub struct NewMessage {
    /// See [`Message::ride_id`].
    pub ride_id: Option<RideId>,
    /// See [`Message::kind`].
    pub kind: MessageKind,
    /// See [`Message::from_role`].
    pub from_role: Option<Role>,
    /// See [`Message::to_role`].
    pub to_role: Option<Role>,
    /// The phone that it goes to, where no ride says so. Forgotten as soon as it has gone out.
    pub recipient: Option<PhoneNumber>,
    /// See [`Message::body`].
    pub body: Body,
    /// See [`Message::media`].
    pub media: Vec<String>,
    /// See [`Message::status`].
    pub status: MessageStatus,
    /// See [`Message::reason`].
    pub reason: Option<String>,
    /// See [`Message::provider`].
    pub provider: ProviderName,
    /// See [`Message::number_id`].
    pub number_id: Option<NumberId>,
    /// See [`Message::parts`].
    pub parts: i32,
    /// The provider's limit when the text was split, in its units.
    pub part_limit: i32,
    /// Pictures in a part, likewise; 0 if they are not passed on.
    pub media_limit: i32,
    /// It goes from its number to the party's phone whether contact is open or not: it tells of the end of contact.
    pub unbound: bool,
    /// See [`Message::received_at`].
    pub received_at: Option<Time>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn states() -> impl Strategy<Value = PartState> {
        proptest::sample::select(PartState::ALL)
    }

    /// What providers report.
    fn news() -> impl Strategy<Value = PartState> {
        proptest::sample::select(&[PartState::Sent, PartState::Delivered, PartState::Undelivered][..])
    }

    #[test]
    fn a_text_is_delivered_when_all_parts_are() {
        use PartState::{Delivered, Failed, Owed, Sent};
        assert_eq!(status_of_parts(&[Delivered, Delivered]), MessageStatus::Delivered);
        assert_eq!(status_of_parts(&[Delivered, Sent]), MessageStatus::Sent);
        assert_eq!(status_of_parts(&[Delivered, Owed]), MessageStatus::Queued);
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
