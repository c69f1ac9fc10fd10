//! Resources as callers see them.

use crate::{
    domain::{
        call::{Call, CallStatus},
        client::Client,
        clock::Time,
        ids::{ClientId, MessageId, NumberId, PersonId, RideId},
        message::{Message, MessageKind, MessageStatus},
        number::{Capability, Number, NumberStatus, ProviderName},
        person::{Person, Role},
        phone::PhoneNumber,
        ride::{CloseReason, EndedBy, Ride, RideStatus},
        scope::Scope,
        text::{ClientName, ExternalId, Language, Name, Place},
    },
    http::{
        fields::{Nullable, view},
        scalars::{LocalTime, ShownPhone, Timestamp},
    },
};

/// A phone, in clear for callers who may see it.
pub(in crate::http) fn shown(phone: &PhoneNumber, reveal: bool) -> ShownPhone {
    ShownPhone(if reveal { phone.expose().to_owned() } else { phone.masked() })
}

view! {
    /// A customer or driver.
    PersonView as "Person" {
        /// Id.
        id: PersonId,
        /// Name, as the other party reads it.
        name: Name,
        /// Real phone number; masked without the scope `phone_numbers:reveal`.
        phone_number: ShownPhone,
        /// Language in which the person is written and spoken to (ISO 639-1), with a region or without: `nl`, `pt-BR`.
        language: Option<Language>,
        /// Your own id of the person.
        external_id: Option<ExternalId>,
        /// When the record was made.
        created_at: Timestamp,
        /// When it was last edited.
        updated_at: Timestamp,
    }
}

impl PersonView {
    pub(in crate::http) fn of(person: Person, reveal: bool) -> Self {
        Self {
            id: person.id,
            phone_number: shown(&person.phone, reveal),
            name: person.name,
            language: person.language,
            external_id: person.external_id,
            created_at: Timestamp(person.created_at),
            updated_at: Timestamp(person.updated_at),
        }
    }
}

view! {
    /// A proxy number.
    NumberView as "Number" {
        /// Id.
        id: NumberId,
        /// The number itself: yours, not a person's.
        phone_number: ShownPhone,
        /// The provider that owns the line.
        provider: ProviderName,
        /// What it can carry.
        capabilities: Vec<Capability>,
        /// ISO 3166 country of its numbering plan.
        country: Nullable<String>,
        /// `active` numbers may be given to new rides.
        status: NumberStatus,
        /// Rides whose contact window on it is open.
        open_rides: i64,
        /// When it was last given to a ride.
        last_assigned_at: Nullable<Timestamp>,
        /// When it joined the pool.
        created_at: Timestamp,
        /// When it was last edited.
        updated_at: Timestamp,
    }
}

impl From<Number> for NumberView {
    fn from(number: Number) -> Self {
        Self {
            id: number.id,
            phone_number: shown(&number.phone, true),
            provider: number.provider,
            capabilities: number.capabilities.list(),
            country: Nullable(number.country),
            status: number.status,
            open_rides: number.open_rides,
            last_assigned_at: Nullable(number.last_assigned_at.map(Timestamp)),
            created_at: Timestamp(number.created_at),
            updated_at: Timestamp(number.updated_at),
        }
    }
}

view! {
    /// A ride.
    RideView as "Ride" {
        /// Id.
        id: RideId,
        /// Who rides.
        customer_id: PersonId,
        /// Who drives.
        driver_id: PersonId,
        /// The proxy number's id.
        number_id: NumberId,
        /// The proxy number: both people text and call it to reach each other.
        proxy_number: ShownPhone,
        /// Where the ride starts.
        start: Place,
        /// Where it ends.
        destination: Place,
        /// When it starts, with the offset you gave.
        datetime: LocalTime,
        /// Where it stands.
        status: RideStatus,
        /// Who ended it.
        ended_by: Nullable<EndedBy>,
        /// When it ended.
        ended_at: Nullable<Timestamp>,
        /// When the ride is completed though nobody says so.
        timeout_at: Timestamp,
        /// When contact closes, as things stand.
        contact_until: Timestamp,
        /// Contact is open now.
        contact_open: bool,
        /// Why contact closed before its time though you did not ask for it.
        closed_reason: Option<CloseReason>,
        /// Contact after the ride, in seconds, where it asked for its own.
        grace_s: Option<i64>,
        /// Longest duration of the ride, in seconds, likewise.
        max_duration_s: Option<i64>,
        /// Your own id of the ride.
        external_id: Option<ExternalId>,
        /// When it was created.
        created_at: Timestamp,
        /// When it was last edited.
        updated_at: Timestamp,
    }
}

impl RideView {
    pub(in crate::http) fn of(ride: Ride, now: Time) -> Self {
        Self {
            id: ride.id,
            customer_id: ride.customer_id,
            driver_id: ride.driver_id,
            number_id: ride.number_id,
            proxy_number: shown(&ride.proxy_number, true),
            contact_open: ride.contact_open(now),
            start: ride.start,
            destination: ride.destination,
            datetime: LocalTime(ride.datetime),
            status: ride.status,
            ended_by: Nullable(ride.ended_by),
            ended_at: Nullable(ride.ended_at.map(Timestamp)),
            timeout_at: Timestamp(ride.timeout_at),
            contact_until: Timestamp(ride.contact_until),
            closed_reason: ride.closed_reason,
            grace_s: ride.grace_s,
            max_duration_s: ride.max_duration_s,
            external_id: ride.external_id,
            created_at: Timestamp(ride.created_at),
            updated_at: Timestamp(ride.updated_at),
        }
    }
}

