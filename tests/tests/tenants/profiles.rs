//! What a profile asks of images, and a role that an administrator made.

use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use kube::Api;
use kube::api::{ListParams, PostParams};
use serde_json::json;
use tests::{ADMIN, ALICE, BOB, Objects, World, give_namespace, is_forbidden, may, may_with, refusal, until};

use crate::Tenant;

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[tokio::test]
async fn an_image_without_a_digest_is_refused_where_the_profile_wants_one() {
    let world = World::shared();
    let admin = Objects::new(world.client(ADMIN).await);
    admin
        .apply_all(
            "apiVersion: bailey.dev/v1alpha1
kind: IsolationProfile
metadata: {name: pinned}
spec: {allow: {images: {digests: true}}}
",
        )
        .await;
    let spec = "{members: [{kind: User, name: alice, role: owner}], isolationProfile: pinned}";
    Tenant::create("pinned", spec).await;
    give_namespace(world, "pinned", "pinned-one").await;
    let pods: Api<Pod> = Api::namespaced(world.client(ALICE).await, "pinned-one");
    let create = async |name: &str, image: &str| {
        let pod =
            json!({"metadata": {"name": name}, "spec": {"containers": [{"name": "web", "image": image}]}});
        pods.create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await
    };
    let pinned = format!("registry.example.com/web@{DIGEST}");
    until("alice has her rights", async || pods.list(&ListParams::default()).await.is_ok()).await;
    create("by-digest", &pinned).await.unwrap();
    create("by-both", &format!("registry.example.com/web:1@{DIGEST}")).await.unwrap();

    let refused = refusal(create("by-tag", "registry.example.com/web:1").await);
    assert_eq!(refused.reason, "tenant_denied");
    let says = "wall `images`: container `web`: the image `registry.example.com/web:1` has no digest, name it as \
                `registry.example.com/web:1@sha256:…` (IsolationProfile `pinned`)";
    assert!(refused.message.contains(says), "{}", refused.message);

    // Nor does one come in behind another one's back.
    let hidden = json!({"metadata": {"name": "hidden"}, "spec": {
        "containers": [{"name": "web", "image": pinned}],
        "initContainers": [{"name": "before", "image": "registry.example.com/web"}],
    }});
    let created = pods.create(&PostParams::default(), &serde_json::from_value(hidden).unwrap()).await;
    let refused = refusal(created);
    assert!(refused.message.contains("container `before`: the image"), "{}", refused.message);
}

const KEEPER: &str = "apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: config-keeper}
rules: [{apiGroups: [''], resources: [configmaps], verbs: [get, list, create]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: bailey-binds-config-keeper, labels: {bailey.dev/aggregate-to-custom-roles: 'true'}}
rules: [{apiGroups: [rbac.authorization.k8s.io], resources: [clusterroles], resourceNames: [config-keeper], verbs: [bind]}]
";

#[tokio::test]
async fn a_member_with_a_role_of_the_administrators_has_its_rights_and_nothing_more() {
    let world = World::shared();
    Objects::new(world.client(ADMIN).await).apply_all(KEEPER).await;
    let owner = "{kind: User, name: alice, role: owner}";
    let keeper = "{kind: User, name: bob, role: custom, clusterRole: config-keeper}";
    let tenant = Tenant::create("kept", &format!("{{members: [{owner}, {keeper}]}}")).await;
    Tenant::create("unkept", &format!("{{members: [{owner}]}}")).await;
    give_namespace(world, "kept", "kept-one").await;
    give_namespace(world, "unkept", "unkept-one").await;

    let bob = world.client(BOB).await;
    let maps: Api<ConfigMap> = Api::namespaced(bob.clone(), "kept-one");
    until("bob has his role", async || maps.list(&ListParams::default()).await.is_ok()).await;
    let map = serde_json::from_value(json!({"metadata": {"name": "his"}})).unwrap();
    maps.create(&PostParams::default(), &map).await.unwrap();

    // What the role does not say.
    assert!(is_forbidden(maps.delete("his", &Default::default()).await));
    let secrets: Api<Secret> = Api::namespaced(bob.clone(), "kept-one");
    assert!(is_forbidden(secrets.list(&ListParams::default()).await));
    let pods: Api<Pod> = Api::namespaced(bob.clone(), "kept-one");
    assert!(is_forbidden(pods.list(&ListParams::default()).await));
    for (verb, group, resource) in [
        ("update", "", "configmaps"),
        ("create", "", "pods"),
        ("create", "rbac.authorization.k8s.io", "rolebindings"),
        ("delete", "", "namespaces"),
    ] {
        assert!(!may(&bob, verb, (group, resource), "kept-one").await, "{verb} {resource}");
    }
    // Where it does not say so.
    let elsewhere: Api<ConfigMap> = Api::namespaced(bob.clone(), "unkept-one");
    assert!(is_forbidden(elsewhere.list(&ListParams::default()).await));
    let everywhere: Api<ConfigMap> = Api::all(bob.clone());
    assert!(is_forbidden(everywhere.list(&ListParams::default()).await));
    assert!(!may_with(&bob, "patch", ("bailey.dev", "tenants"), "", "kept").await);

    tenant.set(&format!("{{members: [{owner}]}}")).await;
    until("bob has lost it", async || is_forbidden(maps.list(&ListParams::default()).await)).await;
}
