//! Counts of the ResourceQuotas that hold budgets: none is believed at once that is below what is known to be there.
//!
//! Kubernetes' quota controller counts from a cache of its own. Where that lags, it writes `status.used` below what is
//! stored, and the API server then lets in what does not fit (kubernetes#123434). Such a write is refused, and the
//! controller counts again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use model::{Amount, Code, Operation, Request, is_bytes, quantity};
use quota::desk::Desk;
use quota::grants::{GrantDesk, Pool, QUOTA_PREFIX, Verdict};
use quota::ledger::{Millis, Place};
use serde_json::Value;

use crate::budget::{LEASE, Refusal};

/// How long requests that were under way when a count came may take to be seen stored.
const PATIENCE: Duration = Duration::from_millis(250);
/// How long a request that was let in counts as charged, where it is not seen stored. The API server charges last, and
/// stores at once: what takes longer waits for another webhook and was not charged yet, or has failed.
const CHARGED: Duration = Duration::from_secs(5);
/// How often it is looked.
const LOOK: Duration = Duration::from_millis(10);

/// A resource of a count that was lowered.
struct Lowered {
    resource: String,
    to: i128,
    /// What was known when it came.
    known: BTreeMap<Place, i128>,
}

/// Holds a write of a grant's status against what is known of its namespace.
pub(crate) async fn hold(desk: &Desk, grants: &GrantDesk, request: &Request) -> Result<(), Refusal> {
    let Some((name, pool)) = concerned(grants, request) else { return Ok(()) };
    let after = desk.after(LEASE.saturating_sub(CHARGED));
    // What waits was not charged, and would hold up what it waits for.
    let count =
        Count { desk, pool: &pool, namespace: &request.namespace, waiting: grants.waiting(&name), after };
    let lowered = count.lowered(request);
    let until = Instant::now().checked_add(PATIENCE);
    let mut short = count.first_short(&lowered);
    while short.is_some() && until.is_some_and(|until| Instant::now() < until) {
        tokio::time::sleep(LOOK).await;
        short = count.first_short(&lowered);
    }
    let verdict = grants.judge(&name, &request.namespace, short.is_some());
    match (verdict, short) {
        (Verdict::Refused, Some((resource, known))) => Err(Refusal {
            code: Code::QuotaUnavailable,
            message: format!(
                "{} of `{resource}` are known to be used or under way in the namespace `{}`, which is more than this counts: \
                 count again",
                Amount::of(known, is_bytes(&resource)),
                request.namespace
            ),
        }),
        (Verdict::Believed, _) => {
            let namespace = &request.namespace;
            tracing::warn!(
                pool = name,
                namespace,
                "a count below what is known was refused for a minute, now it is believed"
            );
            Ok(())
        }
        _ => Ok(()),
    }
}

fn concerned(grants: &GrantDesk, request: &Request) -> Option<(String, Pool)> {
    let resource = &request.resource;
    let is_status = resource.group.is_empty()
        && resource.resource == "resourcequotas"
        && request.sub_resource == "status"
        && request.operation == Operation::Update;
    let name = request.name.strip_prefix(QUOTA_PREFIX).filter(|_| is_status && !request.dry_run)?;
    let pool = grants.pool(name).filter(|pool| pool.members.contains_key(request.namespace.as_str()))?;
    Some((name.to_owned(), pool))
}

/// A count that was written to a quota.
struct Count<'a> {
    desk: &'a Desk,
    pool: &'a Pool,
    namespace: &'a str,
    waiting: BTreeSet<Place>,
    /// When a request ends at the earliest that counts.
    after: Millis,
}

impl Count<'_> {
    fn lowered(&self, request: &Request) -> Vec<Lowered> {
        let read = |object: Option<&bytes::Bytes>| -> Value {
            object.and_then(|object| serde_json::from_slice(object).ok()).unwrap_or_default()
        };
        let (old, new) = (read(request.old_object.as_ref()), read(request.object.as_ref()));
        let used = |object: &Value, resource: &str| {
            quantity(object.pointer("/status/used")?.get(resource)?.as_str()?)
        };
        let resources = self.pool.budget.keys().filter_map(|resource| {
            let (before, to) = (used(&old, resource)?, used(&new, resource)?);
            let known = || self.known(resource);
            (to < before).then(|| Lowered { resource: resource.to_string(), to, known: known() })
        });
        resources.collect()
    }

    /// The first resource of which more is known than was counted, and how much. What came after the count does not
    /// count; what has gone since does not either.
    fn first_short(&self, lowered: &[Lowered]) -> Option<(String, i128)> {
        lowered.iter().find_map(|one| {
            let now = self.known(&one.resource);
            let still =
                |(place, amount): (&Place, &i128)| (*amount).min(now.get(place).copied().unwrap_or_default());
            let sum = one.known.iter().map(still).fold(0, i128::saturating_add);
            (sum > one.to).then(|| (one.resource.clone(), sum))
        })
    }

    fn known(&self, resource: &str) -> BTreeMap<Place, i128> {
        let counts = |class: Option<&str>| self.pool.counted.has(class);
        self.desk.read(|ledger| ledger.known_in(self.namespace, resource, counts, &self.waiting, self.after))
    }
}
