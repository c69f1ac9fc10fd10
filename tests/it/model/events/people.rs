//! People come, get other phones, and are erased.

use serde_json::json;

use crate::model::{
    lines::{Line, PHONES},
    oracle::{Person, Role},
    world::World,
};

/// More would meet too seldom.
const MOST_PEOPLE: usize = 18;

impl World {
    /// A phone, in one of its spellings: shared, somebody else's before, or the pool's.
    pub(super) fn a_phone(&mut self) -> &'static str {
        let line = Line::at(self.dice.usize(PHONES));
        self.dice.choice(line.spellings()).expect("a spelling")
    }

    pub(super) fn a_name(&mut self, role: Role) -> String {
        let letter = if role == Role::Customer { 'C' } else { 'D' };
        format!("{letter}{}z", self.another())
    }

    pub(super) async fn create_person(&mut self) {
        if self.oracle.people.len() >= MOST_PEOPLE {
            return self.erase_person().await;
        }
        let role = self.a_role();
        let (name, phone) = (self.a_name(role), self.a_phone());
        let external_id = (self.dice.u32(..3) == 0).then(|| self.an_external_id());
        let mut refusals = Vec::new();
        if self.oracle.pooled(Line::of(phone)).is_some() {
            refusals.push((409, "phone_is_pool_number"));
        }
        if external_id.as_ref().is_some_and(|id| self.oracle.by_external(role, id).is_some()) {
            refusals.push((409, "external_id_taken"));
        }
        let mut body = json!({ "name": name, "phone_number": phone });
        if let Some(id) = &external_id {
            body["external_id"] = id.as_str().into();
        }
        let reply = self.api("POST", role.path(), Some(&body)).await;
        if self.agree(&reply, &refusals, 201) {
            let id = reply.body["id"].as_i64().expect("an id");
            self.oracle.people.insert(id, Person { role, name, phone, external_id });
            self.count("people made");
        }
    }

    /// The platform knows some people by few ids of its own.
    pub(super) fn an_external_id(&mut self) -> String {
        format!("x{}", self.dice.u32(..6))
    }

    pub(super) async fn change_phone(&mut self) {
        let role = self.a_role();
        let Some(id) = self.a_person(role) else { return self.create_person().await };
        let phone = self.a_phone();
        let now = self.now();
        let refusals = self.oracle.phone_refusals(id, phone, now);
        let reply = self.api("PATCH", &format!("{}/{id}", role.path()), Some(&json!({ "phone_number": phone }))).await;
        if self.agree(&reply, &refusals, 200) {
            assert_eq!(reply.body["phone_number"], phone);
            let moved = self.oracle.has_open_contact(id, now) && self.oracle.people[&id].line() != Line::of(phone);
            self.oracle.change_phone(id, phone, now);
            self.count(if moved { "phones changed with open rides" } else { "phones changed" });
        } else if reply.code() == "phone_barred" {
            assert_eq!(reply.body["rides"], json!(self.oracle.phone_conflicts(id, phone, now)), "{}", reply.text);
        }
    }

    pub(super) async fn erase_person(&mut self) {
        let role = self.a_role();
        let Some(id) = self.a_person(role) else { return self.tell("nobody to erase") };
        let mut refusals = Vec::new();
        if self.oracle.has_open_contact(id, self.now()) {
            refusals.push((409, "contact_window_open"));
        }
        let reply = self.api("DELETE", &format!("{}/{id}", role.path()), None).await;
        if self.agree(&reply, &refusals, 204) {
            self.oracle.people.remove(&id);
            self.count("people erased");
        }
    }
}
