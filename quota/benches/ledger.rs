//! Questions, with 2,000 tenants, 10,000 namespaces and ten Pods in each:
//! 1. What does a request cost that the share covers, and one that is seen stored?
//! 2. What does it cost to read what a Pod counts as?
//! 3. What does a draft of the shares cost for a tenant of 200 namespaces?
//! 4. How much memory does the ledger have?
//! 5. What does a draft cost for a hundred demands of a cohort of 2,000 tenants, and telling why one does not fit?
//! 6. What does it cost to find out whose shares have to be written, and to draft one, where every tenant has requests
//!    under way?
//! 7. How long does nobody get anything, where a budget changes?
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    reason = "a benchmark"
)]

use std::collections::BTreeSet;
use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use model::{Budget, NamespaceState, Tenant, TenantIndex};
use quota::ledger::{Answer, Ask, Charges, Demand, Kind, Ledger, Millis, ONE, Place, Stored};
use quota::measure::measure;

const TENANTS: usize = 2_000;
const NAMESPACES: usize = 5;
const PODS: usize = 10;

fn tenant(name: &str, cohort: Option<&str>) -> Arc<Tenant> {
    let hard = [("requests.cpu", 100_000_i64), ("requests.memory", 1_i64 << 50), ("pods", 100_000)];
    let hard = hard.into_iter().map(|(name, most)| (Arc::from(name), i128::from(most) * ONE)).collect();
    Arc::new(Tenant {
        budget: Budget { hard, cohort: cohort.map(str::to_owned), ..Budget::default() },
        ..Tenant::new(name)
    })
}

fn pods() -> Arc<Kind> {
    Arc::new(Kind::new("", "pods"))
}

fn charges() -> Charges {
    ["count/pods", "limits.cpu", "limits.memory", "pods", "requests.cpu", "requests.memory"]
        .into_iter()
        .map(|name| (Arc::from(name), ONE))
        .collect()
}

fn ledger(tenants: usize, namespaces: usize, pods_each: usize) -> Ledger {
    ledger_of(tenants, namespaces, pods_each, None)
}

fn ledger_of(tenants: usize, namespaces: usize, pods_each: usize, cohort: Option<&str>) -> Ledger {
    let mut ledger = Ledger::new("bench");
    let names: Vec<(String, String)> = (0..tenants)
        .flat_map(|tenant| {
            (0..namespaces).map(move |number| (format!("t{tenant}-{number}"), format!("t{tenant}")))
        })
        .collect();
    let all = (0..tenants).map(|number| tenant(&format!("t{number}"), cohort));
    let states = names.iter().map(|(name, tenant)| {
        (name.clone(), Arc::new(NamespaceState { tenant: Some(tenant.clone()), ..NamespaceState::default() }))
    });
    ledger.set_tenants(Arc::new(TenantIndex::new(all, states)));
    let kinds =
        ["requests.cpu", "requests.memory", "pods"].map(|name| (Arc::from(name), BTreeSet::from([pods()])));
    ledger.set_kinds(kinds.into());
    let charges = charges();
    let mut objects = Vec::new();
    for (namespace, _) in &names {
        let namespace: Arc<str> = namespace.as_str().into();
        for number in 0..pods_each {
            let name: Arc<str> = format!("deployment-7c5ddbdf54-{number:05}").into();
            let uid = format!("3c5ddbdf-54a1-4f0e-9d5c-{number:012}").into();
            let stored = Stored {
                uid,
                version: 1,
                tenant: None,
                class: Some("".into()),
                charges: Arc::clone(&charges),
            };
            objects.push((Arc::clone(&namespace), name, stored));
        }
    }
    ledger.replace(&pods(), 1, objects);
    ledger.set_fence(Millis::MAX);
    for domain in ledger.names() {
        ledger.observe(&domain, None, true);
    }
    ledger
}

fn ask(serial: u64, tenant: &str, namespace: &str) -> Ask {
    Ask {
        place: Place { kind: pods(), namespace: namespace.into(), name: format!("p{serial}").into() },
        tenant: tenant.into(),
        class: Some("".into()),
        uid: format!("uid-{serial}").into(),
        from: None,
        before: Charges::default(),
        after: charges(),
        until: 40_000,
    }
}

/// Has a share that covers what is asked.
fn grow(ledger: &mut Ledger, tenant: &str, namespace: &str) {
    if let Answer::Short(domain, amounts) = ledger.reserve(&ask(0, tenant, namespace), false, 0) {
        let draft = ledger.draft(&domain, &[Demand { id: 1, amounts }], &BTreeSet::new(), 0).unwrap();
        ledger.writing(&draft);
        ledger.wrote(&draft, 2);
    }
}

fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4 / 1024
}

fn requests(c: &mut Criterion) {
    let before = resident();
    let mut ledger = ledger(TENANTS, NAMESPACES, PODS);
    println!("{} objects take {} MiB", ledger.size().0, resident() - before);
    grow(&mut ledger, "t1000", "t1000-2");
    let mut serial = 1;
    c.bench_function("ledger/let in from the share, and given back", |b| {
        b.iter(|| {
            serial += 1;
            match ledger.reserve(&ask(serial, "t1000", "t1000-2"), false, 1) {
                Answer::Taken(ticket) => ledger.release(&ticket),
                other => panic!("{other:?}"),
            }
        });
    });
    let mut version = 10;
    c.bench_function("ledger/let in, seen stored, seen gone", |b| {
        b.iter(|| {
            serial += 1;
            version += 2;
            let ask = ask(serial, "t1000", "t1000-2");
            let (place, uid) = (ask.place.clone(), Arc::clone(&ask.uid));
            if let Answer::Short(..) = ledger.reserve(&ask, false, 1) {
                grow(&mut ledger, "t1000", "t1000-2");
            }
            let stored = Stored {
                uid: Arc::clone(&uid),
                version,
                tenant: None,
                class: Some("".into()),
                charges: ask.after,
            };
            ledger.upsert(place.clone(), stored);
            ledger.delete(&place, &uid, version + 1);
        });
    });
}

