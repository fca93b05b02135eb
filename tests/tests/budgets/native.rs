//! Budgets that ResourceQuotas hold too, with grants that move between namespaces.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use futures::StreamExt;
use kube::ResourceExt;
use kube::runtime::watcher::{self, Event, watcher};
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
struct Sums {
    most: Arc<Mutex<(u64, u64)>>,
    running: JoinHandle<()>,
}

impl Sums {
    async fn follow(world: &World, tenant: &str) -> Self {
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

    fn most(&self) -> (u64, u64) {
        *self.most.lock().unwrap()
    }
}

impl Drop for Sums {
    fn drop(&mut self) {
        self.running.abort();
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
        let asked: Vec<String> = (0..30).map(|number| format!("map-{round}-{number}")).collect();
        let results = join_all(asked.iter().map(|name| create(maps, name))).await;
        let (made, refused): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
        for refused in refused {
            let Err(kube::Error::Api(status)) = refused else { panic!("{refused:?}") };
            assert!(status.message.contains("the budget of the tenant `native` is 20"), "{}", status.message);
        }
        assert_eq!(made.len(), 18, "round {round}");
        assert_eq!(count(maps).await + count(other).await, 20);
        let own = ListParams::default().fields("metadata.name!=kube-root-ca.crt");
        maps.delete_collection(&DeleteParams::default(), &own).await.unwrap();
    }
    let (allowed, charged) = sums.most();
    assert!(allowed <= 20 && charged <= 20, "{allowed} allowed, {charged} charged");
}
