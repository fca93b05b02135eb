//! Roads to another tenant's namespace, by a member who was given rights over namespaces by mistake.

use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use tests::{ADMIN, ALICE, Objects, Tenant, World, documents, give_namespace, namespaces, refusal};

use crate::siege;

/// A namespace of bob's, and all namespaces as alice, who may change every one of them.
async fn victim(name: &str) -> Api<Namespace> {
    siege().await;
    Tenant::create(name, "{members: [{kind: User, name: bob, role: owner}]}").await;
    give_namespace(World::shared(), name, &format!("{name}-one")).await;
    namespaces(ALICE).await
}

fn walled<T: std::fmt::Debug>(result: kube::Result<T>, wall: &str, road: &str) {
    let refused = refusal(result);
    assert!(refused.message.contains(&format!("wall `{wall}`")), "{road}: {}", refused.message);
}

/// The namespace as it is, with another tenant's label.
async fn taken(all: &Api<Namespace>, name: &str) -> Namespace {
    let mut object = all.get(name).await.unwrap();
    object.metadata.labels.as_mut().unwrap().insert("bailey.dev/tenant".to_owned(), "siege".to_owned());
    object.metadata.managed_fields = None;
    object
}

#[tokio::test]
async fn the_label_is_taken_by_no_kind_of_write() {
    let all = victim("prey").await;
    let params = PatchParams::default();
    let json_patch = |operations: Value| Patch::Json::<()>(serde_json::from_value(operations).unwrap());
    let label = "/metadata/labels/bailey.dev~1tenant";
    let replace = json_patch(json!([{"op": "replace", "path": label, "value": "siege"}]));
    walled(all.patch("prey-one", &params, &replace).await, "tenant-label", "JSON patch");
    let remove = json_patch(json!([{"op": "remove", "path": label}]));
    walled(all.patch("prey-one", &params, &remove).await, "tenant-label", "JSON patch that removes");
    let moved = json_patch(json!([{"op": "move", "from": label, "path": "/metadata/labels/was"}]));
    walled(all.patch("prey-one", &params, &moved).await, "tenant-label", "JSON patch that moves");
    let labels = json!({"metadata": {"labels": {"bailey.dev/tenant": "siege"}}});
    walled(
        all.patch("prey-one", &params, &Patch::Strategic(&labels)).await,
        "tenant-label",
        "strategic merge",
    );
    let all_labels = json!({"metadata": {"labels": {"$patch": "replace", "a": "b"}}});
    walled(all.patch("prey-one", &params, &Patch::Strategic(&all_labels)).await, "tenant-label", "$patch");
    let with_more = json!({"metadata": {"labels": {"bailey.dev/tenant": "siege", "color": "blue"}, "annotations": {"a": "b"}}});
    walled(
        all.patch("prey-one", &params, &Patch::Merge(&with_more)).await,
        "tenant-label",
        "with other metadata",
    );
    let dry = PatchParams { dry_run: true, ..PatchParams::default() };
    walled(all.patch("prey-one", &dry, &Patch::Merge(&labels)).await, "tenant-label", "dry run");
    let apply = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "prey-one", "labels": {"bailey.dev/tenant": "siege"}}});
    for manager in ["alice", "bailey-tenants", "kubectl-client-side-apply"] {
        let applied =
            all.patch("prey-one", &PatchParams::apply(manager).force(), &Patch::Apply(&apply)).await;
        walled(applied, "tenant-label", manager);
    }
    let object = taken(&all, "prey-one").await;
    walled(all.replace("prey-one", &PostParams::default(), &object).await, "tenant-label", "replace");
    let owner = json!({"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "Namespace", "name": "siege-one", "uid": "u"}]}});
    walled(
        all.patch("prey-one", &params, &Patch::Merge(&owner)).await,
        "owner-references",
        "owner reference",
    );
    // What is no wall passes, with that right, and the namespace is still bob's.
    let harmless = json!({"metadata": {"labels": {"color": "blue"}}});
    let labels =
        all.patch("prey-one", &params, &Patch::Merge(&harmless)).await.unwrap().metadata.labels.unwrap();
    assert_eq!(labels["bailey.dev/tenant"], "prey");
}

#[tokio::test]
async fn subresources_and_deletion_are_no_road() {
    let all = victim("quarry").await;
    let taken = taken(&all, "quarry-one").await;
    walled(all.replace_status("quarry-one", &PostParams::default(), &taken).await, "tenant-label", "status");
    let finalize = async |object: &Namespace, name: &str| {
        let params = PostParams::default();
        all.replace_subresource("finalize", name, &params, object).await
    };
    walled(finalize(&taken, "quarry-one").await, "tenant-label", "finalize");
    // Her own too: what is in it would be left for whoever has the name next.
    let mut own = all.get("siege-one").await.unwrap();
    own.spec.as_mut().unwrap().finalizers = None;
    walled(finalize(&own, "siege-one").await, "cluster-objects", "finalize");

    walled(all.delete("quarry-one", &DeleteParams::default()).await, "cluster-objects", "delete");
    let nobodys = serde_json::from_value(json!({"metadata": {"name": "nobodys"}})).unwrap();
    namespaces(ADMIN).await.create(&PostParams::default(), &nobodys).await.unwrap();
    walled(all.delete("nobodys", &DeleteParams::default()).await, "cluster-objects", "delete of nobody's");
    let everything: Api<DynamicObject> =
        Api::all_with(World::shared().client(ALICE).await, &kube::core::ApiResource::erase::<Namespace>(&()));
    let deleted = everything.delete_collection(&DeleteParams::default(), &ListParams::default()).await;
    assert!(deleted.is_err(), "the API server serves no such request: {deleted:?}");
    assert!(all.get("quarry-one").await.unwrap().metadata.deletion_timestamp.is_none());

    let admin = namespaces(ADMIN).await;
    let own = json!({"metadata": {"name": "siege-gone", "labels": {"bailey.dev/tenant": "siege", "cost-centre": "4"}}});
    admin.create(&PostParams::default(), &serde_json::from_value(own).unwrap()).await.unwrap();
    // Her own she deletes, as soon as it is known as hers.
    tests::until("she deletes her own", async || {
        all.delete("siege-gone", &DeleteParams::default()).await.is_ok()
    })
    .await;
}

#[tokio::test]
async fn a_generated_name_is_a_name() {
    let all = victim("game").await;
    let create = async |prefix: &str, labels: Value, dry_run: bool| {
        let object = json!({"metadata": {"generateName": prefix, "labels": labels}});
        let params = PostParams { dry_run, ..PostParams::default() };
        all.create(&params, &serde_json::from_value(object).unwrap()).await
    };
    let siege = || json!({"bailey.dev/tenant": "siege"});
    walled(create("game-", json!({"bailey.dev/tenant": "game"}), false).await, "tenant-label", "of another");
    walled(create("game-", siege(), false).await, "namespace-name", "with the prefix of another");
    walled(create("kube-", siege(), false).await, "namespace-name", "a reserved one");
    walled(create("siege", siege(), true).await, "namespace-name", "a prefix cut short");
    walled(
        create("siege-", json!({"bailey.dev/tenant": "siege", "bailey.dev/walls": "standing"}), false).await,
        "wall-labels",
        "a wall that does not stand",
    );
    let made = create("siege-", siege(), false).await.unwrap();
    assert!(made.metadata.name.unwrap().starts_with("siege-"));
    assert_eq!(made.metadata.labels.unwrap()["bailey.dev/tenant"], "siege");
}

#[tokio::test]
async fn kubectl_auth_reconcile_gives_nothing() {
    siege().await;
    let world = World::shared();
    let reconcile = |yaml: &str| {
        let mut file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
        std::io::Write::write_all(&mut file, yaml.as_bytes()).unwrap();
        let output = world.kubectl(ALICE, &["auth", "reconcile", "-f", &file.path().to_string_lossy()]);
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let admin = Objects::new(world.client(ADMIN).await);
    let object = |kind: &str, rest: &str| {
        let place = if kind == "ClusterRole" { "" } else { ", namespace: siege-one" };
        format!(
            "{{apiVersion: rbac.authorization.k8s.io/v1, kind: {kind}, metadata: {{name: reconciled{place}}}, {rest}}}"
        )
    };
    let rules = |verbs: &str| {
        format!(
            "rules: [{{apiGroups: [rbac.authorization.k8s.io], resources: [roles, users], verbs: [{verbs}]}}]"
        )
    };
    let binding = "roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}, subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: 'system:authenticated'}]";
    for (kind, rest) in [
        ("ClusterRole", rules("get")),
        ("Role", rules("escalate, bind")),
        ("Role", rules("impersonate")),
        ("Role", rules("'*'")),
        ("RoleBinding", binding.to_owned()),
    ] {
        let object = object(kind, &rest);
        // kubectl itself does not survive every refusal: what counts is what there is afterwards.
        let (passed, text) = reconcile(&object);
        assert!(!passed, "{kind} {rest}: {text}");
        assert!(admin.get(&documents(&object)[0]).await.is_err(), "{kind} {rest} was made");
    }
    let (passed, text) =
        reconcile(&object("Role", "rules: [{apiGroups: [''], resources: [pods], verbs: [get]}]"));
    assert!(passed, "{text}");
}

#[tokio::test]
async fn managed_objects_are_not_deleted_together() {
    siege().await;
    let policies: Api<k8s_openapi::api::networking::v1::NetworkPolicy> =
        Api::namespaced(World::shared().client(ALICE).await, "siege-one");
    let before = policies.get("bailey-isolation").await.unwrap();
    let deleted = policies.delete_collection(&DeleteParams::default(), &ListParams::default()).await;
    walled(deleted.map(|_| ()), "managed-objects", "all at once");
    assert_eq!(policies.get("bailey-isolation").await.unwrap().metadata.uid, before.metadata.uid);
}
