//! Claims of host names, held against what is stored.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use kube::api::{Api, DynamicObject, ListParams, PostParams};
use kube::{Client, ResourceExt};
use model::{Holdings, TenantIndex};
use tokio::sync::watch::Receiver;
use tokio::time::{Instant, sleep};

use super::{CALLS, remove};
use crate::api::hostname::{HostnameClaim, HostnameClaimSpec, object_name};
use crate::cluster::{api_message, host_kinds};

/// How long a claim that nothing uses stays as it is before it goes: longer than a request that relies on it can take,
/// which the API server bounds by 34 s after its review.
const UNUSED: Duration = Duration::from_secs(45);
/// The pause between two looks while claims wait for that, and the longest without news.
const SOON: Duration = Duration::from_secs(5);
/// How many times as long as a look took it rests.
const IDLE: u32 = 20;
const LATER: Duration = Duration::from_mins(10);
/// The most objects of one list request.
const PAGE: u32 = 500;

/// The hosts in use, and which tenants use each; `None` for users outside of all tenants.
type Users = BTreeMap<String, BTreeSet<Option<String>>>;

/// Since when a claim, by its uid and version, is known as it is.
type Known = BTreeMap<(String, String), Instant>;

/// Removes claims that nothing uses any more, and makes those that are missing, for ever. Several may run at once.
pub(crate) async fn run(
    client: Client,
    mut holdings: Receiver<Arc<Holdings>>,
    index: Receiver<Arc<TenantIndex>>,
    mut synced: Receiver<bool>,
) {
    // An error means that the watch has ended, and with it the process.
    drop(synced.wait_for(|synced| *synced).await);
    let mut known = Known::new();
    loop {
        holdings.mark_unchanged();
        let start = Instant::now();
        let waiting = match pass(&client, &index, &mut known).await {
            Ok(waiting) => waiting,
            Err(error) => {
                tracing::warn!(error = api_message(&error), "claims of host names cannot be looked at");
                true
            }
        };
        // Where looking takes long it is done less often.
        sleep(SOON.max(start.elapsed().saturating_mul(IDLE))).await;
        if !waiting {
            let _news = tokio::time::timeout(LATER, holdings.changed()).await;
        }
    }
}

/// Looks once; whether claims are left that may have to go.
async fn pass(
    client: &Client,
    index: &Receiver<Arc<TenantIndex>>,
    known: &mut Known,
) -> Result<bool, kube::Error> {
    let api: Api<HostnameClaim> = Api::all(client.clone());
    // Claims before what is stored: what comes in between is either seen stored, or has changed its claim's version.
    let claims: Vec<HostnameClaim> = api.list(&ListParams::default()).await?.items;
    let tenants = Arc::clone(&index.borrow());
    let users = users(client, &tenants).await?;
    let plan = plan(&claims, &users, known, Instant::now());
    let removals: Vec<_> = plan.remove.iter().map(|claim| remove(&api, claim)).collect();
    futures::stream::iter(removals).buffer_unordered(CALLS).collect::<()>().await;
    let made: Vec<_> = plan.make.iter().map(|(host, tenant)| make(&api, host, tenant)).collect();
    futures::stream::iter(made).buffer_unordered(CALLS).collect::<()>().await;
    Ok(plan.waiting)
}

async fn make(api: &Api<HostnameClaim>, hostname: &str, tenant: &str) {
    let spec = HostnameClaimSpec {
        hostname: hostname.to_owned(),
        tenant: tenant.to_owned(),
        last_request: String::new(),
    };
    match api.create(&PostParams::default(), &HostnameClaim::new(&object_name(hostname), spec)).await {
        Ok(_) => {}
        Err(kube::Error::Api(status)) if status.code == 409 => {}
        Err(error) => tracing::warn!(hostname, error = api_message(&error), "a host name cannot be claimed"),
    }
}

/// Every host name in use as the store has it now.
async fn users(client: &Client, index: &TenantIndex) -> Result<Users, kube::Error> {
    let mut users = Users::new();
    for resource in host_kinds() {
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
        let mut parameters = ListParams::default().limit(PAGE);
        loop {
            let page = match api.list(&parameters).await {
                Ok(page) => page,
                // Where there is no such kind nobody uses any.
                Err(kube::Error::Api(status)) if status.code == 404 => break,
                Err(error) => return Err(error),
            };
            for object in &page.items {
                let tenant = index.name_for(&object.namespace().unwrap_or_default()).map(str::to_owned);
                for host in model::hosts(&object.data) {
                    users.entry(host).or_default().insert(tenant.clone());
                }
            }
            parameters.continue_token = page.metadata.continue_.filter(|token| !token.is_empty());
            if parameters.continue_token.is_none() {
                break;
            }
        }
    }
    Ok(users)
}

