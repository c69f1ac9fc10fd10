//! Calls: their record, and what we answer when a phone rings a number.

use super::{
    clock::Time,
    ids::{CallId, RideId},
    notice::Locale,
    person::Role,
    phone::PhoneNumber,
    words::words,
};

words! {
    /// Where a call stands.
    CallStatus {
        /// We told the provider to connect it.
        Connecting = "connecting",
        /// The other phone rings.
        Ringing = "ringing",
        /// They talk.
        Answered = "answered",
        /// They talked.
        Completed = "completed",
        /// The other phone was busy.
        Busy = "busy",
        /// Nobody answered.
        NoAnswer = "no_answer",
        /// It could not be connected.
        Failed = "failed",
        /// The caller gave up.
        Cancelled = "cancelled",
        /// The caller may reach nobody here and heard an announcement.
        Rejected = "rejected",
        /// The provider never said how it ended.
        Unknown = "unknown",
    }
}

impl CallStatus {
    /// How much this says of a call: news that say more win, whichever came first. Of two endings the one that is
    /// nearer to a conversation wins: that the caller hung up is true of every call in the end.
    fn rank(self) -> u8 {
        match self {
            Self::Connecting => 0,
            Self::Ringing => 1,
            Self::Answered => 2,
            Self::Unknown => 3,
            Self::Cancelled => 4,
            Self::NoAnswer => 5,
            Self::Busy => 6,
            Self::Failed => 7,
            Self::Completed => 8,
            Self::Rejected => 9,
        }
    }

    /// The call is over, and somebody said so.
    pub fn is_ending(self) -> bool {
        matches!(self, Self::Cancelled | Self::NoAnswer | Self::Busy | Self::Failed | Self::Completed | Self::Rejected)
    }
}

/// A call.
#[derive(Clone, Debug)]
pub struct Call {
    /// Its id.
    pub id: CallId,
    /// Its ride; none for a call from a phone that has no ride here.
    pub ride_id: Option<RideId>,
    /// Who called.
    pub from_role: Option<Role>,
    /// Where it stands.
    pub status: CallStatus,
    /// Why, where it did not go to the other party. One that went to the support number has a reason and a course.
    pub reason: Option<String>,
    /// When it reached us.
    pub started_at: Time,
    /// When the other phone picked up.
    pub answered_at: Option<Time>,
    /// When it ended.
    pub ended_at: Option<Time>,
    /// How long they talked, in seconds.
    pub duration_s: Option<i64>,
}

impl Call {
    /// Takes in news; says whether anything changed.
    ///
    /// News come late, repeated and in any order, from both legs of a call, and end in the same record in any order:
    /// the earliest time, the longest duration, the status that says most. A call that was answered and has ended was
    /// completed, however its end was called. `duration_s` counts only with `Completed`. Nothing is taken to have
    /// happened before the call began.
    pub fn report(&mut self, news: CallStatus, duration_s: Option<i64>, at: Time) -> bool {
        use CallStatus::{Answered, Completed, Connecting, Rejected, Unknown};
        if self.status == Rejected || matches!(news, Connecting | Unknown | Rejected) {
            return false;
        }
        // Providers' clocks and ours differ.
        let since_start = |time: Time| time.max(self.started_at);
        let before = (self.status, self.answered_at, self.ended_at, self.duration_s);
        let duration_s = duration_s.filter(|_| news == Completed);
        let picked_up = match news {
            Answered => Some(at),
            _ => duration_s.and_then(chrono::Duration::try_seconds).and_then(|talk| at.checked_sub_signed(talk)),
        };
        let (picked_up, over) = (picked_up.map(since_start), news.is_ending().then(|| since_start(at)));
        self.answered_at = earliest(self.answered_at, picked_up);
        self.ended_at = earliest(self.ended_at, over);
        self.duration_s = self.duration_s.max(duration_s);
        let status = if news.rank() > self.status.rank() { news } else { self.status };
        self.status = if status.is_ending() && self.answered_at.is_some() { Completed } else { status };
        before != (self.status, self.answered_at, self.ended_at, self.duration_s)
    }
}

fn earliest(one: Option<Time>, other: Option<Time>) -> Option<Time> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// What we answer to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallFlow {
    /// Ring the other party and join the two.
    Connect {
        /// The phone to ring.
        to: PhoneNumber,
        /// What its screen shows: always the proxy number.
        caller_id: PhoneNumber,
    },
    /// Say a sentence and hang up.
    Announce {
        /// The sentence.
        text: String,
        /// What the voice speaks that says it.
        language: Locale,
    },
    /// Hang up: all is said.
    HangUp,
}

