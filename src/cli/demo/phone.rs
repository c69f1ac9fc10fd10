//! The two phones: reading their screens, and checking that the mask held.

use std::time::Duration;

use serde::Deserialize;
use tokio::time::{Instant, sleep};

use super::{
    client::Client,
    terminal::{Entry, Panel},
};
use crate::{cli::outcome::Outcome, domain::screen::EntryKind};

const PERIOD: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(10);

/// Number of final digits that identify a phone in any spelling; the digits before them are prefixes.
const OWN_DIGITS: usize = 9;

pub(super) struct Phone {
    pub(super) owner: &'static str,
    pub(super) number: &'static str,
    /// Number of screen entries that the demo has already shown.
    seen: usize,
}

#[derive(Deserialize)]
struct Screen {
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    kind: EntryKind,
    number: String,
    text: Option<String>,
}

impl Item {
    fn entry(self) -> Entry {
        let heading = match self.kind {
            EntryKind::Text => format!("Text from {}", self.number),
            EntryKind::Call => format!("Call from {}", self.number),
            EntryKind::Announcement => format!("Called {}, heard:", self.number),
        };
        Entry { heading, words: self.text.unwrap_or_default() }
    }
}

impl Phone {
    pub(super) fn new(owner: &'static str, number: &'static str) -> Self {
        Self { owner, number, seen: 0 }
    }

    async fn look(&self, client: &Client) -> Outcome<(String, Screen)> {
        let json = client.look(&format!("/v1/simulator/phones/{}", self.number)).await?;
        let screen = serde_json::from_str(&json)?;
        Ok((json, screen))
    }

    /// Returns the new entries of the screen. Waits until there are `awaited` of them.
    pub(super) async fn news(&mut self, client: &Client, awaited: usize) -> Outcome<Panel> {
        let enough = self.seen + awaited;
        let what = format!("The next text or call on {}'s phone", self.owner);
        let items = until(&what, async || {
            let (_, screen) = self.look(client).await?;
            Ok(Some(screen.items).filter(|items| items.len() >= enough))
        })
        .await?;
        let entries: Vec<_> = items.into_iter().skip(self.seen).map(Item::entry).collect();
        self.seen += entries.len();
        Ok(Panel { title: format!("{} {}", self.owner, self.number), entries })
    }

    /// Fails if the screen shows `other`'s number in any spelling, or any number except the proxy.
    pub(super) async fn check_mask(&self, client: &Client, other: &Self, proxy: &str) -> Outcome<()> {
        let (json, screen) = self.look(client).await?;
        let strange = screen.items.iter().any(|item| item.number != proxy);
        if shows(&json, other.number) || strange || screen.items.is_empty() {
            return Err(format!("The mask slipped: {}'s phone shows more than {proxy}", self.owner).into());
        }
        Ok(())
    }
}

/// Whether a text contains the digits of a phone, with or without prefix, spaces and dashes.
fn shows(text: &str, number: &str) -> bool {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let own = &number[number.len().saturating_sub(OWN_DIGITS)..];
    digits.contains(own)
}

/// Polls until there is an answer.
pub(super) async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Outcome<Option<T>>) -> Outcome<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask().await? {
            return Ok(answer);
        }
        if Instant::now() >= deadline {
            return Err(format!("{what} did not come within {} seconds", PATIENCE.as_secs()).into());
        }
        sleep(PERIOD).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_phone_in_any_spelling() {
        for slip in ["+31612345678", "call 06 12 34 56 78!", "0031-6-1234-5678", r#"{"number":"+31612345678"}"#] {
            assert!(shows(slip, "+31612345678"), "{slip}");
        }
        assert!(!shows(r#"{"number":"+3197010200001","at":"2026-11-21T16:12:34.567Z"}"#, "+31612345678"));
    }
}
