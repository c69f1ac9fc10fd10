//! The pool as a whole: why a number is assigned or rejected, and how far the numbers reach.

use super::string_enum::string_enum;

string_enum! {
    /// Reason why a ride gets its number and not another one: the first of these that applies.
    Preference {
        /// The two phones had it before, and may have it again.
        SamePair = "same_pair",
        /// It is from the customer's country.
        CustomerCountry = "customer_country",
        /// It is from the driver's country.
        DriverCountry = "driver_country",
        /// None of those countries has a free number.
        Any = "any",
    }

    /// Reason why a ride could not get a number: the first of these that applies, so that each number counts once.
    Rejection {
        /// It is draining or suspended.
        NotActive = "not_active",
        /// Its provider is not configured.
        ProviderNotConfigured = "provider_not_configured",
        /// It lacks SMS or voice.
        NotCapable = "not_capable",
        /// It is from neither phone's country, and only those countries may be used.
        OtherCountry = "other_country",
        /// The customer's phone has contact on it.
        HeldByCustomer = "held_by_customer",
        /// The driver's phone has contact on it.
        HeldByDriver = "held_by_driver",
        /// It cools down for the customer's phone.
        CoolingForCustomer = "cooling_for_customer",
        /// It cools down for the driver's phone.
        CoolingForDriver = "cooling_for_driver",
    }

    /// Level of the pool, as last reported to the platform.
    PoolLevel {
        /// Enough numbers are free.
        Enough = "enough",
        /// Fewer numbers are free for the busiest phone than the low-water mark.
        Low = "low",
        /// A ride found no free number.
        Depleted = "depleted",
    }
}

impl PoolLevel {
    /// Returns the new level if this many numbers are free for the busiest phone; `None` if the level stays the same.
    /// It never returns [`Depleted`](Self::Depleted): only a ride that finds no number shows that.
    pub fn after_check(self, free_for_busiest: i64, low_water: u32) -> Option<Self> {
        let low_water = i64::from(low_water);
        match self {
            Self::Enough if free_for_busiest < low_water => Some(Self::Low),
            Self::Low | Self::Depleted if free_for_busiest >= low_water.max(1) => Some(Self::Enough),
            Self::Enough | Self::Low | Self::Depleted => None,
        }
    }
}

/// Group of phones that hold the same number of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holders {
    /// Numbers per phone: those on which it has contact, and those that cool down for it.
    pub held: i64,
    /// Those of them that may be assigned to new rides.
    pub held_usable: i64,
    /// Number of phones in the group.
    pub phones: i64,
}

/// How far usable numbers reach for phones that already hold some of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Most numbers that one phone holds.
    pub busiest_held: i64,
    /// Lower bound of the usable numbers that are free for a new pair, if both phones hold as many as the median phone.
    pub free_at_median: i64,
    /// The same, if one phone holds the most of all and the other as many as the median phone.
    pub free_for_busiest: i64,
}

impl Reach {
    /// Computes the reach of `usable` numbers for all phones that hold any. Two phones may hold the same number. The
    /// results assume that they do not, so they are lower bounds.
    pub fn of(usable: i64, mut holders: Vec<Holders>) -> Self {
        holders.sort_by_key(|group| group.held_usable);
        let phones: i64 = holders.iter().map(|group| group.phones).sum();
        let mut counted = 0;
        // The smallest count such that at least half of the phones hold no more.
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

/// Numbers of the pool, or of a part of it.
#[derive(Clone, Copy, Debug)]
pub struct Stock {
    pub total: i64,
    /// Numbers that may be assigned to new rides.
    pub usable: i64,
    /// Numbers with an open contact window.
    pub open: i64,
    /// Numbers without an open window that still cool down for some phone.
    pub cooling: i64,
    pub reach: Reach,
    /// Largest number of different people with whom one phone has had contact today and for whom it still holds a
    /// number. Fewer numbers would not have been enough.
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
            let next = level.after_check(free, 4);
            told.push(next);
            level = next.unwrap_or(level);
        }
        assert_eq!(told, [None, None, Some(Low), None, None, Some(Enough), None, Some(Low)]);
        assert_eq!((Depleted.after_check(3, 4), Depleted.after_check(4, 4)), (None, Some(Enough)));
    }

    #[test]
    fn without_a_mark_a_pool_is_never_low_but_recovers() {
        use PoolLevel::{Depleted, Enough};
        assert_eq!((Enough.after_check(0, 0), Depleted.after_check(0, 0)), (None, None));
        assert_eq!(Depleted.after_check(1, 0), Some(Enough));
    }
}
