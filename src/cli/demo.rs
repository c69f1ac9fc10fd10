//! `maskline demo`: a complete ride in the terminal, for people who want to see the service before setting it up.
//!
//! The server is a real one. It runs in this process, with its database in a temporary folder that is removed
//! afterwards. The demo talks to it over HTTP only, as a platform's backend would. It reads no configuration, neither
//! from the environment nor from `.env`, so it works the same for everybody and touches no provider account.

mod client;
mod phone;
mod story;
mod terminal;
mod timeline;

use std::{
    fs::DirBuilder,
    io::{self, IsTerminal as _},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    pin::pin,
    sync::Arc,
};

use story::{GRACE, Story};
use terminal::Terminal;
use tracing::Level;

use super::outcome::Outcome;
use crate::{
    app::App,
    config::{Config, ConfigErrors},
    domain::clock::{Clock as _, SystemClock},
    lifecycle,
};

pub(super) async fn play() -> Outcome {
    log();
    let mut interrupted = pin!(lifecycle::signals()?);
    let folder = Folder::make()?;
    let app = tokio::select! {
        app = App::build(configure(&folder.0)?, Arc::new(SystemClock)) => app?,
        () = &mut interrupted => return Err(INTERRUPTED.into()),
    };
    let first = app.first_client().cloned().ok_or("The demo's server made no client to sign in with")?;
    let story = Story::new(Terminal::of_process(), app.base_url())?;
    let mut running = app.start(true);
    let told = tokio::select! {
        told = story.tell(&first) => told,
        () = running.ended() => Err("The demo's server ended by itself".into()),
        () = &mut interrupted => Err(INTERRUPTED.into()),
    };
    running.stop().await;
    told
}

const INTERRUPTED: &str = "The demo was interrupted";

/// Logs the server's warnings, in case the demo fails. Other lines would interrupt the story.
fn log() {
    let lines = tracing_subscriber::fmt().with_max_level(Level::WARN).with_writer(io::stderr);
    lines.with_ansi(io::stderr().is_terminal()).init();
}

fn configure(folder: &Path) -> std::result::Result<Config, ConfigErrors> {
    let database = format!("sqlite://{}", folder.join("maskline.db").display());
    Config::load(&|name| {
        let value = match name {
            "DATABASE_URL" => &database,
            "GRACE_PERIOD" => GRACE,
            // Any free port.
            "LISTEN_ADDR" => "127.0.0.1:0",
            "SIMULATOR" => "on",
            _ => return None,
        };
        Some(value.to_owned())
    })
}

/// A folder that is removed when this is dropped, however the demo ends.
struct Folder(PathBuf);

impl Folder {
    fn make() -> Outcome<Self> {
        let name = format!("maskline-demo-{}-{}", std::process::id(), SystemClock.now().timestamp_millis());
        let path = std::env::temp_dir().join(name);
        // Private. Creating it fails if somebody has already put one there.
        let made = DirBuilder::new().mode(0o700).create(&path);
        made.map_err(|cause| format!("{} cannot be made: {cause}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(cause) = std::fs::remove_dir_all(&self.0) {
            eprintln!("{} is left behind: {cause}", self.0.display());
        }
    }
}
