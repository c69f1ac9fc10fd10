//! Logs: lines for people or for machines, and never anything personal.

use std::io::IsTerminal as _;

use tracing_subscriber::{
    EnvFilter, Layer as _,
    filter::{LevelFilter, Targets},
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

use crate::config::LogFormat;

/// Starts logging to standard error, as `RUST_LOG` says (default `info`).
///
/// Libraries are held at warnings whatever `RUST_LOG` asks for: at finer levels they write addresses and bodies of
/// requests, and those hold phones and texts.
pub fn init(format: LogFormat) {
    let asked = std::env::var("RUST_LOG").unwrap_or_default();
    let asked = if asked.trim().is_empty() { "info" } else { asked.as_str() };
    let asked = EnvFilter::try_new(asked).unwrap_or_else(|_| EnvFilter::new("info"));
    let ours = Targets::new().with_default(LevelFilter::WARN).with_target("maskline", LevelFilter::TRACE);
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        // Otherwise a line that cannot be written, on a full disk for one, is told of on the same standard error, and
        // that panics.
        .log_internal_errors(false);
    let lines = match format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_span_list(false).boxed(),
    };
    // A second call, as in tests, finds the first one's subscriber.
    let _ = tracing_subscriber::registry().with(lines.with_filter(ours).with_filter(asked)).try_init();
    std::panic::set_hook(Box::new(|panic| {
        // The message stays out: it can hold a value.
        let place = panic.location().map(|place| format!("{}:{}", place.file(), place.line()));
        tracing::error!(place, "a panic");
    }));
}
