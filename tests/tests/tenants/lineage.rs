//! A faculty above a department above a lab.

use serde_json::json;
use tests::{ADMIN, ALICE, BOB, Objects, World, documents, refusal, until};

use crate::{Tenant, create, namespaces, until_may_create};

const PROFILES: &str = r#"
apiVersion: bailey.dev/v1alpha1
kind: IsolationProfile
metadata: {name: faculty-walls}
spec:
  podSecurity: {enforce: restricted}
  allow: {images: {allowed: ["registry.example.com/*"]}}
---
apiVersion: bailey.dev/v1alpha1
kind: IsolationProfile
metadata: {name: lab-walls}
spec:
  podSecurity: {enforce: privileged}
  network: {mode: Open}
  allow: {images: {allowed: ["*"]}, services: {types: [NodePort, ClusterIP]}}
"#;

#[tokio::test]
async fn walls_above_hold_below_and_owners_above_own_below() {
    let admin = Objects::new(World::shared().client(ADMIN).await);
    admin.apply_all(PROFILES).await;
    let above = "{members: [{kind: User, name: alice, role: owner}], isolationProfile: faculty-walls, namespaces: {limit: 2}}";
    let faculty = Tenant::create("faculty", above).await;
    let below = "{parent: faculty, members: [{kind: User, name: bob, role: owner}], isolationProfile: lab-walls, namespaces: {prefix: lab-}}";
    Tenant::create("lab-below", below).await;
    until_may_create(BOB, "faculty-lab-x").await;
    create(BOB, "faculty-lab-one", json!({"bailey.dev/tenant": "lab-below"})).await.unwrap();
    until("alice may read a namespace of the tenant below", async || {
        namespaces(ALICE).await.get("faculty-lab-one").await.is_ok()
    })
    .await;
    let labels = namespaces(ALICE).await.get("faculty-lab-one").await.unwrap().metadata.labels.unwrap();
    assert_eq!(labels["pod-security.kubernetes.io/enforce"], "restricted");

    let bob = Objects::new(World::shared().client(BOB).await);
    let in_lab = |yaml: &str| documents(&yaml.replace("NS", "faculty-lab-one")).swap_remove(0);
    let job = |name: &str, image: &str| {
        in_lab(&format!(
            "{{apiVersion: batch/v1, kind: Job, metadata: {{name: {name}, namespace: NS}}, spec: {{suspend: true, template: {{spec: {{restartPolicy: Never, containers: [{{name: c, image: {image}}}]}}}}}}}}"
        ))
    };
    until("bob works in his namespace", async || {
        bob.apply(&job("good", "registry.example.com/c")).await.is_ok()
    })
    .await;
    let refused = refusal(bob.apply(&job("bad", "evil.example.com/c")).await);
    assert!(refused.message.contains("IsolationProfile `faculty-walls`"), "{}", refused.message);
    // The rules above allow ClusterIP alone.
    let service = in_lab(
        "{apiVersion: v1, kind: Service, metadata: {name: s, namespace: NS}, spec: {type: NodePort, ports: [{port: 80}]}}",
    );
    assert!(refusal(bob.apply(&service).await).message.contains("wall `service-type`"));

    // Namespaces below count above.
    create(ALICE, "faculty-own", json!({"bailey.dev/tenant": "faculty"})).await.unwrap();
    let refused = refusal(create(BOB, "faculty-lab-two", json!({"bailey.dev/tenant": "lab-below"})).await);
    assert_eq!(refused.reason, "namespace_limit");
    assert!(refused.message.contains("the tenant `faculty` has 2 of at most 2"), "{}", refused.message);

    faculty.set(&above.replace("limit: 2}}", "limit: 2}, suspended: true}")).await;
    let refused = refusal(
        bob.apply(&in_lab("{apiVersion: v1, kind: ConfigMap, metadata: {name: new, namespace: NS}}")).await,
    );
    assert_eq!(refused.reason, "tenant_suspended");
}
