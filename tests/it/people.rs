//! Customers and drivers: the same promises for both.

mod batch;
mod idempotency;
mod numbers;
mod phones;

use chrono::Duration;
use serde_json::{Value, json};

use crate::{
    harness::{Answer, Api, CLIENT, Kind, TestApp, id, on_both_databases},
    ride::{ANN, BOB, NUMBER, ann_and_bob},
};

/// The two resources that a case runs on.
const ROLES: [&str; 2] = ["/v1/customers", "/v1/drivers"];
/// What somebody who may not see ANN reads instead.
const MASKED_ANN: &str = "+316••••••78";

/// Everything but seeing people's phones.
const WITHOUT_REVEAL: &str = "customers:read customers:write drivers:read drivers:write numbers:write rides:write \
                              messages:write simulator:use";

/// The same client, with a token that may not see people's phones.
async fn without_reveal(app: &TestApp) -> Api {
    Api::sign_in(&app.base, CLIENT, Some(WITHOUT_REVEAL)).await
}

/// The items of a list.
async fn items(api: &Api, path: &str) -> Vec<Value> {
    api.get(path).await.expect(200)["items"].as_array().expect("items").clone()
}

pub async fn names(api: &Api, path: &str) -> Vec<String> {
    items(api, path).await.iter().map(|item| item["name"].as_str().expect("a name").to_owned()).collect()
}

async fn patch_if(api: &Api, path: &str, if_match: &str, body: &Value) -> Answer {
    api.json("PATCH", path, &[("if-match", if_match)], body).await
}

async fn found(api: &Api, people: &str, phone: &str) -> Vec<Value> {
    let answer = api.post(&format!("{people}/search"), &json!({ "phone_number": phone })).await.expect(200);
    answer["items"].as_array().expect("items").clone()
}

