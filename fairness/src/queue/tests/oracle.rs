//! Random requests, against a queue that is too simple to be wrong: it forgets nothing and looks at everything.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

const SCALE: i128 = 1 << 20;

#[derive(Debug, Clone)]
struct Naive {
    id: Id,
    width: u32,
    estimate: Micros,
    latest: Micros,
}

#[derive(Debug, Clone, Default)]
struct Line {
    tag: i128,
    floor: i128,
    epoch: u64,
    lifted: i128,
    weight: i128,
    waiting: Vec<Naive>,
}

#[derive(Debug, Clone, Copy)]
struct Ran {
    flow: u8,
    width: u32,
    charged: i128,
    epoch: u64,
    lifted: i128,
    weight: i128,
}

/// Start-time fair queueing, written down as it is defined.
#[derive(Debug, Default)]
struct Oracle {
    served: i128,
    virtual_time: i128,
    last: Option<Id>,
    busy: u32,
    lines: BTreeMap<u8, Line>,
    /// What runs, and when it should end.
    running: BTreeMap<Id, (Ran, Micros)>,
}

fn cost(time: Micros, width: u32, weight: i128) -> i128 {
    let work = i128::from(time.max(1)) * i128::from(width) * SCALE;
    (work + weight - 1) / weight
}

impl Oracle {
    /// Virtual time is the largest tag served, less what others still have to do by the weights of all active flows.
    fn advance(&mut self, now: Micros) {
        let left = |(id, (ran, end)): (&Id, &(Ran, Micros))| {
            if Some(*id) == self.last {
                0
            } else {
                i128::from(end.saturating_sub(now)) * i128::from(ran.width)
            }
        };
        let left: i128 = self.running.iter().map(left).sum();
        let active = |(flow, line): &(&u8, &Line)| {
            !line.waiting.is_empty() || self.running.values().any(|(ran, _)| ran.flow == **flow)
        };
        let weights: i128 = self.lines.iter().filter(active).map(|(_, line)| line.weight).sum();
        if weights > 0 {
            self.virtual_time = self.virtual_time.max(self.served - left * SCALE / weights);
        }
    }

    fn push(&mut self, flow: u8, weight: u32, request: Naive) {
        let line = self.lines.entry(flow).or_default();
        line.weight = i128::from(weight);
        if line.waiting.is_empty() {
            line.lifted += (self.virtual_time - line.tag).max(0);
            line.tag = line.tag.max(self.virtual_time);
            line.floor = self.virtual_time;
            line.epoch += 1;
        }
        line.waiting.push(request);
    }

    fn remove(&mut self, id: Id) {
        for line in self.lines.values_mut() {
            line.waiting.retain(|request| request.id != id);
        }
        self.settle();
    }

    fn next(&mut self, now: Micros, seats: u32) -> Option<Next> {
        let late = self.lines.values().flat_map(|line| &line.waiting).filter(|request| request.latest < now);
        if let Some(id) = late.min_by_key(|request| (request.latest, request.id)).map(|request| request.id) {
            self.remove(id);
            return Some(Next::Late(id));
        }
        let waiting = self.lines.iter_mut().filter(|(_, line)| !line.waiting.is_empty());
        let (flow, line) = waiting.min_by_key(|(_, line)| (line.tag, line.waiting[0].id))?;
        if line.waiting[0].width > seats - self.busy {
            return None;
        }
        let Naive { id, width, estimate, .. } = line.waiting.remove(0);
        self.busy += width;
        self.served = self.served.max(line.tag);
        self.last = Some(id);
        let charged = cost(estimate, width, line.weight);
        line.tag += charged;
        line.floor += charged;
        let ran =
            Ran { flow: *flow, width, charged, epoch: line.epoch, lifted: line.lifted, weight: line.weight };
        self.running.insert(id, (ran, now + estimate));
        Some(Next::Run(id))
    }

    fn finish(&mut self, id: Id, measured: Micros) {
        let (Ran { flow, width, charged, epoch, lifted, weight }, _) = self.running.remove(&id).unwrap();
        self.busy -= width;
        let line = self.lines.get_mut(&flow).unwrap();
        let off = cost(measured, width, weight) - charged;
        if epoch == line.epoch {
            line.floor += off;
        }
        let paid = (line.lifted - lifted).max(0).min(off.max(0));
        line.lifted -= paid;
        line.tag = (line.tag + off - paid).max(line.floor);
        self.settle();
    }

    /// Once nobody waits or runs, virtual time is the last tag.
    fn settle(&mut self) {
        if self.running.is_empty() && self.lines.values().all(|line| line.waiting.is_empty()) {
            let last = self.lines.values().map(|line| line.tag).max().unwrap_or_default();
            self.served = self.served.max(last);
            self.virtual_time = self.served;
        }
    }

    fn waiting(&self) -> usize {
        self.lines.values().map(|line| line.waiting.len()).sum()
    }
}

#[derive(Debug, Clone)]
enum Step {
    Enqueue { flow: u8, weight: u32, width: u32, estimate: Micros, patience: Micros },
    Finish { which: usize, measured: Micros },
    Cancel { which: usize },
    Wait { time: Micros },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (0_u8..6, 1_u32..4, 1_u32..3, 1_u64..50, 0_u64..400).prop_map(
            |(flow, weight, width, estimate, patience)| Step::Enqueue { flow, weight, width, estimate, patience }
        ),
        4 => (any::<usize>(), 1_u64..100).prop_map(|(which, measured)| Step::Finish { which, measured }),
        1 => any::<usize>().prop_map(|which| Step::Cancel { which }),
        2 => (1_u64..60).prop_map(|time| Step::Wait { time }),
    ]
}

