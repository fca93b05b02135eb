//! What Services open to the outside.

use std::net::IpAddr;

use serde_json::Value;

use super::Question;

/// A Service has a type that the profile knows.
pub(super) fn has_another_type(question: &Question<'_>) -> Option<String> {
    let object = question.object()?;
    let kind = object.pointer("/spec/type").and_then(Value::as_str).unwrap_or("ClusterIP");
    let rules = question.rules().find(|rules| !rules.services.types.contains(kind))?;
    let allowed: Vec<String> = rules.services.types.iter().map(|kind| format!("`{kind}`")).collect();
    Some(format!("the type `{kind}` is not allowed, use {} ({})", allowed.join(", "), rules.source))
}

/// Addresses that a Service claims for itself are the tenant's: with others' it would take over their traffic.
pub(super) fn claims_an_address(question: &Question<'_>) -> Option<String> {
    let object = question.object()?;
    let listed = object.pointer("/spec/externalIPs").and_then(Value::as_array).into_iter().flatten();
    let single = object.pointer("/spec/loadBalancerIP");
    // Traffic for those goes to the Service too. They are the load balancer's to write, and no member's.
    let given =
        object.pointer("/status/loadBalancer/ingress").and_then(Value::as_array).into_iter().flatten();
    let given = given.filter(|_| writes_status(question)).filter_map(|one| one.get("ip"));
    let claimed: Vec<&str> =
        listed.chain(single).chain(given).filter_map(Value::as_str).filter(|ip| !ip.is_empty()).collect();
    question.rules().find_map(|rules| {
        let ranges = &rules.services.external_ips;
        let is_own = |text: &str| {
            text.parse::<IpAddr>().is_ok_and(|address| ranges.iter().any(|range| range.contains(&address)))
        };
        let foreign = claimed.iter().find(|address| !is_own(address))?;
        let allowed: Vec<String> = ranges.iter().map(|range| format!("`{range}`")).collect();
        let allowed = if allowed.is_empty() { "none".to_owned() } else { allowed.join(", ") };
        Some(format!("the address `{foreign}` is not yours: allowed are {allowed} ({})", rules.source))
    })
}

fn writes_status(question: &Question<'_>) -> bool {
    question.asker.member && question.request.sub_resource == "status"
}

/// A Service's name for something outside is one that the profile knows.
pub(super) fn points_elsewhere(question: &Question<'_>) -> Option<String> {
    let object = question.object()?;
    let name =
        object.pointer("/spec/externalName").and_then(Value::as_str).filter(|name| !name.is_empty())?;
    let rules = question.rules().find(|rules| !rules.services.external_names.matches(name))?;
    let allowed = &rules.services.external_names;
    let allowed = if allowed.is_empty() { "none".to_owned() } else { allowed.shown() };
    Some(format!("spec.externalName is `{name}`: allowed are {allowed} ({})", rules.source))
}

/// Endpoints are the work of Kubernetes: written by hand they lead past NetworkPolicies, to any address.
pub(super) fn are_written_by_hand(question: &Question<'_>) -> Option<String> {
    question.tenant()?;
    Some(
        "endpoints are made from the Pods that a Service selects; give the Service a selector instead"
            .to_owned(),
    )
}
