//! A fair queue: which request is served next when there are more than seats.
//!
//! Requests belong to flows, a flow for each tenant. Weighted start-time fair queueing: each flow has a *tag*, the
//! virtual time at which its next request starts. The flow of the least tag goes first, and its tag grows by
//! cost / weight. A flow that begins to wait starts no earlier than virtual time: the largest tag that was served, less
//! what the seats still have to do of what was begun before that, by the weights of all active flows. The cost is a
//! guess at first; what was measured corrects the tag when the request has ended.
//!
//! **Guarantee.** Let `l` be a flow's largest cost (seats x time, guessed or measured), `w` its weight, `e` the
//! largest sum of |guessed - measured| over its requests in service at one time, and `C` the most that seats had to do
//! still, by weight, when somebody began to wait: less than `seats x l / (sum of w)`, and 0 with one seat.
//! 1. *Fairness.* While two flows both have requests waiting, the work of what was begun for either differs, per
//!    weight, by at most `(l + 2 e) / w` of the one plus `(l + 2 e) / w` of the other plus `2 C`, in any interval.
//! 2. *No starvation.* Ahead of a flow's first waiting request goes, of every other flow, at most its weight's part for
//!    the time in between plus `l + 2 e + w C`: with one seat, exact guesses and rate `r` = its part of the weights, a
//!    request begins no later than its turn would be on a server of its own of rate `r`, plus the largest cost of
//!    every other flow.
//! 3. *No credit.* A flow that was idle is served no sooner than one that was never there; one that is forgotten had
//!    nothing to pay. What it was guessed too much for is given back, but not for time it left unused.
//! 4. *Room.* With `W` the weights of all flows that wait, a flow of at most `total x w / W` and `per_flow` waiting
//!    requests loses none for want of room: the longest queue by weight gives way (longest queue drop).
//! 5. A request ends once: as run, late, cancelled or pushed out. None runs that began past its last moment.
//!
//! *Why.* Let T be a flow's tag with all its corrections under way made already, and v the largest tag that was served.
//! (a) A flow that waits began with a tag of v - C or more, v only moves to the least tag, and corrections take back at
//! most e/w: T >= v - C - e/w. (b) The flow served had a tag <= v, so T <= v + (l + e)/w. While a flow waits T grows by
//! just what it is served, so the difference of two T, which (a) and (b) bound on both sides, bounds that of their
//! service. For 2, another flow stops going first once its tag passes the waiting one's.
//!
//! A flow's service is counted where it begins; counted where it ends, up to all seats of requests more are under way
//! at either end of an interval, which is the factor D + 1 of SFQ(D). Without C, who comes while a flood holds all seats
//! would wait for them and then share what follows, as if it had been served meanwhile.
//!
//! Sources: Goyal, Vin, Cheng, *Start-time Fair Queueing* (SIGCOMM 1996), theorems 1 and 4; Jin, Chase, Kaur,
//! *Interposed proportional sharing* (SIGMETRICS 2004) for many seats, SFQ(D); Suter et al., *Buffer management schemes*
//! (1999) for longest queue drop. The correction is that of the API server's queue sets (KEP-1040).
//!
//! A request wider than the seats that are free waits until they are, and all others behind it.
//!
//! Cost: O(log n) in the number of flows and seats for every method, amortised; [`Queue::cancel`] and late requests
//! besides shift at most the flow's own queue. Memory: the waiting and running requests, and
//! at most [`MAX_OWING`] flows that still have to pay: of more, the one that owes least is let off, and virtual time with
//! it, so that it gains nothing, and who comes begins later by at most one request of it.

mod flow;
mod order;
mod request;
#[cfg(test)]
mod tests;
mod underway;

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::num::NonZeroU32;

use slab::Slab;

pub use flow::Micros;
pub use request::{Ask, Entry, Id, Next, Refusal, Settings, Standing};

use flow::{Charge, Flow, Tag, by_weight};
use order::Order;
use underway::Underway;

/// The most flows that are remembered only because they still have to pay.
pub const MAX_OWING: usize = 16_384;

#[derive(Debug)]
struct Request {
    slot: usize,
    width: u32,
    estimate: Micros,
    /// The last moment to begin.
    latest: Micros,
    /// What was charged, and when it should end; `Some` once it runs.
    charge: Option<(Charge, Micros)>,
}

/// The queue. It reads no clock: whoever calls says what time it is.
#[derive(Debug)]
pub struct Queue<F> {
    settings: Settings,
    /// Seats that requests run in.
    busy: u32,
    /// The largest tag that was served.
    served: Tag,
    /// Where flows begin. It never goes back.
    virtual_time: Tag,
    underway: Underway,
    /// The weights of flows that have requests.
    weights: u64,
    last: u64,
    flows: Slab<Flow<F>>,
    slots: HashMap<F, usize>,
    requests: HashMap<Id, Request>,
    order: Order,
    /// Waiting requests by their last moment to begin.
    latest: BTreeSet<(Micros, Id)>,
    /// Flows without requests whose tag is ahead of virtual time, by tag.
    resting: BTreeSet<(Tag, usize)>,
}

