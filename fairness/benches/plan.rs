//! Question: with 10,000 tenants, every twentieth of five namespaces, what does it cost to make a plan, to compare it
//! with what is there, and to find a request's flow, as the server does for each request? Also where every tenant names the
//! sender, who asks about no namespace of theirs.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a benchmark"
)]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use fairness::apf::plan::{Class, Inputs, Tenant, diff, plan};
use fairness::apf::{About, Request, classify};

fn inputs(tenants: usize) -> Inputs {
    let one = |number: usize| {
        let name = format!("tenant-{number:05}");
        let namespaces = if number.is_multiple_of(20) { 5 } else { 1 };
        Tenant {
            class: ["gold", "silver", "bronze"][number % 3].to_owned(),
            users: (0..3).map(|user| format!("user-{user}@{name}.example.org")).collect(),
            groups: vec![format!("{name}-staff")],
            namespaces: (0..namespaces).map(|at| format!("{name}-{at}")).collect(),
            accounts: Vec::new(),
            name,
        }
    };
    let classes = vec![Class::new("gold", 60), Class::new("silver", 40), Class::new("bronze", 20)];
    Inputs { tenants: (0..tenants).map(one).collect(), ..Inputs::new(classes) }
}

fn plans(c: &mut Criterion) {
    let mut group = c.benchmark_group("plan");
    group.sample_size(10);
    for tenants in [1_000, 10_000] {
        let inputs = inputs(tenants);
        let wanted = plan(&inputs).unwrap();
        let rules = wanted.schemas.iter().flat_map(|schema| &schema.spec.rules);
        let subjects: usize = rules.map(|rules| rules.subjects.len()).sum();
        println!("{} FlowSchemas with {subjects} subjects for {tenants} tenants", wanted.schemas.len());
        group.bench_function(format!("make/{tenants} tenants"), |b| b.iter(|| plan(black_box(&inputs))));
        group.bench_function(format!("compare/{tenants} tenants"), |b| {
            b.iter(|| diff(black_box(&wanted), &wanted.levels, &wanted.schemas, 100));
        });
        let last = format!("user-2@tenant-{:05}.example.org", tenants - 1);
        let about = About::Resource { group: "", resource: "pods", namespace: "elsewhere" };
        let request = Request { user: &last, groups: &["system:authenticated"], verb: "get", about };
        group.bench_function(format!("classify/{tenants} tenants"), |b| {
            b.iter(|| classify(black_box(&wanted.schemas), &request));
        });
        let mut named = inputs;
        for tenant in &mut named.tenants {
            tenant.groups.push("everybody".to_owned());
        }
        let named = plan(&named).unwrap();
        let request = Request { groups: &["everybody"], ..request };
        group.bench_function(format!("classify somebody whom all name/{tenants} tenants"), |b| {
            b.iter(|| classify(black_box(&named.schemas), &request));
        });
    }
    group.finish();
}

criterion_group!(benches, plans);
criterion_main!(benches);
