//! Who has which host name: decided by the API server, so that every replica decides alike.
//!
//! **Guarantee.** Of all requests that want host names, through however many replicas and however far their watches
//! lag, two tenants never both get names that mean the same host: not the same name, and not one that is below the
//! other's wildcard.
//!
//! **How.** A name is claimed by creating the object that is called after it, and the API server creates one. Names that
//! cover each other have different objects, so a request first writes its claims and then reads, consistently, those
//! that could cover or be covered: of two requests that both wrote before they read, at least one sees the other (the
//! flags of Dekker's algorithm). Both may, and then both are refused and may ask again.
//!
//! A claim stays until [`upkeep`] has seen that no object of its tenant uses the name and that nobody has asked for it
//! for longer than a request can take. A tenant that asks again marks its claim, and a removal names the version it
//! looked at, so a claim that is in use again is not removed.
//!
//! **Cost.** For each new name a create, and one read for each part of it (names of one request share those); a request
//! with a wildcard reads all claims. An object that keeps its names costs nothing. A tenant brings [`MOST`] names at once
//! and then [`EACH_SECOND`] a second through each replica, so that one request of its is not hundreds of Bailey's.

mod upkeep;

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use governor::clock::{Clock, DefaultClock};
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Client, ResourceExt};
use model::{HostnameAsk, HostnameFault, covers, wildcards_above};
use serde_json::json;

use crate::api::hostname::{HostnameClaim, HostnameClaimSpec, object_name};
use crate::cluster::api_message;

pub(crate) use upkeep::run as upkeep;

/// The most calls at once for one request.
const CALLS: usize = 8;
/// How often a name is tried that comes and goes while it is looked at, and the pause before the next time.
const ATTEMPTS: usize = 10;
const PAUSE: Duration = Duration::from_millis(10);
/// The most new names of one request, and of a tenant at once.
const MOST: NonZeroU32 = NonZeroU32::new(500).unwrap();
/// How many new names of a tenant there may be in a second after that.
const EACH_SECOND: NonZeroU32 = NonZeroU32::new(10).unwrap();
/// Who writes claims.
const MANAGER: &str = "bailey";

/// How fast each tenant brings names.
type Pace = RateLimiter<String, HashMapStateStore<String>, DefaultClock>;

/// Claims host names for tenants.
#[derive(Clone)]
pub struct Hostnames {
    api: Api<HostnameClaim>,
    pace: Arc<Pace>,
}

/// The claims that a request made. They stay when this is dropped.
#[must_use]
pub struct Claimed {
    api: Api<HostnameClaim>,
    new: Vec<HostnameClaim>,
}

impl Hostnames {
    /// Claims at this API server.
    pub(crate) fn new(client: Client) -> Self {
        let quota = Quota::per_second(EACH_SECOND).allow_burst(MOST);
        Self { api: Api::all(client), pace: Arc::new(RateLimiter::hashmap(quota)) }
    }

    /// Claims names for a tenant, all or none; a dry run looks only. There is no limit of time.
    ///
    /// # Errors
    /// Another tenant has one of them, or the API server does not say.
    pub async fn claim(&self, ask: &HostnameAsk) -> Result<Claimed, HostnameFault> {
        self.pace(ask)?;
        let mut claimed = Claimed { api: self.api.clone(), new: Vec::new() };
        let result = match self.own(ask, &mut claimed.new).await {
            Ok(()) => self.check_overlap(ask).await,
            Err(fault) => Err(fault),
        };
        match result {
            Ok(()) => Ok(claimed),
            Err(fault) => {
                claimed.give_back().await;
                Err(fault)
            }
        }
    }

