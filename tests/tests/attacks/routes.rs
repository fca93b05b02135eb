//! Host names of the routes of the Gateway API.

use futures::future::join_all;
use serde_json::{Value, json};
use tests::{ADMIN, ALICE, BOB, Objects, World, documents, give_namespace, refusal, until};
use tokio::sync::OnceCell;

use crate::{Attack, SIEGE, Tenant, here, run, siege};

/// The kinds, with the version that is looked at and the plural name.
const KINDS: [(&str, &str, &str); 3] = [
    ("HTTPRoute", "v1", "httproutes"),
    ("GRPCRoute", "v1", "grpcroutes"),
    ("TLSRoute", "v1alpha3", "tlsroutes"),
];

/// The definition of a kind, as far as it matters here.
fn definition((kind, version, plural): (&str, &str, &str)) -> Value {
    let versions = std::collections::BTreeSet::from(["v1", version]);
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": format!("{plural}.gateway.networking.k8s.io"),
            "annotations": {"api-approved.kubernetes.io": "https://github.com/kubernetes-sigs/gateway-api/pull/1"},
        },
        "spec": {
            "group": "gateway.networking.k8s.io",
            "scope": "Namespaced",
            "names": {"plural": plural, "singular": kind.to_lowercase(), "kind": kind},
            // As with a Gateway API that serves an old version beside the new one.
            "versions": versions.iter().map(|name| json!({
                "name": name, "served": true, "storage": *name == version,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
            })).collect::<Vec<_>>(),
        },
    })
}

fn route(kind: &str, version: &str, (namespace, name): (&str, &str), hosts: &[&str]) -> Value {
    json!({
        "apiVersion": format!("gateway.networking.k8s.io/{version}"), "kind": kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"parentRefs": [{"name": "gateway"}], "hostnames": hosts, "rules": [{}]},
    })
}

/// Has all kinds served, once for all tests.
async fn served() {
    static READY: OnceCell<()> = OnceCell::const_new();
    READY
        .get_or_init(async || {
            let admin = Objects::new(World::shared().client(ADMIN).await);
            for known in KINDS {
                admin.apply(&definition(known)).await.unwrap();
                let probe = route(known.0, known.1, ("default", "probe"), &["probe.example.org"]);
                until("the routes are served", async || admin.apply(&probe).await.is_ok()).await;
            }
        })
        .await;
}

macro_rules! route {
    ($kind:literal, $version:literal, $name:literal, $spec:literal) => {
        concat!(
            "{apiVersion: gateway.networking.k8s.io/",
            $version,
            ", kind: ",
            $kind,
            ", metadata: {name: ",
            $name,
            ", namespace: NS}, spec: {",
            $spec,
            "}}"
        )
    };
}

