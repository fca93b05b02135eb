//! What owners of tenants may do, and what not, by the API server's own answers.

use kube::Api;
use kube::api::{DeleteParams, DynamicObject, ListParams};
use kube::discovery::{Scope, verbs};
use tests::{ADMIN, Objects, World, documents, kinds, may_with, refusal};

use crate::owners;

const RBAC: &str = "rbac.authorization.k8s.io";
const MANAGED: &str = "bailey.dev/managed-by=bailey";

#[tokio::test]
async fn pl1_cc_cpi_1_block_access_to_cluster_resources() {
    let kinds = kinds(World::shared()).await;
    let of_cluster: Vec<_> = kinds.iter().filter(|(_, can)| can.scope == Scope::Cluster).collect();
    assert!(of_cluster.len() > 20, "only {} kinds of the cluster", of_cluster.len());
    for owner in owners().await {
        for (kind, _) in &of_cluster {
            for verb in ["get", "update"] {
                let name = (kind.group.as_str(), kind.plural.as_str());
                assert!(!owner.may(verb, name, "").await, "{} may {verb} {kind:?}", owner.user.name);
            }
        }
    }
}

#[tokio::test]
async fn pl1_bc_cpi_2_block_multitenant_resources() {
    let managed = ListParams::default().labels(MANAGED);
    let dry = DeleteParams::default().dry_run();
    let admin = World::shared().client(ADMIN).await;
    for owner in owners().await {
        let mut tried = 0;
        for (kind, can) in kinds(World::shared()).await {
            if can.scope == Scope::Cluster || !can.supports_operation(verbs::LIST) {
                continue;
            }
            let all: Api<DynamicObject> = Api::namespaced_with(admin.clone(), owner.own, &kind);
            let hers: Api<DynamicObject> = Api::namespaced_with(owner.client.clone(), owner.own, &kind);
            for object in all.list(&managed).await.unwrap() {
                let name = object.metadata.name.unwrap();
                let deleted = hers.delete(&name, &dry).await;
                assert!(deleted.is_err(), "{} deletes {} {name}", owner.user.name, kind.kind);
                tried += 1;
            }
        }
        // The NetworkPolicy, the LimitRange, the quota, the ServiceAccount and the bindings of the roles.
        assert!(tried >= 5, "only {tried} objects have the label");
    }
}

#[tokio::test]
async fn pl1_cc_ti_2_block_access_to_other_tenants() {
    let kinds = kinds(World::shared()).await;
    let namespaced: Vec<_> = kinds.iter().filter(|(_, can)| can.scope == Scope::Namespaced).collect();
    assert!(namespaced.len() > 25, "only {} kinds", namespaced.len());
    for owner in owners().await {
        assert!(owner.may("get", ("", "configmaps"), owner.own).await, "in her own she may");
        for (kind, _) in &namespaced {
            for verb in ["get", "update"] {
                let name = (kind.group.as_str(), kind.plural.as_str());
                assert!(!owner.may(verb, name, owner.other).await, "{} may {verb} {kind:?}", owner.user.name);
            }
        }
    }
}

#[tokio::test]
async fn pl2_cc_ti_1_block_role_escalation() {
    for owner in owners().await {
        for (verb, plural, name) in [
            ("escalate", "roles", ""),
            ("escalate", "role", ""),
            ("escalate", "clusterroles", ""),
            ("bind", "roles", ""),
            ("bind", "clusterroles", "cluster-admin"),
            ("bind", "clusterrole", "cluster-admin"),
        ] {
            let answer = may_with(&owner.client, verb, (RBAC, plural), owner.own, name).await;
            assert!(!answer, "{} may {verb} {plural} {name}", owner.user.name);
        }
        assert!(owner.may("create", (RBAC, "roles"), owner.own).await, "roles of her own she may write");
    }
}

#[tokio::test]
async fn pl1_bc_hi_1_block_node_port_services() {
    for owner in owners().await {
        let service = |kind: &str| {
            owner.here(&format!(
                "{{apiVersion: v1, kind: Service, metadata: {{name: s-{}, namespace: NS}}, spec: {{type: {kind}, ports: [{{port: 80}}]}}}}",
                kind.to_lowercase()
            ))
        };
        let refused = refusal(owner.objects.apply(&service("NodePort")[0]).await);
        assert!(refused.message.contains("wall `service-type`"), "{}", refused.message);
        owner.objects.apply(&service("ClusterIP")[0]).await.unwrap();
    }
}

#[tokio::test]
async fn pl2_bc_ops_4_create_network_policies() {
    for owner in owners().await {
        for verb in ["get", "create", "update", "patch", "delete", "deletecollection"] {
            let kind = ("networking.k8s.io", "networkpolicies");
            assert!(owner.may(verb, kind, owner.own).await, "{verb}");
        }
        let policy = owner.here(
            "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: own, namespace: NS}, spec: {podSelector: {}, ingress: [{from: [{podSelector: {}}]}]}}",
        );
        owner.objects.apply(&policy[0]).await.unwrap();
        owner.objects.delete(&policy[0]).await.unwrap();
    }
}

#[tokio::test]
async fn pl2_bc_ops_3_create_role_bindings() {
    let all = ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"];
    for owner in owners().await {
        for plural in ["roles", "rolebindings"] {
            for verb in all {
                assert!(owner.may(verb, (RBAC, plural), owner.own).await, "{verb} {plural}");
            }
        }
        self_service(&owner.objects, &owner.here(&ROLE_AND_BINDING.replace("readers", "bound"))).await;
    }
}

const ROLE_AND_BINDING: &str = "\
{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: readers, namespace: NS}, rules: [{apiGroups: [''], resources: [pods], verbs: [get]}]}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: readers, namespace: NS}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: readers}, subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: dave}]}";

/// Makes the objects, reads them and takes them away.
async fn self_service(owner: &Objects, objects: &[serde_json::Value]) {
    for object in objects {
        owner.apply(object).await.unwrap();
        owner.get(object).await.unwrap();
    }
    for object in objects {
        owner.delete(object).await.unwrap();
    }
}

#[tokio::test]
async fn planned_1202_self_service_roles_within_her_own_rights() {
    for owner in owners().await {
        let wide = owner.here(
            "{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: wide, namespace: NS}, rules: [{apiGroups: ['*'], resources: ['*'], verbs: ['*']}]}",
        );
        let error = owner.objects.apply(&wide[0]).await.unwrap_err().to_string();
        assert!(error.contains("not currently held"), "{error}");
        self_service(&owner.objects, &documents(&ROLE_AND_BINDING.replace("NS", owner.own))[..1]).await;
    }
}

#[tokio::test]
async fn planned_1203_self_service_bindings_within_her_own_rights() {
    for owner in owners().await {
        let binding = |role: &str| {
            owner.here(&format!(
                "{{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {{name: b-{role}, namespace: NS}}, roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {role}}}, subjects: [{{apiGroup: rbac.authorization.k8s.io, kind: User, name: dave}}]}}"
            ))
        };
        let error = owner.objects.apply(&binding("cluster-admin")[0]).await.unwrap_err().to_string();
        assert!(error.contains("not currently held"), "{error}");
        self_service(&owner.objects, &binding("view")).await;
    }
}
