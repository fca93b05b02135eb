//! The NetworkPolicy of an isolated tenant.

use std::collections::BTreeMap;

use k8s_openapi::api::networking::v1::{
    IPBlock, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort,
    NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use model::{NAMESPACE_NAME_LABEL, Network, TENANT_LABEL};

/// Where DNS is served.
const DNS_NAMESPACE: &str = "kube-system";
const DNS_PORT: i32 = 53;

/// Pods of the namespace talk with those of the tenant, ask DNS, and reach what is declared: nothing else.
pub(super) fn policy(tenant: &str, rules: &Network) -> NetworkPolicySpec {
    let own = || namespaces(TENANT_LABEL, tenant);
    let declared = rules.ingress_from.iter().map(|name| namespaces(NAMESPACE_NAME_LABEL, name));
    let ingress = NetworkPolicyIngressRule {
        from: Some(std::iter::once(own()).chain(declared).collect()),
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
        pod_selector: Some(LabelSelector::default()),
        policy_types: Some(["Ingress", "Egress"].map(str::to_owned).into()),
    }
}

fn namespaces(label: &str, value: &str) -> NetworkPolicyPeer {
    let labels = BTreeMap::from([(label.to_owned(), value.to_owned())]);
    let selector = LabelSelector { match_labels: Some(labels), match_expressions: None };
    NetworkPolicyPeer { namespace_selector: Some(selector), ..NetworkPolicyPeer::default() }
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
