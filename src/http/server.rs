//! Accepts connections and serves HTTP/1.1 on them.
//!
//! poem's own server bounds neither the time that a request head may take nor that of an unread response, and keeps
//! any number of connections open. Here every phase of a connection has a deadline ([`connection`]), and at
//! `MAX_CONNECTIONS` the connection that has waited longest makes room for a new one. HTTP/2 is not spoken: without TLS
//! only proxies could use it, and their default is HTTP/1.1.

mod connection;
mod framing;
mod limits;
mod socket;

use std::{collections::HashMap, convert::Infallible, io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use hyper::{
    Request as HyperRequest, Response as HyperResponse,
    body::{Body, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use poem::{
    Endpoint, Request, Response,
    http::uri::Scheme,
    web::{LocalAddr, RemoteAddr},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::{AbortHandle, Id, JoinSet},
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

pub(super) use self::connection::ActiveRequest;
pub(crate) use self::limits::Limits;
use self::{
    connection::{Connection, Outgoing},
    socket::Socket,
};

/// Largest request head, in bytes: as large as a body, since some providers put the text into the address.
const MAX_HEAD: usize = 64 * 1024;
/// Most header fields in it.
const MAX_HEADERS: usize = 100;
/// Bytes of a response that the kernel may hold unsent: what it takes in more would count as progress although the
/// client reads nothing.
const MAX_UNSENT: u32 = 64 * 1024;
/// Pause after the process ran out of file descriptors or memory for sockets.
const BACK_OFF: Duration = Duration::from_millis(50);
/// Longest wait for a connection that was told to end before another one is.
const FAREWELL: Duration = Duration::from_millis(20);
/// Shortest time between two log entries about a lack of room.
const LOG_PAUSE: Duration = Duration::from_secs(10);

/// Serves until asked to stop; requests under way then get `drain` to end.
pub(crate) async fn serve(
    listener: TcpListener,
    endpoint: impl Endpoint<Output = Response> + 'static,
    limits: Limits,
    stop: CancellationToken,
    drain: Duration,
) -> io::Result<()> {
    let endpoint = Arc::new(endpoint);
    let local = listener.local_addr()?;
    let requests = Arc::new(Semaphore::new(limits.requests()));
    let mut open = OpenConnections::default();
    let mut last_warning = None;
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            () = open.one_ended() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let room = open.make_room(limits.connections);
                let at_limit = tokio::select! {
                    () = stop.cancelled() => break,
                    at_limit = room => at_limit,
                };
                if at_limit {
                    warn(&mut last_warning, "MAX_CONNECTIONS is reached: connections that wait longest are closed");
                }
                let connection = Arc::new(Connection::new(limits, Arc::clone(&requests)));
                let addresses = (local, peer);
                let served = serve_one(stream, addresses, Arc::clone(&endpoint), Arc::clone(&connection), stop.clone());
                open.add(connection, served);
            }
            Err(error) if concerns_one_client(&error) => {}
            Err(error) => {
                warn(&mut last_warning, &format!("failed to accept a connection: {}", error.kind()));
                open.close_longest_waiting();
                sleep(BACK_OFF).await;
            }
        }
    }
    drop(listener);
    let _ = timeout(drain, async { while open.tasks.join_next().await.is_some() {} }).await;
    Ok(())
}

/// Logs, but not at every connection.
fn warn(last: &mut Option<Instant>, message: &str) {
    if last.is_none_or(|last| last.elapsed() >= LOG_PAUSE) {
        tracing::warn!("{message}");
        *last = Some(Instant::now());
    }
}

/// Whether accepting failed for this client only, such as one that has gone away again.
fn concerns_one_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}

/// Connections with the tasks that serve them.
#[derive(Default)]
struct OpenConnections {
    tasks: JoinSet<()>,
    by_task: HashMap<Id, (Arc<Connection>, AbortHandle)>,
}

impl OpenConnections {
    fn add(&mut self, connection: Arc<Connection>, served: impl Future<Output = ()> + Send + 'static) {
        let task = self.tasks.spawn(served);
        self.by_task.insert(task.id(), (connection, task));
    }

    /// Waits until a connection ends; for ever while none is open.
    async fn one_ended(&mut self) {
        let id = match self.tasks.join_next_with_id().await {
            Some(Ok((id, ()))) => id,
            Some(Err(aborted)) => aborted.id(),
            None => return std::future::pending().await,
        };
        self.by_task.remove(&id);
    }

    /// Waits until fewer than `limit` connections are open, and closes those that have waited longest for that. Answers
    /// whether it had to.
    async fn make_room(&mut self, limit: usize) -> bool {
        let mut at_limit = false;
        while self.tasks.len() >= limit {
            at_limit = true;
            self.close_longest_waiting();
            let _ = timeout(FAREWELL, self.one_ended()).await;
        }
        at_limit
    }

    /// Closes the connection that has waited longest for its client. One whose request is being worked on stays.
    fn close_longest_waiting(&mut self) {
        let waiting = self.by_task.values().filter_map(|(connection, task)| {
            let waiting = connection.waiting()?;
            Some((waiting, connection, task))
        });
        if let Some((_, connection, task)) = waiting.min_by_key(|(waiting, ..)| *waiting)
            && connection.give_way()
        {
            task.abort();
        }
    }
}

/// Serves one connection until either side ends it or a deadline passes.
async fn serve_one(
    stream: TcpStream,
    addresses: (SocketAddr, SocketAddr),
    endpoint: Arc<impl Endpoint<Output = Response> + 'static>,
    connection: Arc<Connection>,
    stop: CancellationToken,
) {
    prepare(&stream, connection.limits());
    let service = service_fn(|request: HyperRequest<Incoming>| {
        connection.head_arrived(&request);
        answer(request, addresses, Arc::clone(&endpoint), Arc::clone(&connection))
    });
    let socket = Socket::new(stream, Arc::clone(&connection));
    let mut protocol = http1::Builder::new();
    // The deadlines are ours: hyper's counts the time between requests too.
    protocol.timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(MAX_HEAD).max_headers(MAX_HEADERS);
    let mut served = pin!(protocol.serve_connection(TokioIo::new(socket), service));
    let mut expired = pin!(connection.expired());
    let mut stopping = false;
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled(), if !stopping => {
                stopping = true;
                served.as_mut().graceful_shutdown();
            }
            _ = &mut served => return,
            () = &mut expired => return,
        }
    }
}

async fn answer(
    mut request: HyperRequest<Incoming>,
    (local, peer): (SocketAddr, SocketAddr),
    endpoint: Arc<impl Endpoint<Output = Response>>,
    connection: Arc<Connection>,
) -> Result<HyperResponse<Outgoing<impl Body<Data = Bytes, Error = io::Error> + Unpin>>, Infallible> {
    request.extensions_mut().insert(ActiveRequest::of(&connection));
    let request: Request = (request, LocalAddr(local.into()), RemoteAddr(peer.into()), Scheme::HTTP).into();
    let response: HyperResponse<_> = endpoint.get_response(request).await.into();
    connection.respond();
    Ok(response.map(|body| Outgoing::new(body, connection)))
}

/// Options of a socket. A connection works without them, so failures do not matter.
fn prepare(stream: &TcpStream, limits: &Limits) {
    let _ = stream.set_nodelay(true);
    let socket = socket2::SockRef::from(stream);
    let _ = socket.set_tcp_notsent_lowat(MAX_UNSENT);
    // What the kernel holds is not seen by the deadline for writing.
    let _ = socket.set_tcp_user_timeout(Some(limits.write));
}

#[cfg(test)]
mod tests;
