//! Pauses between attempts to send a text: a pure function of the number of attempts.

use chrono::Duration;

/// Attempts after which a text fails. With the pauses of [`pause`], that is after 45 to 92 minutes.
pub const MAX_ATTEMPTS: i32 = 16;

/// Extra attempts with which a send of unknown outcome backs off. A delivery report may settle it first, and every
/// repeat may be a second text on the phone.
pub const DOUBT: i32 = 7;

const FIRST: Duration = Duration::seconds(1);
const LONGEST: Duration = Duration::minutes(15);

/// Returns the pause after the `attempt`th attempt (from 1): it doubles from a second to a quarter of an hour. The
/// upper half of the pause is jittered, so that many texts do not come back together; `jitter` is from 0 to 1. If a
/// provider names its own pause (`Retry-After`), the next attempt waits for it, but not for more than an hour.
pub fn pause(attempt: i32, jitter: f64, asked_for: Option<Duration>) -> Duration {
    let doublings = attempt.clamp(1, 20) - 1;
    let full = (FIRST * 2_i32.pow(doublings.unsigned_abs())).min(LONGEST);
    let half = full / 2;
    #[expect(clippy::cast_possible_truncation, reason = "at most 450,000 milliseconds")]
    let spread = Duration::milliseconds((half.num_milliseconds() as f64 * jitter.clamp(0.0, 1.0)) as i64);
    (half + spread).max(asked_for.unwrap_or_default().min(Duration::hours(1)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn doubles_to_a_limit() {
        assert_eq!(pause(1, 1.0, None), Duration::seconds(1));
        assert_eq!(pause(4, 1.0, None), Duration::seconds(8));
        assert_eq!(pause(12, 1.0, None), LONGEST);
        assert_eq!(pause(1, 0.0, Some(Duration::seconds(30))), Duration::seconds(30));
    }

    proptest! {
        #[test]
        fn stays_in_bounds(attempt in any::<i32>(), jitter in any::<f64>(), asked in any::<i32>()) {
            let pause = pause(attempt, jitter, Some(Duration::seconds(asked.into())));
            prop_assert!(pause >= Duration::milliseconds(500) && pause <= Duration::hours(1));
        }
    }
}
