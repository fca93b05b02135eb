use model::SchedulingRules;

use super::PodSpec;
use crate::guard::Question;
use crate::guard::edits::Edit;

/// Pods do not name their node: that would go past the scheduler, and past taints.
pub(in crate::guard) fn names_its_node(question: &Question<'_>) -> Option<String> {
    let rules = question.rules().find(|rules| !rules.scheduling.node_name)?;
    let request = question.request;
    if request.resource.resource == "bindings" || request.sub_resource == "binding" {
        // The scheduler is no member of a tenant.
        let wrong = || format!("a Binding names a node: leave it to the scheduler ({})", rules.source);
        return question.asker.member.then(wrong);
    }
    let node = question.pod()?.node_name.as_deref().filter(|node| !node.is_empty())?;
    Some(format!("spec.nodeName is `{node}`: leave it to the scheduler ({})", rules.source))
}

/// Pods select the nodes that are meant for the tenant.
pub(in crate::guard) fn selects_other_nodes(question: &Question<'_>) -> Option<String> {
    let pod = question.pod()?;
    question.rules().find_map(|rules| {
        let wanted = &rules.scheduling.node_selector;
        let (label, value) =
            wanted.iter().find(|(label, value)| pod.node_selector.get(*label) != Some(value))?;
        let found = pod.node_selector.get(label).map_or("nothing", String::as_str);
        Some(format!(
            "spec.nodeSelector has `{found}` for the label `{label}`: set `{label}: {value}` ({})",
            rules.source
        ))
    })
}

/// Pods tolerate no taints that keep other nodes apart.
pub(in crate::guard) fn tolerates_too_much(question: &Question<'_>) -> Option<String> {
    let pod = question.pod()?;
    question.rules().find_map(|rules| {
        let allowed = &rules.scheduling.tolerations;
        let foreign = pod.tolerations.iter().find_map(|toleration| match toleration.key.as_deref() {
            None | Some("") => Some("every taint".to_owned()),
            Some(key) => (!allowed.matches(key)).then(|| format!("the taint `{key}`")),
        })?;
        let shown = allowed.shown();
        Some(format!("spec.tolerations has {foreign}: allowed are {shown} ({})", rules.source))
    })
}

/// Pods are placed by a scheduler that the profile knows.
pub(in crate::guard) fn has_another_scheduler(question: &Question<'_>) -> Option<String> {
    let scheduler = question.pod()?.scheduler_name.as_deref().unwrap_or("default-scheduler");
    question.rules().find_map(|rules| {
        let allowed = rules.scheduling.schedulers.as_ref().filter(|allowed| !allowed.matches(scheduler))?;
        let shown = allowed.shown();
        Some(format!("spec.schedulerName is `{scheduler}`: allowed are {shown} ({})", rules.source))
    })
}

/// Pods are spread and kept together by labels of nodes that the profile knows.
pub(in crate::guard) fn spreads_by_another_key(question: &Question<'_>) -> Option<String> {
    let pod = question.pod()?;
    question.rules().find_map(|rules| {
        let allowed = rules.scheduling.topology_keys.as_ref()?;
        let key = topology_keys(pod).into_iter().find(|key| !allowed.matches(key))?;
        let shown = allowed.shown();
        Some(format!("the topologyKey `{key}` is not allowed: allowed are {shown} ({})", rules.source))
    })
}

fn topology_keys(pod: &PodSpec) -> Vec<&str> {
    let mut keys: Vec<&str> =
        pod.topology_spread_constraints.iter().map(|spread| spread.topology_key.as_str()).collect();
    let affinity = pod.affinity.iter();
    for terms in affinity.flat_map(|affinity| [&affinity.pod_affinity, &affinity.pod_anti_affinity]).flatten()
    {
        keys.extend(terms.required.iter().map(|term| term.topology_key.as_str()));
        keys.extend(terms.preferred.iter().map(|term| term.pod_affinity_term.topology_key.as_str()));
    }
    keys
}

/// The node labels that a Pod selects which does not say so.
pub(in crate::guard) fn missing_selectors(pod: &PodSpec, rules: &SchedulingRules) -> Vec<Edit> {
    let missing = rules.node_selector.iter().filter(|(label, _)| !pod.node_selector.contains_key(*label));
    missing.map(|(label, value)| Edit::set(["spec", "nodeSelector", label], value.as_str())).collect()
}
