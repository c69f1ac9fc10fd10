//! Texts that are owed, and what may become of them.

use std::collections::VecDeque;

use chrono::Duration;

use super::{Line, Oracle, Role, Time};
use crate::model::network::{Fate, Sent};

/// By which a text is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Words {
    /// All of it.
    Exactly(String),
    /// How it begins, and what else is in it.
    Notice { greeting: String, parts: Vec<String> },
}

impl Words {
    fn are(&self, text: &str) -> bool {
        match self {
            Self::Exactly(words) => text == words,
            Self::Notice { greeting, parts } => {
                text.starts_with(greeting) && parts.iter().all(|part| text.contains(part))
            }
        }
    }
}

/// A text on its way.
#[derive(Clone, Debug)]
pub struct Owed {
    /// The ride that it was written on.
    pub ride: i64,
    pub words: Words,
    /// It may be sent from then on,
    pub earliest: Time,
    /// and must be sent by whoever looks after that: in between chance decides.
    pub latest: Time,
    pub tries: i32,
    /// Nobody knows whether the provider has it.
    pub doubt: bool,
    pub kind: Kind,
    /// Of a last word: the numbers from one of which it goes.
    pub senders: Vec<i64>,
    /// Of a last word: it may have been given up, or cannot be told from that of another ride of the same two people.
    /// It may go out whenever, and need not.
    pub loose: bool,
}

/// Which rules a text goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The other party wrote it.
    Relay,
    /// The platform or we wrote it.
    Other,
    /// It tells that contact is closed, from any number, and goes out though it is.
    LastWord,
}

/// Tries after which a text is given up.
const MOST_TRIES: i32 = 16;

/// The shortest and the longest pause after so many tries: doubling from a second to a quarter of an hour, the upper
/// half of it by chance.
fn pause(tries: i32) -> (Duration, Duration) {
    let full = Duration::seconds(1 << (tries - 1).clamp(0, 20)).min(Duration::minutes(15));
    (full / 2, full)
}

impl Oracle {
    /// Owes a text to a party of a ride; nothing where contact is closed.
    pub fn owe(&mut self, ride: i64, to: Role, words: Words, kind: Kind, now: Time) -> bool {
        if !self.rides[&ride].is_open(now) {
            return false;
        }
        let owed = Owed {
            ride,
            words,
            earliest: now,
            latest: now,
            tries: 0,
            doubt: false,
            kind,
            senders: Vec::new(),
            loose: false,
        };
        self.owed.entry((ride, to)).or_default().push_back(owed);
        true
    }

    /// Owes both people a notice that says where the ride starts and who the other one is.
    pub fn owe_notices(&mut self, ride: i64, now: Time) {
        let start = self.rides[&ride].start.clone();
        for to in Role::BOTH {
            self.owe_notice((ride, to), &start, Kind::Other, now);
        }
    }

    /// Owes one of them a notice that says this, and names the other.
    pub fn owe_notice(&mut self, (ride, to): (i64, Role), part: &str, kind: Kind, now: Time) {
        let known = &self.rides[&ride];
        if !known.is_open(now) {
            // Some of its people may be erased by now.
            return;
        }
        let name = |role| self.people[&known.party(role)].name.clone();
        let words =
            Words::Notice { greeting: format!("Hello {}. ", name(to)), parts: vec![name(to.other()), part.to_owned()] };
        self.owe(ride, to, words, kind, now);
        if kind == Kind::LastWord {
            let senders = self.usable().collect();
            let owed = self.owed.get_mut(&(ride, to)).and_then(VecDeque::back_mut);
            owed.expect("just owed").senders = senders;
        }
    }

    /// Hands what a former ride owed to the next one of the pair: to the same people.
    pub fn inherit(&mut self, former: i64, next: i64) {
        for role in Role::BOTH {
            let owed = self.owed.remove(&(former, role)).unwrap_or_default();
            if self.rides[&former].party(role) == self.rides[&next].party(role) {
                self.owed.entry((next, role)).or_default().extend(owed);
            }
        }
    }

    /// Gives up what is owed to and by the driver of a ride.
    pub fn cut_off_driver(&mut self, ride: i64) {
        self.owed.remove(&(ride, Role::Driver));
        if let Some(owed) = self.owed.get_mut(&(ride, Role::Customer)) {
            owed.retain(|text| text.kind != Kind::Relay);
        }
    }

