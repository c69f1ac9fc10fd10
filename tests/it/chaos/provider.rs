//! A provider's API that fails in every way there is, and knows of every exchange what the sender could know of it.
//!
//! It speaks HTTP by hand: a framework would not let it break off in the middle.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use fastrand::Rng;
use maskline::clock::{Clock as _, SystemClock};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};

use crate::{
    carriers::messagebird::MessageBird,
    harness::{
        Api,
        carrier::{Carrier, News, Recorded, Signer},
    },
};

/// Longer than the sender waits.
const HANG: Duration = Duration::from_secs(11);

/// A text that the provider took.
#[derive(Clone, Debug)]
pub struct Taken {
    pub from: String,
    pub to: String,
    pub text: String,
    pub at: Instant,
    /// Which replica sent it,
    pub replica: usize,
    /// and which of its processes, counted from 1.
    pub life: usize,
    /// The sender was not told that it was taken, or not so that it could know.
    pub doubtful: bool,
}

/// What becomes of a send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Taken,
    TakenSlowly,
    TakenAndReset,
    TakenAndGarbled,
    TakenAnd500,
    TakenAndHung,
    ErrorIn200,
    TooMany,
    Away,
    /// Only where there is time to wait for the next try, which comes after minutes.
    ResetUnseen,
}

impl Fate {
    fn draw(rng: &mut Rng, patient: bool) -> Self {
        match rng.u32(0..1000) {
            0..700 => Self::Taken,
            700..780 => Self::TakenSlowly,
            780..810 => Self::TakenAndReset,
            810..830 => Self::TakenAndGarbled,
            830..860 => Self::TakenAnd500,
            860..866 => Self::TakenAndHung,
            866..910 => Self::ErrorIn200,
            910..950 => Self::TooMany,
            950..995 => Self::Away,
            _ if patient => Self::ResetUnseen,
            _ => Self::Taken,
        }
    }

    fn takes(self) -> bool {
        !matches!(self, Self::ErrorIn200 | Self::TooMany | Self::Away | Self::ResetUnseen)
    }

    /// The sender cannot know that it was taken.
    fn is_doubtful(self) -> bool {
        matches!(self, Self::TakenAndReset | Self::TakenAndGarbled | Self::TakenAnd500 | Self::TakenAndHung)
    }
}

#[derive(Default)]
struct State {
    taken: Vec<Taken>,
    serial: usize,
    /// Where replicas take webhooks.
    webhooks: Vec<Api>,
    /// How often it failed.
    failures: u64,
}

/// The provider. Clones are the same one.
#[derive(Clone)]
pub struct Provider {
    state: Arc<Mutex<State>>,
    patient: bool,
}

impl Provider {
    pub fn new(patient: bool) -> Self {
        Self { state: Arc::default(), patient }
    }

