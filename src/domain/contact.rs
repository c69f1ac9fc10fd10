//! Contacts that phones make through a provider, and where they may go.
//!
//! The routing decision is a pure function of one lookup and the current time; no background job takes part in it.

use super::{
    call::CallStatus,
    clock::Time,
    ids::{NumberId, PersonId, RideId},
    message::{PartState, ProviderCode},
    number::ProviderName,
    person::Role,
    phone::PhoneNumber,
    string_enum::string_enum,
    text::{Language, MessageText},
};

/// Phone that contacts us, as far as the network identifies it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallerId {
    Phone(PhoneNumber),
    /// Hidden, missing or odd caller ID (`anonymous`, `Restricted`, a SIP address, a sender name). It never matches a
    /// ride.
    Hidden,
}

impl Refusal {
    /// Checks whether a real phone contacted a number of ours that is in service. Only then do callers and senders
    /// without a ride get more than a refusal.
    pub fn is_answerable(self) -> bool {
        matches!(self, Self::UnknownCaller | Self::ContactClosed)
    }
}

impl CallerId {
    /// Reads a caller ID as providers write it: a number, or one of many words for a hidden number. Such a word may
    /// also be spelled in keypad digits.
    pub fn from_wire(text: &str) -> Self {
        match PhoneNumber::from_wire(text) {
            Ok(phone) if !is_spelt(&phone) => Self::Phone(phone),
            _ => Self::Hidden,
        }
    }

    pub fn phone(&self) -> Option<&PhoneNumber> {
        match self {
            Self::Phone(phone) => Some(phone),
            Self::Hidden => None,
        }
    }
}

/// Words for a hidden number that networks send spelled in keypad digits: ANONYMOUS (one network repeats the last
/// digit), RESTRICTED, UNAVAILABLE, UNKNOWN, BLOCKED, PRIVATE, WITHHELD.
const KEYPAD_WORDS: [&str; 8] =
    ["266696687", "2666966877", "7378742833", "86282452253", "8656696", "2562533", "7748283", "94844353"];

/// Checks whether a number is such a word: alone, after a 1, or after another country code where no such number exists.
///
/// After a 1 it always counts. Of these words, only RESTRICTED could be a number there, and hidden callers send it far
/// more often than that one line does.
fn is_spelt(phone: &PhoneNumber) -> bool {
    let digits = phone.expose_digits();
    KEYPAD_WORDS.iter().filter_map(|word| digits.strip_suffix(word)).any(|country| match country {
        "" | "1" => true,
        country => country.len() <= 3 && PhoneNumber::parse(phone.expose()).is_err(),
    })
}

