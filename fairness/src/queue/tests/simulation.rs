//! Clients in virtual time, as the tests of the API server's queue sets have them.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::*;

pub(super) const SECOND: Micros = 1_000_000;

/// Threads that send one request after the other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Client {
    pub(super) flow: u32,
    pub(super) weight: u32,
    pub(super) threads: u64,
    /// How many requests each thread sends.
    pub(super) calls: u64,
    /// How long one runs.
    pub(super) takes: Micros,
    /// How long a thread waits before the next.
    pub(super) thinks: Micros,
    pub(super) width: u32,
    /// Whether half of the threads begin half-way only.
    pub(super) split: bool,
}

pub(super) fn client(flow: u32, threads: u64, calls: u64, takes: Micros, thinks: Micros) -> Client {
    Client { flow, weight: 1, threads, calls, takes, thinks, width: 1, split: false }
}

#[derive(Debug, Clone)]
pub(super) struct Scenario {
    pub(super) seats: u32,
    pub(super) per_flow: usize,
    pub(super) clients: Vec<Client>,
    /// The ends of the periods that are looked at.
    pub(super) ends: Vec<Micros>,
    /// The guess; `None` for the truth.
    pub(super) guess: Option<Micros>,
}

#[derive(Debug, Default, Clone)]
pub(super) struct Outcome {
    /// The mean of the seats taken, for each period and client.
    pub(super) seats: Vec<Vec<f64>>,
    /// How long each request took from coming to its end, for each client.
    pub(super) latencies: Vec<Vec<Micros>>,
    pub(super) refused: Vec<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Call { client: usize, left: u64 },
    End { id: Id },
}

struct Run<'a> {
    scenario: &'a Scenario,
    queue: Queue<u32>,
    events: BinaryHeap<Reverse<(Micros, u64, Event)>>,
    serial: u64,
    /// Client, calls left, when it came.
    requests: HashMap<Id, (usize, u64, Micros)>,
    /// Client, from, to.
    ran: Vec<(usize, Micros, Micros)>,
    outcome: Outcome,
}

impl Run<'_> {
    fn at(&mut self, time: Micros, event: Event) {
        self.serial += 1;
        self.events.push(Reverse((time, self.serial, event)));
    }

    fn step(&mut self, now: Micros, event: Event) {
        match event {
            Event::Call { client: at, left } => {
                let client = self.scenario.clients[at];
                let ask = Ask {
                    flow: client.flow,
                    weight: some(client.weight),
                    width: some(client.width),
                    estimate: self.scenario.guess.unwrap_or(client.takes),
                    deadline: Micros::MAX,
                };
                match self.queue.enqueue(now, &ask) {
                    Entry::Queued { id, pushed_out: None } => {
                        self.requests.insert(id, (at, left, now));
                    }
                    Entry::Queued { .. } => panic!("the total is not bounded here"),
                    Entry::Refused { .. } => {
                        self.outcome.refused[at] += 1;
                        self.again(now, at, left);
                    }
                }
            }
            Event::End { id } => {
                let (at, left, came) = self.requests[&id];
                assert!(self.queue.finish(id, self.scenario.clients[at].takes));
                self.outcome.latencies[at].push(now - came);
                self.again(now, at, left);
            }
        }
        while let Some(next) = self.queue.next(now) {
            let Next::Run(id) = next else { panic!("nothing is late") };
            let at = self.requests[&id].0;
            let end = now + self.scenario.clients[at].takes;
            self.ran.push((at, now, end));
            self.at(end, Event::End { id });
        }
    }

    fn again(&mut self, now: Micros, client: usize, left: u64) {
        if left > 1 {
            let thinks = self.scenario.clients[client].thinks;
            self.at(now + thinks, Event::Call { client, left: left - 1 });
        }
    }
}

impl Scenario {
    pub(super) fn new(seats: u32, clients: Vec<Client>, ends: &[Micros]) -> Self {
        Self { seats, per_flow: 10_000, clients, ends: ends.to_vec(), guess: None }
    }

    pub(super) fn run(&self) -> Outcome {
        let settings = Settings { seats: some(self.seats), per_flow: self.per_flow, total: 1_000_000 };
        let none = Outcome {
            latencies: vec![Vec::new(); self.clients.len()],
            refused: vec![0; self.clients.len()],
            seats: Vec::new(),
        };
        let mut run = Run {
            scenario: self,
            queue: Queue::new(settings),
            events: BinaryHeap::new(),
            serial: 0,
            requests: HashMap::new(),
            ran: Vec::new(),
            outcome: none,
        };
        let half = self.ends.last().unwrap() / 2;
        for (at, client) in self.clients.iter().enumerate() {
            for thread in 0..client.threads {
                let late = client.split && thread >= client.threads / 2;
                let (start, left) = if late { (half, client.calls / 2) } else { (0, client.calls) };
                run.at(start, Event::Call { client: at, left });
            }
        }
        while let Some(Reverse((now, _, event))) = run.events.pop() {
            run.step(now, event);
        }
        assert_eq!((run.queue.size(), run.queue.standings().count()), ((0, 0), 0), "something is left");
        let mut from = 0;
        for end in &self.ends {
            run.outcome.seats.push(self.seats_between(&run.ran, from, *end));
            from = *end;
        }
        run.outcome
    }

    fn seats_between(&self, ran: &[(usize, Micros, Micros)], from: Micros, to: Micros) -> Vec<f64> {
        let mut sums = vec![0.0; self.clients.len()];
        for (at, start, end) in ran {
            let time = (*end).min(to).saturating_sub((*start).max(from));
            sums[*at] += (time * u64::from(self.clients[*at].width)) as f64 / (to - from) as f64;
        }
        sums
    }

    /// The mean seats that each client would have if it was fair, in the whole of a period.
    pub(super) fn fair(&self, period: usize) -> Vec<f64> {
        let demand = |client: &Client| {
            let threads =
                if client.split && period == 0 { client.threads / 2 } else { client.threads } as f64;
            threads * f64::from(client.width) * client.takes as f64 / (client.takes + client.thinks) as f64
        };
        let demands: Vec<f64> = self.clients.iter().map(demand).collect();
        let mut given = vec![0.0; demands.len()];
        let mut left = f64::from(self.seats);
        let mut open: Vec<usize> = (0..demands.len()).collect();
        while !open.is_empty() {
            let weights: f64 = open.iter().map(|at| f64::from(self.clients[*at].weight)).sum();
            let each = |at: usize| left * f64::from(self.clients[at].weight) / weights;
            let (full, rest): (Vec<usize>, Vec<usize>) =
                open.iter().partition(|at| demands[**at] <= each(**at));
            if full.is_empty() {
                for at in rest {
                    given[at] = each(at);
                }
                break;
            }
            for at in &full {
                given[*at] = demands[*at];
            }
            left -= full.iter().map(|at| demands[*at]).sum::<f64>();
            open = rest;
        }
        given
    }

    /// The largest part by which a client's seats differ from the fair ones, for each period.
    pub(super) fn unfairness(&self, outcome: &Outcome) -> Vec<f64> {
        let period = |(at, seats): (usize, &Vec<f64>)| {
            let parts = self.fair(at).into_iter().zip(seats).map(|(fair, got)| (fair - got).abs() / fair);
            parts.fold(0.0, f64::max)
        };
        outcome.seats.iter().enumerate().map(period).collect()
    }
}
