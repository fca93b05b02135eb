//! What fits is let in, what does not is refused, whoever asks at once.

use super::*;

#[tokio::test]
async fn a_budget_holds_over_all_namespaces_whoever_asks_at_once() {
    // Each namespace has a ConfigMap of Kubernetes' own.
    let tenant = tenant("exact", "alice", "{hard: {count/configmaps: 2}}", &["exact-one", "exact-two"]).await;
    let (one, two) = (until_ready(ALICE, "exact-one").await, until_ready(ALICE, "exact-two").await);
    tenant.set("{members: [{kind: User, name: alice, role: owner}], namespaces: {prefix: ''}, quota: {hard: {configmaps: 8}}}").await;
    for round in 0..3 {
        let asked: Vec<String> = (0..20).map(|number| format!("map-{round}-{number}")).collect();
        let results = join_all(asked.iter().flat_map(|name| [create(&one, name), create(&two, name)])).await;
        let (made, refused): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
        assert_eq!(made.len(), 6, "round {round}: {:?}", refused.first());
        for refused in refused.into_iter().map(refusal) {
            assert_eq!(
                (refused.code, refused.reason.as_str()),
                (403, "quota_exceeded"),
                "{}",
                refused.message
            );
            assert!(
                refused.message.contains("the budget of the tenant `exact` is 8 of `configmaps`"),
                "{}",
                refused.message
            );
        }
        assert_eq!(count(&one).await + count(&two).await, 8);
        for maps in [&one, &two] {
            let own = ListParams::default().fields("metadata.name!=kube-root-ca.crt");
            maps.delete_collection(&DeleteParams::default(), &own).await.unwrap();
        }
    }
}