/// Event from a provider, translated into our types.
#[derive(Clone, Debug)]
pub enum ProviderEvent {
    /// A phone sent a text to a number.
    Text(InboundText),
    /// A phone calls a number and waits for our answer.
    Call(InboundCall),
    /// The provider reports on a text that we sent.
    Report(DeliveryReport),
    /// The provider reports on a call that we connected.
    CallReport(CallReport),
    /// Irrelevant event: acknowledged without effect.
    Ignored,
    /// Event that cannot be read, received together with others that can: logged without effect.
    Unreadable(&'static str),
}

#[derive(Clone, Debug)]
pub struct InboundText {
    /// The provider's ID of the text. A repeat has the same one.
    pub key: String,
    pub from: CallerId,
    /// Number that the text was sent to, if it is a phone number.
    pub to: Option<PhoneNumber>,
    /// Other recipients, if the provider does not say which recipient of a group text is our number.
    pub others: Vec<PhoneNumber>,
    pub body: MessageText,
    /// Picture URLs, as the provider gave them.
    pub media: Vec<String>,
    /// Whether the text is a keyword such as STOP, START or HELP that the provider has handled and answered itself. It
    /// is meant for the provider, not for the other party.
    pub keyword: bool,
}

#[derive(Clone, Debug)]
pub struct InboundCall {
    /// The provider's ID of the call.
    pub key: String,
    pub from: CallerId,
    /// Number that was called, if it is a phone number.
    pub to: Option<PhoneNumber>,
}

/// Report on a text that we sent.
#[derive(Clone, Debug)]
pub struct DeliveryReport {
    /// Distinguishes a repeat from a new report: the provider's ID and the reported state.
    pub key: String,
    /// Our reference, by which we find the text.
    pub reference: String,
    /// New state of the text.
    pub state: PartState,
    /// The provider's code for this state.
    pub code: Option<ProviderCode>,
}

/// Report on a call.
#[derive(Clone, Debug)]
pub struct CallReport {
    /// Distinguishes a repeat from a new report.
    pub key: String,
    /// The provider's ID of the call.
    pub call_key: String,
    /// New status of the call: ringing, answered, or an ending. If only the caller's leg ended, it is `Cancelled`; if
    /// the parties talked, [`Call::report`](super::call::Call::report) turns that into `Completed`.
    pub status: CallStatus,
    /// Length of the conversation, in seconds; only with `Completed`.
    pub duration_s: Option<i64>,
    /// Time of the event, if the provider gives one. Otherwise it happened now.
    pub at: Option<Time>,
    /// Whether the caller is still on the line, so that our answer decides what happens next. The provider must also
    /// report the status in another way, because a caller is never left waiting for our database.
    pub caller_waits: bool,
}

string_enum! {
    /// Reason why a contact went nowhere.
    Refusal {
        /// The phone has no ride on this number.
        UnknownCaller = "unknown_caller",
        /// The network does not identify the phone.
        HiddenCaller = "hidden_caller",
        /// The phone had a ride on this number, and its contact window is closed.
        ContactClosed = "contact_closed",
        /// The number is not in our pool, or belongs to another provider.
        NumberNotOurs = "number_not_ours",
        /// The number is out of service, and the phone has no open ride on it.
        NumberSuspended = "number_suspended",
        /// The caller is itself a number of the pool.
        PoolNumber = "pool_number",
        /// The platform was asked, and blocked the contact.
        Blocked = "blocked",
        /// The platform was asked, and its answer is unclear.
        InterceptUnclear = "intercept_unclear",
    }
}

/// Result of the routing lookup in the database.
#[derive(Clone, Debug)]
pub struct RouteFacts {
    /// Number that was contacted, if it is in the pool.
    pub number: Option<(NumberId, ProviderName)>,
    /// Whether that number is out of service. It still carries open contacts until their rides have moved.
    pub suspended: bool,
    /// Whether the contacting phone is a number of the pool.
    pub from_pool: bool,
    /// Binding of the contacting phone to the number.
    pub binding: Option<BoundContact>,
    /// Language of the contacting phone's owner, if known.
    pub language: Option<Language>,
}

/// Binding, with the ride and the phone that it leads to.
#[derive(Clone, Debug)]
pub struct BoundContact {
    pub ride_id: RideId,
    pub driver_id: PersonId,
    /// Role of the contacting phone.
    pub from_role: Role,
    /// End of the contact window.
    pub contact_until: Time,
    /// Current phone of the other party; none if that person was erased.
    pub to: Option<PhoneNumber>,
}

/// Destination of a contact.
#[derive(Clone, Debug)]
pub enum Route {
    /// The other party.
    Connected(Connection),
    /// Nowhere.
    Refused {
        refusal: Refusal,
        /// Number that was contacted, if it is ours.
        number_id: Option<NumberId>,
        /// Ride that the phone had on the number, with the role of the phone.
        ride: Option<(RideId, Role)>,
        /// Language of the contacting phone's owner, if known.
        language: Option<Language>,
    },
}

/// Open route from one party to the other.
#[derive(Clone, Debug)]
pub struct Connection {
    pub ride_id: RideId,
    /// Driver of the ride. A new driver makes it a different route.
    pub driver_id: PersonId,
    /// Proxy number that both parties see.
    pub number_id: NumberId,
    /// Role of the party that makes contact.
    pub from_role: Role,
    /// Phone to reach.
    pub to: PhoneNumber,
}

/// Decides where a contact at `provider` goes.
pub fn decide(facts: RouteFacts, provider: &ProviderName, from: &CallerId, now: Time) -> Route {
    let language = facts.language;
    let refused = |refusal, number_id, ride| Route::Refused { refusal, number_id, ride, language };
    let Some((number_id, _)) = facts.number.filter(|(_, owner)| owner == provider) else {
        return refused(Refusal::NumberNotOurs, None, None);
    };
    if *from == CallerId::Hidden {
        return refused(Refusal::HiddenCaller, Some(number_id), None);
    }
    if facts.from_pool {
        return refused(Refusal::PoolNumber, Some(number_id), None);
    }
    let closed = |otherwise| if facts.suspended { Refusal::NumberSuspended } else { otherwise };
    let Some(bound) = facts.binding else {
        return refused(closed(Refusal::UnknownCaller), Some(number_id), None);
    };
    match bound.to {
        Some(to) if now < bound.contact_until => {
            let BoundContact { ride_id, driver_id, from_role, .. } = bound;
            Route::Connected(Connection { ride_id, driver_id, number_id, from_role, to })
        }
        _ => refused(closed(Refusal::ContactClosed), Some(number_id), Some((bound.ride_id, bound.from_role))),
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Duration};
    use proptest::prelude::*;

    use super::*;

    const OURS: ProviderName = ProviderName::of("messagebird");

    fn noon() -> Time {
        DateTime::from_timestamp(1_800_000_000, 0).expect("a time")
    }

    fn phone() -> CallerId {
        CallerId::from_wire("31612345678")
    }

    fn facts() -> RouteFacts {
        RouteFacts {
            number: Some((NumberId(1), OURS)),
            suspended: false,
            from_pool: false,
            binding: Some(BoundContact {
                ride_id: RideId(7),
                driver_id: PersonId(2),
                from_role: Role::Driver,
                contact_until: noon() + Duration::seconds(1),
                to: PhoneNumber::from_wire("+31687654321").ok(),
            }),
            language: None,
        }
    }

    fn refusal(route: Route) -> Option<Refusal> {
        match route {
            Route::Connected(_) => None,
            Route::Refused { refusal, .. } => Some(refusal),
        }
    }

    #[test]
    fn odd_caller_ids_are_hidden() {
        for odd in [
            "",
            "Restricted",
            "anonymous",
            "+266696687",
            "266696687",
            "sip:31612345678@example.com",
            "unavailable",
            "12345",
            "Maskline",
            "Anonymous",
            "+anonymous",
            "PRIVATE",
            "unknown",
            "Unavailable",
            "+1266696687",
            "1266696687",
            "+1 (266) 696-687",
            "+12666966877",
            "+17378742833",
            "+7378742833",
            "+86282452253",
            "186282452253",
            "+8656696",
            "+18656696",
            "+2562533",
            "12562533",
            "+7748283",
            "+17748283",
            "+94844353",
            "\u{202a}+266696687\u{202c}",
            "+44266696687",
            "+3538656696",
            "sip:266696687@10.0.0.1",
            "tel:+31612345678",
            "0031612345678",
        ] {
            assert_eq!(CallerId::from_wire(odd), CallerId::Hidden, "{odd}");
        }
    }

    #[test]
    fn a_number_that_ends_like_a_word_is_a_number() {
        // Numbers in Arnhem and in the United States.
        for number in ["+31266696687", "+12022666966", "+18322562533"] {
            assert_ne!(CallerId::from_wire(number), CallerId::Hidden, "{number}");
        }
    }

    #[test]
    fn the_window_closes_to_the_millisecond() {
        let open = |now| refusal(decide(facts(), &OURS, &phone(), now));
        assert_eq!(open(noon() + Duration::milliseconds(999)), None);
        assert_eq!(open(noon() + Duration::seconds(1)), Some(Refusal::ContactClosed));
    }

    #[test]
    fn refusals_say_why() {
        let with = |change: fn(&mut RouteFacts), from: CallerId| {
            let mut facts = facts();
            change(&mut facts);
            refusal(decide(facts, &OURS, &from, noon()))
        };
        assert_eq!(with(|f| f.number = None, phone()), Some(Refusal::NumberNotOurs));
        assert_eq!(
            with(|f| f.number = Some((NumberId(1), ProviderName::of("plivo"))), phone()),
            Some(Refusal::NumberNotOurs)
        );
        assert_eq!(with(|f| f.from_pool = true, phone()), Some(Refusal::PoolNumber));
        assert_eq!(with(|f| f.binding = None, phone()), Some(Refusal::UnknownCaller));
        assert_eq!(with(|_| (), CallerId::Hidden), Some(Refusal::HiddenCaller));
        assert_eq!(with(|f| f.suspended = true, phone()), None, "an open binding still routes");
        let closed = |f: &mut RouteFacts| f.binding.as_mut().expect("bound").contact_until = noon();
        assert_eq!(with(closed, phone()), Some(Refusal::ContactClosed));
        let suspended = |f: &mut RouteFacts| {
            f.suspended = true;
            f.binding = None;
        };
        assert_eq!(with(suspended, phone()), Some(Refusal::NumberSuspended));
        assert_eq!(with(suspended, CallerId::Hidden), Some(Refusal::HiddenCaller));
    }

    proptest! {
        #[test]
        fn connects_only_inside_the_window_of_a_binding(
            ours in any::<bool>(), pool in any::<bool>(), bound in any::<bool>(), erased in any::<bool>(), offset in -2000i64..2000
        ) {
            let mut facts = facts();
            if !ours { facts.number = None; }
            facts.from_pool = pool;
            if erased { facts.binding.as_mut().expect("bound").to = None; }
            if !bound { facts.binding = None; }
            let connected = refusal(decide(facts, &OURS, &phone(), noon() + Duration::milliseconds(offset))).is_none();
            prop_assert_eq!(connected, ours && !pool && bound && !erased && offset < 1000);
        }
    }
}
