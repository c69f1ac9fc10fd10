//! Tests where requests to event endpoints may lead if names change their addresses.

use std::{
    io,
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::*;
use crate::domain::outbound::OutboundResponse;

const CLOSED: TargetPolicy = TargetPolicy { allow_loopback: false };
const LOOPBACK: TargetPolicy = TargetPolicy { allow_loopback: true };

/// Returns a resolver for one name, with a list of addresses for each lookup.
fn names(answers: &'static [&'static [&'static str]]) -> Lookup {
    let asked = AtomicUsize::new(0);
    Arc::new(move |_| {
        let at = asked.fetch_add(1, Ordering::Relaxed);
        let found = answers[at].iter().map(|text| SocketAddr::new(text.parse().expect("an address"), 0)).collect();
        Box::pin(async move { Ok(found) })
    })
}

/// Answers every connection with these bytes and closes it. Returns the port and the number of connections.
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

async fn post(network: &Network, url: String) -> Result<OutboundResponse, PostFailure> {
    let request = OutboundRequest::post_json(url, [("a", String::new())], "{}".to_owned());
    network.send(Receiver::EventEndpoint, request).await.outcome.map_err(|none| none.why)
}

async fn status_of(network: &Network, url: String) -> Result<u16, PostFailure> {
    post(network, url).await.map(|response| response.status.as_u16())
}

fn network(policy: TargetPolicy, lookup: Lookup) -> Network {
    Network::new(policy, lookup).expect("a client")
}

const OK: &str = "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn a_name_is_looked_at_every_time_and_cannot_move_inside() {
    let (port, count) = server(OK).await;
    // First this machine, which is allowed here; then the machine's network and the cloud's metadata service.
    let answers: &[&[&str]] = &[&["127.0.0.1"], &["10.0.0.1", "169.254.169.254"], &["::ffff:192.168.0.1"]];
    let network = network(LOOPBACK, names(answers));
    let url = || format!("http://events.localhost:{port}/");
    assert_eq!(status_of(&network, url()).await, Ok(204));
    assert_eq!(status_of(&network, url()).await, Err(PostFailure::BlockedAddress));
    assert_eq!(status_of(&network, url()).await, Err(PostFailure::BlockedAddress));
    assert_eq!(count.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn of_several_addresses_only_those_are_tried_that_may_be() {
    let (port, count) = server(OK).await;
    let network = network(LOOPBACK, names(&[&["10.255.255.1", "127.0.0.1"]]));
    assert_eq!(status_of(&network, format!("http://localhost:{port}/")).await, Ok(204));
    assert_eq!(count.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn this_machine_is_out_of_reach_unless_allowed() {
    let (port, count) = server(OK).await;
    let network = network(CLOSED, names(&[&["127.0.0.1", "::1"]]));
    let by_name = format!("https://platform.example.com:{port}/");
    assert_eq!(status_of(&network, by_name).await, Err(PostFailure::BlockedAddress));
    for host in ["127.0.0.1", "2130706433", "[::1]", "[::ffff:127.0.0.1]", "localhost"] {
        for scheme in ["http", "https"] {
            let url = format!("{scheme}://{host}:{port}/");
            assert_eq!(status_of(&network, url).await, Err(PostFailure::BlockedAddress), "{scheme} {host}");
        }
    }
    assert_eq!(count.load(Ordering::Relaxed), 0, "nobody knocked");
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_no_way() {
    let (inside, count) = server(OK).await;
    let answer = format!("HTTP/1.1 307 Go\r\nlocation: http://127.0.0.1:{inside}/\r\nconnection: close\r\n\r\n");
    let (port, _) = server(answer.leak()).await;
    let network = network(LOOPBACK, names(&[]));
    assert_eq!(status_of(&network, format!("http://127.0.0.1:{port}/")).await, Ok(307));
    assert_eq!(count.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn every_failure_has_its_word() {
    let free = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("an address").port();
    let (port, _) = server("not TLS, not HTTP").await;
    let lookup: Lookup = Arc::new(|_| Box::pin(async { Err(io::Error::other("no such name")) }));
    let network = network(LOOPBACK, lookup);
    for (url, failure) in [
        (format!("http://127.0.0.1:{free}/"), PostFailure::ConnectionRefused),
        (format!("http://127.0.0.1:{port}/"), PostFailure::Unreachable),
        (format!("https://127.0.0.1:{port}/"), PostFailure::Tls),
        ("https://platform.example.com/".to_owned(), PostFailure::Dns),
    ] {
        assert_eq!(status_of(&network, url.clone()).await, Err(failure), "{url}");
    }
}

#[tokio::test]
async fn an_answer_without_end_is_cut() {
    let endless = format!("HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n{}", "x".repeat(20_000));
    let (port, _) = server(endless.leak()).await;
    let network = network(LOOPBACK, names(&[]));
    let response = post(&network, format!("http://127.0.0.1:{port}/")).await.expect("a response");
    assert_eq!((response.status.as_u16(), response.body.len()), (200, Network::limit(Receiver::EventEndpoint)));
}
