//! Migrations run on databases that are in use.

use std::sync::Arc;

use maskline::{app::App, clock::SystemClock};
use migration::{Migrator, MigratorTrait as _};
use sea_orm::{ConnectionTrait as _, Database, DatabaseConnection, Statement};

use crate::harness::{Api, CLIENT, Kind, TestDatabase, config_for, on_both_databases, postgres};

const ROWS: &str = "
INSERT INTO people (id, role, name, phone_index, phone_sealed, version, created_at, updated_at) VALUES
    (1, 'customer', 'Ann', '1', '1', 1, '2026-01-01 00:00:00+00:00', '2026-01-01 00:00:00+00:00'),
    (2, 'driver', 'Bob', '2', '2', 1, '2026-01-01 00:00:00+00:00', '2026-01-01 00:00:00+00:00');
INSERT INTO numbers (id, phone_number, match_key, provider, sms, voice, mms, status, spread, version, created_at, updated_at)
    VALUES (1, '+3197010200001', '3197010200001', 'simulator', TRUE, TRUE, FALSE, 'active', 1, 1,
            '2026-01-01 00:00:00+00:00', '2026-01-01 00:00:00+00:00');
INSERT INTO rides (id, customer_id, driver_id, number_id, start, destination, datetime, utc_offset_s, status, timeout_at,
                   contact_until, customer_seq, driver_seq, version, created_at, updated_at)
    VALUES (1, 1, 2, 1, 'A', 'B', '2026-01-01 00:00:00+00:00', 0, 'scheduled', '2026-01-02 00:00:00+00:00',
            '2026-01-03 00:00:00+00:00', 2, 0, 1, '2026-01-01 00:00:00+00:00', '2026-01-01 00:00:00+00:00');
INSERT INTO messages (id, ride_id, kind, to_role, status, provider, number_id, parts, part_limit, possibly_duplicated, created_at)
    VALUES (1, 1, 'notice', 'customer', 'queued', 'simulator', 1, 2, 1000, FALSE, '2026-01-01 00:00:00+00:00');
INSERT INTO clients (id, client_id, name, secret_hash, scopes, created_at)
    VALUES (1, 'tests', 'tests', '$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA', 'rides:read', '2026-01-01 00:00:00+00:00');
INSERT INTO idempotency_keys (client_id, operation, idempotency_key, fingerprint, created_at)
    VALUES (1, '/v1/rides', 'key', '1', '2026-01-01 00:00:00+00:00');
INSERT INTO outbox (id, message_id, ride_id, to_role, seq, part, state, attempts, in_flight, in_doubt, due_at, reference)
    VALUES (7, 1, 1, 'customer', 1, 0, 'sent', 1, FALSE, FALSE, '2026-01-01 00:00:00+00:00', 'mk_1'),
           (9, 1, 1, 'customer', 2, 1, 'owed', 3, TRUE, FALSE, '2026-01-01 00:00:00+00:00', 'mk_2')";

async fn execute(db: &DatabaseConnection, script: &str) -> Result<(), sea_orm::DbErr> {
    for statement in script.split(';') {
        db.execute_unprepared(statement).await?;
    }
    Ok(())
}

async fn texts(db: &DatabaseConnection, sql: &str) -> Vec<String> {
    let rows = db.query_all_raw(Statement::from_string(db.get_database_backend(), sql)).await.expect(sql);
    rows.iter().map(|row| row.try_get_by_index(0).expect("text")).collect()
}

async fn outbox(db: &DatabaseConnection) -> Vec<String> {
    let sql =
        "SELECT CAST(id AS TEXT) || ' ' || CAST(message_id AS TEXT) || ' ' || CAST(ride_id AS TEXT) || ' ' || to_role
        || ' ' || CAST(seq AS TEXT) || ' ' || state || ' ' || CAST(attempts AS TEXT) || ' ' || reference
        FROM outbox ORDER BY id";
    texts(db, sql).await
}

async fn indexes(db: &DatabaseConnection, kind: Kind) -> Vec<String> {
    let sql = match kind {
        Kind::Sqlite => {
            "SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = 'outbox' AND sql IS NOT NULL ORDER BY name"
        }
        Kind::Postgres => {
            "SELECT indexname::text FROM pg_indexes WHERE tablename = 'outbox' AND indexname <> 'outbox_pkey' ORDER BY 1"
        }
    };
    texts(db, sql).await
}

