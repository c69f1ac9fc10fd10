//! What an API client may do.

use std::collections::BTreeSet;

use super::words::words;

words! {
    /// One right.
    Scope {
        /// Read customers.
        CustomersRead = "customers:read",
        /// Create, change and delete customers.
        CustomersWrite = "customers:write",
        /// Read drivers.
        DriversRead = "drivers:read",
        /// Create, change and delete drivers.
        DriversWrite = "drivers:write",
        /// Read numbers, the pool and the providers.
        NumbersRead = "numbers:read",
        /// Create, change and delete numbers.
        NumbersWrite = "numbers:write",
        /// Read rides and their timelines.
        RidesRead = "rides:read",
        /// Create, change and delete rides.
        RidesWrite = "rides:write",
        /// Read the texts themselves.
        MessagesRead = "messages:read",
        /// Send texts on behalf of the platform.
        MessagesWrite = "messages:write",
        /// Read calls.
        CallsRead = "calls:read",
        /// See people's numbers unmasked, and search by them.
        PhoneNumbersReveal = "phone_numbers:reveal",
        /// Read events, see all event endpoints, and manage one's own.
        EventsManage = "events:manage",
        /// Change and adopt event endpoints of other clients.
        EventsAdmin = "events:admin",
        /// Manage API clients.
        ClientsManage = "clients:manage",
        /// Act as a phone in the simulator.
        SimulatorUse = "simulator:use",
    }
}

impl Scope {
    /// What it allows, for the documentation.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::CustomersRead => "Read customers.",
            Self::CustomersWrite => "Create, change and delete customers.",
            Self::DriversRead => "Read drivers.",
            Self::DriversWrite => "Create, change and delete drivers.",
            Self::NumbersRead => "Read numbers, the pool and the providers.",
            Self::NumbersWrite => "Create, change and delete numbers.",
            Self::RidesRead => "Read rides and their timelines, without texts and calls.",
            Self::RidesWrite => "Create, change and delete rides.",
            Self::MessagesRead => "Read messages, and the texts in them and in timelines.",
            Self::MessagesWrite => "Send texts to the parties of a ride.",
            Self::CallsRead => "Read calls, and those in timelines.",
            Self::PhoneNumbersReveal => {
                "With a scope that reads people: see their phone numbers unmasked, and search by them."
            }
            Self::EventsManage => "Read events, see all event endpoints, and manage your own.",
            Self::EventsAdmin => "Adopt event endpoints; with `events:manage`, change those of other clients too.",
            Self::ClientsManage => "Manage API clients.",
            Self::SimulatorUse => "Act as a phone in the simulator.",
        }
    }
}

/// Several rights.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Scopes(BTreeSet<Scope>);

impl Scopes {
    /// Every right there is.
    pub fn all() -> Self {
        Self(Scope::ALL.iter().copied().collect())
    }

    /// From words with spaces between them (RFC 6749, section 3.3); `None` if one is unknown.
    pub fn parse(words: &str) -> Option<Self> {
        words.split_ascii_whitespace().map(Scope::parse).collect::<Option<_>>().map(Self)
    }

    /// Includes this one.
    pub fn has(&self, scope: Scope) -> bool {
        self.0.contains(&scope)
    }

    /// Includes all of the others.
    pub fn covers(&self, others: &Self) -> bool {
        others.0.is_subset(&self.0)
    }

    /// None at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// In order.
    pub fn iter(&self) -> impl Iterator<Item = Scope> {
        self.0.iter().copied()
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().collect())
    }
}

impl std::fmt::Display for Scopes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let words: Vec<_> = self.iter().map(Scope::as_str).collect();
        f.write_str(&words.join(" "))
    }
}
