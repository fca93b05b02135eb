use serde_json::json;
use tests::{ADMIN, BOB, Objects, Tenant, World, create_namespace as create, documents, until};

use crate::{Attack, run};

const VOLUMES: &str = r"
apiVersion: v1
kind: PersistentVolume
metadata: {name: siege-others}
spec: {capacity: {storage: 1Gi}, accessModes: [ReadWriteOnce], storageClassName: fast, csi: {driver: d, volumeHandle: h1}}
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: siege-own, labels: {bailey.dev/tenant: siege}}
spec: {capacity: {storage: 1Gi}, accessModes: [ReadWriteOnce], storageClassName: fast, csi: {driver: d, volumeHandle: h2}}
";

macro_rules! claim {
    ($name:literal, $spec:literal) => {
        concat!(
            "{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: ",
            $name,
            ", namespace: NS}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}, ",
            $spec,
            "}}"
        )
    };
}

#[tokio::test]
async fn classes_and_volumes_of_others() {
    crate::siege().await;
    let admin = Objects::new(World::shared().client(ADMIN).await);
    admin.apply_all(VOLUMES).await;
    // The wall refuses what it does not know: it has to have seen the tenant's own volume.
    let alice = crate::siege().await;
    let own = tests::documents(&crate::here(claim!("own", "storageClassName: fast, volumeName: siege-own")));
    until("the tenant's volume is known", async || alice.apply(&own[0]).await.is_ok()).await;
    run(&[
        Attack {
            wall: "storage-class",
            says: "the StorageClass `platinum` is not allowed, use `fast`, `standard`",
            attack: claim!("s1", "storageClassName: platinum"),
            twin: claim!("s1", "storageClassName: fast"),
        },
        Attack {
            wall: "foreign-volume",
            says: "the PersistentVolume `siege-others` is not the tenant's",
            attack: claim!("s2", "storageClassName: fast, volumeName: siege-others"),
            twin: claim!("s2", "volumeMode: Filesystem"),
        },
        Attack {
            wall: "storage-class",
            says: "the StorageClass `` is not allowed",
            attack: claim!("s3", "storageClassName: ''"),
            twin: "",
        },
        Attack {
            wall: "device-claim",
            says: "is the scheduler's",
            attack: "{apiVersion: resource.k8s.io/v1, kind: ResourceClaim, metadata: {name: d2, namespace: NS, annotations: {resource.kubernetes.io/extended-resource-claim: 'true'}}, spec: {devices: {requests: [{name: r, exactly: {deviceClassName: gpu-small}}]}}}",
            twin: "{apiVersion: resource.k8s.io/v1, kind: ResourceClaim, metadata: {name: d2, namespace: NS, annotations: {example.com/note: 'true'}}, spec: {devices: {requests: [{name: r, exactly: {deviceClassName: gpu-small}}]}}}",
        },
        Attack {
            wall: "device-claim",
            says: "is the scheduler's",
            attack: "{apiVersion: resource.k8s.io/v1, kind: ResourceClaimTemplate, metadata: {name: d3, namespace: NS}, spec: {metadata: {annotations: {resource.kubernetes.io/extended-resource-claim: 'true'}}, spec: {devices: {requests: [{name: r, exactly: {deviceClassName: gpu-small}}]}}}}",
            twin: "",
        },
        Attack {
            wall: "device-class",
            says: "the DeviceClass `gpu-large` is not allowed, use `gpu-small`",
            attack: "{apiVersion: resource.k8s.io/v1, kind: ResourceClaim, metadata: {name: d1, namespace: NS}, spec: {devices: {requests: [{name: r, exactly: {deviceClassName: gpu-large}}]}}}",
            twin: "{apiVersion: resource.k8s.io/v1, kind: ResourceClaim, metadata: {name: d1, namespace: NS}, spec: {devices: {requests: [{name: r, exactly: {deviceClassName: gpu-small}}]}}}",
        },
    ])
    .await;
    let pvc = tests::documents(&crate::here(claim!("s2", "volumeMode: Filesystem")));
    let stored = alice.get(&pvc[0]).await.unwrap();
    assert_eq!(stored.data["spec"]["storageClassName"], "standard", "it gets the profile's class");
}

#[tokio::test]
async fn no_claim_takes_just_any_volume() {
    // With the built-in profile, which allows every class.
    Tenant::create("savers", "{members: [{kind: User, name: bob, role: owner}]}").await;
    create(ADMIN, "savers-one", json!({"bailey.dev/tenant": "savers"})).await.unwrap();
    let bob = Objects::new(World::shared().client(BOB).await);
    let claim = |spec: &str| {
        let yaml = format!(
            "{{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {{name: c, namespace: savers-one}}, spec: {{accessModes: [ReadWriteOnce], resources: {{requests: {{storage: 1Gi}}}}, {spec}}}}}"
        );
        documents(&yaml).swap_remove(0)
    };
    until("bob is told", async || {
        let refused = bob.apply(&claim("storageClassName: ''")).await;
        refused.is_err_and(|error| error.to_string().contains("wall `any-volume`"))
    })
    .await;
    let foreign = claim(
        "storageClassName: any, dataSourceRef: {kind: PersistentVolumeClaim, namespace: kube-system, name: x}",
    );
    // The API server drops the field unless a feature is on: then there is nothing to refuse.
    if let Err(error) = bob.apply(&foreign).await {
        assert!(error.to_string().contains("kube-system"), "{error}");
    }
    bob.apply(&claim("storageClassName: any")).await.unwrap();
}
