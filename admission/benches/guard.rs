//! Question: what do the walls add to a review, with 2,000 tenants and 10,000 namespaces loaded?
//!
//! Each row is a whole review, from bytes to decision and record, without any policy: with no tenant at all, and with
//! all of them, in a namespace of one of them and asked by its owner. The difference of two rows is the answer.
//!
//! `cargo xtask bench guard`
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    missing_docs,
    reason = "a bench that cannot be set up has nothing to measure"
)]

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use admission::{Admission, AdmissionMetrics, Contact, Guard, Parts, Phase};
use audit::{AuditConfig, AuditMetrics, AuditSink};
use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use model::{
    ClassKind, ClassRule, ConnectRules, Contents, Globs, Holdings, HostRules, ImageRules, Isolation, Member,
    MetadataRules, NamespaceRules, NamespaceState, Network, ResourceRules, Rules, SchedulingRules,
    ServiceRules, Subject, TENANT_LABEL, Tenant, TenantIndex, TenantRole, WALLS_LABEL, WALLS_STANDING,
};
use policies::{EvaluationPool, PoolConfig};
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use tokio::sync::watch;

const TENANTS: usize = 2_000;
const NAMESPACES_EACH: usize = 5;

/// Rules with something in every list.
fn rules() -> Rules {
    let classes = [ClassKind::Storage, ClassKind::Ingress, ClassKind::Priority, ClassKind::Runtime];
    let class = || ClassRule { allowed: Some(Globs::new(["standard", "fast"])), default: None };
    let images = Globs::new(["registry.example.com/*"]);
    Rules {
        source: "IsolationProfile `bench`".into(),
        labels: MetadataRules::default(),
        annotations: MetadataRules::default(),
        images: ImageRules { allowed: Some(images), digests: false, pull_policies: None },
        classes: classes.map(|kind| (kind, class())).into(),
        hosts: HostRules { allowed: Some(Globs::new(["*.example.com"])), wildcards: false, shared: false },
        services: ServiceRules { types: ["ClusterIP".to_owned()].into(), ..ServiceRules::default() },
        volumes: Globs::new(["configMap", "secret", "emptyDir", "projected"]),
        scheduling: SchedulingRules {
            tolerations: Globs::new(["node.kubernetes.io/*"]),
            schedulers: Some(Globs::new(["default-scheduler"])),
            topology_keys: Some(Globs::new(["topology.kubernetes.io/zone"])),
            ..SchedulingRules::default()
        },
        resources: ResourceRules {
            qos_classes: Some(["Burstable".to_owned(), "Guaranteed".to_owned()].into()),
            max_limit_percent: BTreeMap::from([("cpu".to_owned(), 400)]),
        },
        connect: ConnectRules { refused: ["proxy".to_owned()].into() },
        finalizers: Globs::new(["kubernetes.io/*"]),
        cluster_roles: None,
    }
}

fn tenant(number: usize, rules: &Arc<Rules>) -> Arc<Tenant> {
    let subject = Subject::User(format!("owner-{number}"));
    Arc::new(Tenant {
        name: format!("t{number}"),
        parents: Vec::new(),
        members: vec![Member { subject, role: TenantRole::Owner, cluster_role: None }],
        namespaces: NamespaceRules { prefix: format!("t{number}-"), limit: Some(10) },
        budget: model::Budget::default(),
        suspended: false,
        weight: std::num::NonZeroU32::MIN,
        profile: "bench".into(),
        isolation: Isolation {
            pod_security: BTreeMap::new(),
            network: Some(Network::default()),
            contents: Contents::default(),
            rules: vec![Arc::clone(rules)],
            fault: None,
        },
    })
}

fn index(tenants: usize) -> TenantIndex {
    let rules = Arc::new(rules());
    let namespaces = (0..tenants).flat_map(|number| {
        (0..NAMESPACES_EACH).map(move |space| {
            let labels = [(TENANT_LABEL, format!("t{number}")), (WALLS_LABEL, WALLS_STANDING.to_owned())];
            let labels = labels.map(|(name, value)| (name.to_owned(), value)).into();
            (format!("t{number}-{space}"), Arc::new(NamespaceState::of(labels)))
        })
    });
    TenantIndex::new((0..tenants).map(|number| tenant(number, &rules)), namespaces)
}

