//! `maskline demo`: a whole ride in the terminal, for whoever wants to see the service before setting it up.
//!
//! The server is a real one, in this process, on a database in a folder that is gone afterwards. The demo talks to it
//! over HTTP only, as the backend of a platform would. It reads no configuration, neither the environment's nor `.env`:
//! what works for one works for all, and no account of the reader's is touched.

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

use story::Story;
use terminal::Terminal;
use tracing::Level;

use super::Outcome;
use crate::{
    app::App,
    config::{Config, ConfigErrors},
    domain::clock::{Clock as _, SystemClock},
    lifecycle,
};

/// `GRACE_PERIOD` of the demo's server: long enough for a text on a slow machine, short enough to wait for.
const GRACE: &str = "5s";

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Plays the ride.
pub(super) async fn play() -> Outcome {
    log();
    let mut interrupted = pin!(lifecycle::signal());
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

/// The server's warnings, for when the demo fails; the rest would stand between the lines of the story.
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
            // A port that is free, whatever else runs here.
            "LISTEN_ADDR" => "127.0.0.1:0",
            "SIMULATOR" => "on",
            _ => return None,
        };
        Some(value.to_owned())
    })
}

/// A folder that is removed when this goes out of scope, however the demo ends.
struct Folder(PathBuf);

impl Folder {
    fn make() -> Result<Self> {
        let name = format!("maskline-demo-{}-{}", std::process::id(), SystemClock.now().timestamp_millis());
        let path = std::env::temp_dir().join(name);
        // Private, and never one that somebody put there before us.
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