#[tokio::test]
async fn routes_use_host_names_that_the_profile_allows() {
    siege().await;
    served().await;
    let foreign = "the host name `bank.example.com` is not allowed, use `*.siege.example.com`";
    let attack = |says: &'static str, attack: &'static str, twin: &'static str| Attack {
        wall: "hostnames",
        says,
        attack,
        twin,
    };
    run(&[
        attack(
            foreign,
            route!("HTTPRoute", "v1", "w1", "parentRefs: [{name: first}], hostnames: [bank.example.com]"),
            route!("HTTPRoute", "v1", "w1", "parentRefs: [{name: first}], hostnames: [w1.siege.example.com]"),
        ),
        attack(
            // The second one, behind one that passes, in another case.
            foreign,
            route!("HTTPRoute", "v1", "w2", "hostnames: [w2.siege.example.com, BANK.example.com]"),
            route!("HTTPRoute", "v1", "w2", "hostnames: [w2.siege.example.com, W2-b.siege.example.com]"),
        ),
        attack(
            "`*.siege.example.com` means names of others too",
            route!(
                "HTTPRoute",
                "v1",
                "w3",
                "parentRefs: [{name: first}], hostnames: ['*.siege.example.com']"
            ),
            // Without names a route has those of its Gateway, which is held against the wall itself.
            route!("HTTPRoute", "v1", "w3", "parentRefs: [{name: first}]"),
        ),
        attack(
            foreign,
            route!("GRPCRoute", "v1", "w4", "parentRefs: [{name: first}], hostnames: [bank.example.com]"),
            route!("GRPCRoute", "v1", "w4", "parentRefs: [{name: first}], hostnames: [w4.siege.example.com]"),
        ),
        attack(
            foreign,
            route!(
                "TLSRoute",
                "v1alpha3",
                "w5",
                "parentRefs: [{name: first}], hostnames: [bank.example.com]"
            ),
            route!(
                "TLSRoute",
                "v1alpha3",
                "w5",
                "parentRefs: [{name: first}], hostnames: [w5.siege.example.com]"
            ),
        ),
        attack(
            // A name that passes first and is changed later.
            foreign,
            concat!(
                route!("TLSRoute", "v1alpha3", "w6", "hostnames: [w6.siege.example.com]"),
                "\n---\n",
                route!("TLSRoute", "v1alpha3", "w6", "hostnames: [w6.siege.example.com, bank.example.com]")
            ),
            "",
        ),
    ])
    .await;
    let kept = &documents(&here(route!("TLSRoute", "v1alpha3", "w6", "")))[0];
    let found = siege().await.get(kept).await.unwrap();
    assert_eq!(found.data["spec"]["hostnames"], json!(["w6.siege.example.com"]), "{SIEGE}");
}

const ROUTERS: &str = "apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: routers, labels: {rbac.authorization.k8s.io/aggregate-to-edit: 'true'}}
rules: [{apiGroups: [gateway.networking.k8s.io], resources: ['*'], verbs: ['*']}]
";

#[tokio::test]
async fn one_host_name_has_one_tenant_whatever_kinds_of_route_lead_to_it() {
    served().await;
    let world = World::shared();
    Objects::new(world.client(ADMIN).await).apply_all(ROUTERS).await;
    for (name, owner) in [("routed-a", "alice"), ("routed-b", "bob")] {
        Tenant::create(name, &format!("{{members: [{{kind: User, name: {owner}, role: owner}}]}}")).await;
        give_namespace(world, name, &format!("{name}-web")).await;
    }
    let (alice, bob) = (Objects::new(world.client(ALICE).await), Objects::new(world.client(BOB).await));
    for (kind, version, _) in KINDS {
        let host = format!("{}.routed.example.com", kind.to_lowercase());
        let hers = route(kind, version, ("routed-a-web", "hers"), &[&host]);
        until("alice may write routes", async || alice.apply(&hers).await.is_ok()).await;
        until("bob may write routes", async || {
            let his = route(kind, version, ("routed-b-web", "his"), &["his.routed.example.com"]);
            bob.apply(&his).await.is_ok()
        })
        .await;
        // By the same kind and by every other one, in another spelling, and as a change of what is there.
        for (other, version, _) in KINDS {
            for name in ["new", "his"] {
                let taken = route(other, version, ("routed-b-web", name), &[&host.to_uppercase()]);
                let result = bob.apply(&taken).await;
                assert!(result.is_err(), "{kind} {other} {name}: two tenants have {host}");
                let refused = refusal(result);
                let says =
                    format!("wall `hostnames`: the host name `{host}` is in use outside of the tenant");
                assert!(refused.message.contains(&says), "{}", refused.message);
            }
        }
    }
    // Within a tenant a name may have several routes.
    let [(http, v1, _), (grpc, ..), _] = KINDS;
    let again = route(grpc, v1, ("routed-a-web", "again"), &["httproute.routed.example.com"]);
    alice.apply(&again).await.unwrap();
    let race = ["routed-a-web", "routed-b-web"]
        .map(|namespace| route(http, v1, (namespace, "race"), &["race.routed.example.com"]));
    let results = join_all([alice.apply(&race[0]), bob.apply(&race[1])]).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "{results:?}");
}
