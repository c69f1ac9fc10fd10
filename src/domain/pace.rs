//! Rate limit of outgoing texts: a pure function of what was sent before.

use chrono::Duration;

use super::clock::Time;

/// Rate limit: at most `count` texts in any period of length `per`.
///
/// A sixth of them may be sent at once; the others follow evenly. This is the generic cell rate algorithm (ITU-T
/// I.371). Its only state is a time: until then, past texts have used up the allowance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    count: i32,
    per: Duration,
}

/// Reservation for one text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// When the text may be sent.
    pub at: Time,
    /// Time until which the allowance is then used up.
    pub spent_until: Time,
}

impl Pace {
    /// Allows `count` texts a minute, at least one.
    pub fn per_minute(count: u32) -> Self {
        Self::new(count, Duration::minutes(1))
    }

    /// Allows `count` texts a second, at least one.
    pub fn per_second(count: u32) -> Self {
        Self::new(count, Duration::seconds(1))
    }

    fn new(count: u32, per: Duration) -> Self {
        Self { count: i32::try_from(count).unwrap_or(i32::MAX).max(1), per }
    }

    fn burst(self) -> i32 {
        (self.count / 6).max(1)
    }

    /// Returns the gap between two texts after the burst, rounded up. Any period then holds at most the burst and the
    /// texts that follow evenly: together `count`.
    fn interval(self) -> Duration {
        let following = i64::from(self.count - self.burst() + 1);
        let micros = self.per.num_microseconds().unwrap_or(i64::MAX);
        Duration::microseconds(micros.saturating_add(following - 1) / following)
    }

    /// Checks whether `spent_until` is possible for a limit on which nobody reserves ahead. If it is later, a replica
    /// whose clock is ahead of ours wrote it.
    pub fn is_spent_at_once(self, spent_until: Time, now: Time) -> bool {
        spent_until <= now + self.per
    }

    /// Reserves the first time from `now` on at which another text may be sent.
    pub fn reserve(self, spent_until: Option<Time>, now: Time) -> Slot {
        let interval = self.interval();
        let start = spent_until.unwrap_or(now).max(now);
        let at = (start - interval * (self.burst() - 1)).max(now);
        Slot { at, spent_until: start + interval }
    }
}

/// Rate limits of one provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throughput {
    /// Texts from one number in a minute.
    pub texts_per_minute: u32,
    /// Texts from all numbers of the account together in a second; none if only the limits of its numbers apply.
    pub texts_per_second: Option<u32>,
}

impl Throughput {
    pub fn of_number(self) -> Pace {
        Pace::per_minute(self.texts_per_minute)
    }

    pub fn of_account(self) -> Option<Pace> {
        self.texts_per_second.map(Pace::per_second)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::clock::{Clock as _, SystemClock};

    fn slots(pace: Pace, arrivals: &[Time]) -> Vec<Time> {
        let mut spent = None;
        let reserve = |now: &Time| {
            let slot = pace.reserve(spent, *now);
            spent = Some(slot.spent_until);
            slot.at
        };
        arrivals.iter().map(reserve).collect()
    }

    #[test]
    fn a_slow_number_sends_evenly_and_a_fast_one_may_begin_with_a_burst() {
        let start = SystemClock.now();
        let after = |pace, count| {
            let slots = slots(pace, &vec![start; count]);
            slots.iter().map(|at| (*at - start).num_milliseconds()).collect::<Vec<_>>()
        };
        assert_eq!(after(Pace::per_minute(6), 4), [0, 10_000, 20_000, 30_000]);
        assert_eq!(after(Pace::per_minute(12), 4), [0, 0, 5454, 10_909]);
        assert_eq!(after(Pace::per_second(0), 2), [0, 1000]);
    }

    #[test]
    fn what_was_not_used_for_a_while_is_whole_again() {
        let start = SystemClock.now();
        let later = start + Duration::minutes(5);
        let mut arrivals = vec![start; 100];
        arrivals.extend([later; 10]);
        assert_eq!(slots(Pace::per_minute(60), &arrivals)[100..], [later; 10]);
    }

    proptest! {
        #[test]
        fn no_stretch_holds_more_than_the_count(
            count in 1_u32..200,
            gaps in proptest::collection::vec(0_i64..3000, 1..300),
        ) {
            let pace = Pace::per_minute(count);
            let mut now = SystemClock.now();
            let arrivals: Vec<_> = gaps.iter().map(|gap| { now += Duration::milliseconds(*gap); now }).collect();
            let slots = slots(pace, &arrivals);
            for (from, first) in slots.iter().enumerate() {
                let inside = slots[from..].iter().filter(|at| **at < *first + Duration::minutes(1)).count();
                prop_assert!(inside <= count as usize);
            }
            prop_assert!(slots.is_sorted(), "who came first goes first");
            prop_assert!(slots.iter().zip(&arrivals).all(|(at, arrival)| at >= arrival));
        }
    }
}
