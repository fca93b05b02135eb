//! Attacks on the walls, with the tenants' own credentials.

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use serde_json::json;
use tests::{ADMIN, ALICE, BOB, CAROL, World, refusal, until};

use crate::{Tenant, create, namespaces, until_may_create};

#[tokio::test]
async fn nobody_enters_or_takes_a_namespace_of_another_tenant() {
    Tenant::create("castle", "{members: [{kind: User, name: alice, role: owner}]}").await;
    Tenant::create("rivals", "{members: [{kind: User, name: bob, role: owner}]}").await;
    until_may_create(BOB, "rivals-x").await;
    create(ADMIN, "castle-keep", json!({"bailey.dev/tenant": "castle"})).await.unwrap();

    // Bailey's wall: the label says whose a new namespace is.
    let refused = refusal(create(BOB, "castle-moat", json!({"bailey.dev/tenant": "castle"})).await);
    assert_eq!(refused.reason, "tenant_denied");
    assert!(refused.message.contains("no owner of the tenant `castle`"), "{}", refused.message);

    // RBAC's wall: what is in another tenant's namespace, and the namespace itself.
    let denied = |error: kube::Error| matches!(error, kube::Error::Api(status) if status.code == 403);
    let inside: Api<ConfigMap> = Api::namespaced(World::shared().client(BOB).await, "castle-keep");
    assert!(denied(inside.list(&ListParams::default()).await.unwrap_err()));
    let theirs = namespaces(BOB).await;
    assert!(denied(theirs.get("castle-keep").await.unwrap_err()));
    assert!(denied(theirs.delete("castle-keep", &Default::default()).await.unwrap_err()));
    let take = json!({"metadata": {"labels": {"bailey.dev/tenant": "rivals"}}});
    let patched = theirs.patch("castle-keep", &PatchParams::default(), &Patch::Merge(&take)).await;
    assert!(denied(patched.unwrap_err()));
    let apply = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "castle-keep", "labels": {"bailey.dev/tenant": "rivals"}}});
    let applied =
        theirs.patch("castle-keep", &PatchParams::apply("bob").force(), &Patch::Apply(&apply)).await;
    assert!(denied(applied.unwrap_err()));
    assert!(denied(theirs.list(&ListParams::default()).await.unwrap_err()), "nobody lists all namespaces");
}

#[tokio::test]
async fn whoever_may_update_namespaces_still_cannot_move_one() {
    Tenant::create("fixed", "{members: [{kind: User, name: bob, role: owner}]}").await;
    create(ADMIN, "fixed-one", json!({"bailey.dev/tenant": "fixed"})).await.unwrap();
    let admin = tests::Objects::new(World::shared().client(ADMIN).await);
    // An administrator's mistake: carol may change every namespace.
    admin.apply_all(&mistake()).await;
    let all = namespaces(CAROL).await;
    until("carol has the right", async || all.get("fixed-one").await.is_ok()).await;
    let merge = |label: serde_json::Value| json!({"metadata": {"labels": {"bailey.dev/tenant": label}}});
    for label in [json!("rivals"), json!(null)] {
        let patched = all.patch("fixed-one", &PatchParams::default(), &Patch::Merge(&merge(label))).await;
        let refused = refusal(patched);
        assert_eq!(refused.reason, "tenant_denied");
        assert!(refused.message.contains("only an administrator"), "{}", refused.message);
    }
    let status =
        all.patch_status("fixed-one", &PatchParams::default(), &Patch::Merge(&merge(json!("rivals")))).await;
    assert_eq!(refusal(status).reason, "tenant_denied");
    let owned = json!({"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "1"}]}});
    let patched = all.patch("fixed-one", &PatchParams::default(), &Patch::Merge(&owned)).await;
    assert!(refusal(patched).message.contains("ownerReferences"));
    // What is no wall is hers to change, with that right.
    let harmless = json!({"metadata": {"labels": {"color": "blue"}}});
    all.patch("fixed-one", &PatchParams::default(), &Patch::Merge(&harmless)).await.unwrap();
}

fn mistake() -> String {
    "apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: mistake}
rules: [{apiGroups: [''], resources: [namespaces, namespaces/status, namespaces/finalize], verbs: [get, update, patch]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: mistake}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: mistake}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: carol}]
"
    .to_owned()
}

#[tokio::test]
async fn a_suspended_tenant_keeps_what_it_has_and_gets_nothing_new() {
    let members = "members: [{kind: User, name: alice, role: owner}]";
    let tenant = Tenant::create("asleep", &format!("{{{members}}}")).await;
    create(ADMIN, "asleep-one", json!({"bailey.dev/tenant": "asleep"})).await.unwrap();
    let inside: Api<ConfigMap> = Api::namespaced(World::shared().client(ALICE).await, "asleep-one");
    let object = |name: &str| serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
    until("alice may write", async || {
        let created = inside.create(&PostParams::default(), &object("kept")).await;
        created.is_ok() || inside.get("kept").await.is_ok()
    })
    .await;
    tenant.set(&format!("{{{members}, suspended: true}}")).await;
    let refused = refusal(inside.create(&PostParams::default(), &object("new")).await);
    assert_eq!(refused.reason, "tenant_suspended");
    assert!(refused.message.contains("until it is resumed"), "{}", refused.message);
    inside.get("kept").await.unwrap();
    inside.delete("kept", &Default::default()).await.unwrap();
    tenant.set(&format!("{{{members}}}")).await;
    inside.create(&PostParams::default(), &object("new")).await.unwrap();
}

