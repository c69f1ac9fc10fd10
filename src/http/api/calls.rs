//! `/v1/calls`.

use std::sync::Arc;

use poem_openapi::{OpenApi, param::Query};

use super::group::Group;
use crate::{
    domain::{
        call::{Call, CallStatus},
        ids::RideId,
        person::Role,
        scope::Scope,
    },
    http::{
        auth::{Allowed, CallsRead},
        fields::{Checked, Parameters, view},
        problem::Answer,
        reply::{Found, List, page},
        scalars::{Cursor, Limit, SortOrder, Timestamp},
    },
    service::{Context, calls},
    store::calls::CallFilter,
};

view! {
    /// A call from one party to the other.
    CallView as "Call" {
        /// Id.
        id: i64,
        /// Its ride; absent for a call from a phone that has no ride on the number.
        ride_id: Option<RideId>,
        /// Who called.
        from_role: Option<Role>,
        /// Where it stands.
        status: CallStatus,
        /// Why, where it did not go to the other party: `unknown_caller`, `hidden_caller`, `contact_closed`,
        /// `number_not_ours`, `number_suspended`, `pool_number`, `blocked` or `intercept_unclear`. With any other
        /// status than `rejected`, it went to the support number.
        reason: Option<String>,
        /// When it reached us.
        started_at: Timestamp,
        /// When the other phone picked up.
        answered_at: Option<Timestamp>,
        /// When it ended.
        ended_at: Option<Timestamp>,
        /// How long they talked, in seconds.
        duration_s: Option<i64>,
    }
}

impl From<Call> for CallView {
    fn from(call: Call) -> Self {
        Self {
            id: call.id.0,
            ride_id: call.ride_id,
            from_role: call.from_role,
            status: call.status,
            reason: call.reason,
            started_at: Timestamp(call.started_at),
            answered_at: call.answered_at.map(Timestamp),
            ended_at: call.ended_at.map(Timestamp),
            duration_s: call.duration_s,
        }
    }
}

pub(in crate::http) struct CallsApi {
    pub(in crate::http) ctx: Arc<Context>,
}

#[OpenApi(tag = "Group::Activity")]
impl CallsApi {
    /// List calls
    ///
    /// A page of calls, by id.
    #[oai(path = "/v1/calls", method = "get", operation_id = "list_calls")]
    async fn calls(
        &self,
        #[oai(scope = "Scope::CallsRead")] _allowed: Allowed<CallsRead>,
        /// Only those of this ride.
        ride_id: Query<Option<Checked<RideId>>>,
        /// Only those in this status.
        status: Query<Option<Checked<CallStatus>>>,
        mut parameters: Parameters,
        /// At most so many items.
        limit: Query<Option<Checked<Limit>>>,
        /// The `next` of the page before.
        after: Query<Option<Checked<Cursor>>>,
        /// By id, ascending or descending.
        order: Query<Option<Checked<SortOrder>>>,
    ) -> Answer<Found<List<CallView>>> {
        let filter =
            CallFilter { ride_id: parameters.take("ride_id", ride_id.0), status: parameters.take("status", status.0) };
        let page = page(&mut parameters, limit.0, after.0, order.0);
        parameters.finish()?;
        Ok(List::of(calls::list(&self.ctx, &filter, &page).await?, CallView::from))
    }
}