impl<F: Clone + Eq + Hash> Queue<F> {
    /// An empty queue.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            busy: 0,
            served: Tag::default(),
            virtual_time: Tag::default(),
            underway: Underway::default(),
            weights: 0,
            last: 0,
            flows: Slab::new(),
            slots: HashMap::new(),
            requests: HashMap::new(),
            order: Order::default(),
            latest: BTreeSet::new(),
            resting: BTreeSet::new(),
        }
    }

    /// Puts a request into the queue. Whatever the answer, ask [`Queue::next`] for what may run then.
    pub fn enqueue(&mut self, now: Micros, ask: &Ask<F>) -> Entry {
        self.advance(now);
        let latest = ask.deadline.saturating_sub(ask.estimate);
        let width = ask.width.min(self.settings.seats).get();
        let slot = self.slots.get(&ask.flow).copied();
        let flow = slot.and_then(|slot| self.flows.get(slot));
        let (waiting, work) = flow.map_or((0, 0), |flow| (flow.waiting.len(), flow.work));
        let ahead = flow.map_or(0, |flow| flow.ahead(self.settings.seats));
        if now.saturating_add(ahead) > latest || ask.deadline < ask.estimate {
            return self.refused(Refusal::TooLate, ask.weight, work);
        }
        // Where nothing waits and there are seats, it is not going to wait.
        let at_once = self.order.waiting() == 0 && width <= self.free();
        if !at_once && waiting >= self.settings.per_flow {
            return self.refused(Refusal::FlowFull, ask.weight, work);
        }
        let mut pushed_out = None;
        if !at_once && self.order.waiting() >= self.settings.total {
            pushed_out = self.longest_but(waiting, ask.weight).and_then(|slot| self.last_of(slot));
            match pushed_out {
                Some(id) => self.remove(id),
                None => return self.refused(Refusal::Full, ask.weight, work),
            };
        }
        let id = self.insert(ask, width, latest);
        Entry::Queued { id, pushed_out }
    }

    /// What to do next; to be asked until there is nothing, after every other call and at [`Queue::wake`].
    pub fn next(&mut self, now: Micros) -> Option<Next> {
        let late = self.latest.first().filter(|(latest, _)| *latest < now).map(|(_, id)| *id);
        if let Some(id) = late {
            self.remove(id);
            return Some(Next::Late(id));
        }
        let (tag, id, slot) = self.order.first()?;
        let (seats, free) = (self.settings.seats.get(), self.free());
        // There may have been more seats when it came.
        let fits = |request: &&mut Request| request.width.min(seats) <= free;
        let request = self.requests.get_mut(&id).filter(fits)?;
        let flow = self.flows.get_mut(slot)?;
        self.order.remove(slot, flow);
        self.latest.remove(&(request.latest, id));
        flow.take_out(id, request.estimate, request.width);
        request.width = request.width.min(seats);
        let end = now.saturating_add(request.estimate);
        request.charge = Some((flow.dispatch(request.estimate, request.width), end));
        self.busy = self.busy.saturating_add(request.width);
        self.underway.begin(end, id, request.width);
        self.served = self.served.max(tag);
        self.order.insert(slot, flow);
        Some(Next::Run(id))
    }

    /// Takes in that a request has ended, and how long it took. Says whether it was running: it ends once.
    pub fn finish(&mut self, id: Id, measured: Micros) -> bool {
        if self.requests.get(&id).is_none_or(|request| request.charge.is_none()) {
            return false;
        }
        let Some(Request { slot, width, charge: Some((charge, end)), .. }) = self.requests.remove(&id) else {
            return false;
        };
        self.busy = self.busy.saturating_sub(width);
        self.underway.end(end, id);
        if let Some(flow) = self.flows.get_mut(slot) {
            self.order.remove(slot, flow);
            flow.finish(&charge, measured, width);
            self.order.insert(slot, flow);
        }
        self.rest(slot);
        true
    }

    /// Takes a waiting request out. Says whether it was waiting.
    pub fn cancel(&mut self, id: Id) -> bool {
        self.remove(id)
    }

    /// When [`Queue::next`] has something late to tell, if nothing else happens.
    pub fn wake(&self) -> Option<Micros> {
        self.latest.first().map(|(latest, _)| latest.saturating_add(1))
    }

    /// Changes the number of seats. What runs goes on.
    pub fn set_seats(&mut self, seats: NonZeroU32) {
        self.settings.seats = seats;
    }

    /// How a flow stands; `None` where nothing is known of it.
    pub fn standing(&self, flow: &F) -> Option<Standing> {
        self.flows.get(*self.slots.get(flow)?).map(|flow| self.stands(flow))
    }

    /// How all known flows stand, in no order.
    pub fn standings(&self) -> impl Iterator<Item = (&F, Standing)> {
        self.flows.iter().map(|(_, flow)| (&flow.key, self.stands(flow)))
    }

    /// How many requests wait, and how many seats are taken.
    pub fn size(&self) -> (usize, u32) {
        (self.order.waiting(), self.busy)
    }
}

