//! Templates that were there before the profile forbade them: controllers make nothing from them that is
//! forbidden now.

use k8s_openapi::api::core::v1::{Event, PersistentVolumeClaim, Pod};
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::json;
use tests::{ADMIN, ALICE, Objects, Tenant, World, documents, give_namespace, refusal, until};

use crate::siege;

const PROFILES: &str = "
apiVersion: bailey.dev/v1alpha1
kind: IsolationProfile
metadata: {name: grown-wide}
spec: {podSecurity: {enforce: privileged}, allow: {scheduling: {nodeName: true}}}
---
apiVersion: bailey.dev/v1alpha1
kind: IsolationProfile
metadata: {name: grown-narrow}
spec: {podSecurity: {enforce: privileged}, allow: {images: {allowed: [registry.example.com/*]}}}
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: grown-others}
spec: {capacity: {storage: 1Gi}, accessModes: [ReadWriteOnce], storageClassName: fast, csi: {driver: d, volumeHandle: h}}
";

const WORKLOADS: &str = "
{apiVersion: apps/v1, kind: Deployment, metadata: {name: images, namespace: grown-one}, spec: {replicas: 0, selector: {matchLabels: {a: images}}, template: {metadata: {labels: {a: images}}, spec: {containers: [{name: c, image: evil.example.com/c}]}}}}
---
{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: node-name, namespace: grown-one}, spec: {replicas: 0, selector: {matchLabels: {a: node}}, template: {metadata: {labels: {a: node}}, spec: {nodeName: somebody-elses, containers: [{name: c, image: registry.example.com/c}]}}}}
---
{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: good, namespace: grown-one}, spec: {replicas: 0, serviceName: s, selector: {matchLabels: {a: good}}, template: {metadata: {labels: {a: good}}, spec: {containers: [{name: c, image: registry.example.com/c}]}}}}
---
{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: foreign-volume, namespace: grown-one}, spec: {replicas: 0, serviceName: s, selector: {matchLabels: {a: claims}}, template: {metadata: {labels: {a: claims}}, spec: {containers: [{name: c, image: registry.example.com/c}]}}, volumeClaimTemplates: [{metadata: {name: data}, spec: {accessModes: [ReadWriteOnce], storageClassName: fast, volumeName: grown-others, resources: {requests: {storage: 1Gi}}}}]}}
---
{apiVersion: batch/v1, kind: Job, metadata: {name: job, namespace: grown-one}, spec: {suspend: true, template: {spec: {restartPolicy: Never, containers: [{name: c, image: evil.example.com/c}]}}}}
";

#[tokio::test]
async fn what_was_there_before_the_profile_makes_nothing_that_is_forbidden_now() {
    siege().await;
    let world = World::shared();
    Objects::new(world.client(ADMIN).await).apply_all(PROFILES).await;
    let spec = |profile: &str| {
        format!("{{members: [{{kind: User, name: alice, role: owner}}], isolationProfile: {profile}}}")
    };
    let tenant = Tenant::create("grown", &spec("grown-wide")).await;
    give_namespace(world, "grown", "grown-one").await;
    let alice = Objects::new(world.client(ALICE).await);
    until("alice has her rights", async || alice.apply(&documents(WORKLOADS)[0]).await.is_ok()).await;
    alice.apply_all(WORKLOADS).await;
    tenant.set(&spec("grown-narrow")).await;

    grow(&alice).await;
    for (kind, of, wall) in [
        ("ReplicaSet", "images-", "images"),
        ("ReplicaSet", "node-name", "node-name"),
        ("StatefulSet", "foreign-volume", "foreign-volume"),
        ("Job", "job", "images"),
    ] {
        until(&format!("the controller of {kind} {of} is told"), async || told(kind, of, wall).await).await;
    }
    let (pods, claims) = (here::<Pod>().await, here::<PersistentVolumeClaim>().await);
    until("the good one has its Pod", async || pods.get_opt("good-0").await.unwrap().is_some()).await;
    let names = pods.list(&ListParams::default()).await.unwrap().items;
    let names: Vec<String> = names.into_iter().filter_map(|pod| pod.metadata.name).collect();
    assert_eq!(names, ["good-0"]);
    assert!(claims.list(&ListParams::default()).await.unwrap().items.is_empty());

    // The templates themselves are held against the profile when they are written again.
    let deployment = alice.api(&documents(WORKLOADS)[0]);
    let image = async |image: &str| {
        let containers = json!({"containers": [{"name": "c", "image": image}]});
        let patch = Patch::Merge(json!({"spec": {"template": {"spec": containers}}}));
        deployment.patch("images", &PatchParams::default(), &patch).await
    };
    assert!(refusal(image("evil.example.com/d").await).message.contains("wall `images`"));
    image("registry.example.com/d").await.unwrap();
}

/// Scales every workload up, which is allowed: the templates are not written. Each controller then runs into the
/// wall.
async fn grow(alice: &Objects) {
    for object in documents(WORKLOADS) {
        let (name, api) = (object["metadata"]["name"].as_str().unwrap(), alice.api(&object));
        let scale = json!({"spec": {"replicas": 1}});
        let patch = PatchParams::default();
        if object["kind"] == "Job" {
            let resume = json!({"spec": {"suspend": false}});
            api.patch(name, &patch, &Patch::Merge(&resume)).await.unwrap();
        } else {
            api.patch_scale(name, &patch, &Patch::Merge(&scale)).await.unwrap();
        }
    }
}

async fn here<K>() -> Api<K>
where
    K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
    K::DynamicType: Default,
{
    Api::namespaced(World::shared().client(ALICE).await, "grown-one")
}

/// Whether an event says that the controller of an object ran into a wall.
async fn told(kind: &str, name: &str, wall: &str) -> bool {
    let events = here::<Event>().await.list(&ListParams::default()).await.unwrap();
    events.items.iter().any(|event| {
        let object = &event.involved_object;
        object.kind.as_deref() == Some(kind)
            && object.name.as_deref().is_some_and(|found| found.starts_with(name))
            && event.message.as_deref().is_some_and(|text| text.contains(&format!("wall `{wall}`")))
    })
}
