//! Whose rides there are, and when: a city with two rush hours, made up from a seed.

use chrono::{DateTime, Duration, Utc};
use fastrand::Rng;

pub type Time = DateTime<Utc>;

const DRIVERS: usize = 2_000;
const CUSTOMERS: usize = 20_000;
/// The first of them ride often: they make half of all rides.
const REGULARS: usize = 4_000;
const RIDES_A_DAY: i64 = 16_600;
/// A ride is created so long before its start.
const LEAD: Duration = Duration::minutes(10);
const DURATION: Duration = Duration::minutes(25);
/// How much is asked for in each hour of the day.
const DAY: [u32; 24] = [2, 1, 1, 1, 1, 2, 4, 8, 10, 7, 5, 5, 6, 6, 5, 5, 7, 9, 10, 8, 6, 5, 4, 3];
/// A driver's day is so long; it begins when rides are asked for, as a rule.
const SHIFT: Duration = Duration::hours(10);

/// A ride that was driven.
#[derive(Clone, Copy)]
pub struct Ride {
    pub created: Time,
    pub ended: Time,
    /// Customers and drivers are numbered together: a person has one phone, and nobody shares it.
    pub customer: usize,
    pub driver: usize,
}

/// Rides in the order of their creation.
pub struct Traffic {
    pub rides: Vec<Ride>,
}

impl Traffic {
    /// As many people as there are.
    pub const PEOPLE: usize = DRIVERS + CUSTOMERS;

    /// The traffic of so many days. The first days of a longer time are those of a shorter one.
    pub fn of(time: Duration, seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let begins = DateTime::UNIX_EPOCH;
        let shifts: Vec<Duration> = (0..DRIVERS).map(|_| time_of_day(&mut rng) - Duration::hours(2)).collect();
        let mut free_at = vec![begins; Self::PEOPLE];
        let mut rides = Vec::new();
        for day in 0..time.num_days() {
            let today = begins + Duration::days(day);
            let mut starts: Vec<_> = (0..RIDES_A_DAY).map(|_| today + time_of_day(&mut rng)).collect();
            starts.sort_unstable();
            for start in starts {
                let customer = find(
                    &mut rng,
                    |rng| {
                        let regular = rng.bool();
                        DRIVERS + if regular { rng.usize(0..REGULARS) } else { rng.usize(REGULARS..CUSTOMERS) }
                    },
                    |customer| free_at[customer] <= start,
                );
                let driver = find(
                    &mut rng,
                    |rng| rng.usize(0..DRIVERS),
                    |driver| {
                        let into_shift = (start - begins - shifts[driver]).num_minutes().rem_euclid(24 * 60);
                        free_at[driver] <= start && into_shift < SHIFT.num_minutes()
                    },
                );
                let ended = start + DURATION;
                (free_at[customer], free_at[driver]) = (ended, ended);
                rides.push(Ride { created: start - LEAD, ended, customer, driver });
            }
        }
        Self { rides }
    }

    /// The rides that are created before so much time has passed.
    pub fn first(&self, time: Duration) -> Self {
        let end = DateTime::UNIX_EPOCH + time - LEAD;
        Self { rides: self.rides.iter().take_while(|ride| ride.created < end).copied().collect() }
    }
}

/// Somebody who can ride or drive now.
fn find(rng: &mut Rng, somebody: impl Fn(&mut Rng) -> usize, can: impl Fn(usize) -> bool) -> usize {
    for _ in 0..1_000 {
        let found = somebody(rng);
        if can(found) {
            return found;
        }
    }
    panic!("nobody is free: there are too few people for so many rides")
}

/// A time of day, likelier where more is asked for.
fn time_of_day(rng: &mut Rng) -> Duration {
    let mut at = rng.u32(0..DAY.iter().sum());
    let hour = DAY.iter().position(|weight| {
        let is_here = at < *weight;
        at = at.saturating_sub(*weight);
        is_here
    });
    Duration::hours(hour.map_or(0, |hour| hour as i64)) + Duration::seconds(rng.i64(0..3600))
}
