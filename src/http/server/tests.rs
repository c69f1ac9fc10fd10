//! Connections that never finish, over real sockets, with short deadlines.

use std::{
    ops::RangeInclusive,
    sync::atomic::{AtomicUsize, Ordering},
};

use poem::{endpoint::make, http::StatusCode};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    task::JoinHandle,
};

use super::*;
use tokio_util::sync::CancellationToken;

const HEAD: Duration = Duration::from_millis(600);
const KEEP_ALIVE: Duration = Duration::from_millis(1800);
const WRITE: Duration = Duration::from_millis(900);
/// Longer than any deadline of a connection.
const WORK: Duration = Duration::from_millis(2500);
/// What a busy machine may add.
const SLACK: Duration = Duration::from_millis(900);
const BIG: usize = 32 * 1024 * 1024;

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

struct Server {
    address: SocketAddr,
    stop: CancellationToken,
    served: JoinHandle<io::Result<()>>,
    /// Requests that were worked on to their end.
    done: Arc<AtomicUsize>,
}

impl Server {
    async fn start(connections: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let stop = CancellationToken::new();
        let done = Arc::new(AtomicUsize::new(0));
        let big = Bytes::from(vec![b'x'; BIG]);
        let count = Arc::clone(&done);
        let endpoint = make(move |mut request: Request| {
            let (big, count) = (big.clone(), Arc::clone(&count));
            async move {
                let _ = request.take_body().into_bytes().await;
                let path = request.uri().path().to_owned();
                let active = request.data::<ActiveRequest>().expect("an active request");
                if !active.begin_work(path == "/health") {
                    return StatusCode::SERVICE_UNAVAILABLE.into();
                }
                if path == "/work" {
                    sleep(WORK).await;
                }
                count.fetch_add(1, Ordering::Relaxed);
                match path.as_str() {
                    "/big" => Response::builder().body(big),
                    "/peer" => Response::builder().body(request.remote_addr().to_string()),
                    _ => Response::builder().body("ok"),
                }
            }
        });
        let limits = Limits { connections, head: HEAD, keep_alive: KEEP_ALIVE, write: WRITE };
        let endpoint = poem::EndpointExt::map_to_response(endpoint);
        let served = tokio::spawn(serve(listener, endpoint, limits, stop.clone(), WORK * 2));
        Self { address, stop, served, done }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("a connection")
    }

    async fn send(&self, bytes: &str) -> TcpStream {
        let mut stream = self.connect().await;
        stream.write_all(bytes.as_bytes()).await.expect("it is written");
        stream
    }

