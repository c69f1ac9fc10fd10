//! Rate limits: how far each is used up, a row for each number and account that has one.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::FromQueryResult;

use super::{Tx, execute, params::Params, query_all};
use crate::domain::{clock::Time, error::Result, ids::NumberId, number::ProviderName, pace::Pace};

/// Sender whose texts are limited.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RateLimit {
    /// All numbers of a provider.
    Account(ProviderName),
    Number(NumberId),
}

impl std::fmt::Display for RateLimit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Account(provider) => write!(f, "account:{provider}"),
            Self::Number(number) => write!(f, "number:{number}"),
        }
    }
}

/// Rate limits whose rows are locked.
pub struct LockedLimits {
    /// Until when each is used up, by name.
    spent: BTreeMap<String, Time>,
    now: Time,
}

impl LockedLimits {
    /// Locks the rows of these limits, creating those that are missing. Every transaction locks them in the same order.
    pub async fn lock(tx: &Tx, names: &BTreeSet<RateLimit>, now: Time) -> Result<Self> {
        #[derive(FromQueryResult)]
        struct Row {
            name: String,
            spent_until: Time,
        }
        let fresh: BTreeMap<_, _> = names.iter().map(|name| (name.to_string(), now)).collect();
        if fresh.is_empty() {
            return Ok(Self { spent: fresh, now });
        }
        let (upsert, params) = upsert(&fresh);
        let sql = format!("{upsert} SET spent_until = rate_limits.spent_until RETURNING name, spent_until");
        let rows: Vec<Row> = query_all(tx, &sql, params).await?;
        Ok(Self { spent: rows.into_iter().map(|row| (row.name, row.spent_until)).collect(), now })
    }

    /// Reserves a slot for one text, now or later; `None` if there is none before the horizon.
    pub fn reserve(&mut self, name: &RateLimit, pace: Pace, horizon: Time) -> Option<Time> {
        let name = name.to_string();
        let slot = pace.reserve(self.spent.get(&name).copied(), self.now);
        if slot.at >= horizon {
            return None;
        }
        self.spent.insert(name, slot.spent_until);
        Some(slot.at)
    }

    /// Takes a slot for one text now. If there is none, fails with the time of the next one and takes nothing.
    pub fn take_now(&mut self, name: &RateLimit, pace: Pace) -> std::result::Result<(), Time> {
        let name = name.to_string();
        let spent = self.spent.get(&name).copied().filter(|spent| pace.is_spent_at_once(*spent, self.now));
        let slot = pace.reserve(spent, self.now);
        if slot.at > self.now {
            return Err(slot.at);
        }
        self.spent.insert(name, slot.spent_until);
        Ok(())
    }

    /// Stores how far the limits are used up now.
    pub async fn store(&self, tx: &Tx) -> Result<()> {
        if !self.spent.is_empty() {
            let (upsert, params) = upsert(&self.spent);
            execute(tx, &format!("{upsert} SET spent_until = excluded.spent_until"), params).await?;
        }
        Ok(())
    }
}

fn upsert(spent: &BTreeMap<String, Time>) -> (String, Params) {
    let mut params = Params::new([]);
    let rows: Vec<_> =
        spent.iter().map(|(name, until)| format!("({}, {})", params.add(name), params.add(*until))).collect();
    let sql =
        format!("INSERT INTO rate_limits (name, spent_until) VALUES {} ON CONFLICT (name) DO UPDATE", rows.join(", "));
    (sql, params)
}
