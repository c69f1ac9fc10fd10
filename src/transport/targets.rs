//! To addresses that a caller named: nothing is sent to one before it is known where it leads.
//!
//! A name is resolved by us for every connection, addresses that the policy refuses are dropped, and the connection is
//! made to one of the others: what was looked at is what is connected to, whatever the name says a moment later. An
//! address in place of a name is never resolved, and is looked at before each exchange.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use reqwest::{
    dns::{Addrs, Name, Resolve, Resolving},
    redirect,
};

use super::posting::{Blocked, USER_AGENT, post};
use crate::domain::{
    courier::{Courier, Parcel, PostFailure, Receipt},
    target::{TargetPolicy, TargetUrl},
};

/// Longest time for a whole exchange.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How much of an answer is read, in bytes: enough that a polite one ends, and the connection can serve again.
const MAX_RESPONSE: usize = 4096;

/// Finds the addresses of a name.
pub type Lookup = Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync>;

/// The system's resolver.
pub fn system_lookup() -> Lookup {
    Arc::new(|name| Box::pin(async move { Ok(tokio::net::lookup_host((name, 0)).await?.collect()) }))
}

/// Posts to targets that the policy admits.
pub struct TargetCourier {
    client: reqwest::Client,
    policy: TargetPolicy,
}

impl TargetCourier {
    /// A courier that finds addresses so; fails only when TLS cannot be set up.
    pub fn new(policy: TargetPolicy, lookup: Lookup) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TOTAL_TIMEOUT)
            .redirect(redirect::Policy::none())
            // A proxy would resolve names by itself.
            .no_proxy()
            .dns_resolver(Arc::new(Checked { policy, lookup }))
            .pool_idle_timeout(Duration::from_secs(30))
            .user_agent(USER_AGENT)
            .build()?;
        Ok(Self { client, policy })
    }
}

impl Courier for TargetCourier {
    fn post(&self, parcel: Parcel) -> BoxFuture<'_, Receipt> {
        Box::pin(async move {
            // An address is not resolved, so that nobody else would look at it.
            match self.policy.admit(&TargetUrl::from_stored(parcel.url.clone())) {
                Ok(()) => post(&self.client, parcel, MAX_RESPONSE).await,
                Err(_) => Receipt::unanswered(Duration::ZERO, PostFailure::BlockedAddress),
            }
        })
    }
}