/// A database of the version whose last migration was `m0003_contact`.
async fn old(kind: Kind) -> (TestDatabase, DatabaseConnection) {
    let folder = tempfile::tempdir().expect("a folder");
    let url = match kind {
        Kind::Sqlite => format!("sqlite://{}?mode=rwc", folder.path().join("maskline.db").display()),
        Kind::Postgres => postgres::empty().await,
    };
    let open = Database::connect(&url).await.expect("the database");
    Migrator::up(&open, Some(3)).await.expect("the schema of before");
    execute(&open, ROWS).await.expect("rows");
    let url = url.trim_end_matches("?mode=rwc").to_owned();
    (TestDatabase { direct: url.clone(), url, folder }, open)
}

on_both_databases! {
    async fn clients_whose_secrets_cannot_be_checked_any_more_go_and_the_first_one_comes_back(kind: Kind) {
        let (db, open) = old(kind).await;
        Migrator::up(&open, None).await.expect("the present schema");
        let clients = "SELECT CAST(COUNT(*) AS TEXT) FROM clients UNION ALL SELECT CAST(COUNT(*) AS TEXT) FROM idempotency_keys";
        assert_eq!(texts(&open, clients).await, ["0", "0"]);
        open.close().await.expect("closed");
        let app = App::build(config_for(&db.url, &[]), Arc::new(SystemClock)).await.expect("the service starts on it");
        let running = app.start(false);
        let api = Api::sign_in(&format!("http://{}", running.address), CLIENT, None).await;
        let clients = api.get("/v1/clients").await.expect(200);
        assert_eq!(clients["items"].as_array().map(Vec::len), Some(1));
        running.stop().await;
    }

    async fn texts_without_a_ride_come_into_a_database_in_use(kind: Kind) {
        let (db, open) = old(kind).await;
        let before = (outbox(&open).await, indexes(&open, kind).await);
        assert_eq!((before.0.len(), before.1.len()), (2, 5));
        Migrator::up(&open, None).await.expect("the present schema");
        let mut kept = indexes(&open, kind).await;
        kept.retain(|index| !["outbox_claimed", "outbox_expiring"].contains(&index.as_str()));
        assert_eq!((outbox(&open).await, kept), before, "rows, ids and indexes are kept");
        let line = "SELECT provider || ' ' || CAST(number_id AS TEXT) FROM outbox WHERE state = 'owed'";
        assert_eq!(texts(&open, line).await, ["simulator 1"], "what is owed knows its line");

        let part = |conversation: &str, reference: &str| format!(
            "INSERT INTO outbox (message_id, ride_id, to_role, seq, part, state, attempts, in_flight, in_doubt, due_at, reference)
             VALUES (1, {conversation}, 0, 'owed', 0, FALSE, FALSE, '2026-01-01 00:00:00+00:00', '{reference}')");
        execute(&open, &part("NULL, NULL, 0", "mk_3")).await.expect("a text without a ride");
        if kind == Kind::Sqlite {
            assert_eq!(texts(&open, "SELECT CAST(MAX(id) AS TEXT) FROM outbox").await, ["10"], "ids go on");
        }
        for (conversation, reference) in [
            ("1, NULL, 3", "mk_4"),
            ("NULL, 'driver', 3", "mk_4"),
            ("1, 'customer', 2", "mk_4"),
            ("1, 'customer', 3", "mk_3"),
            ("8, 'customer', 3", "mk_4"),
            ("1, 'nobody', 3", "mk_4"),
        ] {
            execute(&open, &part(conversation, reference)).await.expect_err(conversation);
        }

        // The way back loses nothing but what there was no place for.
        while texts(&open, "SELECT CAST(COUNT(*) AS TEXT) FROM outbox").await[0] == "3" {
            Migrator::down(&open, Some(1)).await.expect("one step back");
        }
        assert_eq!((outbox(&open).await, indexes(&open, kind).await), before);
        execute(&open, &part("NULL, NULL, 0", "mk_3")).await.expect_err("no place for it");
        open.close().await.expect("closed");
        let app = App::build(config_for(&db.url, &[]), Arc::new(SystemClock)).await.expect("the service starts on it");
        app.start(false).stop().await;
    }
}
