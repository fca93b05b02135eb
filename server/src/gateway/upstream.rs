//! Connections to the API server, with the gateway's own credentials.

use std::time::Duration;

use anyhow::Context;
use gateway::{Body, Sender};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::client::ConfigExt as _;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, ServiceBuilder};

/// How long a connection may wait for the next request: less than the API server waits.
const IDLE: Duration = Duration::from_secs(60);
/// The most connections that wait.
const MAX_IDLE: usize = 256;

/// After how long without a word the API server is asked whether it is there, and how often it is asked again before it is
/// taken for gone.
const SILENCE: Duration = Duration::from_secs(60);
const QUESTION: Duration = Duration::from_secs(15);
const QUESTIONS: u32 = 4;

/// What sends requests to the API server of a configuration. Tokens from files are read again before they expire.
///
/// # Errors
/// When the configuration's certificates or credentials cannot be used.
pub(super) fn sender(config: &kube::Config) -> anyhow::Result<Sender> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    // What somebody types goes on at once.
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(SILENCE));
    tcp.set_keepalive_interval(Some(QUESTION));
    tcp.set_keepalive_retries(Some(QUESTIONS));
    let connector = config
        .rustls_https_connector_with_connector(tcp)
        .context("the kubeconfig's TLS settings cannot be used")?;
    let client = Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(MAX_IDLE)
        .build::<_, Body>(connector);
    let auth = config.auth_layer().context("the kubeconfig's credentials cannot be used")?;
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(auth)
        .map_err(BoxError::from)
        .service(client);
    Ok(BoxCloneSyncService::new(service))
}
