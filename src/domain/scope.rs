//! Permissions of API clients.

use std::collections::BTreeSet;

use super::string_enum::string_enum;

string_enum! {
    /// Permission of an API client. [`Scope::meaning`] describes each of them.
    Scope {
        CustomersRead = "customers:read",
        CustomersWrite = "customers:write",
        DriversRead = "drivers:read",
        DriversWrite = "drivers:write",
        NumbersRead = "numbers:read",
        NumbersWrite = "numbers:write",
        RidesRead = "rides:read",
        RidesWrite = "rides:write",
        MessagesRead = "messages:read",
        MessagesWrite = "messages:write",
        CallsRead = "calls:read",
        PhoneNumbersReveal = "phone_numbers:reveal",
        EventsManage = "events:manage",
        EventsAdmin = "events:admin",
        ClientsManage = "clients:manage",
        SimulatorUse = "simulator:use",
    }
}

impl Scope {
    /// Describes the permission, for the documentation.
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

/// Set of permissions.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Scopes(BTreeSet<Scope>);

impl Scopes {
    pub fn all() -> Self {
        Self(Scope::ALL.iter().copied().collect())
    }

    /// Parses space-separated names (RFC 6749, section 3.3); `None` if one is unknown.
    pub fn parse(words: &str) -> Option<Self> {
        words.split_ascii_whitespace().map(Scope::parse).collect::<Option<_>>().map(Self)
    }

    pub fn has(&self, scope: Scope) -> bool {
        self.0.contains(&scope)
    }

    pub fn covers(&self, others: &Self) -> bool {
        others.0.is_subset(&self.0)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Iterates over the permissions in order.
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
