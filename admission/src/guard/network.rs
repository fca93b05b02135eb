//! NetworkPolicies add to each other: one of a tenant's own could open what isolates it.

use std::collections::BTreeMap;

use ipnet::IpNet;
use model::{NAMESPACE_NAME_LABEL, Network, TENANT_LABEL};
use serde::Deserialize;

use super::Question;

#[derive(Deserialize, Default)]
#[serde(default)]
struct Policy {
    spec: Spec,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Spec {
    ingress: Option<Vec<Ingress>>,
    egress: Option<Vec<Egress>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Ingress {
    from: Option<Vec<Peer>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Egress {
    to: Option<Vec<Peer>>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Peer {
    ip_block: Option<Block>,
    namespace_selector: Option<Selector>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Block {
    cidr: String,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Selector {
    match_labels: Option<BTreeMap<String, String>>,
}

/// A tenant's own NetworkPolicy names peers of the tenant, and what its profile declares.
pub(super) fn opens_the_wall(question: &Question<'_>) -> Option<String> {
    let request = question.request;
    let tenant = question.tenants.tenant(question.tenants.name_for(&request.namespace)?)?;
    let declared = tenant.isolation.network.as_ref()?;
    let Ok(policy) = serde_json::from_slice::<Policy>(request.object.as_deref()?) else {
        return Some("the NetworkPolicy cannot be read".to_owned());
    };
    let wall = Wall { question, tenant: &tenant.name, declared };
    let ingress = policy.spec.ingress.unwrap_or_default();
    let ingress = ingress.into_iter().find_map(|rule| wall.hole("from", rule.from.as_deref(), false));
    let egress = policy.spec.egress.unwrap_or_default();
    ingress.or_else(|| egress.into_iter().find_map(|rule| wall.hole("to", rule.to.as_deref(), true)))
}

struct Wall<'a> {
    question: &'a Question<'a>,
    tenant: &'a str,
    declared: &'a Network,
}

impl Wall<'_> {
    /// What a rule opens beyond the tenant, if anything.
    fn hole(&self, field: &str, peers: Option<&[Peer]>, outward: bool) -> Option<String> {
        let allowed = format!(
            "name Pods of your namespace with a podSelector, or namespaces of the tenant with the label \
             `{TENANT_LABEL}: {}`",
            self.tenant
        );
        let Some(peers) = peers.filter(|peers| !peers.is_empty()) else {
            return Some(format!("a rule without `{field}` opens the namespace to everybody: {allowed}"));
        };
        let foreign = peers.iter().find(|peer| !self.allows(peer, outward))?;
        let found = match (&foreign.ip_block, &foreign.namespace_selector) {
            (Some(block), _) => format!("the addresses `{}`", block.cidr),
            _ => "namespaces that may be another tenant's".to_owned(),
        };
        Some(format!("`{field}` names {found}: {allowed}, or ask for it in the tenant's IsolationProfile"))
    }

    fn allows(&self, peer: &Peer, outward: bool) -> bool {
        if let Some(block) = &peer.ip_block {
            return outward && self.declared.egress.iter().any(|range| is_within(&block.cidr, range));
        }
        let Some(selector) = &peer.namespace_selector else { return true };
        let labels = selector.match_labels.as_ref();
        let label = |name: &str| labels.and_then(|labels| labels.get(name)).map(String::as_str);
        let named = label(NAMESPACE_NAME_LABEL);
        let of_tenant = named.is_some_and(|name| self.question.tenants.name_for(name) == Some(self.tenant));
        let declared =
            named.is_some_and(|name| !outward && self.declared.ingress_from.iter().any(|from| from == name));
        label(TENANT_LABEL) == Some(self.tenant) || of_tenant || declared
    }
}

/// Whether a range of addresses is another one, or a part of it.
fn is_within(part: &str, whole: &str) -> bool {
    let parsed = part.parse::<IpNet>().ok().zip(whole.parse::<IpNet>().ok());
    part == whole || parsed.is_some_and(|(part, whole)| whole.contains(&part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_range_is_within_it_and_nothing_wider_is() {
        assert!(is_within("10.1.0.0/16", "10.0.0.0/8") && is_within("10.0.0.0/8", "10.0.0.0/8"));
        assert!(is_within("2001:db8::/48", "2001:db8::/32"));
        for part in ["0.0.0.0/0", "10.0.0.0/7", "11.0.0.0/8", "::/0", "::ffff:10.0.0.0/104", "10.0.0.0", "x"]
        {
            assert!(!is_within(part, "10.0.0.0/8"), "{part}");
        }
    }
}
