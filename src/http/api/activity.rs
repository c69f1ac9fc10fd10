//! `/v1/messages` and `/v1/calls`.

use std::sync::Arc;

use poem_openapi::{
    OpenApi,
    param::{Header, Path, Query},
};

use super::{
    Group,
    views::{CallView, MessageView},
};
use crate::{
    domain::{
        call::CallStatus,
        ids::{MessageId, RideId},
        message::MessageStatus,
        scope::Scope,
    },
    http::{
        auth::{Allowed, CallsRead, MessagesRead, MessagesWrite},
        fields::{Checked, Parameters},
        problem::Answer,
        reply::{Accepted, Found, List, page, request_id},
        scalars::{Cursor, Limit, SortOrder},
    },
    service::{Context, calls, messages},
    store::{calls::CallFilter, messages::MessageFilter},
};

pub(in crate::http) struct ActivityApi {
    pub(in crate::http) ctx: Arc<Context>,
}

#[OpenApi(tag = "Group::Activity")]
impl ActivityApi {
    /// List messages
    ///
    /// A page of texts, by id: relayed ones, our notices, and yours.
    #[oai(path = "/v1/messages", method = "get", operation_id = "list_messages")]
    async fn messages(
        &self,
        #[oai(scope = "Scope::MessagesRead")] allowed: Allowed<MessagesRead>,
        /// Only those of this ride.
        ride_id: Query<Option<Checked<RideId>>>,
        /// Only those in this status.
        status: Query<Option<Checked<MessageStatus>>>,
        mut parameters: Parameters,
        /// At most so many items.
        limit: Query<Option<Checked<Limit>>>,
        /// The `next` of the page before.
        after: Query<Option<Checked<Cursor>>>,
        /// By id, ascending or descending.
        order: Query<Option<Checked<SortOrder>>>,
    ) -> Answer<Found<List<MessageView>>> {
        let filter = MessageFilter {
            ride_id: parameters.take("ride_id", ride_id.0),
            status: parameters.take("status", status.0),
        };
        let page = page(&mut parameters, limit.0, after.0, order.0);
        parameters.finish()?;
        let messages = messages::list(&self.ctx, &filter, &page).await?;
        Ok(List::of(messages, |message| MessageView::of(message, allowed.reads_texts())))
    }

    /// Get a message
    ///
    /// One text.
    #[oai(path = "/v1/messages/:id", method = "get", operation_id = "get_message")]
    async fn message(
        &self,
        #[oai(scope = "Scope::MessagesRead")] allowed: Allowed<MessagesRead>,
        /// Id of the message.
        id: Path<MessageId>,
    ) -> Answer<Found<MessageView>> {
        Ok(Found::new(MessageView::of(messages::find(&self.ctx, id.0).await?, allowed.reads_texts())))
    }

    /// Retry a message
    ///
    /// Owes what was lost of a text again, behind what else is owed to its recipient: one that `failed`, `expired` or came
    /// back `undelivered`. Parts that got through are not sent again. 409 once contact is closed, or if the driver to or by
    /// whom it was is not on the ride any more.
    #[oai(path = "/v1/messages/:id/retry", method = "post", operation_id = "retry_message")]
    async fn retry(
        &self,
        #[oai(scope = "Scope::MessagesWrite")] allowed: Allowed<MessagesWrite>,
        /// Id of the message.
        id: Path<MessageId>,
        /// Repeating a request with its key has no second effect and gets the same answer, for 24 hours.
        #[oai(name = "Idempotency-Key")]
        idempotency_key: Header<Option<String>>,
    ) -> Answer<Accepted<MessageView>> {
        let scope = format!("{}", id.0);
        let what = (scope.as_str(), [].as_slice());
        let request = request_id(&self.ctx, &allowed.caller, "retry_message", idempotency_key.0, what)?;
        let retried = messages::retry(&self.ctx, &request, id.0).await?;
        Ok(Accepted::new(MessageView::of(retried.value, allowed.reads_texts())))
    }

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
