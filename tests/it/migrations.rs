//! The schema: made, undone, and refused where no migration leads to it.

use std::sync::Arc;

use maskline::{app::App, clock::SystemClock};
use migration::{Migrator, MigratorTrait as _};
use sea_orm::{ConnectionTrait as _, Database, DatabaseConnection, Statement};

use crate::{
    harness::{Kind, TestDatabase, config_for, on_both_databases, postgres},
    process::run,
};

/// A text of a ride with one part in the outbox.
const ROWS: &str = "
INSERT INTO people (id, role, name, phone_index, phone_sealed, version, created_at, updated_at) VALUES
    (1, 'customer', 'Ann', '1', '1', 1, '2026-01-01 00:00:00+00:00', '2026-01-01 00:00:00+00:00'),
    (2, 'driver', 'Bob', '2', '2', 1, '2026-01-01 00:00:00+00:00', '2026-01-01 00:00:00+00:00');
INSERT INTO numbers (id, phone_number, match_key, provider, sms, voice, mms, status, ring_position, version, created_at,
                     updated_at)
    VALUES (1, '+3197010200001', '3197010200001', 'simulator', TRUE, TRUE, FALSE, 'active', 1, 1,
            '2026-01-01 00:00:00+00:00', '2026-01-01 00:00:00+00:00');
INSERT INTO rides (id, customer_id, driver_id, number_id, start, destination, datetime, utc_offset_s, status, timeout_at,
                   contact_until, customer_seq, driver_seq, version, created_at, updated_at)
    VALUES (1, 1, 2, 1, 'A', 'B', '2026-01-01 00:00:00+00:00', 0, 'scheduled', '2026-01-02 00:00:00+00:00',
            '2026-01-03 00:00:00+00:00', 2, 0, 1, '2026-01-01 00:00:00+00:00', '2026-01-01 00:00:00+00:00');
INSERT INTO messages (id, ride_id, kind, to_role, status, provider, number_id, parts, possibly_duplicated, created_at)
    VALUES (1, 1, 'notice', 'customer', 'queued', 'simulator', 1, 2, FALSE, '2026-01-01 00:00:00+00:00');
INSERT INTO outbox (id, message_id, ride_id, to_role, seq, part, body_start, body_end, state, attempts, in_flight, in_doubt,
                    due_at, expires_at, reference, provider, number_id)
    VALUES (9, 1, 1, 'customer', 2, 1, 0, 2, 'pending', 3, TRUE, FALSE, '2026-01-01 00:00:00+00:00',
            '2026-01-01 01:00:00+00:00', 'mk_2', 'simulator', 1)";

/// What the migrator of a development version left behind.
const DEVELOPMENT: &str = "
CREATE TABLE seaql_migrations (version VARCHAR NOT NULL PRIMARY KEY, applied_at BIGINT NOT NULL);
INSERT INTO seaql_migrations (version, applied_at) VALUES ('m0001_service', 1), ('m0002_providers', 1);
CREATE TABLE people (name TEXT);
INSERT INTO people (name) VALUES ('Ann')";

const REFUSAL: &str = "this database was created by a development version before 0.1.0: export what you need, delete it and \
     start again with an empty one";

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

/// The names of all tables and indexes.
async fn tables_and_indexes(db: &DatabaseConnection, kind: Kind) -> Vec<String> {
    let sql = match kind {
        Kind::Sqlite => "SELECT name FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' ORDER BY name",
        Kind::Postgres => {
            "SELECT relname::text FROM pg_class
            WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'i') ORDER BY 1"
        }
    };
    texts(db, sql).await
}

/// An empty database.
async fn empty(kind: Kind) -> (TestDatabase, DatabaseConnection) {
    let folder = tempfile::tempdir().expect("a folder");
    let url = match kind {
        Kind::Sqlite => format!("sqlite://{}", folder.path().join("maskline.db").display()),
        Kind::Postgres => postgres::empty().await,
    };
    let open = match kind {
        Kind::Sqlite => Database::connect(format!("{url}?mode=rwc")).await,
        Kind::Postgres => Database::connect(&url).await,
    };
    (TestDatabase { direct: url.clone(), url, folder }, open.expect("the database"))
}

