//! What the gateway counts. No label has a value that a client can choose: tenants are named by administrators.

use model::Code;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// What a tenant can be held to.
const LIMITS: [Code; 6] = [
    Code::GatewayRate,
    Code::GatewayBusy,
    Code::GatewayWatches,
    Code::GatewayPage,
    Code::GatewayQueue,
    Code::GatewayFull,
];

/// Classes and results: 8 × (5 ranges of HTTP status and one code of ours each).
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct RequestLabels {
    /// A class of request, or `unread` where it was refused before.
    pub(crate) class: &'static str,
    /// The code of a refusal, else the range of the API server's status, such as `2xx`.
    pub(crate) result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ReviewLabels {
    /// `cached`, `accepted`, `rejected` or `failed`.
    pub(crate) result: &'static str,
}

/// Who is held to a limit, and to which. Forgotten with the tenant.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct LimitLabels {
    pub(crate) tenant: String,
    pub(crate) code: &'static str,
}

/// What was narrowed, and whether it was listed or watched.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct FilterLabels {
    /// `namespaces`, `classes`, `nodes`, `volumes`, `definitions`, or `everywhere` for what is in all namespaces of a user.
    pub(crate) scope: &'static str,
    /// `list` or `watch`, or `get` for one object.
    pub(crate) verb: &'static str,
}

/// The metrics of the gateway.
#[derive(Debug, Clone)]
pub struct GatewayMetrics {
    pub(crate) requests: Family<RequestLabels, Counter>,
    pub(crate) limited: Family<LimitLabels, Counter>,
    pub(crate) filtered: Family<FilterLabels, Counter>,
    /// Until the API server's answer begins.
    pub(crate) duration: Histogram,
    pub(crate) tokens: Family<ReviewLabels, Counter>,
    pub(crate) bytes: Counter,
    pub(crate) slow: Counter,
    pub(crate) connections: Gauge,
    pub(crate) refused_connections: Counter,
    pub(crate) under_way: Gauge,
    pub(crate) streams: Gauge,
    pub(crate) seats: Gauge,
    pub(crate) seats_taken: Gauge,
    pub(crate) waiting: Gauge,
    /// For a seat.
    pub(crate) wait: Histogram,
}

impl GatewayMetrics {
    /// Registers them.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            requests: Family::default(),
            limited: Family::default(),
            filtered: Family::default(),
            duration: Histogram::new(exponential_buckets(0.000_5, 2.0, 18)),
            tokens: Family::default(),
            bytes: Counter::default(),
            slow: Counter::default(),
            connections: Gauge::default(),
            refused_connections: Counter::default(),
            under_way: Gauge::default(),
            streams: Gauge::default(),
            seats: Gauge::default(),
            seats_taken: Gauge::default(),
            waiting: Gauge::default(),
            wait: Histogram::new(exponential_buckets(0.000_5, 2.0, 18)),
        };
        let name = |name: &str| format!("bailey_gateway_{name}");
        registry.register(name("requests"), "Requests by class and result", metrics.requests.clone());
        registry.register(
            name("limited"),
            "Requests refused by a limit, by tenant and code",
            metrics.limited.clone(),
        );
        registry.register(
            name("filtered"),
            "Lists and watches of the whole cluster that were narrowed to what the user belongs to",
            metrics.filtered.clone(),
        );
        registry.register_with_unit(
            name("duration"),
            "From a request's head to the head of its answer",
            Unit::Seconds,
            metrics.duration.clone(),
        );
        registry.register(
            name("tokens"),
            "Tokens for the API server by what became of them",
            metrics.tokens.clone(),
        );
        registry.register_with_unit(
            name("answered"),
            "Bytes of the bodies of answers",
            Unit::Bytes,
            metrics.bytes.clone(),
        );
        registry.register(
            name("slow_readers"),
            "Answers cut off because the client did not read them",
            metrics.slow.clone(),
        );
        registry.register(name("connections"), "Open connections of clients", metrics.connections.clone());
        registry.register(
            name("connections_refused"),
            "Connections closed because the address had too many",
            metrics.refused_connections.clone(),
        );
        registry.register(
            name("under_way"),
            "Requests under way that do not stay open",
            metrics.under_way.clone(),
        );
        registry.register(name("streams"), "Open watches and streams", metrics.streams.clone());
        metrics.register_seats(registry);
        metrics
    }

    fn register_seats(&self, registry: &mut Registry) {
        let name = |name: &str| format!("bailey_gateway_{name}");
        registry.register(name("seats"), "Seats for requests to the API server", self.seats.clone());
        registry.register(name("seats_taken"), "Those that are taken", self.seats_taken.clone());
        registry.register(name("waiting"), "Requests that wait for a seat", self.waiting.clone());
        let help = "How long requests waited for a seat, also in vain";
        registry.register_with_unit(name("wait"), help, Unit::Seconds, self.wait.clone());
    }

    /// Counts a refusal, where it was by a limit of a tenant.
    pub(crate) fn limit(&self, tenant: &str, code: Code) {
        if LIMITS.contains(&code) {
            let labels = LimitLabels { tenant: tenant.to_owned(), code: code.as_str() };
            self.limited.get_or_create(&labels).inc();
        }
    }

    /// Forgets a tenant that is no more.
    pub(crate) fn forget(&self, tenant: &str) {
        for code in LIMITS {
            let labels = LimitLabels { tenant: tenant.to_owned(), code: code.as_str() };
            self.limited.remove(&labels);
        }
    }
}
