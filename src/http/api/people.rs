//! `/v1/customers` and `/v1/drivers`: the same operations for two roles.

use std::sync::Arc;

use poem_openapi::{
    OpenApi,
    param::{Header, Path, Query},
};

use super::group::Group;
use crate::{
    domain::{
        ids::PersonId,
        person::{NewPerson, Person, PersonPatch, Role},
        phone::PhoneNumber,
        scope::Scope,
        text::{ExternalId, Language, Name},
    },
    http::{
        auth::{Allowed, BothRights, CustomersRead, CustomersWrite, DriversRead, DriversWrite, PhoneNumbersReveal},
        fields::{Checked, JsonBody, NullablePatchField, Parameters, PatchField, request_body, view},
        problem::Answer,
        reply::{Created, Found, List, NoContent, expected, page, request_id},
        scalars::{Cursor, Limit, NameFilter, ShownPhone, SortOrder, Timestamp},
    },
    service::{Context, people},
    store::people::PeopleFilter,
};

view! {
    /// A customer or driver.
    PersonView as "Person" {
        /// Id.
        id: PersonId,
        /// Name, as the other party reads it.
        name: Name,
        /// Real phone number; masked without the scope `phone_numbers:reveal`.
        phone_number: ShownPhone,
        /// Language in which the person is written and spoken to (ISO 639-1), with a region or without: `nl`, `pt-BR`.
        language: Option<Language>,
        /// Your own id of the person.
        external_id: Option<ExternalId>,
        /// When the record was made.
        created_at: Timestamp,
        /// When it was last edited.
        updated_at: Timestamp,
    }
}

impl PersonView {
    pub(in crate::http) fn of(person: Person, reveal: bool) -> Self {
        Self {
            id: person.id,
            phone_number: ShownPhone::of(&person.phone, reveal),
            name: person.name,
            language: person.language,
            external_id: person.external_id,
            created_at: Timestamp(person.created_at),
            updated_at: Timestamp(person.updated_at),
        }
    }
}

request_body! {
    /// A new customer or driver.
    NewPersonBody {
        /// Name, as the other party reads it.
        name: Name,
        /// Real phone number in international form. Several people may share one. Separators, invisible characters and
        /// the digits of other scripts are accepted, and so is the 1 that Mexican mobile numbers had; the answer shows
        /// the number as it is kept.
        phone_number: PhoneNumber,
        /// Language in which the person is written and spoken to (ISO 639-1), with a region or without: `nl`, `pt-BR`.
        language: Option<Language>,
        /// Your own id of the person, unique among customers and among drivers.
        external_id: Option<ExternalId>,
    }
    example { "name": "Anna Jansen", "phone_number": "+31612345678", "language": "nl", "external_id": "user-8137" }
}

request_body! {
    /// Changes of a customer or driver: an absent field stays as it is.
    PersonPatchBody {
        /// Another name.
        name: PatchField<Name>,
        /// A new phone number. Their open rides move to it; 409 `phone_barred` if it cannot be used on one of their
        /// numbers. Limited without the scope `phone_numbers:reveal`.
        phone_number: PatchField<PhoneNumber>,
        /// Another language, or null for none.
        language: NullablePatchField<Language>,
        /// Another id of yours, or null for none.
        external_id: NullablePatchField<ExternalId>,
    }
    example { "name": "Anna de Vries", "language": null }
}

request_body! {
    /// A phone to search for.
    PhoneSearchBody {
        /// The phone number; national variants of one line are found too.
        phone_number: PhoneNumber,
    }
    example { "phone_number": "+31612345678" }
}

view! {
    /// Who was found.
    PeopleFound as "PeopleFound" {
        /// Everybody with this phone, by id, at most 200.
        items: Vec<PersonView>,
    }
}

/// Parameters of a list of people, as they arrive.
struct Listing {
    external_id: Option<Checked<ExternalId>>,
    name: Option<Checked<NameFilter>>,
    limit: Option<Checked<Limit>>,
    after: Option<Checked<Cursor>>,
    order: Option<Checked<SortOrder>>,
}

/// What the two resources have in common, with the role as an argument.
struct People {
    ctx: Arc<Context>,
    role: Role,
    path: &'static str,
}

