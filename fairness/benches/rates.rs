//! Question: what does one check cost, of a tenant and of a user in it, with 10,000 keys? It should be under 200 ns.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a benchmark"
)]

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use criterion::{Criterion, criterion_group, criterion_main};
use fairness::rates::{Class, Limit, Limits, Rates, Start};

fn rates(tenants: usize, user: Option<Limit>) -> (Rates, Vec<String>) {
    let rates = Rates::new();
    let names: Vec<String> = (0..tenants).map(|number| format!("tenant-{number:05}")).collect();
    for name in &names {
        let limits = Limits { tenant: Limit::per_second(1_000_000, 1_000_000), user };
        rates.set(0, name, Class::Write, limits, Start::Full);
    }
    (rates, names)
}

fn checks(c: &mut Criterion) {
    let mut group = c.benchmark_group("rates/check");
    for tenants in [10, 10_000] {
        let (rates, names) = rates(tenants, None);
        let (mut at, mut now) = (0, 0);
        group.bench_function(format!("{tenants} tenants"), |b| {
            b.iter(|| {
                // Another one each time, far from the last.
                at = (at + 7_919) % names.len();
                now += 1_000;
                black_box(rates.check(now, &names[at], Class::Write, None, 1))
            });
        });
    }
    let (rates, names) = rates(1_000, Some(Limit::per_second(1_000, 1_000)));
    let users: Vec<String> =
        (0..10).map(|number| format!("system:serviceaccount:shop:robot-{number}")).collect();
    let (mut at, mut now) = (0, 0);
    group.bench_function("1,000 tenants of ten users", |b| {
        b.iter(|| {
            at = (at + 7_919) % (names.len() * users.len());
            now += 1_000;
            let (name, user) = (&names[at % names.len()], &users[at / names.len()]);
            black_box(rates.check(now, name, Class::Write, Some(user), 1))
        });
    });
    group.finish();
}

/// The same while another thread checks all the time.
fn contended(c: &mut Criterion) {
    let (rates, names) = rates(10_000, None);
    let shared = Arc::new((rates, names, AtomicBool::new(false), AtomicU64::new(0)));
    let other = Arc::clone(&shared);
    let thread = std::thread::spawn(move || {
        let (rates, names, stop, checks) = &*other;
        let mut at = 0;
        while !stop.load(Ordering::Relaxed) {
            at = (at + 104_729) % names.len();
            let _ = black_box(rates.check(
                checks.fetch_add(1, Ordering::Relaxed),
                &names[at],
                Class::Write,
                None,
                1,
            ));
        }
    });
    let (rates, names, stop, _) = &*shared;
    let (mut at, mut now) = (0, 0);
    c.bench_function("rates/check/10000 tenants, another thread too", |b| {
        b.iter(|| {
            at = (at + 7_919) % names.len();
            now += 1_000;
            black_box(rates.check(now, &names[at], Class::Write, None, 1))
        });
    });
    stop.store(true, Ordering::Relaxed);
    thread.join().unwrap();
}

criterion_group!(benches, checks, contended);
criterion_main!(benches);