    /// An address of its API for this replica alone. Each of its processes adds which one it is.
    pub async fn listen(&self, replica: usize) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let provider = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let provider = provider.clone();
                tokio::spawn(async move { provider.serve(stream, replica).await });
            }
        });
        base
    }

    /// Delivery reports go to any of these from now on.
    pub fn report_to(&self, webhooks: Vec<Api>) {
        self.state().webhooks = webhooks;
    }

    pub fn taken(&self) -> Vec<Taken> {
        self.state().taken.clone()
    }

    pub fn failures(&self) -> u64 {
        self.state().failures
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("not poisoned")
    }

    /// Answers the requests of a connection until it ends or is broken off.
    async fn serve(&self, mut stream: TcpStream, replica: usize) {
        while let Ok(Some(request)) = read_request(&mut stream).await {
            if !self.answer(&mut stream, request, replica).await.unwrap_or(false) {
                return;
            }
        }
    }

    /// Whether the connection can be used again.
    async fn answer(&self, stream: &mut TcpStream, mut request: Recorded, replica: usize) -> io::Result<bool> {
        if request.method == "GET" {
            // What became of a call is not told here.
            return respond(stream, 404, "", "{}").await.map(|()| true);
        }
        let life = take_life(&mut request);
        let mut rng = Rng::new();
        let fate = Fate::draw(&mut rng, self.patient);
        if fate == Fate::TakenSlowly {
            sleep(Duration::from_millis(rng.u64(100..1500))).await;
        }
        let accepted = fate.takes().then(|| self.take(&mut request, (replica, life), fate.is_doubtful()));
        if fate != Fate::Taken {
            self.state().failures += 1;
        }
        match fate {
            Fate::Taken | Fate::TakenSlowly => {
                let (status, answer) = accepted.expect("it was taken");
                respond(stream, status, "", &answer.to_string()).await?;
            }
            Fate::TakenAndReset | Fate::ResetUnseen => {
                // With nothing left to linger for, closing resets the connection.
                stream.set_zero_linger()?;
                return Ok(false);
            }
            Fate::TakenAndGarbled => {
                stream.write_all(b"\x00\xffnot HTTP at all\r\n\r\n").await?;
                return Ok(false);
            }
            Fate::TakenAndHung => {
                sleep(HANG).await;
                return Ok(false);
            }
            Fate::TakenAnd500 => respond(stream, 500, "", "<html>Oops</html>").await?,
            Fate::ErrorIn200 => {
                let body = r#"{"errors":[{"code":98,"description":"internal","parameter":null}]}"#;
                respond(stream, 200, "", body).await?;
            }
            Fate::TooMany => respond(stream, 429, "retry-after: 1\r\n", "").await?,
            Fate::Away => respond(stream, 503, "", "").await?,
        }
        Ok(true)
    }

    /// Takes a text, and reports its delivery a little later, as often as it takes to be heard.
    fn take(&self, request: &mut Recorded, (replica, life): (usize, usize), doubtful: bool) -> (u16, Value) {
        let carried = MessageBird.read(request);
        let mut state = self.state();
        state.serial += 1;
        let (status, answer, id) = MessageBird.accept(request, state.serial);
        let (from, to, text) = (carried.from, carried.to, carried.text);
        state.taken.push(Taken { from, to, text, at: Instant::now(), replica, life, doubtful });
        request.provider_id = id;
        let (provider, request) = (self.clone(), request.clone());
        tokio::spawn(async move { provider.report(&request).await });
        (status, answer)
    }

    async fn report(&self, sent: &Recorded) {
        let mut rng = Rng::new();
        loop {
            sleep(Duration::from_millis(rng.u64(300..900))).await;
            let webhooks = self.state().webhooks.clone();
            let Some(api) = rng.choice(&webhooks) else { continue };
            let webhook = MessageBird.report(sent, &sent.provider_id, News::Delivered);
            let proof = MessageBird.sign(&webhook, Signer::Ours, SystemClock.now());
            let told = timeout(Duration::from_secs(3), api.try_webhook(&webhook, &proof)).await;
            if matches!(told, Ok(Some(answer)) if answer.status == 200) {
                return;
            }
        }
    }
}

/// Takes the sender's process off the path.
fn take_life(request: &mut Recorded) -> usize {
    let path = request.path.trim_start_matches('/').to_owned();
    let (life, path) = path.split_once('/').expect("a process with its path");
    request.path = format!("/{path}");
    life.parse().expect("the number of a process")
}

/// The next request of a connection; `None` at its end.
async fn read_request(stream: &mut TcpStream) -> io::Result<Option<Recorded>> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    };
    let text = String::from_utf8_lossy(&bytes[..head]).into_owned();
    let mut lines = text.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let fields = lines.filter_map(|line| line.split_once(": "));
    let headers: std::collections::HashMap<_, _> =
        fields.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
    let length: usize = headers.get("content-length").map_or(0, |length| length.parse().unwrap_or(0));
    let mut body = bytes.split_off(head + 4);
    while body.len() < length {
        if stream.read_buf(&mut body).await? == 0 {
            return Ok(None);
        }
    }
    let body = String::from_utf8_lossy(&body).into_owned();
    Ok(Some(Recorded { method, path, headers, body, provider_id: String::new() }))
}

async fn respond(stream: &mut TcpStream, status: u16, headers: &str, body: &str) -> io::Result<()> {
    let head = format!(
        "HTTP/1.1 {status} -\r\ncontent-type: application/json\r\ncontent-length: {}\r\n{headers}\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).await
}
