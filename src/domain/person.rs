//! Customers and drivers.

use super::{
    clock::Time,
    ids::PersonId,
    phone::PhoneNumber,
    text::{ExternalId, Language, Name},
    words::words,
};

words! {
    /// Which of the two parties of a ride a person is.
    Role {
        /// Rides, orders, buys.
        Customer = "customer",
        /// Drives, delivers, serves.
        Driver = "driver",
    }
}

impl Role {
    /// The other party of the ride.
    pub fn other(self) -> Self {
        match self {
            Self::Customer => Self::Driver,
            Self::Driver => Self::Customer,
        }
    }
}

/// A customer or a driver, whichever `role` says.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Person {
    /// Their id; customers and drivers share one sequence.
    pub id: PersonId,
    /// Their role: a person who is both is two records, with one phone.
    pub role: Role,
    /// As the other party reads it.
    pub name: Name,
    /// Their real number.
    #[serde(with = "super::phone::exposed")]
    pub phone: PhoneNumber,
    /// What they read.
    pub language: Option<Language>,
    /// The platform's id, unique per role.
    pub external_id: Option<ExternalId>,
    /// Counts edits; the ETag.
    pub version: i64,
    /// When the record was made.
    pub created_at: Time,
    /// When it was last edited.
    pub updated_at: Time,
}

/// A person to be made.
#[derive(Clone, Debug)]
pub struct NewPerson {
    /// See [`Person::name`].
    pub name: Name,
    /// See [`Person::phone`].
    pub phone: PhoneNumber,
    /// See [`Person::language`].
    pub language: Option<Language>,
    /// See [`Person::external_id`].
    pub external_id: Option<ExternalId>,
}

/// A person of a ride to be made.
#[derive(Clone, Debug)]
pub enum PersonRef {
    /// Somebody we know.
    Known(PersonId),
    /// Somebody by the platform's id, found or made, and updated if anything differs.
    Inline {
        /// See [`Person::external_id`].
        external_id: ExternalId,
        /// See [`Person::name`].
        name: Name,
        /// See [`Person::phone`].
        phone: PhoneNumber,
        /// See [`Person::language`]; `None` leaves it as it is.
        language: Option<Language>,
    },
}

/// Edits of a person: `None` leaves a field as it is, `Some(None)` clears it.
#[derive(Clone, Debug, Default)]
pub struct PersonPatch {
    /// A new name.
    pub name: Option<Name>,
    /// A new phone.
    pub phone: Option<PhoneNumber>,
    /// Another language, or none.
    pub language: Option<Option<Language>>,
    /// Another id of the platform's, or none.
    pub external_id: Option<Option<ExternalId>>,
}

impl PersonPatch {
    /// The person after the edit, and whether anything differs.
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
    /// The customer.
    pub customer: Person,
    /// The driver.
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