// --- inside ---

/// The least and the most that a refused request is told to wait.
const RETRY: (Micros, Micros) = (1_000, 60_000_000);

impl<F: Clone + Eq + Hash> Queue<F> {
    fn stands(&self, flow: &Flow<F>) -> Standing {
        let weights = self.weights.max(u64::from(flow.weight.get()));
        let all = u64::from(flow.weight.get()).saturating_mul(u64::from(self.settings.seats.get()));
        let part = all.checked_div(weights).and_then(|part| u32::try_from(part).ok()).unwrap_or(u32::MAX);
        Standing { waiting: flow.waiting.len(), running: flow.running, seats: flow.seats, part: part.max(1) }
    }

    fn free(&self) -> u32 {
        self.settings.seats.get().saturating_sub(self.busy)
    }

    fn insert(&mut self, ask: &Ask<F>, width: u32, latest: Micros) -> Id {
        let slot = match self.slots.get(&ask.flow) {
            Some(slot) => *slot,
            None => {
                let slot = self.flows.insert(Flow::new(ask.flow.clone(), ask.weight, self.virtual_time));
                self.slots.insert(ask.flow.clone(), slot);
                slot
            }
        };
        self.last = self.last.saturating_add(1);
        let id = Id::new(self.last);
        if let Some(flow) = self.flows.get_mut(slot) {
            self.resting.remove(&(flow.tag, slot));
            self.order.remove(slot, flow);
            let before = if flow.is_idle() { 0 } else { u64::from(flow.weight.get()) };
            self.weights = self.weights.saturating_sub(before).saturating_add(u64::from(ask.weight.get()));
            flow.weight = ask.weight;
            flow.push(id, ask.estimate, width, self.virtual_time);
            self.order.insert(slot, flow);
        }
        self.latest.insert((latest, id));
        self.requests.insert(id, Request { slot, width, estimate: ask.estimate, latest, charge: None });
        id
    }

    /// Takes a waiting request out.
    fn remove(&mut self, id: Id) -> bool {
        let Some(request) = self.requests.get(&id).filter(|request| request.charge.is_none()) else {
            return false;
        };
        let Request { slot, width, estimate, latest, .. } = *request;
        self.requests.remove(&id);
        self.latest.remove(&(latest, id));
        if let Some(flow) = self.flows.get_mut(slot) {
            self.order.remove(slot, flow);
            flow.take_out(id, estimate, width);
            self.order.insert(slot, flow);
        }
        self.rest(slot);
        true
    }

    /// The flow with the longest queue by weight, if it is longer than another would be with one more.
    fn longest_but(&self, waiting: usize, weight: NonZeroU32) -> Option<usize> {
        let (longest, slot) = self.order.longest()?;
        (longest > order::length(waiting.saturating_add(1), weight)).then_some(slot)
    }

    fn last_of(&self, slot: usize) -> Option<Id> {
        self.flows.get(slot)?.waiting.back().copied()
    }

    /// Refuses, and says when the flow's queue should be served.
    fn refused(&self, reason: Refusal, weight: NonZeroU32, work: u64) -> Entry {
        let weights = u128::from(self.order.weights()).max(u128::from(weight.get()));
        let rate = u128::from(weight.get()).saturating_mul(u128::from(self.settings.seats.get()));
        let wait = u128::from(work).saturating_mul(weights).checked_div(rate).unwrap_or_default();
        let retry_after = Micros::try_from(wait).unwrap_or(Micros::MAX).clamp(RETRY.0, RETRY.1);
        Entry::Refused { reason, retry_after }
    }

    /// Moves virtual time on, and forgets whom it passes.
    fn advance(&mut self, now: Micros) {
        let left = by_weight(self.underway.left(now), self.weights);
        self.virtual_time = self.virtual_time.max(self.served.minus(left));
        while let Some((tag, slot)) = self.resting.first().copied() {
            if tag > self.virtual_time && self.resting.len() <= MAX_OWING {
                break;
            }
            self.virtual_time = self.virtual_time.max(tag);
            self.resting.remove(&(tag, slot));
            if let Some(flow) = self.flows.try_remove(slot) {
                self.slots.remove(&flow.key);
            }
        }
    }

    /// Puts a flow aside that has no requests any more, until virtual time has passed its tag.
    fn rest(&mut self, slot: usize) {
        if let Some(flow) = self.flows.get(slot).filter(|flow| flow.is_idle()) {
            self.weights = self.weights.saturating_sub(u64::from(flow.weight.get()));
            self.resting.insert((flow.tag, slot));
        }
        // Nobody waits or runs: what was owed is owed to nobody.
        if self.requests.is_empty() {
            let last = self.resting.last().map_or(self.served, |(tag, _)| *tag);
            self.served = self.served.max(last);
            self.advance(0);
        }
    }
}