impl People {
    async fn list<R>(
        &self,
        allowed: Allowed<R>,
        mut parameters: Parameters,
        listing: Listing,
    ) -> Answer<Found<List<PersonView>>> {
        let filter = PeopleFilter {
            external_id: parameters.take("external_id", listing.external_id),
            name_prefix: parameters.take("name", listing.name).map(|words| words.0),
        };
        let page = page(&mut parameters, listing.limit, listing.after, listing.order);
        parameters.finish()?;
        let people = people::list(&self.ctx, self.role, &filter, &page).await?;
        Ok(List::of(people, |person| PersonView::of(person, allowed.reveals())))
    }

    async fn create<R>(
        &self,
        allowed: Allowed<R>,
        key: Option<String>,
        body: JsonBody<NewPersonBody>,
    ) -> Answer<Created<PersonView>> {
        let request = request_id(&self.ctx, &allowed.caller, self.path, key, ("", &body.canonical))?;
        let NewPersonBody { name, phone_number, language, external_id } = body.value;
        let new = NewPerson { name, phone: phone_number, language, external_id };
        let person = people::create(&self.ctx, &request, self.role, &new).await?.value;
        let (id, version) = (person.id, person.version);
        let view = PersonView::of(person, allowed.reveals());
        Ok(Created::new(view).version(version).at(format!("{}/{id}", self.path)))
    }

    async fn get<R>(&self, allowed: Allowed<R>, id: PersonId) -> Answer<Found<PersonView>> {
        let person = people::find(&self.ctx, self.role, id).await?;
        let version = person.version;
        Ok(Found::new(PersonView::of(person, allowed.reveals())).version(version))
    }

    async fn edit<R>(
        &self,
        allowed: Allowed<R>,
        id: PersonId,
        if_match: Option<String>,
        body: PersonPatchBody,
    ) -> Answer<Found<PersonView>> {
        let patch = PersonPatch {
            name: body.name.0,
            phone: body.phone_number.0,
            language: body.language.0,
            external_id: body.external_id.0,
        };
        let person =
            people::edit(&self.ctx, &allowed.caller, self.role, id, &patch, &expected(if_match.as_deref())).await?;
        let version = person.version;
        Ok(Found::new(PersonView::of(person, allowed.reveals())).version(version))
    }

    async fn delete(&self, id: PersonId, if_match: Option<String>) -> Answer<NoContent> {
        people::delete(&self.ctx, self.role, id, &expected(if_match.as_deref())).await?;
        Ok(NoContent)
    }

    async fn search<R>(&self, allowed: Allowed<R>, phone: &PhoneNumber) -> Answer<Found<PeopleFound>> {
        let people = people::find_all(&self.ctx, &allowed.caller, self.role, phone).await?;
        let items = people.into_iter().map(|person| PersonView::of(person, true)).collect();
        Ok(Found::new(PeopleFound { items }))
    }
}

