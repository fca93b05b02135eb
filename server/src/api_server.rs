//! The client of the API server, which waits for nothing that went away without a word.
//!
//! What carries a connection may go so that neither end hears of it: a balancer that forgot it, a machine that lost its
//! power. The library's own client then waits for ever, and whoever waits for that with it.

use std::time::Duration;

use anyhow::Context;
use kube::client::ClientBuilder;
use kube::{Client, Config};
use tower::timeout::TimeoutLayer;

/// How long a connection may take to come to be.
const CONNECT: Duration = Duration::from_secs(10);
/// How long an answer may take to begin, also that of a watch; the API server itself takes at most a minute, and a page
/// of a list a second or two.
const BEGIN: Duration = Duration::from_secs(30);
/// How long nothing may come of an answer that has begun. A watch has a bookmark each minute, give or take a quarter.
const SILENCE: Duration = Duration::from_secs(100);

/// A client that gives up what is silent: a request fails, and a watch goes on where it was on another connection.
///
/// # Errors
/// When the configuration's certificates or credentials cannot be used.
pub(crate) fn client(mut config: Config) -> anyhow::Result<Client> {
    config.connect_timeout = Some(CONNECT);
    config.read_timeout = Some(SILENCE);
    // A connection that waited for its next request was not silent.
    config.reset_reader_on_write = true;
    let builder = ClientBuilder::try_from(config).context("the kubeconfig cannot be used")?;
    Ok(builder.with_layer(&TimeoutLayer::new(BEGIN)).build())
}
