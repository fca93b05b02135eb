//! Quotas that tenants have, can read, and cannot change.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::ResourceQuota;
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::json;
use tests::{is_forbidden, until};

use crate::{Owner, owners};

/// The names that quotas of the owner's namespace have a limit for, which the API server enforces.
async fn limited(owner: &Owner) -> BTreeSet<String> {
    let quotas: Api<ResourceQuota> = Api::namespaced(owner.client.clone(), owner.own);
    let found = quotas.list(&ListParams::default()).await.unwrap();
    let hard = found.items.into_iter().filter_map(|quota| quota.status?.hard);
    hard.flat_map(std::collections::BTreeMap::into_keys).collect()
}

async fn all_are_limited(wanted: &[&str]) {
    for owner in owners().await {
        until("the quotas are in force", async || {
            let found = limited(&owner).await;
            wanted.iter().all(|name| found.contains(*name))
        })
        .await;
    }
}

#[tokio::test]
async fn pl1_cc_fns_1_configure_namespace_quotas() {
    let compute = ["cpu", "memory", "ephemeral-storage"];
    let both = compute.iter().flat_map(|name| [format!("requests.{name}"), format!("limits.{name}")]);
    let both: Vec<String> = both.collect();
    all_are_limited(&both.iter().map(String::as_str).collect::<Vec<_>>()).await;
}

#[tokio::test]
async fn pl1_cc_fns_2_configure_object_limits() {
    all_are_limited(&[
        "pods",
        "services",
        "replicationcontrollers",
        "resourcequotas",
        "secrets",
        "configmaps",
        "persistentvolumeclaims",
        "services.nodeports",
        "services.loadbalancers",
    ])
    .await;
}

#[tokio::test]
async fn pl1_cc_ti_1_block_change_of_quotas() {
    for owner in owners().await {
        for verb in ["create", "update", "patch", "delete", "deletecollection"] {
            assert!(!owner.may(verb, ("", "resourcequotas"), owner.own).await, "{verb}");
        }
        assert!(owner.may("list", ("", "resourcequotas"), owner.own).await);
        let quotas: Api<ResourceQuota> = Api::namespaced(owner.client.clone(), owner.own);
        let wide = json!({"spec": {"hard": {"pods": "100000"}}});
        assert!(is_forbidden(quotas.patch("tenant", &PatchParams::default(), &Patch::Merge(&wide)).await));
        assert!(is_forbidden(
            quotas.patch_status("tenant", &PatchParams::default(), &Patch::Merge(&wide)).await
        ));
        assert!(is_forbidden(quotas.delete("tenant", &DeleteParams::default()).await));
        let all = quotas.delete_collection(&DeleteParams::default(), &ListParams::default()).await;
        assert!(is_forbidden(all));
        let own = serde_json::from_value(json!({"metadata": {"name": "own"}})).unwrap();
        assert!(is_forbidden(quotas.create(&PostParams::default(), &own).await));
    }
}
