//! `/v1/rides`.

use std::sync::Arc;

use poem_openapi::{
    OpenApi,
    param::{Header, Path, Query},
};

use super::{
    dry_run::DryRunView,
    group::Group,
    messages::MessageView,
    timeline::{Timeline, TimelineEntry},
};
use crate::{
    domain::{
        clock::Time,
        ids::{NumberId, PersonId, RideId},
        person::{PersonRef, Role},
        phone::PhoneNumber,
        ride::{CloseReason, EndedBy, NewRide, Ride, RidePatch, RideStatus, Terms},
        scope::Scope,
        text::{ExternalId, Language, MessageText, Name, Place},
    },
    http::{
        auth::{Allowed, MessagesWrite, RidesRead, RidesWrite},
        fields::{
            Checked, Draft, Inner, JsonBody, Nullable, NullablePatchField, Parameters, PatchField, request_body, view,
        },
        problem::{Answer, Code, Problem},
        reply::{Accepted, Created, Found, List, NoContent, OneOf, expected, page, request_id},
        scalars::{Cursor, Limit, LocalTime, Seconds, ShownPhone, SortOrder, Timestamp},
    },
    service::{Context, TimelineItem, messages, rides, timeline},
    store::rides::RideFilter,
};

view! {
    /// A ride.
    RideView as "Ride" {
        /// Id.
        id: RideId,
        /// Who rides.
        customer_id: PersonId,
        /// Who drives.
        driver_id: PersonId,
        /// The proxy number's id.
        number_id: NumberId,
        /// The proxy number: both people text and call it to reach each other.
        proxy_number: ShownPhone,
        /// Where the ride starts.
        start: Place,
        /// Where it ends.
        destination: Place,
        /// When it starts, with the offset you gave.
        datetime: LocalTime,
        /// Where it stands.
        status: RideStatus,
        /// Who ended it.
        ended_by: Nullable<EndedBy>,
        /// When it ended.
        ended_at: Nullable<Timestamp>,
        /// When the ride is completed though nobody says so.
        timeout_at: Timestamp,
        /// When contact closes, as things stand.
        contact_until: Timestamp,
        /// Contact is open now.
        contact_open: bool,
        /// Why contact closed before its time though you did not ask for it.
        closed_reason: Option<CloseReason>,
        /// Contact after the ride, in seconds, where it asked for its own.
        grace_s: Option<i64>,
        /// Longest duration of the ride, in seconds, likewise.
        max_duration_s: Option<i64>,
        /// Your own id of the ride.
        external_id: Option<ExternalId>,
        /// When it was created.
        created_at: Timestamp,
        /// When it was last edited.
        updated_at: Timestamp,
    }
}

impl RideView {
    pub(in crate::http) fn of(ride: Ride, now: Time) -> Self {
        Self {
            id: ride.id,
            customer_id: ride.customer_id,
            driver_id: ride.driver_id,
            number_id: ride.number_id,
            proxy_number: ShownPhone::of(&ride.proxy_number, true),
            contact_open: ride.contact_open(now),
            start: ride.start,
            destination: ride.destination,
            datetime: LocalTime(ride.datetime),
            status: ride.status,
            ended_by: Nullable(ride.ended_by),
            ended_at: Nullable(ride.ended_at.map(Timestamp)),
            timeout_at: Timestamp(ride.timeout_at),
            contact_until: Timestamp(ride.contact_until),
            closed_reason: ride.closed_reason,
            grace_s: ride.grace_s,
            max_duration_s: ride.max_duration_s,
            external_id: ride.external_id,
            created_at: Timestamp(ride.created_at),
            updated_at: Timestamp(ride.updated_at),
        }
    }
}

const PATH: &str = "/v1/rides";

request_body! {
    /// A person of a ride, by your own id of them.
    InlinePersonBody {
        /// Your own id of the person, unique in their role.
        external_id: ExternalId,
        /// As the other party reads it.
        name: Name,
        /// Their real number, in international form.
        phone_number: PhoneNumber,
        /// What they read, ISO 639-1; absent leaves it as it is.
        language: Option<Language>,
    }
    example { "external_id": "customer-1", "name": "Ann", "phone_number": "+31612345678", "language": "nl" }
}

