//! What a connection is doing, how long it may do so, and whether it can make room for another one.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use hyper::{
    Request as HyperRequest,
    body::{Body, Frame, Incoming, SizeHint},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep_until},
};

use super::{framing::Framing, limits::Limits};

/// A reader who is merely slow stalls a response now and then for about a round trip. It makes room only after this
/// time, or when nothing else can.
const SLOW_READER: Duration = Duration::from_secs(1);

/// One connection, as its socket, its requests and the accept loop see it.
#[derive(Debug)]
pub(super) struct Connection {
    limits: Limits,
    requests: Arc<Semaphore>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    /// When the phase began.
    since: Instant,
    framing: Framing,
}

#[derive(Debug)]
enum Phase {
    /// Between two requests.
    Idle,
    /// The head of a request is arriving, or the first one is awaited.
    Head,
    /// A body is arriving. Its deadline is the guard's, which answers when it passes.
    Body,
    /// A request is being worked on, with one of the permits for that unless it can be spared.
    Work { _permit: Option<OwnedSemaphorePermit> },
    /// A response is being written. `buffered`: hyper has taken all of it. `stalled`: since when the client does not
    /// read.
    Response { buffered: bool, stalled: Option<Instant> },
    /// Chosen to make room.
    Closed,
}

/// How long a connection has been waiting for its client; the smallest is the first to make room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Waiting {
    Since(Instant),
    SlowReaderSince(Instant),
}

impl Connection {
    pub(super) fn new(limits: Limits, requests: Arc<Semaphore>) -> Self {
        let state = State { phase: Phase::Head, since: Instant::now(), framing: Framing::new() };
        Self { limits, requests, state: Mutex::new(state) }
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes have arrived; answers how many of them hyper may see now.
    pub(super) fn read(&self, bytes: &[u8]) -> usize {
        let mut state = self.state();
        let length = state.framing.advance(bytes);
        if matches!(state.phase, Phase::Idle) && state.framing.has_begun() {
            state.enter(Phase::Head);
        }
        length
    }

    /// hyper has a whole head.
    pub(super) fn head_arrived(&self, request: &HyperRequest<Incoming>) {
        let mut state = self.state();
        state.framing.head_arrived(request.body().size_hint().exact());
        state.enter(Phase::Body);
    }

    /// The body has arrived too, and the request can be worked on. `false`: as many as can be at a time are already,
    /// and this one has to be refused. `is_spare`: it is worked on all the same.
    fn work(&self, is_spare: bool) -> bool {
        let permit = match Arc::clone(&self.requests).try_acquire_owned() {
            Ok(permit) => Some(permit),
            Err(_) if is_spare => None,
            Err(_) => return false,
        };
        let mut state = self.state();
        state.framing.body_arrived();
        state.enter(Phase::Work { _permit: permit })
    }

    /// The response is there.
    pub(super) fn respond(&self) {
        self.state().enter(Phase::Response { buffered: false, stalled: None });
    }

    /// hyper has taken all of the response.
    fn buffered(&self) {
        if let Phase::Response { buffered, .. } = &mut self.state().phase {
            *buffered = true;
        }
    }

    /// The socket took some bytes, or would not take any.
    pub(super) fn wrote(&self, progress: bool) {
        if let Phase::Response { stalled, .. } = &mut self.state().phase {
            *stalled = if progress { None } else { stalled.or_else(|| Some(Instant::now())) };
        }
    }

    /// hyper has no more bytes to write for now.
    pub(super) fn flushed(&self) {
        let mut state = self.state();
        if let Phase::Response { buffered: true, .. } = state.phase {
            let next = if state.framing.has_begun() { Phase::Head } else { Phase::Idle };
            state.enter(next);
        }
    }

    /// Whether the connection waits for its client, and since when.
    pub(super) fn waiting(&self) -> Option<Waiting> {
        self.state().waiting()
    }

    /// Makes the connection end if it still waits for its client: no request on it will be worked on.
    pub(super) fn give_way(&self) -> bool {
        let mut state = self.state();
        state.waiting().is_some() && state.enter(Phase::Closed)
    }

    fn deadline(&self) -> Option<Instant> {
        let state = self.state();
        match state.phase {
            Phase::Idle => Some(state.since + self.limits.keep_alive),
            Phase::Head => Some(state.since + self.limits.head),
            Phase::Response { stalled, .. } => stalled.map(|since| since + self.limits.write),
            Phase::Body | Phase::Work { .. } | Phase::Closed => None,
        }
    }

    /// Waits until a deadline has passed. To be polled after everything else on the connection, since what that does
    /// moves the deadline.
    pub(super) async fn expired(&self) {
        let mut alarm = Box::pin(sleep_until(Instant::now() + self.limits.head));
        std::future::poll_fn(|cx| {
            while let Some(deadline) = self.deadline() {
                // A deadline that has moved on is looked at when the alarm goes off, which saves most resets.
                if deadline < alarm.deadline() || alarm.is_elapsed() {
                    alarm.as_mut().reset(deadline);
                }
                if alarm.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                if deadline <= Instant::now() {
                    return Poll::Ready(());
                }
            }
            Poll::Pending
        })
        .await;
    }
}

impl State {
    fn waiting(&self) -> Option<Waiting> {
        match self.phase {
            Phase::Idle | Phase::Head | Phase::Body => Some(Waiting::Since(self.since)),
            Phase::Response { stalled: Some(since), .. } if since.elapsed() >= SLOW_READER => {
                Some(Waiting::Since(since))
            }
            Phase::Response { stalled: Some(since), .. } => Some(Waiting::SlowReaderSince(since)),
            Phase::Response { stalled: None, .. } | Phase::Work { .. } | Phase::Closed => None,
        }
    }

    /// `false` if the connection was chosen to make room, which is final.
    fn enter(&mut self, phase: Phase) -> bool {
        if matches!(self.phase, Phase::Closed) {
            return false;
        }
        (self.phase, self.since) = (phase, Instant::now());
        true
    }
}

/// The request that a connection has under way, for the guard, which reads its body.
#[derive(Clone)]
pub(in crate::http) struct ActiveRequest(Arc<Connection>);

impl ActiveRequest {
    pub(super) fn of(connection: &Arc<Connection>) -> Self {
        Self(Arc::clone(connection))
    }

    /// The body has arrived. `false`: too many requests are being worked on, and this one has to be refused.
    pub(in crate::http) fn begin_work(&self, is_spare: bool) -> bool {
        self.0.work(is_spare)
    }
}

/// The body of a response. hyper drops it when the last of it is in its buffer.
pub(super) struct Outgoing<B> {
    body: B,
    connection: Arc<Connection>,
}

impl<B> Outgoing<B> {
    pub(super) fn new(body: B, connection: Arc<Connection>) -> Self {
        Self { body, connection }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Outgoing<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B> Drop for Outgoing<B> {
    fn drop(&mut self) {
        self.connection.buffered();
    }
}
