//! How long a number is kept from a person, and how many numbers that takes.

use std::collections::{BTreeMap, HashMap};

use fastrand::Rng;

use crate::traffic::{Ride, Time, Traffic};

/// What keeps a number from a person who has ridden with it.
pub enum Keeping {
    /// Until the time that follows from the end of the ride. The same two people may have their number again.
    Held(Box<dyn Fn(Time) -> Time>),
    /// Nobody ever gets a number twice.
    ForEver,
}

/// How many numbers it takes.
pub struct Need {
    /// However numbers were chosen: somebody holds so many at once, each with another person.
    pub at_least: usize,
    /// With numbers chosen as the service does, from a pool that grows when it has none for a ride.
    pub numbers: usize,
}

/// How a person holds a number: until when, with whom, and when that ride is over.
#[derive(Clone, Copy)]
struct Held {
    until: Time,
    with: usize,
    ended: Time,
}

/// Plays the traffic through.
pub fn need(traffic: &Traffic, keeping: &Keeping, seed: u64) -> Need {
    let mut rng = Rng::with_seed(seed);
    let mut pool = Pool::default();
    let mut held: Vec<HashMap<u32, Held>> = vec![HashMap::new(); Traffic::PEOPLE];
    let mut at_least = 0;
    for ride in &traffic.rides {
        let Ride { created, ended, customer, driver } = *ride;
        let until = match keeping {
            Keeping::Held(until) => {
                for person in [customer, driver] {
                    held[person].retain(|_, held| held.until > created);
                }
                until(ended)
            }
            Keeping::ForEver => Time::MAX_UTC,
        };
        let former = held[customer].iter().find(|(_, held)| held.with == driver && held.ended <= created);
        let again = former.map(|(number, _)| *number).filter(|_| matches!(keeping, Keeping::Held(_)));
        let number = again.unwrap_or_else(|| {
            let is_free = |number: u32| !held[customer].contains_key(&number) && !held[driver].contains_key(&number);
            pool.choose(rng.u32(..), is_free)
        });
        held[customer].insert(number, Held { until, with: driver, ended });
        held[driver].insert(number, Held { until, with: customer, ended });
        at_least = at_least.max(held[customer].len()).max(held[driver].len());
    }
    Need { at_least, numbers: pool.0.len() }
}

/// Numbers by their place on the circle.
#[derive(Default)]
struct Pool(BTreeMap<u32, u32>);

impl Pool {
    /// As the service chooses: the first number from a random point on that neither person holds. A new one if there is
    /// none.
    fn choose(&mut self, point: u32, is_free: impl Fn(u32) -> bool) -> u32 {
        let circle = self.0.range(point..).chain(self.0.range(..point));
        if let Some(number) = circle.map(|(_, number)| *number).find(|number| is_free(*number)) {
            return number;
        }
        let number = self.0.len() as u32 + 1;
        // The same even spread as in the service.
        self.0.insert(number.reverse_bits(), number);
        number
    }
}
