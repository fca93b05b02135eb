//! Host names that two tenants want at once, through three replicas.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures::future::join_all;
use kube::api::{DynamicObject, Patch, PatchParams};
use serde_json::Value;
use tests::{Replicas, give_namespace, until_some};

use crate::*;

/// Tenants, their owners and the namespaces that each has, one for each replica.
const TENANTS: [(&str, User); 2] = [("left", ALICE), ("right", BOB)];
const REPLICAS: usize = 3;

#[tokio::test(flavor = "multi_thread")]
async fn a_host_name_has_one_tenant_whoever_asks_at_once() {
    let world = World::start();
    let replicas = Replicas::start(&world, REPLICAS);
    populate(&world).await;
    one_tenant_gets_a_name(&world).await;
    nobody_gets_what_another_covers(&world).await;
    what_is_refused_after_all_is_free_again(&world).await;
    a_claim_that_is_deleted_is_made_again(&world).await;
    a_name_that_was_given_up_is_another_tenants(&world).await;
    drop(replicas);
}

async fn populate(world: &World) {
    let client = world.client(ADMIN).await;
    Objects::new(client.clone())
        .apply_all("{apiVersion: bailey.dev/v1alpha1, kind: IsolationProfile, metadata: {name: wide}, spec: {allow: {hostnames: {wildcards: true}}}}")
        .await;
    for (tenant, owner) in TENANTS {
        let spec = format!(
            "{{isolationProfile: wide, namespaces: {{prefix: ''}}, quota: {{hard: {{services: 0}}}}, members: [{{kind: User, name: {}, role: owner}}]}}",
            owner.name
        );
        let _tenant = Tenant::create_in(world, tenant, &spec).await;
        for number in 0..REPLICAS {
            let namespace = format!("{tenant}-{number}");
            give_namespace(world, tenant, &namespace).await;
            let label = json!({"metadata": {"labels": Replicas::label(number)}});
            let all: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(client.clone());
            all.patch(&namespace, &PatchParams::default(), &Patch::Merge(label)).await.unwrap();
            let owner = Objects::new(world.client(owner).await);
            let plain = ingress(&namespace, "first", &format!("first.{namespace}.example.org"));
            until_some("the owner may create an Ingress", async || owner.apply(&plain).await.ok()).await;
        }
    }
}

fn ingress(namespace: &str, name: &str, host: &str) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"rules": [{"host": host}]},
    })
}

/// Creates an Ingress with the tenant's host name in all of both tenants' namespaces at once. Gives the tenants that
/// got theirs, with how often.
async fn race(world: &World, name: &str, hosts: [&str; 2]) -> Vec<&'static str> {
    let mut asked = Vec::new();
    for ((tenant, owner), host) in TENANTS.into_iter().zip(hosts) {
        let client = world.client(owner).await;
        for number in 0..REPLICAS {
            let object = ingress(&format!("{tenant}-{number}"), name, host);
            let api = Objects::new(client.clone()).api(&object);
            let object: DynamicObject = serde_json::from_value(object).unwrap();
            asked.push(async move {
                let result = api.create(&PostParams::default(), &object).await;
                result.map(|_| tenant).map_err(|error| refusal::<()>(Err(error)))
            });
        }
    }
    let mut got = Vec::new();
    for result in join_all(asked).await {
        match result {
            Ok(tenant) => got.push(tenant),
            Err(refused) => {
                // Where claims come and go many times a second it is said that they do.
                let taken = refused.message.contains("wall `hostnames`");
                assert!(taken || refused.reason == "hostname_unavailable", "{}", refused.message);
            }
        }
    }
    got
}

async fn one_tenant_gets_a_name(world: &World) {
    let mut winners = BTreeSet::new();
    for round in 0..20 {
        let host = format!("wanted-{round}.example.org");
        let got = race(world, &format!("wanted-{round}"), [&host, &host]).await;
        let tenants: BTreeSet<_> = got.iter().copied().collect();
        assert_eq!((tenants.len(), got.len()), (1, REPLICAS), "round {round}: {got:?} have `{host}`");
        winners.extend(tenants);
    }
    println!("won by {winners:?}");
}

