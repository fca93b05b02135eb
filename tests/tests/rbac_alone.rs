//! What keeps tenants apart while Bailey is stopped, and after an administrator took its webhooks away: RBAC alone.

use kube::Api;
use kube::api::{DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::discovery::{ApiCapabilities, ApiResource, Scope, verbs};
use serde_json::json;
use tests::{
    ADMIN, ALICE, BOB, CAROL, Objects, Tenant, User, World, documents, give_namespace, is_forbidden, kinds,
    let_in, may, until,
};

type Kinds = Vec<(ApiResource, ApiCapabilities)>;

/// Owner, a namespace of their own, and one of the other tenant.
const SIDES: [(User, &str, &str); 2] = [(ALICE, "north-one", "south-one"), (BOB, "south-one", "north-one")];

async fn two_tenants() -> World {
    let world = World::start();
    for (tenant, member) in [
        ("north", "{kind: User, name: alice, role: owner}, {kind: User, name: carol, role: viewer}"),
        ("south", "{kind: User, name: bob, role: owner}"),
    ] {
        Tenant::create_in(&world, tenant, &format!("{{members: [{member}]}}")).await;
        give_namespace(&world, tenant, &format!("{tenant}-one")).await;
    }
    for (user, own) in [(ALICE, "north-one"), (BOB, "south-one"), (CAROL, "north-one")] {
        let client = world.client(user).await;
        until("the members have their rights", async || may(&client, "list", ("", "pods"), own).await).await;
    }
    let robot = documents(
        "{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: robot, namespace: north-one}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}, subjects: [{kind: ServiceAccount, name: default}]}",
    );
    Objects::new(world.client(ALICE).await).apply(&robot[0]).await.unwrap();
    world
}

/// Every kind in the other's namespace, both ways, and a reader of one tenant in the other.
async fn nothing_is_read_or_written_across(world: &World, kinds: &Kinds) {
    let reader = [(CAROL, "north-one", "south-one")];
    for (user, own, other) in SIDES.into_iter().chain(reader) {
        let client = world.client(user).await;
        let maps: Api<DynamicObject> = Api::namespaced_with(client.clone(), own, &config_map());
        maps.list(&ListParams::default()).await.expect("in their own they read");
        for (kind, can) in kinds.iter().filter(|(_, can)| can.scope == Scope::Namespaced) {
            let api = Api::namespaced_with(client.clone(), other, kind);
            assert_eq!(let_in(&api, kind, can).await, [""; 0], "{} {other}: {kind:?}", user.name);
            if can.supports_operation(verbs::LIST) {
                let everywhere = Api::<DynamicObject>::all_with(client.clone(), kind);
                assert!(is_forbidden(everywhere.list(&ListParams::default()).await), "{kind:?}");
            }
        }
    }
}

/// Nothing of the whole cluster either; of namespaces only new ones.
async fn nothing_of_the_cluster_is_written(world: &World, kinds: &Kinds) {
    for (user, ..) in SIDES {
        let client = world.client(user).await;
        for (kind, can) in kinds.iter().filter(|(_, can)| can.scope == Scope::Cluster) {
            let asks = kind.group.starts_with("auth") && kind.plural.starts_with("self");
            if asks || kind.plural == "namespaces" {
                continue;
            }
            let api = Api::all_with(client.clone(), kind);
            assert_eq!(let_in(&api, kind, can).await, [""; 0], "{}: {kind:?}", user.name);
        }
        // Of namespaces: none but new ones, and none of the other's.
        let all: Api<DynamicObject> = Api::all_with(client, &namespace());
        let take = json!({"metadata": {"labels": {"bailey.dev/tenant": "mine"}}});
        for name in ["north-one", "south-one", "default", "kube-system"] {
            let patched = all.patch(name, &PatchParams::default(), &Patch::Merge(&take)).await;
            assert!(is_forbidden(patched), "{} {name}", user.name);
        }
        assert!(is_forbidden(all.list(&ListParams::default()).await));
        assert!(is_forbidden(all.delete_collection(&Default::default(), &ListParams::default()).await));
    }
}

fn config_map() -> ApiResource {
    ApiResource::from_gvk(&kube::core::GroupVersionKind::gvk("", "v1", "ConfigMap"))
}

fn namespace() -> ApiResource {
    ApiResource::from_gvk(&kube::core::GroupVersionKind::gvk("", "v1", "Namespace"))
}

/// Becoming somebody else, and giving what one lacks. While webhooks stand that nobody answers, those refuse the
/// writes before that.
fn nobody_escalates(world: &World, or: &str) {
    let of_north = "--namespace=north-one";
    let attacks: [&[&str]; 11] = [
        &["get", "namespaces", "--as=admin", "--as-group=system:masters"],
        &["get", "pods", "--namespace=south-one", "--as=bob"],
        &["get", "pods", "--namespace=south-one", "--as=alice", "--as-group=team-b"],
        &["get", "secrets", "--namespace=south-one", "--as=system:serviceaccount:south-one:default"],
        &["get", "namespaces", "--as=system:serviceaccount:bailey-system:bailey"],
        &["get", "pods", "--namespace=south-one", "--as=system:serviceaccount:north-one:default"],
        &[of_north, "create", "rolebinding", "x", "--clusterrole=cluster-admin", "--user=alice"],
        &[of_north, "create", "role", "x", "--verb=escalate,bind", "--resource=roles"],
        &[of_north, "create", "role", "x", "--verb=impersonate", "--resource=users"],
        &["create", "clusterrolebinding", "x", "--clusterrole=admin", "--user=alice"],
        &["--namespace=south-one", "create", "token", "default"],
    ];
    for attack in attacks {
        let output = world.kubectl(ALICE, attack);
        let text = String::from_utf8_lossy(&output.stderr).to_lowercase();
        let refused = text.contains("forbidden") || text.contains(or);
        assert!(!output.status.success() && refused, "{attack:?}: {text}");
    }
}

/// A service account of one's own is oneself, and nobody in another tenant.
fn tokens_open_nothing_else(world: &World) {
    let token = |flags: &[&str]| {
        let own = ["--namespace=north-one", "create", "token", "default"];
        let output = world.kubectl(ALICE, &[&own, flags].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let list = |token: &str, namespace: &str| {
        let output = world.kubectl(ALICE, &["--token", token, "--namespace", namespace, "get", "configmaps"]);
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (own, foreign) = (token(&[]), token(&["--audience=vault"]));
    assert!(list(&own, "north-one").0, "its owner bound it to `view`");
    let (passed, text) = list(&own, "south-one");
    assert!(!passed && text.contains("Forbidden"), "{text}");
    // A token for somebody else is none for the API server.
    let (passed, text) = list(&foreign, "north-one");
    assert!(!passed && text.contains("Unauthorized"), "{text}");
}

#[tokio::test]
async fn with_bailey_stopped_every_write_fails_closed_and_rbac_refuses_the_rest() {
    let world = two_tenants().await;
    let kinds = kinds(&world).await;
    world.stop_bailey();
    nothing_is_read_or_written_across(&world, &kinds).await;
    nothing_of_the_cluster_is_written(&world, &kinds).await;
    nobody_escalates(&world, "failed calling webhook");
    tokens_open_nothing_else(&world);
    // What RBAC gives, the webhooks hold back: also where it is the owner's own.
    let closed = |result: kube::Result<DynamicObject>| {
        let error = result.expect_err("nobody judges it").to_string();
        assert!(error.contains("failed calling webhook"), "{error}");
    };
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    let mut tried = 0;
    for (user, own, _) in SIDES {
        let client = world.client(user).await;
        for (kind, can) in kinds.iter().filter(|(_, can)| can.scope == Scope::Namespaced) {
            let name = (kind.group.as_str(), kind.plural.as_str());
            let asked = !["leases", "events", "localsubjectaccessreviews"].contains(&name.1);
            if !(asked && can.supports_operation(verbs::CREATE) && may(&client, "create", name, own).await) {
                continue;
            }
            let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), own, kind);
            let object =
                json!({"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": "x"}});
            closed(api.create(&dry, &serde_json::from_value(object).unwrap()).await);
            tried += 1;
        }
        let all: Api<DynamicObject> = Api::all_with(client, &namespace());
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "new"}});
        closed(all.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await);
        let error = all.delete(own, &Default::default()).await.unwrap_err().to_string();
        assert!(error.contains("failed calling webhook"), "{error}");
    }
    assert!(tried > 30, "owners may create only {tried} kinds");
}

