//! Replicas of the service as processes: started, killed and started again.

use std::{
    collections::HashMap,
    fs::File,
    process::{Child, Command, Stdio},
    sync::Mutex,
    time::{Duration, Instant},
};

use tokio::time::{sleep, timeout};

use crate::{
    carriers::messagebird::MessageBird,
    harness::{TestDatabase, carrier::Carrier as _, daemon::free_port, variables},
};

/// One replica, running or not. Its address stays.
pub struct Replica {
    pub base: String,
    command: Mutex<Command>,
    /// Where it finds the provider, which tells its processes apart by what they add to this.
    provider: String,
    life: Mutex<Life>,
}

/// The process that a replica is at the moment.
#[derive(Default)]
struct Life {
    child: Option<Child>,
    /// How many there were, with this one.
    count: usize,
    /// Which of them were killed, and when.
    kills: HashMap<usize, Instant>,
}

impl Replica {
    /// A replica that sends over a provider at the address `provider`, which answers every path under it.
    pub fn new(db: &TestDatabase, provider: String, more: &[(&str, &str)]) -> Self {
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
        Self { base, command: Mutex::new(command), provider, life: Mutex::default() }
    }

    pub fn start(&self) {
        self.start_next(&mut self.life.lock().unwrap());
    }

    fn start_next(&self, life: &mut Life) {
        life.count += 1;
        let mut command = self.command.lock().unwrap();
        let account = MessageBird.account(&format!("{}/{}", self.provider, life.count));
        life.child = Some(command.envs(account).spawn().expect("the binary runs"));
    }

    /// `kill -9`.
    pub fn kill(&self) {
        let mut life = self.life.lock().unwrap();
        let count = life.count;
        life.kills.insert(count, Instant::now());
        if let Some(mut child) = life.child.take() {
            child.kill().and_then(|()| child.wait()).expect("it can be killed");
        }
    }

    /// Which of its processes were killed, counted from 1, and when.
    pub fn kills(&self) -> HashMap<usize, Instant> {
        self.life.lock().unwrap().kills.clone()
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
            self.start_if_ended();
            sleep(Duration::from_millis(50)).await;
        }
    }

    fn start_if_ended(&self) {
        let mut life = self.life.lock().unwrap();
        if life.child.as_mut().is_some_and(|child| child.try_wait().is_ok_and(|end| end.is_some())) {
            self.start_next(&mut life);
        }
    }

    /// A clean end.
    pub async fn terminate(&self) {
        let Some(mut child) = self.life.lock().unwrap().child.take() else { return };
        let asked = Command::new("kill").arg(child.id().to_string()).status();
        assert!(asked.expect("kill runs").success());
        let ended = tokio::task::spawn_blocking(move || child.wait()).await.expect("it is waited for");
        assert!(ended.expect("it ends").success(), "a stop is no failure");
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        if let Some(mut child) = self.life.lock().unwrap().child.take() {
            let _ = child.kill().and_then(|()| child.wait());
        }
    }
}
