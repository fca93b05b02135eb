//! How often tenants may change things, for clusters whose users reach the API server past the gateway.
//!
//! A request counts once, when it is validated: webhooks may be asked twice in the mutating phase. It is held to the rate
//! before anything else is done for it. The cluster's own controllers and administrators are held to none: what a
//! tenant's objects have them do is bounded by its budgets. Each replica lets its part of a rate pass.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fairness::rates::{ByTenant, Class, Nanos, Start, Timed};
use model::{Operation, Request};
use tokio::sync::watch;

/// Holds tenants to the rates of their classes.
#[derive(Debug)]
pub struct WriteRates {
    rates: Timed,
    wanted: watch::Receiver<Arc<ByTenant>>,
    /// What `rates` was set to last.
    set: Mutex<Arc<ByTenant>>,
}

/// Why a request comes too soon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TooSoon {
    pub(crate) message: String,
    /// When a client should try again by itself; `None` where that would be too long to wait without being told.
    pub(crate) wait: Option<Duration>,
}

impl TooSoon {
    /// How many seconds a client should wait, rounded up.
    pub(crate) fn seconds(&self) -> Option<u32> {
        self.wait.map(|wait| u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).saturating_add(1))
    }
}

impl WriteRates {
    /// The rates of tenants, as they are published, and how much of them may pass here.
    pub fn new(wanted: watch::Receiver<Arc<ByTenant>>, rates: Timed) -> Self {
        Self { rates, wanted, set: Mutex::default() }
    }

    /// Lets a request pass at the cost of a tenant, or says when it may come again.
    pub(crate) fn pass(&self, tenant: &str, request: &Request) -> Result<(), TooSoon> {
        let now = self.rates.now();
        self.renew(now);
        let (class, user) = (class_of(request), request.user.username.as_str());
        self.rates.check(now, tenant, class, Some(user), 1).map_err(|refusal| TooSoon {
            message: refusal.told(tenant, user, class),
            wait: refusal.retry().map(Duration::from_nanos),
        })
    }

    /// Takes in what has changed.
    fn renew(&self, now: Nanos) {
        let wanted = Arc::clone(&self.wanted.borrow());
        let mut set = self.set.lock().unwrap_or_else(PoisonError::into_inner);
        if Arc::ptr_eq(&set, &wanted) {
            return;
        }
        for (tenant, limits) in wanted.iter() {
            // Of all tenants only few have changed.
            let same = |known: &Arc<BTreeMap<_, _>>| Arc::ptr_eq(known, limits) || known == limits;
            if !set.get(tenant).is_some_and(same) {
                for (class, limits) in limits.iter() {
                    self.rates.set(now, tenant, *class, *limits, Start::Full);
                }
            }
        }
        self.rates
            .retain(|tenant, class| wanted.get(tenant).is_some_and(|limits| limits.contains_key(&class)));
        *set = wanted;
    }
}

/// As the gateway counts it; webhooks are asked about no reads.
pub(crate) fn class_of(request: &Request) -> Class {
    match request.operation {
        Operation::Connect => Class::Exec,
        _ => Class::of_change(
            &request.resource.group,
            &request.resource.resource,
            Some(request.sub_resource.as_str()),
        ),
    }
}

#[cfg(test)]
mod tests {
    use fairness::rates::{Limit, Limits, Rates};

    use super::*;

    fn request(operation: &str, resource: &str, user: &str) -> Request {
        let review = serde_json::json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "request": {
                "uid": "u", "operation": operation, "userInfo": {"username": user}, "namespace": "a", "name": "x",
                "kind": {"group": "", "version": "v1", "kind": "Thing"},
                "resource": {"group": "", "version": "v1", "resource": resource},
            },
        });
        model::decode_review(&review.to_string().into()).unwrap()
    }

    fn rates(all: &[(&str, Class, u32)]) -> Arc<ByTenant> {
        let mut found = ByTenant::new();
        for (tenant, class, burst) in all {
            let limit = Limit { rate: fairness::rates::Rate::thousandths(1), burst: *burst };
            let limits = Limits { tenant: limit, user: None };
            Arc::make_mut(found.entry((*tenant).to_owned()).or_default()).insert(*class, limits);
        }
        Arc::new(found)
    }

    #[test]
    fn a_tenant_is_held_to_its_rate_whoever_asks_and_others_are_not() {
        let wanted = watch::Sender::new(rates(&[("shop", Class::Write, 2)]));
        let rates_of = WriteRates::new(wanted.subscribe(), Timed::new(Rates::new(), || 0));
        let write = |tenant: &str, user: &str| rates_of.pass(tenant, &request("CREATE", "configmaps", user));
        assert_eq!((write("shop", "a"), write("shop", "b")), (Ok(()), Ok(())));
        let refused = write("shop", "c").unwrap_err();
        assert_eq!(
            refused.message,
            "tenant shop may send 0.001 requests of class `write` per second, and 2 at once; the next one passes in \
             16 min 40 s"
        );
        assert_eq!(refused.wait, None, "nobody waits for so long without being told");
        assert_eq!(write("bank", "c"), Ok(()));
        let exec = request("CONNECT", "pods", "c");
        assert_eq!(rates_of.pass("shop", &exec), Ok(()), "another class");
        // A new limit is no reason to begin anew, and without one everything passes.
        wanted.send_replace(rates(&[("shop", Class::Write, 3), ("bank", Class::Write, 1)]));
        assert!(write("shop", "a").is_err());
        assert!(write("bank", "a").is_ok() && write("bank", "a").is_err());
        wanted.send_replace(rates(&[("bank", Class::Write, 1)]));
        assert!(write("shop", "a").is_ok() && write("bank", "a").is_err());
    }

    #[test]
    fn requests_have_the_class_that_the_gateway_gives_them() {
        let of = |operation, resource| class_of(&request(operation, resource, "a"));
        assert_eq!(of("DELETE", "pods"), Class::Write);
        assert_eq!(of("CONNECT", "pods"), Class::Exec);
        assert_eq!(of("CREATE", "events"), Class::Event);
        let mut token = request("CREATE", "serviceaccounts", "a");
        token.sub_resource = "token".to_owned();
        assert_eq!(class_of(&token), Class::Token);
    }
}
