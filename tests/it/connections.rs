//! Connections that never finish, and responses that nobody reads, against the real process with its real deadlines.
//! The figures that the tests print (`--nocapture`) are in `docs/connections.md`.

use std::{
    io::{ErrorKind, Read as _},
    time::{Duration, Instant},
};

use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{sleep, timeout},
};

use crate::{
    harness::{Api, CLIENT, Kind, TestDatabase},
    process::{Service, eventually},
};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DOCS: &[u8] = b"GET /docs HTTP/1.1\r\nhost: a\r\n\r\n";
/// Memory that the whole process may use, in MiB.
const MOST_MEMORY: u64 = 192;
const MOST_LATENCY: Duration = Duration::from_millis(500);

/// What the operating system says of a process.
#[derive(Clone, Copy)]
struct Figures {
    sockets: usize,
    memory_mib: u64,
    cpu: Duration,
}

impl Figures {
    fn of(service: &Service) -> Self {
        let proc = |file: &str| format!("/proc/{}/{file}", service.id());
        let files = std::fs::read_dir(proc("fd")).expect("the process lives").flatten();
        let links = files.filter_map(|file| std::fs::read_link(file.path()).ok());
        let status = std::fs::read_to_string(proc("status")).expect("the process lives");
        let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
        let kib: u64 = rss.trim().trim_end_matches(" kB").parse().expect("a number");
        let stat = std::fs::read_to_string(proc("stat")).expect("the process lives");
        let fields: Vec<_> = stat.rsplit_once(')').expect("a name").1.split_whitespace().collect();
        let ticks: u64 = fields[11..13].iter().map(|field| field.parse::<u64>().expect("a number")).sum();
        Self {
            sockets: links.filter(|link| link.to_string_lossy().starts_with("socket:")).count(),
            memory_mib: kib / 1024,
            cpu: Duration::from_millis(ticks * 10),
        }
    }

    fn print(self, when: &str) {
        println!("{when:<40} {:>4} sockets {:>4} MiB", self.sockets, self.memory_mib);
    }
}

fn address(service: &Service) -> &str {
    service.base.strip_prefix("http://").expect("an address")
}

async fn send(service: &Service, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address(service)).await.expect("a connection");
    // A connection that had to make room may be gone already.
    let _ = stream.write_all(bytes).await;
    stream
}

/// How long a health check on a connection of its own takes.
async fn health(service: &Service) -> Duration {
    let began = Instant::now();
    let request = b"GET /health/live HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let mut answer = String::new();
    let read = async { send(service, request).await.read_to_string(&mut answer).await };
    timeout(Duration::from_secs(10), read).await.expect("an answer in time").expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    began.elapsed()
}

