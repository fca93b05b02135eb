//! Turns at something that tenants share: the fair queue between them, with a clock.
//!
//! [`queue`](crate::queue) says who is next and what that guarantees: a tenant that sends fifty times as much as another
//! has its own requests wait, not the other's. A flow is a tenant, whichever users, accounts and namespaces ask; what
//! belongs to no tenant is one flow more, of greater weight. Tenants have the weight of their class. What a request costs
//! is measured while it has its seat, so a tenant whose requests are expensive has fewer turns.
//!
//! The webhook has one over its evaluation threads, each gateway one over its requests to the API server.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::queue::{Ask, Entry, Id, Micros, Next, Queue, Refusal, Settings, Standing};

/// The weight of what belongs to no tenant: the cluster's own controllers and its administrators.
const PLATFORM: NonZeroU32 = NonZeroU32::new(16).unwrap();
/// What the first request of a kind is guessed to cost.
const FIRST: Micros = 300;
/// A flow may have this part of all places.
const PART: usize = 4;
/// When somebody may try again of whom nothing better is known.
const AGAIN: Duration = Duration::from_secs(1);

/// Whose a request is: the name of a tenant, or empty.
type Flow = Arc<str>;

/// The tenant that asks, and its weight; `None` for what belongs to none.
pub type Asker<'a> = Option<(&'a str, NonZeroU32)>;

/// A request that wants a seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish<'a> {
    /// Who asks.
    pub asker: Asker<'a>,
    /// What it is, one of a few words: it is guessed to cost what the last ones of its kind did.
    pub kind: &'static str,
    /// How many seats it takes.
    pub width: NonZeroU32,
    /// How long it waits.
    pub until: Until,
}

/// How long a request waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// It has to have its seat by then.
    Seated(Instant),
    /// It has to have given it back by then, as far as can be guessed.
    Done(Instant),
}

impl Until {
    const fn moment(self) -> Instant {
        match self {
            Self::Seated(moment) | Self::Done(moment) => moment,
        }
    }
}

/// Seats that tenants share.
#[derive(Debug)]
pub struct Seats {
    state: Mutex<State>,
    seats: NonZeroU32,
    start: Instant,
}

#[derive(Debug)]
struct State {
    queue: Queue<Flow>,
    waiting: HashMap<Id, oneshot::Sender<bool>>,
    /// What requests of each kind cost, averaged over the last ones.
    costs: HashMap<&'static str, Micros>,
    /// Seats beyond those that there are at first.
    more: u32,
}

/// Why a request gets no seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unseated {
    /// What kept it from one.
    pub cause: Cause,
    /// Whether it was its own tenant: that had its part of the seats, or filled the places in which to wait.
    pub own: bool,
    /// When one is likely to be had.
    pub retry_after: Duration,
}

/// What kept a request from a seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Too many wait, or it could not be done in time.
    Full,
    /// Its time passed while it waited.
    Late,
}

/// A place in the queue, or a seat: given back when this is dropped.
#[derive(Debug)]
pub struct Seat {
    seats: Arc<Seats>,
    id: Id,
    kind: &'static str,
    /// When its work began; before that it costs nothing.
    begun: Option<Instant>,
}

