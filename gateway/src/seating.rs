//! Seats at the API server: how much of it is asked at once through this gateway, in turns by tenant.
//!
//! A request has its seats from before it is sent until the API server is done with it. That is when its answer's head has
//! come where the answer is short or stays open, and else when all of it has: of a long list the head says little. What
//! keeps the API server waiting is not its work, so a seat does not wait for clients: the beginning of a body is there
//! before the seat is taken ([`crate::upload`]), and who reads slowly gives the seat back ([`crate::body`]).
//!
//! Streams to Pods (exec, attach, port-forward, logs, proxies) take no seats. They wait for Pods, which a tenant can have
//! answer never, and the API server itself counts none of them among its requests in flight. How many begin and how many are
//! open is limited otherwise.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fairness::queue::Standing;
use fairness::rates::Class;
use fairness::seats::{Cause, Seat, Seats, Unseated, Until, Wish};
use http::Response;
use model::Code;

use crate::metrics::GatewayMetrics;
use crate::refusal::Refusal;
use crate::target::Target;

/// How many objects of a list one seat stands for, as at an API server before 1.34, and the most seats that one takes.
const OBJECTS_A_SEAT: u64 = 100;
const WIDEST: u32 = 10;
/// A list takes no more than this part of all seats: what is behind it waits until it has them.
const PART: u32 = 4;
/// The longest wait that is told: who comes back too early only waits again.
const RETRY: Duration = Duration::from_secs(30);

/// How many requests may be at the API server at once, and how long others wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeatSettings {
    /// The seats; with 0 nothing waits, and everything goes on at once.
    pub seats: usize,
    /// How many requests may wait, a quarter of them of one tenant.
    pub queue: usize,
    /// How long one waits.
    pub wait: Duration,
}

/// The tenant at whose cost a request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Payer {
    pub(crate) name: String,
    /// How many turns it has for one of a tenant of weight 1.
    pub(crate) weight: NonZeroU32,
}

/// The seats at the API server.
pub(crate) struct Seating {
    seats: Option<Arc<Seats>>,
    settings: SeatSettings,
    metrics: GatewayMetrics,
}

