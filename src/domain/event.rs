//! Platform events: what the platform's backend hears of, in the words of Standard Webhooks. They carry ids, never phones.

use super::{
    ids::{CallId, MessageId, NumberId, PersonId, RideId},
    number::ProviderName,
    words::words,
};

words! {
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

/// What an event is about, by id. What does not apply is absent.
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
    /// Where the subject stands now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
