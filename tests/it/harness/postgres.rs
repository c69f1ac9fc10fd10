//! A PostgreSQL server of our own for the run of this binary, or the one that `TEST_DATABASE_URL` names; and servers
//! that a single test has to itself, to stop and to kill.

use std::{
    path::PathBuf,
    process::Stdio,
    sync::{
        LazyLock, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use sea_orm::{ConnectionTrait as _, Database};
use tokio::sync::OnceCell;

use super::{
    config_for,
    daemon::{Daemon, Home, free_port, tool},
};

/// A database whose schema is up to date: every test gets a copy. Two runs of tests on one server have one each.
static TEMPLATE: LazyLock<String> = LazyLock::new(|| format!("maskline_test_template_{}", std::process::id()));

static SERVER: OnceLock<Shared> = OnceLock::new();
static PREPARED: OnceCell<()> = OnceCell::const_new();
static COUNT: AtomicU32 = AtomicU32::new(0);

/// The server that all tests share.
struct Shared {
    /// Without a database at the end.
    url: String,
    /// `None` if the server is not ours.
    own: Option<Server>,
}

/// The address of a fresh database with the present schema.
pub async fn fresh() -> String {
    let server = SERVER.get_or_init(shared);
    PREPARED.get_or_init(|| prepare(&server.url)).await;
    let name = format!("maskline_test_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    run(&server.url, &format!("CREATE DATABASE {name} TEMPLATE {}", *TEMPLATE)).await;
    format!("{}/{name}", server.url)
}

/// The address of a fresh, empty database.
pub async fn empty() -> String {
    let server = SERVER.get_or_init(shared);
    let name = format!("maskline_empty_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    run(&server.url, &format!("CREATE DATABASE {name}")).await;
    format!("{}/{name}", server.url)
}

/// The log of the server, once there is a database, each entry behind the name of its database; `None` if the server is
/// not ours.
pub fn log() -> Option<PathBuf> {
    SERVER.get_or_init(shared).own.as_ref().map(|server| server.home.path("log"))
}

/// The port of the server, if it is ours.
pub fn port() -> Option<u16> {
    SERVER.get_or_init(shared).own.as_ref().map(|server| server.port)
}

async fn prepare(url: &str) {
    let template = &*TEMPLATE;
    run(url, &format!("DROP DATABASE IF EXISTS {template}")).await;
    run(url, &format!("CREATE DATABASE {template}")).await;
    let config = config_for(&format!("{url}/{template}"), &[]);
    maskline::app::migrate(&config).await.expect("the schema can be made");
}

async fn run(url: &str, sql: &str) {
    let db = Database::connect(format!("{url}/postgres")).await.expect("the server takes connections");
    db.execute_unprepared(sql).await.expect(sql);
    db.close().await.expect("the connection closes");
}

fn shared() -> Shared {
    if let Ok(url) = std::env::var("TEST_DATABASE_URL") {
        return Shared { url: url.trim_end_matches('/').to_owned(), own: None };
    }
    let server = Server::start(&["synchronous_commit=off", "max_connections=300", "log_line_prefix='%d '"]);
    Shared { url: server.url(), own: Some(server) }
}

/// A server of our own. What it committed survives its death, though not the machine's.
pub struct Server {
    home: Home,
    pub port: u16,
    options: Vec<String>,
    daemon: Option<Daemon>,
}

impl Server {
    /// A fresh server with these settings.
    pub fn start(options: &[&str]) -> Self {
        let server = Self::new(options);
        let done = server
            .home
            .command(&tool("initdb"))
            .args(["--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C.UTF-8", "-D"])
            .arg(server.data())
            .stdout(Stdio::null())
            .status();
        assert!(done.expect("initdb runs").success(), "initdb failed");
        server.running()
    }

    /// A standby that streams from this server.
    pub fn standby(&self) -> Self {
        let options: Vec<_> = self.options.iter().map(String::as_str).collect();
        let standby = Self::new(&options);
        let done = standby
            .home
            .command(&tool("pg_basebackup"))
            .args([
                "--host=127.0.0.1",
                "--username=postgres",
                "--checkpoint=fast",
                "--no-sync",
                "--write-recovery-conf",
            ])
            .arg(format!("--port={}", self.port))
            .arg("-D")
            .arg(standby.data())
            .status();
        assert!(done.expect("pg_basebackup runs").success(), "pg_basebackup failed");
        standby.running()
    }

    fn new(options: &[&str]) -> Self {
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        Self { home: Home::make("postgres"), port: free_port(), options, daemon: None }
    }

    fn data(&self) -> PathBuf {
        self.home.path("data")
    }

    fn running(mut self) -> Self {
        self.start_again();
        self
    }

    /// Starts it again after [`stop`](Self::stop) or [`kill`](Self::kill).
    pub fn start_again(&mut self) {
        let options: String = self.options.iter().map(|option| format!(" -c {option}")).collect();
        let line = format!(
            "'{}' -D '{}' -p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories='{}' -c fsync=off \
             -c full_page_writes=off{options}",
            tool("postgres").display(),
            self.data().display(),
            self.port,
            self.home.folder.display(),
        );
        self.daemon = Some(self.home.spawn(&line, "QUIT"));
        self.home.wait_for(self.port);
    }

    /// Stops it at once, as `pg_ctl stop -m immediate` does.
    pub fn stop(&mut self) {
        self.end("QUIT");
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.end("KILL");
    }

    fn end(&mut self, signal: &str) {
        self.daemon.take().expect("it runs").end(signal);
    }

    /// Its address, without a database at the end.
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}", self.port)
    }

    /// Runs a statement in its database `postgres`, as soon as it takes connections.
    pub async fn run(&self, sql: &str) {
        self.wait_until_it_answers().await;
        run(&self.url(), sql).await;
    }

    /// A server that listens may still be recovering.
    pub async fn wait_until_it_answers(&self) {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
        loop {
            if let Ok(db) = Database::connect(format!("{}/postgres", self.url())).await {
                db.close().await.expect("the connection closes");
                return;
            }
            assert!(std::time::Instant::now() < deadline, "PostgreSQL does not answer: see {}", self.log().display());
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }

    /// A fresh, empty database.
    pub async fn database(&self, name: &str) -> String {
        self.run(&format!("CREATE DATABASE {name}")).await;
        format!("{}/{name}", self.url())
    }

    fn log(&self) -> PathBuf {
        self.home.path("log")
    }
}
