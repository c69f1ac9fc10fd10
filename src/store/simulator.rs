//! What simulated phones show, sealed like any text, and shared by all replicas.

use sea_orm::{ActiveValue::Set, QueryOrder as _, QuerySelect as _, entity::prelude::*};

use super::{
    Db, Tx,
    entity::simulator_screens::{ActiveModel, Column, Entity},
    row,
    vault::Purpose,
};
use crate::domain::{clock::Time, error::Result, phone::PhoneNumber, string_enum::string_enum};

/// How much of a screen is shown, newest entries first kept.
const SHOWN: u64 = 200;

string_enum! {
    /// What a phone shows.
    EntryKind {
        /// A text came in.
        Text = "text",
        /// It rang.
        Call = "call",
        /// It called, and heard a sentence.
        Announcement = "announcement",
    }
}

/// One entry of a phone's screen.
#[derive(Clone, Debug)]
pub struct ScreenEntry {
    /// What it is.
    pub kind: EntryKind,
    /// The number on the screen: the proxy number, or whatever this phone dialled.
    pub number: PhoneNumber,
    /// The words, if any.
    pub words: String,
    /// When.
    pub at: Time,
}

/// Shows something on a phone.
pub async fn show(tx: &Tx, phone: &PhoneNumber, entry: &ScreenEntry) -> Result<()> {
    let words = Some(entry.words.as_bytes()).filter(|words| !words.is_empty());
    let model = ActiveModel {
        phone_index: Set(tx.vault().phone_index(&phone.match_key()).0),
        kind: Set(entry.kind.as_str().to_owned()),
        // Whatever was dialled: a proxy number as a rule, but a phone can dial anybody.
        number_sealed: Set(row::seal_phone(tx, &entry.number)?),
        body_sealed: Set(words.map(|words| tx.vault().seal(Purpose::Text, words)).transpose()?),
        at: Set(entry.at),
        ..Default::default()
    };
    model.insert(tx.conn()).await?;
    Ok(())
}

/// A phone's screen, oldest entry first.
pub async fn screen(db: &impl Db, phone: &PhoneNumber) -> Result<Vec<ScreenEntry>> {
    let index = db.vault().phone_index(&phone.match_key());
    let select = Entity::find().filter(Column::PhoneIndex.eq(index.0)).order_by_desc(Column::Id).limit(SHOWN);
    let models = select.all(db.conn()).await?;
    let entries = models.into_iter().rev().map(|model| {
        let words = match &model.body_sealed {
            Some(sealed) => row::open_text(db, Purpose::Text, sealed)?,
            None => String::new(),
        };
        let kind = row::word(EntryKind::parse, "kind", &model.kind)?;
        Ok(ScreenEntry { kind, number: row::open_phone(db, &model.number_sealed)?, words, at: model.at })
    });
    entries.collect()
}

/// Forgets entries from before `before`.
pub async fn prune(tx: &Tx, before: Time) -> Result<u64> {
    Ok(Entity::delete_many().filter(Column::At.lt(before)).exec(tx.conn()).await?.rows_affected)
}
