//! Turns at the evaluation threads: the fair queue between tenants, with a clock.
//!
//! [`fairness::queue`] says who is next and what that guarantees: a tenant that sends fifty times as much as another has
//! its own requests wait, not the other's. A flow is a tenant, whichever users, accounts and namespaces ask; what belongs
//! to no tenant is one flow more, of greater weight. Tenants have the weight of their class. What a request costs is measured where it is evaluated, so a tenant
//! whose objects are expensive has fewer turns.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use fairness::queue::{Ask, Entry, Id, Micros, Next, Queue, Settings};
use tokio::sync::oneshot;

/// The weight of what belongs to no tenant: the cluster's own controllers and its administrators.
const PLATFORM: NonZeroU32 = NonZeroU32::new(16).unwrap();
/// What the first request is guessed to cost.
const FIRST: Micros = 300;
/// A flow may have this part of all places.
const PART: usize = 4;

/// Whose a request is: the name of a tenant, or empty.
type Flow = Arc<str>;

/// The tenant that asks, and its weight; `None` for what belongs to none.
type Asker<'a> = Option<(&'a str, NonZeroU32)>;

/// The seats at the evaluation threads, one for each.
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
    /// What requests cost, averaged over the last ones.
    cost: Micros,
    /// Seats beyond those of the threads at work.
    late: u32,
}

/// Why a request gets no seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unseated {
    /// Too many of its tenant's wait, or it could not be answered in time.
    Full(Duration),
    /// Its deadline passed while it waited.
    Late,
}

/// A place in the queue, or a seat: given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    seats: Arc<Seats>,
    id: Id,
    /// When evaluation began; before that it costs nothing.
    begun: Option<Instant>,
}

