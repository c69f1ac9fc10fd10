//! PgBouncer between the service and PostgreSQL, for a test that asks for it, and with `TEST_POOLER=pgbouncer` for all.

use std::sync::OnceLock;

use super::{
    daemon::{Daemon, Home, free_port, tool},
    postgres,
};

static SHARED: OnceLock<PgBouncer> = OnceLock::new();

/// PgBouncer in transaction mode, with so few connections that clients must share them.
pub struct PgBouncer {
    _home: Home,
    _daemon: Daemon,
    port: u16,
}

impl PgBouncer {
    /// In front of the server at this port.
    pub fn start(server: u16) -> Self {
        let (home, port) = (Home::make("pgbouncer"), free_port());
        let users = home.write("users", "\"postgres\" \"\"\n");
        let settings = format!(
            "[databases]\n* = host=127.0.0.1 port={server}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = trust\nauth_file = {}\npool_mode = transaction\ndefault_pool_size = 3\n\
             max_client_conn = 2000\nserver_idle_timeout = 5\n",
            users.display()
        );
        let settings = home.write("pgbouncer.ini", &settings);
        let daemon = home.spawn(&format!("'{}' '{}'", tool("pgbouncer").display(), settings.display()), "KILL");
        home.wait_for(port);
        Self { _home: home, _daemon: daemon, port }
    }

    /// The address by way of PgBouncer of a database of its server.
    pub fn way_to(&self, url: &str) -> String {
        let name = url.rsplit('/').next().expect("a name");
        format!("postgres://postgres@127.0.0.1:{}/{name}", self.port)
    }
}

/// The address of a database of the shared server, by way of PgBouncer if the environment says so.
pub fn in_between(url: &str) -> String {
    match std::env::var("TEST_POOLER").as_deref() {
        Ok("pgbouncer") => SHARED.get_or_init(shared).way_to(url),
        Ok(other) => panic!("TEST_POOLER can be pgbouncer, not {other}"),
        Err(_) => url.to_owned(),
    }
}

/// Whether this address leads through the PgBouncer of all tests.
pub fn is_in_between(url: &str) -> bool {
    SHARED.get().is_some_and(|shared| url.contains(&format!(":{}/", shared.port)))
}

fn shared() -> PgBouncer {
    PgBouncer::start(postgres::port().expect("PgBouncer stands before our own server: unset TEST_DATABASE_URL"))
}