request_body! {
    /// A new ride.
    NewRideBody {
        /// Who rides; or `customer`.
        customer_id: Option<PersonId>,
        /// Who rides, by your own id of them: found or made, and updated if anything differs. Needs the scope
        /// `customers:write` too.
        customer: Option<Inner<InlinePersonBody>>,
        /// Who drives; or `driver`.
        driver_id: Option<PersonId>,
        /// Who drives, likewise. Needs the scope `drivers:write` too.
        driver: Option<Inner<InlinePersonBody>>,
        /// Where it starts, in words that people read.
        start: Place,
        /// Where it ends.
        destination: Place,
        /// When it starts, with the offset of the place: people are told the local time.
        datetime: LocalTime,
        /// Contact after this ride, in seconds, in place of the usual; at most what the operator allows.
        grace_s: Option<Seconds>,
        /// After so many seconds this ride is over though nobody says so, in place of the usual; likewise.
        max_duration_s: Option<Seconds>,
        /// Your own id of the ride, unique among rides.
        external_id: Option<ExternalId>,
        /// Whether both people get a text that tells who comes or waits, and when. They do unless you say false.
        notify: Option<bool>,
    }
    either customer_id or customer
    either driver_id or driver
    example {
        "customer_id": 1,
        "driver_id": 2,
        "start": "Dam 1, Amsterdam",
        "destination": "Schiphol Airport",
        "datetime": (crate::http::scalars::EXAMPLE_DATETIME),
        "external_id": "trip-77012"
    }
}

request_body! {
    /// Changes of a ride: an absent field stays as it is.
    RidePatchBody {
        /// The customer cannot be replaced: any other id is 409.
        customer_id: PatchField<PersonId>,
        /// Another driver, while the ride is not over and contact is open.
        driver_id: PatchField<PersonId>,
        /// Another start; not after the ride has ended.
        start: PatchField<Place>,
        /// Another destination; not after the ride has ended.
        destination: PatchField<Place>,
        /// Another time; not after the ride has ended.
        datetime: PatchField<LocalTime>,
        /// The next status: scheduled, in_progress, completed; or cancelled from the first two.
        status: PatchField<RideStatus>,
        /// Another id of yours, or null for none.
        external_id: NullablePatchField<ExternalId>,
        /// Whether both people get a text when driver, time or place change. They do unless you say false.
        notify: PatchField<bool>,
    }
    example { "status": "in_progress" }
}

request_body! {
    /// When contact closes.
    ContactBody {
        /// The new end of the contact window; now or earlier closes it at once.
        until: LocalTime,
    }
    example { "until": (crate::http::scalars::EXAMPLE_DATETIME) }
}

request_body! {
    /// A text of yours to one party.
    PlatformTextBody {
        /// Who gets it.
        to: Role,
        /// The words.
        text: MessageText,
    }
    example { "to": "customer", "text": "Your driver is two minutes away." }
}

/// Who plays a part in a new ride, by the one of the two fields that is there.
fn person(id: Option<PersonId>, inline: Option<Inner<InlinePersonBody>>) -> Option<PersonRef> {
    let inline = inline.map(|Inner(InlinePersonBody { external_id, name, phone_number: phone, language })| {
        PersonRef::Inline { external_id, name, phone, language }
    });
    inline.or(id.map(PersonRef::Known))
}

pub(in crate::http) struct RidesApi {
    pub(in crate::http) ctx: Arc<Context>,
}

