//! Ways to write a phone: national variants, and what comes along when one is pasted.

use serde_json::{Value, json};

use super::{ROLES, found};
use crate::{
    harness::{Kind, TestApp, id, on_both_databases},
    ride::{ANN, BOB, NUMBER, ann_and_bob},
};

/// What is written, and what is kept.
const WRITTEN: [(&str, &str); 6] = [
    ("+5215512345679", "+525512345679"),
    ("+52 1 55 1234 5679", "+525512345679"),
    ("\u{202a}+31612345678\u{202c}", ANN),
    ("\u{feff}+31\u{a0}6\u{2009}12\u{2011}34\u{2212}56\u{3000}78\u{200b}", ANN),
    ("\u{ff0b}\u{ff13}\u{ff11}\u{ff16}\u{ff11}\u{ff12}\u{ff13}\u{ff14}\u{ff15}\u{ff16}\u{ff17}\u{ff18}", ANN),
    ("+٣١٦١٢٣٤٥٦٧٨", ANN),
];

fn texts(items: &Value) -> Vec<&str> {
    items["items"].as_array().expect("items").iter().filter_map(|item| item["text"].as_str()).collect()
}

on_both_databases! {
    async fn a_phone_is_read_however_it_is_written(kind: Kind) {
        let app = TestApp::start(kind).await;
        for people in ROLES {
            for (written, kept) in WRITTEN {
                let made = app.post(people, &json!({ "name": "Ann", "phone_number": written })).await.expect(201);
                assert_eq!(made["phone_number"], kept, "{}", written.escape_unicode());
                let path = format!("{people}/{}", id(&made));
                app.patch(&path, &json!({ "phone_number": BOB })).await.expect(200);
                let changed = app.patch(&path, &json!({ "phone_number": written })).await.expect(200);
                assert_eq!(changed["phone_number"], kept);
                assert!(found(&app, people, written).await.iter().any(|person| person["id"] == made["id"]));
                app.delete(&path).await.expect(204);
            }
        }
        for (at, (written, kept)) in WRITTEN.into_iter().enumerate() {
            let body = json!({ "phone_number": written, "provider": "simulator" });
            let number = app.post("/v1/numbers", &body).await.expect(201);
            assert_eq!(number["phone_number"], kept, "{at}");
            app.delete(&format!("/v1/numbers/{}", id(&number))).await.expect(204);
        }
        for wrong in ["+5215512", "+52100000000000", "\u{202a}\u{202c}", "31612345678\u{200b}", "+31612345678\u{0}", "+31612345\u{7}678"] {
            let refused = app.post("/v1/drivers", &json!({ "name": "X", "phone_number": wrong })).await.expect_problem(422, "invalid_request");
            assert_eq!(refused["errors"][0]["pointer"], "/phone_number");
            assert!(refused["errors"][0]["detail"].as_str().unwrap().starts_with("must be a valid phone number"));
        }
        app.finish().await;
    }

    async fn both_ways_to_write_a_line_reach_its_ride(kind: Kind) {
        let app = TestApp::with(kind, &[("SUPPORT_NUMBER", "\u{202a}+52 1 55 9876 5432\u{202c}")]).await;
        ann_and_bob(&app).await;
        let body = json!({
            "customer": { "external_id": "luz", "name": "Luz", "phone_number": "+5215512345679" },
            "driver": { "external_id": "sol", "name": "Sol", "phone_number": "\u{2066}+54 9 11 2345\u{2010}6789\u{2069}" },
            "start": "A", "destination": "B", "datetime": (app.now() + chrono::Duration::hours(1)).to_rfc3339(), "notify": false,
        });
        app.post("/v1/rides", &body).await.expect(201);
        for (at, from) in ["+5215512345679", "+525512345679", "\u{202a}+52 1 55 1234 5679\u{202c}"].iter().enumerate() {
            app.simulate_text(from, NUMBER, &format!("from Luz {at}")).await;
            app.send_due().await;
        }
        let screen = app.get("/v1/simulator/phones/+5491123456789").await.expect(200);
        assert_eq!(texts(&screen), ["from Luz 0", "from Luz 1", "from Luz 2"]);
        for from in ["+5491123456789", "+541123456789"] {
            assert_eq!(app.simulate_call(from, NUMBER).await["rang"], "+525512345679");
        }
        assert_eq!(app.simulate_call("+31611112222", NUMBER).await["rang"], "+525598765432", "support is dialled as today");
        // One line may not be both parties, however it is written.
        let mut same = body.clone();
        same["driver"] = json!({ "external_id": "eva", "name": "Eva", "phone_number": "+52 1 55 1234-5679" });
        app.post("/v1/rides", &same).await.expect_problem(422, "same_phone");
        app.finish().await;
    }
}
