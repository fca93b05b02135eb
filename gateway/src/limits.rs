//! What each tenant may do at once and in a second, and what it does.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use fairness::rates::{Class, Limits, Refusal as RateRefusal, Start, Timed};
use model::{Code, UserInfo};

use crate::body::Pace;
use crate::refusal::Refusal;
use crate::target::{Target, Verb};

/// What a tenant may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantLimits {
    /// Requests per second for each of [`Class::ALL`]; `None` without a limit.
    pub rates: [Option<Limits>; Class::ALL.len()],
    /// The most requests under way at once, but for those that stay open.
    pub requests: u32,
    /// The most watches, logs, exec, attach and port-forward streams open at once.
    pub streams: u32,
    /// The most bytes of answers in a second; `None` without a limit.
    pub bytes_per_second: Option<NonZeroU32>,
    /// The most objects that a list may ask for, and then every list has to say how many; `None` without a limit.
    pub page: Option<u64>,
}

/// The limits of a tenant by its name. As long as they are the same it gives the same `Arc`: that is how a change is seen.
pub type LimitsOf = Arc<dyn Fn(&str) -> Arc<TenantLimits> + Send + Sync>;

/// What a tenant does now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TenantLoad {
    /// Its requests under way, but for those that stay open.
    pub under_way: u32,
    /// Its open watches and streams.
    pub streams: u32,
    /// The bytes of its answers until now.
    pub bytes: u64,
    /// Its requests that wait for a seat at the API server.
    pub waiting: u32,
    /// Its seats there.
    pub seats: u32,
}

/// What tenants do now.
pub(crate) struct Accounts {
    limits_of: LimitsOf,
    rates: Timed,
    accounts: Mutex<HashMap<String, Arc<Account>>>,
}

/// What a tenant does now, under these limits.
struct Account {
    limits: Arc<TenantLimits>,
    use_: Arc<Use>,
    pace: Option<Arc<Pace>>,
}

#[derive(Debug, Default)]
struct Use {
    requests: AtomicU32,
    streams: AtomicU32,
    bytes: AtomicU64,
}

/// A tenant's place for one request, given back when it is dropped.
pub(crate) struct Place {
    use_: Arc<Use>,
    stream: bool,
    pub(crate) pace: Option<Arc<Pace>>,
}

impl Use {
    fn of(&self, stream: bool) -> &AtomicU32 {
        if stream { &self.streams } else { &self.requests }
    }
}

impl Place {
    /// Takes note of bytes that went to the tenant.
    pub(crate) fn count(&self, bytes: u64) {
        self.use_.bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.use_.of(self.stream).fetch_sub(1, Ordering::AcqRel);
    }
}

impl Accounts {
    pub(crate) fn new(limits_of: LimitsOf, rates: Timed) -> Self {
        Self { limits_of, rates, accounts: Mutex::default() }
    }

    /// Lets a request of a tenant pass, or says why not.
    pub(crate) fn admit(&self, tenant: &str, user: &UserInfo, target: &Target) -> Result<Place, Refusal> {
        let account = self.account(tenant);
        check_page(&account.limits, target)?;
        // A place first: a request that finds none takes nothing from the rate.
        let place = account.place(tenant, target.is_long_running())?;
        self.rates
            .check(self.rates.now(), tenant, target.class, Some(&user.username), 1)
            .map_err(|refusal| too_fast(tenant, &user.username, target.class, refusal))?;
        Ok(place)
    }

    /// Waits until one more request of this class may pass, for what one request of a client asks several times.
    ///
    /// # Errors
    /// The limit's own refusal, where that would be after `until`.
    pub(crate) async fn take(
        &self,
        tenant: &str,
        user: &UserInfo,
        class: Class,
        until: Instant,
    ) -> Result<(), Refusal> {
        loop {
            let Err(refusal) = self.rates.check(self.rates.now(), tenant, class, Some(&user.username), 1)
            else {
                return Ok(());
            };
            let then = refusal.retry_after.map(Duration::from_nanos);
            let then = then.and_then(|wait| Instant::now().checked_add(wait)).filter(|then| *then <= until);
            match then {
                Some(then) => tokio::time::sleep_until(then.into()).await,
                None => return Err(too_fast(tenant, &user.username, class, refusal)),
            }
        }
    }

