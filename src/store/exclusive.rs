//! An embedded database is served by one process at a time: the one that has locked the file next to it.
//!
//! The lock belongs to the operating system and ends with the process, however the process ends. The file stays: a
//! process that removed it could remove a file that another process has just locked.

use std::{
    fs::{File, TryLockError},
    io,
    path::{Path, PathBuf},
    str::FromStr as _,
    time::Duration,
};

use sea_orm::sqlx::sqlite::SqliteConnectOptions;
use secrecy::ExposeSecret as _;
use tokio::time::{Instant, sleep};

use super::DatabaseOptions;

/// Pause between attempts to take a lock that another process has.
const TRY_EVERY: Duration = Duration::from_millis(100);
/// Maximum length of a chain of symbolic links, as on Linux.
const MAX_LINKS: usize = 40;

/// Right to serve an embedded database, until it is dropped.
#[derive(Debug)]
pub struct ExclusiveUse(#[expect(dead_code, reason = "closing it ends the lock")] File);

/// Reason why a process may not serve the database.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process serves it.
    #[error(
        "another process serves the database {}: an embedded database can have one at a time",
        .0.display()
    )]
    Taken(PathBuf),
    /// The file cannot be written or locked.
    #[error("the lock file {} beside the database cannot be used: {}", .0.display(), .1)]
    Unusable(PathBuf, io::Error),
}

impl ExclusiveUse {
    /// Waits up to `patience` for the right to serve this database. `None` if it is not embedded: then any number of
    /// processes may serve it.
    pub async fn acquire(options: &DatabaseOptions, patience: Duration) -> Result<Option<Self>, LockError> {
        let url = options.url.expose_secret();
        let Some(written) = DatabaseOptions::sqlite_path(url) else { return Ok(None) };
        // The path as the driver reads it, because the URL can have escapes.
        let opened = SqliteConnectOptions::from_str(url).map(|parsed| parsed.get_filename().to_owned());
        let database = opened.unwrap_or_else(|_| written.to_owned());
        let unusable = |path: &Path| {
            let path = path.to_owned();
            move |cause| LockError::Unusable(path, cause)
        };
        let file = real_path(&database).map_err(unusable(&database))?;
        let mut name = file.clone().into_os_string();
        name.push(".lock");
        let name = PathBuf::from(name);
        let lock = File::options().create(true).truncate(false).write(true).open(&name).map_err(unusable(&name))?;
        let deadline = Instant::now() + patience;
        let mut has_waited = false;
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(Some(Self(lock))),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(cause)) => return Err(unusable(&name)(cause)),
            }
            if Instant::now() >= deadline {
                return Err(LockError::Taken(file));
            }
            if !has_waited {
                tracing::warn!(patience_s = patience.as_secs(), "waiting for another process that serves the database");
                has_waited = true;
            }
            sleep(TRY_EVERY).await;
        }
    }
}

/// Returns the file behind a path, so that all names of a database lead to one lock. The file itself need not exist,
/// and its folder is created.
fn real_path(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        std::fs::create_dir_all(folder)?;
        let folder = folder.canonicalize()?;
        let real = folder.join(path.file_name().ok_or(io::ErrorKind::IsADirectory)?);
        match std::fs::read_link(&real) {
            Ok(target) => path = folder.join(target),
            Err(_) => return Ok(real),
        }
    }
    Err(io::Error::other("too many symbolic links"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(300);

    async fn acquire(url: &str, patience: Duration) -> Result<Option<ExclusiveUse>, LockError> {
        let options = DatabaseOptions { url: url.into(), max_connections: 1, pooler: false };
        ExclusiveUse::acquire(&options, patience).await
    }

    #[tokio::test]
    async fn one_process_at_a_time_whatever_name_it_has_for_the_database() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        let url = |path: &Path| format!("sqlite://{}", path.display());
        std::fs::create_dir_all(at("deep/data")).expect("folders");
        std::os::unix::fs::symlink(at("deep/data"), at("data")).expect("a link to the folder");
        // The file is not there yet.
        std::os::unix::fs::symlink("deep/data/the db", at("file")).expect("a link to the file");
        std::os::unix::fs::symlink("file", at("again")).expect("a link to the link");
        let names = [
            url(&at("deep/data/the db")),
            url(&at("deep/data/the%20db")),
            url(&at("deep/../deep/./data/the db")),
            url(&at("data/the db")),
            url(&at("file")),
            url(&at("again")),
            format!("{}?mode=rwc", url(&at("file"))),
            format!("sqlite:{}", at("file").display()),
        ];
        for first in &names {
            let held = acquire(first, SOON).await.expect("nobody has it").expect("it is embedded");
            for second in &names {
                let refused = acquire(second, Duration::ZERO).await.expect_err("somebody has it");
                assert!(matches!(refused, LockError::Taken(_)), "{refused}");
            }
            acquire(&url(&at("another")), SOON).await.expect("another database is another matter");
            drop(held);
        }
        // Now the file is there.
        std::fs::write(at("deep/data/the db"), "").expect("a file");
        let _held = acquire(&names[5], SOON).await.expect("nobody has it");
        acquire(&names[0], Duration::ZERO).await.expect_err("somebody has it");
    }

    #[tokio::test]
    async fn the_second_process_waits_for_a_while() {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite://{}", folder.path().join("maskline.db").display());
        let held = acquire(&url, SOON).await.expect("nobody has it");
        let waits = tokio::spawn({
            let url = url.clone();
            async move { acquire(&url, Duration::from_secs(20)).await }
        });
        sleep(SOON).await;
        assert!(!waits.is_finished());
        drop(held);
        waits.await.expect("it ends").expect("it is its turn").expect("it is embedded");
        let began = Instant::now();
        let held = acquire(&url, SOON).await.expect("nobody has it");
        acquire(&url, SOON).await.expect_err("somebody has it");
        assert!(began.elapsed() >= SOON);
        drop(held);
    }

    #[tokio::test]
    async fn what_cannot_be_locked_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("maskline.db");
        std::fs::create_dir(folder.path().join("maskline.db.lock")).expect("a folder in the way");
        let refused = acquire(&format!("sqlite://{}", file.display()), SOON).await.expect_err("it is a folder");
        let said = refused.to_string();
        assert!(said.contains("maskline.db.lock beside the database cannot be used"), "{said}");
        let is_file = folder.path().join("file");
        std::fs::write(&is_file, "").expect("a file");
        acquire(&format!("sqlite://{}/maskline.db", is_file.display()), SOON).await.expect_err("it is no folder");
        assert!(acquire("postgres://localhost/maskline", SOON).await.expect("no file").is_none());
    }
}
