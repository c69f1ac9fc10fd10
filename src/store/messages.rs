//! Texts.

use sea_orm::{
    ActiveValue::{self, Set},
    QueryOrder as _, QuerySelect as _,
    entity::prelude::*,
    sea_query::Expr,
};

use super::{
    Db, Tx,
    entity::messages::{ActiveModel, Column, Entity, Model},
    events, row,
    vault::Purpose,
};
use crate::domain::{
    clock::Time,
    error::{Error, Result},
    event::{EventData, EventType},
    ids::{MessageId, NumberId, RideId},
    message::{Message, MessageKind, MessageStatus, NewMessage},
    page::{Page, PageRequest},
    text::MessageText,
};

/// Which texts to list.
#[derive(Clone, Debug, Default)]
pub struct MessageFilter {
    /// Of this ride.
    pub ride_id: Option<RideId>,
    /// In this status.
    pub status: Option<MessageStatus>,
}

fn message(db: &impl Db, model: Model) -> Result<Message> {
    let body = match &model.body_sealed {
        Some(sealed) => row::open_text(db, Purpose::Text, sealed)?,
        None => String::new(),
    };
    let media = open_media(db, model.media_sealed.as_deref())?;
    Ok(Message {
        id: MessageId(model.id),
        ride_id: model.ride_id.map(RideId),
        kind: row::word(MessageKind::parse, "kind", &model.kind)?,
        from_role: row::roles(model.from_role.as_deref())?,
        to_role: row::roles(model.to_role.as_deref())?,
        body: MessageText::from_wire(&body),
        media_dropped: model.media_limit == 0 && !media.is_empty(),
        media,
        status: row::word(MessageStatus::parse, "status", &model.status)?,
        reason: model.reason,
        provider_status: model.provider_status.and_then(|status| u16::try_from(status).ok()),
        provider: row::provider(&model.provider)?,
        number_id: model.number_id.map(NumberId),
        parts: model.parts,
        received_at: model.received_at,
        sent_at: model.sent_at,
        delivered_at: model.delivered_at,
        possibly_duplicated: model.possibly_duplicated,
        created_at: model.created_at,
    })
}

/// Addresses of pictures, sealed as a JSON list.
pub(super) fn open_media(db: &impl Db, sealed: Option<&[u8]>) -> Result<Vec<String>> {
    match sealed {
        Some(sealed) => serde_json::from_str(&row::open_text(db, Purpose::Text, sealed)?).map_err(Error::internal),
        None => Ok(Vec::new()),
    }
}

/// The text with this id.
pub async fn find(db: &impl Db, id: MessageId) -> Result<Option<Message>> {
    Entity::find_by_id(id.0).one(db.conn()).await?.map(|model| message(db, model)).transpose()
}

/// Texts, a page at a time.
pub async fn list(db: &impl Db, filter: &MessageFilter, page: &PageRequest) -> Result<Page<Message>> {
    let mut select = Entity::find();
    if let Some(ride) = filter.ride_id {
        select = select.filter(Column::RideId.eq(ride.0));
    }
    if let Some(status) = filter.status {
        select = select.filter(Column::Status.eq(status.as_str()));
    }
    let models = super::page(select, Column::Id, page).all(db.conn()).await?;
    let messages = models.into_iter().map(|model| message(db, model)).collect::<Result<Vec<_>>>()?;
    Ok(Page::cut(messages, page, |message| message.id.0))
}

/// All texts of a ride, oldest first.
pub async fn of_ride(db: &impl Db, ride: RideId) -> Result<Vec<Message>> {
    let select = Entity::find().filter(Column::RideId.eq(ride.0)).order_by_asc(Column::Id);
    select.all(db.conn()).await?.into_iter().map(|model| message(db, model)).collect()
}

/// What events say of a text; of its words and phones nothing.
fn event_data(model: &Model) -> Result<EventData> {
    Ok(EventData {
        ride_id: model.ride_id.map(RideId),
        message_id: Some(MessageId(model.id)),
        number_id: model.number_id.map(NumberId),
        provider: Some(row::provider(&model.provider)?),
        kind: Some(row::word(MessageKind::parse, "kind", &model.kind)?),
        from_role: row::roles(model.from_role.as_deref())?,
        to_role: row::roles(model.to_role.as_deref())?,
        status: Some(model.status.clone()),
        reason: model.reason.clone(),
        ..EventData::default()
    })
}

/// Tells the platform of a text that a phone wrote, as it is stored: that it was refused, or taken and, where nothing of it
/// can go out, failed.
async fn tell_arrival(tx: &Tx, model: &Model, status: MessageStatus, now: Time) -> Result<()> {
    let data = event_data(model)?;
    if status == MessageStatus::Rejected {
        let refused = EventData { kind: None, to_role: None, status: None, ..data };
        return events::record(tx, EventType::ContactRejected, &refused, now).await;
    }
    let taken = MessageStatus::Received.as_str().to_owned();
    let received = EventData { status: Some(taken), reason: None, ..data.clone() };
    events::record(tx, EventType::MessageReceived, &received, now).await?;
    match EventType::of_message(status) {
        Some(ended) => events::record(tx, ended, &data, now).await,
        None => Ok(()),
    }
}