/// Resolves names to addresses that the policy admits.
struct Checked {
    policy: TargetPolicy,
    lookup: Lookup,
}

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let (policy, found) = (self.policy, (self.lookup)(name.as_str().to_owned()));
        Box::pin(async move {
            let found = found.await?;
            let was_found = !found.is_empty();
            let admitted: Vec<_> = found.into_iter().filter(|address| policy.admits(address.ip())).collect();
            if admitted.is_empty() && was_found {
                return Err(Blocked.into());
            }
            Ok(Box::new(admitted.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;

    const CLOSED: TargetPolicy = TargetPolicy { allow_loopback: false };
    const LOOPBACK: TargetPolicy = TargetPolicy { allow_loopback: true };

    /// A name that has these addresses, one list for each time that it is asked for.
    fn names(answers: &'static [&'static [&'static str]]) -> Lookup {
        let asked = AtomicUsize::new(0);
        Arc::new(move |_| {
            let at = asked.fetch_add(1, Ordering::Relaxed);
            let found = answers[at].iter().map(|text| SocketAddr::new(text.parse().expect("an address"), 0)).collect();
            Box::pin(async move { Ok(found) })
        })
    }

    /// Answers every connection with these bytes and closes it; counts them.
    async fn server(answer: &'static str) -> (u16, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&count);
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::Relaxed);
                let _ = socket.read(&mut [0; 4096]).await;
                let _ = socket.write_all(answer.as_bytes()).await;
            }
        });
        (port, count)
    }

    async fn status_of(courier: &TargetCourier, url: String) -> Result<u16, PostFailure> {
        let headers = ["a", "b", "c"].map(|name| (name, String::new()));
        let receipt = courier.post(Parcel { url, headers, body: b"{}".to_vec() }).await;
        receipt.body.map(|_| receipt.status.expect("a status"))
    }

    fn courier(policy: TargetPolicy, lookup: Lookup) -> TargetCourier {
        TargetCourier::new(policy, lookup).expect("a client")
    }

    const OK: &str = "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";

    #[tokio::test]
    async fn a_name_is_looked_at_every_time_and_cannot_move_inside() {
        let (port, count) = server(OK).await;
        // The first time this machine, which is allowed here; then the machine's network and the cloud's metadata.
        let answers: &[&[&str]] = &[&["127.0.0.1"], &["10.0.0.1", "169.254.169.254"], &["::ffff:192.168.0.1"]];
        let courier = courier(LOOPBACK, names(answers));
        let url = || format!("http://events.localhost:{port}/");
        assert_eq!(status_of(&courier, url()).await, Ok(204));
        assert_eq!(status_of(&courier, url()).await, Err(PostFailure::BlockedAddress));
        assert_eq!(status_of(&courier, url()).await, Err(PostFailure::BlockedAddress));
        assert_eq!(count.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn of_several_addresses_only_those_are_tried_that_may_be() {
        let (port, count) = server(OK).await;
        let courier = courier(LOOPBACK, names(&[&["10.255.255.1", "127.0.0.1"]]));
        assert_eq!(status_of(&courier, format!("http://localhost:{port}/")).await, Ok(204));
        assert_eq!(count.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn this_machine_is_out_of_reach_unless_allowed() {
        let (port, count) = server(OK).await;
        let courier = courier(CLOSED, names(&[&["127.0.0.1", "::1"]]));
        let by_name = format!("https://platform.example.com:{port}/");
        assert_eq!(status_of(&courier, by_name).await, Err(PostFailure::BlockedAddress));
        for host in ["127.0.0.1", "2130706433", "[::1]", "[::ffff:127.0.0.1]", "localhost"] {
            for scheme in ["http", "https"] {
                let url = format!("{scheme}://{host}:{port}/");
                assert_eq!(status_of(&courier, url).await, Err(PostFailure::BlockedAddress), "{scheme} {host}");
            }
        }
        assert_eq!(count.load(Ordering::Relaxed), 0, "nobody knocked");
    }

    #[tokio::test]
    async fn a_redirect_is_an_answer_and_no_way() {
        let (inside, count) = server(OK).await;
        let answer = format!("HTTP/1.1 307 Go\r\nlocation: http://127.0.0.1:{inside}/\r\nconnection: close\r\n\r\n");
        let (port, _) = server(answer.leak()).await;
        let courier = courier(LOOPBACK, names(&[]));
        assert_eq!(status_of(&courier, format!("http://127.0.0.1:{port}/")).await, Ok(307));
        assert_eq!(count.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn every_failure_has_its_word() {
        let free = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("an address").port();
        let (port, _) = server("not TLS, not HTTP").await;
        let lookup: Lookup = Arc::new(|_| Box::pin(async { Err(io::Error::other("no such name")) }));
        let courier = courier(LOOPBACK, lookup);
        for (url, failure) in [
            (format!("http://127.0.0.1:{free}/"), PostFailure::ConnectionRefused),
            (format!("http://127.0.0.1:{port}/"), PostFailure::Unreachable),
            (format!("https://127.0.0.1:{port}/"), PostFailure::Tls),
            ("https://platform.example.com/".to_owned(), PostFailure::Dns),
        ] {
            assert_eq!(status_of(&courier, url.clone()).await, Err(failure), "{url}");
        }
    }

    #[tokio::test]
    async fn an_answer_without_end_is_cut() {
        let endless = format!("HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n{}", "x".repeat(20_000));
        let (port, _) = server(endless.leak()).await;
        let courier = courier(LOOPBACK, names(&[]));
        let headers = ["a", "b", "c"].map(|name| (name, String::new()));
        let url = format!("http://127.0.0.1:{port}/");
        let receipt = courier.post(Parcel { url, headers, body: Vec::new() }).await;
        assert_eq!((receipt.status, receipt.body.map(|body| body.len())), (Some(200), Ok(MAX_RESPONSE)));
    }
}
