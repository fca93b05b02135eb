//! What the admission path counts. Every label comes from a closed list, or is the name of a binding
//! that an administrator made.

use model::{Decision, Enforcement, Verdict};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::{Guard, Phase};

/// Upper bounds of the latency histograms, in seconds: fine below 5 ms, where the API server's own end.
const BUCKETS: [f64; 14] =
    [0.0001, 0.0002, 0.0003, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5, 10.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    phase: &'static str,
    allowed: &'static str,
    code: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PhaseLabels {
    phase: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StageLabels {
    stage: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FindingLabels {
    binding: String,
    enforcement: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WallLabels {
    wall: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PaceLabels {
    /// A class of requests, or `unread`.
    class: &'static str,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FailureLabels {
    binding: String,
    code: &'static str,
    refused: &'static str,
}

/// The counters of the admission path. Clones count together.
#[derive(Debug, Clone)]
pub struct AdmissionMetrics {
    requests: Family<RequestLabels, Counter>,
    duration: Family<PhaseLabels, Histogram, fn() -> Histogram>,
    stages: Family<StageLabels, Histogram, fn() -> Histogram>,
    findings: Family<FindingLabels, Counter>,
    failures: Family<FailureLabels, Counter>,
    walls: Family<WallLabels, Counter>,
    paced: Family<PaceLabels, Counter>,
    pub(crate) in_flight: Gauge,
}

fn histogram() -> Histogram {
    Histogram::new(BUCKETS)
}

impl AdmissionMetrics {
    /// Registers the counters under the prefix `bailey_admission`.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            requests: Family::default(),
            duration: Family::new_with_constructor(histogram),
            stages: Family::new_with_constructor(histogram),
            findings: Family::default(),
            failures: Family::default(),
            walls: Family::default(),
            paced: Family::default(),
            in_flight: Gauge::default(),
        };
        let registry = registry.sub_registry_with_prefix("bailey_admission");
        registry.register("requests", "Reviews answered, by verdict and code", metrics.requests.clone());
        registry.register_with_unit(
            "request_duration",
            "Time from the first byte of a review to its answer",
            Unit::Seconds,
            metrics.duration.clone(),
        );
        registry.register_with_unit(
            "stage_duration",
            "Time spent in each stage of a review",
            Unit::Seconds,
            metrics.stages.clone(),
        );
        registry.register("findings", "Findings, by binding and what they did", metrics.findings.clone());
        registry.register(
            "failures",
            "Bindings that could not answer; refused=\"false\" is fail-open",
            metrics.failures.clone(),
        );
        registry.register("walls", "Reviews that a wall refused, by wall", metrics.walls.clone());
        // Each is there from the start: that nobody ran into it is worth seeing too.
        for wall in Guard::walls() {
            drop(metrics.walls.get_or_create(&WallLabels { wall }));
        }
        registry.register(
            "paced",
            "Events and tokens that were only counted, by class and result",
            metrics.paced.clone(),
        );
        registry.register("in_flight", "Reviews being worked on", metrics.in_flight.clone());
        metrics
    }

    /// Counts a refusal by a wall.
    pub(crate) fn hit(&self, wall: &'static str) {
        if !wall.is_empty() {
            self.walls.get_or_create(&WallLabels { wall }).inc();
        }
    }

    /// Counts a review on which nothing is decided but how often.
    pub(crate) fn pace(&self, class: &'static str, result: &'static str) {
        self.paced.get_or_create(&PaceLabels { class, result }).inc();
    }

    /// Counts a decision.
    pub(crate) fn count(&self, phase: Phase, decision: &Decision) {
        let (allowed, code) = match &decision.verdict {
            Verdict::Allowed => ("true", "none"),
            Verdict::Denied { code, .. } => ("false", code.as_str()),
        };
        let phase = phase.as_str();
        self.requests.get_or_create(&RequestLabels { phase, allowed, code }).inc();
        self.duration.get_or_create(&PhaseLabels { phase }).observe(seconds(decision.times.total));
        let times = &decision.times;
        for (stage, micros) in [
            ("decode", times.decode),
            ("queue", times.queue),
            ("matching", times.matching),
            ("evaluate", times.evaluate),
        ] {
            self.stages.get_or_create(&StageLabels { stage }).observe(seconds(micros));
        }
        for finding in &decision.findings {
            let enforcement = match finding.enforcement {
                _ if finding.exception.is_some() => "excepted",
                Enforcement::Deny => "deny",
                Enforcement::Warn => "warn",
                Enforcement::Audit => "audit",
            };
            self.findings
                .get_or_create(&FindingLabels { binding: finding.binding.clone(), enforcement })
                .inc();
        }
        for failure in &decision.failures {
            let refused = if failure.refuses() { "true" } else { "false" };
            let labels =
                FailureLabels { binding: failure.binding.clone(), code: failure.code.as_str(), refused };
            self.failures.get_or_create(&labels).inc();
        }
    }
}

fn seconds(micros: u32) -> f64 {
    f64::from(micros) / 1e6
}
