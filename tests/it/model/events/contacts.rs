//! Phones text and call numbers; texts go out, or fail; news of them come back.

use serde_json::json;

use crate::{
    carriers::messagebird::MessageBird,
    harness::carrier::{Carrier as _, News, Ring},
    model::{
        lines::{ELSEWHERE, Line, PHONES, POOL, STRANGER, digits_of_people},
        network::Fate,
        oracle::{Kind, Words},
        world::World,
    },
};

impl World {
    /// Who contacts whom: mostly somebody who has or had a ride on that number. No line: a hidden caller.
    fn a_contact(&mut self) -> (Option<Line>, &'static str, Line) {
        let (now, oracle) = (self.now(), &self.oracle);
        let open = oracle.tenures.iter().filter(|(_, tenure)| oracle.rides[&tenure.ride].is_open(now));
        let open: Vec<_> = open.map(|(at, _)| *at).collect();
        let known: Vec<_> = oracle.tenures.keys().copied().collect();
        let (open, known) = (self.dice.choice(open), self.dice.choice(known));
        let (from, to) = match (open, known, self.dice.u32(..20)) {
            (Some((number, line)), _, 0..10) | (_, Some((number, line)), 10..15) => {
                (line, self.oracle.numbers[&number].line)
            }
            (.., 0..18) => (Line::at(self.dice.usize(PHONES)), Line::at(self.dice.usize(POOL))),
            _ => match self.dice.u32(..4) {
                0 => (STRANGER, Line::at(self.dice.usize(POOL))),
                1 => (Line::at(self.dice.usize(PHONES)), ELSEWHERE),
                2 => (Line::at(self.dice.usize(POOL)), Line::at(self.dice.usize(POOL))),
                _ => return (None, "anonymous", Line::at(self.dice.usize(POOL))),
            },
        };
        (Some(from), self.dice.choice(from.spellings()).expect("a spelling"), to)
    }

    pub(super) async fn text(&mut self) {
        let (from, spelled, to) = self.a_contact();
        let words = format!("t{} says hello", self.another());
        let webhook = MessageBird.text(&words, spelled, to.spellings()[0], &words, &[]);
        self.tell(&format!("text {spelled} > {}: {words}", to.spellings()[0]));
        let reply = self.webhook(&webhook).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        self.texts.push(webhook);
        let now = self.now();
        match self.oracle.reached(from, to, now) {
            Some((ride, role)) => {
                self.tell(&format!("-> the {} of ride {ride}", role.word()));
                assert!(self.oracle.owe(ride, role, Words::Exactly(words), Kind::Relay, now));
                self.count("texts for somebody");
            }
            None => self.count("texts for nobody"),
        }
    }

    /// The provider sends a text again, byte for byte, though it was taken.
    pub(super) async fn repeat_text(&mut self) {
        let recent: Vec<_> = self.texts.iter().rev().take(5).cloned().collect();
        let Some(webhook) = self.dice.choice(recent) else { return };
        self.tell(&format!("again: {}", webhook.body));
        let reply = self.webhook(&webhook).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        self.count("texts repeated");
    }

    pub(super) async fn call(&mut self) {
        let (from, spelled, to) = self.a_contact();
        let key = format!("c{}", self.another());
        self.tell(&format!("call {spelled} > {}", to.spellings()[0]));
        let ring = Ring { id: &key, from: spelled, number: to.spellings()[0], to: "" };
        let reply = self.webhook(&MessageBird.call(ring)).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        match self.oracle.reached(from, to, self.now()) {
            Some((ride, role)) => {
                let (phone, _) = self.oracle.way(ride, role);
                let flow = format!("<Transfer destination=\"{}\" mask=\"true\"/>", &phone[1..]);
                assert!(
                    reply.text.ends_with(&flow),
                    "not connected to the {} of ride {ride}: {}",
                    role.word(),
                    reply.text
                );
                self.count("calls to somebody");
            }
            None => {
                let digits = digits_of_people().find(|digits| reply.text.contains(digits));
                assert!(!reply.text.contains("Transfer") && digits.is_none(), "connected: {}", reply.text);
                self.count("calls to nobody");
            }
        }
    }

    pub(super) async fn platform_text(&mut self) {
        let Some(ride) = self.a_ride() else { return };
        let (to, text, now) = (self.a_role(), format!("p{} from the platform", self.another()), self.now());
        let refusals = match &self.oracle.rides[&ride] {
            known if known.deleted => vec![(404, "not_found")],
            known if !known.is_open(now) => vec![(409, "contact_closed")],
            _ => Vec::new(),
        };
        let body = json!({ "to": to.word(), "text": text });
        let reply = self.api("POST", &format!("/v1/rides/{ride}/messages"), Some(&body)).await;
        if self.agree(&reply, &refusals, 202) {
            self.oracle.owe(ride, to, Words::Exactly(text), Kind::Other, now);
            self.count("platform texts");
        }
    }

    /// The worker looks at what is owed.
    pub(super) async fn send_due(&mut self) {
        self.tell("send what is due:");
        self.running.send_due().await;
        let now = self.now();
        for sent in self.network.take() {
            self.tell(&sent.to_string());
            let digits = digits_of_people().find(|digits| sent.text.contains(digits));
            assert!(digits.is_none(), "the mask slipped: {sent}");
            self.oracle.take_sent(&sent, now);
            self.count(&format!("sends: {:?}", sent.fate));
            if sent.fate == Fate::Doubt {
                self.doubts.push(sent);
            }
        }
        self.oracle.check_nothing_due(now);
    }

    /// The network tells that a text of which nobody knew did arrive.
    pub(super) async fn report(&mut self) {
        // In an order of their own: which of several sends came first is nobody's choice.
        self.doubts.sort_by(|one, other| one.text.cmp(&other.text));
        let Some(sent) = self.doubts.pop() else { return };
        self.tell(&format!("delivered: {}", sent.text));
        let webhook = MessageBird.report(&sent.request, &sent.request.provider_id, News::Delivered);
        let reply = self.webhook(&webhook).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        let now = self.now();
        self.oracle.settle(&sent.text, now);
        self.count("reports");
    }
}
