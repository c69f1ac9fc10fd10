//! What can be said of the pool as a whole: why a number is or is not had, and how far the numbers reach.

use super::words::words;

words! {
    /// Why a ride would get its number and not another one: the first of these that holds.
    Preference {
        /// The two phones had it before, and may have it again.
        SamePair = "same_pair",
        /// It is of the customer's country.
        CustomerCountry = "customer_country",
        /// It is of the driver's country.
        DriverCountry = "driver_country",
        /// None of those countries has one that is free.
        Any = "any",
    }

    /// Why a ride could not have a number: the first of these that holds, so that each number counts once.
    Rejection {
        /// It is draining or suspended.
        NotActive = "not_active",
        /// Its provider is not configured.
        ProviderNotConfigured = "provider_not_configured",
        /// It lacks SMS or voice.
        NotCapable = "not_capable",
        /// It is of another country than both people's phones, and only such may be used.
        OtherCountry = "other_country",
        /// The customer's phone has contact over it.
        HeldByCustomer = "held_by_customer",
        /// The driver's phone has contact over it.
        HeldByDriver = "held_by_driver",
        /// It cools down for the customer's phone.
        CoolingForCustomer = "cooling_for_customer",
        /// It cools down for the driver's phone.
        CoolingForDriver = "cooling_for_driver",
    }

    /// How the pool stands, as the platform was told last.
    PoolLevel {
        /// Enough numbers are free.
        Enough = "enough",
        /// Fewer numbers are free for the busiest phone than there should be.
        Low = "low",
        /// A ride found none.
        Depleted = "depleted",
    }
}

impl PoolLevel {
    /// What the pool becomes when somebody looks and sees so many numbers free for the busiest phone; none if it stays as it
    /// is. That a ride finds no number no look can tell, only that ride: see [`Depleted`](Self::Depleted).
    pub fn after_look(self, free_for_busiest: i64, low_water: u32) -> Option<Self> {
        let low_water = i64::from(low_water);
        match self {
            Self::Enough if free_for_busiest < low_water => Some(Self::Low),
            Self::Low | Self::Depleted if free_for_busiest >= low_water.max(1) => Some(Self::Enough),
            Self::Enough | Self::Low | Self::Depleted => None,
        }
    }
}

/// So many phones that hold so many numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holders {
    /// Numbers that each of them has contact over, or that cool down for it.
    pub held: i64,
    /// Those of them that may be given to new rides.
    pub held_usable: i64,
    /// How many phones.
    pub phones: i64,
}

/// How far usable numbers reach for phones that hold some of them already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Most numbers that one phone holds.
    pub busiest_held: i64,
    /// Usable numbers that are free for a new pair, at least, where both phones hold as many as the median phone.
    pub free_at_median: i64,
    /// The same where one phone holds most of all and the other as many as the median one.
    pub free_for_busiest: i64,
}

impl Reach {
    /// For so many usable numbers, and all phones that hold any number. Two phones may hold the same number: what is free
    /// is at least what is left when they do not.
    pub fn of(usable: i64, mut holders: Vec<Holders>) -> Self {
        holders.sort_by_key(|group| group.held_usable);
        let phones: i64 = holders.iter().map(|group| group.phones).sum();
        let mut counted = 0;
        // The least count such that at least half of the phones hold no more.
        let median = holders.iter().find(|group| {
            counted += group.phones;
            counted * 2 >= phones
        });
        let median = median.map_or(0, |group| group.held_usable);
        let most = holders.last().map_or(0, |group| group.held_usable);
        Self {
            busiest_held: holders.iter().map(|group| group.held).max().unwrap_or(0),
            free_at_median: (usable - 2 * median).max(0),
            free_for_busiest: (usable - most - median).max(0),
        }
    }
}

/// The numbers of the pool, or of a part of it.
#[derive(Clone, Copy, Debug)]
pub struct Stock {
    /// All of them.
    pub total: i64,
    /// Those that may be given to new rides.
    pub usable: i64,
    /// Those with an open contact window.
    pub open: i64,
    /// Those without one that still cool down for somebody.
    pub cooling: i64,
    /// How far they reach.
    pub reach: Reach,
    /// Most different people whom one phone has had contact with today, all of whose numbers it still holds: no fewer
    /// numbers would have done.
    pub needed_today: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phones(phones: i64, held: i64, held_usable: i64) -> Holders {
        Holders { held, held_usable, phones }
    }

    #[test]
    fn where_nobody_holds_a_number_all_are_free() {
        let reach = Reach { busiest_held: 0, free_at_median: 7, free_for_busiest: 7 };
        assert_eq!(Reach::of(7, vec![]), reach);
    }

    #[test]
    fn what_both_phones_hold_is_not_free() {
        let holders = vec![phones(1, 40, 30), phones(5, 1, 1), phones(4, 6, 6)];
        let reach = Reach { busiest_held: 40, free_at_median: 98, free_for_busiest: 69 };
        assert_eq!(Reach::of(100, holders), reach);
    }

    #[test]
    fn the_median_is_held_by_at_least_half_of_the_phones_or_fewer_numbers_are() {
        let of = |holders: Vec<Holders>| Reach::of(100, holders).free_at_median;
        assert_eq!(of(vec![phones(1, 9, 9)]), 82);
        assert_eq!(of(vec![phones(1, 1, 1), phones(1, 9, 9)]), 98);
        assert_eq!(of(vec![phones(2, 9, 9), phones(1, 1, 1)]), 82);
    }

    #[test]
    fn numbers_that_are_not_usable_take_nothing_away_and_nothing_is_less_than_none() {
        let reach = Reach { busiest_held: 50, free_at_median: 10, free_for_busiest: 10 };
        assert_eq!(Reach::of(10, vec![phones(3, 50, 0)]), reach);
        let reach = Reach { busiest_held: 10, free_at_median: 0, free_for_busiest: 0 };
        assert_eq!(Reach::of(10, vec![phones(3, 10, 10)]), reach);
    }

    #[test]
    fn a_pool_becomes_low_once_and_recovers_once() {
        use PoolLevel::{Depleted, Enough, Low};
        let mut level = Enough;
        let mut told = Vec::new();
        for free in [5, 4, 3, 0, 3, 4, 5, 2] {
            let next = level.after_look(free, 4);
            told.push(next);
            level = next.unwrap_or(level);
        }
        assert_eq!(told, [None, None, Some(Low), None, None, Some(Enough), None, Some(Low)]);
        assert_eq!((Depleted.after_look(3, 4), Depleted.after_look(4, 4)), (None, Some(Enough)));
    }

    #[test]
    fn without_a_mark_a_pool_is_never_low_but_recovers() {
        use PoolLevel::{Depleted, Enough};
        assert_eq!((Enough.after_look(0, 0), Depleted.after_look(0, 0)), (None, None));
        assert_eq!(Depleted.after_look(1, 0), Some(Enough));
    }
}