fn drafts(c: &mut Criterion) {
    let mut ledger = ledger(1, 200, 20);
    let Answer::Short(domain, amounts) = ledger.reserve(&ask(0, "t0", "t0-7"), false, 0) else {
        panic!("covered")
    };
    let demand = [Demand { id: 1, amounts }];
    c.bench_function("ledger/draft for 200 namespaces", |b| {
        b.iter(|| black_box(ledger.draft(&domain, &demand, &BTreeSet::new(), 0)));
    });
}

fn cohorts(c: &mut Criterion) {
    let mut ledger = ledger_of(TENANTS, 1, 1, Some("all"));
    let mut demands = Vec::new();
    let mut name = None;
    for number in 0..100 {
        let (tenant, namespace) = (format!("t{number}"), format!("t{number}-0"));
        let Answer::Short(domain, amounts) = ledger.reserve(&ask(0, &tenant, &namespace), false, 0) else {
            panic!("covered")
        };
        demands.push(Demand { id: number, amounts });
        name = Some(domain);
    }
    let domain = name.unwrap();
    c.bench_function("ledger/draft for 100 of a cohort of 2,000", |b| {
        b.iter(|| black_box(ledger.draft(&domain, &demands, &BTreeSet::new(), 0)));
    });
    let limit = ledger.domains().by_name.get(&domain).unwrap().limits.last().unwrap().clone();
    c.bench_function("ledger/how a limit of a cohort of 2,000 stands", |b| {
        b.iter(|| black_box(ledger.line(&domain, &limit)));
    });
}

fn dues(c: &mut Criterion) {
    let mut ledger = ledger(TENANTS, 1, 1);
    for number in 0..TENANTS {
        let (tenant, namespace) = (format!("t{number}"), format!("t{number}-0"));
        grow(&mut ledger, &tenant, &namespace);
        let ask = ask(1, &tenant, &namespace);
        assert!(matches!(ledger.reserve(&ask, false, 1), Answer::Taken(_)));
    }
    let mut serial = 10;
    c.bench_function("ledger/let in, given back, whose of 2,000 busy domains to write", |b| {
        b.iter(|| {
            serial += 1;
            match ledger.reserve(&ask(serial, "t9", "t9-0"), false, 1) {
                Answer::Taken(ticket) => ledger.release(&ticket),
                other => panic!("{other:?}"),
            }
            ledger.owing(&BTreeSet::new()).len()
        });
    });
    let Answer::Short(domain, amounts) = ledger.reserve(&wide("t7", "t7-0"), false, 0) else {
        panic!("covered")
    };
    let demand = [Demand { id: 1, amounts }];
    c.bench_function("ledger/draft for one of 2,000 busy domains", |b| {
        b.iter(|| black_box(ledger.draft(&domain, &demand, &BTreeSet::new(), 0)));
    });
}

/// What no share covers.
fn wide(tenant: &str, namespace: &str) -> Ask {
    let all: Charges = charges().iter().map(|(name, _)| (Arc::clone(name), 90_000 * ONE)).collect();
    Ask { after: all, ..ask(2, tenant, namespace) }
}

/// The bench's tenants, of which one has changed so often.
fn with_another_budget(times: i128) -> Arc<TenantIndex> {
    let names = (0..TENANTS).map(|number| format!("t{number}"));
    let all = names.clone().map(|name| match name.as_str() {
        "t7" => {
            let changed = tenant(&name, None);
            let mut changed = Arc::unwrap_or_clone(changed);
            changed.budget.hard.insert("pods".into(), (1 + times % 9) * ONE);
            Arc::new(changed)
        }
        _ => tenant(&name, None),
    });
    let states = names.flat_map(|tenant| {
        let state = Arc::new(NamespaceState { tenant: Some(tenant.clone()), ..NamespaceState::default() });
        (0..NAMESPACES).map(move |number| (format!("{tenant}-{number}"), Arc::clone(&state)))
    });
    Arc::new(TenantIndex::new(all, states))
}

fn changes(c: &mut Criterion) {
    let mut ledger = ledger(TENANTS, NAMESPACES, PODS);
    let (one, other) = (with_another_budget(1), with_another_budget(2));
    let mut odd = false;
    c.bench_function("ledger/a budget of one of 2,000 tenants changes", |b| {
        b.iter(|| {
            odd = !odd;
            ledger.set_tenants(Arc::clone(if odd { &one } else { &other }));
        });
    });
}

fn measures(c: &mut Criterion) {
    let resources = serde_json::json!({"requests": {"cpu": "250m", "memory": "512Mi"}, "limits": {"cpu": "1", "memory": "1Gi"}});
    let container = |name: &str| {
        serde_json::json!({
            "name": name, "image": "registry.example.org/app:1", "resources": resources,
            "env": [{"name": "A", "value": "b"}, {"name": "C", "value": "d"}],
            "ports": [{"containerPort": 8080, "protocol": "TCP"}],
        })
    };
    let pod = serde_json::json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "n", "labels": {"app": "p"}},
        "spec": {"containers": [container("a"), container("b")], "restartPolicy": "Always"},
    });
    let pod = serde_json::to_vec(&pod).unwrap();
    c.bench_function("measure/Pod of two containers", |b| {
        b.iter(|| measure("", "pods", black_box(&pod)).unwrap())
    });
}

criterion_group!(benches, requests, drafts, cohorts, dues, changes, measures);
criterion_main!(benches);
