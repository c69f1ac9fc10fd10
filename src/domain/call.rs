//! Calls: their record, and what we answer when a phone rings a number.

use super::{
    clock::Time,
    ids::{CallId, RideId},
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
    /// How far along the life of a call this is. Reports come late, twice and in any order: only one that is further
    /// along counts, and of two endings the first stays.
    pub fn rank(self) -> u8 {
        match self {
            Self::Connecting => 0,
            Self::Ringing => 1,
            Self::Answered => 2,
            Self::Unknown => 3,
            Self::Completed | Self::Busy | Self::NoAnswer | Self::Failed | Self::Cancelled => 4,
            Self::Rejected => 5,
        }
    }

    /// The call is over.
    pub fn is_ended(self) -> bool {
        self.rank() >= 3
    }

    /// What a report makes of the present status.
    pub fn after_report(self, reported: Self) -> Self {
        if reported.rank() > self.rank() { reported } else { self }
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
    /// Why, where it went nowhere.
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
    /// Takes in a report; says whether anything changed.
    pub fn report(&mut self, status: CallStatus, duration_s: Option<i64>, now: Time) -> bool {
        let next = self.status.after_report(status);
        let duration_s = self.duration_s.or(duration_s.filter(|_| next == CallStatus::Completed));
        if next == self.status && duration_s == self.duration_s {
            return false;
        }
        if next == CallStatus::Answered {
            self.answered_at = Some(now);
        }
        if next.is_ended() && self.ended_at.is_none() {
            self.ended_at = Some(now);
        }
        if next == CallStatus::Completed && self.answered_at.is_none() {
            self.answered_at = duration_s.map(|s| now - chrono::Duration::seconds(s));
        }
        self.status = next;
        self.duration_s = duration_s;
        true
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
        /// Its language, as a BCP 47 tag for a voice.
        language: &'static str,
    },
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use proptest::prelude::*;

    use super::*;

    fn call() -> Call {
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

    #[test]
    fn reports_in_any_order_end_in_one_record() {
        let now = call().started_at;
        let news = [(CallStatus::Ringing, None), (CallStatus::Answered, None), (CallStatus::Completed, Some(42))];
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0], [2, 0, 1]] {
            let mut call = call();
            for at in order {
                call.report(news[at].0, news[at].1, now);
            }
            assert_eq!((call.status, call.duration_s, call.ended_at), (CallStatus::Completed, Some(42), Some(now)));
            assert!(call.answered_at.is_some());
            assert!(!call.report(CallStatus::Completed, Some(42), now), "a repeat changes nothing");
        }
    }

    proptest! {
        #[test]
        fn an_ending_stays(first in proptest::sample::select(CallStatus::ALL), second in proptest::sample::select(CallStatus::ALL)) {
            prop_assert!(first.after_report(second).rank() >= first.rank());
            if first.rank() >= 4 {
                prop_assert!(second == CallStatus::Rejected || first.after_report(second) == first);
            }
        }
    }
}