fn admission(folder: &tempfile::TempDir, runtime: &tokio::runtime::Runtime, tenants: usize) -> Admission {
    let _inside = runtime.enter();
    let mut registry = Registry::default();
    let config = AuditConfig::new(folder.path().join(format!("{tenants}.db")));
    let opened = AuditSink::open(config, AuditMetrics::register(&mut registry));
    let (sink, task) = runtime.block_on(opened).unwrap();
    std::mem::forget(task);
    let hosts = (0..tenants).map(|number| (format!("h{number}.example.com"), format!("t{number}-0")));
    let holdings = watch::channel(Arc::new(Holdings::new(HashMap::new(), hosts))).1;
    let guard = Guard::new(watch::channel(Arc::new(index(tenants))).1, holdings, []);
    Admission::new(Parts {
        pool: Arc::new(EvaluationPool::start(PoolConfig { threads: 1, queue: 64 }).unwrap()),
        seats: fairness::seats::Seats::new(1, 64),
        audit: sink,
        metrics: AdmissionMetrics::register(&mut registry),
        guard,
        budgets: None,
        hostnames: None,
        rates: None,
        exceptions: tokio::sync::watch::channel(Arc::default()).1,
        check: Arc::new(|_| Ok(Vec::new())),
        contact: Contact(None),
        ready: Arc::new(AtomicBool::new(true)),
    })
}

fn review([group, kind, plural]: [&str; 3], object: &Value) -> Bytes {
    let name = &object["metadata"]["name"];
    let namespace = if kind == "Namespace" { name.clone() } else { json!("t1234-3") };
    let review = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "u", "kind": {"group": group, "version": "v1", "kind": kind},
            "resource": {"group": group, "version": "v1", "resource": plural},
            "name": name, "namespace": namespace, "operation": "CREATE", "dryRun": true,
            "userInfo": {"username": "owner-1234", "groups": ["system:authenticated"]},
            "object": object,
        },
    });
    Bytes::from(review.to_string())
}

fn pod() -> Value {
    let container = |number: usize| {
        let env =
            (0..20).map(|n| json!({"name": format!("VARIABLE_{n}"), "value": "text of a usual length"}));
        json!({
            "name": format!("c{number}"), "image": "registry.example.com/team/app:1.2.3",
            "env": env.collect::<Vec<_>>(),
            "resources": {
                "requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"cpu": "200m", "memory": "64Mi"},
            },
        })
    };
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "p", "namespace": "t1234-3", "labels": {"app": "web"}},
        "spec": {
            "containers": (0..4).map(container).collect::<Vec<_>>(), "schedulerName": "default-scheduler",
            "volumes": [{"name": "v", "emptyDir": {}}],
            "tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists"}],
        },
    })
}

fn reviews(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let ingress = json!({
        "metadata": {"name": "i"},
        "spec": {"ingressClassName": "fast", "rules": [{"host": "new.example.com"}]},
    });
    let namespace = json!({"metadata": {"name": "t1234-new", "labels": {TENANT_LABEL: "t1234"}}});
    let rows = [
        ("pod", review(["", "Pod", "pods"], &pod())),
        ("config map", review(["", "ConfigMap", "configmaps"], &json!({"metadata": {"name": "c"}}))),
        ("ingress", review(["networking.k8s.io", "Ingress", "ingresses"], &ingress)),
        ("namespace", review(["", "Namespace", "namespaces"], &namespace)),
    ];
    let worlds = [("no tenants", 0), ("2,000 tenants", TENANTS)]
        .map(|(name, tenants)| (name, admission(&folder, &runtime, tenants)));
    for (kind, body) in &rows {
        let mut group = criterion.benchmark_group(format!("{kind} of {} bytes", body.len()));
        for (name, admission) in &worlds {
            // With no tenants the owner's namespace would be refused for its label: an administrator's then.
            if *kind == "namespace" && *name == "no tenants" {
                continue;
            }
            group.bench_function(*name, |bencher| {
                bencher.iter(|| {
                    let now = Instant::now();
                    let deadline = now + Duration::from_secs(5);
                    let answer = runtime.block_on(admission.admit(Phase::Validate, body, now, deadline));
                    assert!(answer.decision.verdict.is_allowed(), "{:?}", answer.decision);
                });
            });
        }
        group.finish();
    }
}

criterion_group!(benches, reviews);
criterion_main!(benches);
