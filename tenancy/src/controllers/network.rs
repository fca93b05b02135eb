//! The NetworkPolicy of an isolated tenant.

use std::collections::BTreeMap;

use k8s_openapi::api::networking::v1::{
    IPBlock, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort,
    NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{self as meta, LabelSelectorRequirement};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use model::{LabelSelector, NAMESPACE_NAME_LABEL, Network, TENANT_LABEL};

/// Where DNS is served.
const DNS_NAMESPACE: &str = "kube-system";
const DNS_PORT: i32 = 53;

/// Pods of the namespace talk with those of the tenant, ask DNS, and reach what is declared: nothing else.
pub(super) fn policy(tenant: &str, rules: &Network) -> NetworkPolicySpec {
    let own = || namespaces(TENANT_LABEL, tenant);
    let declared = rules.ingress_from.iter().map(|name| namespaces(NAMESPACE_NAME_LABEL, name));
    let selected = rules.ingress_selectors.iter().map(by_labels);
    let ingress = NetworkPolicyIngressRule {
        from: Some(std::iter::once(own()).chain(declared).chain(selected).collect()),
        ports: None,
    };
    let dns = NetworkPolicyEgressRule {
        to: Some(vec![namespaces(NAMESPACE_NAME_LABEL, DNS_NAMESPACE)]),
        ports: Some(["UDP", "TCP"].map(port).into()),
    };
    let mut egress = vec![NetworkPolicyEgressRule { to: Some(vec![own()]), ports: None }, dns];
    if !rules.egress.is_empty() {
        egress.push(NetworkPolicyEgressRule {
            to: Some(rules.egress.iter().map(|range| addresses(range)).collect()),
            ports: None,
        });
    }
    NetworkPolicySpec {
        egress: Some(egress),
        ingress: Some(vec![ingress]),
        pod_selector: Some(meta::LabelSelector::default()),
        policy_types: Some(["Ingress", "Egress"].map(str::to_owned).into()),
    }
}

fn namespaces(label: &str, value: &str) -> NetworkPolicyPeer {
    let labels = BTreeMap::from([(label.to_owned(), value.to_owned())]);
    let selector = meta::LabelSelector { match_labels: Some(labels), match_expressions: None };
    NetworkPolicyPeer { namespace_selector: Some(selector), ..NetworkPolicyPeer::default() }
}

fn by_labels(selector: &LabelSelector) -> NetworkPolicyPeer {
    let expressions = selector.match_expressions.iter().map(|requirement| LabelSelectorRequirement {
        key: requirement.key.clone(),
        operator: format!("{:?}", requirement.operator),
        values: (!requirement.values.is_empty()).then(|| requirement.values.iter().cloned().collect()),
    });
    let expressions: Vec<_> = expressions.collect();
    let labels = &selector.match_labels;
    NetworkPolicyPeer {
        namespace_selector: Some(meta::LabelSelector {
            match_labels: (!labels.is_empty()).then(|| labels.clone()),
            match_expressions: (!expressions.is_empty()).then_some(expressions),
        }),
        ..NetworkPolicyPeer::default()
    }
}

fn addresses(range: &str) -> NetworkPolicyPeer {
    let block = IPBlock { cidr: range.to_owned(), except: None };
    NetworkPolicyPeer { ip_block: Some(block), ..NetworkPolicyPeer::default() }
}

fn port(protocol: &str) -> NetworkPolicyPort {
    NetworkPolicyPort {
        port: Some(IntOrString::Int(DNS_PORT)),
        protocol: Some(protocol.to_owned()),
        end_port: None,
    }
}

#[cfg(test)]
mod tests {
    use model::{Requirement, SelectorOperator};
    use serde_json::json;

    use super::*;

    #[test]
    fn declared_namespaces_are_let_in_by_name_and_by_labels() {
        let requirement = Requirement {
            key: "role".to_owned(),
            operator: SelectorOperator::In,
            values: ["gateway".to_owned(), "mesh".to_owned()].into(),
        };
        let selector = LabelSelector { match_expressions: vec![requirement], ..LabelSelector::default() };
        let rules = Network {
            ingress_from: vec!["edge".to_owned()],
            ingress_selectors: vec![selector],
            ..Network::default()
        };
        let policy = serde_json::to_value(policy("alpha", &rules)).unwrap();
        let expected = json!([
            {"namespaceSelector": {"matchLabels": {"bailey.dev/tenant": "alpha"}}},
            {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "edge"}}},
            {"namespaceSelector": {"matchExpressions": [{"key": "role", "operator": "In", "values": ["gateway", "mesh"]}]}},
        ]);
        assert_eq!(policy.pointer("/ingress/0/from"), Some(&expected));
    }
}
