//! The bounds at the head of the module, under random load.

use proptest::prelude::*;

use super::*;

/// What the flows ask for when they always ask.
#[derive(Debug, Clone)]
struct Load {
    weight: u32,
    /// Guess, measured, width; over and over.
    requests: Vec<(Micros, Micros, u32)>,
}

fn load() -> impl Strategy<Value = Load> {
    let request = (1_u64..100, 1_u64..100, 1_u32..3);
    (1_u32..5, prop::collection::vec(request, 1..6)).prop_map(|(weight, requests)| Load { weight, requests })
}

/// What is known of a flow while it is served.
#[derive(Debug, Clone, Default)]
struct Track {
    sent: usize,
    /// Work of what was begun.
    work: u64,
    /// Errors of what runs, and the most at a time.
    error: u64,
    most_error: u64,
    largest: u64,
}

struct Closed<'a> {
    loads: &'a [Load],
    queue: Queue<usize>,
    tracks: Vec<Track>,
    requests: HashMap<Id, (usize, (Micros, Micros, u32))>,
    /// Ends of what runs.
    ends: BTreeSet<(Micros, Id)>,
    now: Micros,
}

impl Closed<'_> {
    fn send(&mut self, flow: usize) {
        let load = &self.loads[flow];
        let request = load.requests[self.tracks[flow].sent % load.requests.len()];
        self.tracks[flow].sent += 1;
        let ask = Ask {
            flow,
            weight: some(load.weight),
            width: some(request.2),
            estimate: request.0,
            deadline: Micros::MAX,
        };
        let Entry::Queued { id, .. } = self.queue.enqueue(self.now, &ask) else { panic!("refused") };
        self.requests.insert(id, (flow, request));
    }

    /// Begins what may begin, and says of which flow it was.
    fn begin(&mut self) -> Option<usize> {
        let Next::Run(id) = self.queue.next(self.now)? else { panic!("late") };
        let (flow, (guess, measured, width)) = self.requests[&id];
        let track = &mut self.tracks[flow];
        track.work += measured * u64::from(width);
        track.error += guess.abs_diff(measured) * u64::from(width);
        track.most_error = track.most_error.max(track.error);
        track.largest = track.largest.max(guess.max(measured) * u64::from(width));
        self.ends.insert((self.now + measured, id));
        self.send(flow);
        Some(flow)
    }

    fn end(&mut self) {
        let (at, id) = self.ends.pop_first().unwrap();
        self.now = at;
        let (flow, (guess, measured, width)) = self.requests.remove(&id).unwrap();
        self.tracks[flow].error -= guess.abs_diff(measured) * u64::from(width);
        assert!(self.queue.finish(id, measured));
    }
}

