//! Logging, in lines for people or for machines. Never logs personal data.

use std::io::IsTerminal as _;

use tracing_subscriber::{
    EnvFilter, Layer as _,
    filter::{LevelFilter, Targets},
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

use crate::config::LogFormat;

/// Starts logging to standard error, with the levels from `RUST_LOG` (default `info`).
///
/// Libraries only log warnings and errors, whatever `RUST_LOG` says: at finer levels they log addresses and bodies of
/// requests, which hold phone numbers and texts.
pub fn init(format: LogFormat) {
    let asked = std::env::var("RUST_LOG").unwrap_or_default();
    let asked = if asked.trim().is_empty() { "info" } else { asked.as_str() };
    let asked = EnvFilter::try_new(asked).unwrap_or_else(|_| EnvFilter::new("info"));
    let ours = Targets::new().with_default(LevelFilter::WARN).with_target("maskline", LevelFilter::TRACE);
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        // Otherwise tracing reports a line that it cannot write (on a full disk, say) to the same standard error, which
        // panics.
        .log_internal_errors(false);
    let lines = match format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_span_list(false).boxed(),
    };
    // A second call, as in tests, keeps the subscriber of the first.
    let _ = tracing_subscriber::registry().with(lines.with_filter(ours).with_filter(asked)).try_init();
    std::panic::set_hook(Box::new(|panic| {
        // The message is left out, because it may hold a value.
        let place = panic.location().map(|place| format!("{}:{}", place.file(), place.line()));
        tracing::error!(place, "thread panicked");
    }));
}
