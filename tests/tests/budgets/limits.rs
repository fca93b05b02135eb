//! Trees, cohorts, budgets that change, and what must not count.

use super::*;

#[tokio::test]
async fn what_a_child_uses_counts_for_its_parent() {
    Tenant::create("tree", "{namespaces: {prefix: ''}, quota: {hard: {secrets: 3}}}").await;
    for child in ["leaf", "twig"] {
        let spec = format!("{{parent: tree, members: [{OWNER}], quota: {{hard: {{secrets: 2}}}}}}");
        Tenant::create(child, &spec).await;
        give_namespace(World::shared(), child, &format!("{child}-one")).await;
    }
    let admin = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: counts-secrets, labels: \
                 {bailey.dev/aggregate-to-lookups: 'true'}}\nrules: [{apiGroups: [''], resources: [secrets], verbs: [list, watch]}]";
    Objects::new(World::shared().client(ADMIN).await).apply(&documents(admin)[0]).await.unwrap();
    let (leaf, twig) = (secrets("leaf-one").await, secrets("twig-one").await);
    until("secrets are counted", async || secret(&leaf, "one").await.is_ok()).await;
    secret(&leaf, "two").await.unwrap();
    let refused = refusal(secret(&leaf, "three").await);
    assert!(
        refused.message.contains("the budget of the tenant `leaf` is 2 of `secrets`"),
        "{}",
        refused.message
    );
    secret(&twig, "one").await.unwrap();
    let refused = refusal(secret(&twig, "two").await);
    assert!(
        refused.message.contains("the budget of the tenant `tree` is 3 of `secrets`"),
        "{}",
        refused.message
    );
    // What others use below the parent is not told.
    assert!(!refused.message.contains("leaf"), "{}", refused.message);
}

#[tokio::test]
async fn a_cohort_shares_what_is_lent_and_no_more() {
    // Each namespace has a ConfigMap of Kubernetes' own.
    let specs = [
        ("lender", "{configmaps: 4}, lend: {configmaps: 2}"),
        ("borrower", "{configmaps: 2}, borrow: {configmaps: 3}"),
    ];
    for (name, quota) in specs {
        tenant(name, "alice", &format!("{{cohort: campus, hard: {quota}}}"), &[&format!("{name}-one")]).await;
    }
    let (lender, borrower) =
        (until_ready(ALICE, "lender-one").await, until_ready(ALICE, "borrower-one").await);
    // Its own 2, of which one is used, and the 2 that are lent.
    for number in 0..3 {
        create(&borrower, &format!("map-{number}")).await.unwrap();
    }
    let refused = refusal(create(&borrower, "one-more").await);
    assert!(refused.message.contains("the cohort `campus` lend each other"), "{}", refused.message);
    // What is not lent is always free: 2, of which one is used.
    create(&lender, "own").await.unwrap();
    let refused = refusal(create(&lender, "lent").await);
    assert!(refused.message.contains("the cohort `campus`"), "{}", refused.message);
    // It is the lender's again before anybody borrows it once more.
    borrower.delete("map-0", &DeleteParams::default()).await.unwrap();
    until("the borrower is told", async || {
        let refused = refusal(create(&borrower, "again").await);
        refused.message.contains("1 of it are wanted back by those who lend them")
    })
    .await;
    until("what was lent comes back", async || create(&lender, "lent").await.is_ok()).await;
}

#[tokio::test]
async fn a_dry_run_is_answered_alike_and_takes_nothing() {
    tenant("dry", "alice", "{hard: {configmaps: 2}}", &["dry-one"]).await;
    let maps = until_ready(ALICE, "dry-one").await;
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    for number in 0..20 {
        maps.create(&dry, &map(&format!("dry-{number}"))).await.unwrap();
    }
    create(&maps, "real").await.unwrap();
    assert_eq!(refusal(maps.create(&dry, &map("over")).await).reason, "quota_exceeded");
    assert_eq!(refusal(create(&maps, "over").await).reason, "quota_exceeded");
}

