//! Periodic jobs are shared by all replicas.

use chrono::Duration;
use sea_orm::{ConnectionTrait as _, Database, Statement};

use crate::harness::{Kind, TestApp, on_both_databases};

on_both_databases! {
    async fn of_two_replicas_one_runs_a_job_in_a_period(kind: Kind) {
        let app = TestApp::start(kind).await;
        let (second, _) = app.replica().await;
        let ((one, _), (two, _)) = tokio::join!(app.run_due_jobs(), second.run_due_jobs());
        let all = one + two;
        assert!(all >= 9, "every job is due at first sight, and runs once: {one} and {two}");
        let ((one, _), (two, _)) = tokio::join!(app.run_due_jobs(), second.run_due_jobs());
        assert_eq!((one, two), (0, 0), "nothing is due again yet");
        app.clock.advance(Duration::hours(1));
        let ((one, failed), (two, also_failed)) = tokio::join!(app.run_due_jobs(), second.run_due_jobs());
        assert_eq!((one + two, failed + also_failed), (all, 0), "each once in the next period");
        second.stop().await;
        app.clock.advance(Duration::hours(1));
        assert_eq!(app.run_due_jobs().await, (all, 0), "whoever is left does the work of all");
        app.finish().await;
    }

    async fn a_job_that_fails_stops_no_other_and_runs_again_in_the_next_period(kind: Kind) {
        let app = TestApp::start(kind).await;
        let outside = Database::connect(&app.db.direct).await.unwrap();
        let run = async |sql: &str| outside.execute_unprepared(sql).await.map(drop).expect(sql);
        let (all, _) = app.run_due_jobs().await;
        app.clock.advance(Duration::hours(1));
        // What forgets calls fails; what prunes the inbox comes after it.
        run("ALTER TABLE calls RENAME TO calls_away").await;
        run("INSERT INTO inbox (provider, kind, event_key, keep_until) VALUES ('x', 'text', 'old', '2000-01-01 00:00:00+00:00')").await;
        assert_eq!(app.run_due_jobs().await, (all - 1, 1));
        let left = Statement::from_string(outside.get_database_backend(), "SELECT event_key FROM inbox");
        assert!(outside.query_all_raw(left).await.unwrap().is_empty(), "the inbox was pruned");
        run("ALTER TABLE calls_away RENAME TO calls").await;
        assert_eq!(app.run_due_jobs().await, (0, 0), "its turn is over");
        app.clock.advance(Duration::hours(1));
        assert_eq!(app.run_due_jobs().await, (all, 0));
        app.finish().await;
    }

    async fn a_clock_that_ran_ahead_does_not_stop_jobs_for_good(kind: Kind) {
        let app = TestApp::start(kind).await;
        app.clock.advance(Duration::days(30));
        let (all, _) = app.run_due_jobs().await;
        app.clock.advance(-Duration::days(30));
        assert_eq!((app.run_due_jobs().await.0, app.run_due_jobs().await.0), (all, 0));
        app.finish().await;
    }
}
