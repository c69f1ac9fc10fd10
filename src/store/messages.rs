//! Texts.

use sea_orm::{
    ActiveValue::{self, Set},
    QueryOrder as _, QuerySelect as _, QueryTrait as _,
    entity::prelude::*,
    sea_query::Expr,
};

use super::{
    Db, Tx,
    entity::messages::{ActiveModel, Column, Entity, Model},
    events, sealed,
};
use crate::domain::{
    clock::Time,
    error::{Error, Result},
    event::{EventData, EventType},
    ids::{MessageId, RideId},
    message::{Message, MessageKind, MessageStatus, NewMessage},
    page::{Page, PageRequest},
};

/// Texts to list. A filter that is `None` matches all.
#[derive(Clone, Debug, Default)]
pub struct MessageFilter {
    pub ride_id: Option<RideId>,
    pub status: Option<MessageStatus>,
}

fn message(db: &impl Db, model: Model) -> Result<Message> {
    let media = sealed::open_media(db, model.media_sealed.as_deref())?;
    Ok(Message {
        id: model.id,
        ride_id: model.ride_id,
        kind: model.kind,
        from_role: model.from_role,
        to_role: model.to_role,
        body: sealed::open_body(db, model.body_sealed.as_deref())?,
        media_dropped: model.media_limit == 0 && !media.is_empty(),
        media,
        status: model.status,
        reason: model.reason,
        provider_status: model.provider_status.and_then(|status| u16::try_from(status).ok()),
        provider: model.provider,
        number_id: model.number_id,
        parts: model.parts,
        received_at: model.received_at,
        sent_at: model.sent_at,
        delivered_at: model.delivered_at,
        possibly_duplicated: model.possibly_duplicated,
        created_at: model.created_at,
    })
}

pub async fn find(db: &impl Db, id: MessageId) -> Result<Option<Message>> {
    Entity::find_by_id(id).one(db.conn()).await?.map(|model| message(db, model)).transpose()
}

/// Lists a page of texts.
pub async fn list(db: &impl Db, filter: &MessageFilter, page: &PageRequest) -> Result<Page<Message>> {
    let select = Entity::find()
        .apply_if(filter.ride_id, |select, ride| select.filter(Column::RideId.eq(ride)))
        .apply_if(filter.status, |select, status| select.filter(Column::Status.eq(status)));
    let models = super::page(select, Column::Id, page).all(db.conn()).await?;
    let messages = models.into_iter().map(|model| message(db, model)).collect::<Result<Vec<_>>>()?;
    Ok(Page::cut(messages, page, |message| message.id.0))
}

/// Reads all texts of a ride, oldest first.
pub async fn of_ride(db: &impl Db, ride: RideId) -> Result<Vec<Message>> {
    let select = Entity::find().filter(Column::RideId.eq(ride)).order_by_asc(Column::Id);
    select.all(db.conn()).await?.into_iter().map(|model| message(db, model)).collect()
}

/// Data of an event about a text: neither its content nor a phone.
fn event_data(model: &Model) -> EventData {
    EventData {
        ride_id: model.ride_id,
        message_id: Some(model.id),
        number_id: model.number_id,
        provider: Some(model.provider.clone()),
        kind: Some(model.kind),
        from_role: model.from_role,
        to_role: model.to_role,
        status: Some(model.status.to_string()),
        reason: model.reason.clone(),
        ..EventData::default()
    }
}

/// Records the events of a text from a phone: that it was rejected, or that it was received and, if no part of it can
/// be sent, failed.
async fn record_arrival(tx: &Tx, model: &Model, now: Time) -> Result<()> {
    let data = event_data(model);
    if model.status == MessageStatus::Rejected {
        let rejected = EventData { kind: None, to_role: None, status: None, ..data };
        return events::record(tx, EventType::ContactRejected, &rejected, now).await;
    }
    let status = Some(MessageStatus::Received.to_string());
    let received = EventData { status, reason: None, ..data.clone() };
    events::record(tx, EventType::MessageReceived, &received, now).await?;
    match EventType::of_message(model.status) {
        Some(ended) => events::record(tx, ended, &data, now).await,
        None => Ok(()),
    }
}

