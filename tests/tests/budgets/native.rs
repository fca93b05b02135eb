//! Budgets that ResourceQuotas hold too, with grants that move between namespaces.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::StreamExt;
use k8s_openapi::api::core::v1::Namespace;
use kube::ResourceExt;
use kube::runtime::watcher::{self, Event, watcher};
use serde_json::Value;
use tokio::task::JoinHandle;

use super::*;

/// The ResourceQuota of a tenant's whole budget in a namespace.
async fn grant(tenant: &str, namespace: &str) -> Option<ResourceQuota> {
    let quotas: Api<ResourceQuota> = Api::namespaced(World::shared().client(ADMIN).await, namespace);
    quotas.get_opt(&format!("bailey-grant.{tenant}")).await.unwrap()
}

/// What a quota allows and what is charged to it, of ConfigMaps.
fn stands(quota: &ResourceQuota) -> Option<(u64, u64)> {
    let status = quota.status.as_ref()?;
    let of = |hard: &Option<BTreeMap<_, k8s_openapi::apimachinery::pkg::api::resource::Quantity>>| {
        hard.as_ref()?.get("configmaps")?.0.parse().ok()
    };
    Some((of(&status.hard)?, of(&status.used)?))
}

/// Follows the quotas of a tenant: the most that all of them ever allowed together, and the most that was charged.
pub(super) struct Sums {
    most: Arc<Mutex<(u64, u64)>>,
    running: JoinHandle<()>,
}

impl Sums {
    pub(super) async fn follow(world: &World, tenant: &str) -> Self {
        let api: Api<ResourceQuota> = Api::all(world.client(ADMIN).await);
        let name = format!("metadata.name=bailey-grant.{tenant}");
        let most = Arc::new(Mutex::new((0, 0)));
        let seen = Arc::clone(&most);
        let running = tokio::spawn(async move {
            let mut events = Box::pin(watcher(api, watcher::Config::default().fields(&name)));
            let mut all: BTreeMap<String, (u64, u64)> = BTreeMap::new();
            while let Some(event) = events.next().await {
                match event {
                    Ok(Event::Apply(quota) | Event::InitApply(quota)) => {
                        all.insert(quota.namespace().unwrap(), stands(&quota).unwrap_or_default());
                    }
                    Ok(Event::Delete(quota)) => _ = all.remove(&quota.namespace().unwrap()),
                    _ => continue,
                }
                let sum = all.values().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
                let mut most = seen.lock().unwrap();
                *most = (most.0.max(sum.0), most.1.max(sum.1));
            }
        });
        Self { most, running }
    }

    pub(super) fn most(&self) -> (u64, u64) {
        *self.most.lock().unwrap()
    }
}

impl Drop for Sums {
    fn drop(&mut self) {
        self.running.abort();
    }
}

/// Creates so many, each tried again while something is held for requests that may not have ended.
pub(super) async fn fill(maps: &Api<ConfigMap>, prefix: &str, many: usize) {
    fill_for(Duration::from_secs(100), "there is room", many, async |number| {
        create(maps, &format!("{prefix}-{number}")).await.map(drop)
    })
    .await;
}