#[OpenApi(tag = "Group::Rides")]
impl RidesApi {
    /// List rides
    ///
    /// A page of rides, by id.
    #[oai(path = "/v1/rides", method = "get", operation_id = "list_rides")]
    async fn list(
        &self,
        #[oai(scope = "Scope::RidesRead")] _allowed: Allowed<RidesRead>,
        /// Only those in this status.
        status: Query<Option<Checked<RideStatus>>>,
        /// Only those of this customer.
        customer_id: Query<Option<Checked<PersonId>>>,
        /// Only those of this driver.
        driver_id: Query<Option<Checked<PersonId>>>,
        /// Only those on this number.
        number_id: Query<Option<Checked<NumberId>>>,
        /// Only those whose contact window is open, or is not.
        contact_open: Query<Option<Checked<bool>>>,
        /// Only the one with this id of yours.
        external_id: Query<Option<Checked<ExternalId>>>,
        /// Only those whose contact was closed because their number was suspended and no other was free, or only
        /// others.
        stranded: Query<Option<Checked<bool>>>,
        mut parameters: Parameters,
        /// At most so many items.
        limit: Query<Option<Checked<Limit>>>,
        /// The `next` of the page before.
        after: Query<Option<Checked<Cursor>>>,
        /// By id, ascending or descending.
        order: Query<Option<Checked<SortOrder>>>,
    ) -> Answer<Found<List<RideView>>> {
        let filter = RideFilter {
            status: parameters.take("status", status.0),
            customer_id: parameters.take("customer_id", customer_id.0),
            driver_id: parameters.take("driver_id", driver_id.0),
            number_id: parameters.take("number_id", number_id.0),
            contact_open: parameters.take("contact_open", contact_open.0),
            external_id: parameters.take("external_id", external_id.0),
            stranded: parameters.take("stranded", stranded.0),
        };
        let page = page(&mut parameters, limit.0, after.0, order.0);
        parameters.finish()?;
        let now = self.ctx.now();
        Ok(List::of(rides::list(&self.ctx, &filter, &page).await?, |ride| RideView::of(ride, now)))
    }

    /// Create a ride
    ///
    /// Picks a proxy number that neither phone holds, of the customer's country rather than of the driver's, and of
    /// that rather than of any other, and tells both people. From now on every text and call of one to that number
    /// reaches the other. Where the pool has no number for this pair, the answer is 409 `number_pool_depleted` with the
    /// `limit` that was hit first, and nothing is stored.
    ///
    /// With `dry_run=true` nothing is stored at all, whatever comes out: the request is checked like any other, and a
    /// ride that could be created is answered with 200 and the number that it would get.
    ///
    /// Without the scope `phone_numbers:reveal`, a client makes at most 10 dry runs a minute, and has at most 10
    /// different phone numbers an hour compared with that of each person, in dry runs, rides and changes of people
    /// together. A person named by id is compared with the other party's number, one named inline with the number in
    /// the request. Beyond that the answer is 429 `rate_limited`, whether or not the numbers are equal.
    #[oai(path = "/v1/rides", method = "post", operation_id = "create_ride")]
    async fn create(
        &self,
        #[oai(scope = "Scope::RidesWrite")] allowed: Allowed<RidesWrite>,
        /// Repeating a request with its key has no second effect and gets the same answer, for 24 hours.
        #[oai(name = "Idempotency-Key")]
        idempotency_key: Header<Option<String>>,
        mut parameters: Parameters,
        /// Only tell which number the ride would get, why that one, and why no others. No ride, binding or person is
        /// stored or changed, nobody is told, and no idempotency key is taken.
        dry_run: Query<Option<Checked<bool>>>,
        body: Draft<NewRideBody>,
    ) -> Answer<OneOf<Created<RideView>, Found<DryRunView>>> {
        let dry_run = parameters.take("dry_run", dry_run.0).unwrap_or(false);
        let more = if body.is_wrong() || parameters.are_wrong() {
            let datetime = body.peek("datetime").map(|LocalTime(datetime)| datetime.to_utc());
            let seconds = |name| body.peek(name).map(|Seconds(seconds)| seconds);
            let terms = Terms { grace: seconds("grace_s"), max_duration: seconds("max_duration_s") };
            rides::wrong_plan(&self.ctx, datetime, &terms)
        } else {
            // The use case names these together with people that are not there.
            Vec::new()
        };
        let body = body.finish(parameters, more)?;
        let request = request_id(&self.ctx, &allowed.caller, PATH, idempotency_key.0, ("", &body.canonical))?;
        let body = body.value;
        let inline = [(body.customer.is_some(), Scope::CustomersWrite), (body.driver.is_some(), Scope::DriversWrite)];
        for (is_inline, scope) in inline {
            if is_inline && !allowed.caller.scopes.has(scope) {
                return Err(Problem::missing_scope(scope.as_str()));
            }
        }
        let people = (person(body.customer_id, body.customer), person(body.driver_id, body.driver));
        let (Some(customer), Some(driver)) = people else { return Err(Problem::of(Code::InvalidRequest)) };
        let new = NewRide {
            customer,
            driver,
            start: body.start,
            destination: body.destination,
            datetime: body.datetime.0,
            terms: Terms {
                grace: body.grace_s.map(|seconds| seconds.0),
                max_duration: body.max_duration_s.map(|seconds| seconds.0),
            },
            external_id: body.external_id,
            notify: body.notify.unwrap_or(true),
        };
        if dry_run {
            return Ok(OneOf::Second(Found::new(rides::dry_run(&self.ctx, &allowed.caller, &new).await?.into())));
        }
        let ride = rides::create(&self.ctx, &request, &new).await?.value;
        let (id, version) = (ride.id, ride.version);
        let view = RideView::of(ride, self.ctx.now());
        Ok(OneOf::First(Created::new(view).version(version).at(format!("{PATH}/{id}"))))
    }

