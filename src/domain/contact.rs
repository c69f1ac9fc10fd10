//! What reaches us from phones, by way of a provider, and where it may go.
//!
//! The routing decision is a pure function of one lookup and the clock: no background job takes part in it.

use super::{
    call::CallStatus,
    clock::Time,
    ids::{NumberId, PersonId, RideId},
    message::{PartState, ProviderCode},
    number::ProviderName,
    person::Role,
    phone::PhoneNumber,
    text::{Body, Language},
    words::words,
};

/// Who contacts us, as far as the network says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Contacting {
    /// A phone.
    Phone(PhoneNumber),
    /// A hidden, missing or odd caller id (`anonymous`, `Restricted`, a SIP address, a sender name): it never
    /// matches a ride.
    Hidden,
}

impl Refusal {
    /// Whether there is a real phone at the other end, and a number of ours that serves: only then is anything done for
    /// who has no ride, beyond saying so.
    pub fn is_answerable(self) -> bool {
        matches!(self, Self::UnknownCaller | Self::ContactClosed)
    }
}

impl Contacting {
    /// Reads a caller id as providers write it: a number, or one of many words in place of a hidden one, which may also be
    /// spelt on a keypad.
    pub fn from_wire(text: &str) -> Self {
        match PhoneNumber::from_wire(text) {
            Ok(phone) if !is_spelt(&phone) => Self::Phone(phone),
            _ => Self::Hidden,
        }
    }

    /// The phone, if one is known.
    pub fn phone(&self) -> Option<&PhoneNumber> {
        match self {
            Self::Phone(phone) => Some(phone),
            Self::Hidden => None,
        }
    }
}

/// Words that networks send in place of a hidden number, spelt on a keypad: ANONYMOUS (one network repeats the last
/// digit), RESTRICTED, UNAVAILABLE, UNKNOWN, BLOCKED, PRIVATE, WITHHELD.
const SPELT: [&str; 8] =
    ["266696687", "2666966877", "7378742833", "86282452253", "8656696", "2562533", "7748283", "94844353"];

/// Whether a number is such a word: alone, behind a 1, or behind another country code where nobody has that number.
///
/// Behind a 1 it always counts: of these only RESTRICTED could be a number there, and it comes from hidden callers far more
/// often than from that one line.
fn is_spelt(phone: &PhoneNumber) -> bool {
    let digits = phone.expose_digits();
    SPELT.iter().filter_map(|word| digits.strip_suffix(word)).any(|country| match country {
        "" | "1" => true,
        country => country.len() <= 3 && PhoneNumber::parse(phone.expose()).is_err(),
    })
}

