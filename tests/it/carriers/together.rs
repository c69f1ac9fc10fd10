//! All providers at once, in one service: no ride hears of another's.

use serde_json::json;

use super::every;
use crate::harness::{
    Kind, TestApp,
    carrier::{News, Ring, Signer, StandIn},
    id, on_both_databases,
};

on_both_databases! {
    async fn every_provider_serves_its_own_ride(kind: Kind) {
        let carriers = every();
        let mut apis = Vec::new();
        for carrier in &carriers {
            apis.push(StandIn::of(std::sync::Arc::clone(carrier)).await);
        }
        let accounts: Vec<_> = carriers.iter().zip(&apis).flat_map(|(carrier, api)| carrier.account(&api.base)).collect();
        let accounts: Vec<_> = accounts.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let app = TestApp::with(kind, &accounts).await;

        // A number, a pair and a ride for each. Only the pair's own number takes rides at that moment.
        let mut rides = Vec::new();
        for (at, carrier) in carriers.iter().enumerate() {
            let number = format!("+319701020010{at}");
            let pair = (format!("+3161234560{at}"), format!("+3168765430{at}"));
            let number_id = app.number(&number, carrier.name()).await;
            let (customer, driver) = (app.customer("Ann", &pair.0).await, app.driver("Bob", &pair.1).await);
            let ride = app.ride(customer, driver).await.expect(201);
            assert_eq!(ride["proxy_number"], number);
            app.patch(&format!("/v1/numbers/{number_id}"), &json!({ "status": "draining" })).await.expect(200);
            rides.push((id(&ride), number, pair));
        }
        app.send_due().await;
        for ((carrier, api), (_, number, pair)) in carriers.iter().zip(&apis).zip(&rides) {
            let mut sent: Vec<_> = api.take().iter().map(|sent| carrier.read(sent)).collect();
            sent.sort_by(|one, other| one.to.cmp(&other.to));
            assert!(sent.iter().all(|sent| sent.from == *number) && sent.len() == 2);
            assert_eq!((&sent[0].to, &sent[1].to), (&pair.0, &pair.1));
        }

        // Everybody texts and calls at once; the ids are the same at every provider.
        let webhooks = carriers.iter().zip(&rides).flat_map(|(carrier, (_, number, pair))| {
            let call = Ring { id: "c1", from: &pair.1, number, to: "" };
            [
                carrier.text("t1", &pair.0, number, &format!("to {}", pair.1), &[]),
                carrier.text("t2", &pair.1, number, &format!("to {}", pair.0), &[]),
                carrier.call(call),
            ]
            .map(|webhook| (carrier, webhook))
        });
        let answers = webhooks.map(async |(carrier, webhook)| {
            let proof = carrier.sign(&webhook, Signer::Ours, app.now());
            app.webhook(&webhook, &proof).await
        });
        let answers = futures_util::future::join_all(answers).await;
        assert!(answers.iter().all(|answer| answer.status == 200));
        for (flow, (_, number, pair)) in answers.iter().skip(2).step_by(3).zip(&rides) {
            assert!(flow.text.contains(&pair.0[1..]) && !flow.text.contains(&pair.1[1..]), "{}", flow.text);
            let others = rides.iter().filter(|(_, other, _)| other != number);
            assert!(others.clone().all(|(_, other, _)| !flow.text.contains(&other[1..])));
        }
        app.send_due().await;
        for ((carrier, api), (ride, number, pair)) in carriers.iter().zip(&apis).zip(&rides) {
            let sent = api.take();
            let mut carried: Vec<_> = sent.iter().map(|sent| carrier.read(sent)).collect();
            carried.sort_by(|one, other| one.to.cmp(&other.to));
            assert_eq!(carried.len(), 2, "{}", carrier.name());
            for (carried, to) in carried.iter().zip([&pair.0, &pair.1]) {
                assert_eq!((&carried.from, &carried.to, &carried.text), (number, to, &format!("to {to}")));
            }
            for sent in &sent {
                let webhook = carrier.report(sent, &sent.provider_id, News::Delivered);
                let proof = carrier.sign(&webhook, Signer::Ours, app.now());
                assert_eq!(app.webhook(&webhook, &proof).await.status, 200);
            }
            let items = app.timeline(*ride).await;
            let delivered = items.iter().filter(|item| item["kind"] == "relay" && item["status"] == "delivered").count();
            let calls = items.iter().filter(|item| item["type"] == "call" && item["status"] == "connecting").count();
            assert_eq!((delivered, calls), (2, 1), "{}", carrier.name());
        }
        app.finish().await;
    }
}
