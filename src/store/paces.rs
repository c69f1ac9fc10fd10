//! How much of what may go out has gone out: a row for each number and account that is limited.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::{ConnectionTrait as _, FromQueryResult};

use super::{Db as _, Tx, statement};
use crate::domain::{clock::Time, error::Result, ids::NumberId, number::ProviderName, pace::Pace};

/// Whose pace it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Limited {
    /// All numbers at a provider.
    Account(ProviderName),
    /// One number.
    Number(NumberId),
}

impl std::fmt::Display for Limited {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Account(provider) => write!(f, "account:{provider}"),
            Self::Number(number) => write!(f, "number:{number}"),
        }
    }
}

/// What these numbers and accounts have sent, while their rows are locked.
pub struct Allowances {
    /// Until when the allowance of each is spent.
    spent: BTreeMap<String, Time>,
    now: Time,
}

impl Allowances {
    /// Locks these rows, made if they were not there, in one order for everybody.
    pub async fn lock(tx: &Tx, names: &BTreeSet<Limited>, now: Time) -> Result<Self> {
        #[derive(FromQueryResult)]
        struct Row {
            name: String,
            spent_until: Time,
        }
        let fresh: BTreeMap<_, _> = names.iter().map(|name| (name.to_string(), now)).collect();
        if fresh.is_empty() {
            return Ok(Self { spent: fresh, now });
        }
        let sql =
            format!("{} SET spent_until = rate_limits.spent_until RETURNING name, spent_until", upsert(fresh.len()));
        let rows = Row::find_by_statement(statement(tx, &sql, values(&fresh))).all(tx.conn()).await?;
        Ok(Self { spent: rows.into_iter().map(|row| (row.name, row.spent_until)).collect(), now })
    }

    /// Reserves a moment for one text, now or later; or none, if there is none before the horizon.
    pub fn reserve(&mut self, name: &Limited, pace: Pace, horizon: Option<Time>) -> Option<Time> {
        let name = name.to_string();
        let slot = pace.reserve(self.spent.get(&name).copied(), self.now);
        if horizon.is_some_and(|horizon| slot.at >= horizon) {
            return None;
        }
        self.spent.insert(name, slot.spent_until);
        Some(slot.at)
    }

    /// Takes the present moment for one text; or says when there will be one, and takes nothing.
    pub fn take_now(&mut self, name: &Limited, pace: Pace) -> std::result::Result<(), Time> {
        let name = name.to_string();
        let spent = self.spent.get(&name).copied().filter(|spent| pace.is_spent_at_once(*spent, self.now));
        let slot = pace.reserve(spent, self.now);
        if slot.at > self.now {
            return Err(slot.at);
        }
        self.spent.insert(name, slot.spent_until);
        Ok(())
    }

    /// Writes down what is spent by now.
    pub async fn write_down(&self, tx: &Tx) -> Result<()> {
        if !self.spent.is_empty() {
            let sql = format!("{} SET spent_until = excluded.spent_until", upsert(self.spent.len()));
            tx.conn().execute_raw(statement(tx, &sql, values(&self.spent))).await?;
        }
        Ok(())
    }
}

fn upsert(count: usize) -> String {
    let rows: Vec<_> = (0..count).map(|row| format!("(${}, ${})", 2 * row + 1, 2 * row + 2)).collect();
    format!("INSERT INTO rate_limits (name, spent_until) VALUES {} ON CONFLICT (name) DO UPDATE", rows.join(", "))
}

fn values(spent: &BTreeMap<String, Time>) -> impl Iterator<Item = sea_orm::Value> {
    spent.iter().flat_map(|(name, until)| [name.as_str().into(), (*until).into()])
}