#[tokio::test]
async fn a_name_that_is_taken_takes_nothing_more_however_often() {
    tenant("taken", "alice", "{hard: {configmaps: 5}}", &["taken-one"]).await;
    let maps = until_ready(ALICE, "taken-one").await;
    create(&maps, "same").await.unwrap();
    for _ in 0..30 {
        let answer = create(&maps, "same").await;
        assert!(matches!(answer, Err(kube::Error::Api(status)) if status.reason == "AlreadyExists"));
    }
    // Two of five are there; this name is held once, and Kubernetes' own may be too.
    create(&maps, "other").await.unwrap();
}

#[tokio::test]
async fn a_lowered_budget_stops_growth_and_nothing_else() {
    let tenant = tenant("lowered", "alice", "{hard: {configmaps: 10}}", &["lowered-one"]).await;
    let maps = until_ready(ALICE, "lowered-one").await;
    for number in 0..5 {
        create(&maps, &format!("map-{number}")).await.unwrap();
    }
    tenant
        .set("{members: [{kind: User, name: alice, role: owner}], namespaces: {prefix: ''}, quota: {hard: {configmaps: 3}}}")
        .await;
    until("growth is refused", async || create(&maps, "more").await.is_err()).await;
    until("the tenant says that it is over its budget", async || {
        let status = &tenant.get().await.data["status"];
        let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
        let over =
            conditions.iter().any(|one| one["type"] == "WithinBudget" && one["reason"] == "OverBudget");
        over && status["quota"][0]["hard"] == "3" && status["quota"][0]["resource"] == "configmaps"
    })
    .await;
    let refused = refusal(create(&maps, "more").await);
    assert!(refused.message.contains("is 3 of `configmaps`"), "{}", refused.message);
    assert!(refused.message.contains("nothing more would pass now"), "{}", refused.message);
    let change = Patch::Merge(json!({"data": {"still": "changes"}}));
    maps.patch("map-0", &PatchParams::default(), &change).await.unwrap();
    // Down to two, beside what may have been let in before the lower budget was known.
    maps.delete_collection(
        &DeleteParams::default(),
        &ListParams::default().fields("metadata.name!=kube-root-ca.crt"),
    )
    .await
    .unwrap();
    until("there is room again", async || create(&maps, "again").await.is_ok()).await;
}

#[tokio::test]
async fn a_backstop_is_a_quota_of_kubernetes_that_its_owner_cannot_change() {
    tenant("backstop", "alice", "{hard: {configmaps: 4, cpu: 1}, backstopPercent: 200}", &["backstop-one"])
        .await;
    let quotas: Api<ResourceQuota> = Api::namespaced(World::shared().client(ALICE).await, "backstop-one");
    until("the quota is there", async || {
        let found = quotas.get_opt("bailey-backstop").await.ok().flatten();
        let hard = found.and_then(|quota| quota.spec?.hard).unwrap_or_default();
        hard.get("configmaps").is_some_and(|most| most.0 == "8")
            && hard.get("requests.cpu").is_some_and(|most| most.0 == "2")
    })
    .await;
    assert!(quotas.delete("bailey-backstop", &DeleteParams::default()).await.is_err());
}

#[tokio::test]
async fn budgets_that_are_none_are_refused_with_the_field() {
    let objects = Objects::new(World::shared().client(ADMIN).await);
    for (quota, part) in [
        ("{hard: {requests.cpu: -1}}", "spec.quota.hard"),
        ("{hard: {requests.cpu: much}}", "spec.quota.hard"),
        ("{hard: {unicorns: 1}}", "unicorns"),
        ("{hard: {pods: 1}, lend: {pods: 1}}", "only a tenant with a cohort"),
        ("{bands: [{name: a, hard: {services: 1}}]}", "only Pods have bands"),
        ("{bands: [{name: a, hard: {pods: 1}}, {name: b, hard: {pods: 1}}]}", "spec.quota.bands"),
        ("{hard: {pods: 1}, cohort: campus, enforcement: Native}", "cannot hold what a cohort lends"),
        (
            "{bands: [{name: a, hard: {requests.nvidia.com/gpu: 1}}], enforcement: Native}",
            "enforcement Native cannot hold it in a band",
        ),
    ] {
        let yaml = format!(
            "{{apiVersion: bailey.dev/v1alpha1, kind: Tenant, metadata: {{name: bad}}, spec: {{quota: {quota}}}}}"
        );
        let answer = objects.apply(&documents(&yaml)[0]).await;
        let Err(kube::Error::Api(status)) = answer else { panic!("{quota} was taken") };
        assert!(status.message.contains(part), "{quota}: {}", status.message);
    }
}