/// Stores a text. If a phone wrote it, records its events.
pub async fn insert(tx: &Tx, new: &NewMessage, now: Time) -> Result<MessageId> {
    let model = ActiveModel {
        ride_id: Set(new.ride_id),
        kind: Set(new.kind),
        from_role: Set(new.from_role),
        to_role: Set(new.to_role),
        body_sealed: Set(sealed::seal_text(tx, new.body.expose())?),
        media_sealed: Set(sealed::seal_media(tx, &new.media)?),
        phone_sealed: Set(new.recipient.as_ref().map(|phone| sealed::seal_phone(tx, phone)).transpose()?),
        status: Set(new.status),
        reason: Set(new.reason.clone()),
        provider: Set(new.provider.clone()),
        number_id: Set(new.number_id),
        parts: Set(new.parts),
        media_limit: Set(new.media_limit),
        ignores_window: Set(new.ignores_window),
        received_at: Set(new.received_at),
        possibly_duplicated: Set(false),
        created_at: Set(now),
        ..Default::default()
    };
    let stored = model.insert(tx.conn()).await?;
    if new.kind == MessageKind::Relay {
        record_arrival(tx, &stored, new.received_at.unwrap_or(now)).await?;
    }
    Ok(stored.id)
}

/// Columns of a text that are derived from its parts.
pub(super) struct Progress {
    pub(super) status: MessageStatus,
    pub(super) reason: Option<String>,
    pub(super) provider_status: Option<i32>,
    pub(super) sent_at: Option<Time>,
    pub(super) delivered_at: Option<Time>,
    /// Whether no part of it is pending.
    pub(super) is_settled: bool,
}

/// Locks the row of a text and returns its progress. A transaction that changes a part of a text must hold this lock,
/// because it also derives the status of the text.
pub(super) async fn lock(tx: &Tx, id: MessageId) -> Result<Progress> {
    let model = Entity::find_by_id(id).lock_exclusive().one(tx.conn()).await?;
    let model = model.ok_or_else(|| Error::internal("a part has no text"))?;
    Ok(Progress {
        status: model.status,
        reason: model.reason,
        provider_status: model.provider_status,
        sent_at: model.sent_at,
        delivered_at: model.delivered_at,
        is_settled: false,
    })
}

/// Stores the progress of a text, and records an event if its status was different `before`. Its row must be locked.
pub(super) async fn progress(
    tx: &Tx,
    id: MessageId,
    before: MessageStatus,
    progress: Progress,
    now: Time,
) -> Result<()> {
    let model = ActiveModel {
        id: Set(id),
        status: Set(progress.status),
        reason: Set(progress.reason),
        provider_status: Set(progress.provider_status),
        sent_at: Set(progress.sent_at),
        delivered_at: Set(progress.delivered_at),
        // A phone is not kept longer than something is sent to it.
        phone_sealed: if progress.is_settled { Set(None) } else { ActiveValue::NotSet },
        ..Default::default()
    };
    let stored = model.update(tx.conn()).await?;
    match EventType::of_message(progress.status) {
        Some(event) if progress.status != before => events::record(tx, event, &event_data(&stored), now).await,
        _ => Ok(()),
    }
}

/// Sets queued texts to `sending`, and marks the `doubtful` ones as possibly duplicated.
pub(super) async fn mark_sending(tx: &Tx, ids: &[MessageId], doubtful: &[MessageId]) -> Result<()> {
    Entity::update_many()
        .col_expr(Column::Status, Expr::value(MessageStatus::Sending))
        .filter(Column::Id.is_in(ids))
        .filter(Column::Status.eq(MessageStatus::Queued))
        .exec(tx.conn())
        .await?;
    if !doubtful.is_empty() {
        Entity::update_many()
            .col_expr(Column::PossiblyDuplicated, Expr::value(true))
            .filter(Column::Id.is_in(doubtful))
            .exec(tx.conn())
            .await?;
    }
    Ok(())
}
