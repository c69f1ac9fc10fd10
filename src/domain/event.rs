//! Platform events: what the platform's backend hears of, in the words of Standard Webhooks. They carry ids, never
//! phones.

use super::{
    call::{Call, CallStatus},
    clock::Time,
    ids::{CallId, EventId, MessageId, NumberId, PersonId, RideId},
    message::{MessageKind, MessageStatus},
    number::ProviderName,
    person::Role,
    pool::PoolLevel,
    ride::{Ride, RideEventKind},
    string_enum::string_enum,
};

string_enum! {
    /// What happened.
    EventType {
        /// A ride was created.
        RideCreated = "ride.created",
        /// A ride's plan, driver, number or contact changed.
        RideUpdated = "ride.updated",
        /// A ride is under way.
        RideStarted = "ride.started",
        /// A ride is over.
        RideCompleted = "ride.completed",
        /// A ride was called off.
        RideCancelled = "ride.cancelled",
        /// The two people of a ride can reach each other no longer.
        RideContactClosed = "ride.contact_closed",
        /// A party wrote a text to the other.
        MessageReceived = "message.received",
        /// The recipient's provider has a text.
        MessageSent = "message.sent",
        /// The phone has a text.
        MessageDelivered = "message.delivered",
        /// A text ended without being delivered.
        MessageFailed = "message.failed",
        /// The other party answered a call.
        CallConnected = "call.connected",
        /// A call that was answered is over.
        CallEnded = "call.ended",
        /// A call ended without being answered.
        CallFailed = "call.failed",
        /// A text or call of a phone that may reach nobody, or not now.
        ContactRejected = "contact.rejected",
        /// Few numbers are left for new rides.
        PoolLow = "pool.low",
        /// A ride found no number.
        PoolDepleted = "pool.depleted",
        /// Enough numbers are left again.
        PoolRecovered = "pool.recovered",
        /// A number was suspended.
        NumberSuspended = "number.suspended",
        /// A provider takes no texts.
        ProviderDown = "provider.down",
        /// It does again.
        ProviderUp = "provider.up",
    }
}

/// An event in its place in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    /// Its id. Ids are not the order of the log.
    pub id: EventId,
    /// Its place in the log, from 1.
    pub position: i64,
    /// What happened.
    pub kind: EventType,
    /// When it happened.
    pub at: Time,
    /// What it is about.
    pub data: EventData,
}

/// What an event is about, by id. What does not apply is absent. Nothing here can hold a phone or a text.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct EventData {
    /// The ride.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ride_id: Option<RideId>,
    /// The ride's customer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<PersonId>,
    /// The ride's driver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver_id: Option<PersonId>,
    /// The text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<MessageId>,
    /// The call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call_id: Option<CallId>,
    /// The proxy number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number_id: Option<NumberId>,
    /// The provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<ProviderName>,
    /// Where a text comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<MessageKind>,
    /// The party that wrote or called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_role: Option<Role>,
    /// The party that a text is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_role: Option<Role>,
    /// Where the subject stands now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How long two people talked, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_s: Option<i64>,
}

impl EventData {
    /// What an event of a ride's course says of it.
    pub fn of_ride(ride: &Ride, event: RideEventKind) -> Self {
        let reason = match event {
            RideEventKind::Completed | RideEventKind::Cancelled => ride.ended_by.map(|by| by.as_str()),
            RideEventKind::Updated | RideEventKind::ContactClosed => ride.closed_reason.map(|why| why.as_str()),
            RideEventKind::Created | RideEventKind::Started => None,
        };
        Self {
            ride_id: Some(ride.id),
            customer_id: Some(ride.customer_id),
            driver_id: Some(ride.driver_id),
            number_id: Some(ride.number_id),
            status: Some(ride.status.as_str().to_owned()),
            reason: reason.map(str::to_owned),
            ..Self::default()
        }
    }
}

impl From<RideEventKind> for EventType {
    fn from(event: RideEventKind) -> Self {
        match event {
            RideEventKind::Created => Self::RideCreated,
            RideEventKind::Updated => Self::RideUpdated,
            RideEventKind::Started => Self::RideStarted,
            RideEventKind::Completed => Self::RideCompleted,
            RideEventKind::Cancelled => Self::RideCancelled,
            RideEventKind::ContactClosed => Self::RideContactClosed,
        }
    }
}

impl EventType {
    /// Whether it tells of a text, the words of which an endpoint may ask for.
    pub fn is_about_text(self) -> bool {
        matches!(self, Self::MessageReceived | Self::MessageSent | Self::MessageDelivered | Self::MessageFailed)
    }

