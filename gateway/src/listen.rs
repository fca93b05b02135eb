//! Connections of clients: bounded in number and patience, finished before they are closed.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use prometheus_client::metrics::gauge::Gauge;
use rustls::ServerConfig;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::body::Body;
use crate::gateway::Gateway;
use crate::identity::Peer;

/// How long a client may take for the TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// How long a client may take for the head of a request, and leave an HTTP/1.1 connection idle.
const HEAD: Duration = Duration::from_secs(30);
/// After how long without a word a client is asked whether it is there, and how often it is asked again before it is taken
/// for gone: streams that are silent would keep their place.
const SILENCE: Duration = Duration::from_secs(60);
const QUESTION: Duration = Duration::from_secs(15);
const QUESTIONS: u32 = 4;
/// How long requests under way may take to finish at shutdown; watches are closed then.
const DRAIN: Duration = Duration::from_secs(10);
/// The most headers of a request.
const MAX_HEADERS: usize = 128;
/// The longest head of a request, in bytes.
const MAX_HEAD: usize = 64 << 10;
/// The most requests under way on one HTTP/2 connection.
const MAX_STREAMS: u32 = 250;
/// The most streams of a connection that were reset before they were looked at: more is an attack.
const MAX_RESETS: usize = 64;

/// Serves clients on a listener until `stop`, then finishes what is under way. Each new connection takes the TLS
/// configuration that `tls` gives then.
pub async fn serve(
    listener: TcpListener,
    tls: impl Fn() -> Arc<ServerConfig>,
    gateway: Arc<Gateway>,
    stop: CancellationToken,
) {
    let connections = Arc::new(Semaphore::new(gateway.settings.connections));
    let addresses = Arc::new(Addresses::default());
    let graceful = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = async {
                // INVARIANT: nobody closes the semaphore.
                let permit = Arc::clone(&connections).acquire_owned().await;
                (listener.accept().await, permit)
            } => accepted,
        };
        let (Ok((stream, address)), Ok(permit)) = accepted else {
            tokio::time::sleep(Duration::from_millis(5)).await;
            continue;
        };
        let Some(counted) = addresses.enter(address.ip(), gateway.settings.connections_per_address) else {
            gateway.metrics.refused_connections.inc();
            continue;
        };
        let (tls, gateway, watcher) = (tls(), Arc::clone(&gateway), graceful.watcher());
        let open = Open::new(gateway.metrics.connections.clone(), (permit, counted));
        tokio::spawn(async move {
            serve_connection(stream, address.ip(), tls, &gateway, (watcher, open)).await;
        });
    }
    drop(listener);
    if tokio::time::timeout(DRAIN, graceful.shutdown()).await.is_err() {
        tracing::info!("watches and other long requests were closed at the end");
    }
}

async fn serve_connection(
    stream: TcpStream,
    address: IpAddr,
    tls: Arc<ServerConfig>,
    gateway: &Arc<Gateway>,
    held: (Watcher, Open),
) {
    let _ = stream.set_nodelay(true);
    let questions = TcpKeepalive::new().with_time(SILENCE).with_interval(QUESTION).with_retries(QUESTIONS);
    let _ = SockRef::from(&stream).set_tcp_keepalive(&questions);
    let accept = TlsAcceptor::from(tls).accept(stream);
    let stream = match tokio::time::timeout(HANDSHAKE, accept).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return log_end(&error),
        Err(late) => return log_end(&late),
    };
    let (_, connection) = stream.get_ref();
    let certificate = connection.peer_certificates().and_then(|chain| chain.first());
    let peer = Peer { address, certificate: certificate.map(|leaf| leaf.clone().into_owned()) };
    let two = connection.alpn_protocol() == Some(b"h2");
    let mut stream = TimeoutStream::new(stream);
    // A client that takes nothing any more is gone. Its answers are cut off before, each by itself.
    stream.set_write_timeout(Some(gateway.settings.read_patience.saturating_mul(2)));
    serve_requests(Box::pin(stream), two, peer, Arc::clone(gateway), held).await;
}

type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

async fn serve_requests<S>(
    stream: S,
    two: bool,
    peer: Peer,
    gateway: Arc<Gateway>,
    (watcher, open): (Watcher, Open),
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (begun, peer) = (Arc::new(AtomicBool::new(false)), Arc::new(peer));
    let service = {
        let begun = Arc::clone(&begun);
        service_fn(move |mut request: Request<Incoming>| {
            begun.store(true, Ordering::Relaxed);
            request.extensions_mut().insert(open.clone());
            let (gateway, peer) = (Arc::clone(&gateway), Arc::clone(&peer));
            let answer: Answer = Box::pin(async move { Ok(gateway.answer(request, &peer).await) });
            answer
        })
    };
    let builder = builder(two);
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    let connection = watcher.watch(connection.into_owned());
    tokio::pin!(connection);
    tokio::select! {
        ended = &mut connection => return ended.unwrap_or_else(|error| log_end(&error)),
        // HTTP/2 itself waits without end for the first request.
        () = tokio::time::sleep(HEAD) => {}
    }
    if begun.load(Ordering::Relaxed) {
        connection.await.unwrap_or_else(|error| log_end(&error));
    }
}

/// The protocol was agreed on with TLS: to look at the first bytes would be to wait for them.
fn builder(two: bool) -> Builder<TokioExecutor> {
    let builder = Builder::new(TokioExecutor::new());
    let mut builder = if two { builder.http2_only() } else { builder.http1_only() };
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(u32::try_from(MAX_HEAD).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(MAX_RESETS)
        .max_local_error_reset_streams(MAX_RESETS)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(15));
    builder
}

fn log_end(error: &dyn std::fmt::Display) {
    tracing::debug!(%error, "a connection ended with an error");
}

/// A connection that is counted until all of these are dropped: a stream goes on when the serving of requests has ended.
#[derive(Clone)]
pub(crate) struct Open(#[expect(dead_code, reason = "it is held, not read")] Arc<Counting>);

struct Counting {
    gauge: Gauge,
    #[expect(dead_code, reason = "it is held, not read")]
    places: (OwnedSemaphorePermit, Counted),
}

impl Open {
    fn new(gauge: Gauge, places: (OwnedSemaphorePermit, Counted)) -> Self {
        gauge.inc();
        Self(Arc::new(Counting { gauge, places }))
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        self.gauge.dec();
    }
}

/// How many connections each address has.
#[derive(Debug, Default)]
struct Addresses(Mutex<HashMap<IpAddr, usize>>);

/// A connection that is counted until this is dropped.
struct Counted(Arc<Addresses>, IpAddr);

impl Addresses {
    fn enter(self: &Arc<Self>, address: IpAddr, most: usize) -> Option<Counted> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(address).or_default();
        *count = count.checked_add(1).filter(|then| *then <= most)?;
        Some(Counted(Arc::clone(self), address))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut counts = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.1) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.remove(&self.1);
            }
        }
    }
}