    /// A request on a connection of its own, and its whole response.
    async fn ask(&self, path: &str) -> String {
        read(self.send(&format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")).await).await
    }
}

/// What comes until the connection ends, however it does.
async fn read(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

/// The next response, which says "ok".
async fn read_ok(stream: &mut TcpStream) {
    let mut answer = String::new();
    while !answer.ends_with("ok") {
        let mut part = [0; 1024];
        let length = stream.read(&mut part).await.expect("an answer");
        assert_ne!(length, 0, "the connection ended: {answer}");
        answer.push_str(&String::from_utf8_lossy(&part[..length]));
    }
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// How long until the connection ends.
async fn lasts(stream: TcpStream) -> Duration {
    let began = Instant::now();
    timeout(Duration::from_secs(10), read(stream)).await.expect("it ends");
    began.elapsed()
}

fn about(time: Duration) -> RangeInclusive<Duration> {
    time - Duration::from_millis(50)..=time + SLACK
}

#[tokio::test]
async fn a_head_has_to_arrive_in_time() {
    let server = Server::start(64).await;
    for (sent, time) in [
        ("", HEAD),
        ("P", HEAD),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Duration::from_millis(50)),
        ("PRI * HT", HEAD),
        ("GET / HTTP/1.1\r\nhost: a\r\nx-half: ", HEAD),
        ("\r\n\r\n\r\n", HEAD),
        ("\0\u{1}", Duration::from_millis(50)),
    ] {
        let lasted = lasts(server.send(sent).await).await;
        assert!(about(time).contains(&lasted), "{sent:?}: {lasted:?}");
    }
    let mut dribbling = server.connect().await;
    let began = Instant::now();
    for byte in
        std::iter::repeat_n(b"GET / HTTP/1.1\r\nx: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy", 1).flatten()
    {
        if dribbling.write_all(&[*byte]).await.is_err() {
            break;
        }
        sleep(Duration::from_millis(50)).await;
    }
    assert!(about(HEAD).contains(&began.elapsed()), "{:?}", began.elapsed());
    assert_eq!(server.done.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn an_idle_connection_is_kept_until_the_first_byte_of_another_request() {
    let server = Server::start(64).await;
    let mut idle = server.send(GET).await;
    read_ok(&mut idle).await;
    sleep(HEAD + SLACK / 3).await;
    idle.write_all(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc\r\n").await.expect("it is open");
    read_ok(&mut idle).await;
    let lasted = lasts(idle).await;
    assert!(about(KEEP_ALIVE).contains(&lasted), "{lasted:?}");

    // The beginning of the next request may come with the end of the last one.
    let chunks = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let sized = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc";
    let mut waits = JoinSet::new();
    for request in [GET, chunks, sized] {
        for (more, time) in [("", KEEP_ALIVE), ("\r\n", KEEP_ALIVE), ("GET / HT", HEAD)] {
            let mut stream = server.send(&format!("{request}{more}")).await;
            read_ok(&mut stream).await;
            // Line breaks behind the last chunk cannot be told from a request that begins.
            let time = if request == chunks && more == "\r\n" { HEAD..=KEEP_ALIVE } else { time..=time };
            waits.spawn(async move { (request, more, time, lasts(stream).await) });
        }
    }
    for (request, more, time, lasted) in waits.join_all().await {
        assert!(
            *about(*time.start()).start() <= lasted && lasted <= *about(*time.end()).end(),
            "{request:?} {more:?} {lasted:?}"
        );
    }
    let mut late = server.send(GET).await;
    read_ok(&mut late).await;
    sleep(HEAD).await;
    late.write_all(b"G").await.expect("it is open");
    let lasted = lasts(late).await;
    assert!(about(HEAD).contains(&lasted), "{lasted:?}");
}

#[tokio::test]
async fn requests_that_come_together_are_answered_one_after_the_other() {
    let server = Server::start(64).await;
    let three = format!("{GET}POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{GET}{GET}", GET.len());
    let last = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let answers = read(server.send(&format!("{three}{last}")).await).await;
    assert_eq!((answers.matches("200 OK").count(), server.done.load(Ordering::Relaxed)), (4, 4), "{answers}");
}

#[tokio::test]
async fn a_response_that_is_not_read_is_given_up() {
    let server = Server::start(64).await;
    let request = GET.replace("/ ", "/big ");
    let mut unread = server.send(&request.repeat(20)).await;
    sleep(WRITE + SLACK).await;
    assert_eq!(server.done.load(Ordering::Relaxed), 1, "the second waits for the first");
    let mut read = 0;
    let mut part = vec![0; 1 << 20];
    while let Ok(length @ 1..) = timeout(SLACK, unread.read(&mut part)).await.expect("it was ended") {
        read += length;
    }
    assert!(read < BIG, "{read} bytes of a response that was given up");
}

#[tokio::test]
async fn a_slow_reader_gets_the_whole_response() {
    let server = Server::start(64).await;
    let mut slow = server.send(&GET.replace("/ ", "/big ").replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n")).await;
    let began = Instant::now();
    let mut read = 0;
    let mut part = vec![0; BIG / 16];
    loop {
        match slow.read(&mut part).await.expect("it is open") {
            0 => break,
            length => read += length,
        }
        if began.elapsed() < WRITE * 3 {
            sleep(WRITE / 3).await;
        }
    }
    assert!(read > BIG && began.elapsed() > WRITE * 2, "{read} bytes in {:?}", began.elapsed());
}

#[tokio::test]
async fn work_is_not_cut_off_and_knows_its_client() {
    let server = Server::start(64).await;
    let worked = server.ask("/work").await;
    assert!(worked.starts_with("HTTP/1.1 200"), "{worked}");
    let stream = server.send(&GET.replace("/ ", "/peer ").replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n")).await;
    let peer = stream.local_addr().expect("an address").to_string();
    assert!(read(stream).await.contains(&peer));
}

#[tokio::test]
async fn at_the_limit_the_connection_that_waits_longest_makes_room() {
    let server = Server::start(16).await;
    let working = tokio::spawn(read(
        server.send(&GET.replace("/ ", "/work ").replace("host", "connection: close\r\nhost")).await,
    ));
    sleep(Duration::from_millis(50)).await;
    let mut oldest = server.send(GET).await;
    read_ok(&mut oldest).await;
    let mut others = Vec::new();
    for _ in 0..14 {
        others.push(server.send("GET / HTTP/1.1\r\n").await);
    }
    sleep(Duration::from_millis(50)).await;
    for _ in 0..2 {
        let began = Instant::now();
        assert!(server.ask("/health").await.contains("200 OK"));
        assert!(began.elapsed() < Duration::from_millis(400), "{:?}", began.elapsed());
    }
    assert!(lasts(oldest).await < Duration::from_millis(50), "it made room");
    others.pop().expect("the youngest").write_all(b"host: a\r\n\r\n").await.expect("it is open");
    assert!(working.await.expect("an answer").starts_with("HTTP/1.1 200"), "work goes on");
}

#[tokio::test]
async fn when_all_are_worked_on_the_next_is_refused_and_health_is_answered() {
    let server = Server::start(16).await;
    let work = GET.replace("/ ", "/work ");
    let mut working = Vec::new();
    for _ in 0..30 {
        working.push(server.send(&work).await);
        sleep(Duration::from_millis(5)).await;
    }
    assert!(server.ask("/").await.contains("503"));
    let began = Instant::now();
    assert!(server.ask("/health").await.contains("200 OK"));
    assert!(began.elapsed() < Duration::from_millis(400), "{:?}", began.elapsed());
    for mut stream in working.drain(..14) {
        read_ok(&mut stream).await;
    }
    assert_eq!(server.done.load(Ordering::Relaxed), 15);
}

#[tokio::test]
async fn a_stop_ends_idle_connections_at_once_and_work_when_it_is_done() {
    let server = Server::start(64).await;
    let working = tokio::spawn(read(server.send(&GET.replace("/ ", "/work ")).await));
    let mut idle = server.send(GET).await;
    read_ok(&mut idle).await;
    let silent = server.connect().await;
    let mut half = server.send("GET / HTTP/1.1\r\n").await;
    sleep(Duration::from_millis(100)).await;
    server.stop.cancel();
    assert!(lasts(idle).await < SLACK / 3 && lasts(silent).await < SLACK / 3);
    half.write_all(b"host: a\r\n\r\n").await.expect("it is open");
    let answer = read(half).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("connection: close"), "{answer}");
    assert!(TcpStream::connect(server.address).await.is_err(), "no more connections");
    let answer = working.await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    timeout(SLACK, server.served).await.expect("it ends").expect("no panic").expect("no error");
}