    /// Returns the event for a text of ours that reaches this status; `None` for a passing one.
    pub fn of_message(status: MessageStatus) -> Option<Self> {
        use MessageStatus::{Delivered, Expired, Failed, Queued, Received, Rejected, Sending, Sent, Undelivered};
        match status {
            Sent => Some(Self::MessageSent),
            Delivered => Some(Self::MessageDelivered),
            Failed | Undelivered | Expired => Some(Self::MessageFailed),
            Received | Queued | Sending | Rejected => None,
        }
    }

    /// What the platform hears of how a call ended. One that we refused has not begun.
    pub fn of_call_end(status: CallStatus) -> Option<Self> {
        use CallStatus::{
            Answered, Busy, Cancelled, Completed, Connecting, Failed, NoAnswer, Rejected, Ringing, Unknown,
        };
        match status {
            Completed | Unknown => Some(Self::CallEnded),
            Busy | NoAnswer | Failed | Cancelled => Some(Self::CallFailed),
            Connecting | Ringing | Answered | Rejected => None,
        }
    }

    /// What the platform hears of a call that was so `before` and is so `after` some news; news come in any order. Each
    /// type at most once in the life of a call, and nothing after `call.ended`, unless we had given up on it: what is
    /// learnt then is told too. A call that was told as failed and turns out to have been answered is told as ended.
    pub fn of_call(before: &Call, after: &Call) -> Vec<Self> {
        let (was, is) = (Self::of_call_end(before.status), Self::of_call_end(after.status));
        let picked_up = was.is_none() && before.answered_at.is_none() && after.answered_at.is_some();
        let was_given_up = before.status == CallStatus::Unknown && after.status != CallStatus::Unknown;
        let over = is.filter(|_| was != is || was_given_up);
        picked_up.then_some(Self::CallConnected).into_iter().chain(over).collect()
    }

    /// What the platform hears when the pool gets here.
    pub fn of_pool(level: PoolLevel) -> Self {
        match level {
            PoolLevel::Enough => Self::PoolRecovered,
            PoolLevel::Low => Self::PoolLow,
            PoolLevel::Depleted => Self::PoolDepleted,
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::Duration;
    use proptest::prelude::*;

    use super::{super::call::tests::call, *};

    #[test]
    fn a_call_of_which_only_the_end_is_told_was_connected_and_ended() {
        let (before, mut after) = (call(), call());
        after.report(CallStatus::Completed, Some(42), before.started_at + Duration::minutes(1));
        assert_eq!(EventType::of_call(&before, &after), [EventType::CallConnected, EventType::CallEnded]);
    }

    #[test]
    fn nothing_that_passes_is_told_of_a_text() {
        use MessageStatus::{Queued, Received, Rejected, Sending};
        let told: Vec<_> =
            MessageStatus::ALL.iter().filter(|status| EventType::of_message(**status).is_none()).collect();
        assert_eq!(told, [&Received, &Queued, &Sending, &Rejected]);
    }

    proptest! {
        #[test]
        fn each_event_of_a_call_comes_once_and_none_after_its_end(
            news in proptest::collection::vec((proptest::sample::select(CallStatus::ALL), proptest::option::of(0i64..90), 0i64..200), 0..12),
            forgotten in 0usize..12,
        ) {
            let mut told = Vec::new();
            let mut now = call();
            let mut was_given_up = false;
            for (at, (status, duration_s, second)) in news.into_iter().enumerate() {
                let before = now.clone();
                now.report(status, duration_s, before.started_at + Duration::seconds(second));
                // Upkeep gives up on a call that is still open.
                if at == forgotten && EventType::of_call_end(now.status).is_none() {
                    now.status = CallStatus::Unknown;
                    was_given_up = true;
                }
                told.extend(EventType::of_call(&before, &now));
            }
            let times = |kind| told.iter().filter(|event| **event == kind).count();
            prop_assert!(times(EventType::CallConnected) <= 1 && times(EventType::CallFailed) <= 1, "{told:?}");
            prop_assert!(times(EventType::CallEnded) <= 1 + usize::from(was_given_up), "{told:?}");
            // That they picked up is told first or not at all; that the call is over, last.
            prop_assert!(told.iter().skip(1).all(|event| *event != EventType::CallConnected), "{told:?}");
            prop_assert!(now.status != CallStatus::Completed || told.last() == Some(&EventType::CallEnded), "{told:?}");
            let is_over = times(EventType::CallEnded) + times(EventType::CallFailed) > 0;
            prop_assert_eq!(EventType::of_call_end(now.status).is_some(), is_over);
        }
    }
}