on_both_databases! {
    async fn creating_somebody_answers_the_record_its_path_and_its_version(kind: Kind) {
        let app = TestApp::start(kind).await;
        for people in ROLES {
            let body =
                json!({ "name": " Ann ", "phone_number": "+31 6 1234-5678", "language": "NL", "external_id": "u-1" });
            let answer = app.post(people, &body).await;
            assert_eq!(answer.header("etag"), "\"1\"");
            let path = answer.header("location").to_owned();
            let created = answer.expect(201);
            assert_eq!(path, format!("{people}/{}", id(&created)));
            let told =
                ["name", "phone_number", "language", "external_id"].map(|field| created[field].as_str().unwrap());
            assert_eq!(told, ["Ann", ANN, "nl", "u-1"]);
            assert_eq!(created["created_at"], created["updated_at"]);
            let got = app.get(&path).await;
            assert_eq!(got.header("etag"), "\"1\"");
            assert_eq!(got.expect(200), created);
            assert_eq!(items(&app, people).await, [created]);
        }
        app.finish().await;
    }

    async fn a_patch_changes_what_it_names_and_null_clears_what_may_be_empty(kind: Kind) {
        let app = TestApp::start(kind).await;
        for people in ROLES {
            let body = json!({ "name": "Ann", "phone_number": ANN, "language": "nl", "external_id": "u-1" });
            let path = app.post(people, &body).await.header("location").to_owned();
            app.tick();
            let answer = app.patch(&path, &json!({ "name": "Anna" })).await;
            assert_eq!(answer.header("etag"), "\"2\"");
            let renamed = answer.expect(200);
            let told =
                ["name", "phone_number", "language", "external_id"].map(|field| renamed[field].as_str().unwrap());
            assert_eq!(told, ["Anna", ANN, "nl", "u-1"]);
            assert!(renamed["updated_at"].as_str() > renamed["created_at"].as_str());
            let cleared = app.patch(&path, &json!({ "language": null, "external_id": null })).await.expect(200);
            assert_eq!((cleared.get("language"), cleared.get("external_id")), (None, None));
            for field in ["name", "phone_number"] {
                let refused = app.patch(&path, &json!({ field: null })).await.expect_problem(422, "invalid_request");
                assert_eq!(refused["errors"][0]["pointer"], format!("/{field}"));
            }
            assert_eq!(app.get(&path).await.expect(200), cleared);
        }
        app.finish().await;
    }

    async fn a_patch_that_changes_nothing_leaves_the_version(kind: Kind) {
        let app = TestApp::start(kind).await;
        for people in ROLES {
            let body = json!({ "name": "Ann", "phone_number": ANN, "language": "nl" });
            let created = app.post(people, &body).await;
            let (path, created) = (created.header("location").to_owned(), created.expect(201));
            app.tick();
            for nothing in [json!({}), json!({ "name": "Ann" }), body] {
                let answer = app.patch(&path, &nothing).await;
                assert_eq!(answer.header("etag"), "\"1\"");
                assert_eq!(answer.expect(200), created);
            }
        }
        app.finish().await;
    }

    async fn somebody_deleted_is_gone_everywhere(kind: Kind) {
        let app = TestApp::start(kind).await;
        app.number(NUMBER, "simulator").await;
        let (ann, bob) = (app.customer("Ann", ANN).await, app.driver("Bob", BOB).await);
        for (people, phone, gone) in [(ROLES[0], ANN, ann), (ROLES[1], BOB, bob)] {
            let path = format!("{people}/{gone}");
            let answer = app.delete(&path).await;
            assert_eq!((answer.status, answer.text.as_str()), (204, ""));
            app.get(&path).await.expect_problem(404, "not_found");
            app.patch(&path, &json!({ "name": "Zoe" })).await.expect_problem(404, "not_found");
            app.delete(&path).await.expect_problem(404, "not_found");
            assert!(items(&app, people).await.is_empty());
            assert!(found(&app, people, phone).await.is_empty());
        }
        let refused = app.ride(ann, bob).await.expect_problem(422, "invalid_request");
        assert_eq!(refused["errors"].as_array().unwrap().len(), 2);
        app.finish().await;
    }

    async fn a_customer_is_no_driver(kind: Kind) {
        let app = TestApp::start(kind).await;
        let (ann, bob, _) = ann_and_bob(&app).await;
        for path in [format!("/v1/drivers/{ann}"), format!("/v1/customers/{bob}")] {
            app.get(&path).await.expect_problem(404, "not_found");
            app.patch(&path, &json!({ "name": "Zoe" })).await.expect_problem(404, "not_found");
            app.delete(&path).await.expect_problem(404, "not_found");
        }
        app.ride(bob, ann).await.expect_problem(422, "invalid_request");
        app.finish().await;
    }

    async fn an_external_id_is_unique_in_its_role_and_free_again_after_deletion(kind: Kind) {
        let app = TestApp::start(kind).await;
        let ann = json!({ "name": "Ann", "phone_number": ANN, "external_id": "u-1" });
        let other = json!({ "name": "Zoe", "phone_number": ANN, "external_id": "u-2" });
        for people in ROLES {
            let first = app.post(people, &ann).await.header("location").to_owned();
            app.post(people, &ann).await.expect_problem(409, "external_id_taken");
            let second = app.post(people, &other).await.header("location").to_owned();
            app.patch(&second, &json!({ "external_id": "u-1" })).await.expect_problem(409, "external_id_taken");
            app.delete(&first).await.expect(204);
            app.patch(&second, &json!({ "external_id": "u-1" })).await.expect(200);
            app.post(people, &other).await.expect(201);
        }
        app.finish().await;
    }

    async fn a_list_is_filtered_by_external_id(kind: Kind) {
        let app = TestApp::start(kind).await;
        for people in ROLES {
            for (name, external_id) in [("Ann", "42"), ("Bea", "420"), ("Cas", "true")] {
                app.post(people, &json!({ "name": name, "phone_number": ANN, "external_id": external_id }))
                    .await
                    .expect(201);
            }
            for (external_id, expected) in [("42", vec!["Ann"]), ("true", vec!["Cas"]), ("4", vec![])] {
                assert_eq!(
                    names(&app, &format!("{people}?external_id={external_id}")).await,
                    expected,
                    "{external_id}"
                );
            }
        }
        app.finish().await;
    }

    async fn a_list_is_filtered_by_the_start_of_a_name_whatever_the_case(kind: Kind) {
        let app = TestApp::start(kind).await;
        let everybody = ["Anna", "ANNE", "Hanna", "100% Taxi", "1000 Taxis", "a_b", "acb", "c\\d", "Éva"];
        let cases: &[(&str, &[&str])] = &[
            ("ann", &["Anna", "ANNE"]),
            ("ANN", &["Anna", "ANNE"]),
            ("100%", &["100% Taxi"]),
            ("a_", &["a_b"]),
            ("c\\", &["c\\d"]),
            ("éV", &["Éva"]),
            ("%", &[]),
            ("nn", &[]),
        ];
        for people in ROLES {
            for name in everybody {
                app.post(people, &json!({ "name": name, "phone_number": ANN })).await.expect(201);
            }
            for (prefix, expected) in cases {
                let query: String = url::form_urlencoded::byte_serialize(prefix.as_bytes()).collect();
                assert_eq!(names(&app, &format!("{people}?name={query}")).await, *expected, "{prefix}");
            }
        }
        app.finish().await;
    }

    async fn a_sigma_is_a_sigma_wherever_it_stands(kind: Kind) {
        let app = TestApp::start(kind).await;
        for people in ROLES {
            for name in ["ΟΔΥΣΣΕΥΣ", "Νίκος"] {
                app.post(people, &json!({ "name": name, "phone_number": ANN })).await.expect(201);
            }
            for (prefix, expected) in [("ΟΔΥΣ", "ΟΔΥΣΣΕΥΣ"), ("οδυσσευς", "ΟΔΥΣΣΕΥΣ"), ("ΝΊΚΟΣ", "Νίκος")]
            {
                let query: String = url::form_urlencoded::byte_serialize(prefix.as_bytes()).collect();
                assert_eq!(names(&app, &format!("{people}?name={query}")).await, [expected], "{prefix}");
            }
        }
        app.finish().await;
    }

    async fn a_list_goes_on_where_its_last_page_ended(kind: Kind) {
        let app = TestApp::start(kind).await;
        for people in ROLES {
            for name in ["A", "B", "C", "D", "E"] {
                app.post(people, &json!({ "name": name, "phone_number": ANN })).await.expect(201);
            }
            for (order, expected) in [("asc", ["A B", "C D", "E"]), ("desc", ["E D", "C B", "A"])] {
                let (mut pages, mut after) = (Vec::new(), String::new());
                loop {
                    let page = app.get(&format!("{people}?limit=2&order={order}{after}")).await.expect(200);
                    let names: Vec<_> =
                        page["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect();
                    pages.push(names.join(" "));
                    let Some(next) = page["next"].as_str() else { break };
                    after = format!("&after={next}");
                }
                assert_eq!(pages, expected, "{order}");
            }
            let whole = app.get(&format!("{people}?limit=5")).await.expect(200);
            assert!(whole["next"].is_null(), "a page that holds the last item has no next");
            for cursor in ["abc", "5", "%00", "YWZ0ZXIv", "YWZ0ZXIvMng"] {
                app.get(&format!("{people}?after={cursor}")).await.expect_problem(400, "invalid_parameter");
            }
        }
        app.finish().await;
    }

    async fn a_phone_finds_everybody_who_has_it(kind: Kind) {
        let app = TestApp::start(kind).await;
        for people in ROLES {
            for (name, phone) in [("Ann", ANN), ("Bea", ANN), ("Luz", "+525512345678"), ("Sol", "+5491123456789")] {
                app.post(people, &json!({ "name": name, "phone_number": phone })).await.expect(201);
            }
            let cases = [
                (ANN, vec!["Ann", "Bea"]),
                ("+31 (0)6 1234 5678", vec!["Ann", "Bea"]),
                // One line, written with and without the mobile digit of its country.
                ("+525512345678", vec!["Luz"]),
                ("+5215512345678", vec!["Luz"]),
                ("+5491123456789", vec!["Sol"]),
                ("+541123456789", vec!["Sol"]),
                (BOB, vec![]),
            ];
            for (phone, expected) in cases {
                let found = found(&app, people, phone).await;
                let names: Vec<_> = found.iter().map(|person| person["name"].as_str().unwrap()).collect();
                assert_eq!(names, expected, "{phone}");
            }
        }
        app.finish().await;
    }

    async fn without_the_right_to_see_phones_everybody_is_masked(kind: Kind) {
        let app = TestApp::start(kind).await;
        let masked = without_reveal(&app).await;
        for people in ROLES {
            let created = masked.post(people, &json!({ "name": "Ann", "phone_number": ANN })).await;
            let path = created.header("location").to_owned();
            let edited = masked.patch(&path, &json!({ "name": "Anna" })).await;
            let unedited = masked.patch(&path, &json!({})).await;
            let got = masked.get(&path).await;
            let listed = masked.get(people).await;
            for answer in [created, edited, unedited, got, listed] {
                let shown = answer.body["items"].get(0).unwrap_or(&answer.body)["phone_number"].as_str();
                assert_eq!(shown, Some(MASKED_ANN), "{}", answer.text);
                assert!(!answer.text.contains("12345"), "{}", answer.text);
            }
            let search = json!({ "phone_number": ANN });
            masked.post(&format!("{people}/search"), &search).await.expect_problem(403, "missing_scope");
            assert_eq!(app.get(&path).await.expect(200)["phone_number"], ANN);
        }
        app.finish().await;
    }

    async fn a_call_tells_who_rang_only_to_those_who_may_see_phones(kind: Kind) {
        let app = TestApp::start(kind).await;
        let (ann, bob, _) = ann_and_bob(&app).await;
        app.ride(ann, bob).await.expect(201);
        app.send_due().await;
        assert_eq!(app.simulate_call(BOB, NUMBER).await["rang"], ANN);
        assert_eq!(without_reveal(&app).await.simulate_call(BOB, NUMBER).await["rang"], MASKED_ANN);
        app.finish().await;
    }

    async fn a_phone_is_either_a_persons_or_the_pools(kind: Kind) {
        let app = TestApp::start(kind).await;
        let (as_a_person, as_a_number) = (
            json!({ "name": "Ann", "phone_number": NUMBER }),
            |phone| json!({ "phone_number": phone, "provider": "simulator" }),
        );
        let number = app.number(NUMBER, "simulator").await;
        for people in ROLES {
            app.post(people, &as_a_person).await.expect_problem(409, "phone_is_pool_number");
            let ann =
                app.post(people, &json!({ "name": "Ann", "phone_number": ANN })).await.header("location").to_owned();
            app.patch(&ann, &json!({ "phone_number": NUMBER })).await.expect_problem(409, "phone_is_pool_number");
            app.post("/v1/numbers", &as_a_number(ANN)).await.expect_problem(409, "number_is_persons_phone");
            app.delete(&ann).await.expect(204);
        }
        app.delete(&format!("/v1/numbers/{number}")).await.expect(204);
        for people in ROLES {
            app.post(people, &as_a_person).await.expect(201);
        }
        app.post("/v1/numbers", &as_a_number(NUMBER)).await.expect_problem(409, "number_is_persons_phone");
        app.post("/v1/numbers", &as_a_number(ANN)).await.expect(201);
        app.finish().await;
    }

    async fn a_phone_never_becomes_a_persons_and_the_pools_at_once(kind: Kind) {
        let app = TestApp::start(kind).await;
        for (people, first) in [(ROLES[0], 10), (ROLES[1], 30)] {
            let zoe =
                app.post(people, &json!({ "name": "Zoe", "phone_number": BOB })).await.header("location").to_owned();
            for last in first..first + 15 {
                let phone = format!("+316111222{last}");
                let (number, person, patch) = (
                    json!({ "phone_number": phone, "provider": "simulator" }),
                    json!({ "name": "Ann", "phone_number": phone }),
                    json!({ "phone_number": phone }),
                );
                let (number, person, patch) =
                    tokio::join!(app.post("/v1/numbers", &number), app.post(people, &person), app.patch(&zoe, &patch));
                let statuses = (number.status, person.status, patch.status);
                assert!(matches!(statuses, (201, 409, 409) | (409, 201, 200)), "{statuses:?}");
            }
        }
        app.finish().await;
    }

    async fn somebody_with_open_contact_keeps_their_record(kind: Kind) {
        let mut app = TestApp::start(kind).await;
        let (ann, bob, _) = ann_and_bob(&app).await;
        let ride = format!("/v1/rides/{}", id(&app.ride(ann, bob).await.expect(201)));
        app.send_due().await;
        let both = [(format!("/v1/customers/{ann}"), ANN), (format!("/v1/drivers/{bob}"), BOB)];
        for status in [None, Some("in_progress"), Some("completed")] {
            if let Some(status) = status {
                app.patch(&ride, &json!({ "status": status })).await.expect(200);
            }
            for (path, phone) in &both {
                app.delete(path).await.expect_problem(409, "contact_window_open");
                assert_eq!(app.get(path).await.expect(200)["phone_number"], *phone);
                let harmless = json!({ "phone_number": phone, "name": "Zoe" });
                app.patch(path, &harmless).await.expect(200);
            }
        }
        app.advance(Duration::hours(24)).await;
        for (path, _) in &both {
            app.delete(path).await.expect(204);
        }
        app.finish().await;
    }

    async fn if_match_lets_only_the_present_version_through(kind: Kind) {
        let app = TestApp::start(kind).await;
        for people in ROLES {
            let path =
                app.post(people, &json!({ "name": "Ann", "phone_number": ANN })).await.header("location").to_owned();
            patch_if(&app, &path, "\"1\"", &json!({ "name": "Bea" })).await.expect(200);
            patch_if(&app, &path, "*", &json!({ "name": "Cas" })).await.expect(200);
            for stale in ["\"1\"", "\"4\"", "W/\"4\"", "\"\"", "\"-1\"", "\"garbage\"", "\"99999999999999999999\""] {
                patch_if(&app, &path, stale, &json!({ "name": "Zoe" })).await.expect_problem(412, "stale_version");
                let refused = app.raw("DELETE", &path, &[("if-match", stale)], Vec::new()).await;
                refused.expect_problem(412, "stale_version");
            }
            let got = app.get(&path).await;
            assert_eq!((got.header("etag"), got.body["name"].as_str()), ("\"3\"", Some("Cas")));
            app.raw("DELETE", &path, &[("if-match", "\"3\"")], Vec::new()).await.expect(204);
        }
        app.finish().await;
    }

    async fn of_two_edits_of_one_version_only_one_succeeds(kind: Kind) {
        let app = TestApp::start(kind).await;
        for people in ROLES {
            let path =
                app.post(people, &json!({ "name": "Ann", "phone_number": ANN })).await.header("location").to_owned();
            for version in 1..=5 {
                let seen = format!("\"{version}\"");
                let (bea, cas) =
                    (json!({ "name": format!("Bea {version}") }), json!({ "name": format!("Cas {version}") }));
                let (one, other) = tokio::join!(patch_if(&app, &path, &seen, &bea), patch_if(&app, &path, &seen, &cas));
                let mut statuses = [one.status, other.status];
                statuses.sort_unstable();
                assert_eq!(statuses, [200, 412]);
                let winner = if one.status == 200 { one } else { other };
                assert_eq!(app.get(&path).await.expect(200), winner.body);
            }
        }
        app.finish().await;
    }
}
