//! NetworkPolicies that would open what isolates the tenant.

use crate::{Attack, run};

macro_rules! policy {
    ($name:literal, $rules:literal) => {
        concat!(
            "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: ",
            $name,
            ", namespace: NS}, spec: {podSelector: {}, policyTypes: [Ingress, Egress], ",
            $rules,
            "}}"
        )
    };
}

const fn attack(says: &'static str, attack: &'static str, twin: &'static str) -> Attack {
    Attack { wall: "network-policy", says, attack, twin }
}

#[tokio::test]
async fn selectors_of_namespaces() {
    run(&[
        attack(
            "namespaces that may be another tenant's",
            policy!("n1", "ingress: [{from: [{namespaceSelector: {}}]}]"),
            policy!("n1", "ingress: [{from: [{namespaceSelector: {matchLabels: {bailey.dev/tenant: siege}}}]}]"),
        ),
        attack(
            "namespaces that may be another tenant's",
            policy!("n2", "ingress: [{from: [{namespaceSelector: {matchExpressions: [{key: bailey.dev/tenant, operator: Exists}]}}]}]"),
            "",
        ),
        attack(
            "namespaces that may be another tenant's",
            policy!("n3", "egress: [{to: [{namespaceSelector: {matchExpressions: [{key: bailey.dev/tenant, operator: In, values: [siege, victim]}]}}]}]"),
            "",
        ),
        attack(
            "namespaces that may be another tenant's",
            policy!("n4", "egress: [{to: [{namespaceSelector: {matchExpressions: [{key: kubernetes.io/metadata.name, operator: NotIn, values: [NS]}]}}]}]"),
            policy!("n4", "egress: [{to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: NS}}}]}]"),
        ),
        attack(
            "namespaces that may be another tenant's",
            policy!("n5", "ingress: [{from: [{podSelector: {matchLabels: {a: b}}, namespaceSelector: {}}]}]"),
            policy!("n5", "ingress: [{from: [{podSelector: {matchLabels: {a: b}}}]}]"),
        ),
        attack(
            // The second rule, and the second peer.
            "namespaces that may be another tenant's",
            policy!("n6", "ingress: [{from: [{podSelector: {}}]}, {from: [{podSelector: {}}, {namespaceSelector: {matchLabels: {bailey.dev/tenant: victim}}}]}]"),
            policy!("n6", "ingress: [{from: [{podSelector: {}}]}, {from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: ingress}}}]}]"),
        ),
        attack(
            // Declared for the way in only.
            "namespaces that may be another tenant's",
            policy!("n7", "egress: [{to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: ingress}}}]}]"),
            "",
        ),
    ])
    .await;
}

#[tokio::test]
async fn addresses_and_ports() {
    run(&[
        attack("the addresses `0.0.0.0/0`", policy!("i1", "egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0}}]}]"), ""),
        attack("the addresses `::/0`", policy!("i2", "egress: [{to: [{ipBlock: {cidr: '::/0'}}]}]"), ""),
        attack(
            "the addresses `0.0.0.0/1`",
            policy!("i3", "egress: [{to: [{ipBlock: {cidr: 203.0.113.0/24}}, {ipBlock: {cidr: 0.0.0.0/1}}, {ipBlock: {cidr: 128.0.0.0/1}}]}]"),
            policy!("i3", "egress: [{to: [{ipBlock: {cidr: 203.0.113.0/24}}]}]"),
        ),
        attack(
            // Wider than what is declared; narrower passes.
            "the addresses `203.0.112.0/23`",
            policy!("i4", "egress: [{to: [{ipBlock: {cidr: 203.0.112.0/23}}]}]"),
            policy!("i4", "egress: [{to: [{ipBlock: {cidr: 203.0.113.16/28}}]}]"),
        ),
        attack(
            "the addresses `0.0.0.0/0`",
            policy!("i5", "egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0, except: [203.0.113.0/24]}}]}]"),
            policy!("i5", "egress: [{to: [{ipBlock: {cidr: 203.0.113.0/24, except: [203.0.113.7/32]}}]}]"),
        ),
        attack(
            // Declared for the way out only.
            "the addresses `203.0.113.0/24`",
            policy!("i6", "ingress: [{from: [{ipBlock: {cidr: 203.0.113.0/24}}]}]"),
            "",
        ),
        attack(
            "a rule without `to` opens",
            policy!("i7", "egress: [{ports: [{port: 53, endPort: 65535, protocol: UDP}]}]"),
            policy!("i7", "egress: [{to: [{podSelector: {}}], ports: [{port: 53, endPort: 65535, protocol: UDP}]}]"),
        ),
        attack(
            "a rule without `from` opens",
            policy!("i8", "ingress: [{from: [], ports: [{port: 80}]}]"),
            policy!("i8", "ingress: [{from: [{podSelector: {}}], ports: [{port: 80}]}]"),
        ),
    ])
    .await;
}
