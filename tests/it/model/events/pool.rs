//! Numbers come, are drained and suspended, leave the pool, and come again.

use serde_json::json;

use crate::model::{
    lines::{Line, POOL},
    oracle::Number,
    world::World,
};

impl World {
    pub(super) async fn add_number(&mut self) {
        let line = Line::at(self.dice.usize(POOL));
        let mut refusals = Vec::new();
        if self.oracle.pooled(line).is_some() {
            refusals.push((409, "number_exists"));
        }
        if self.oracle.is_persons(line) {
            refusals.push((409, "number_is_persons_phone"));
        }
        let status = if self.dice.u32(..6) == 0 { "draining" } else { "active" };
        let body = json!({ "phone_number": line.spellings()[0], "provider": "messagebird", "status": status });
        let reply = self.api("POST", "/v1/numbers", Some(&body)).await;
        if self.agree(&reply, &refusals, 201) {
            let id = reply.body["id"].as_i64().expect("an id");
            let before = self.oracle.numbers.insert(id, Number { line, status, capable: true, deleted: false });
            assert!(before.is_none_or(|before| before.line == line && before.deleted), "another number's id");
            self.count("numbers added");
        }
    }

    fn a_number(&mut self) -> Option<i64> {
        let living: Vec<_> =
            self.oracle.numbers.iter().filter(|(_, number)| !number.deleted).map(|(id, _)| *id).collect();
        self.dice.choice(living)
    }

    pub(super) async fn change_number(&mut self) {
        let Some(id) = self.a_number() else { return self.add_number().await };
        let path = format!("/v1/numbers/{id}");
        if self.dice.u32(..5) == 0 {
            let capable = self.dice.u32(..4) > 0;
            let capabilities = if capable { json!(["sms", "voice"]) } else { json!(["sms"]) };
            let reply = self.api("PATCH", &path, Some(&json!({ "capabilities": capabilities }))).await;
            assert_eq!(reply.status, 200, "{}", reply.text);
            self.oracle.numbers.get_mut(&id).expect("a number").capable = capable;
            return self.count("capabilities changed");
        }
        let status = match self.dice.u32(..8) {
            0 | 1 => "draining",
            2 | 3 => "suspended",
            _ => "active",
        };
        let reply = self.api("PATCH", &path, Some(&json!({ "status": status }))).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        self.oracle.numbers.get_mut(&id).expect("a number").status = status;
        self.count(&format!("numbers {status}"));
    }

    pub(super) async fn delete_number(&mut self) {
        let Some(id) = self.a_number() else { return self.add_number().await };
        let open = self.oracle.open_rides(id, self.now());
        let refusals = if open > 0 { vec![(409, "number_in_use")] } else { Vec::new() };
        let reply = self.api("DELETE", &format!("/v1/numbers/{id}"), None).await;
        if self.agree(&reply, &refusals, 204) {
            self.oracle.numbers.get_mut(&id).expect("a number").deleted = true;
            self.count("numbers deleted");
        } else {
            assert_eq!(reply.body["open_rides"].as_u64(), Some(open as u64), "{}", reply.text);
        }
    }
}
