//! Calls: their record, and our answer when a phone calls a number.

use super::{
    clock::Time,
    ids::{CallId, RideId},
    notice::Locale,
    person::Role,
    phone::PhoneNumber,
    string_enum::string_enum,
};

string_enum! {
    CallStatus {
        /// We have asked the provider to connect it.
        Connecting = "connecting",
        /// The other phone is ringing.
        Ringing = "ringing",
        /// The parties are talking.
        Answered = "answered",
        /// The parties talked.
        Completed = "completed",
        /// The other phone was busy.
        Busy = "busy",
        /// Nobody answered.
        NoAnswer = "no_answer",
        /// It could not be connected.
        Failed = "failed",
        /// The caller gave up.
        Cancelled = "cancelled",
        /// The caller may not reach anybody here and heard an announcement.
        Rejected = "rejected",
        /// The provider never reported how it ended.
        Unknown = "unknown",
    }
}

impl CallStatus {
    /// Ranks how much a status says about a call: the status that says more wins, whichever came first. Of two endings,
    /// the one closer to a conversation wins: every call ends with the caller hanging up.
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

    /// Checks whether the call is over according to a report.
    pub fn is_ending(self) -> bool {
        matches!(self, Self::Cancelled | Self::NoAnswer | Self::Busy | Self::Failed | Self::Completed | Self::Rejected)
    }
}

#[derive(Clone, Debug)]
pub struct Call {
    pub id: CallId,
    /// None for a call from a phone without a ride on this number.
    pub ride_id: Option<RideId>,
    /// Party that called.
    pub from_role: Option<Role>,
    pub status: CallStatus,
    /// Reason why the call did not go to the other party. A call to the support number has a reason and still passes
    /// through the usual statuses.
    pub reason: Option<String>,
    /// When the call reached us.
    pub started_at: Time,
    /// When the other phone answered.
    pub answered_at: Option<Time>,
    pub ended_at: Option<Time>,
    /// Length of the conversation, in seconds.
    pub duration_s: Option<i64>,
}

impl Call {
    /// Applies a report; returns whether anything changed.
    ///
    /// Reports arrive late, repeated and in any order, from both legs of a call. The final record does not depend on
    /// their order: it has the earliest times, the longest duration and the status that says most. An answered call
    /// that has ended is `Completed`, whatever ending was reported. `duration_s` counts only with `Completed`. Times
    /// before the start of the call are moved to its start.
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

/// Our answer to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallFlow {
    /// Ring the other party and connect the two.
    Connect {
        to: PhoneNumber,
        /// Number that the ringing phone shows: always the proxy number.
        caller_id: PhoneNumber,
    },
    /// Say a sentence and hang up.
    Announce {
        text: String,
        /// Language of the voice.
        language: Locale,
    },
    /// Hang up without an announcement.
    HangUp,
}

/// How long the other party's phone rings, in seconds, before the call counts as not answered. Most networks wait
/// longer before they forward a call to voicemail, which would answer instead of the other party.
pub const RING_SECONDS: u32 = 25;

/// Longest conversation, in seconds: the highest limit that every provider accepts.
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
