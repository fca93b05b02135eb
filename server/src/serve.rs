//! Wiring by part, from the audit store up to the listeners, and the way down again.

use std::sync::atomic::Ordering;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use admission::{
    Admission, AdmissionMetrics, Budgets, Contact, GiveBack, Guard, HostnameClaims, Parts, WriteRates,
};
use anyhow::{Context, anyhow};
use audit::{AuditConfig, AuditMetrics, AuditSink, AuditTask};
use fairness::queue::Standing;
use fairness::seats::Seats;
use policies::wasm::{WasmConfig, WasmRuntime};
use policies::{Compiler, EvaluationPool, Limits, PoolConfig};
use prometheus_client::registry::Registry;
use tenancy::cluster::Cluster;
use tenancy::rates::Load;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::args::{EvaluationArgs, Role, ServeArgs};
use crate::check::config_check;
use crate::listeners::Listeners;
use crate::load::LoadMetrics;
use crate::probes::{Probes, Readiness};
use crate::telemetry::Telemetry;
use crate::{sample, source, usage};

/// How long the last records may take to be written at shutdown.
const FLUSH: Duration = Duration::from_secs(10);

/// How long it may take at shutdown to give back what is held of budgets and rates.
pub(crate) const GIVE_BACK: Duration = Duration::from_secs(3);

/// Runs the daemon until a signal ends it.
///
/// # Errors
/// When a part cannot start, or one ends that should not; the reason names it.
pub async fn serve(args: ServeArgs) -> anyhow::Result<()> {
    if args.roles.contains(&Role::Gateway) {
        return crate::gateway::serve(args).await;
    }
    // An error means a provider is installed already, and then there is one.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let telemetry = Telemetry::start(args.log_format, args.otlp_endpoint.as_deref())?;
    let mut registry = Registry::default();
    let (audit, audit_task) = open_audit(&args, &mut registry).await?;
    let limits = limits(&args.evaluation);
    let pool = Arc::new(start_pool(&args.evaluation)?);
    let compiler =
        Arc::new(RwLock::new(Compiler::new(wasm_runtime(&args.evaluation, &pool, limits)?, limits)));
    let readiness = Arc::new(Readiness::default());
    let mut tasks = JoinSet::new();
    let parts = source::Parts {
        compiler: Arc::clone(&compiler),
        pool: Arc::clone(&pool),
        readiness: Arc::clone(&readiness),
        load_metrics: LoadMetrics::register(&mut registry),
    };
    let cluster = source::start(&args, parts, &mut tasks).await?;
    usage::start(cluster.as_ref(), &audit, &args, &mut registry, &mut tasks);
    let exceptions = match &cluster {
        Some(cluster) => cluster.exceptions.clone(),
        None => watch::channel(Arc::default()).1,
    };
    let seats = Seats::new(pool.threads(), usize::try_from(args.evaluation.queue).unwrap_or(1024));
    let shares = cluster.as_ref().and_then(|cluster| cluster.rate_shares.as_ref());
    if let Some(shares) = shares {
        let busy = Arc::clone(&seats);
        shares.tell(Arc::new(move || turns(&busy)));
    }
    let admission = Arc::new(Admission::new(Parts {
        pool: Arc::clone(&pool),
        seats: Arc::clone(&seats),
        audit,
        metrics: AdmissionMetrics::register(&mut registry),
        guard: guard(cluster.as_deref(), &args),
        budgets: budgets(cluster.as_deref(), &args),
        hostnames: cluster.as_deref().map(hostnames),
        rates: cluster.as_deref().and_then(rates),
        exceptions,
        check: config_check(compiler, cluster.clone()),
        contact: Contact(args.contact.clone()),
        ready: Arc::clone(&readiness.loaded),
    }));
    let stop = CancellationToken::new();
    let listeners = Listeners::bind(&args, cluster.as_deref(), &mut registry).await?;
    let sample = sample::register(&mut registry, Arc::clone(&pool), Arc::clone(&seats), cluster.clone());
    let probes = Arc::new(Probes { readiness: Arc::clone(&readiness), registry, sample });
    let uses = cluster.as_ref().map(|cluster| cluster.uses());
    let servers = listeners.serve(&args, admission, probes, uses, &stop)?;
    let ended = run_until_stopped(&mut tasks, servers, &args, &readiness, &stop, audit_task).await;
    if let Some(cluster) = cluster {
        // Without an API server the shares stay until the lease has run out.
        let leave = async {
            if let Some(shares) = &cluster.rate_shares {
                shares.leave().await;
            }
        };
        let give_back = async { tokio::join!(cluster.budgets.give_back(), leave) };
        let _late = tokio::time::timeout(GIVE_BACK, give_back).await;
    }
    tasks.shutdown().await;
    drop(telemetry);
    ended
}

/// The rates of the cluster's tenants.
fn rates(cluster: &Cluster) -> Option<WriteRates> {
    let shares = cluster.rate_shares.as_ref()?;
    Some(WriteRates::new(cluster.rates.clone(), shares.rates.clone()))
}

