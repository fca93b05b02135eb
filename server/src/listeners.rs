//! What the daemon listens on: the webhook, plain HTTP, and where decisions are read.

use std::net::SocketAddr;
use std::sync::Arc;

use admission::{Admission, HttpLimits};
use anyhow::{Context, anyhow};
use axum::Router;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use tenancy::cluster::Cluster;
use tenancy::rates::UseReader;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::args::{Role, ServeArgs};
use crate::decisions::{self, Decisions, OwnRecord, PeerMetrics, Peers, Replica};
use crate::probes::Probes;
use crate::tls::{Callers, Tls};
use crate::{listen, trace_context};

/// The name of the API server's proxy certificate with an authority that is given by hand, as kubeadm has it.
const PROXY_NAME: &str = "front-proxy-client";

/// A listener with TLS.
struct Secured {
    listener: TcpListener,
    tls: Tls,
}

/// Everything is bound before anything serves, so that a taken port is an error at the start.
pub(crate) struct Listeners {
    webhook: Secured,
    plain: TcpListener,
    api: Option<Secured>,
    peers: Option<Secured>,
    peer_metrics: PeerMetrics,
}

impl Listeners {
    /// Binds what the arguments ask for.
    ///
    /// # Errors
    /// When an address is taken, or a certificate cannot be used.
    pub(crate) async fn bind(
        args: &ServeArgs,
        cluster: Option<&Cluster>,
        registry: &mut Registry,
    ) -> anyhow::Result<Self> {
        let reloads = Counter::default();
        registry.register(
            "bailey_tls_reloads",
            "TLS certificates put in force after the first",
            reloads.clone(),
        );
        let secured = async |address: SocketAddr, callers| {
            let tls = Tls::load(&args.tls.tls_cert, &args.tls.tls_key, callers, reloads.clone())?;
            anyhow::Ok(Secured { listener: bind(address).await?, tls })
        };
        let webhook = secured(args.listen, reviewers(args)).await?;
        let plain = bind(args.http_listen).await?;
        let api = match args.api_listen {
            Some(address) => Some(secured(address, front_proxy(args, cluster)?).await?),
            None => None,
        };
        let peers = match (args.peers.peers_listen, &args.peers.peers_ca) {
            (Some(address), Some(authority)) => {
                let names = Some(args.peers.peers.iter().map(|peer| peer.host().to_owned()).collect());
                Some(secured(address, Callers::Signed { authority: authority.clone(), names }).await?)
            }
            _ => None,
        };
        Ok(Self { webhook, plain, api, peers, peer_metrics: PeerMetrics::register(registry) })
    }

    /// Serves on all of them until `stop`.
    ///
    /// # Errors
    /// When a listener has no address.
    pub(crate) fn serve(
        self,
        args: &ServeArgs,
        admission: Arc<Admission>,
        probes: Arc<Probes>,
        uses: Option<UseReader>,
        stop: &CancellationToken,
    ) -> anyhow::Result<JoinSet<()>> {
        let probes = crate::probes::router(probes);
        tracing::info!(
            webhook = %self.webhook.listener.local_addr()?, http = %self.plain.local_addr()?, "listening"
        );
        let mut servers = JoinSet::new();
        let mut secured = |on: Secured, routes| {
            servers.spawn(listen::serve(on.listener, Some(on.tls), routes, stop.clone()));
        };
        // Who plays no part in admission answers no review: it has no part of the rates either.
        let reviews = args.roles.contains(&Role::Admission).then(|| reviews(args, admission));
        secured(self.webhook, reviews.unwrap_or_default().merge(probes.clone()));
        let record = Arc::new(OwnRecord::new(args.audit_db.clone()));
        if let Some(on) = &self.peers {
            tracing::info!(peers = %on.listener.local_addr()?, "listening");
        }
        let peers = self.peers.map(|on| {
            let replica = Replica::random();
            let urls = args.peers.peers.clone();
            let peers = Peers::new(urls, on.tls.clone(), replica.clone(), self.peer_metrics);
            secured(on, decisions::peers_router(Arc::clone(&record), replica));
            peers
        });
        if let Some(on) = self.api {
            tracing::info!(decisions = %on.listener.local_addr()?, "listening");
            secured(on, decisions::router(Decisions { record, peers, uses }));
        }
        servers.spawn(listen::serve(self.plain, None, probes, stop.clone()));
        Ok(servers)
    }
}

fn reviews(args: &ServeArgs, admission: Arc<Admission>) -> Router {
    let body_bytes = usize::try_from(args.evaluation.max_body_bytes).unwrap_or(16 << 20);
    let reviews = admission::router(admission, HttpLimits { body_bytes });
    match args.otlp_endpoint {
        Some(_) => reviews.layer(axum::middleware::from_fn(trace_context::follow)),
        None => reviews,
    }
}

/// Whose reviews are taken.
fn reviewers(args: &ServeArgs) -> Callers {
    let names = args.tls.client_name.clone().map(|name| vec![name]);
    match &args.tls.client_ca {
        Some(authority) => Callers::Signed { authority: authority.clone(), names },
        None => Callers::Anyone,
    }
}

/// How the API server is known where it passes questions on.
fn front_proxy(args: &ServeArgs, cluster: Option<&Cluster>) -> anyhow::Result<Callers> {
    if let Some(authority) = &args.proxy_ca {
        let name = args.proxy_name.clone().unwrap_or_else(|| PROXY_NAME.to_owned());
        return Ok(Callers::Signed { authority: authority.clone(), names: Some(vec![name]) });
    }
    let cluster = cluster
        .ok_or_else(|| anyhow!("without a cluster, --api-listen needs --proxy-ca: nobody publishes it"))?;
    Ok(Callers::FrontProxy { published: cluster.front_proxy(), name: args.proxy_name.clone() })
}

async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))
}
