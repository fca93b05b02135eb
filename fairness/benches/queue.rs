//! Question: what does it cost to begin a request, end it and take in the next one of its flow, with requests of 2,000
//! tenants waiting? It should be under 2 us, and little more than with 10.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    reason = "a benchmark"
)]

use std::collections::HashMap;
use std::hint::black_box;
use std::num::NonZeroU32;

use criterion::{Criterion, criterion_group, criterion_main};
use fairness::queue::{Ask, Entry, Id, Micros, Next, Queue, Settings};

const SEATS: u32 = 8;
const WAITING: usize = 5;

fn some(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap()
}

struct Load {
    queue: Queue<u32>,
    flows: HashMap<Id, u32>,
    running: std::collections::VecDeque<Id>,
    now: Micros,
}

impl Load {
    fn new(tenants: u32) -> Self {
        let settings = Settings { seats: some(SEATS), per_flow: 50, total: 1_000_000 };
        let mut load = Self {
            queue: Queue::new(settings),
            flows: HashMap::new(),
            running: std::collections::VecDeque::new(),
            now: 0,
        };
        for _ in 0..WAITING {
            for tenant in 0..tenants {
                load.enqueue(tenant);
            }
        }
        while load.begin() {}
        load
    }

    fn enqueue(&mut self, flow: u32) {
        // Costs differ, so that tags do.
        let estimate = 200 + u64::from(flow % 17) * 50;
        let ask = Ask {
            flow,
            weight: some(1 + flow % 3),
            width: some(1),
            estimate,
            deadline: self.now + 10_000_000_000,
        };
        let Entry::Queued { id, .. } = self.queue.enqueue(self.now, &ask) else { panic!("refused") };
        self.flows.insert(id, flow);
    }

    fn begin(&mut self) -> bool {
        match self.queue.next(self.now) {
            Some(Next::Run(id)) => self.running.push_back(id),
            Some(Next::Late(id)) => panic!("{id:?} is late"),
            None => return false,
        }
        true
    }

    fn turn(&mut self) {
        let id = self.running.pop_front().unwrap();
        self.now += 50;
        assert!(self.queue.finish(id, 300));
        let flow = self.flows.remove(&id).unwrap();
        self.enqueue(flow);
        assert!(self.begin());
    }
}

fn turns(c: &mut Criterion) {
    let mut group = c.benchmark_group("queue/end, enqueue and begin");
    for tenants in [10, 2_000, 10_000] {
        let mut load = Load::new(tenants);
        group.bench_function(format!("{tenants} tenants"), |b| b.iter(|| load.turn()));
    }
    group.finish();
}

fn dispatches(c: &mut Criterion) {
    let mut group = c.benchmark_group("queue/begin");
    for tenants in [10, 2_000] {
        group.bench_function(format!("{tenants} tenants"), |b| {
            b.iter_custom(|times| {
                let mut load = Load::new(tenants);
                let mut spent = std::time::Duration::ZERO;
                for _ in 0..times {
                    let id = load.running.pop_front().unwrap();
                    load.now += 50;
                    assert!(load.queue.finish(id, 300));
                    let flow = load.flows.remove(&id).unwrap();
                    load.enqueue(flow);
                    #[allow(clippy::disallowed_methods, reason = "a benchmark")]
                    let start = std::time::Instant::now();
                    black_box(load.begin());
                    spent += start.elapsed();
                }
                spent
            });
        });
    }
    group.finish();
}

criterion_group!(benches, turns, dispatches);
criterion_main!(benches);
