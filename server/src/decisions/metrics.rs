use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::fault::PeerFault;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

/// What is counted of questions to other replicas.
#[derive(Debug, Clone, Default)]
pub(crate) struct PeerMetrics {
    answered: Counter,
    unanswered: Family<ReasonLabels, Counter>,
}

impl PeerMetrics {
    /// Registers them.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let decisions = registry.sub_registry_with_prefix("bailey_decisions");
        decisions.register(
            "peers_answered",
            "Answers of other replicas about tenants' decisions",
            metrics.answered.clone(),
        );
        decisions.register(
            "peers_unanswered",
            "Questions about tenants' decisions that another replica did not answer",
            metrics.unanswered.clone(),
        );
        metrics
    }

    pub(super) fn answered(&self) {
        self.answered.inc();
    }

    pub(super) fn unanswered(&self, fault: &PeerFault) {
        self.unanswered.get_or_create(&ReasonLabels { reason: fault.code() }).inc();
    }
}