/// The same with some way to create one by its number, for no longer than that in all.
pub(super) async fn fill_for(
    longest: Duration,
    what: &str,
    many: usize,
    create: impl AsyncFn(usize) -> kube::Result<()>,
) {
    let start = Instant::now();
    for number in 0..many {
        while let Err(error) = create(number).await {
            assert!(start.elapsed() < longest, "{what}; {number} are let in: {error}");
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}

async fn until_granted(tenant: &str, namespaces: &[&str]) {
    for namespace in namespaces {
        until(&format!("the grant in {namespace} stands"), async || {
            grant(tenant, namespace).await.as_ref().and_then(stands).is_some_and(|(hard, _)| hard > 0)
        })
        .await;
    }
}

#[tokio::test]
async fn a_native_budget_moves_to_the_namespace_that_needs_it_and_is_never_passed() {
    let names = ["native-one", "native-two"];
    tenant("native", "alice", "{hard: {configmaps: 20}, enforcement: Native}", &names).await;
    let sums = Sums::follow(World::shared(), "native").await;
    let (one, two) = (until_ready(ALICE, names[0]).await, until_ready(ALICE, names[1]).await);
    until_granted("native", &names).await;
    for round in 0..2 {
        // Each namespace has a ConfigMap of Kubernetes' own: the rest goes to one of them, then to the other.
        let (maps, other) = if round == 0 { (&one, &two) } else { (&two, &one) };
        let asked: Vec<String> = (0..30).map(|number| format!("burst-{number}")).collect();
        let results = join_all(asked.iter().map(|name| create(maps, name))).await;
        let (made, refused): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
        for refused in refused {
            let Err(kube::Error::Api(status)) = refused else { panic!("{refused:?}") };
            assert!(status.message.contains("the budget of the tenant `native` is 20"), "{}", status.message);
        }
        assert!((16..=18).contains(&made.len()), "round {round}: {} were let in", made.len());
        fill(maps, "rest", 18 - made.len()).await;
        assert_eq!(count(maps).await + count(other).await, 20);
        assert!(create(maps, "over").await.is_err());
        let own = ListParams::default().fields("metadata.name!=kube-root-ca.crt");
        maps.delete_collection(&DeleteParams::default(), &own).await.unwrap();
    }
    let (allowed, charged) = sums.most();
    assert!(allowed <= 20 && charged <= 20, "{allowed} allowed, {charged} charged");
}

/// Does something to a grant as one of the cluster's own controllers, which Bailey does not keep from it.
fn as_controller(account: &str, arguments: &[&str]) -> Result<String, String> {
    let robot = format!("--as=system:serviceaccount:kube-system:{account}");
    let output = World::shared().kubectl(ADMIN, &[&[robot.as_str()][..], arguments].concat());
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

#[tokio::test]
async fn grants_are_nobodys_to_change_and_are_put_right_again() {
    let names = ["kept-one", "kept-two"];
    let _tenant = tenant("kept", "alice", "{hard: {configmaps: 10}, enforcement: Native}", &names).await;
    until_granted("kept", &names).await;
    let own = || async { grant("kept", "kept-one").await };
    let before = own().await.unwrap();
    let admin: Api<ResourceQuota> = Api::namespaced(World::shared().client(ADMIN).await, "kept-one");
    let wide = Patch::Merge(json!({"spec": {"hard": {"configmaps": "1000"}}}));
    let tries = [
        admin.patch("bailey-grant.kept", &PatchParams::default(), &wide).await.map(drop),
        admin.delete("bailey-grant.kept", &DeleteParams::default()).await.map(drop),
        admin.delete_collection(&DeleteParams::default(), &ListParams::default()).await.map(drop),
    ];
    for tried in tries {
        let Err(kube::Error::Api(status)) = tried else { panic!("{tried:?}") };
        assert!(status.message.contains("wall `native-grants`"), "{}", status.message);
    }
    assert_eq!(own().await.unwrap().metadata.uid, before.metadata.uid);

    // Whoever passes the wall changes nothing for long.
    let quota = ["-n", "kept-one", "patch", "resourcequota", "bailey-grant.kept", "--type=merge", "-p"];
    let edit = r#"{"spec": {"hard": {"configmaps": "1000", "secrets": "1"}}}"#;
    as_controller("generic-garbage-collector", &[&quota[..], &[edit]].concat()).unwrap();
    until("the edit is undone", async || {
        let found = own().await.unwrap();
        let hard = found.spec.clone().unwrap().hard.unwrap();
        hard.len() == 1 && stands(&found).is_some_and(|(hard, _)| hard <= 10)
    })
    .await;
    let delete = ["-n", "kept-one", "delete", "resourcequota", "bailey-grant.kept"];
    as_controller("generic-garbage-collector", &delete).unwrap();
    until("it is made again", async || {
        let found = own().await.filter(|found| found.metadata.uid != before.metadata.uid);
        found.as_ref().and_then(stands).is_some_and(|(hard, used)| hard >= used && used > 0)
    })
    .await;
    let maps = until_ready(ALICE, "kept-one").await;
    create(&maps, "after").await.unwrap();
}

#[tokio::test]
async fn a_deleted_record_of_grants_is_made_again_and_the_budget_holds() {
    let names = ["recorded-one", "recorded-two"];
    tenant("recorded", "alice", "{hard: {configmaps: 12}, enforcement: Native}", &names).await;
    let sums = Sums::follow(World::shared(), "recorded").await;
    until_granted("recorded", &names).await;
    let (one, two) = (until_ready(ALICE, names[0]).await, until_ready(ALICE, names[1]).await);
    fill(&one, "before", 4).await;
    let kind = kube::api::ApiResource::from_gvk(&kube::core::GroupVersionKind::gvk(
        "bailey.dev",
        "v1alpha1",
        "GrantLedger",
    ));
    let records: Api<kube::api::DynamicObject> = Api::all_with(World::shared().client(ADMIN).await, &kind);
    let all = records.list(&ListParams::default()).await.unwrap();
    let name = all.iter().map(ResourceExt::name_any).find(|name| name.contains("recorded")).unwrap();
    let before = records.get(&name).await.unwrap().uid();
    records.delete(&name, &DeleteParams::default()).await.unwrap();
    // One comes from each namespace's own, four are there: six are left.
    fill(&two, "after", 6).await;
    until("the record is made again", async || {
        records.get_opt(&name).await.unwrap().is_some_and(|found| found.uid() != before)
    })
    .await;
    assert!(create(&two, "over").await.is_err());
    assert_eq!(count(&one).await + count(&two).await, 12);
    let (allowed, charged) = sums.most();
    assert!(allowed <= 12 && charged <= 12, "{allowed} allowed, {charged} charged");
}

#[tokio::test]
async fn a_count_below_what_is_stored_is_refused_and_a_true_one_is_not() {
    tenant("counted", "alice", "{hard: {configmaps: 10}, enforcement: Native}", &["counted-one"]).await;
    let maps = until_ready(ALICE, "counted-one").await;
    until_granted("counted", &["counted-one"]).await;
    for number in 0..4 {
        create(&maps, &format!("map-{number}")).await.unwrap();
    }
    let used = async |most: u64| {
        tests::until_some(&format!("{most} are counted"), async || {
            grant("counted", "counted-one")
                .await
                .filter(|quota| stands(quota).is_some_and(|(_, used)| used == most))
        })
        .await
    };
    let path = "/api/v1/namespaces/counted-one/resourcequotas/bailey-grant.counted/status";
    let mut stale = serde_json::to_value(used(5).await).unwrap();
    stale["apiVersion"] = json!("v1");
    stale["kind"] = json!("ResourceQuota");
    stale["status"]["used"]["configmaps"] = json!("2");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), stale.to_string()).unwrap();
    let write = ["replace", "--raw", path, "-f", file.path().to_str().unwrap()];
    let refused = as_controller("resourcequota-controller", &write).unwrap_err();
    assert!(refused.contains("5 of `configmaps` are known to be used or under way"), "{refused}");
    assert!(World::shared().bailey.metrics().contains("bailey_quota_grant_counts_total{result=\"refused\"}"));
    used(5).await;
    // Kubernetes' own controller counts what is true, and is believed.
    maps.delete("map-0", &DeleteParams::default()).await.unwrap();
    maps.delete("map-1", &DeleteParams::default()).await.unwrap();
    used(3).await;
}

#[tokio::test]
async fn enforcement_is_switched_on_and_off_with_objects_there() {
    let spec = |enforcement: &str| {
        format!(
            "{{members: [{{kind: User, name: alice, role: owner}}], namespaces: {{prefix: ''}}, \
             quota: {{hard: {{configmaps: 9}}, enforcement: {enforcement}}}}}"
        )
    };
    let names = ["switched-one", "switched-two"];
    let tenant = tenant("switched", "alice", "{hard: {configmaps: 9}}", &names).await;
    let (one, two) = (until_ready(ALICE, names[0]).await, until_ready(ALICE, names[1]).await);
    for number in 0..4 {
        create(&one, &format!("map-{number}")).await.unwrap();
    }
    let sums = Sums::follow(World::shared(), "switched").await;
    tenant.set(&spec("Native")).await;
    until("the tenant says that its grants stand", async || {
        let status = &tenant.get().await.data["status"];
        let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
        conditions.iter().any(|one| one["type"] == "GrantsStand" && one["status"] == "True")
    })
    .await;
    // Five are in one, and one more is Kubernetes' own here.
    fill(&two, "map", 3).await;
    assert!(create(&two, "map-3").await.is_err());
    assert_eq!(count(&one).await + count(&two).await, 9);
    assert!(sums.most().0 <= 9, "{:?}", sums.most());

    tenant.set(&spec("Ledger")).await;
    let ledger =
        &documents("{apiVersion: bailey.dev/v1alpha1, kind: GrantLedger, metadata: {name: switched}}")[0];
    let admin = Objects::new(World::shared().client(ADMIN).await);
    until("nothing is left of the grants", async || {
        let quotas = [grant("switched", names[0]).await, grant("switched", names[1]).await];
        quotas.iter().all(Option::is_none) && admin.get(ledger).await.is_err()
    })
    .await;
    one.delete("map-0", &DeleteParams::default()).await.unwrap();
    until("the ledger goes on", async || create(&two, "after").await.is_ok()).await;
    assert!(create(&two, "over").await.is_err());
}

#[tokio::test]
async fn a_namespace_that_comes_gets_a_grant_and_one_that_goes_leaves_it() {
    let quota = "{hard: {configmaps: 12}, enforcement: Native}";
    tenant("moving", "alice", quota, &["moving-one"]).await;
    let one = until_ready(ALICE, "moving-one").await;
    give_namespace(World::shared(), "moving", "moving-two").await;
    // Nobody has rights there before its quota holds the budget.
    assert!(grant("moving", "moving-two").await.as_ref().and_then(stands).is_some());
    let two = until_ready(ALICE, "moving-two").await;
    fill(&two, "map", 10).await;
    assert_eq!(refusal(create(&one, "over").await).reason, "quota_exceeded");
    let all: Api<Namespace> = Api::all(World::shared().client(ADMIN).await);
    all.delete("moving-two", &DeleteParams::default()).await.unwrap();
    until("the namespace is gone", async || all.get_opt("moving-two").await.unwrap().is_none()).await;
    fill(&one, "map", 11).await;
    let record =
        &documents("{apiVersion: bailey.dev/v1alpha1, kind: GrantLedger, metadata: {name: moving}}")[0];
    let admin = Objects::new(World::shared().client(ADMIN).await);
    until("the record has forgotten it", async || {
        let found = admin.get(record).await.unwrap();
        let granted = found.data["spec"]["grants"].as_array().cloned().unwrap_or_default();
        granted.iter().all(|one: &Value| one["namespace"] == "moving-one")
    })
    .await;
}

#[tokio::test]
async fn a_band_has_a_quota_of_its_priority_classes() {
    let quota = "{hard: {pods: 6}, bands: [{name: urgent, priorityClasses: [system-cluster-critical], hard: {pods: 2}}, \
                 {name: rest, hard: {pods: 3}}], enforcement: Native}";
    tenant("banded", "alice", quota, &["banded-one"]).await;
    let quotas: Api<ResourceQuota> = Api::namespaced(World::shared().client(ADMIN).await, "banded-one");
    for (name, operator) in [("urgent", "In"), ("rest", "NotIn")] {
        until(&format!("the band {name} is held"), async || {
            let Some(found) = quotas.get_opt(&format!("bailey-grant.banded.{name}")).await.unwrap() else {
                return false;
            };
            let selector = found.spec.and_then(|spec| spec.scope_selector).unwrap_or_default();
            let row = selector.match_expressions.unwrap_or_default().remove(0);
            let counted = found.status.and_then(|status| status.used).unwrap_or_default();
            row.operator == operator && counted.contains_key("pods")
        })
        .await;
    }
    let pods: Api<Pod> = Api::namespaced(World::shared().client(ALICE).await, "banded-one");
    let pod = |name: String| -> Pod {
        let spec =
            json!({"containers": [{"name": "c", "image": "i"}], "automountServiceAccountToken": false});
        serde_json::from_value(json!({"metadata": {"name": name}, "spec": spec})).unwrap()
    };
    until("the owner may write", async || {
        !is_forbidden(
            pods.create(&PostParams { dry_run: true, ..PostParams::default() }, &pod("dry".to_owned())).await,
        )
    })
    .await;
    let results = join_all((0..5).map(|number| {
        let (pods, pod) = (pods.clone(), pod(format!("pod-{number}")));
        async move { pods.create(&PostParams::default(), &pod).await }
    }))
    .await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 3, "{results:?}");
}