const SETTINGS: (u32, usize, usize) = (3, 4, 12);

/// Both queues, and what became of every request.
struct Pair {
    queue: Queue<u8>,
    oracle: Oracle,
    now: Micros,
    weights: BTreeMap<u8, u32>,
    waiting: BTreeSet<Id>,
    running: BTreeSet<Id>,
    ended: BTreeSet<Id>,
}

impl Pair {
    fn enqueue(&mut self, ask: &Ask<u8>) -> Result<(), TestCaseError> {
        let (waiting, total) =
            (self.oracle.lines.get(&ask.flow).map_or(0, |line| line.waiting.len()), self.oracle.waiting());
        self.oracle.advance(self.now);
        match self.queue.enqueue(self.now, ask) {
            Entry::Queued { id, pushed_out } => {
                if let Some(out) = pushed_out {
                    prop_assert!(self.waiting.remove(&out) && self.ended.insert(out));
                    self.oracle.remove(out);
                }
                prop_assert!(self.waiting.insert(id));
                let latest = ask.deadline - ask.estimate;
                let request = Naive { id, width: ask.width.get(), estimate: ask.estimate, latest };
                self.oracle.push(ask.flow, ask.weight.get(), request);
                self.weights.insert(ask.flow, ask.weight.get());
            }
            Entry::Refused { reason, retry_after } => {
                prop_assert!(retry_after > 0);
                match reason {
                    Refusal::TooLate => {}
                    Refusal::FlowFull => prop_assert_eq!(waiting, SETTINGS.1),
                    Refusal::Full => {
                        prop_assert_eq!(total, SETTINGS.2);
                        // No other flow has more than its share of the room, so this one has all of its own.
                        let weights: u32 = self
                            .oracle
                            .lines
                            .iter()
                            .filter(|(_, line)| !line.waiting.is_empty())
                            .filter(|(flow, _)| **flow != ask.flow)
                            .map(|(flow, _)| self.weights[flow])
                            .sum();
                        let weights = (weights + ask.weight.get()) as usize;
                        prop_assert!((waiting + 1) * weights > SETTINGS.2 * ask.weight.get() as usize);
                    }
                }
            }
        }
        Ok(())
    }

    fn serve(&mut self) -> Result<(), TestCaseError> {
        loop {
            let next = self.queue.next(self.now);
            prop_assert_eq!(next, self.oracle.next(self.now, SETTINGS.0));
            match next {
                None => break,
                Some(Next::Run(id)) => prop_assert!(self.waiting.remove(&id) && self.running.insert(id)),
                Some(Next::Late(id)) => prop_assert!(self.waiting.remove(&id) && self.ended.insert(id)),
            }
        }
        prop_assert_eq!(self.queue.size(), (self.oracle.waiting(), self.oracle.busy));
        let known = self.queue.standings().filter(|(_, standing)| standing.waiting + standing.running > 0);
        let waiting: usize = known.map(|(_, standing)| standing.waiting).sum();
        prop_assert_eq!(waiting, self.waiting.len());
        Ok(())
    }

    fn take(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match *step {
            Step::Enqueue { flow, weight, width, estimate, patience } => {
                let deadline = self.now + estimate + patience;
                // Weights are those of the first request: the order has a bound only while they stay.
                let weight = self.weights.get(&flow).copied().unwrap_or(weight);
                self.enqueue(&Ask { flow, weight: some(weight), width: some(width), estimate, deadline })?;
            }
            Step::Finish { which, measured } => {
                if let Some(id) = self.running.iter().nth(which % self.running.len().max(1)).copied() {
                    self.running.remove(&id);
                    self.ended.insert(id);
                    prop_assert!(self.queue.finish(id, measured));
                    self.oracle.finish(id, measured);
                }
            }
            Step::Cancel { which } => {
                if let Some(id) = self.waiting.iter().nth(which % self.waiting.len().max(1)).copied() {
                    self.waiting.remove(&id);
                    self.ended.insert(id);
                    prop_assert!(self.queue.cancel(id));
                    self.oracle.remove(id);
                }
            }
            Step::Wait { time } => self.now += time,
        }
        for id in self.ended.iter().rev().take(3) {
            prop_assert!(!self.queue.finish(*id, 1) && !self.queue.cancel(*id), "it ends twice");
        }
        self.serve()
    }
}

proptest! {
    #[test]
    fn it_serves_as_the_simple_queue_does(steps in prop::collection::vec(step(), 1..200)) {
        let (seats, per_flow, total) = SETTINGS;
        let mut pair = Pair {
            queue: Queue::new(Settings { seats: some(seats), per_flow, total }),
            oracle: Oracle::default(),
            now: 0,
            weights: BTreeMap::new(),
            waiting: BTreeSet::new(),
            running: BTreeSet::new(),
            ended: BTreeSet::new(),
        };
        for step in &steps {
            pair.take(step)?;
        }
        // Whatever is left is served once the rest has ended.
        while !pair.running.is_empty() {
            pair.take(&Step::Finish { which: 0, measured: 5 })?;
        }
        prop_assert_eq!(pair.queue.size(), (0, 0));
        prop_assert_eq!(pair.queue.standings().count(), 0, "flows are left");
        prop_assert!(pair.waiting.is_empty());
    }
}