/// What is to be done.
struct Plan<'a> {
    remove: Vec<&'a HostnameClaim>,
    make: Vec<(&'a str, &'a str)>,
    /// Whether there are claims that nothing uses and that are too young to go.
    waiting: bool,
}

/// A claim goes that its tenant does not use, when it is known as it is for [`UNUSED`]. One is made for each name that
/// is used within one tenant alone.
fn plan<'a>(claims: &'a [HostnameClaim], users: &'a Users, known: &mut Known, now: Instant) -> Plan<'a> {
    let mut plan = Plan { remove: Vec::new(), make: Vec::new(), waiting: false };
    let mut still = Known::new();
    for claim in claims {
        // A namespace that belongs to nobody may be one that is not known yet.
        let uses = |tenants: &BTreeSet<Option<String>>| {
            tenants.contains(&None) || tenants.contains(&Some(claim.spec.tenant.clone()))
        };
        if users.get(&claim.spec.hostname).is_some_and(uses) {
            continue;
        }
        let key = (claim.uid().unwrap_or_default(), claim.resource_version().unwrap_or_default());
        let since = known.get(&key).copied().unwrap_or(now);
        if now.saturating_duration_since(since) >= UNUSED {
            plan.remove.push(claim);
        } else {
            plan.waiting = true;
        }
        still.insert(key, since);
    }
    *known = still;
    let claimed: BTreeSet<&str> = claims.iter().map(|claim| claim.spec.hostname.as_str()).collect();
    for (host, tenants) in users.iter().filter(|(host, _)| !claimed.contains(host.as_str())) {
        if let (1, Some(Some(tenant))) = (tenants.len(), tenants.first()) {
            plan.make.push((host, tenant));
        }
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(hostname: &str, tenant: &str, version: &str) -> HostnameClaim {
        let spec = HostnameClaimSpec {
            hostname: hostname.to_owned(),
            tenant: tenant.to_owned(),
            last_request: String::new(),
        };
        let mut claim = HostnameClaim::new(&object_name(hostname), spec);
        claim.metadata.uid = Some(hostname.to_owned());
        claim.metadata.resource_version = Some(version.to_owned());
        claim
    }

    fn used(users: &[(&str, &[Option<&str>])]) -> Users {
        let tenants =
            |tenants: &[Option<&str>]| tenants.iter().map(|tenant| tenant.map(str::to_owned)).collect();
        users.iter().map(|(host, all)| ((*host).to_owned(), tenants(all))).collect()
    }

    #[test]
    fn a_claim_goes_when_nothing_used_it_for_long_enough() {
        let users =
            used(&[("kept", &[Some("a")]), ("foreign", &[Some("b")]), ("unknown", &[None, Some("b")])]);
        let start = Instant::now();
        let mut known = Known::new();
        let claims = [
            claim("kept", "a", "1"),
            claim("left", "a", "2"),
            claim("foreign", "a", "3"),
            claim("unknown", "a", "5"),
        ];
        let first = plan(&claims, &users, &mut known, start);
        assert!(first.remove.is_empty() && first.waiting);
        let later = start + UNUSED;
        // One was asked for again.
        let claims = [claim("kept", "a", "1"), claim("left", "a", "4"), claim("foreign", "a", "3")];
        let second = plan(&claims, &users, &mut known, later);
        assert_eq!(second.remove, [&claims[2]]);
        assert!(second.waiting);
        let third = plan(&claims[..2], &users, &mut known, later + UNUSED);
        assert_eq!(third.remove, [&claims[1]]);
        assert!(!third.waiting);
        let last = plan(&claims[..1], &users, &mut known, later + UNUSED);
        assert!(last.remove.is_empty() && !last.waiting && known.is_empty());
    }

    #[test]
    fn what_one_tenant_alone_uses_gets_its_claim() {
        let users = used(&[
            ("one", &[Some("a")]),
            ("two", &[Some("a"), Some("b")]),
            ("mixed", &[None, Some("a")]),
            ("outside", &[None]),
        ]);
        let made = plan(&[], &users, &mut Known::new(), Instant::now()).make;
        assert_eq!(made, [("one", "a")]);
    }
}
