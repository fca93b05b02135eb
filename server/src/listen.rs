//! Accepting connections: bounded in number and patience, finished before they are closed.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use admission::Peer;
use axum::{Extension, Router};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::tls::Tls;

/// Connections served at once; more wait in the system's backlog.
const MAX_CONNECTIONS: usize = 4_096;
/// How long a client may take for the TLS handshake, and for the head of a request.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long requests under way may take to finish at shutdown: the longest webhook timeout.
const DRAIN: Duration = Duration::from_secs(30);

/// Serves routes on a listener until `stop`, then finishes what is under way.
pub(crate) async fn serve(listener: TcpListener, tls: Option<Tls>, routes: Router, stop: CancellationToken) {
    let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let graceful = GracefulShutdown::new();
    loop {
        let Ok(permit) = Arc::clone(&connections).acquire_owned().await else { break };
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                pause_after(&error).await;
                continue;
            }
        };
        let watcher = graceful.watcher();
        let (tls, routes) = (tls.clone(), routes.clone());
        tokio::spawn(async move {
            match tls {
                Some(tls) => serve_tls(stream, &tls, routes, watcher).await,
                None => serve_connection(stream, routes, watcher).await,
            }
            drop(permit);
        });
    }
    drop(listener);
    if tokio::time::timeout(DRAIN, graceful.shutdown()).await.is_err() {
        tracing::warn!("connections were still open when the time to finish them was over");
    }
}

/// Waits a little when the process has no file descriptors left; other errors concern one client only.
async fn pause_after(error: &io::Error) {
    let one_client = matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    );
    if !one_client {
        tracing::error!(%error, "cannot accept a connection");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn serve_tls(
    stream: TcpStream,
    tls: &Tls,
    routes: Router,
    watcher: hyper_util::server::graceful::Watcher,
) {
    let _ = stream.set_nodelay(true);
    let in_force = tls.in_force();
    let accept = TlsAcceptor::from(Arc::clone(&in_force.server)).accept(stream);
    let stream = match tokio::time::timeout(PATIENCE, accept).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            tracing::debug!(%error, "TLS handshake failed");
            return;
        }
        Err(_) => {
            tracing::debug!("TLS handshake took too long");
            return;
        }
    };
    let peer: Peer = in_force.peer(stream.get_ref().1);
    serve_connection(stream, routes.layer(Extension(peer)), watcher).await;
}

async fn serve_connection<S>(stream: S, routes: Router, watcher: hyper_util::server::graceful::Watcher)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(PATIENCE);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(256)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(10));
    let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes));
    if let Err(error) = watcher.watch(connection.into_owned()).await {
        tracing::debug!(%error, "connection ended with an error");
    }
}
