//! Servers that tests start: never as root, and gone when this process is, however it ends.

use std::{
    io::Write as _,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

static COUNT: AtomicU32 = AtomicU32::new(0);

/// A folder that belongs to whoever its servers run as.
pub struct Home {
    pub folder: PathBuf,
    owner: Option<&'static str>,
}

impl Home {
    pub fn make(name: &str) -> Self {
        let name = format!("maskline-test-{name}-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).expect("a folder for the server");
        let owner = owner(&folder);
        Self { folder, owner }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A file that the server reads.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        std::fs::write(self.path(name), text).expect("a file for the server");
        self.path(name)
    }

    /// A command as the owner. Servers refuse to run as root, so root hands them to somebody else.
    pub fn command(&self, program: &Path) -> Command {
        match self.owner {
            Some(user) => {
                let mut command = Command::new("runuser");
                command.args(["-u", user, "--"]).arg(program).current_dir("/");
                command
            }
            None => Command::new(program),
        }
    }

    /// Starts a server by this line of the shell. `last` is the signal that ends it when this process ends.
    pub fn spawn(&self, line: &str, last: &str) -> Daemon {
        // The pipe closes when this process ends cleanly, and when it is killed.
        let script = format!(
            "{line} >> '{log}' 2>&1 & server=$!; if read signal; then kill -$signal $server; wait $server; \
             else kill -{last} $server; wait $server; rm -rf '{folder}'; fi",
            log = self.path("log").display(),
            folder = self.folder.display()
        );
        let keeper = self.command(Path::new("sh")).args(["-c", &script]).stdin(Stdio::piped()).spawn();
        Daemon { keeper: keeper.expect("the server starts") }
    }

    /// Waits until something listens on this port.
    pub fn wait_for(&self, port: u16) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "a server did not start: see {}", self.path("log").display());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A running server. It ends, and its folder goes, when this does.
pub struct Daemon {
    keeper: Child,
}

impl Daemon {
    /// Ends it by a signal (`KILL`, `QUIT`); its folder stays, so that it can be started again.
    pub fn end(mut self, signal: &str) {
        let mut stdin = self.keeper.stdin.take().expect("the pipe");
        writeln!(stdin, "{signal}").expect("the keeper lives");
        self.keeper.wait().expect("the server ends");
    }
}

/// A port that nobody listens on.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port").port()
}

/// Where a program is: daemons and the tools of PostgreSQL are in nobody's path.
pub fn tool(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<_> = std::env::split_paths(&path).collect();
    folders.extend(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from));
    if let Ok(versions) = std::fs::read_dir("/usr/lib/postgresql") {
        folders.extend(versions.flatten().map(|version| version.path().join("bin")));
    }
    let found = folders.into_iter().map(|folder| folder.join(name)).find(|file| file.exists());
    found.unwrap_or_else(|| panic!("{name} is not installed: run scripts/test, which says what to install"))
}

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