/// Why the service does not start.
async fn refusal(db: &TestDatabase, more: &[(&str, &str)]) -> String {
    let started = App::build(config_for(&db.url, more), Arc::new(SystemClock)).await;
    started.err().expect("the database is refused").to_string()
}

on_both_databases! {
    async fn the_schema_is_made_once_and_undone_without_a_trace(kind: Kind) {
        let (_db, open) = empty(kind).await;
        Migrator::up(&open, None).await.expect("the schema");
        let made = tables_and_indexes(&open, kind).await;
        for name in ["people", "outbox", "outbox_due", "bindings_number_phone"] {
            assert!(made.iter().any(|made| made == name), "{name} is missing: {made:?}");
        }
        execute(&open, ROWS).await.expect("rows");
        Migrator::up(&open, None).await.expect("nothing to do");
        assert_eq!(texts(&open, "SELECT reference FROM outbox").await, ["mk_2"], "rows are kept");

        Migrator::down(&open, None).await.expect("the way back");
        let mut left = tables_and_indexes(&open, kind).await;
        left.retain(|name| !name.starts_with("seaql_migrations"));
        assert_eq!(left, [""; 0]);
        Migrator::up(&open, None).await.expect("the schema again");
        assert_eq!(tables_and_indexes(&open, kind).await, made);
    }

    async fn a_part_is_in_a_whole_conversation_or_in_none(kind: Kind) {
        let (_db, open) = empty(kind).await;
        Migrator::up(&open, None).await.expect("the schema");
        execute(&open, ROWS).await.expect("rows");
        let part = |conversation: &str, reference: &str| format!(
            "INSERT INTO outbox (message_id, ride_id, to_role, seq, part, body_start, body_end, state, attempts, in_flight, in_doubt,
                                 due_at, expires_at, reference, provider, number_id)
             VALUES (1, {conversation}, 0, 0, 2, 'pending', 0, FALSE, FALSE, '2026-01-01 00:00:00+00:00',
                     '2026-01-01 01:00:00+00:00', '{reference}', 'simulator', 1)");
        execute(&open, &part("NULL, NULL, 0", "mk_3")).await.expect("a text without a ride");
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
    }

    async fn a_database_of_a_development_version_is_refused_and_left_alone(kind: Kind) {
        let (db, open) = empty(kind).await;
        execute(&open, DEVELOPMENT).await.expect("an old database");
        let before = tables_and_indexes(&open, kind).await;
        assert_eq!(run(&db, &["migrate"], &[]), (false, format!("{REFUSAL}\n")));
        assert_eq!(refusal(&db, &[]).await, REFUSAL);
        assert_eq!(refusal(&db, &[("MIGRATE_ON_START", "off")]).await, REFUSAL);
        assert_eq!(tables_and_indexes(&open, kind).await, before);
        assert_eq!(texts(&open, "SELECT name FROM people").await, ["Ann"]);
    }

    async fn a_database_of_a_newer_version_is_refused(kind: Kind) {
        let (db, open) = empty(kind).await;
        Migrator::up(&open, None).await.expect("the schema");
        execute(&open, "INSERT INTO seaql_migrations (version, applied_at) VALUES ('m9999_future', 1)").await.unwrap();
        let newer = "this database was migrated by a newer version of Maskline: start that version";
        assert_eq!(run(&db, &["migrate"], &[]), (false, format!("{newer}\n")));
        assert_eq!(refusal(&db, &[]).await, newer);
        assert_eq!(refusal(&db, &[("MIGRATE_ON_START", "off")]).await, newer);
    }

    async fn without_migrate_on_start_an_empty_database_waits_for_migrate(kind: Kind) {
        let (db, open) = empty(kind).await;
        let off = [("MIGRATE_ON_START", "off")];
        assert_eq!(refusal(&db, &off).await, "the database schema is not up to date: run `maskline migrate`");
        assert_eq!(tables_and_indexes(&open, kind).await, [""; 0]);
        for _ in 0..2 {
            assert_eq!(run(&db, &["migrate"], &off), (true, "The schema is up to date.\n".to_owned()));
        }
        let app = App::build(config_for(&db.url, &off), Arc::new(SystemClock)).await.expect("the service starts on it");
        app.start(false).stop().await;
    }
}
