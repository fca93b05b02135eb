//! Very many tenants, for benches.
#![allow(unreachable_pub, reason = "shared by benches")]

use futures::StreamExt;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{DynamicObject, PostParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client};
use serde_json::{Value, json};

/// The namespaces of each tenant.
pub const NAMESPACES_EACH: usize = 5;
const WRITERS: usize = 16;

/// Tenants.
pub fn tenant_api(client: &Client) -> Api<DynamicObject> {
    let resource =
        kube::api::ApiResource::from_gvk(&GroupVersionKind::gvk("bailey.dev", "v1alpha1", "Tenant"));
    Api::all_with(client.clone(), &resource)
}

/// Makes tenants `tNUMBER`, each with an owner and a group of editors, and their namespaces `tNUMBER-NUMBER`.
pub async fn populate(client: &Client, tenants: usize) {
    let (tenant_api, namespaces) = (tenant_api(client), Api::<Namespace>::all(client.clone()));
    let each = futures::stream::iter(0..tenants).map(|number| {
        let (tenant_api, namespaces) = (tenant_api.clone(), namespaces.clone());
        async move {
            let tenant = json!({
                "apiVersion": "bailey.dev/v1alpha1", "kind": "Tenant", "metadata": {"name": format!("t{number}")},
                "spec": {"members": [
                    {"kind": "User", "name": format!("owner-{number}"), "role": "owner"},
                    {"kind": "Group", "name": format!("group-{number}"), "role": "editor"},
                ]},
            });
            create(&tenant_api, tenant).await;
            for space in 0..NAMESPACES_EACH {
                create(&namespaces, json!({
                    "apiVersion": "v1", "kind": "Namespace",
                    "metadata": {"name": format!("t{number}-{space}"), "labels": {"bailey.dev/tenant": format!("t{number}")}},
                }))
                .await;
            }
        }
    });
    each.buffer_unordered(WRITERS).collect::<Vec<()>>().await;
}

async fn create<K>(api: &Api<K>, object: Value)
where
    K: serde::de::DeserializeOwned + serde::Serialize + Clone + std::fmt::Debug,
{
    let object: K = serde_json::from_value(object).expect("a good object");
    api.create(&PostParams::default(), &object).await.expect("the object is created");
}

/// The most resident memory of a process, as the kernel kept it.
pub fn peak_mib(pid: u32) -> u64 {
    memory(pid, "VmHWM:")
}

/// The resident memory of a process.
#[allow(dead_code, reason = "shared by benches, each uses a part")]
pub fn resident_mib(pid: u32) -> u64 {
    memory(pid, "VmRSS:")
}

fn memory(pid: u32, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("its memory");
    line.split_whitespace().next().and_then(|text| text.parse::<u64>().ok()).expect("a number") / 1_024
}