#[tokio::test]
async fn a_native_budget_below_what_is_used_only_falls_and_a_child_is_held_too() {
    let names = ["fallen-one", "fallen-two"];
    let spec = |most: u32| {
        format!(
            "{{members: [{{kind: User, name: alice, role: owner}}], namespaces: {{prefix: ''}}, \
             quota: {{hard: {{configmaps: {most}}}, enforcement: Native}}}}"
        )
    };
    let parent =
        tenant("fallen", "alice", "{hard: {configmaps: 12}, enforcement: Native}", &names[..1]).await;
    Tenant::create(
        "fallen-child",
        "{parent: fallen, namespaces: {prefix: ''}, quota: {hard: {configmaps: 6}}}",
    )
    .await;
    give_namespace(World::shared(), "fallen-child", names[1]).await;
    until_granted("fallen", &names).await;
    let (one, two) = (until_ready(ALICE, names[0]).await, maps(ADMIN, names[1]).await);
    fill(&one, "map", 4).await;
    fill(&two, "map", 4).await;
    let sum = async || {
        let quotas = [grant("fallen", names[0]).await, grant("fallen", names[1]).await];
        quotas.iter().flatten().filter_map(stands).map(|(hard, _)| hard).sum::<u64>()
    };
    parent.set(&spec(5)).await;
    until("nothing is idle any more", async || sum().await == 10).await;
    let sums = Sums::follow(World::shared(), "fallen").await;
    assert_eq!(refusal(create(&one, "over").await).reason, "quota_exceeded");
    let own = ListParams::default().fields("metadata.name!=kube-root-ca.crt");
    for maps in [&one, &two] {
        maps.delete_collection(&DeleteParams::default(), &own).await.unwrap();
    }
    until("what is used falls below the budget", async || sum().await <= 5).await;
    assert!(sums.most().0 <= 10, "{:?}", sums.most());
    fill(&one, "again", 3).await;
    assert!(create(&two, "over").await.is_err());
}