impl Seats {
    /// So many seats, and so many requests that may wait for them; a quarter of those of one tenant.
    pub fn new(seats: usize, queue: usize) -> Arc<Self> {
        let seats = u32::try_from(seats).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN);
        let settings = Settings { seats, per_flow: queue.div_ceil(PART), total: queue };
        let state =
            State { queue: Queue::new(settings), waiting: HashMap::new(), costs: HashMap::new(), more: 0 };
        Arc::new(Self { state: Mutex::new(state), seats, start: Instant::now() })
    }

    /// How many requests wait, and how many seats are taken.
    pub fn size(&self) -> (usize, u32) {
        self.lock().queue.size()
    }

    /// How each tenant stands of which something waits or has a seat.
    pub fn standings(&self) -> Vec<(Arc<str>, Standing)> {
        let state = self.lock();
        let busy = |(flow, standing): &(&Flow, Standing)| {
            !flow.is_empty() && (standing.waiting > 0 || standing.running > 0)
        };
        state.queue.standings().filter(busy).map(|(flow, standing)| (Arc::clone(flow), standing)).collect()
    }

    /// Makes it so many seats more than at first.
    pub fn set_more(&self, more: u64) {
        let more = u32::try_from(more).unwrap_or(u32::MAX);
        let mut state = self.lock();
        if state.more != more {
            state.more = more;
            state.queue.set_seats(self.seats.saturating_add(more));
            state.serve(self.micros(Instant::now()));
        }
    }

    /// Waits for a seat.
    ///
    /// # Errors
    /// When there is no room to wait, or none in time.
    pub async fn take(self: &Arc<Self>, wish: &Wish<'_>) -> Result<Seat, Unseated> {
        let (seat, granted) = self.enter(wish)?;
        match tokio::time::timeout_at(wish.until.moment().into(), granted).await {
            Ok(Ok(true)) => Ok(seat),
            Ok(Ok(false)) => Err(Unseated { cause: Cause::Full, own: true, retry_after: AGAIN }),
            Ok(Err(_)) | Err(_) => {
                let own = self.lock().has_its_part(flow_of(wish.asker).0, Some(seat.id));
                Err(Unseated { cause: Cause::Late, own, retry_after: AGAIN })
            }
        }
    }

    fn enter(self: &Arc<Self>, wish: &Wish<'_>) -> Result<(Seat, oneshot::Receiver<bool>), Unseated> {
        let mut state = self.lock();
        let (flow, weight) = flow_of(wish.asker);
        let estimate = state.costs.get(wish.kind).copied().unwrap_or(FIRST);
        let deadline = match wish.until {
            Until::Seated(moment) => self.micros(moment).saturating_add(estimate),
            Until::Done(moment) => self.micros(moment),
        };
        let ask = Ask { flow: flow.into(), weight, width: wish.width, estimate, deadline };
        let now = self.micros(Instant::now());
        match state.queue.enqueue(now, &ask) {
            Entry::Refused { reason, retry_after } => {
                let own = reason != Refusal::Full || state.has_its_part(flow, None);
                Err(Unseated { cause: Cause::Full, own, retry_after: Duration::from_micros(retry_after) })
            }
            Entry::Queued { id, pushed_out } => {
                if let Some(waiting) = pushed_out.and_then(|id| state.waiting.remove(&id)) {
                    // Its waiter may have gone meanwhile.
                    let _gone = waiting.send(false);
                }
                let (grant, granted) = oneshot::channel();
                state.waiting.insert(id, grant);
                state.serve(now);
                drop(state);
                Ok((Seat { seats: Arc::clone(self), id, kind: wish.kind, begun: None }, granted))
            }
        }
    }

    fn micros(&self, moment: Instant) -> Micros {
        let since = moment.saturating_duration_since(self.start).as_micros();
        Micros::try_from(since).unwrap_or(Micros::MAX)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The flow of who asks, and its weight.
fn flow_of(asker: Asker<'_>) -> (&str, NonZeroU32) {
    asker.unwrap_or(("", PLATFORM))
}

impl State {
    /// Has everything run that may, and tells what is late.
    fn serve(&mut self, now: Micros) {
        while let Some(next) = self.queue.next(now) {
            match next {
                Next::Run(id) => {
                    let told = self.waiting.remove(&id).is_some_and(|grant| grant.send(true).is_ok());
                    if !told {
                        self.queue.finish(id, 0);
                    }
                }
                // Its waiter is told by its own deadline.
                Next::Late(id) => drop(self.waiting.remove(&id)),
            }
        }
    }

    /// Whether a flow has its part of the seats, or so much of it waits, besides one request.
    fn has_its_part(&self, flow: &str, besides: Option<Id>) -> bool {
        let Some(standing) = self.queue.standing(&Flow::from(flow)) else { return false };
        let own = besides.is_some_and(|id| self.waiting.contains_key(&id));
        let waiting = standing.waiting.saturating_sub(usize::from(own));
        let waiting = u32::try_from(waiting).unwrap_or(u32::MAX);
        standing.seats.saturating_add(waiting) >= standing.part
    }

    /// Takes note of what a request did cost.
    fn measure(&mut self, kind: &'static str, cost: Micros) {
        // An eighth of the newest.
        let average = self.costs.entry(kind).or_insert(FIRST);
        *average = average.saturating_mul(7).saturating_add(cost).div_ceil(8).max(1);
    }
}

impl Seat {
    /// Notes that its work begins: from here on it costs.
    pub fn begin(&mut self) {
        self.begun = Some(Instant::now());
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let seats = &self.seats;
        let mut state = seats.lock();
        let cost =
            self.begun.map(|begun| Micros::try_from(begun.elapsed().as_micros()).unwrap_or(Micros::MAX));
        if state.waiting.remove(&self.id).is_some() {
            state.queue.cancel(self.id);
        } else if state.queue.finish(self.id, cost.unwrap_or(0))
            && let Some(cost) = cost
        {
            state.measure(self.kind, cost);
        }
        state.serve(seats.micros(Instant::now()));
    }
}

#[cfg(test)]
mod tests;