/// What a provider tells us, translated.
#[derive(Clone, Debug)]
pub enum ProviderEvent {
    /// A phone sent a text to a number.
    Text(InboundText),
    /// A phone calls a number and waits for our answer.
    Call(InboundCall),
    /// What became of a text that we sent.
    Report(DeliveryReport),
    /// What became of a call that we connected.
    CallReport(CallReport),
    /// Something of no interest: acknowledged, no effect.
    Ignored,
    /// Something that makes no sense, beside other events that do: logged, no effect.
    Unreadable(&'static str),
}

/// A text from a phone.
#[derive(Clone, Debug)]
pub struct InboundText {
    /// The provider's id of the text: what tells a repeat from a second one.
    pub key: String,
    /// Who sent it.
    pub from: Contacting,
    /// The number it was sent to, if it is one.
    pub to: Option<PhoneNumber>,
    /// Whom else it was sent to, where a provider does not say which of the recipients of a group is ours.
    pub others: Vec<PhoneNumber>,
    /// The words.
    pub body: Body,
    /// Addresses of pictures, as the provider gave them.
    pub media: Vec<String>,
    /// A word such as STOP, START or HELP that the provider has acted on and answered by itself: it is meant for the
    /// provider, not for the other party.
    pub keyword: bool,
}

/// A call from a phone.
#[derive(Clone, Debug)]
pub struct InboundCall {
    /// The provider's id of the call.
    pub key: String,
    /// Who calls.
    pub from: Contacting,
    /// The number that is called, if it is one.
    pub to: Option<PhoneNumber>,
}

/// News of a text that we sent.
#[derive(Clone, Debug)]
pub struct DeliveryReport {
    /// Tells a repeat from further news: the provider's id and what it reports.
    pub key: String,
    /// Our reference, by which the report finds its text.
    pub reference: String,
    /// What the text has become.
    pub state: PartState,
    /// The provider's code for it.
    pub code: Option<ProviderCode>,
}

/// News of a call.
#[derive(Clone, Debug)]
pub struct CallReport {
    /// Tells a repeat from further news.
    pub key: String,
    /// The provider's id of the call.
    pub call_key: String,
    /// What the call has become: ringing, answered, or an ending. The end of the caller's side alone is `Cancelled`;
    /// if they talked, [`Call::report`](super::call::Call::report) makes `Completed` of it.
    pub status: CallStatus,
    /// How long they talked, in seconds; only with `Completed`.
    pub duration_s: Option<i64>,
    /// When it happened, where the provider says; otherwise it happened now.
    pub at: Option<Time>,
    /// The caller is still on the line, and our answer says what happens next. The provider must tell the same by
    /// another way too, because a caller is never left waiting for our database.
    pub caller_waits: bool,
}

words! {
    /// Why a contact went nowhere.
    Refusal {
        /// The phone has no ride on this number.
        UnknownCaller = "unknown_caller",
        /// The network does not say who it is.
        HiddenCaller = "hidden_caller",
        /// The phone had a ride here; its contact window is closed.
        ContactClosed = "contact_closed",
        /// The number is not in our pool, or belongs to another provider.
        NumberNotOurs = "number_not_ours",
        /// The number is out of service, and the phone has no open ride on it.
        NumberSuspended = "number_suspended",
        /// The caller is itself a number of the pool.
        PoolNumber = "pool_number",
        /// The platform was asked, and said no.
        Blocked = "blocked",
        /// The platform was asked, and its answer did not say clearly what to do.
        InterceptUnclear = "intercept_unclear",
    }
}

/// What the routing lookup found, as it stands in the database.
#[derive(Clone, Debug)]
pub struct RouteFacts {
    /// The number that was contacted, if it is in the pool.
    pub number: Option<(NumberId, ProviderName)>,
    /// That number is out of service: it carries the contacts that are open still, until their rides are moved.
    pub suspended: bool,
    /// The contacting phone is a number of the pool.
    pub from_pool: bool,
    /// The binding of (number, phone).
    pub binding: Option<BoundContact>,
    /// What the owner of the contacting phone reads, if that is known.
    pub language: Option<Language>,
}

/// A binding with what it leads to.
#[derive(Clone, Debug)]
pub struct BoundContact {
    /// The ride.
    pub ride_id: RideId,
    /// Who drives.
    pub driver_id: PersonId,
    /// The role of the phone that makes contact.
    pub from_role: Role,
    /// The end of the contact window.
    pub contact_until: Time,
    /// The other party's phone now; none if that person was erased.
    pub to: Option<PhoneNumber>,
}

/// Where a contact may go.
#[derive(Clone, Debug)]
pub enum Route {
    /// To the other party.
    Connected(Connection),
    /// Nowhere.
    Refused {
        /// Why.
        refusal: Refusal,
        /// The number, if ours.
        number_id: Option<NumberId>,
        /// The ride it once belonged to, with the role of the contacting phone.
        ride: Option<(RideId, Role)>,
        /// What the owner of the contacting phone reads, if that is known.
        language: Option<Language>,
    },
}

/// An open way from one party to the other.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The ride.
    pub ride_id: RideId,
    /// Who drives: with another driver the way is another.
    pub driver_id: PersonId,
    /// The number both parties see.
    pub number_id: NumberId,
    /// Who makes contact.
    pub from_role: Role,
    /// The phone to reach.
    pub to: PhoneNumber,
}

/// Decides where a contact at `provider` goes.
pub fn decide(facts: RouteFacts, provider: &ProviderName, from: &Contacting, now: Time) -> Route {
    let language = facts.language;
    let refused = |refusal, number_id, ride| Route::Refused { refusal, number_id, ride, language };
    let Some((number_id, _)) = facts.number.filter(|(_, owner)| owner == provider) else {
        return refused(Refusal::NumberNotOurs, None, None);
    };
    if *from == Contacting::Hidden {
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

    fn phone() -> Contacting {
        Contacting::from_wire("31612345678")
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
            assert_eq!(Contacting::from_wire(odd), Contacting::Hidden, "{odd}");
        }
    }

    #[test]
    fn a_number_that_ends_like_a_word_is_a_number() {
        // Arnhem, and a mobile phone of the United States.
        for number in ["+31266696687", "+12022666966", "+18322562533"] {
            assert_ne!(Contacting::from_wire(number), Contacting::Hidden, "{number}");
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
        let with = |change: fn(&mut RouteFacts), from: Contacting| {
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
        assert_eq!(with(|_| (), Contacting::Hidden), Some(Refusal::HiddenCaller));
        assert_eq!(with(|f| f.suspended = true, phone()), None, "an open binding still routes");
        let closed = |f: &mut RouteFacts| f.binding.as_mut().expect("bound").contact_until = noon();
        assert_eq!(with(closed, phone()), Some(Refusal::ContactClosed));
        let suspended = |f: &mut RouteFacts| {
            f.suspended = true;
            f.binding = None;
        };
        assert_eq!(with(suspended, phone()), Some(Refusal::NumberSuspended));
        assert_eq!(with(suspended, Contacting::Hidden), Some(Refusal::HiddenCaller));
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