#[tokio::test]
async fn a_namespace_is_born_with_its_walls_and_a_pod_waits_for_them() {
    let world = World::shared();
    Tenant::create("walled", "{members: [{kind: User, name: alice, role: owner}]}").await;
    until_may_create(ALICE, "walled-one").await;
    let weak = json!({"pod-security.kubernetes.io/enforce": "privileged"});
    let labels = create(ALICE, "walled-one", weak).await.unwrap().metadata.labels.unwrap();
    assert_eq!(labels["pod-security.kubernetes.io/enforce"], "baseline");

    // At once: the Pod waits until the walls stand, which the label then says.
    let run = ["--namespace=walled-one", "run", "web", "--image=registry.example.com/web:1"];
    until("the default service account is there, and alice's rights", async || {
        let said = world.kubectl(ALICE, &run);
        let text = String::from_utf8_lossy(&said.stderr).into_owned();
        assert!(!text.contains("do not stand"), "{text}");
        said.status.success()
    })
    .await;
    let policies: Api<NetworkPolicy> = Api::namespaced(world.client(ADMIN).await, "walled-one");
    let policy = policies.get("bailey-isolation").await.unwrap();
    let found = namespaces(ADMIN).await.get("walled-one").await.unwrap().metadata.labels.unwrap();
    assert_eq!(found["bailey.dev/walls"], "standing");

    // Pod Security holds.
    let host = r#"{"spec": {"hostNetwork": true}}"#;
    let said =
        world.kubectl(ALICE, &["--namespace=walled-one", "run", "host", "--image=x", "--overrides", host]);
    assert!(String::from_utf8_lossy(&said.stderr).contains("violates PodSecurity"), "{said:?}");

    // Alice may not take the walls down, and may write policies of her own within them.
    let hers: Api<NetworkPolicy> = Api::namespaced(world.client(ALICE).await, "walled-one");
    let refused = refusal(hers.delete("bailey-isolation", &Default::default()).await);
    assert!(refused.message.contains("Bailey keeps this object"), "{}", refused.message);
    let emptied = json!({"spec": {"egress": [{}]}});
    let patched = hers.patch("bailey-isolation", &PatchParams::default(), &Patch::Merge(&emptied)).await;
    assert_eq!(refusal(patched).reason, "tenant_denied");
    let own = |spec: serde_json::Value| {
        let object = json!({"metadata": {"name": "own"}, "spec": spec});
        serde_json::from_value::<NetworkPolicy>(object).unwrap()
    };
    let open = own(json!({"podSelector": {}, "ingress": [{}]}));
    let refused = refusal(hers.create(&PostParams::default(), &open).await);
    assert!(refused.message.contains("opens the namespace to everybody"), "{}", refused.message);
    let within = own(json!({"podSelector": {}, "ingress": [{"from": [{"podSelector": {}}]}]}));
    hers.create(&PostParams::default(), &within).await.unwrap();

    // An administrator's mistake is put right.
    policies.delete("bailey-isolation", &Default::default()).await.unwrap();
    until("the policy is back", async || {
        let found = policies.get_opt("bailey-isolation").await.unwrap();
        found.is_some_and(|found| found.spec == policy.spec && found.metadata.uid != policy.metadata.uid)
    })
    .await;
    let weaken = json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "privileged"}}});
    namespaces(ADMIN)
        .await
        .patch("walled-one", &PatchParams::default(), &Patch::Merge(&weaken))
        .await
        .unwrap();
    until("the label is back", async || {
        let labels = namespaces(ADMIN).await.get("walled-one").await.unwrap().metadata.labels.unwrap();
        labels["pod-security.kubernetes.io/enforce"] == "baseline"
    })
    .await;
}

#[tokio::test]
async fn a_profile_says_what_the_walls_are() {
    let world = World::shared();
    let admin = tests::Objects::new(world.client(ADMIN).await);
    let profile = "apiVersion: bailey.dev/v1alpha1
kind: IsolationProfile
metadata: {name: open-lab}
spec:
  podSecurity: {enforce: restricted, version: v1.36}
  network: {mode: Open}
";
    admin.apply_all(profile).await;
    let spec = "{members: [{kind: User, name: bob, role: owner}], isolationProfile: open-lab}";
    let tenant = Tenant::create("profiled", spec).await;
    create(ADMIN, "profiled-one", json!({"bailey.dev/tenant": "profiled"})).await.unwrap();
    let labels = async || namespaces(ADMIN).await.get("profiled-one").await.unwrap().metadata.labels.unwrap();
    until("the walls stand", async || labels().await.contains_key("bailey.dev/walls")).await;
    let found = labels().await;
    assert_eq!(found["pod-security.kubernetes.io/enforce"], "restricted");
    assert_eq!(found["pod-security.kubernetes.io/enforce-version"], "v1.36");
    let policies: Api<NetworkPolicy> = Api::namespaced(world.client(ADMIN).await, "profiled-one");
    assert!(policies.get_opt("bailey-isolation").await.unwrap().is_none());

    // A profile that is missing means the strictest walls, and the tenant says so.
    tenant.apply("{members: [{kind: User, name: bob, role: owner}], isolationProfile: nowhere}").await;
    until("the tenant says what is missing", async || {
        let status = &tenant.get().await.data["status"];
        let message = status["conditions"][0]["message"].as_str().unwrap_or_default();
        message.contains("no IsolationProfile `nowhere`")
    })
    .await;
    until("the network is isolated", async || policies.get_opt("bailey-isolation").await.unwrap().is_some())
        .await;

    // Without one the tenant has the walls of every tenant.
    tenant.set("{members: [{kind: User, name: bob, role: owner}]}").await;
    assert_eq!(labels().await["pod-security.kubernetes.io/enforce"], "baseline");
}
