//! Budgets that ResourceQuotas hold too, with many creators: with two replicas that move grants, and without Bailey.

use std::time::Duration;

use tests::Replicas;
use tests::race::{Race, populate};

use super::native::Sums;
use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_native_budget_holds_with_replicas_that_move_it_and_with_bailey_taken_away() {
    let world = World::start();
    let replicas = Replicas::start(&world, 2);
    let mut race = Race {
        prefix: "held".to_owned(),
        tenants: 1,
        namespaces: 3,
        creators: 6,
        budget: 30,
        deletes: 45,
        time: Duration::from_secs(12),
        mixed: true,
        native: true,
    };
    let client = world.client(ADMIN).await;
    populate(&world, &race, 2).await;
    // Each namespace has a ConfigMap of Kubernetes' own.
    let budget = 33;
    let sums = Sums::follow(&world, "held-0").await;
    let outcome = race.run(&client).await;
    println!("{outcome:?}");
    assert!(outcome.most <= race.budget, "{outcome:?}");
    assert!(outcome.created > 30 && outcome.refused > 0, "the budget was asked for: {outcome:?}");
    assert!(sums.most().0 <= budget && sums.most().1 <= budget, "{:?}", sums.most());
    println!("{:?}", metrics(&replicas));

    tokio::task::block_in_place(|| {
        drop(replicas);
        world.stop_bailey();
        let kinds = "validatingwebhookconfiguration,mutatingwebhookconfiguration";
        world.access().run(&["delete", kinds, "--all"]).unwrap();
    });
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "default");
    until("nobody asks Bailey any more", async || {
        maps.create(&PostParams { dry_run: true, ..PostParams::default() }, &map("dry")).await.is_ok()
    })
    .await;
    race.time = Duration::from_secs(8);
    race.creators = 12;
    let outcome = race.run(&client).await;
    println!("{outcome:?}");
    assert!(outcome.most <= race.budget, "{outcome:?}");
    assert!(outcome.created > 10 && outcome.refused > 0, "the budget was asked for: {outcome:?}");
    assert!(sums.most().0 <= budget && sums.most().1 <= budget, "{:?}", sums.most());
}

/// What the replicas counted of grants.
fn metrics(replicas: &Replicas<'_>) -> Vec<String> {
    let ports = replicas.http_ports().into_iter();
    let texts = ports.map(|port| xtask::http::get(port, "/metrics").unwrap().1);
    let lines = texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>());
    lines
        .filter(|line| line.starts_with("bailey_quota_grant") || line.starts_with("bailey_quota_requests"))
        .collect()
}
