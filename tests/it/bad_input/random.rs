//! Bodies that nobody would think of.

use serde_json::{Map, Value, json};

use super::{World, body_fields, writes};
use crate::harness::{Kind, on_both_databases, spec::Operation};

const BODIES: usize = 300;

/// A generator of values: the same for every run.
struct Values(u64);

impl Values {
    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).expect("it fits")
    }

    fn one_of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        let at = self.below(all.len());
        &all[at]
    }

    fn text(&mut self) -> String {
        let pieces = [
            "a",
            "Z",
            " ",
            "0",
            "9",
            "+",
            "-",
            "+316",
            "12345678",
            "é",
            "ß",
            "İ",
            "\u{301}",
            "🎩",
            "\u{10ffff}",
            "\u{ffff}",
            "\u{0}",
            "\n",
            "\u{202e}",
            "'",
            "\"",
            "\\",
            "%",
            "_",
            "/",
            "~1",
            "$1",
            ";--",
            "{}",
            "null",
            "T",
            ":",
            "2026",
            "12",
            "Z",
            "rides:read",
            "sms",
        ];
        (0..self.below(12)).map(|_| *self.one_of(&pieces)).collect()
    }

    fn value(&mut self, depth: usize) -> Value {
        let numbers = [
            json!(0),
            json!(-1),
            json!(1),
            json!(2),
            json!(i64::MAX),
            json!(u64::MAX),
            json!(i64::MIN),
            json!(0.1),
            json!(-1e308),
        ];
        match self.below(if depth == 0 { 5 } else { 7 }) {
            0 => Value::Null,
            1 => Value::Bool(self.below(2) == 0),
            2 => self.one_of(&numbers).clone(),
            3 | 4 => Value::String(self.text()),
            5 => (0..self.below(4)).map(|_| self.value(depth - 1)).collect(),
            _ => (0..self.below(4)).map(|_| (self.text(), self.value(depth - 1))).collect::<Map<_, _>>().into(),
        }
    }

    /// A body that is right in places.
    fn body(&mut self, operation: &Operation, good: &Value) -> Value {
        if self.below(10) == 0 {
            return self.value(4);
        }
        let mut body = Map::new();
        for (name, _) in body_fields(operation) {
            match self.below(8) {
                0 => {}
                1 | 2 => drop(body.insert(name.to_owned(), self.value(2))),
                _ => drop(good.get(name).map(|good| body.insert(name.to_owned(), good.clone()))),
            }
        }
        if self.below(10) == 0 {
            body.insert(self.text(), self.value(2));
        }
        body.into()
    }
}

on_both_databases! {
    async fn no_body_breaks_anything(kind: Kind) {
        let world = World::start(kind).await;
        let operations = writes();
        let (mut values, mut taken) = (Values(0x6d61_736b), 0);
        for _ in 0..BODIES {
            let operation = values.one_of(&operations);
            let body = values.body(operation, &world.good(operation));
            let answer = world.json(&operation.method, &world.path(operation), &[], &body).await;
            assert!(answer.status < 500, "{} {body}: {}", operation.id, answer.text);
            if answer.status >= 400 {
                assert_eq!(answer.header("content-type"), "application/problem+json");
            } else {
                taken += 1;
            }
        }
        assert!((BODIES / 20..BODIES / 2).contains(&taken), "{taken} of {BODIES} were taken: too many or too few");
        world.everything().await;
        world.send_due().await;
        world.app.finish().await;
    }
}
