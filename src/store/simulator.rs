//! Screens of simulated phones, sealed like any text and shared by all replicas.

use sea_orm::{ActiveValue::Set, QueryOrder as _, QuerySelect as _, entity::prelude::*};

use super::{
    Db, Tx,
    entity::simulator_screens::{ActiveModel, Column, Entity},
    sealed,
};
use crate::domain::{clock::Time, error::Result, phone::PhoneNumber, screen::EntryKind};

/// Maximum number of entries to show, newest first.
const SHOWN: u64 = 200;

/// Entry on a phone's screen.
#[derive(Clone, Debug)]
pub struct ScreenEntry {
    pub kind: EntryKind,
    /// Number on the screen: a proxy number, or the number that this phone dialled.
    pub number: PhoneNumber,
    /// Text or announcement; empty if there is none.
    pub words: String,
    pub at: Time,
}

pub async fn show(tx: &Tx, phone: &PhoneNumber, entry: &ScreenEntry) -> Result<()> {
    let model = ActiveModel {
        phone_index: Set(tx.vault().phone_index(&phone.match_key())),
        kind: Set(entry.kind),
        // Sealed, because a phone can dial any number and not only proxy numbers.
        number_sealed: Set(sealed::seal_phone(tx, &entry.number)?),
        body_sealed: Set(sealed::seal_text(tx, &entry.words)?),
        at: Set(entry.at),
        ..Default::default()
    };
    model.insert(tx.conn()).await?;
    Ok(())
}

/// Reads a phone's screen, oldest entry first.
pub async fn screen(db: &impl Db, phone: &PhoneNumber) -> Result<Vec<ScreenEntry>> {
    let index = db.vault().phone_index(&phone.match_key());
    let select = Entity::find().filter(Column::PhoneIndex.eq(index)).order_by_desc(Column::Id).limit(SHOWN);
    let models = select.all(db.conn()).await?;
    let entries = models.into_iter().rev().map(|model| {
        let number = sealed::open_phone(db, &model.number_sealed)?;
        let words = sealed::open_text(db, model.body_sealed.as_deref())?;
        Ok(ScreenEntry { kind: model.kind, number, words, at: model.at })
    });
    entries.collect()
}