#[tokio::test]
async fn a_deleted_ledger_is_written_again_and_the_budget_holds() {
    tenant("ledger", "alice", "{hard: {configmaps: 6}}", &["ledger-one"]).await;
    let maps = until_ready(ALICE, "ledger-one").await;
    create(&maps, "before").await.unwrap();
    let ledger =
        &documents("{apiVersion: bailey.dev/v1alpha1, kind: QuotaLedger, metadata: {name: tenant.ledger}}")
            [0];
    let objects = Objects::new(World::shared().client(ADMIN).await);
    for round in 0..3 {
        // Once the budget is full there is nothing to write into it.
        let gone = objects.delete(ledger).await;
        assert!(gone.is_ok() || round > 0, "{gone:?}");
        let asked: Vec<String> = (0..8).map(|number| format!("map-{round}-{number}")).collect();
        let _some_fit = join_all(asked.iter().map(|name| create(&maps, name))).await;
        assert!(count(&maps).await <= 6);
    }
    // Kubernetes may try to make its own more than once, and what that held is given back later.
    super::native::fill(&maps, "rest", 6_usize.saturating_sub(count(&maps).await)).await;
    assert_eq!(count(&maps).await, 6);
}

#[tokio::test]
async fn what_kubernetes_own_quota_refuses_is_free_again_when_its_request_has_ended() {
    tenant("after", "alice", "{hard: {configmaps: 8}}", &["after-one", "after-two"]).await;
    let (one, two) = (until_ready(ALICE, "after-one").await, until_ready(ALICE, "after-two").await);
    let quota = "{apiVersion: v1, kind: ResourceQuota, metadata: {name: none, namespace: after-one}, spec: {hard: {configmaps: 1}}}";
    Objects::new(World::shared().client(ADMIN).await).apply(&documents(quota)[0]).await.unwrap();
    let quotas: Api<ResourceQuota> = Api::namespaced(World::shared().client(ADMIN).await, "after-one");
    until("Kubernetes' own quota is counted", async || {
        quotas.get("none").await.unwrap().status.is_some_and(|status| status.used.is_some())
    })
    .await;
    // Each create that Kubernetes refuses is held until its request must have ended; so may be one of kube-root-ca.crt
    // that its controller sent twice.
    let mut held = 0;
    let full = loop {
        let Err(kube::Error::Api(status)) = create(&one, &format!("refused-{held}")).await else {
            panic!("Kubernetes' own quota let it in")
        };
        if !status.message.contains("exceeded quota: none") {
            break status.message;
        }
        held += 1;
    };
    assert!((1..=6).contains(&held), "{held} were held");
    assert!(full.contains("held for requests under way"), "{full}");
    let start = std::time::Instant::now();
    while create(&two, "room").await.is_err() {
        assert!(start.elapsed() < std::time::Duration::from_secs(90), "what was held is never free again");
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
}

const OWNER: &str = "{kind: User, name: alice, role: owner}";

async fn secrets(namespace: &str) -> Api<Secret> {
    until_ready(ALICE, namespace).await;
    Api::namespaced(World::shared().client(ALICE).await, namespace)
}

async fn secret(secrets: &Api<Secret>, name: &str) -> kube::Result<Secret> {
    let object = json!({"metadata": {"name": name}});
    secrets.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await
}