    /// How many requests and streams of all tenants are under way.
    pub(crate) fn under_way(&self) -> (u64, u64) {
        let accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let sum = |of: fn(&Use) -> &AtomicU32| {
            accounts.values().map(|account| u64::from(of(&account.use_).load(Ordering::Acquire))).sum()
        };
        (sum(|use_| &use_.requests), sum(|use_| &use_.streams))
    }

    /// What each tenant does, but for its seats.
    pub(crate) fn loads(&self) -> HashMap<String, TenantLoad> {
        let accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let of = |use_: &Use| TenantLoad {
            under_way: use_.requests.load(Ordering::Acquire),
            streams: use_.streams.load(Ordering::Acquire),
            bytes: use_.bytes.load(Ordering::Relaxed),
            ..TenantLoad::default()
        };
        accounts.iter().map(|(tenant, account)| (tenant.clone(), of(&account.use_))).collect()
    }

    /// Forgets the tenants that are no more, and names them.
    pub(crate) fn retain(&self, exists: impl Fn(&str) -> bool) -> Vec<String> {
        self.rates.retain(|tenant, _| exists(tenant));
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        accounts.extract_if(|tenant, _| !exists(tenant)).map(|(tenant, _)| tenant).collect()
    }

    fn account(&self, tenant: &str) -> Arc<Account> {
        let limits = (self.limits_of)(tenant);
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let known = accounts.get(tenant);
        if let Some(account) = known.filter(|account| Arc::ptr_eq(&account.limits, &limits)) {
            return Arc::clone(account);
        }
        let now = self.rates.now();
        for (class, limits) in Class::ALL.into_iter().zip(limits.rates) {
            match limits {
                Some(limits) => self.rates.set(now, tenant, class, limits, Start::Full),
                None => self.rates.remove(tenant, class),
            }
        }
        let use_ = known.map(|account| Arc::clone(&account.use_)).unwrap_or_default();
        let pace = limits.bytes_per_second.map(|bytes| Arc::new(Pace::per_second(bytes)));
        let account = Arc::new(Account { limits, use_, pace });
        accounts.insert(tenant.to_owned(), Arc::clone(&account));
        account
    }
}

impl Account {
    fn place(&self, tenant: &str, stream: bool) -> Result<Place, Refusal> {
        let most = if stream { self.limits.streams } else { self.limits.requests };
        let more = |now: u32| now.checked_add(1).filter(|then| *then <= most);
        let taken = self.use_.of(stream).fetch_update(Ordering::AcqRel, Ordering::Acquire, more);
        if taken.is_ok() {
            return Ok(Place { use_: Arc::clone(&self.use_), stream, pace: self.pace.clone() });
        }
        let (code, what) = if stream {
            (Code::GatewayWatches, "watches and streams open; close some, or share them between clients")
        } else {
            (Code::GatewayBusy, "requests under way; wait for their answers")
        };
        let message = format!("tenant {tenant} has {most} {what}");
        Err(Refusal::new(code, message).after(Duration::from_secs(1)))
    }
}

fn check_page(limits: &TenantLimits, target: &Target) -> Result<(), Refusal> {
    let Some(most) = limits.page.filter(|_| target.verb == Verb::List && target.class == Class::List) else {
        return Ok(());
    };
    let asked = match target.page {
        Some(asked) if asked <= most => return Ok(()),
        Some(asked) => format!("asks for {asked} objects at once"),
        None => "asks for all objects at once".to_owned(),
    };
    let message = format!(
        "the list {asked}; with `limit={most}` or less, with `continue` for the \
         rest, and without `resourceVersion=0`, which takes no limit, it passes"
    );
    Err(Refusal::new(Code::GatewayPage, message))
}

fn too_fast(tenant: &str, user: &str, class: Class, refusal: RateRefusal) -> Refusal {
    let refused = Refusal::new(Code::GatewayRate, refusal.told(tenant, user, class));
    match (refusal.retry(), refusal.retry_after) {
        (Some(wait), _) => refused.after(Duration::from_nanos(wait)),
        // Who would wait for long is told so now, and not when that is over.
        (None, Some(_)) => refused,
        (None, None) => refused.with_status(http::StatusCode::FORBIDDEN),
    }
}

#[cfg(test)]
mod tests;
