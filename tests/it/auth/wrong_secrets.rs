//! Wrong secrets: too many are answered 429, and the right one always gets a token.

use chrono::Duration;

use super::{GRANT, TOKEN, basic, refused, request, request_with};
use crate::harness::{Answer, Api, CLIENT, Kind, TestApp, on_both_databases};

/// Asks for a token as this client, by the word of a proxy from this address.
async fn ask(api: &Api, (id, secret): (&str, &str), from: &str) -> Answer {
    let form = [GRANT, ("client_id", id), ("client_secret", secret)];
    api.with_token("").form(TOKEN, &form, &[("x-forwarded-for", from)]).await
}

/// Fails unless the answer says to wait for so many seconds.
#[track_caller]
fn waits(answer: &Answer, seconds: i64) {
    assert_eq!(answer.status, 429, "{}", answer.text);
    assert_eq!(answer.body["error"], "invalid_client");
    assert!(answer.body["error_description"].as_str().expect("words").contains("too many"));
    assert_eq!(answer.body.as_object().expect("an object").len(), 2, "the shape of RFC 6749");
    assert_eq!(
        (answer.header("retry-after"), answer.header("cache-control")),
        (seconds.to_string().as_str(), "no-store")
    );
    assert!(!answer.headers.contains_key("www-authenticate"));
}

async fn behind_a_proxy(kind: Kind) -> TestApp {
    TestApp::with(kind, &[("TRUSTED_PROXIES", "127.0.0.0/8, 10.0.0.0/8")]).await
}

on_both_databases! {
    async fn more_than_ten_for_a_client_in_a_minute_are_answered_429(kind: Kind) {
        let app = behind_a_proxy(kind).await;
        let mut first = None;
        for (id, wrong) in [(CLIENT.0, "wrong"), ("nobody", CLIENT.1)] {
            let from = |attempt: usize| format!("198.51.{}.{attempt}", id.len());
            for attempt in 0..10 {
                let answer = ask(&app, (id, wrong), &from(attempt)).await;
                refused(&answer, 401, "invalid_client");
                first.get_or_insert(answer.text);
            }
            let answer = ask(&app, (id, wrong), &from(10)).await;
            waits(&answer, 60);
            app.clock.advance(Duration::seconds(20));
            waits(&ask(&app, (id, "another"), &from(11)).await, 40);
            // The secret is checked first: who has the right one never waits.
            assert_eq!(ask(&app, CLIENT, &from(11)).await.status, 200);
            assert_eq!(ask(&app, CLIENT, &from(0)).await.status, 200);
            // By HTTP Basic it is the same client.
            let header = basic(&format!("%{:02x}{}", id.as_bytes()[0], &id[1..]), wrong);
            let answer = app.with_token("").form(TOKEN, &[GRANT], &[("authorization", &header)]).await;
            waits(&answer, 40);
            app.clock.advance(Duration::seconds(40));
            let answer = ask(&app, (id, wrong), &from(12)).await;
            refused(&answer, 401, "invalid_client");
            assert_eq!(Some(answer.text), first, "an unknown client is answered as a wrong secret is");
        }
        app.finish().await;
    }

    async fn more_than_ten_from_an_address_in_a_minute_are_answered_429(kind: Kind) {
        let app = behind_a_proxy(kind).await;
        for (name, same, other) in [
            ("a", ["192.0.2.1", "192.0.2.1:4711", "::ffff:192.0.2.1"], "192.0.2.2"),
            ("b", ["2001:db8:0:1::1", "[2001:db8:0:1::2]:443", "2001:db8:0:1:ffff::3"], "2001:db8:0:2::1"),
            ("c", ["203.0.113.9", "192.0.2.77, 203.0.113.9", "unknown, 203.0.113.9, 10.1.2.3"], "203.0.113.8"),
        ] {
            for attempt in 0..10 {
                let id = format!("{name}{attempt}");
                refused(&ask(&app, (&id, "wrong"), same[attempt % 3]).await, 401, "invalid_client");
            }
            for from in same {
                waits(&ask(&app, (&format!("{name}10"), "wrong"), from).await, 60);
                assert_eq!(ask(&app, CLIENT, from).await.status, 200);
            }
            refused(&ask(&app, (&format!("{name}10"), "wrong"), other).await, 401, "invalid_client");
        }
        app.finish().await;
    }

    async fn nobody_but_a_trusted_proxy_says_where_a_request_is_from(kind: Kind) {
        for trusted in ["", "192.0.2.0/24"] {
            let app = TestApp::with(kind, &[("TRUSTED_PROXIES", trusted)]).await;
            for attempt in 0..10 {
                let (id, from) = (format!("a{attempt}"), format!("198.51.100.{attempt}"));
                refused(&ask(&app, (&id, "wrong"), &from).await, 401, "invalid_client");
            }
            waits(&ask(&app, ("a10", "wrong"), "198.51.100.10").await, 60);
            app.finish().await;
        }
    }

    async fn a_secret_that_can_be_read_in_two_ways_counts_once(kind: Kind) {
        let app = TestApp::start(kind).await;
        let header = basic(CLIENT.0, "wrong+secret%20or+not");
        for _ in 0..10 {
            refused(&request_with(&app, &header).await, 401, "invalid_client");
        }
        waits(&request_with(&app, &header).await, 60);
        app.finish().await;
    }

    async fn what_shows_no_secret_and_what_asks_for_too_much_do_not_count(kind: Kind) {
        let app = TestApp::start(kind).await;
        for _ in 0..12 {
            refused(&request(&app, &[]).await, 400, "invalid_request");
            refused(&request(&app, &[GRANT, ("scope", "rides:fly")]).await, 400, "invalid_scope");
            refused(&app.with_token("").form(TOKEN, &[GRANT], &[]).await, 401, "invalid_client");
            refused(&request_with(&app, "Basic !").await, 401, "invalid_client");
        }
        refused(&request(&app, &[GRANT, ("client_id", CLIENT.0)]).await, 400, "invalid_request");
        let wrong = [GRANT, ("client_id", CLIENT.0), ("client_secret", "wrong")];
        refused(&app.with_token("").form(TOKEN, &wrong, &[]).await, 401, "invalid_client");
        app.finish().await;
    }

    async fn what_anybody_may_send_costs_little(kind: Kind) {
        let app = TestApp::start(kind).await;
        let (anyone, kind) = (app.with_token(""), [("content-type", "application/x-www-form-urlencoded")]);
        let fields = "a=b&".repeat(10_000);
        refused(&anyone.raw("POST", TOKEN, &kind, fields.into_bytes()).await, 400, "invalid_request");
        let two = [("authorization", basic(CLIENT.0, CLIENT.1)), ("authorization", basic(CLIENT.0, "wrong"))];
        let two = two.each_ref().map(|(name, value)| (*name, value.as_str()));
        refused(&anyone.form(TOKEN, &[GRANT], &two).await, 401, "invalid_client");
        // An address with thousands of parameters, each of which would be a mistake to be named.
        let address = format!("/v1/customers/1?{}", "a&".repeat(25_000));
        anyone.get(&address).await.expect(401);
        let answer = app.get(&address).await;
        assert!(answer.status == 400 && answer.text.len() < 32_000, "{} bytes", answer.text.len());
        app.finish().await;
    }
}