impl Seats {
    /// So many seats, and so many requests that may wait for them; a quarter of those of one tenant.
    pub fn new(seats: usize, queue: usize) -> Arc<Self> {
        let seats = u32::try_from(seats).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN);
        let settings = Settings { seats, per_flow: queue.div_ceil(PART), total: queue };
        let state = State { queue: Queue::new(settings), waiting: HashMap::new(), cost: FIRST, late: 0 };
        Arc::new(Self { state: Mutex::new(state), seats, start: Instant::now() })
    }

    /// How many requests wait.
    pub fn waiting(&self) -> usize {
        self.lock().queue.size().0
    }

    /// Adds a seat for each of so many threads that were given up and run on, which keep theirs.
    pub(crate) fn add_late(&self, late: u64) {
        let late = u32::try_from(late).unwrap_or(u32::MAX);
        let mut state = self.lock();
        if state.late != late {
            state.late = late;
            state.queue.set_seats(self.seats.saturating_add(late));
            state.serve(self.micros(Instant::now()));
        }
    }

    /// Waits for a seat, for a tenant or for nobody's, until the deadline at most.
    pub(crate) async fn take(
        self: &Arc<Self>,
        tenant: Asker<'_>,
        deadline: Instant,
    ) -> Result<Seat, Unseated> {
        let (seat, granted) = self.enter(tenant, deadline)?;
        match tokio::time::timeout_at(deadline.into(), granted).await {
            Ok(Ok(true)) => Ok(seat),
            Ok(Ok(false)) => Err(Unseated::Full(Duration::from_secs(1))),
            Ok(Err(_)) | Err(_) => Err(Unseated::Late),
        }
    }

    fn enter(
        self: &Arc<Self>,
        tenant: Asker<'_>,
        deadline: Instant,
    ) -> Result<(Seat, oneshot::Receiver<bool>), Unseated> {
        let mut state = self.lock();
        let (flow, weight) = tenant.unwrap_or(("", PLATFORM));
        let ask = Ask {
            flow: flow.into(),
            weight,
            width: NonZeroU32::MIN,
            estimate: state.cost,
            deadline: self.micros(deadline),
        };
        let now = self.micros(Instant::now());
        match state.queue.enqueue(now, &ask) {
            Entry::Refused { retry_after, .. } => Err(Unseated::Full(Duration::from_micros(retry_after))),
            Entry::Queued { id, pushed_out } => {
                if let Some(waiting) = pushed_out.and_then(|id| state.waiting.remove(&id)) {
                    // Its waiter may have gone meanwhile.
                    let _gone = waiting.send(false);
                }
                let (grant, granted) = oneshot::channel();
                state.waiting.insert(id, grant);
                state.serve(now);
                drop(state);
                Ok((Seat { seats: Arc::clone(self), id, begun: None }, granted))
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
}

impl Seat {
    /// Notes that evaluation begins: from here on it costs.
    pub(crate) fn begin(&mut self) {
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
            // An eighth of the newest.
            let before = state.cost.saturating_mul(7);
            state.cost = before.saturating_add(cost).div_ceil(8).max(1);
        }
        state.serve(seats.micros(Instant::now()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(millis: u64) -> Instant {
        Instant::now().checked_add(Duration::from_millis(millis)).unwrap()
    }

    fn soon() -> Instant {
        after(30_000)
    }

    /// A tenant of weight 1.
    fn of(tenant: &str) -> Asker<'_> {
        Some((tenant, NonZeroU32::MIN))
    }

    #[tokio::test]
    async fn a_tenant_has_as_many_turns_as_its_weight_says() {
        let seats = Seats::new(4, 400);
        let mut held = Vec::new();
        for _ in 0..4 {
            held.push(seats.take(None, soon()).await.unwrap());
        }
        let heavy = NonZeroU32::new(3).unwrap();
        let places = |tenant, weight| -> Vec<_> {
            (0..8).map(|_| seats.enter(Some((tenant, weight)), soon()).unwrap()).collect()
        };
        let (mut light, mut heavy) = (places("light", NonZeroU32::MIN), places("heavy", heavy));
        drop(held);
        let turns = |places: &mut Vec<(Seat, oneshot::Receiver<bool>)>| {
            places.iter_mut().filter_map(|(_, granted)| granted.try_recv().ok()).count()
        };
        assert_eq!((turns(&mut light), turns(&mut heavy)), (1, 3));
    }

    #[tokio::test]
    async fn a_flood_waits_for_itself() {
        let seats = Seats::new(1, 400);
        let mut held = seats.take(of("elephant"), soon()).await.unwrap();
        held.begin();
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut running = Vec::new();
        for tenant in std::iter::repeat_n("elephant", 50).chain(["mouse"]) {
            let (seats, order) = (Arc::clone(&seats), Arc::clone(&order));
            let place = seats.enter(of(tenant), soon()).unwrap();
            running.push(tokio::spawn(async move {
                let (mut seat, granted) = place;
                assert!(granted.await.unwrap());
                seat.begin();
                order.lock().unwrap().push(tenant);
            }));
        }
        assert_eq!(seats.waiting(), 51);
        drop(held);
        for one in running {
            one.await.unwrap();
        }
        let order = order.lock().unwrap();
        let place = order.iter().position(|tenant| *tenant == "mouse").unwrap();
        assert!(place <= 1, "the mouse came {place} after elephants that were there before");
        assert_eq!(seats.waiting(), 0);
    }

    #[tokio::test]
    async fn a_tenant_fills_its_own_places_and_no_others() {
        let seats = Seats::new(1, 8);
        let _held = seats.take(of("elephant"), soon()).await.unwrap();
        let places: Vec<_> = (0..2).map(|_| seats.enter(of("elephant"), soon()).unwrap()).collect();
        assert!(matches!(seats.enter(of("elephant"), soon()), Err(Unseated::Full(_))));
        assert!(seats.enter(of("mouse"), soon()).is_ok() && seats.enter(None, soon()).is_ok());
        drop(places);
        assert!(seats.enter(of("elephant"), soon()).is_ok());
    }

    #[tokio::test]
    async fn who_goes_away_or_is_late_leaves_no_seat_taken() {
        let seats = Seats::new(1, 8);
        let held = seats.take(None, soon()).await.unwrap();
        let late = seats.take(of("a"), after(5)).await;
        assert_eq!(late.map(drop), Err(Unseated::Late));
        let gone = seats.enter(of("b"), soon()).unwrap();
        drop(gone);
        let (seat, granted) = seats.enter(of("c"), soon()).unwrap();
        drop(held);
        assert_eq!(granted.await, Ok(true));
        // Granted, and never used.
        drop(seat);
        assert!(seats.take(of("d"), soon()).await.is_ok());
        // A thread that does not come back keeps its seat, and there is another.
        let stuck = seats.take(of("d"), soon()).await.unwrap();
        seats.add_late(1);
        drop(seats.take(of("e"), soon()).await.unwrap());
        drop(stuck);
        seats.add_late(0);
        assert_eq!(seats.lock().queue.size(), (0, 0));
    }
}
