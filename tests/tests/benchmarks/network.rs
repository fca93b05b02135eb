//! Tenants do not reach each other: what the NetworkPolicies say. A network plugin enforces it, not this test.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicyPeer};
use kube::Api;
use kube::api::ListParams;
use tests::{ADMIN, World, refusal};

use crate::owners;

/// Whether a peer means Pods in a namespace with these labels, as Kubernetes reads it, for the selectors that
/// Bailey writes.
fn means(peer: &NetworkPolicyPeer, labels: &BTreeMap<String, String>) -> bool {
    let selector = peer.namespace_selector.as_ref().expect("Bailey names namespaces");
    assert!(selector.match_expressions.is_none() && peer.ip_block.is_none());
    let wanted = selector.match_labels.as_ref().expect("with labels");
    wanted.iter().all(|(name, value)| labels.get(name) == Some(value))
}

#[tokio::test]
async fn planned_1201_block_network_access_across_tenants() {
    let admin = World::shared().client(ADMIN).await;
    let namespaces: Api<Namespace> = Api::all(admin.clone());
    for owner in owners().await {
        let policies: Api<NetworkPolicy> = Api::namespaced(admin.clone(), owner.own);
        let found =
            policies.list(&ListParams::default().labels("bailey.dev/managed-by=bailey")).await.unwrap();
        assert_eq!(found.items.len(), 1);
        let spec = found.items[0].spec.clone().unwrap();
        assert_eq!(spec.policy_types.unwrap(), ["Ingress", "Egress"]);
        let ingress = spec.ingress.unwrap().into_iter().map(|rule| rule.from.unwrap());
        let egress = spec.egress.unwrap().into_iter().map(|rule| rule.to.unwrap());
        let peers: Vec<NetworkPolicyPeer> = ingress.chain(egress).flatten().collect();
        for (name, reached) in [(owner.own, true), (owner.other, false)] {
            let labels = namespaces.get(name).await.unwrap().metadata.labels.unwrap();
            assert_eq!(peers.iter().any(|peer| means(peer, &labels)), reached, "{name}");
        }
        // Nor can the owner open it: policies add to each other.
        let open = owner.here(&format!(
            "{{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {{name: open, namespace: NS}}, spec: {{podSelector: {{}}, ingress: [{{from: [{{namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: {}}}}}}}]}}]}}}}",
            owner.other
        ));
        let refused = refusal(owner.objects.apply(&open[0]).await);
        assert!(refused.message.contains("wall `network-policy`"), "{}", refused.message);
    }
}
