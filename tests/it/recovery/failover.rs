//! The primary dies, and a streaming standby takes over behind HAProxy: the service gets over it by itself, and nothing
//! that was acknowledged is lost.

use std::{
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    sync::{Arc, Mutex},
};

use tokio::{
    task::JoinSet,
    time::{Duration, sleep},
};

use super::health::{let_answers_age, until_ready};
use crate::{
    carriers::{messagebird::MessageBird, stage::Stage},
    harness::{
        TestDatabase,
        carrier::Carrier,
        daemon::{Daemon, Home, free_port, tool},
        postgres::Server,
    },
    ride::{ANN, BOB, NUMBER},
};

/// HAProxy before two servers, of which it uses the one it is told to.
struct Proxy {
    home: Home,
    _daemon: Daemon,
    port: u16,
}

impl Proxy {
    fn start(primary: &Server, standby: &Server) -> Self {
        let (home, port) = (Home::make("haproxy"), free_port());
        let settings = format!(
            "global\n  stats socket {socket} mode 666 level admin\ndefaults\n  mode tcp\n  timeout connect 2s\n  \
             timeout client 1h\n  timeout server 1h\nlisten postgres\n  bind 127.0.0.1:{port}\n  \
             option pgsql-check user postgres\n  \
             default-server check inter 200ms fall 1 rise 1 on-marked-down shutdown-sessions\n  \
             server primary 127.0.0.1:{}\n  server standby 127.0.0.1:{} disabled\n",
            primary.port,
            standby.port,
            socket = home.path("socket").display(),
        );
        let settings = home.write("haproxy.cfg", &settings);
        let daemon = home.spawn(&format!("'{}' -db -f '{}'", tool("haproxy").display(), settings.display()), "KILL");
        home.wait_for(port);
        Self { home, _daemon: daemon, port }
    }

    fn tell(&self, command: &str) {
        let mut socket = UnixStream::connect(self.home.path("socket")).expect("HAProxy listens");
        writeln!(socket, "{command}").expect("it takes commands");
        let mut said = String::new();
        socket.read_to_string(&mut said).expect("it answers");
        assert_eq!(said.trim(), "", "{command}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_promoted_standby_has_all_that_was_acknowledged() {
    let mut primary = Server::start(&[]);
    primary.database("maskline").await;
    let standby = primary.standby();
    // From now on a commit is one only when the standby has it.
    primary.run("ALTER SYSTEM SET synchronous_standby_names = '*'").await;
    primary.run("SELECT pg_reload_conf()").await;
    let proxy = Proxy::start(&primary, &standby);
    let db = TestDatabase::at(format!("postgres://postgres@127.0.0.1:{}/maskline", proxy.port));
    let carrier: Arc<dyn Carrier> = Arc::new(MessageBird);
    let stage = Stage::on(db, &carrier, &[]).await;
    stage.app.send_due().await;
    stage.deliver_all().await;

    let (stage, acknowledged) = (Arc::new(stage), Arc::new(Mutex::new(Vec::new())));
    let mut senders = JoinSet::new();
    for sender in 0..6 {
        let (stage, acknowledged) = (Arc::clone(&stage), Arc::clone(&acknowledged));
        senders.spawn(async move {
            for at in 0..40 {
                let words = format!("text {sender}-{at}");
                let from = if sender % 2 == 0 { ANN } else { BOB };
                let text = stage.carrier.text(&format!("f{sender}-{at}"), from, NUMBER, &words, &[]);
                while stage.webhook(&text).await.status != 200 {
                    sleep(Duration::from_millis(100)).await;
                }
                acknowledged.lock().unwrap().push(words);
            }
        });
    }
    sleep(Duration::from_millis(400)).await;
    primary.kill();
    let before = acknowledged.lock().unwrap().len();
    assert!((1..240).contains(&before), "{before} texts were acknowledged before");
    // While nobody promotes it, the standby is all there is: it can be read, not written.
    proxy.tell("enable server postgres/standby");
    sleep(Duration::from_millis(500)).await;
    let_answers_age().await;
    let problem = stage.app.get("/health/ready").await.expect_problem(503, "unavailable");
    assert_eq!(problem["reason"], "database_not_writable");
    standby.run("SELECT pg_promote()").await;
    until_ready(&stage.app).await;
    senders.join_all().await;
    while stage.app.pending_parts().await > 0 {
        stage.app.send_due().await;
    }
    let arrived: Vec<_> = stage.api.carried().into_iter().map(|carried| carried.text).collect();
    let acknowledged = std::mem::take(&mut *acknowledged.lock().unwrap());
    assert_eq!(acknowledged.len(), 240);
    for words in acknowledged.iter() {
        assert_eq!(arrived.iter().filter(|arrived| *arrived == words).count(), 1, "{words}");
    }
    println!("{before} texts were acknowledged before the primary died, none of them lost");
    Arc::into_inner(stage).expect("the last").app.finish().await;
}
