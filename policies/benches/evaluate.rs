//! Questions:
//! 1. What does one review of a pod (about 12 KB) cost with 0, 1 and 25 matching Rego bindings, from
//!    bytes to findings?
//! 2. What do 10,000 bindings that cannot match add to it?
//! 3. How long does a review take at worst: the 99th percentile of 20,000 with 25 bindings?
//! 4. How long does it take to compile 100 policies and put them in force on one thread, three of them guests
//!    whose compiled modules are on the disk? (Needs the guests of `cargo xtask test`.)
//! 5. What is the throughput of two evaluation threads against one?
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a bench that cannot be set up has nothing to measure"
)]

#[path = "support/mod.rs"]
mod support;

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use model::{Digest, Loaded, Source, Sources, WasmInterface, decode_review};
use policies::wasm::{WasmConfig, WasmRuntime};
use policies::{Compiler, EvaluationPool, Evaluator, Limits, PoolConfig};
use serde_json::json;
use sha2::{Digest as _, Sha256};

fn compiler() -> Compiler {
    let limits = Limits::default();
    let runtime = WasmRuntime::new(WasmConfig { cache_dir: None, slots: 2, limits }).expect("wasm engine");
    Compiler::new(runtime, limits)
}

fn evaluator(sources: &Sources) -> Evaluator {
    in_force(&mut compiler(), sources)
}

fn in_force(compiler: &mut Compiler, sources: &Sources) -> Evaluator {
    let build = compiler.build(sources);
    assert!(build.bindings.iter().all(|status| status.fault.is_none()), "{:?}", build.policies);
    let (_, events) = crossbeam_channel::unbounded();
    let mut evaluator = Evaluator::new(events);
    evaluator.adopt(Arc::clone(&build.set));
    evaluator
}

fn one_review(criterion: &mut Criterion) {
    let body = support::review(4);
    let mut group = criterion.benchmark_group(format!("review of {} bytes", body.len()));
    group.bench_function("decode only", |bencher| bencher.iter(|| decode_review(black_box(&body))));
    for (bindings, idle) in [(0, 0), (1, 0), (25, 0), (25, 10_000), (0, 10_000)] {
        let mut sources = support::library(bindings.max(1));
        if bindings == 0 {
            sources.bindings.clear();
        }
        support::idle(&mut sources, idle);
        let mut evaluator = evaluator(&sources);
        group.bench_function(format!("{bindings} matching, {idle} idle"), |bencher| {
            bencher.iter(|| {
                let request = decode_review(black_box(&body)).expect("a review");
                let evaluation = evaluator.validate(&request, Instant::now() + Duration::from_secs(5));
                assert!(evaluation.failures.is_empty() && evaluation.findings.is_empty(), "{evaluation:?}");
                evaluation
            });
        });
    }
    group.finish();
}

/// A policy and a binding for each guest in Rust of `target/guests`; none where they are not built.
fn guests() -> Sources {
    let folder = std::env::var_os("BAILEY_WASM_DIR").map_or_else(
        || std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/guests")),
        std::path::PathBuf::from,
    );
    let rows = [
        ("allowed-registries", WasmInterface::Bailey, json!({"registries": ["registry.example"]})),
        ("default-resources", WasmInterface::Bailey, json!({"requests": {"cpu": "100m"}})),
        ("trusted-hosts", WasmInterface::Kubewarden, json!({"domains": ["example.com"]})),
    ];
    let mut sources = support::library(0);
    for (name, interface, parameters) in rows {
        let Ok(bytes) = std::fs::read(folder.join(format!("{name}.wasm"))) else { continue };
        let digest = Digest::new(Sha256::digest(&bytes).into());
        let mut policy = support::rego(name, "");
        policy.source = Source::Wasm { interface, bytes: bytes.into(), digest };
        policy.mutates = name == "default-resources";
        sources.policies.push(Loaded { name: name.into(), generation: 1, value: Ok(policy) });
        let mut binding = support::binding(name, name);
        binding.parameters = parameters;
        sources.bindings.push(Loaded { name: name.into(), generation: 1, value: Ok(binding) });
    }
    sources
}

/// The distribution within one run, which criterion's mean hides.
fn percentiles(_: &mut Criterion) {
    const REVIEWS: usize = 20_000;
    let body = support::review(4);
    let mut evaluator = evaluator(&support::library(25));
    let mut took: Vec<Duration> = Vec::with_capacity(REVIEWS);
    for _ in 0..REVIEWS {
        let start = Instant::now();
        let request = decode_review(black_box(&body)).expect("a review");
        black_box(evaluator.validate(&request, start + Duration::from_secs(5)));
        took.push(start.elapsed());
    }
    took.sort_unstable();
    let at = |percent: usize| took[REVIEWS * percent / 100];
    println!(
        "25 matching, {REVIEWS} reviews: p50 {:?}, p99 {:?}, longest {:?}",
        at(50),
        at(99),
        took[REVIEWS - 1]
    );
}

fn cold_start(criterion: &mut Criterion) {
    let mut sources = support::library(97);
    let guests = guests();
    println!("{} guests among the 100 policies", guests.policies.len());
    sources.policies.extend(guests.policies);
    sources.bindings.extend(guests.bindings);
    let cache = tempfile::tempdir().expect("a folder");
    let start = |sources: &Sources| {
        let limits = Limits::default();
        let cache_dir = Some(cache.path().to_path_buf());
        let runtime = WasmRuntime::new(WasmConfig { cache_dir, slots: 2, limits }).expect("wasm engine");
        in_force(&mut Compiler::new(runtime, limits), sources)
    };
    // Fills the cache.
    drop(start(&sources));
    let mut group = criterion.benchmark_group("100 policies");
    group.sample_size(10);
    group.bench_function("compile and put in force", |bencher| bencher.iter(|| start(&sources)));
    group.finish();
}

fn two_threads(criterion: &mut Criterion) {
    const REVIEWS: u64 = 2_000;
    let body = support::review(4);
    let build = compiler().build(&support::library(25));
    let mut group = criterion.benchmark_group("reviews through the pool, 25 matching");
    group.throughput(Throughput::Elements(REVIEWS)).sample_size(20);
    for threads in [1, 2] {
        let pool = EvaluationPool::start(PoolConfig { threads, queue: 4_096 }).expect("threads");
        pool.publish(&build.set);
        group.bench_function(format!("{threads} threads"), |bencher| {
            bencher.iter(|| {
                let (done, finished) = crossbeam_channel::unbounded();
                for _ in 0..REVIEWS {
                    let (body, done) = (body.clone(), done.clone());
                    let deadline = Instant::now() + Duration::from_secs(60);
                    let job = Box::new(move |evaluator: &mut Evaluator| {
                        let request = decode_review(&body).expect("a review");
                        let evaluation = evaluator.validate(&request, deadline);
                        let _ = done.send(evaluation.failures.is_empty());
                    });
                    pool.submit(deadline, job).expect("room in the queue");
                }
                drop(done);
                assert!(finished.iter().all(|good| good));
            });
        });
    }
    group.finish();
}

criterion_group!(benches, one_review, percentiles, cold_start, two_threads);
criterion_main!(benches);
