//! The timeline of the ride, as a table.

use chrono::Local;
use serde::Deserialize;

use super::terminal::{Ink, Terminal};
use crate::{
    cli::outcome::Outcome,
    domain::{
        call::CallStatus,
        clock::Time,
        message::{MessageKind, MessageStatus},
        person::Role,
        ride::RideEventKind,
    },
};

#[derive(Deserialize)]
pub(super) struct Timeline {
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    at: Time,
    #[serde(flatten)]
    what: What,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum What {
    Message {
        kind: MessageKind,
        from_role: Option<Role>,
        to_role: Option<Role>,
        text: Option<String>,
        status: MessageStatus,
        reason: Option<String>,
    },
    Call {
        from_role: Option<Role>,
        status: CallStatus,
        reason: Option<String>,
        duration_s: Option<i64>,
    },
    RideEvent {
        event: RideEventKind,
    },
}

/// Content of a row, before layout.
struct Line {
    what: &'static str,
    from: Option<Role>,
    to: Option<Role>,
    status: &'static str,
    refused: bool,
    more: String,
}

impl What {
    fn line(&self) -> Line {
        match self {
            Self::Message { kind, from_role, to_role, text, status, reason } => Line {
                what: if *kind == MessageKind::Relay { "text" } else { kind.as_str() },
                from: *from_role,
                to: *to_role,
                status: status.as_str(),
                refused: *status == MessageStatus::Rejected,
                more: reason.clone().unwrap_or_else(|| format!("“{}”", text.as_deref().unwrap_or_default())),
            },
            Self::Call { from_role, status, reason, duration_s } => Line {
                what: "call",
                from: *from_role,
                to: from_role.map(Role::other),
                status: status.as_str(),
                refused: *status == CallStatus::Rejected,
                more: reason.clone().or(duration_s.map(|s| format!("{s} s"))).unwrap_or_default(),
            },
            Self::RideEvent { event } => {
                Line { what: "ride", from: None, to: None, status: event.as_str(), refused: false, more: String::new() }
            }
        }
    }
}

impl Timeline {
    /// Whether it has a text that was rejected because contact had closed.
    pub(super) fn has_refused_text(&self) -> bool {
        self.items.iter().any(|item| match &item.what {
            What::Message { status, reason, .. } => {
                *status == MessageStatus::Rejected && reason.as_deref() == Some("contact_closed")
            }
            _ => false,
        })
    }

    pub(super) fn print(&self, terminal: Terminal, customer: &str, driver: &str) -> Outcome<()> {
        let name = |role: Role| if role == Role::Customer { customer } else { driver };
        for item in &self.items {
            let Line { what, from, to, status, refused, more } = item.what.line();
            let way = match (from, to) {
                (Some(from), Some(to)) => format!("{} → {}", name(from), name(to)),
                (None, Some(to)) => format!("→ {}", name(to)),
                _ => String::new(),
            };
            let at = item.at.with_timezone(&Local).format("%H:%M:%S").to_string();
            terminal.row(&[
                (Ink::Faint, 8, &at),
                (Ink::Plain, 6, what),
                (Ink::Plain, 11, &way),
                (if refused { Ink::Bad } else { Ink::Good }, 14, status),
                (Ink::Plain, 33, &more),
            ])?;
        }
        Ok(())
    }
}