proptest! {
    #[test]
    fn two_flows_that_wait_get_the_same_but_for_the_bound(
        loads in prop::collection::vec(load(), 2..6), seats in 2_u32..6,
    ) {
        let settings = Settings { seats: some(seats), per_flow: 100, total: 1_000 };
        let tracks = vec![Track::default(); loads.len()];
        let mut closed = Closed {
            loads: &loads, queue: Queue::new(settings), tracks, requests: HashMap::new(), ends: BTreeSet::new(), now: 0,
        };
        for flow in 0..loads.len() {
            closed.send(flow);
            closed.send(flow);
        }
        let mut extremes = vec![vec![(0.0_f64, 0.0_f64); loads.len()]; loads.len()];
        for _ in 0..300 {
            while closed.begin().is_some() {
                let service: Vec<f64> =
                    closed.tracks.iter().zip(&loads).map(|(track, load)| track.work as f64 / f64::from(load.weight)).collect();
                for (one, row) in extremes.iter_mut().enumerate() {
                    for (other, (least, most)) in row.iter_mut().enumerate() {
                        let ahead = service[one] - service[other];
                        *least = least.min(ahead);
                        *most = most.max(ahead);
                    }
                }
            }
            closed.end();
        }
        let part = |flow: usize| {
            let track = &closed.tracks[flow];
            (track.largest + 2 * track.most_error) as f64 / f64::from(loads[flow].weight)
        };
        for (one, row) in extremes.iter().enumerate() {
            for (other, (least, most)) in row.iter().enumerate() {
                // The largest difference over any interval.
                prop_assert!(most - least <= part(one) + part(other) + 1.0);
            }
        }
    }

    #[test]
    fn a_request_begins_as_soon_as_promised(
        flows in prop::collection::vec((1_u32..5, prop::collection::vec((0_u64..300, 1_u64..60), 1..20)), 1..6),
    ) {
        let mut queue: Queue<usize> = Queue::new(Settings { seats: some(1), per_flow: 100, total: 1_000 });
        let weights: u32 = flows.iter().map(|(weight, _)| weight).sum();
        let largest = |flow: usize| flows[flow].1.iter().map(|(_, cost)| *cost).max().unwrap_or_default();
        // When each comes, and when it would have its turn on a server of its own.
        let mut coming = Vec::new();
        for (flow, (weight, requests)) in flows.iter().enumerate() {
            let (mut at, mut turn) = (0, 0.0_f64);
            for (gap, cost) in requests {
                at += gap;
                let expected = turn.max(at as f64);
                turn = expected + *cost as f64 * f64::from(weights) / f64::from(*weight);
                coming.push((at, flow, *weight, *cost, expected));
            }
        }
        coming.sort_by_key(|one| (one.0, one.1));
        let mut requests = HashMap::new();
        let (mut now, mut next) = (0, 0);
        let mut begun = 0;
        while begun < coming.len() {
            while let Some((at, flow, weight, estimate, expected)) = coming.get(next).copied().filter(|one| one.0 <= now) {
                let ask = Ask { flow, weight: some(weight), width: some(1), estimate, deadline: Micros::MAX };
                let Entry::Queued { id, .. } = queue.enqueue(at, &ask) else { panic!("refused") };
                requests.insert(id, (flow, estimate, expected));
                next += 1;
            }
            let Some(Next::Run(id)) = queue.next(now) else {
                now = coming[next].0;
                continue;
            };
            begun += 1;
            let (flow, cost, expected) = requests[&id];
            let others: u64 = (0..flows.len()).filter(|other| *other != flow).map(largest).sum();
            prop_assert!(now as f64 <= expected + others as f64 + 1.0, "{now} of {expected} and {others}");
            // What comes meanwhile comes while it runs.
            let end = now + cost;
            while let Some((at, flow, weight, estimate, expected)) = coming.get(next).copied().filter(|one| one.0 < end) {
                let ask = Ask { flow, weight: some(weight), width: some(1), estimate, deadline: Micros::MAX };
                let Entry::Queued { id, .. } = queue.enqueue(at, &ask) else { panic!("refused") };
                requests.insert(id, (flow, estimate, expected));
                next += 1;
            }
            now = end;
            prop_assert!(queue.finish(id, cost));
        }
    }

    #[test]
    fn batches_end_as_in_a_fluid_server(
        batches in prop::collection::vec((0_u64..2_000, 1_u32..4, 1_u64..40, 5_usize..40), 1..6),
    ) {
        let mut queue: Queue<usize> = Queue::new(Settings { seats: some(1), per_flow: 100, total: 1_000 });
        let mut starts: Vec<(u64, usize)> = batches.iter().enumerate().map(|(flow, batch)| (batch.0, flow)).collect();
        starts.sort_unstable();
        let mut left: Vec<usize> = batches.iter().map(|batch| batch.3).collect();
        let mut ended = vec![0; batches.len()];
        let (mut now, mut requests) = (0, HashMap::new());
        while left.iter().any(|left| *left > 0) {
            while let Some((_, flow)) = starts.first().copied().filter(|(at, _)| *at <= now) {
                let (_, weight, estimate, count) = batches[flow];
                let ask = Ask { flow, weight: some(weight), width: some(1), estimate, deadline: Micros::MAX };
                for _ in 0..count {
                    let Entry::Queued { id, .. } = queue.enqueue(now, &ask) else { panic!("refused") };
                    requests.insert(id, flow);
                }
                starts.remove(0);
            }
            let Some(Next::Run(id)) = queue.next(now) else {
                now = starts[0].0;
                continue;
            };
            let flow = requests[&id];
            now += batches[flow].2;
            prop_assert!(queue.finish(id, batches[flow].2));
            left[flow] -= 1;
            ended[flow] = now;
        }
        let slack: u64 = batches.iter().map(|batch| batch.2).sum::<u64>() * batches.len() as u64;
        for (flow, fluid) in fluid(&batches).into_iter().enumerate() {
            prop_assert!((ended[flow] as f64 - fluid).abs() <= slack as f64 + 1.0, "{} and {fluid}", ended[flow]);
        }
    }
}

/// What may happen when flows come and go.
#[derive(Debug, Clone)]
enum Step {
    Send {
        flow: usize,
        request: (Micros, Micros, u32),
    },
    /// Until the next request ends.
    Wait,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let request = (1_u64..100, 1_u64..100, 1_u32..3);
    let step = prop_oneof![
        3 => (0_usize..4, request).prop_map(|(flow, request)| Step::Send { flow, request }),
        2 => Just(Step::Wait),
    ];
    prop::collection::vec(step, 1..200)
}

/// Flows that come and go, and what each pair was served while both waited.
struct Open {
    weights: Vec<u32>,
    queue: Queue<usize>,
    now: Micros,
    tracks: Vec<Track>,
    requests: HashMap<Id, (usize, (Micros, Micros, u32))>,
    /// Measured end, request; and guessed end.
    running: BTreeSet<(Micros, Id)>,
    guessed: HashMap<Id, Micros>,
    /// `C` of the module's head.
    most_left: f64,
    /// The least and the most that the one was ahead of the other, in the time both wait.
    ahead: HashMap<(usize, usize), (f64, f64)>,
    widest: Vec<f64>,
}

impl Open {
    fn waits(&self, flow: usize) -> bool {
        self.queue.standing(&flow).is_some_and(|standing| standing.waiting > 0)
    }

