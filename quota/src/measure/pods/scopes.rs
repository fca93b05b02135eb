//! What the scopes of ResourceQuota ask of a Pod.

use super::object::{Pod, Resources, Term, Terms};
use crate::measure::PodScopes;

pub(super) fn of(pod: &Pod<'_>) -> PodScopes {
    let spec = &pod.spec;
    let class = &*spec.priority_class_name;
    PodScopes {
        terminating: spec.active_deadline_seconds.is_some_and(|seconds| seconds >= 0),
        best_effort: match &*pod.status.qos_class {
            "" => is_best_effort(pod),
            class => class == "BestEffort",
        },
        priority_class: (!class.is_empty()).then(|| class.to_owned()),
        cross_namespace_pod_affinity: [&spec.affinity.pod_affinity, &spec.affinity.pod_anti_affinity]
            .into_iter()
            .any(is_cross_namespace),
    }
}

/// Nobody asks for cpu or memory. The Pod's own resources decide alone where there are some, even if empty.
fn is_best_effort(pod: &Pod<'_>) -> bool {
    let asks = |resources: &Resources<'_>| {
        [&resources.requests, &resources.limits]
            .into_iter()
            .flat_map(|list| list.iter())
            .any(|(name, amount)| matches!(name, "cpu" | "memory") && amount > 0)
    };
    let spec = &pod.spec;
    match &spec.resources {
        Some(own) => !asks(own),
        None => {
            !spec.containers.iter().chain(&spec.init_containers).any(|container| asks(&container.resources))
        }
    }
}

fn is_cross_namespace(terms: &Terms) -> bool {
    let preferred = terms.preferred.iter().map(|weighted| &weighted.pod_affinity_term);
    terms
        .required
        .iter()
        .chain(preferred)
        .any(|Term { namespaces, namespace_selector }| !namespaces.is_empty() || namespace_selector.is_some())
}