/// Declares the operations of one role.
macro_rules! people_api {
    (
        $api:ident, $role:ident, $path:tt, $item:tt, $search:tt, $group:tt, $Read:ident, $read:tt, $Write:ident, $write:tt,
        $list_id:tt, $create_id:tt, $get_id:tt, $edit_id:tt, $delete_id:tt, $search_id:tt
    ) => {
        pub(in crate::http) struct $api(People);

        impl $api {
            pub(in crate::http) fn new(ctx: Arc<Context>) -> Self {
                Self(People { ctx, role: Role::$role, path: $path })
            }
        }

        #[OpenApi(tag = $group)]
        impl $api {
            /// List
            ///
            /// A page of people, by id.
            #[oai(path = $path, method = "get", operation_id = $list_id)]
            async fn list(
                &self,
                #[oai(scope = $read)] allowed: Allowed<$Read>,
                /// Only the one with this id of yours.
                external_id: Query<Option<Checked<ExternalId>>>,
                /// Only those whose name starts so, whatever the case.
                name: Query<Option<Checked<NameFilter>>>,
                parameters: Parameters,
                /// At most so many items.
                limit: Query<Option<Checked<Limit>>>,
                /// The `next` of the page before.
                after: Query<Option<Checked<Cursor>>>,
                /// By id, ascending or descending.
                order: Query<Option<Checked<SortOrder>>>,
            ) -> Answer<Found<List<PersonView>>> {
                let listing = Listing {
                    external_id: external_id.0,
                    name: name.0,
                    limit: limit.0,
                    after: after.0,
                    order: order.0,
                };
                self.0.list(allowed, parameters, listing).await
            }

            /// Create
            ///
            /// Adds a person. A phone that is a proxy number of the pool is 409.
            #[oai(path = $path, method = "post", operation_id = $create_id)]
            async fn create(
                &self,
                #[oai(scope = $write)] allowed: Allowed<$Write>,
                /// Repeating a request with its key has no second effect and gets the same answer, for 24 hours.
                #[oai(name = "Idempotency-Key")]
                idempotency_key: Header<Option<String>>,
                body: JsonBody<NewPersonBody>,
            ) -> Answer<Created<PersonView>> {
                self.0.create(allowed, idempotency_key.0, body).await
            }

            /// Get
            ///
            /// One person.
            #[oai(path = $item, method = "get", operation_id = $get_id)]
            async fn get(
                &self,
                #[oai(scope = $read)] allowed: Allowed<$Read>,
                /// Id of the person.
                id: Path<PersonId>,
            ) -> Answer<Found<PersonView>> {
                self.0.get(allowed, id.0).await
            }

            /// Change
            ///
            /// Absent fields stay as they are; null clears optional ones.
            #[oai(path = $item, method = "patch", operation_id = $edit_id)]
            async fn edit(
                &self,
                #[oai(scope = $write)] allowed: Allowed<$Write>,
                /// Id of the person.
                id: Path<PersonId>,
                /// The `ETag` that you saw: 412 if somebody changed the person since.
                #[oai(name = "If-Match")]
                if_match: Header<Option<String>>,
                body: JsonBody<PersonPatchBody>,
            ) -> Answer<Found<PersonView>> {
                self.0.edit(allowed, id.0, if_match.0, body.value).await
            }

            /// Delete
            ///
            /// Erases name, phone and external id. 409 while a ride of theirs has its contact window open.
            #[oai(path = $item, method = "delete", operation_id = $delete_id)]
            async fn delete(
                &self,
                #[oai(scope = $write)] _allowed: Allowed<$Write>,
                /// Id of the person.
                id: Path<PersonId>,
                /// The `ETag` that you saw: 412 if somebody changed the person since.
                #[oai(name = "If-Match")]
                if_match: Header<Option<String>>,
            ) -> Answer<NoContent> {
                self.0.delete(id.0, if_match.0).await
            }

            /// Search by phone
            ///
            /// Everybody in this role with this phone number. The number stays out of the address, and so out of logs.
            /// Each search is logged with its client.
            #[oai(path = $search, method = "post", operation_id = $search_id)]
            async fn search(
                &self,
                #[oai(scope = $read, scope = "Scope::PhoneNumbersReveal")] allowed: Allowed<
                    BothRights<$Read, PhoneNumbersReveal>,
                >,
                body: JsonBody<PhoneSearchBody>,
            ) -> Answer<Found<PeopleFound>> {
                self.0.search(allowed, &body.value.phone_number).await
            }
        }
    };
}

people_api!(
    CustomersApi,
    Customer,
    "/v1/customers",
    "/v1/customers/:id",
    "/v1/customers/search",
    "Group::Customers",
    CustomersRead,
    "Scope::CustomersRead",
    CustomersWrite,
    "Scope::CustomersWrite",
    "list_customers",
    "create_customer",
    "get_customer",
    "edit_customer",
    "delete_customer",
    "search_customers"
);

people_api!(
    DriversApi,
    Driver,
    "/v1/drivers",
    "/v1/drivers/:id",
    "/v1/drivers/search",
    "Group::Drivers",
    DriversRead,
    "Scope::DriversRead",
    DriversWrite,
    "Scope::DriversWrite",
    "list_drivers",
    "create_driver",
    "get_driver",
    "edit_driver",
    "delete_driver",
    "search_drivers"
);
