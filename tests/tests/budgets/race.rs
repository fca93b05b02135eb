//! Creators who race each other in all namespaces of a tenant at once, through several replicas of which one crashes.

use std::time::Duration;

use tests::Replicas;
use tests::race::Race;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn no_budget_is_passed_by_many_creators_through_three_replicas_of_which_one_crashes() {
    let world = World::start();
    let mut replicas = Replicas::start(&world, 3);
    let race = Race {
        prefix: "race".to_owned(),
        tenants: 2,
        namespaces: 3,
        creators: 8,
        budget: 40,
        deletes: 45,
        time: Duration::from_secs(20),
        mixed: true,
        native: false,
    };
    let client = world.client(ADMIN).await;
    tests::race::populate(&world, &race, 3).await;
    let running = tokio::spawn({
        let (race, client) = (race.clone(), client.clone());
        async move { race.run(&client).await }
    });
    tokio::task::block_in_place(|| {
        for _ in 0..3 {
            std::thread::sleep(Duration::from_secs(3));
            replicas.crash(1);
        }
    });
    let outcome = running.await.unwrap();
    println!("{outcome:?}");
    assert!(outcome.most <= race.budget, "{outcome:?}");
    assert_eq!(outcome.conflicts, 0, "{outcome:?}");
    assert!(outcome.created > 100 && outcome.refused > 0, "the budget was asked for: {outcome:?}");
}
