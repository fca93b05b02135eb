//! Questions:
//! 1. What does one review of a pod (about 12 KB) cost with 0, 1 and 25 matching Rego bindings, from
//!    bytes to findings?
//! 2. What do 10,000 bindings that cannot match add to it?
//! 3. How long does it take to compile 100 policies and put them in force on one thread?
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

use criterion::{Criterion, criterion_group, criterion_main};
use model::{Sources, decode_review};
use policies::wasm::{WasmConfig, WasmRuntime};
use policies::{Compiler, Evaluator, Limits};

fn compiler() -> Compiler {
    let limits = Limits::default();
    let runtime = WasmRuntime::new(WasmConfig { cache_dir: None, slots: 2, limits }).expect("wasm engine");
    Compiler::new(runtime, limits)
}

fn evaluator(sources: &Sources) -> Evaluator {
    let build = compiler().build(sources);
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

fn cold_start(criterion: &mut Criterion) {
    let sources = support::library(100);
    let mut group = criterion.benchmark_group("100 policies");
    group.sample_size(10);
    group.bench_function("compile and put in force", |bencher| bencher.iter(|| evaluator(&sources)));
    group.finish();
}

criterion_group!(benches, one_review, cold_start);
criterion_main!(benches);
