//! A PostgreSQL server of our own for the run of this binary, or the one that `TEST_DATABASE_URL` names.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use sea_orm::{ConnectionTrait as _, Database};
use tokio::sync::OnceCell;

use super::config_for;

/// A database whose schema is up to date: every test gets a copy.
const TEMPLATE: &str = "maskline_test_template";

static SERVER: OnceLock<Server> = OnceLock::new();
static PREPARED: OnceCell<()> = OnceCell::const_new();
static COUNT: AtomicU32 = AtomicU32::new(0);

struct Server {
    /// Without a database at the end.
    url: String,
    /// Its log, each entry behind the name of its database; `None` if the server is not ours.
    log: Option<PathBuf>,
    /// Holds the pipe whose end stops the server, however this process ends.
    _keeper: Option<Child>,
}

/// The address of a fresh database with the present schema.
pub async fn fresh() -> String {
    let server = SERVER.get_or_init(start);
    PREPARED.get_or_init(|| prepare(&server.url)).await;
    let name = format!("maskline_test_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    run(&server.url, &format!("CREATE DATABASE {name} TEMPLATE {TEMPLATE}")).await;
    format!("{}/{name}", server.url)
}

/// The address of a fresh, empty database.
pub async fn empty() -> String {
    let server = SERVER.get_or_init(start);
    let name = format!("maskline_empty_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    run(&server.url, &format!("CREATE DATABASE {name}")).await;
    format!("{}/{name}", server.url)
}

/// The log of the server, once there is a database; `None` if the server is not ours.
pub fn log() -> Option<&'static Path> {
    SERVER.get_or_init(start).log.as_deref()
}

async fn prepare(url: &str) {
    run(url, &format!("DROP DATABASE IF EXISTS {TEMPLATE}")).await;
    run(url, &format!("CREATE DATABASE {TEMPLATE}")).await;
    let config = config_for(&format!("{url}/{TEMPLATE}"), &[]);
    maskline::app::migrate(&config).await.expect("the schema can be made");
}

async fn run(url: &str, sql: &str) {
    let db = Database::connect(format!("{url}/postgres")).await.expect("the server takes connections");
    db.execute_unprepared(sql).await.expect(sql);
    db.close().await.expect("the connection closes");
}

fn start() -> Server {
    if let Ok(url) = std::env::var("TEST_DATABASE_URL") {
        return Server { url: url.trim_end_matches('/').to_owned(), log: None, _keeper: None };
    }
    let tools = tools();
    let folder = std::env::temp_dir().join(format!("maskline-test-postgres-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder for the server");
    let owner = owner(&folder);
    let data = folder.join("data");
    let done = command(owner, &tools.join("initdb"))
        .args(["--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C.UTF-8", "-D"])
        .arg(&data)
        .stdout(Stdio::null())
        .status();
    assert!(done.expect("initdb runs").success(), "initdb failed");
    let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port").port();
    // The server outlives neither a clean end nor a kill of this process: the pipe closes in both cases.
    let script = format!(
        "'{}' -D '{}' -p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='{}' -c fsync=off \
         -c synchronous_commit=off -c full_page_writes=off -c max_connections=300 -c log_line_prefix='%d ' \
         > '{}' 2>&1 & \
         server=$!; read _; kill -QUIT $server; wait $server; rm -rf '{}'",
        tools.join("postgres").display(),
        data.display(),
        folder.display(),
        folder.join("log").display(),
        folder.display()
    );
    let keeper = command(owner, Path::new("sh")).args(["-c", &script]).stdin(Stdio::piped()).spawn();
    let keeper = keeper.expect("the server starts");
    let deadline = Instant::now() + Duration::from_secs(30);
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < deadline, "PostgreSQL did not start: see {}", folder.join("log").display());
        std::thread::sleep(Duration::from_millis(20));
    }
    let url = format!("postgres://postgres@127.0.0.1:{port}");
    Server { url, log: Some(folder.join("log")), _keeper: Some(keeper) }
}

/// The server refuses to run as root, so root hands it to somebody else.
fn owner(folder: &Path) -> Option<&'static str> {
    let me = Command::new("id").arg("-u").output().expect("id runs");
    if String::from_utf8_lossy(&me.stdout).trim() != "0" {
        return None;
    }
    let known = |user: &&str| Command::new("id").arg(user).output().is_ok_and(|id| id.status.success());
    let user = ["postgres", "nobody"].into_iter().find(known).expect("a user other than root");
    let done = Command::new("chown").arg(user).arg(folder).status();
    assert!(done.expect("chown runs").success());
    Some(user)
}

fn command(owner: Option<&str>, program: &Path) -> Command {
    match owner {
        Some(user) => {
            let mut command = Command::new("runuser");
            command.args(["-u", user, "--"]).arg(program).current_dir("/");
            command
        }
        None => Command::new(program),
    }
}

fn tools() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<_> = std::env::split_paths(&path).collect();
    if let Ok(versions) = std::fs::read_dir("/usr/lib/postgresql") {
        folders.extend(versions.flatten().map(|version| version.path().join("bin")));
    }
    let found = folders.into_iter().find(|folder| folder.join("initdb").exists() && folder.join("postgres").exists());
    found.expect("PostgreSQL is not installed: run scripts/test, or set TEST_DATABASE_URL to a server's address")
}