/// Stores a text, and tells the platform of it if a phone wrote it.
pub async fn insert(tx: &Tx, new: &NewMessage, now: Time) -> Result<MessageId> {
    let seal = |text: &str| tx.vault().seal(Purpose::Text, text.as_bytes());
    let media = match new.media.as_slice() {
        [] => None,
        media => Some(seal(&serde_json::to_string(media).map_err(Error::internal)?)?),
    };
    let model = ActiveModel {
        ride_id: Set(new.ride_id.map(|id| id.0)),
        kind: Set(new.kind.as_str().to_owned()),
        from_role: Set(new.from_role.map(|role| role.as_str().to_owned())),
        to_role: Set(new.to_role.map(|role| role.as_str().to_owned())),
        body_sealed: Set(Some(new.body.expose()).filter(|text| !text.is_empty()).map(seal).transpose()?),
        media_sealed: Set(media),
        phone_sealed: Set(new.recipient.as_ref().map(|phone| row::seal_phone(tx, phone)).transpose()?),
        status: Set(new.status.as_str().to_owned()),
        reason: Set(new.reason.clone()),
        provider: Set(new.provider.as_str().to_owned()),
        number_id: Set(new.number_id.map(|id| id.0)),
        parts: Set(new.parts),
        part_limit: Set(new.part_limit),
        media_limit: Set(new.media_limit),
        ignores_window: Set(new.unbound),
        received_at: Set(new.received_at),
        possibly_duplicated: Set(false),
        created_at: Set(now),
        ..Default::default()
    };
    let stored = model.insert(tx.conn()).await?;
    if new.kind == MessageKind::Relay {
        tell_arrival(tx, &stored, new.status, new.received_at.unwrap_or(now)).await?;
    }
    Ok(MessageId(stored.id))
}

/// What changes in a text as its parts move.
pub(super) struct Progress {
    pub(super) status: MessageStatus,
    pub(super) reason: Option<String>,
    pub(super) provider_status: Option<i32>,
    pub(super) sent_at: Option<Time>,
    pub(super) delivered_at: Option<Time>,
    /// Nothing of it is owed any more.
    pub(super) paid: bool,
}

/// Locks a text's row: whoever moves one of its parts also derives its status. Answers how far the text has come.
pub(super) async fn lock(tx: &Tx, id: MessageId) -> Result<Progress> {
    let model = Entity::find_by_id(id.0).lock_exclusive().one(tx.conn()).await?;
    let model = model.ok_or_else(|| Error::internal("a part has no text"))?;
    Ok(Progress {
        status: row::word(MessageStatus::parse, "status", &model.status)?,
        reason: model.reason,
        provider_status: model.provider_status,
        sent_at: model.sent_at,
        delivered_at: model.delivered_at,
        paid: false,
    })
}

/// Stores how far a text has come, and tells the platform if it was in another status `before`. Its row must be locked.
pub(super) async fn progress(
    tx: &Tx,
    id: MessageId,
    before: MessageStatus,
    progress: Progress,
    now: Time,
) -> Result<()> {
    let model = ActiveModel {
        id: Set(id.0),
        status: Set(progress.status.as_str().to_owned()),
        reason: Set(progress.reason),
        provider_status: Set(progress.provider_status),
        sent_at: Set(progress.sent_at),
        delivered_at: Set(progress.delivered_at),
        // A phone that nothing is sent to any more is not kept.
        phone_sealed: if progress.paid { Set(None) } else { ActiveValue::NotSet },
        ..Default::default()
    };
    let stored = model.update(tx.conn()).await?;
    match EventType::of_message(progress.status).filter(|_| progress.status != before) {
        Some(event) => events::record(tx, event, &event_data(&stored)?, now).await,
        None => Ok(()),
    }
}

/// Says that these texts are being handed over now.
pub(super) async fn mark_sending(tx: &Tx, ids: &[i64], doubtful: &[i64]) -> Result<()> {
    Entity::update_many()
        .col_expr(Column::Status, Expr::value(MessageStatus::Sending.as_str()))
        .filter(Column::Id.is_in(ids.iter().copied()))
        .filter(Column::Status.eq(MessageStatus::Queued.as_str()))
        .exec(tx.conn())
        .await?;
    if !doubtful.is_empty() {
        Entity::update_many()
            .col_expr(Column::PossiblyDuplicated, Expr::value(true))
            .filter(Column::Id.is_in(doubtful.iter().copied()))
            .exec(tx.conn())
            .await?;
    }
    Ok(())
}
