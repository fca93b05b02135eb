//! Limits and names that several ask for at once.

use futures::future::join_all;

use crate::*;

#[tokio::test]
async fn tenants_below_one_parent_share_its_limit_exactly() {
    Tenant::create("college", "{namespaces: {limit: 5, prefix: ''}}").await;
    for (tenant, owner) in [("arts", "alice"), ("science", "bob")] {
        let spec = format!("{{parent: college, members: [{{kind: User, name: {owner}, role: owner}}]}}");
        Tenant::create(tenant, &spec).await;
    }
    for round in 0..4 {
        let asked = (0..10).flat_map(|number| {
            [
                (ALICE, "arts", format!("arts-{round}-{number}")),
                (BOB, "science", format!("science-{round}-{number}")),
            ]
        });
        let asked: Vec<_> = asked.collect();
        let results = join_all(
            asked
                .iter()
                .map(|(user, tenant, name)| create(*user, name, json!({"bailey.dev/tenant": tenant}))),
        )
        .await;
        let (made, refused): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
        assert_eq!(made.len(), 5, "round {round}");
        for refused in refused.into_iter().map(refusal) {
            assert_eq!(refused.reason, "namespace_limit");
            assert!(refused.message.contains("`college` has 5 of at most 5"), "{}", refused.message);
        }
        for made in made.into_iter().map(Result::unwrap) {
            let name = made.metadata.name.unwrap();
            namespaces(ADMIN).await.delete(&name, &Default::default()).await.unwrap();
        }
        for (_, _, name) in &asked {
            until_gone(name).await;
        }
        until_counted().await;
    }
}

/// Waits until Bailey has seen the namespaces go.
async fn until_counted() {
    // The status counts what the snapshot has.
    let admin = Objects::new(World::shared().client(ADMIN).await);
    for tenant in ["arts", "science"] {
        let object = &documents(&format!(
            "{{apiVersion: bailey.dev/v1alpha1, kind: Tenant, metadata: {{name: {tenant}}}}}"
        ))[0];
        until("the tenant counts none", async || {
            admin.get(object).await.unwrap().data["status"]["namespaceCount"] == 0
        })
        .await;
    }
}

#[tokio::test]
async fn of_two_owners_who_want_a_name_one_gets_it() {
    for (tenant, owner) in [("left", "alice"), ("right", "bob")] {
        let spec = format!(
            "{{members: [{{kind: User, name: {owner}, role: owner}}], namespaces: {{prefix: '', limit: 12}}}}"
        );
        Tenant::create(tenant, &spec).await;
    }
    for (user, tenant) in [(ALICE, "left"), (BOB, "right")] {
        let label = json!({"bailey.dev/tenant": tenant});
        until("the owner may create", async || {
            let dry = PostParams { dry_run: true, ..PostParams::default() };
            let object = json!({"metadata": {"name": "dry", "labels": label}});
            let object = serde_json::from_value(object).unwrap();
            namespaces(user).await.create(&dry, &object).await.is_ok()
        })
        .await;
    }
    for round in 0..12 {
        let name = format!("wanted-{round}");
        let (left, right) = tokio::join!(
            create(ALICE, &name, json!({"bailey.dev/tenant": "left"})),
            create(BOB, &name, json!({"bailey.dev/tenant": "right"})),
        );
        assert!(left.is_ok() != right.is_ok(), "{name}: {left:?} {right:?}");
        let (winner, loser, tenant) = if left.is_ok() { (ALICE, BOB, "left") } else { (BOB, ALICE, "right") };
        let found = namespaces(ADMIN).await.get(&name).await.unwrap().metadata.labels.unwrap();
        assert_eq!(found["bailey.dev/tenant"], tenant);
        let (winner, loser) = (World::shared().client(winner).await, World::shared().client(loser).await);
        until("the winner rules", async || write(&winner, &name, "won").await.is_ok()).await;
        assert!(tests::is_forbidden(write(&loser, &name, "lost").await), "{name}");
    }
}
