//! Budgets while the API server, the controllers and the store under them crash, and after the store was restored.

use std::path::Path;
use std::time::{Duration, Instant};

use futures::future::join_all;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{DeleteParams, ListParams, PostParams};
use serde_json::json;
use tests::gateway::Gateway;
use tests::race::Race;
use tests::{ADMIN, ALICE, Tenant, World, give_namespace, until};

/// The most that the tenant may have, with the ConfigMap of Kubernetes' own.
const BUDGET: usize = 6;

async fn create(maps: &Api<ConfigMap>, name: &str) -> kube::Result<ConfigMap> {
    let map = serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
    maps.create(&PostParams::default(), &map).await
}

async fn count(maps: &Api<ConfigMap>) -> usize {
    maps.list(&ListParams::default()).await.unwrap().items.len()
}

/// A world with a tenant that has a budget, and its ConfigMaps as its owner has them.
async fn tenant() -> (World, Api<ConfigMap>) {
    let world = World::start();
    let spec = format!(
        "{{members: [{{kind: User, name: alice, role: owner}}], namespaces: {{prefix: ''}}, quota: {{hard: {{configmaps: {BUDGET}}}}}}}"
    );
    Tenant::create_in(&world, "past", &spec).await;
    give_namespace(&world, "past", "past-one").await;
    let maps: Api<ConfigMap> = Api::namespaced(world.client(ALICE).await, "past-one");
    until("the owner may write", async || {
        let there = maps.get_opt("kube-root-ca.crt").await.is_ok_and(|map| map.is_some());
        there && create(&maps, "first").await.is_ok()
    })
    .await;
    (world, maps)
}

/// Stops API server and store, has something done with its files, and starts both.
fn with_store_stopped(world: &World, done: impl FnOnce(&Path)) {
    world.crash("kube-apiserver");
    world.crash("etcd");
    done(&world.access().folder().join("etcd"));
    world.revive("etcd");
    world.revive("kube-apiserver");
}

fn copy(from: &Path, to: &Path) {
    let status = std::process::Command::new("cp").arg("-a").args([from, to]).status().unwrap();
    assert!(status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_was_restored_is_counted_before_anything_grows() {
    let (world, maps) = tenant().await;
    for name in ["second", "third", "fourth"] {
        create(&maps, name).await.unwrap();
    }
    let backup = world.access().folder().join("backup");
    tokio::task::block_in_place(|| with_store_stopped(&world, |store| copy(store, &backup)));
    // What is stored becomes less than it was when the backup was made.
    until("the API server answers", async || create(&maps, "fifth").await.is_ok()).await;
    for name in ["first", "second", "third", "fourth", "fifth"] {
        maps.delete(name, &DeleteParams::default()).await.unwrap();
    }
    for round in 0..3 {
        until("there is room", async || create(&maps, &format!("later-{round}")).await.is_ok()).await;
        maps.delete(&format!("later-{round}"), &DeleteParams::default()).await.unwrap();
    }
    assert_eq!(count(&maps).await, 1);
    tokio::task::block_in_place(|| {
        with_store_stopped(&world, |store| {
            std::fs::remove_dir_all(store).unwrap();
            copy(&backup, store);
        });
    });
    // Five are there again, and room for one: whoever believes its watch knows of five.
    let asked: Vec<String> = (0..10).map(|number| format!("restored-{number}")).collect();
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(5) {
        let _refused = join_all(asked.iter().map(|name| create(&maps, name))).await;
        assert!(count(&maps).await <= BUDGET);
    }
    tokio::task::block_in_place(|| world.wait_for_end_of_bailey());
    // What the former process held is free again when it is known to be gone.
    let start = Instant::now();
    while count(&maps).await < BUDGET {
        assert!(start.elapsed() < Duration::from_mins(5), "the room is never given");
        let _refused = join_all(asked.iter().map(|name| create(&maps, name))).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(count(&maps).await, BUDGET);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_budget_is_passed_while_the_api_server_and_the_controllers_crash() {
    let world = World::start();
    let race = Race {
        prefix: "race".to_owned(),
        tenants: 1,
        namespaces: 2,
        creators: 4,
        budget: 20,
        deletes: 45,
        time: Duration::from_secs(30),
        mixed: true,
        native: false,
    };
    let client = world.client(ADMIN).await;
    tests::race::populate(&world, &race, 1).await;
    let running = tokio::spawn({
        let (race, client) = (race.clone(), client.clone());
        async move { race.run(&client).await }
    });
    tokio::task::block_in_place(|| {
        for component in ["kube-apiserver", "kube-controller-manager", "kube-apiserver"] {
            std::thread::sleep(Duration::from_secs(3));
            world.crash(component);
            world.revive(component);
        }
    });
    let outcome = running.await.unwrap();
    println!("{outcome:?}");
    assert!(outcome.most <= race.budget, "{outcome:?}");
    assert_eq!(outcome.conflicts, 0, "{outcome:?}");
    assert!(outcome.created > 0, "something was let in: {outcome:?}");
    // It goes on as before.
    let maps: Api<ConfigMap> = Api::namespaced(client, &race.namespace(0, 0));
    until("creates are judged", async || {
        let result = create(&maps, "afterwards").await;
        result.is_ok() || result.is_err_and(|error| error.to_string().contains("the budget of the tenant"))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_ends_when_versions_have_gone_back() {
    let world: &'static World = Box::leak(Box::new(tenant().await.0));
    let mut gateway = Gateway::start_in(world, "restored", &[]);
    let backup = world.access().folder().join("backup");
    tokio::task::block_in_place(|| with_store_stopped(world, |store| copy(store, &backup)));
    let ledgers = || gateway.metric(r#"bailey_rates_ledger_writes_total{result="written"}"#);
    let before = ledgers();
    until("it has written its ledger again", async || ledgers() > before).await;
    tokio::task::block_in_place(|| {
        with_store_stopped(world, |store| {
            std::fs::remove_dir_all(store).unwrap();
            copy(&backup, store);
        });
        gateway.wait_for_end();
    });
}