view! {
    /// A text. A relayed text is one message, from the phone that sent it to the phone that gets it.
    MessageView as "Message" {
        /// Id.
        id: MessageId,
        /// Its ride; absent for a text from a phone that has no ride on the number, and for the automatic reply to it.
        ride_id: Option<RideId>,
        /// Where it comes from.
        kind: MessageKind,
        /// The party that wrote it.
        from_role: Option<Role>,
        /// The party it is for; absent if it may reach nobody.
        to_role: Option<Role>,
        /// The words; absent without the scope `messages:read`.
        text: Option<String>,
        /// Addresses of pictures, as the provider gave them; empty without the scope `messages:read`.
        media: Vec<String>,
        /// The number or its provider cannot carry pictures: they were not passed on.
        media_dropped: bool,
        /// Where it stands.
        status: MessageStatus,
        /// Why it ended badly, or, while it waits, why its last send failed; the provider's own code stands behind a colon.
        /// `provider_refused_us`: the provider refused your credentials or your account with it. Of a rejected text
        /// `unknown_caller`, `hidden_caller`, `contact_closed`, `number_not_ours`, `number_suspended`, `pool_number`,
        /// `keyword`, `blocked` or `intercept_unclear`.
        reason: Option<String>,
        /// HTTP status with which the provider answered the send that `reason` is about; absent if there was no answer.
        provider_status: Option<u16>,
        /// The provider that carries it.
        provider: ProviderName,
        /// The proxy number.
        number_id: Option<NumberId>,
        /// Into how many texts it is split for the provider.
        parts: i32,
        /// When the provider gave it to us.
        received_at: Option<Timestamp>,
        /// When the provider had all of it.
        sent_at: Option<Timestamp>,
        /// When the phone had all of it.
        delivered_at: Option<Timestamp>,
        /// A send of which nobody knew the outcome was repeated: the phone may have it twice.
        possibly_duplicated: bool,
    }
}

impl MessageView {
    pub(in crate::http) fn of(message: Message, reads_texts: bool) -> Self {
        Self {
            id: message.id,
            ride_id: message.ride_id,
            kind: message.kind,
            from_role: message.from_role,
            to_role: message.to_role,
            text: reads_texts.then(|| message.body.expose().to_owned()),
            media: if reads_texts { message.media } else { Vec::new() },
            media_dropped: message.media_dropped,
            status: message.status,
            reason: message.reason,
            provider_status: message.provider_status,
            provider: message.provider,
            number_id: message.number_id,
            parts: message.parts,
            received_at: message.received_at.map(Timestamp),
            sent_at: message.sent_at.map(Timestamp),
            delivered_at: message.delivered_at.map(Timestamp),
            possibly_duplicated: message.possibly_duplicated,
        }
    }
}

view! {
    /// A call from one party to the other.
    CallView as "Call" {
        /// Id.
        id: i64,
        /// Its ride; absent for a call from a phone that has no ride on the number.
        ride_id: Option<RideId>,
        /// Who called.
        from_role: Option<Role>,
        /// Where it stands.
        status: CallStatus,
        /// Why, where it did not go to the other party: `unknown_caller`, `hidden_caller`, `contact_closed`,
        /// `number_not_ours`, `number_suspended`, `pool_number`, `blocked` or `intercept_unclear`. With any other status
        /// than `rejected`, it went to the support number.
        reason: Option<String>,
        /// When it reached us.
        started_at: Timestamp,
        /// When the other phone picked up.
        answered_at: Option<Timestamp>,
        /// When it ended.
        ended_at: Option<Timestamp>,
        /// How long they talked, in seconds.
        duration_s: Option<i64>,
    }
}

impl From<Call> for CallView {
    fn from(call: Call) -> Self {
        Self {
            id: call.id.0,
            ride_id: call.ride_id,
            from_role: call.from_role,
            status: call.status,
            reason: call.reason,
            started_at: Timestamp(call.started_at),
            answered_at: call.answered_at.map(Timestamp),
            ended_at: call.ended_at.map(Timestamp),
            duration_s: call.duration_s,
        }
    }
}

view! {
    /// An API client.
    ClientView as "Client" {
        /// Row id, for the paths of this resource.
        id: ClientId,
        /// What it signs in with.
        client_id: String,
        /// Its secret: shown once, when it is made or rotated.
        client_secret: Option<String>,
        /// What you call it.
        name: ClientName,
        /// The most it may ask for.
        scopes: Vec<Scope>,
        /// The former secret works until then too. Absent when there is none.
        former_secret_expires_at: Option<Timestamp>,
        /// When it was made.
        created_at: Timestamp,
        /// When it was revoked; its tokens died with it.
        revoked_at: Option<Timestamp>,
    }
}

impl ClientView {
    pub(in crate::http) fn of(client: Client, secret: Option<String>) -> Self {
        Self {
            id: client.id,
            client_id: client.client_id,
            client_secret: secret,
            name: client.name,
            scopes: client.scopes.iter().collect(),
            former_secret_expires_at: client.former_secret_until.map(Timestamp),
            created_at: Timestamp(client.created_at),
            revoked_at: client.revoked_at.map(Timestamp),
        }
    }
}