/// Whether the service has ended this connection; reads what has come, but no more.
fn has_ended(stream: &TcpStream) -> bool {
    let mut part = [0; 64 * 1024];
    loop {
        match stream.try_read(&mut part) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() != ErrorKind::WouldBlock,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn held_connections_end_and_leave_room_for_others() {
    let db = TestDatabase::fresh(Kind::Sqlite).await;
    let service = Service::start_by(&["sh", "-c", "ulimit -n 300; exec \"$0\""], &db, &[]).await;
    let api = Api::sign_in(&service.base, CLIENT, None).await;
    let before = Figures::of(&service);
    before.print("before");

    let sent: [&[u8]; 5] = [b"", b"P", PREFACE, b"GET / HTTP/1.1\r\nhost: a\r\nx-half: ", DOCS];
    let mut held = Vec::new();
    for at in 0..400 {
        held.push(send(&service, sent[at % sent.len()]).await);
    }
    let mut slowest = Duration::ZERO;
    let began = Instant::now();
    for round in 0..10 {
        slowest = slowest.max(health(&service).await);
        // On a connection of its own; and the database has its files.
        let ann = json!({ "name": "Ann", "phone_number": format!("+3161111{round:04}") });
        api.json("POST", "/v1/customers", &[("connection", "close")], &ann).await.expect(201);
        sleep(Duration::from_millis(200)).await;
    }
    let during = Figures::of(&service);
    during.print("400 held connections, 300 files");
    println!("slowest health check: {slowest:?}");
    assert!(slowest < MOST_LATENCY, "{slowest:?}");
    assert!(during.sockets <= 150 + 32, "{} sockets", during.sockets);
    let spent = during.cpu - before.cpu;
    println!("processor time: {spent:?} in {:?}", began.elapsed());

    // Nothing makes room for anything now: each ends by its own deadline.
    drop(held);
    eventually("the end of the first ones", async || (Figures::of(&service).sockets < 40).then_some(())).await;
    let opened = Instant::now();
    let mut held = Vec::new();
    for bytes in sent {
        for _ in 0..10 {
            held.push(send(&service, bytes).await);
        }
    }
    let mut dribbling = send(&service, b"GET / HTTP/1.1\r\nx-slow: ").await;
    let dribbled = tokio::spawn(async move {
        while dribbling.write_all(b"y").await.is_ok() && opened.elapsed() < Duration::from_secs(60) {
            sleep(Duration::from_secs(1)).await;
        }
        opened.elapsed()
    });
    sleep(Duration::from_secs(1)).await;
    assert!(held[20..30].iter().all(has_ended), "HTTP/2 is not spoken");
    assert!(!held[..20].iter().any(has_ended));
    sleep(Duration::from_secs(12)).await;
    assert!(held[..40].iter().all(has_ended), "heads that do not arrive");
    let dribbled = timeout(Duration::from_secs(5), dribbled).await.expect("it was ended").expect("no panic");
    assert!((9..=14).contains(&dribbled.as_secs()), "{dribbled:?}");
    sleep(Duration::from_secs(25)).await;
    let after = Figures::of(&service);
    after.print("38 s later");
    assert!(after.sockets <= before.sockets + 12, "responses that are not read: {} sockets", after.sockets);
    drop(held);
    api.raw("GET", "/v1/customers", &[("connection", "close")], Vec::new()).await.expect(200);
    service.terminate();
}

/// 500 requests for `/docs` over HTTP/2, from a client that lets nothing be sent.
fn streams() -> Vec<u8> {
    let frame = |kind: u8, flags: u8, stream: u32, payload: &[u8]| {
        let length = u32::try_from(payload.len()).expect("a short frame").to_be_bytes();
        [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
    };
    // SETTINGS_INITIAL_WINDOW_SIZE = 0.
    let mut bytes = [PREFACE, &frame(4, 0, 0, &[0, 4, 0, 0, 0, 0]), &frame(4, 1, 0, &[])].concat();
    for stream in 0..500 {
        // :method GET, :scheme http, :authority a, :path /docs
        let head = [&[0x82, 0x86, 0x01, 1, b'a', 0x04, 5][..], b"/docs"].concat();
        bytes.extend(frame(1, 5, 2 * stream + 1, &head));
    }
    bytes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn responses_that_are_not_read_cost_little_memory() {
    let db = TestDatabase::fresh(Kind::Sqlite).await;
    let service = Service::start(&db, &[]).await;
    health(&service).await;
    Figures::of(&service).print("before");

    let flood = streams();
    let multiplexed = send(&service, &flood).await;
    sleep(Duration::from_secs(5)).await;
    let figures = Figures::of(&service);
    figures.print("500 unread HTTP/2 requests");
    assert!(figures.memory_mib < MOST_MEMORY, "{} MiB", figures.memory_mib);
    assert!(has_ended(&multiplexed));

    let mut unread = Vec::new();
    for request in [DOCS, b"GET /docs HTTP/1.1\r\nhost: a\r\naccept-encoding: gzip\r\n\r\n"] {
        for _ in 0..100 {
            unread.push(send(&service, request).await);
        }
    }
    for path in ["/docs", "/openapi.json"] {
        unread.push(send(&service, format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n").repeat(200).as_bytes()).await);
    }
    sleep(Duration::from_secs(5)).await;
    let figures = Figures::of(&service);
    figures.print("200 connections with unread /docs");
    assert!(figures.memory_mib < MOST_MEMORY, "{} MiB", figures.memory_mib);
    assert!(health(&service).await < MOST_LATENCY);
    drop(unread);
    eventually("the end of the connections", async || (Figures::of(&service).sockets < 40).then_some(())).await;
    Figures::of(&service).print("after");
    service.terminate();
}

/// Sends a request and reads the response, whose connection ends with it.
async fn exchange(service: &Service, request: &str) -> (String, Vec<u8>) {
    let mut stream = send(service, request.as_bytes()).await;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("an answer");
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
    (String::from_utf8_lossy(&answer[..end]).to_lowercase(), answer[end + 4..].to_vec())
}

async fn fetch(service: &Service, method: &str, path: &str, more: &str) -> (String, Vec<u8>) {
    exchange(service, &format!("{method} {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{more}\r\n")).await
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_are_sent_compressed_once_and_only_by_get_and_head() {
    let db = TestDatabase::fresh(Kind::Sqlite).await;
    let service = Service::start(&db, &[]).await;
    for path in ["/docs", "/openapi.json", "/openapi.yaml"] {
        let (head, plain) = fetch(&service, "GET", path, "").await;
        assert!(head.starts_with("http/1.1 200") && header(&head, "cache-control") == Some("no-cache"), "{head}");
        assert!(header(&head, "content-encoding").is_none() && header(&head, "vary") == Some("accept-encoding"));
        let etag = header(&head, "etag").expect("an etag").to_owned();
        let (head, packed) = fetch(&service, "GET", path, "accept-encoding: br, gzip;q=0.5\r\n").await;
        assert_eq!(header(&head, "content-encoding"), Some("gzip"), "{head}");
        assert_ne!(header(&head, "etag"), Some(&*etag), "another encoding has other bytes");
        let mut unpacked = Vec::new();
        flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut unpacked).expect("gzip");
        assert!(unpacked == plain && packed.len() * 3 < plain.len());

        for encoding in ["", "accept-encoding: gzip\r\n"] {
            let (head, body) = fetch(&service, "HEAD", path, encoding).await;
            let length = if encoding.is_empty() { plain.len() } else { packed.len() };
            assert!(head.starts_with("http/1.1 200") && body.is_empty(), "{head}");
            assert_eq!(header(&head, "content-length"), Some(&*length.to_string()), "{head}");
        }

        let (head, body) = fetch(&service, "GET", path, "if-none-match: *\r\n").await;
        assert!(head.starts_with("http/1.1 304") && header(&head, "etag") == Some(&*etag), "{head}");
        assert!(body.is_empty() && header(&head, "cache-control") == Some("no-cache"), "{head}");
        for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CANARY"] {
            let (head, body) = fetch(&service, method, path, "").await;
            assert!(head.starts_with("http/1.1 405") && header(&head, "allow") == Some("get, head"), "{method} {head}");
            assert!(String::from_utf8_lossy(&body).contains("method_not_allowed"));
        }
    }
    let (head, _) = fetch(&service, "POST", "/", "").await;
    assert!(head.starts_with("http/1.1 405") && header(&head, "allow") == Some("get, head"), "{head}");
    let client = reqwest::Client::new();
    let page = client.get(format!("{}/docs", service.base)).send().await.expect("an answer");
    let etag = page.headers()["etag"].to_str().expect("text").to_owned();
    // A response that is not read keeps the service from ending.
    drop(page);
    for known in [etag.clone(), format!("W/{etag}"), format!("\"other\", {etag}")] {
        let asked = client.get(format!("{}/docs", service.base)).header("if-none-match", known).send().await;
        assert_eq!(asked.expect("an answer").status(), 304);
    }
    service.terminate();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_names_its_host_once() {
    let db = TestDatabase::fresh(Kind::Sqlite).await;
    let service = Service::start(&db, &[]).await;
    for path in ["/health/live", "/docs", "/v1/customers", "/nowhere", "/webhooks/simulator/sms"] {
        for hosts in ["", "host: a\r\nhost: a\r\n", "host: a b\r\n", "host: a/b\r\n", "host: u@a\r\n", "host: a:b\r\n"]
        {
            let request = format!("GET {path} HTTP/1.1\r\nconnection: close\r\n{hosts}\r\n");
            let (head, body) = exchange(&service, &request).await;
            assert!(head.starts_with("http/1.1 400"), "{path} {hosts:?} {head}");
            assert!(String::from_utf8_lossy(&body).contains("\"pointer\":\"Host\""));
        }
    }
    for request in [
        "GET /health/live HTTP/1.0\r\n\r\n",
        "GET /health/live HTTP/1.1\r\nconnection: close\r\nhost:\r\n\r\n",
        "GET /health/live HTTP/1.1\r\nconnection: close\r\nHost: my_host.example:8080\r\n\r\n",
        "GET /health/live HTTP/1.1\r\nconnection: close\r\nhost: [::1]:8080\r\n\r\n",
        "GET http://a/health/live HTTP/1.1\r\nconnection: close\r\nhost: a\r\n\r\n",
        "HEAD /health/live HTTP/1.1\r\nconnection: close\r\nhost: a\r\n\r\n",
    ] {
        let (head, body) = exchange(&service, request).await;
        assert!(head.split_once(' ').is_some_and(|(_, rest)| rest.starts_with("200")), "{request:?} {head}");
        assert_eq!(body.is_empty(), request.starts_with("HEAD"));
    }
    for request in [
        "CONNECT a:80 HTTP/1.1\r\nhost: a:80\r\nconnection: close\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
    ] {
        let (head, _) = exchange(&service, request).await;
        assert!(head.starts_with("http/1.1 404"), "{request:?} {head}");
    }
    let (head, _) = fetch(&service, "HEAD", "/webhooks/simulator/sms", "").await;
    assert!(head.starts_with("http/1.1 405") && header(&head, "allow") == Some("get, post"), "{head}");
    let (head, _) = fetch(&service, "HEAD", "/v1/customers", "").await;
    assert!(head.starts_with("http/1.1 401"), "{head}");
    service.terminate();
}