    /// Get a ride
    ///
    /// One ride, with its proxy number and the end of its contact window.
    #[oai(path = "/v1/rides/:id", method = "get", operation_id = "get_ride")]
    async fn get(
        &self,
        #[oai(scope = "Scope::RidesRead")] _allowed: Allowed<RidesRead>,
        /// Id of the ride.
        id: Path<RideId>,
    ) -> Answer<Found<RideView>> {
        let ride = rides::find(&self.ctx, id.0).await?;
        let version = ride.version;
        Ok(Found::new(RideView::of(ride, self.ctx.now())).version(version))
    }

    /// Change a ride
    ///
    /// Moves its status along `scheduled`, `in_progress`, `completed`, or to `cancelled` from the first two; the same
    /// status again is no error. Completing leaves contact open for the grace period. Plan and people of a ride that
    /// has ended stay as they are. Both people are told of another time or place.
    ///
    /// Another driver gets the confirmation, and the customer is told; the one before is cut off at once, together with
    /// texts that are still owed to or by them. The customer keeps the number, unless the next driver cannot have it:
    /// then the ride goes over another, or, where none is free, nothing is changed (409 `number_pool_depleted`).
    /// Without the scope `phone_numbers:reveal` this is limited as new rides are (429 `rate_limited`).
    ///
    /// If customer and driver still had contact from a ride before this one, the two keep that contact and the number,
    /// and this ride goes over another number. If no other number is free, this ride keeps the number and that contact
    /// ends.
    #[oai(path = "/v1/rides/:id", method = "patch", operation_id = "edit_ride")]
    async fn edit(
        &self,
        #[oai(scope = "Scope::RidesWrite")] allowed: Allowed<RidesWrite>,
        /// Id of the ride.
        id: Path<RideId>,
        /// The `ETag` that you saw: 412 if somebody changed the ride since.
        #[oai(name = "If-Match")]
        if_match: Header<Option<String>>,
        parameters: Parameters,
        body: Draft<RidePatchBody>,
    ) -> Answer<Found<RideView>> {
        let datetime = body.peek("datetime").map(|LocalTime(datetime)| datetime.to_utc());
        let more = if body.is_wrong() { rides::wrong_time(&self.ctx, datetime) } else { Vec::new() };
        let body = body.finish(parameters, more)?;
        let patch = RidePatch {
            customer_id: body.value.customer_id.0,
            driver_id: body.value.driver_id.0,
            start: body.value.start.0,
            destination: body.value.destination.0,
            datetime: body.value.datetime.0.map(|datetime| datetime.0),
            status: body.value.status.0,
            external_id: body.value.external_id.0,
            quiet: body.value.notify.0 == Some(false),
        };
        let ride = rides::edit(&self.ctx, &allowed.caller, id.0, &patch, &expected(if_match.0.as_deref())).await?;
        let version = ride.version;
        Ok(Found::new(RideView::of(ride, self.ctx.now())).version(version))
    }