async fn nobody_gets_what_another_covers(world: &World) {
    let mut some = 0;
    for round in 0..20 {
        let below = format!("a.covered-{round}.example.org");
        let wide = format!("*.covered-{round}.example.org");
        let got = race(world, &format!("covered-{round}"), [&below, &wide]).await;
        let tenants: BTreeSet<_> = got.iter().collect();
        assert!(tenants.len() <= 1, "round {round}: {got:?}");
        some += tenants.len();
    }
    println!("of 20 rounds {some} had a winner");
}

fn claim(name: &str) -> Value {
    json!({"apiVersion": "bailey.dev/v1alpha1", "kind": "HostnameClaim", "metadata": {"name": name}})
}

/// The tenant that has a claim of this name.
async fn holder(world: &World, name: &str) -> Option<String> {
    let found = Objects::new(world.client(ADMIN).await).get(&claim(name)).await;
    match found {
        Ok(claim) => claim.data["spec"]["tenant"].as_str().map(str::to_owned),
        Err(kube::Error::Api(status)) if status.code == 404 => None,
        Err(error) => panic!("{error}"),
    }
}

async fn what_is_refused_after_all_is_free_again(world: &World) {
    let alice = world.client(ALICE).await;
    // A dry run takes nothing.
    let object = ingress("left-1", "dry", "dry.example.org");
    let api = Objects::new(alice.clone()).api(&object);
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    let object: DynamicObject = serde_json::from_value(object).unwrap();
    api.create(&dry, &object).await.unwrap();
    assert_eq!(holder(world, "name.dry.example.org").await, None);
    // A budget that is full refuses after the name was claimed.
    let hard = "{hard: {count/ingresses.networking.k8s.io: 0}}";
    let patch = Patch::Merge(json!({"spec": {"quota": documents(hard)[0]}}));
    let tenant = json!({"apiVersion": "bailey.dev/v1alpha1", "kind": "Tenant", "metadata": {"name": "left"}});
    let tenants = Objects::new(world.client(ADMIN).await).api(&tenant);
    tenants.patch("left", &PatchParams::default(), &patch).await.unwrap();
    let mut asked = 0;
    let refused = until_some("the budget refuses", async || {
        asked += 1;
        let (name, host) = (format!("full-{asked}"), format!("full-{asked}.example.org"));
        let object = serde_json::from_value(ingress("left-1", &name, &host)).unwrap();
        let Err(error) = api.create(&PostParams::default(), &object).await else { return None };
        assert_eq!(refusal::<()>(Err(error)).reason, "quota_exceeded");
        Some(format!("name.{host}"))
    })
    .await;
    // Sooner than what merely is not used.
    until_some("the claim is gone", async || holder(world, &refused).await.is_none().then_some(())).await;
    let patch = Patch::Merge(json!({"spec": {"quota": null}}));
    tenants.patch("left", &PatchParams::default(), &patch).await.unwrap();
}

async fn a_claim_that_is_deleted_is_made_again(world: &World) {
    let name = "name.first.left-2.example.org";
    assert_eq!(holder(world, name).await.as_deref(), Some("left"));
    Objects::new(world.client(ADMIN).await).delete(&claim(name)).await.unwrap();
    // Claims are looked at when host names in use have changed.
    Objects::new(world.client(ALICE).await)
        .apply(&ingress("left-0", "again", "again.example.org"))
        .await
        .unwrap();
    until_some("the claim is there again", async || {
        holder(world, name).await.filter(|tenant| tenant == "left")
    })
    .await;
}

async fn a_name_that_was_given_up_is_another_tenants(world: &World) {
    let alice = Objects::new(world.client(ALICE).await);
    let bob = Objects::new(world.client(BOB).await);
    let given = ingress("left-1", "given", "given.example.org");
    alice.apply(&given).await.unwrap();
    let wanted = ingress("right-2", "given", "given.example.org");
    let refused = refusal(bob.apply(&wanted).await);
    assert!(refused.message.contains("`given.example.org` is in use"), "{}", refused.message);
    alice.delete(&given).await.unwrap();
    // A request of its last tenant may be under way for some time.
    let start = Instant::now();
    while bob.apply(&wanted).await.is_err() {
        assert!(start.elapsed() < Duration::from_mins(4), "the name is never free again");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(holder(world, "name.given.example.org").await.as_deref(), Some("right"));
}
