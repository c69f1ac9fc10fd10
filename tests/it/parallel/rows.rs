//! What the database holds in the end.

use std::collections::HashMap;

use sea_orm::{ConnectionTrait as _, Database, DatabaseConnection, DbBackend, FromQueryResult, Statement};

use super::log::{Log, Time};

/// Questions that count what must not be; `$1` is the time now.
const NEVER: &[(&str, &str)] = &[
    (
        "a number is bound to one phone twice",
        "SELECT COUNT(*) AS n FROM (SELECT 1 FROM bindings GROUP BY number_id, phone_index HAVING COUNT(*) > 1) twice
         WHERE $1 IS NOT NULL",
    ),
    (
        "nothing would keep a number from being bound to one phone twice",
        "SELECT 1 - COUNT(*) AS n FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
         WHERE c.relname = 'bindings_number_phone' AND i.indisunique AND i.indisvalid AND $1 IS NOT NULL",
    ),
    (
        "a ride with open contact lacks one of its two rows",
        "SELECT COUNT(*) AS n FROM rides r WHERE r.deleted_at IS NULL AND r.contact_until > $1
         AND 2 <> (SELECT COUNT(DISTINCT b.role) FROM bindings b WHERE b.ride_id = r.id
             AND NOT b.retired AND b.number_id = r.number_id AND b.contact_until = r.contact_until)",
    ),
    (
        "a row with open contact is of a ride without",
        "SELECT COUNT(*) AS n FROM bindings b JOIN rides r ON r.id = b.ride_id
         WHERE b.contact_until > $1 AND (r.deleted_at IS NOT NULL OR r.contact_until <= $1)",
    ),
    (
        "a row with open contact is of another phone than its party's",
        "SELECT COUNT(*) AS n FROM bindings b JOIN rides r ON r.id = b.ride_id
         JOIN people p ON p.id = CASE b.role WHEN 'customer' THEN r.customer_id ELSE r.driver_id END
         WHERE b.contact_until > $1 AND p.phone_index IS DISTINCT FROM b.phone_index",
    ),
    (
        "a person was erased while contact was open",
        "SELECT COUNT(*) AS n FROM rides r JOIN people p ON p.id IN (r.customer_id, r.driver_id)
         WHERE r.contact_until > p.deleted_at AND r.deleted_at IS NULL AND $1 IS NOT NULL",
    ),
    (
        "a number was deleted while contact was open",
        "SELECT COUNT(*) AS n FROM rides r JOIN numbers n ON n.id = r.number_id
         WHERE r.contact_until > n.deleted_at AND r.deleted_at IS NULL AND $1 IS NOT NULL",
    ),
];

pub struct Rows(DatabaseConnection);

impl Rows {
    pub async fn open(url: &str) -> Self {
        Self(Database::connect(url).await.unwrap())
    }

    async fn count(&self, sql: &str, values: Vec<sea_orm::Value>) -> i64 {
        let row = self.0.query_one_raw(Statement::from_sql_and_values(DbBackend::Postgres, sql, values)).await;
        row.unwrap().unwrap().try_get("", "n").unwrap()
    }

    /// What is there and must not be, in words.
    pub async fn judge(&self, now: Time, rides: usize) -> Vec<String> {
        let mut wrong = Vec::new();
        for (what, sql) in NEVER {
            let n = self.count(sql, vec![now.into()]).await;
            if n != 0 {
                wrong.push(format!("{what}: {n} times"));
            }
        }
        let stored = self.count("SELECT COUNT(*) AS n FROM rides", Vec::new()).await;
        if stored != i64::try_from(rides).unwrap() {
            wrong.push(format!("{stored} rides are stored, and {rides} were answered"));
        }
        wrong
    }

    /// Adds to the log what no answer told: numbers that workers moved rides to, since they told both people from
    /// there, and how contact ended at last. Answers how many rides no number could carry on.
    pub async fn complete(&self, log: &mut Log) -> usize {
        #[derive(FromQueryResult)]
        struct Row {
            id: i64,
            number_id: i64,
            contact_until: Time,
            is_stranded: bool,
        }
        let sql = "SELECT id, number_id, contact_until, closed_reason IS NOT NULL AS is_stranded FROM rides
            UNION ALL SELECT r.id, m.number_id, r.contact_until, FALSE FROM messages m JOIN rides r ON r.id = m.ride_id
            WHERE m.kind = 'notice' AND NOT m.ignores_window";
        let rows = Row::find_by_statement(Statement::from_string(DbBackend::Postgres, sql)).all(&self.0).await.unwrap();
        let at: HashMap<_, _> = log.rides.iter().enumerate().map(|(at, ride)| (ride.id, at)).collect();
        for row in &rows {
            let ride = &mut log.rides[at[&row.id]];
            ride.also_on.insert(row.number_id);
            ride.until_at_last = Some(row.contact_until);
        }
        rows.iter().filter(|row| row.is_stranded).count()
    }

    /// How many deadlocks the database has broken.
    pub async fn deadlocks(&self) -> i64 {
        let sql = "SELECT deadlocks AS n FROM pg_stat_database WHERE datname = current_database()";
        self.count(sql, Vec::new()).await
    }
}
