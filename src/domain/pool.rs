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
}
