//! nginx in front of the service, for tests of what proxies do to requests and answers.

use super::daemon::{Daemon, Home, free_port, tool};

/// A running nginx with one server.
pub struct Nginx {
    _home: Home,
    _daemon: Daemon,
    /// Its address, as clients reach it.
    pub base: String,
}

impl Nginx {
    /// With these directives in its server block.
    pub fn start(directives: &str) -> Self {
        let (home, port) = (Home::make("nginx"), free_port());
        let folder = home.folder.display();
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("  {kind}_temp_path {folder}/{kind};\n"))
            .concat();
        let settings = format!(
            "daemon off;\nmaster_process off;\npid {folder}/pid;\nerror_log {folder}/error.log;\nevents {{}}\n\
             http {{\n  access_log off;\n{temporary}  server {{\n    listen 127.0.0.1:{port};\n{directives}\n  }}\n}}\n"
        );
        let settings = home.write("nginx.conf", &settings);
        let program = tool("nginx");
        let line = format!("'{}' -e '{folder}/error.log' -c '{}'", program.display(), settings.display());
        let daemon = home.spawn(&line, "KILL");
        home.wait_for(port);
        Self { _home: home, _daemon: daemon, base: format!("http://127.0.0.1:{port}") }
    }
}
