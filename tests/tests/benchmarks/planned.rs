//! Checks about storage that the working group planned.

use tests::{ADMIN, Objects, World, documents, refusal};

use crate::owners;

/// A claim, and a Pod with a volume.
const CLAIM: &str = "{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: NAME, namespace: NS}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}, SPEC}}";
const POD: &str = "{apiVersion: v1, kind: Pod, metadata: {name: NAME, namespace: NS}, spec: {securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}, containers: [{name: c, image: registry.example.com/c, imagePullPolicy: Always, securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}}], volumes: [{name: v, SPEC}]}}";

fn filled(yaml: &str, name: &str, spec: &str) -> String {
    yaml.replace("NAME", name).replace("SPEC", spec)
}

#[tokio::test]
async fn planned_1198_require_pvc_only_storage() {
    for owner in owners().await {
        for (name, volume) in [
            ("nfs", "nfs: {server: files.example.com, path: /}"),
            ("iscsi", "iscsi: {targetPortal: 10.0.0.1, iqn: 'iqn.2001-04.com.example:d', lun: 0}"),
            ("csi", "csi: {driver: d.example.com}"),
            (
                "ephemeral",
                "ephemeral: {volumeClaimTemplate: {spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}}",
            ),
        ] {
            let refused = refusal(owner.objects.apply(&owner.here(&filled(POD, name, volume))[0]).await);
            assert!(refused.message.contains("wall `volumes`"), "{name}: {}", refused.message);
        }
        let claimed = filled(POD, "claimed", "persistentVolumeClaim: {claimName: data}");
        owner.objects.apply(&owner.here(&claimed)[0]).await.unwrap();
    }
}

#[tokio::test]
async fn planned_1199_require_reclaim_policy_delete() {
    let admin = Objects::new(World::shared().client(ADMIN).await);
    admin
        .apply_all("{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: keeps}, provisioner: storage.example.com, reclaimPolicy: Retain}")
        .await;
    for owner in owners().await {
        let keeps = owner.here(&filled(CLAIM, "keeps", "storageClassName: keeps"));
        let refused = refusal(owner.objects.apply(&keeps[0]).await);
        assert!(refused.message.contains("wall `storage-class`"), "{}", refused.message);
        let plain = owner.here(&filled(CLAIM, "plain", "volumeMode: Filesystem"));
        let class = owner.objects.apply(&plain[0]).await.unwrap().data["spec"]["storageClassName"].clone();
        let class = class.as_str().unwrap();
        let class = documents(&format!(
            "{{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {{name: {class}}}}}"
        ));
        assert_eq!(admin.get(&class[0]).await.unwrap().data["reclaimPolicy"], "Delete");
    }
}

#[tokio::test]
async fn planned_1200_block_use_of_existing_volumes() {
    let admin = Objects::new(World::shared().client(ADMIN).await);
    admin
        .apply_all("{apiVersion: v1, kind: PersistentVolume, metadata: {name: somebodys}, spec: {capacity: {storage: 1Gi}, accessModes: [ReadWriteOnce], storageClassName: tenants, claimRef: {namespace: kube-system, name: data}, csi: {driver: d, volumeHandle: h}}}")
        .await;
    for owner in owners().await {
        let spec = "storageClassName: tenants, volumeName: somebodys";
        let refused = refusal(owner.objects.apply(&owner.here(&filled(CLAIM, "takes", spec))[0]).await);
        assert!(refused.message.contains("wall `foreign-volume`"), "{}", refused.message);
        let any =
            refusal(owner.objects.apply(&owner.here(&filled(CLAIM, "any", "storageClassName: ''"))[0]).await);
        assert!(any.message.contains("wall `storage-class`"), "{}", any.message);
    }
}
