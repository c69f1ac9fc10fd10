//! Everybody reads and hears their own language, or the nearest to it.

use std::sync::Arc;

use chrono::Duration;
use serde_json::{Value, json};

use crate::{
    carriers::{stage::Stage, twilio::Twilio},
    harness::{
        Kind, TestApp,
        carrier::{CallNews, Carrier},
        id, on_both_databases,
    },
    ride::{ANN, BOB, NUMBER, ann_and_bob},
};

const STRANGER: &str = "+31611112222";

async fn person(app: &TestApp, role: &str, name: &str, phone: &str, language: &str) -> i64 {
    let body = json!({ "name": name, "phone_number": phone, "language": language });
    id(&app.post(&format!("/v1/{role}"), &body).await.expect(201))
}

async fn last_text(app: &TestApp, phone: &str) -> String {
    app.screen(phone).await.last().expect("an entry")["text"].as_str().expect("words").to_owned()
}

async fn heard(app: &TestApp, from: &str, to: &str) -> String {
    app.simulate_call(from, to).await["heard"].as_str().expect("a sentence").to_owned()
}

on_both_databases! {
    async fn notices_are_in_the_language_of_who_reads_them(kind: Kind) {
        let app = TestApp::start(kind).await;
        app.number(NUMBER, "simulator").await;
        let anna = person(&app, "customers", "Anna", ANN, "nl-be").await;
        assert_eq!(app.get(&format!("/v1/customers/{anna}")).await.expect(200)["language"], "nl-BE");
        let bernd = person(&app, "drivers", "Bernd", BOB, "DE").await;
        let body = json!({
            "customer_id": anna, "driver_id": bernd, "start": "Dam 1", "destination": "{name}",
            "datetime": (app.now() + Duration::hours(1)).to_rfc3339(),
        });
        let ride = id(&app.post("/v1/rides", &body).await.expect(201));
        app.send_due().await;
        let (anna_reads, bernd_reads) = (last_text(&app, ANN).await, last_text(&app, BOB).await);
        assert!(anna_reads.starts_with("Hallo Anna. Bernd haalt u "), "{anna_reads}");
        assert!(anna_reads.contains(" op bij Dam 1 voor de rit naar {name}. Antwoord op dit bericht"), "{anna_reads}");
        assert!(bernd_reads.starts_with("Guten Tag Bernd, Anna erwartet Sie am "), "{bernd_reads}");
        assert!(bernd_reads.contains(" Uhr. Abholort: Dam 1. Ziel: {name}. Um Anna zu erreichen"), "{bernd_reads}");

        app.tick();
        app.patch(&format!("/v1/rides/{ride}"), &json!({ "datetime": "2099-03-07T08:05:00+01:00" })).await.expect_problem(422, "invalid_request");
        app.patch(&format!("/v1/drivers/{bernd}"), &json!({ "language": "fr" })).await.expect(200);
        app.patch(&format!("/v1/rides/{ride}"), &json!({ "start": "Leidseplein" })).await.expect(200);
        app.send_due().await;
        assert!(last_text(&app, ANN).await.starts_with("Hallo Anna. Uw rit is gewijzigd: Bernd haalt u "));
        assert!(last_text(&app, BOB).await.starts_with("Bonjour Bernd. Votre trajet a été modifié : Anna vous attendra le "));
        app.finish().await;
    }

    async fn who_reads_another_language_or_none_has_the_default_one(kind: Kind) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("es.toml"), "confirmation_customer = 'Hola {name}, {{su}} viaje'").unwrap();
        let words = [("TEMPLATES_DIR", folder.path().to_str().unwrap()), ("DEFAULT_LANGUAGE", "es")];
        let app = TestApp::with(kind, &words).await;
        app.number(NUMBER, "simulator").await;
        let (ann, bob) = (app.customer("Ann", ANN).await, person(&app, "drivers", "Bob", BOB, "pl").await);
        app.ride(ann, bob).await.expect(201);
        app.send_due().await;
        assert_eq!(last_text(&app, ANN).await, "Hola Ann, {su} viaje");
        assert!(last_text(&app, BOB).await.starts_with("Hola, Bob. Ann le esperará el "));
        app.finish().await;
    }

    async fn callers_hear_their_own_language_or_that_of_the_number(kind: Kind) {
        let mut app = TestApp::start(kind).await;
        let (ann, bob, _) = ann_and_bob(&app).await;
        app.number("+442071234567", "simulator").await;
        app.number("+48221234567", "simulator").await;
        let dutch = "We kunnen u via dit nummer nu niet doorverbinden.";
        let english = "This number cannot connect you at the moment.";
        assert!(heard(&app, STRANGER, NUMBER).await.starts_with(dutch));
        assert!(heard(&app, STRANGER, "+442071234567").await.starts_with(english));
        assert!(heard(&app, STRANGER, "+48221234567").await.starts_with(english), "no words for Polish");
        assert!(heard(&app, STRANGER, "+4930123456").await.starts_with("Über diese Nummer"), "not ours, and in Germany");
        assert!(heard(&app, ANN, NUMBER).await.starts_with(dutch), "Ann has no language");
        person(&app, "customers", "Camille", "+33612345678", "fr").await;
        assert!(heard(&app, "+33612345678", NUMBER).await.starts_with("Ce numéro ne peut pas"), "known, without a ride");

        let ride = id(&app.ride(ann, bob).await.expect(201));
        app.send_due().await;
        app.patch(&format!("/v1/rides/{ride}"), &json!({ "status": "cancelled" })).await.expect(200);
        app.patch(&format!("/v1/drivers/{bob}"), &json!({ "language": "pt" })).await.expect(200);
        app.advance(Duration::hours(1)).await;
        assert!(heard(&app, BOB, NUMBER).await.starts_with("De momento, não podemos"));
        let closed = app.get("/v1/calls?order=desc&limit=1").await.expect(200);
        assert_eq!(closed["items"][0]["reason"], "contact_closed");
        app.finish().await;
    }

    async fn a_caller_whose_party_does_not_answer_hears_their_own_language(kind: Kind) {
        let carrier: Arc<dyn Carrier> = Arc::new(Twilio);
        let stage = Stage::under_way(&carrier, kind).await;
        let busy = async |key: &str| {
            stage.call(key, BOB).await;
            let answers = stage.call_news(key, BOB, ANN, CallNews::Busy).await;
            answers.into_iter().map(|answer| answer.text).collect::<String>()
        };
        let said = busy("c1").await;
        assert!(said.contains("nl-NL") && said.contains("op dit moment niet bereikbaar"), "{said}");
        let driver = stage.app.get("/v1/drivers").await.expect(200)["items"][0]["id"].clone();
        stage.app.patch(&format!("/v1/drivers/{driver}"), &json!({ "language": "de" })).await.expect(200);
        let said = busy("c2").await;
        assert!(said.contains("de-DE") && said.contains("im Moment nicht erreichbar"), "{said}");
        stage.app.finish().await;
    }
}

#[tokio::test]
async fn every_word_of_the_document_about_languages_is_true() {
    let app = TestApp::start(Kind::Sqlite).await;
    let wrong = json!({ "name": "Ann", "phone_number": ANN, "language": "nl_NL" });
    let problem: Value = app.post("/v1/customers", &wrong).await.expect_problem(422, "invalid_request");
    assert_eq!(problem["errors"][0]["pointer"], "/language");
    app.finish().await;
}