#[tokio::test]
async fn without_webhooks_rbac_alone_keeps_tenants_apart() {
    let world = two_tenants().await;
    let kinds = kinds(&world).await;
    world.stop_bailey();
    world.remove_webhooks();
    let alice = Objects::new(world.client(ALICE).await);
    let own = documents("{apiVersion: v1, kind: ConfigMap, metadata: {name: x, namespace: north-one}}");
    until("nobody is asked any more", async || alice.apply(&own[0]).await.is_ok()).await;
    nothing_is_read_or_written_across(&world, &kinds).await;
    nothing_of_the_cluster_is_written(&world, &kinds).await;
    nobody_escalates(&world, "forbidden");
    tokens_open_nothing_else(&world);
    what_the_api_server_still_holds(&world, &alice).await;
    // A namespace that nobody judged belongs to nobody: its maker has no rights in it, and its label gives none.
    let stolen = documents(
        "{apiVersion: v1, kind: Namespace, metadata: {name: loot, labels: {bailey.dev/tenant: south}}}",
    );
    let all: Api<DynamicObject> = Api::all_with(world.client(ALICE).await, &namespace());
    let object = serde_json::from_value(stolen[0].clone()).unwrap();
    all.create(&PostParams::default(), &object).await.unwrap();
    let client = world.client(ALICE).await;
    assert!(!may(&client, "create", ("", "pods"), "loot").await);
}

/// Pod Security and the NetworkPolicy stand, though nobody guards their objects.
async fn what_the_api_server_still_holds(world: &World, alice: &Objects) {
    let host = documents(
        "{apiVersion: v1, kind: Pod, metadata: {name: host, namespace: north-one}, spec: {hostNetwork: true, containers: [{name: c, image: x}]}}",
    );
    let error = alice.apply(&host[0]).await.unwrap_err().to_string();
    assert!(error.contains("violates PodSecurity"), "{error}");
    let admin = Objects::new(world.client(ADMIN).await);
    let policy = documents(
        "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: bailey-isolation, namespace: north-one}}",
    );
    admin.get(&policy[0]).await.unwrap();
    // Their own Tenant is the owners' to change, and without walls all of it; that of others is not.
    let tenant = |name: &str| {
        documents(&format!("{{apiVersion: bailey.dev/v1alpha1, kind: Tenant, metadata: {{name: {name}}}}}"))
            .swap_remove(0)
    };
    let limit = Patch::Merge(json!({"spec": {"namespaces": {"limit": 7}}}));
    let (own, other) = (tenant("north"), tenant("south"));
    assert!(is_forbidden(alice.api(&other).patch("south", &PatchParams::default(), &limit).await));
    alice.api(&own).patch("north", &PatchParams::default(), &limit).await.unwrap();
}
