//! Replicas of the service as processes: started, killed and started again.

use std::{
    fs::File,
    process::{Child, Command, Stdio},
    sync::Mutex,
    time::{Duration, Instant},
};

use tokio::time::{sleep, timeout};

use crate::harness::{TestDatabase, daemon::free_port, variables};

/// One replica, running or not. Its address stays.
pub struct Replica {
    pub base: String,
    command: Mutex<Command>,
    child: Mutex<Option<Child>>,
    kills: Mutex<Vec<Instant>>,
}

impl Replica {
    pub fn new(db: &TestDatabase, more: &[(&str, &str)]) -> Self {
        let address = format!("127.0.0.1:{}", free_port());
        let log = File::options().create(true).append(true).open(db.folder.path().join("log")).expect("a log");
        let mut command = Command::new(env!("CARGO_BIN_EXE_maskline"));
        command
            .env_clear()
            .envs(variables(&db.url, &[&[("LISTEN_ADDR", address.as_str())], more].concat()))
            .current_dir(db.folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log);
        let base = format!("http://{address}");
        Self { base, command: Mutex::new(command), child: Mutex::default(), kills: Mutex::default() }
    }

    pub fn start(&self) {
        let child = self.command.lock().unwrap().spawn().expect("the binary runs");
        *self.child.lock().unwrap() = Some(child);
    }

    /// `kill -9`.
    pub fn kill(&self) {
        self.kills.lock().unwrap().push(Instant::now());
        if let Some(mut child) = self.child.lock().unwrap().take() {
            child.kill().and_then(|()| child.wait()).expect("it can be killed");
        }
    }

    /// When it was killed.
    pub fn kills(&self) -> Vec<Instant> {
        self.kills.lock().unwrap().clone()
    }

    /// Waits until it is ready, and starts it again if it ended by itself, as whatever watches over processes does.
    pub async fn until_ready(&self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let asked = reqwest::get(format!("{}/health/ready", self.base));
            let answer = timeout(Duration::from_secs(4), asked).await;
            if matches!(answer, Ok(Ok(answer)) if answer.status() == 200) {
                return;
            }
            assert!(Instant::now() < deadline, "a replica did not get ready");
            let ended = self
                .child
                .lock()
                .unwrap()
                .as_mut()
                .is_some_and(|child| child.try_wait().is_ok_and(|end| end.is_some()));
            if ended {
                self.start();
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// A clean end.
    pub async fn terminate(&self) {
        let Some(mut child) = self.child.lock().unwrap().take() else { return };
        let asked = Command::new("kill").arg(child.id().to_string()).status();
        assert!(asked.expect("kill runs").success());
        let ended = tokio::task::spawn_blocking(move || child.wait()).await.expect("it is waited for");
        assert!(ended.expect("it ends").success(), "a stop is no failure");
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.lock().unwrap().take() {
            let _ = child.kill().and_then(|()| child.wait());
        }
    }
}