/// How long the other party's phone rings, in seconds, before the call counts as not answered. Shorter than what most
/// networks allow before they pass a call on to a mailbox, which would answer in the other party's place.
pub const RING_SECONDS: u32 = 25;

/// How long two parties can talk, in seconds: the longest that every provider takes.
pub const TALK_SECONDS: u32 = 7200;

#[cfg(test)]
pub(super) mod tests {
    use chrono::DateTime;
    use proptest::prelude::*;

    use super::*;

    pub(in crate::domain) fn call() -> Call {
        Call {
            id: CallId(1),
            ride_id: Some(RideId(1)),
            from_role: Some(Role::Customer),
            status: CallStatus::Connecting,
            reason: None,
            started_at: DateTime::from_timestamp(1_800_000_000, 0).expect("a time"),
            answered_at: None,
            ended_at: None,
            duration_s: None,
        }
    }

    fn second(seconds: i64) -> Time {
        call().started_at + chrono::Duration::seconds(seconds)
    }

    type News = (CallStatus, Option<i64>, Time);

    #[test]
    fn nothing_happened_before_the_call_began() {
        let mut behind = call();
        behind.report(CallStatus::Answered, None, second(-3));
        behind.report(CallStatus::Completed, Some(42), second(39));
        assert_eq!(
            (behind.answered_at, behind.ended_at),
            (Some(second(0)), Some(second(39))),
            "a clock that is behind"
        );
        let mut absurd = call();
        absurd.report(CallStatus::Completed, Some(200_000_000_000), second(50));
        assert_eq!((absurd.status, absurd.answered_at), (CallStatus::Completed, Some(second(0))));
        let mut early = call();
        early.report(CallStatus::Busy, None, second(-9));
        assert_eq!(early.ended_at, Some(second(0)));
    }

    fn after(news: &[News]) -> (CallStatus, Option<Time>, Option<Time>, Option<i64>) {
        let mut call = call();
        for (status, duration_s, at) in news {
            call.report(*status, *duration_s, *at);
        }
        (call.status, call.answered_at, call.ended_at, call.duration_s)
    }

    #[test]
    fn both_legs_end_in_one_record() {
        use CallStatus::{Answered, Busy, Cancelled, Completed, Ringing};
        let talked = [
            (Ringing, None, second(2)),
            (Answered, None, second(8)),
            (Completed, Some(42), second(50)),
            (Cancelled, None, second(51)),
        ];
        assert_eq!(after(&talked), (Completed, Some(second(8)), Some(second(50)), Some(42)));
        assert_eq!(after(&[talked[1], talked[3]]).0, Completed, "they talked, and one of them hung up");
        assert_eq!(after(&[talked[3], talked[1]]).0, Completed);
        assert_eq!(after(&[talked[0], talked[3]]), (Cancelled, None, Some(second(51)), None));
        let busy = [(Busy, None, second(9)), (Cancelled, None, second(20))];
        assert_eq!(after(&busy), (Busy, None, Some(second(9)), None));
    }

    #[test]
    fn a_call_that_was_given_up_is_found_again() {
        let mut call = Call { status: CallStatus::Unknown, ..call() };
        assert!(!call.report(CallStatus::Ringing, None, second(1)));
        assert!(call.report(CallStatus::NoAnswer, None, second(30)));
        assert_eq!(call.status, CallStatus::NoAnswer);
    }

    fn news() -> impl Strategy<Value = News> {
        let duration = proptest::option::of(0..100i64);
        (proptest::sample::select(CallStatus::ALL), duration, (-50..200i64).prop_map(second))
    }

    proptest! {
        #[test]
        fn reports_in_any_order_end_in_one_record(
            (first, other) in proptest::collection::vec(news(), 0..6).prop_flat_map(|news| (Just(news.clone()), Just(news).prop_shuffle()))
        ) {
            prop_assert_eq!(after(&first), after(&other));
            let twice = [first.clone(), other].concat();
            prop_assert_eq!(after(&twice), after(&first), "a repeat changes nothing");
        }

        #[test]
        fn nobody_talks_on_a_rejected_call(news in news()) {
            let mut call = Call { status: CallStatus::Rejected, ..call() };
            prop_assert!(!call.report(news.0, news.1, news.2));
        }
    }
}
