//! The role `gateway`: tenants' endpoint in front of the API server.
//!
//! It is a process of its own. It faces users and may act as them; the webhook decides, and may write what tenants have.
//! Neither gets the rights of the other.

mod args;
mod issuers;
mod rates;
mod upstream;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use gateway::{Gateway, GatewayMetrics, Parts, SeatSettings, Settings};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use tenancy::cluster::TenantsAlone;
use tenancy::rates::RateShares;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use args::{ClassRate, GatewayArgs};

use crate::api_server;
use crate::args::{Role, ServeArgs};
use crate::listen;
use crate::probes::{Probes, Readiness, Sample, router};
use crate::sample_rates::RateGauges;
use crate::telemetry::Telemetry;
use crate::tls::{Callers, Tls};

/// Runs the gateway until a signal ends it.
///
/// # Errors
/// When a part cannot start, or one ends that should not; the reason names it.
pub(crate) async fn serve(args: ServeArgs) -> anyhow::Result<()> {
    if args.roles.iter().any(|role| *role != Role::Gateway) {
        bail!(
            "the role gateway needs a process of its own, with rights of its own: start it with --roles gateway"
        );
    }
    // An error means a provider is installed already, and then there is one.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let telemetry = Telemetry::start(args.log_format, args.otlp_endpoint.as_deref())?;
    let mut registry = Registry::default();
    let config =
        kube::Config::infer().await.context("no cluster was found: set KUBECONFIG, or run inside one")?;
    let tenants = Arc::new(tenancy::cluster::follow_tenants(api_server::client(config.clone())?));
    let limits_of = rates::limits_of(args.gateway.limits(), tenants.rates.clone());
    let limit = rates::limit_of(Arc::clone(&limits_of), tenants.tenants.clone());
    let shares = Arc::new(tenants.share_rates(&args.gateway.gateway_ledger, limit));
    let gateway = Arc::new(Gateway::new(Parts {
        sender: upstream::sender(&config)?,
        issuers: issuers::read(args.gateway.gateway_issuers.as_deref())?,
        tenants: tenants.tenants.clone(),
        synced: tenants.synced.clone(),
        limits_of,
        rates: shares.rates.clone(),
        settings: settings(&args),
        metrics: GatewayMetrics::register(&mut registry),
    }));
    let busy = Arc::clone(&gateway);
    shares.tell(Arc::new(move || rates::loads(&busy)));
    let stop = CancellationToken::new();
    let readiness = Arc::new(Readiness::default());
    let sample = sample(&mut registry, Arc::clone(&gateway), Arc::clone(&shares));
    let servers = listeners(&args, (registry, sample), gateway, &readiness, &stop).await?;
    let ended = run_until_stopped(servers, (&tenants, &shares), &args, &readiness, &stop).await;
    // Without an API server its part stays until the lease has run out.
    let _late = tokio::time::timeout(crate::serve::GIVE_BACK, shares.leave()).await;
    drop(telemetry);
    ended
}

fn settings(args: &ServeArgs) -> Settings {
    let patience = Duration::from_secs(args.gateway.gateway_patience);
    let size = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    Settings {
        body_bytes: size(args.gateway.gateway_body_bytes),
        read_patience: patience,
        write_patience: patience,
        connections: size(args.gateway.gateway_connections),
        connections_per_address: size(args.gateway.gateway_connections_per_address),
        seats: SeatSettings {
            seats: size(args.gateway.gateway_seats),
            queue: size(args.gateway.gateway_queue),
            wait: Duration::from_secs(args.gateway.gateway_wait),
        },
        contact: args.contact.clone(),
    }
}

/// What is read, not counted.
fn sample(registry: &mut Registry, gateway: Arc<Gateway>, shares: Arc<RateShares>) -> Sample {
    let rates = RateGauges::register(registry);
    Box::new(move || {
        gateway.sample();
        rates.read(&shares);
    })
}

/// Everything is bound before anything serves, so that a taken port is an error at the start.
async fn listeners(
    args: &ServeArgs,
    (mut registry, sample): (Registry, Sample),
    gateway: Arc<Gateway>,
    readiness: &Arc<Readiness>,
    stop: &CancellationToken,
) -> anyhow::Result<JoinSet<()>> {
    let reloads = Counter::default();
    registry.register("bailey_tls_reloads", "TLS certificates put in force after the first", reloads.clone());
    let callers = match &args.gateway.gateway_client_ca {
        Some(authority) => Callers::Signed { authority: authority.clone(), names: None },
        None => Callers::Anyone,
    };
    let tls = Tls::load(&args.tls.tls_cert, &args.tls.tls_key, callers, reloads)?;
    let (tenants, plain) = (args.gateway.gateway_listen, args.http_listen);
    let bind = async |address| {
        TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))
    };
    let (tenants, plain) = (bind(tenants).await?, bind(plain).await?);
    tracing::info!(gateway = %tenants.local_addr()?, http = %plain.local_addr()?, "listening");
    let probes = Arc::new(Probes { readiness: Arc::clone(readiness), registry, sample });
    let mut servers = JoinSet::new();
    let in_force = move || Arc::clone(&tls.in_force().server);
    servers.spawn(gateway::serve(tenants, in_force, gateway, stop.clone()));
    servers.spawn(listen::serve(plain, None, router(probes), stop.clone()));
    Ok(servers)
}

/// Waits for a signal or for a task that ends, then stops in order: unready, then drained.
async fn run_until_stopped(
    mut servers: JoinSet<()>,
    (tenants, shares): (&TenantsAlone, &RateShares),
    args: &ServeArgs,
    readiness: &Readiness,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for signals")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for signals")?;
    readiness.wait_for("tenants are being listed");
    let (mut synced, mut shared) = (tenants.synced.clone(), shares.ready.clone());
    let ready = async {
        let listed = synced.wait_for(|synced| *synced).await.is_ok();
        readiness.wait_for("the other gateways are giving this one its part of the rates");
        if shared.wait_for(|shared| *shared).await.is_ok() && listed {
            readiness.loaded.store(true, Ordering::Release);
            tracing::info!("ready");
        }
        std::future::pending::<()>().await;
    };
    let ended = tokio::select! {
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
        () = ready => Ok(()),
        _ = servers.join_next() => Err(anyhow!("a listener ended by itself")),
        why = tenants.failed() => Err(anyhow!(why)),
    };
    readiness.stopping.store(true, Ordering::Release);
    if ended.is_ok() {
        tokio::time::sleep(args.shutdown_delay()).await;
    }
    tracing::info!("stopping: finishing what is under way");
    stop.cancel();
    while servers.join_next().await.is_some() {}
    ended
}
