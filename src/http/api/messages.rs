//! `/v1/messages`.

use std::sync::Arc;

use poem_openapi::{
    OpenApi,
    param::{Header, Path, Query},
};

use super::group::Group;
use crate::{
    domain::{
        ids::{MessageId, NumberId, RideId},
        message::{Message, MessageKind, MessageStatus},
        number::ProviderName,
        person::Role,
        scope::Scope,
    },
    http::{
        auth::{Allowed, MessagesRead, MessagesWrite},
        fields::{Checked, Parameters, view},
        problem::Answer,
        reply::{Accepted, Found, List, page, request_id},
        scalars::{Cursor, Limit, SortOrder, Timestamp},
    },
    service::{Context, messages},
    store::messages::MessageFilter,
};

view! {
    /// A text. A relayed text is one message, from the phone that sent it to the phone that gets it.
    MessageView as "Message" {
        /// Id.
        id: MessageId,
        /// Its ride; absent for a text from a phone that has no ride on the number, and for the automatic reply to it.
        ride_id: Option<RideId>,
        /// Where it comes from.
        kind: MessageKind,
        /// The party that wrote it.
        from_role: Option<Role>,
        /// The party it is for; absent if it may reach nobody.
        to_role: Option<Role>,
        /// The words; absent without the scope `messages:read`.
        text: Option<String>,
        /// Addresses of pictures, as the provider gave them; empty without the scope `messages:read`.
        media: Vec<String>,
        /// The number or its provider cannot carry pictures: they were not passed on.
        media_dropped: bool,
        /// Where it stands.
        status: MessageStatus,
        /// Why it ended badly, or, while it waits, why its last send failed; the provider's own code stands behind a
        /// colon. `provider_refused_us`: the provider refused your credentials or your account with it. Of a rejected
        /// text `unknown_caller`, `hidden_caller`, `contact_closed`, `number_not_ours`, `number_suspended`,
        /// `pool_number`, `keyword`, `blocked` or `intercept_unclear`.
        reason: Option<String>,
        /// HTTP status with which the provider answered the send that `reason` is about; absent if there was no answer.
        provider_status: Option<u16>,
        /// The provider that carries it.
        provider: ProviderName,
        /// The proxy number.
        number_id: Option<NumberId>,
        /// Into how many texts it is split for the provider.
        parts: i32,
        /// When the provider gave it to us.
        received_at: Option<Timestamp>,
        /// When the provider had all of it.
        sent_at: Option<Timestamp>,
        /// When the phone had all of it.
        delivered_at: Option<Timestamp>,
        /// A send of which nobody knew the outcome was repeated: the phone may have it twice.
        possibly_duplicated: bool,
    }
}

impl MessageView {
    pub(in crate::http) fn of(message: Message, reads_texts: bool) -> Self {
        Self {
            id: message.id,
            ride_id: message.ride_id,
            kind: message.kind,
            from_role: message.from_role,
            to_role: message.to_role,
            text: reads_texts.then(|| message.body.expose().to_owned()),
            media: if reads_texts { message.media } else { Vec::new() },
            media_dropped: message.media_dropped,
            status: message.status,
            reason: message.reason,
            provider_status: message.provider_status,
            provider: message.provider,
            number_id: message.number_id,
            parts: message.parts,
            received_at: message.received_at.map(Timestamp),
            sent_at: message.sent_at.map(Timestamp),
            delivered_at: message.delivered_at.map(Timestamp),
            possibly_duplicated: message.possibly_duplicated,
        }
    }
}

pub(in crate::http) struct MessagesApi {
    pub(in crate::http) ctx: Arc<Context>,
}

#[OpenApi(tag = "Group::Activity")]
impl MessagesApi {
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
    /// Owes what was lost of a text again, behind what else is owed to its recipient: one that `failed`, `expired` or
    /// came back `undelivered`. Parts that got through are not sent again. 409 once contact is closed, or if the driver
    /// to or by whom it was is not on the ride any more.
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
}
