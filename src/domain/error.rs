//! The one vocabulary of things that go wrong. Only `http::problem` turns it into HTTP.

use chrono::Duration;

use super::{comparison::Comparison, ids::RideId, ride::TransitionRefused, scope::Scope, string_enum::string_enum};

string_enum! {
    /// A state that forbids what was asked: the stable `code` of a 409 answer.
    Conflict {
        /// No number is left for this pair of phones.
        NumberPoolDepleted = "number_pool_depleted",
        /// The status cannot follow the present one.
        InvalidTransition = "invalid_transition",
        /// The ride is over; its plan is history.
        RideEnded = "ride_ended",
        /// The customer of a ride cannot be replaced.
        PartyChangeUnsupported = "party_change_unsupported",
        /// The person has a ride whose contact window is open.
        ContactWindowOpen = "contact_window_open",
        /// The new phone is barred on the numbers of rides that the person has open.
        PhoneBarred = "phone_barred",
        /// Contact on this ride is closed.
        ContactClosed = "contact_closed",
        /// The text was not lost, or must not be sent again.
        NotRetriable = "not_retriable",
        /// Rides with an open contact window use this number.
        NumberInUse = "number_in_use",
        /// The number is in the pool already.
        NumberExists = "number_exists",
        /// The phone is a number of the pool.
        PhoneIsPoolNumber = "phone_is_pool_number",
        /// A person has this phone.
        NumberIsPersonsPhone = "number_is_persons_phone",
        /// Another record has this external id.
        ExternalIdTaken = "external_id_taken",
        /// The client is revoked.
        ClientRevoked = "client_revoked",
        /// A client cannot revoke itself.
        OwnClient = "own_client",
        /// There are as many event endpoints as there may be.
        TooManyEndpoints = "too_many_endpoints",
    }
}

impl Conflict {
    /// What the answer says about it, without anything personal.
    pub fn detail(self) -> &'static str {
        match self {
            Self::NumberPoolDepleted => "No number of the pool is free for this customer and driver.",
            Self::InvalidTransition => "The ride cannot move from its present status to the one asked for.",
            Self::RideEnded => "The ride is over; its driver, start, destination and time cannot change any more.",
            Self::PartyChangeUnsupported => {
                "The customer of a ride cannot be replaced. Cancel the ride and create another."
            }
            Self::ContactWindowOpen => "The person has a ride whose contact window is open.",
            Self::PhoneBarred => {
                "On the numbers of these rides the new phone is bound to somebody else, or cools down. Nothing was changed."
            }
            Self::ContactClosed => "The contact window of this ride is closed.",
            Self::NotRetriable => {
                "The message did not fail, or is not for the people who are on the ride now: it cannot be sent again."
            }
            Self::NumberInUse => "Rides with an open contact window use this number. Drain it first.",
            Self::NumberExists => "This number is in the pool already.",
            Self::PhoneIsPoolNumber => "This phone number is a proxy number of the pool.",
            Self::NumberIsPersonsPhone => "This number is the phone of a customer or driver.",
            Self::ExternalIdTaken => "Another record has this external_id.",
            Self::ClientRevoked => "The client is revoked.",
            Self::OwnClient => "A client cannot revoke itself.",
            Self::TooManyEndpoints => "There are 200 event endpoints already. Delete one first.",
        }
    }
}

/// What is wrong with a well-formed request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invalid {
    /// Fields are missing, unknown, repeated or wrong.
    Fields,
    /// Customer and driver have the same phone.
    SamePhone,
    /// The idempotency key was used for another request.
    IdempotencyKeyReused,
}

string_enum! {
    /// The limit that left no number for a ride.
    PoolLimit {
        /// The pool is empty.
        NoNumbers = "no_numbers",
        /// No number is active at a provider that is configured.
        NoneActive = "none_active",
        /// No active number can do both SMS and voice.
        NoneCapable = "none_capable",
        /// None of those is of the customer's or the driver's country, and only such may be used.
        NoneInCountry = "none_in_country",
        /// Every one is bound to the customer's or the driver's phone, or cools down for it.
        AllHeld = "all_held",
        /// Every one cools down for the customer's or the driver's phone; on none is their contact open.
        AllCooling = "all_cooling",
    }
}

/// One wrong field of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// JSON pointer into the body (`/phone_number`), or the name of a query parameter.
    pub pointer: String,
    /// The rule that was broken; never the value.
    pub detail: String,
}

impl FieldError {
    /// At `pointer`, this is wrong.
    pub fn new(pointer: impl Into<String>, detail: impl ToString) -> Self {
        Self { pointer: pointer.into(), detail: detail.to_string() }
    }
}

/// What a use case can answer other than its result.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such thing, or no longer.
    #[error("not found")]
    NotFound,
    /// The state forbids it.
    #[error("conflict: {0}")]
    Conflict(Conflict),
    /// The state forbids some of what was asked: which, and why.
    #[error("conflicts: {0}")]
    Conflicts(Conflict, Vec<FieldError>),
    /// Rides with an open contact window, so many, use the number.
    #[error("number in use by {0} rides")]
    NumberInUse(i64),
    /// On the numbers of these rides the new phone of their person is barred.
    #[error("phone barred on {} rides", .0.len())]
    PhoneBarred(Vec<RideId>),
    /// The pool has no number for this pair.
    #[error("pool depleted: {0}")]
    PoolDepleted(PoolLimit),
    /// Well-formed and wrong: every wrong field at once.
    #[error("invalid: {0:?}")]
    Invalid(Invalid, Vec<FieldError>),
    /// The version asked for (`If-Match`) is not the present one.
    #[error("stale version")]
    Stale,
    /// The credentials do not hold.
    #[error("unauthorized")]
    Unauthorized,
    /// The caller may not do this to something that has more rights than the caller.
    #[error("outranked")]
    Outranked,
    /// The caller's token lacks a scope that this request needs besides that of its operation.
    #[error("missing scope {0}")]
    MissingScope(Scope),
    /// Too much at once; come back.
    #[error("busy")]
    Busy {
        /// Not before this.
        retry_after: Duration,
    },
    /// The client has used up a limit.
    #[error("limited")]
    Limited {
        /// Not before this.
        retry_after: Duration,
    },
    /// Comparisons that must be counted before they are made. Use cases answer to it among themselves.
    #[error("{} comparisons are not counted", .0.len())]
    Uncounted(Vec<Comparison>),
    /// The database cannot be reached, or takes no writes. The cause is logged once and never shown.
    #[error("unavailable: {0}")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Our fault. The cause is logged once and never shown.
    #[error("internal: {0}")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The result of a use case.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// One wrong field.
    pub fn field(pointer: impl Into<String>, detail: impl ToString) -> Self {
        Self::Invalid(Invalid::Fields, vec![FieldError::new(pointer, detail)])
    }

    /// Something that should not have happened.
    pub fn internal(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Internal(cause.into())
    }
}

impl From<Conflict> for Error {
    fn from(conflict: Conflict) -> Self {
        Self::Conflict(conflict)
    }
}

impl From<TransitionRefused> for Error {
    fn from(_: TransitionRefused) -> Self {
        Self::Conflict(Conflict::InvalidTransition)
    }
}
