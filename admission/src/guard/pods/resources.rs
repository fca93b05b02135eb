use std::collections::{BTreeMap, BTreeSet};

use model::{ResourceRules, quantity};
use serde_json::Value;

use super::{Amounts, PodSpec};
use crate::guard::Question;

/// The resources that decide about the class of a Pod.
const DECIDING: [&str; 2] = ["cpu", "memory"];

/// A Pod's class is one that the profile knows.
pub(in crate::guard) fn has_another_class(question: &Question<'_>) -> Option<String> {
    let pod = question.pod()?;
    question.rules().find_map(|rules| {
        let allowed = rules.resources.qos_classes.as_ref()?;
        let class = qos_class(pod);
        let shown = || allowed.iter().map(|class| format!("`{class}`")).collect::<Vec<_>>().join(", ");
        (!allowed.contains(class)).then(|| {
            format!("the requests and limits make it `{class}`: allowed are {} ({})", shown(), rules.source)
        })
    })
}

/// Limits are not further above requests than the profile says.
pub(in crate::guard) fn promises_too_much(question: &Question<'_>) -> Option<String> {
    let pod = question.pod()?;
    question.rules().find_map(|rules| {
        let containers = pod.all_containers().filter_map(|container| {
            Some((format!("container `{}`", container.name), container.resources.as_ref()?))
        });
        // Pods may have resources of their own, which count instead.
        let whole = pod.resources.iter().map(|amounts| ("the Pod".to_owned(), amounts));
        let wrong = containers
            .chain(whole)
            .find_map(|(whose, amounts)| Some(format!("{whose}: {}", over(amounts, &rules.resources)?)))?;
        Some(format!("{wrong} ({})", rules.source))
    })
}

fn over(amounts: &Amounts, rules: &ResourceRules) -> Option<String> {
    rules.max_limit_percent.iter().find_map(|(resource, percent)| {
        let limit = amounts.limits.get(resource)?;
        // Kubernetes takes the limit for a request that is not given.
        let request = amounts.requests.get(resource).unwrap_or(limit);
        let (most, found) =
            (amount(request)?.checked_mul(i128::from(*percent))?, amount(limit)?.checked_mul(100)?);
        (found > most).then(|| {
            format!(
                "the {resource} limit {} is more than {percent} % of its request {}",
                text(limit),
                text(request)
            )
        })
    })
}

/// The class as Kubernetes decides it: from the Pod's own resources where it has some, else from all containers.
fn qos_class(pod: &PodSpec) -> &'static str {
    let containers = || pod.containers.iter().chain(&pod.init_containers);
    let own =
        pod.resources.iter().filter(|amounts| !(amounts.requests.is_empty() && amounts.limits.is_empty()));
    let own: Vec<&Amounts> = own.collect();
    let empty = Amounts::default();
    let all: Vec<&Amounts> = match own.as_slice() {
        [] => containers().map(|container| container.resources.as_ref().unwrap_or(&empty)).collect(),
        own => own.to_vec(),
    };
    let named = |amounts: &BTreeMap<String, Value>| -> BTreeSet<&'static str> {
        let positive = |name: &&str| amounts.get(*name).and_then(amount).is_some_and(|amount| amount > 0);
        DECIDING.into_iter().filter(positive).collect()
    };
    if all.iter().all(|amounts| named(&amounts.requests).is_empty() && named(&amounts.limits).is_empty()) {
        return "BestEffort";
    }
    let is_guaranteed = |amounts: &&Amounts| {
        DECIDING.iter().all(|name| {
            let limit = amounts.limits.get(*name).and_then(amount);
            let request = amounts.requests.get(*name).and_then(amount).or(limit);
            limit.is_some_and(|limit| limit > 0) && request == limit
        })
    };
    if all.iter().all(is_guaranteed) { "Guaranteed" } else { "Burstable" }
}

fn amount(value: &Value) -> Option<i128> {
    match value {
        Value::String(text) => quantity(text),
        Value::Number(number) => quantity(&number.to_string()),
        _ => None,
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_class_is_the_one_kubernetes_decides() {
        let rows = [
            (json!([{}]), "BestEffort"),
            (json!([{"resources": {"limits": {"cpu": "1", "memory": "1Gi"}}}]), "Guaranteed"),
            (
                json!([{"resources": {"limits": {"cpu": 1, "memory": "1Gi"}, "requests": {"cpu": "1000m"}}}]),
                "Guaranteed",
            ),
            (
                json!([{"resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1m"}}}]),
                "Burstable",
            ),
            (json!([{"resources": {"limits": {"cpu": "1", "memory": "1Gi"}}}, {}]), "Burstable"),
            (json!([{"resources": {"requests": {"cpu": "0"}}}]), "BestEffort"),
            (json!([{"resources": {"limits": {"nvidia.com/gpu": "1"}}}]), "BestEffort"),
        ];
        for (containers, class) in rows {
            let pod: PodSpec = serde_json::from_value(json!({"containers": containers})).unwrap();
            assert_eq!(qos_class(&pod), class, "{containers}");
        }
        let whole = json!({"containers": [{}], "resources": {"limits": {"cpu": "1", "memory": "1"}}});
        assert_eq!(qos_class(&serde_json::from_value(whole).unwrap()), "Guaranteed");
    }
}
