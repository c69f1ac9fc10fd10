//! Customers and drivers.

use super::{
    clock::Time,
    ids::PersonId,
    phone::PhoneNumber,
    string_enum::string_enum,
    text::{ExternalId, Language, Name},
};

string_enum! {
    /// Party of a ride.
    Role {
        /// Rides, orders or buys.
        Customer = "customer",
        /// Drives, delivers or serves.
        Driver = "driver",
    }
}

impl Role {
    /// Returns the role of the other party of the ride.
    pub fn other(self) -> Self {
        match self {
            Self::Customer => Self::Driver,
            Self::Driver => Self::Customer,
        }
    }
}

/// Customer or driver, depending on `role`.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Person {
    /// Customers and drivers share one sequence.
    pub id: PersonId,
    /// A person with both roles has two records, with the same phone.
    pub role: Role,
    /// Name that the other party reads.
    pub name: Name,
    /// Real phone number.
    #[serde(with = "super::phone::exposed")]
    pub phone: PhoneNumber,
    /// Language that the person reads.
    pub language: Option<Language>,
    /// The platform's ID, unique per role.
    pub external_id: Option<ExternalId>,
    /// Edit counter, used as the ETag.
    pub version: i64,
    pub created_at: Time,
    /// Time of the last edit.
    pub updated_at: Time,
}

/// Person to create. The fields are those of [`Person`].
#[derive(Clone, Debug)]
pub struct NewPerson {
    pub name: Name,
    pub phone: PhoneNumber,
    pub language: Option<Language>,
    pub external_id: Option<ExternalId>,
}

/// Person of a ride to be created.
#[derive(Clone, Debug)]
pub enum PersonRef {
    /// Existing person.
    Known(PersonId),
    /// Person identified by the platform's ID: found or created, and updated if anything differs. The fields are those
    /// of [`Person`].
    Inline {
        external_id: ExternalId,
        name: Name,
        phone: PhoneNumber,
        /// `None` leaves it unchanged.
        language: Option<Language>,
    },
}

/// Changes to a person: `None` leaves a field unchanged, `Some(None)` clears it.
#[derive(Clone, Debug, Default)]
pub struct PersonPatch {
    pub name: Option<Name>,
    pub phone: Option<PhoneNumber>,
    pub language: Option<Option<Language>>,
    pub external_id: Option<Option<ExternalId>>,
}

impl PersonPatch {
    /// Returns the person after the change, and whether anything differs.
    pub fn apply(self, person: &Person) -> (Person, bool) {
        let mut after = person.clone();
        if let Some(name) = self.name {
            after.name = name;
        }
        if let Some(phone) = self.phone {
            after.phone = phone;
        }
        if let Some(language) = self.language {
            after.language = language;
        }
        if let Some(external_id) = self.external_id {
            after.external_id = external_id;
        }
        let changed = after.name != person.name
            || after.phone != person.phone
            || after.language != person.language
            || after.external_id != person.external_id;
        (after, changed)
    }
}

/// The two people of a ride.
pub struct Parties {
    pub customer: Person,
    pub driver: Person,
}

impl Parties {
    /// The one in this role.
    pub fn of(&self, role: Role) -> &Person {
        match role {
            Role::Customer => &self.customer,
            Role::Driver => &self.driver,
        }
    }
}