/// A request's seats, given back when the last of these is dropped. An answer carries it among its extensions.
#[derive(Debug, Clone)]
pub(crate) struct Held(#[expect(dead_code, reason = "held, not read")] Arc<Seat>);

impl Held {
    /// Gives it to the answer, where that is one that the API server still works at.
    pub(crate) fn stay<B>(self, response: &mut Response<B>, target: &Target) {
        if response.status().is_success() && !target.is_long_running() {
            response.extensions_mut().insert(self);
        }
    }
}

impl Seating {
    pub(crate) fn new(settings: SeatSettings, metrics: GatewayMetrics) -> Self {
        let seats = (settings.seats > 0).then(|| Seats::new(settings.seats, settings.queue));
        metrics.seats.set(i64::try_from(settings.seats).unwrap_or(i64::MAX));
        Self { seats, settings, metrics }
    }

    /// Whether a request needs seats.
    pub(crate) fn concerns(&self, target: &Target) -> bool {
        self.seats.is_some() && target.class != Class::Exec
    }

    /// Waits for the seats of a request; `None` for one that needs none.
    ///
    /// # Errors
    /// [`Code::GatewayQueue`] where its own tenant is in the way, else [`Code::GatewayFull`].
    pub(crate) async fn take(&self, payer: &Payer, target: &Target) -> Result<Option<Held>, Refusal> {
        let Some(seats) = self.seats.as_ref().filter(|_| self.concerns(target)) else { return Ok(None) };
        let begun = Instant::now();
        let wish = Wish {
            asker: Some((&payer.name, payer.weight)),
            kind: target.class.as_str(),
            width: width(target, self.settings.seats),
            until: Until::Seated(begun.checked_add(self.settings.wait).unwrap_or(begun)),
        };
        let taken = seats.take(&wish).await;
        self.metrics.wait.observe(begun.elapsed().as_secs_f64());
        let mut seat = taken.map_err(|unseated| self.refuse(&payer.name, unseated))?;
        seat.begin();
        Ok(Some(Held(Arc::new(seat))))
    }

    /// How many requests wait, and how many seats are taken.
    pub(crate) fn size(&self) -> (usize, u32) {
        self.seats.as_ref().map_or((0, 0), |seats| seats.size())
    }

    /// How each tenant stands that waits or has seats.
    pub(crate) fn standings(&self) -> Vec<(Arc<str>, Standing)> {
        self.seats.as_ref().map(|seats| seats.standings()).unwrap_or_default()
    }

    fn refuse(&self, tenant: &str, unseated: Unseated) -> Refusal {
        let waited = match unseated.cause {
            Cause::Full => "too many requests wait for their turn at the API server".to_owned(),
            Cause::Late => {
                let seconds = self.settings.wait.as_secs();
                format!("the request did not come to its turn at the API server within {seconds} s")
            }
        };
        let (code, why) = if unseated.own {
            (
                Code::GatewayQueue,
                format!("tenant {tenant} has its part of the turns, and waits for its own requests"),
            )
        } else {
            (
                Code::GatewayFull,
                format!("the gateway is full of those of all tenants, and {tenant} is not the one to blame"),
            )
        };
        Refusal::new(code, format!("{waited}: {why}")).after(unseated.retry_after.min(RETRY))
    }
}

/// How many seats a request takes. Of a list it is by what it asks for, as nobody here knows how many there are: who asks for
/// all of them at once takes the most.
fn width(target: &Target, seats: usize) -> NonZeroU32 {
    if target.class != Class::List {
        return NonZeroU32::MIN;
    }
    let objects = target.page.unwrap_or(u64::MAX);
    let most =
        u32::try_from(seats).unwrap_or(u32::MAX).checked_div(PART).unwrap_or_default().clamp(1, WIDEST);
    let wide = u32::try_from(objects.div_ceil(OBJECTS_A_SEAT)).unwrap_or(u32::MAX).min(most);
    NonZeroU32::new(wide).unwrap_or(NonZeroU32::MIN)
}

#[cfg(test)]
mod tests {
    use http::{Method, StatusCode, Uri};
    use prometheus_client::registry::Registry;

    use super::*;

    fn target(method: &str, path: &str) -> Target {
        Target::read(&method.parse::<Method>().unwrap(), &path.parse::<Uri>().unwrap()).unwrap()
    }

    fn seating(seats: usize, queue: usize, wait: Duration) -> Seating {
        let metrics = GatewayMetrics::register(&mut Registry::default());
        Seating::new(SeatSettings { seats, queue, wait }, metrics)
    }

    fn payer(name: &str) -> Payer {
        Payer { name: name.to_owned(), weight: NonZeroU32::MIN }
    }

    const LONG: Duration = Duration::from_secs(30);
    const PODS: &str = "/api/v1/namespaces/a/pods";

    #[test]
    fn a_list_is_as_wide_as_what_it_asks_for() {
        let of = |path: &str, seats| width(&target("GET", path), seats).get();
        let widths =
            ["?limit=1", "?limit=100", "?limit=500", "?limit=501", "?limit=5000", "", "?watch=1", "/one"]
                .map(|rest| of(&format!("{PODS}{rest}"), 200));
        assert_eq!(widths, [1, 1, 5, 6, 10, 10, 1, 1]);
        // From the cache the API server gives all.
        assert_eq!(of(&format!("{PODS}?limit=1&resourceVersion=0"), 200), 10);
        assert_eq!((of(PODS, 12), of(PODS, 3), width(&target("POST", PODS), 200).get()), (3, 1, 1));
    }

    #[tokio::test]
    async fn who_floods_is_told_so_and_others_are_not_blamed() {
        let seating = seating(1, 4, Duration::from_millis(50));
        let get = target("GET", "/api/v1/namespaces/a/pods/one");
        let (elephant, mouse) = (payer("elephant"), payer("mouse"));
        let held = seating.take(&elephant, &get).await.unwrap().unwrap();
        let waits = async |payer: &Payer| seating.take(payer, &get).await.map(drop).unwrap_err();
        let (own, over, other) = tokio::join!(waits(&elephant), waits(&elephant), waits(&mouse));
        assert_eq!(
            (own.code, over.code, other.code),
            (Code::GatewayQueue, Code::GatewayQueue, Code::GatewayFull)
        );
        assert!(own.message.contains("within 0 s: tenant elephant has its part"), "{}", own.message);
        assert!(over.message.contains("too many requests wait"), "{}", over.message);
        assert_eq!((other.status, other.retry_after.is_some()), (StatusCode::TOO_MANY_REQUESTS, true));
        drop(held);
        assert_eq!(seating.size(), (0, 0));
    }

    #[tokio::test]
    async fn a_seat_stays_with_what_the_api_server_works_at() {
        let seating = seating(4, 8, LONG);
        let cases = [
            (PODS, 200, true),
            ("/api/v1/namespaces/a/pods/one", 200, true),
            (PODS, 403, false),
            ("/api/v1/namespaces/a/pods?watch=1", 200, false),
        ];
        for (path, status, stays) in cases {
            let target = target("GET", path);
            let seat = seating.take(&payer("a"), &target).await.unwrap().unwrap();
            let mut response = Response::new(());
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            seat.stay(&mut response, &target);
            assert_eq!(seating.size().1, u32::from(stays), "{path} {status}");
            drop(response);
            assert_eq!(seating.size().1, 0);
        }
        let exec = target("POST", "/api/v1/namespaces/a/pods/one/exec");
        assert!(seating.take(&payer("a"), &exec).await.unwrap().is_none());
        let off = self::seating(0, 8, LONG);
        assert!(off.take(&payer("a"), &target("GET", PODS)).await.unwrap().is_none());
    }
}
