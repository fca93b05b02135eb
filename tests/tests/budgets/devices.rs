//! Devices that are an extended resource, of one budget whether Pods ask for them or claims.

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{DynamicObject, PostParams};
use serde_json::json;
use tests::{ADMIN, Objects, Tenant, World, give_namespace, until};

/// The name is of the whole cluster.
const CLASS: &str = "
apiVersion: resource.k8s.io/v1
kind: DeviceClass
metadata: {name: counted-gpu}
spec: {extendedResourceName: counted.example.com/gpu}
";

async fn claim(objects: &Objects, name: &str, count: u32) -> kube::Result<DynamicObject> {
    let one = json!({"deviceClassName": "counted-gpu", "allocationMode": "ExactCount", "count": count});
    objects
        .apply(&json!({
            "apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaim",
            "metadata": {"name": name, "namespace": "devices-one"},
            "spec": {"devices": {"requests": [{"name": "gpu", "exactly": one}]}},
        }))
        .await
}

async fn pod(pods: &Api<Pod>, name: &str, count: u32) -> kube::Result<Pod> {
    let resources = json!({"limits": {"counted.example.com/gpu": count.to_string()}});
    let pod = json!({
        "metadata": {"name": name},
        "spec": {"containers": [{"name": "a", "image": "registry.example.com/a:1", "resources": resources}]},
    });
    pods.create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await
}

#[tokio::test]
async fn claims_for_devices_and_pods_have_one_budget() {
    let world = World::shared();
    let admin = Objects::new(world.client(ADMIN).await);
    let quota = "{hard: {requests.counted.example.com/gpu: 4}}";
    Tenant::create("devices", &format!("{{namespaces: {{prefix: ''}}, quota: {quota}}}")).await;
    give_namespace(world, "devices", "devices-one").await;
    let pods: Api<Pod> = Api::namespaced(world.client(ADMIN).await, "devices-one");
    until("Pods can be created", async || pod(&pods, "first", 1).await.is_ok()).await;
    // As long as no class says what its devices are, a claim is none of the budget's.
    until("a claim is let in", async || claim(&admin, "early", 3).await.is_ok()).await;
    admin.apply_all(CLASS).await;
    // Three of the claim and one of the Pod.
    until("the class is known, and nothing more fits", async || match pod(&pods, "probe", 1).await {
        Err(kube::Error::Api(status)) => status.message.contains("the budget of the tenant `devices` is 4"),
        made => {
            let _ = made.map(drop);
            let _ = pods.delete("probe", &kube::api::DeleteParams::default().grace_period(0)).await;
            false
        }
    })
    .await;
    let refused = claim(&admin, "late", 1).await.unwrap_err().to_string();
    assert!(
        refused.contains("requests.counted.example.com/gpu") && refused.contains("nothing more"),
        "{refused}"
    );
    admin
        .delete(&json!({
            "apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaim",
            "metadata": {"name": "early", "namespace": "devices-one"},
        }))
        .await
        .unwrap();
    until("what the claim had is free", async || claim(&admin, "again", 2).await.is_ok()).await;
    let refused = pod(&pods, "second", 2).await.unwrap_err().to_string();
    assert!(refused.contains("up to 1 would pass now"), "{refused}");
}