    /// Holds a tenant to its pace.
    fn pace(&self, ask: &HostnameAsk) -> Result<(), HostnameFault> {
        let count = ask.names.len();
        let Some(names) = u32::try_from(count).ok().and_then(NonZeroU32::new) else { return Ok(()) };
        let why = match self.pace.check_key_n(&ask.tenant, names) {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(early)) => {
                let wait = early.wait_time_from(DefaultClock::default().now()).as_secs().saturating_add(1);
                format!("the tenant brings more than {EACH_SECOND} new names a second, try again in {wait} s")
            }
            Err(_) => format!("they are {count}, and one request may bring {MOST} new ones"),
        };
        Err(HostnameFault::Unavailable(why))
    }

    /// Has every name claimed by the tenant; `new` gets those that were not.
    async fn own(&self, ask: &HostnameAsk, new: &mut Vec<HostnameClaim>) -> Result<(), HostnameFault> {
        let names = ask.names.iter().map(|name| self.own_one(ask, name));
        let mut results = futures::stream::iter(names.collect::<Vec<_>>()).buffer_unordered(CALLS);
        let mut first = Ok(());
        // To its end, so that what was claimed is known when another name was not.
        while let Some(result) = results.next().await {
            match result {
                Ok(claim) => new.extend(claim),
                Err(fault) => first = first.and(Err(fault)),
            }
        }
        first
    }

    async fn own_one(&self, ask: &HostnameAsk, name: &str) -> Result<Option<HostnameClaim>, HostnameFault> {
        let taken = || HostnameFault::Taken(name.to_owned());
        let object = object_name(name);
        for _attempt in 0..ATTEMPTS {
            let found = self.api.get_opt(&object).await.map_err(|error| unavailable(&error))?;
            match found {
                Some(claim) if claim.spec.tenant != ask.tenant => return Err(taken()),
                _ if ask.dry_run => return Ok(None),
                Some(_) => match self.mark(&object, &ask.request).await? {
                    Some(claim) if claim.spec.tenant == ask.tenant => return Ok(None),
                    Some(_) => return Err(taken()),
                    None => {}
                },
                None => {
                    let claim = self.create(&object, name, ask).await?;
                    if claim.is_some() {
                        return Ok(claim);
                    }
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err(HostnameFault::Unavailable(format!("`{name}` is wanted by many at once")))
    }

    /// Creates a claim; `None` where there is one already.
    async fn create(
        &self,
        object: &str,
        name: &str,
        ask: &HostnameAsk,
    ) -> Result<Option<HostnameClaim>, HostnameFault> {
        let spec = HostnameClaimSpec {
            hostname: name.to_owned(),
            tenant: ask.tenant.clone(),
            last_request: ask.request.clone(),
        };
        match self.api.create(&PostParams::default(), &HostnameClaim::new(object, spec)).await {
            Ok(claim) => Ok(Some(claim)),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(None),
            Err(error) => Err(unavailable(&error)),
        }
    }

    /// Marks a claim as wanted again; `None` where it is gone.
    async fn mark(&self, object: &str, request: &str) -> Result<Option<HostnameClaim>, HostnameFault> {
        let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        let patch = Patch::Merge(json!({"spec": {"lastRequest": request}}));
        match self.api.patch(object, &parameters, &patch).await {
            Ok(claim) => Ok(Some(claim)),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
            Err(error) => Err(unavailable(&error)),
        }
    }

    /// Whether another tenant has a name that covers one of these, or that one of these covers.
    async fn check_overlap(&self, ask: &HostnameAsk) -> Result<(), HostnameFault> {
        let wide: Vec<&String> =
            ask.names.iter().filter(|name| name.is_empty() || name.starts_with('*')).collect();
        if !wide.is_empty() {
            // Without a version the list is as the store is now.
            let all = self.api.list(&ListParams::default()).await.map_err(|error| unavailable(&error))?;
            let others = all.items.iter().filter(|claim| claim.spec.tenant != ask.tenant);
            let meets = |claim: &HostnameClaim| {
                let known = &claim.spec.hostname;
                ask.names.iter().find(|name| covers(name, known) || covers(known, name)).cloned()
            };
            return others.filter_map(meets).next().map_or(Ok(()), |name| Err(HostnameFault::Taken(name)));
        }
        let above: BTreeSet<String> = ask.names.iter().flat_map(|name| wildcards_above(name)).collect();
        let reads = above.into_iter().map(async |wide| {
            let found = self.api.get_opt(&object_name(&wide)).await.map_err(|error| unavailable(&error))?;
            match found.filter(|claim| claim.spec.tenant != ask.tenant) {
                None => Ok(()),
                Some(_) => {
                    let name = ask.names.iter().find(|name| covers(&wide, name)).cloned();
                    Err(HostnameFault::Taken(name.unwrap_or(wide)))
                }
            }
        });
        let reads: Vec<_> = reads.collect();
        futures::stream::iter(reads).buffer_unordered(CALLS).try_collect().await
    }
}

impl Claimed {
    /// Takes back the claims that are new with this request: it was refused after all. One that the tenant has asked
    /// for again meanwhile stays, and so does what cannot be removed now; [`upkeep`] finds it.
    pub async fn give_back(self) {
        let api = &self.api;
        let removals = self.new.iter().map(async |claim| remove(api, claim).await);
        let removals: Vec<_> = removals.collect();
        futures::stream::iter(removals).buffer_unordered(CALLS).collect::<()>().await;
    }
}

/// Removes a claim in the version that was looked at.
async fn remove(api: &Api<HostnameClaim>, claim: &HostnameClaim) {
    let (uid, resource_version) = (claim.uid(), claim.resource_version());
    let parameters = DeleteParams {
        preconditions: Some(Preconditions { uid, resource_version }),
        ..DeleteParams::default()
    };
    match api.delete(&claim.name_any(), &parameters).await {
        Ok(_) => {}
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {}
        Err(error) => {
            let (hostname, error) = (&claim.spec.hostname, api_message(&error));
            tracing::warn!(hostname, error, "a claim of a host name cannot be removed now");
        }
    }
}

fn unavailable(error: &kube::Error) -> HostnameFault {
    HostnameFault::Unavailable(api_message(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_tenant_is_held_to_its_pace_and_no_other() {
        let client = Client::try_from(kube::Config::new("http://127.0.0.1:1".parse().unwrap())).unwrap();
        let hostnames = Hostnames::new(client);
        let ask = |tenant: &str, count: usize| {
            let names = (0..count).map(|number| format!("{number}.example.org")).collect();
            let (tenant, request) = (tenant.to_owned(), String::new());
            hostnames.pace(&HostnameAsk { tenant, names, request, dry_run: false })
        };
        let why = |result: Result<(), HostnameFault>| match result {
            Err(HostnameFault::Unavailable(why)) => why,
            other => panic!("{other:?}"),
        };
        assert!(why(ask("a", 501)).contains("they are 501, and one request may bring 500"));
        assert_eq!(ask("a", 500), Ok(()));
        assert!(why(ask("a", 200)).contains("more than 10 new names a second, try again in "));
        assert_eq!(ask("b", 500), Ok(()));
        assert_eq!(ask("a", 0), Ok(()));
    }
}