    /// Set the end of contact
    ///
    /// Extends or shortens the contact window of a ride while it is open, at most to the longest grace after its end;
    /// 409 `contact_closed` once it is closed. A time that is not in the future closes it at once. What happens to the
    /// ride afterwards can shorten it, never lengthen it, unless the ride gets another time.
    #[oai(path = "/v1/rides/:id/contact", method = "post", operation_id = "set_contact")]
    async fn set_contact(
        &self,
        #[oai(scope = "Scope::RidesWrite")] allowed: Allowed<RidesWrite>,
        /// Id of the ride.
        id: Path<RideId>,
        /// Repeating a request with its key has no second effect and gets the same answer, for 24 hours.
        #[oai(name = "Idempotency-Key")]
        idempotency_key: Header<Option<String>>,
        /// The `ETag` that you saw: 412 if somebody changed the ride since.
        #[oai(name = "If-Match")]
        if_match: Header<Option<String>>,
        body: JsonBody<ContactBody>,
    ) -> Answer<Found<RideView>> {
        let scope = format!("{}", id.0);
        let what = (scope.as_str(), body.canonical.as_slice());
        let request = request_id(&self.ctx, &allowed.caller, "set_contact", idempotency_key.0, what)?;
        let until = body.value.until.0.to_utc();
        let ride = rides::set_contact(&self.ctx, &request, id.0, until, &expected(if_match.0.as_deref())).await?;
        let version = ride.version;
        Ok(Found::new(RideView::of(ride, self.ctx.now())).version(version))
    }

    /// Delete a ride
    ///
    /// Closes contact at once. The number stays barred for both phones until its cool-down is over.
    #[oai(path = "/v1/rides/:id", method = "delete", operation_id = "delete_ride")]
    async fn delete(
        &self,
        #[oai(scope = "Scope::RidesWrite")] _allowed: Allowed<RidesWrite>,
        /// Id of the ride.
        id: Path<RideId>,
        /// The `ETag` that you saw: 412 if somebody changed the ride since.
        #[oai(name = "If-Match")]
        if_match: Header<Option<String>>,
    ) -> Answer<NoContent> {
        rides::delete(&self.ctx, id.0, &expected(if_match.0.as_deref())).await?;
        Ok(NoContent)
    }

    /// Get a ride's timeline
    ///
    /// Every text, call and event of the ride, in order. Texts show their words only with the scope `messages:read`,
    /// and calls are left out without `calls:read`.
    #[oai(path = "/v1/rides/:id/timeline", method = "get", operation_id = "get_timeline")]
    async fn timeline(
        &self,
        #[oai(scope = "Scope::RidesRead")] allowed: Allowed<RidesRead>,
        /// Id of the ride.
        id: Path<RideId>,
    ) -> Answer<Found<Timeline>> {
        let items = timeline::of_ride(&self.ctx, id.0).await?.into_iter();
        let (reads_texts, reads_calls) = (allowed.reads_texts(), allowed.reads_calls());
        let items = items.filter(|item| reads_calls || !matches!(item, TimelineItem::Call(_)));
        Ok(Found::new(Timeline { items: items.map(|item| TimelineEntry::of(item, reads_texts)).collect() }))
    }

    /// Text a party
    ///
    /// Sends a text of yours to the customer or the driver, from the proxy number they know. 409 once contact is
    /// closed.
    #[oai(path = "/v1/rides/:id/messages", method = "post", operation_id = "send_text")]
    async fn send_text(
        &self,
        #[oai(scope = "Scope::MessagesWrite")] allowed: Allowed<MessagesWrite>,
        /// Id of the ride.
        id: Path<RideId>,
        /// Repeating a request with its key has no second effect and gets the same answer, for 24 hours.
        #[oai(name = "Idempotency-Key")]
        idempotency_key: Header<Option<String>>,
        body: JsonBody<PlatformTextBody>,
    ) -> Answer<Accepted<MessageView>> {
        let scope = format!("{}", id.0);
        let what = (scope.as_str(), body.canonical.as_slice());
        let request = request_id(&self.ctx, &allowed.caller, "send_text", idempotency_key.0, what)?;
        let sent = messages::send(&self.ctx, &request, id.0, body.value.to, &body.value.text).await?;
        Ok(Accepted::new(MessageView::of(sent.value, allowed.reads_texts())))
    }
}