    /// Forgets what is owed where contact is closed: it must never be sent. Only last words are.
    pub fn forget_closed(&mut self, now: Time) {
        let rides = &self.rides;
        self.owed.retain(|(id, _), owed| {
            let ride = &rides[id];
            if !ride.is_open(now) {
                // A last word waits until it is noticed that those before it are pointless.
                let behind = owed.iter().filter(|text| text.kind != Kind::LastWord).map(|text| text.latest).max();
                owed.retain(|text| text.kind == Kind::LastWord && !ride.deleted);
                if let Some((head, behind)) = owed.front_mut().zip(behind) {
                    head.latest = head.latest.max(behind);
                }
            }
            !owed.is_empty()
        });
    }

    /// The phone of a party of a ride, and the proxy number over which it is reached.
    pub fn way(&self, ride: i64, to: Role) -> (&'static str, &'static str) {
        let ride = &self.rides[&ride];
        (self.people[&ride.party(to)].phone, self.numbers[&ride.number].line.spellings()[0])
    }

    /// Takes note of a send; fails if nobody should have got it, or not now, not there, not from this number.
    pub fn take_sent(&mut self, sent: &Sent, now: Time) {
        self.forget_closed(now);
        let heads = self.owed.iter().filter(|(_, owed)| owed.front().is_some_and(|head| head.words.are(&sent.text)));
        let known: Vec<_> = heads.map(|(key, owed)| (*key, &owed[0])).collect();
        assert!(!known.is_empty(), "sent, and owed to nobody, or out of order: {sent}");
        let right = |(key, head): &((i64, Role), &Owed)| match head.kind {
            Kind::LastWord => {
                let phone = self.people.get(&self.rides[&key.0].party(key.1)).map(|person| person.phone);
                let sender = self.pooled(Line::of(&sent.from));
                phone == Some(&sent.to) && sender.is_some_and(|sender| head.senders.contains(&sender))
            }
            _ => self.way(key.0, key.1) == (sent.to.as_str(), sent.from.as_str()),
        };
        let alike: Vec<_> = known.iter().filter(|way| right(way)).map(|(key, _)| *key).collect();
        let Some(&key) = alike.first() else {
            panic!("sent to another phone or from another number than it should: {sent}, owed to {known:?}");
        };
        if alike.len() > 1 {
            for key in &alike {
                let head = self.owed.get_mut(key).and_then(VecDeque::front_mut).expect("a head");
                assert!(head.kind == Kind::LastWord, "sent, and owed to several: {sent}, {alike:?}");
                head.loose = true;
            }
        }
        let queue = self.owed.get_mut(&key).expect("a queue");
        let head = queue.front_mut().expect("a head");
        assert!(head.earliest <= now || head.loose, "sent too early: {sent}, {head:?}");
        head.tries += 1;
        let (from, to) = match sent.fate {
            Fate::Taken | Fate::Refused => {
                queue.pop_front();
                return;
            }
            Fate::Busy => pause(head.tries),
            Fate::BusyFor(seconds) => {
                let (from, to) = pause(head.tries);
                (from.max(Duration::seconds(seconds)), to.max(Duration::seconds(seconds)))
            }
            Fate::Doubt => pause(head.tries + 7),
        };
        (head.earliest, head.latest) = (now + from, now + to);
        head.doubt |= sent.fate == Fate::Doubt;
        // If texts read alike, the tries of all are counted on the first, which may really have had fewer.
        if head.tries >= MOST_TRIES && !head.loose {
            queue.pop_front();
        }
    }

    /// After the worker has looked at everything: fails if something that was due was left.
    pub fn check_nothing_due(&mut self, now: Time) {
        self.forget_closed(now);
        let (rides, people, numbers) = (&self.rides, &self.people, &self.numbers);
        for (key, owed) in &mut self.owed {
            // A last word goes nowhere where its person is erased, or its number has left the pool.
            if let Some(head) = owed.front_mut().filter(|head| head.kind == Kind::LastWord && head.earliest <= now) {
                let erased = !people.contains_key(&rides[&key.0].party(key.1));
                head.loose |= erased || head.senders.iter().any(|sender| numbers[sender].deleted);
            }
            let Some(head) = owed.front() else { continue };
            assert!(head.latest > now || head.loose, "owed to {key:?} and not sent: {head:?}");
        }
    }

    /// The network tells that a text in doubt arrived.
    pub fn settle(&mut self, text: &str, now: Time) {
        self.forget_closed(now);
        for owed in self.owed.values_mut() {
            if owed.front().is_some_and(|head| head.doubt && head.words.are(text)) {
                owed.pop_front();
            }
        }
    }
}