    fn send(&mut self, flow: usize, request: (Micros, Micros, u32)) {
        let active: u32 = (0..self.weights.len())
            .filter(|flow| {
                self.queue.standing(flow).is_some_and(|standing| standing.waiting + standing.running > 0)
            })
            .map(|flow| self.weights[flow])
            .sum();
        let left = self
            .running
            .iter()
            .map(|(_, id)| self.guessed[id].saturating_sub(self.now) * u64::from(self.requests[id].1.2));
        self.most_left = self.most_left.max(left.sum::<u64>() as f64 / f64::from(active.max(1)));
        let weight = some(self.weights[flow]);
        let ask = Ask { flow, weight, width: some(request.2), estimate: request.0, deadline: Micros::MAX };
        let Entry::Queued { id, .. } = self.queue.enqueue(self.now, &ask) else { panic!("refused") };
        self.requests.insert(id, (flow, request));
        self.note();
        while let Some(next) = self.queue.next(self.now) {
            self.begin(next);
        }
    }

    fn begin(&mut self, next: Next) {
        let Next::Run(id) = next else { panic!("late") };
        let (flow, (guess, measured, width)) = self.requests[&id];
        let track = &mut self.tracks[flow];
        track.work += measured * u64::from(width);
        track.error += guess.abs_diff(measured) * u64::from(width);
        track.most_error = track.most_error.max(track.error);
        track.largest = track.largest.max(guess.max(measured) * u64::from(width));
        self.running.insert((self.now + measured, id));
        self.guessed.insert(id, self.now + guess);
        self.note();
    }

    fn end(&mut self) {
        let Some((at, id)) = self.running.pop_first() else { return };
        self.now = at;
        let (flow, (guess, measured, width)) = self.requests[&id];
        self.tracks[flow].error -= guess.abs_diff(measured) * u64::from(width);
        assert!(self.queue.finish(id, measured));
        self.note();
        while let Some(next) = self.queue.next(self.now) {
            self.begin(next);
        }
    }

    /// Takes in how far each flow is ahead of each other one.
    fn note(&mut self) {
        let count = self.weights.len();
        for (one, other) in (0..count).flat_map(|one| (0..one).map(move |other| (one, other))) {
            if !self.waits(one) || !self.waits(other) {
                self.ahead.remove(&(one, other));
                continue;
            }
            let service = |flow: usize| self.tracks[flow].work as f64 / f64::from(self.weights[flow]);
            let now = service(one) - service(other);
            let (least, most) = self.ahead.entry((one, other)).or_insert((now, now));
            *least = least.min(now);
            *most = most.max(now);
            let place = &mut self.widest[one * count + other];
            *place = place.max(*most - *least);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn two_flows_that_wait_get_the_same_while_others_come_and_go(
        steps in steps(), weights in prop::collection::vec(1_u32..4, 4), seats in 2_u32..6,
    ) {
        let settings = Settings { seats: some(seats), per_flow: 1_000, total: 10_000 };
        let mut open = Open {
            weights: weights.clone(), queue: Queue::new(settings), now: 0, tracks: vec![Track::default(); 4],
            requests: HashMap::new(), running: BTreeSet::new(), guessed: HashMap::new(), most_left: 0.0,
            ahead: HashMap::new(), widest: vec![0.0; 16],
        };
        for step in steps {
            match step {
                Step::Send { flow, request } => open.send(flow, request),
                Step::Wait => open.end(),
            }
        }
        while !open.running.is_empty() {
            open.end();
        }
        prop_assert_eq!(open.queue.size(), (0, 0));
        let part = |flow: usize| {
            let track = &open.tracks[flow];
            (track.largest + 2 * track.most_error) as f64 / f64::from(weights[flow])
        };
        for (at, widest) in open.widest.iter().enumerate() {
            let bound = part(at / 4) + part(at % 4) + 2.0 * open.most_left + 1.0;
            prop_assert!(*widest <= bound, "{widest} of {bound}");
        }
    }
}

/// When each batch ends where all that wait are served at once, by weight: generalised processor sharing.
fn fluid(batches: &[(u64, u32, u64, usize)]) -> Vec<f64> {
    let mut left: Vec<f64> = batches.iter().map(|batch| batch.2 as f64 * batch.3 as f64).collect();
    let mut ended = vec![0.0; batches.len()];
    let mut now = 0.0;
    while left.iter().any(|left| *left > 0.0) {
        let here: Vec<usize> =
            (0..batches.len()).filter(|flow| left[*flow] > 0.0 && batches[*flow].0 as f64 <= now).collect();
        let weights: f64 = here.iter().map(|flow| f64::from(batches[*flow].1)).sum();
        let rate = |flow: usize| f64::from(batches[flow].1) / weights;
        let arrival = batches.iter().map(|batch| batch.0 as f64 - now).filter(|time| *time > 0.0);
        let first_end = here.iter().map(|flow| left[*flow] / rate(*flow));
        let step = arrival.chain(first_end).fold(f64::INFINITY, f64::min);
        now += step;
        for flow in here {
            left[flow] -= step * rate(flow);
            if left[flow] < 1e-6 {
                left[flow] = 0.0;
                ended[flow] = now;
            }
        }
    }
    ended
}