/// How each tenant stands at the evaluation threads, as ledgers tell it.
fn turns(seats: &Seats) -> Vec<(String, Load)> {
    let load = |standing: Standing| Load {
        waiting: u32::try_from(standing.waiting).unwrap_or(u32::MAX),
        seats: standing.seats,
        ..Load::default()
    };
    seats.standings().into_iter().map(|(tenant, standing)| (tenant.to_string(), load(standing))).collect()
}

/// A guard over the tenants of the cluster; there are none without one.
fn guard(cluster: Option<&Cluster>, args: &ServeArgs) -> Guard {
    let (tenants, holdings) = match cluster {
        Some(cluster) => (cluster.tenants.clone(), cluster.holdings.clone()),
        None => (watch::channel(Arc::default()).1, watch::channel(Arc::default()).1),
    };
    Guard::new(tenants, holdings, args.administrators.clone())
}

/// The budgets of the cluster's tenants.
fn budgets(cluster: Option<&Cluster>, args: &ServeArgs) -> Option<Budgets> {
    let cluster = cluster?;
    let desk = Arc::clone(&cluster.budgets.desk);
    let grants = Arc::clone(&cluster.budgets.grants);
    Some(Budgets::new(desk, grants, cluster.tenants.clone(), args.administrators.clone()))
}

/// The claims of host names, as admission asks for them.
fn hostnames(cluster: &Cluster) -> HostnameClaims {
    let hostnames = cluster.hostnames.clone();
    Arc::new(move |ask| {
        let hostnames = hostnames.clone();
        Box::pin(async move {
            let claimed = hostnames.claim(&ask).await?;
            let give_back: GiveBack = Box::pin(claimed.give_back());
            Ok(give_back)
        })
    })
}

async fn open_audit(args: &ServeArgs, registry: &mut Registry) -> anyhow::Result<(AuditSink, AuditTask)> {
    let mut config = AuditConfig::new(&args.audit_db);
    let age = Duration::from_secs(u64::from(args.audit_days).saturating_mul(86_400));
    config.retention.max_age = Some(age);
    AuditSink::open(config, AuditMetrics::register(registry))
        .await
        .with_context(|| format!("cannot open the audit store `{}`", args.audit_db.display()))
}

fn limits(args: &EvaluationArgs) -> Limits {
    let memory = usize::try_from(args.policy_memory_mib).unwrap_or(64).saturating_mul(1 << 20);
    Limits {
        timeout: Duration::from_millis(args.policy_timeout_ms.into()),
        memory_bytes: memory,
        ..Limits::default()
    }
}

fn start_pool(args: &EvaluationArgs) -> anyhow::Result<EvaluationPool> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = args.workers.map_or(processors, usize::from);
    let queue = usize::try_from(args.queue).unwrap_or(1024);
    EvaluationPool::start(PoolConfig { threads, queue }).context("cannot start the evaluation threads")
}

fn wasm_runtime(args: &EvaluationArgs, pool: &EvaluationPool, limits: Limits) -> anyhow::Result<WasmRuntime> {
    // One guest per evaluation thread; room for those of late threads, for settings checked at load, and
    // for slots that are still being cleaned while the next guest starts.
    let slots = u32::try_from(pool.threads().saturating_mul(2).saturating_add(8)).unwrap_or(u32::MAX);
    WasmRuntime::new(WasmConfig { cache_dir: args.cache_dir.clone(), slots, limits })
        .map_err(|fault| anyhow!("cannot start the wasm engine: {fault}"))
}

/// Waits for a signal or for a task that ends, then stops in order: unready, drained, flushed.
async fn run_until_stopped(
    tasks: &mut JoinSet<anyhow::Result<()>>,
    mut servers: JoinSet<()>,
    args: &ServeArgs,
    readiness: &Readiness,
    stop: &CancellationToken,
    mut audit_task: AuditTask,
) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for signals")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for signals")?;
    let ended = tokio::select! {
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
        Some(ended) = tasks.join_next() => Err(match ended {
            Ok(Err(error)) => error,
            Ok(Ok(())) => anyhow!("a part of the daemon ended by itself"),
            Err(error) => anyhow!(error).context("a part of the daemon failed"),
        }),
        _ = servers.join_next() => Err(anyhow!("a listener ended by itself")),
        ended = audit_task.ended() => Err(anyhow!(ended).context("the audit writer ended")),
    };
    readiness.stopping.store(true, Ordering::Release);
    if ended.is_ok() {
        tokio::time::sleep(args.shutdown_delay()).await;
    }
    tracing::info!("stopping: finishing what is under way");
    stop.cancel();
    while servers.join_next().await.is_some() {}
    let lost = audit_task.shutdown(FLUSH).await;
    if lost > 0 {
        tracing::error!(lost, "records were not written before the end");
    }
    ended
}
