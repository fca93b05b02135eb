//! Says in each tenant's status how its budget stands: not at every change, but soon after.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use kube::{Client, ResourceExt};
use model::{Amount, TenantIndex, is_bytes};
use quota::desk::Desk;
use quota::grants::GrantDesk;
use quota::ledger::{Line, Owner};
use serde_json::json;
use tokio::sync::watch::Receiver;
use tokio::time::{MissedTickBehavior, interval};

use crate::api::tenant::{QuotaStatus, Tenant};
use crate::status::write_status;

/// How often it is looked what has changed.
const EVERY: Duration = Duration::from_secs(2);
/// The most writes of one look: the rest waits for the next.
const WRITES: usize = 50;
/// The most writes at once.
const AT_ONCE: usize = 4;
/// The field manager of these fields.
const MANAGER: &str = "bailey-budgets";
/// The condition about use.
const WITHIN: &str = "WithinBudget";
/// The condition about budgets that ResourceQuotas hold.
const GRANTS: &str = "GrantsStand";

pub(super) async fn run(
    client: Client,
    desk: Arc<Desk>,
    grants: Arc<GrantDesk>,
    tenants: Receiver<Arc<TenantIndex>>,
    observed: Receiver<Arc<BTreeMap<String, Tenant>>>,
) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let (index, objects) = (Arc::clone(&tenants.borrow()), Arc::clone(&observed.borrow()));
        let changed: Vec<(String, serde_json::Value)> = objects
            .values()
            .filter_map(|tenant| {
                let in_force = index.tenant(&tenant.name_any())?;
                let lines = desk.read(|ledger| ledger.standing(in_force));
                let standing = grants.standing(&in_force.name);
                changed(tenant, &lines, standing, Timestamp::now())
            })
            .take(WRITES)
            .collect();
        let writes =
            changed.into_iter().map(|(name, status)| write_status(&client, MANAGER, "Tenant", name, status));
        futures::stream::iter(writes).buffer_unordered(AT_ONCE).collect::<Vec<_>>().await;
    }
}

/// The status that a tenant should have, where it has another. `standing` says in how many namespaces ResourceQuotas do
/// not hold the budget yet that should, and in how many they should.
fn changed(
    tenant: &Tenant,
    lines: &[Line],
    standing: Option<(usize, usize)>,
    now: Timestamp,
) -> Option<(String, serde_json::Value)> {
    let found = tenant.status.as_ref();
    let quota: Vec<QuotaStatus> = lines.iter().map(row).collect();
    let mut said = Vec::new();
    said.extend((!quota.is_empty()).then(|| within(lines)));
    said.extend(standing.map(stand));
    let last = |type_: &str| {
        found.and_then(|status| status.conditions.iter().find(|condition| condition.type_ == type_))
    };
    let same = found.map_or(quota.is_empty(), |found| found.quota == quota)
        && said.iter().all(|said| {
            last(said.type_).is_some_and(|last| last.status == said.status() && last.message == said.message)
        })
        && (standing.is_some() || last(GRANTS).is_none());
    if same {
        return None;
    }
    let conditions: Vec<Condition> = said
        .into_iter()
        .map(|said| {
            let last = last(said.type_).filter(|last| last.status == said.status());
            Condition {
                type_: said.type_.to_owned(),
                status: said.status().to_owned(),
                reason: said.reason.to_owned(),
                message: said.message,
                observed_generation: tenant.metadata.generation,
                last_transition_time: last.map_or(Time(now), |last| last.last_transition_time.clone()),
            }
        })
        .collect();
    Some((tenant.name_any(), json!({"quota": quota, "conditions": conditions})))
}

/// What a condition says.
struct Said {
    type_: &'static str,
    holds: bool,
    reason: &'static str,
    message: String,
}

impl Said {
    const fn status(&self) -> &'static str {
        if self.holds { "True" } else { "False" }
    }
}

fn within(lines: &[Line]) -> Said {
    let over: Vec<&str> =
        lines.iter().filter(|line| line.used > line.bound).map(|line| &*line.resource).collect();
    let (reason, message) = match over.as_slice() {
        [] => ("Within", "nothing is used beyond the budget".to_owned()),
        over => (
            "OverBudget",
            format!("more than the budget is used of `{}`; nothing of it grows", over.join("`, `")),
        ),
    };
    Said { type_: WITHIN, holds: over.is_empty(), reason, message }
}

fn stand((missing, all): (usize, usize)) -> Said {
    let (reason, message) = match missing {
        0 => ("Standing", format!("ResourceQuotas hold the budget in {all} namespaces")),
        _ => (
            "Waiting",
            format!("of {all} namespaces {missing} have no ResourceQuota yet that holds the budget"),
        ),
    };
    Said { type_: GRANTS, holds: missing == 0, reason, message }
}

fn row(line: &Line) -> QuotaStatus {
    let shown = |amount: i128| Amount::of(amount, is_bytes(&line.resource)).to_string();
    let band = match &line.owner {
        Owner::Band(_, band) => Some(band.to_string()),
        Owner::Tenant(_) | Owner::Cohort(_) => None,
    };
    QuotaStatus {
        resource: line.resource.to_string(),
        band,
        hard: shown(line.bound),
        used: shown(line.used),
        held: shown(line.held),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(bound: i128, used: i128) -> Line {
        let one = quota::ledger::ONE;
        Line {
            owner: Owner::Tenant("t".into()),
            resource: "pods".into(),
            bound: bound.saturating_mul(one),
            used: used.saturating_mul(one),
            held: 0,
        }
    }

    #[test]
    fn only_what_changed_is_written_and_being_over_is_said() {
        let mut tenant = Tenant::new("t", serde_json::from_value(json!({})).unwrap());
        assert_eq!(changed(&tenant, &[], None, Timestamp::UNIX_EPOCH), None, "no budget, nothing to say");
        let (_, status) = changed(&tenant, &[line(2, 1)], None, Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(status["quota"][0], json!({"resource": "pods", "hard": "2", "used": "1", "held": "0"}));
        assert_eq!(status["conditions"][0]["status"], "True");
        tenant.status = Some(serde_json::from_value(status).unwrap());
        assert_eq!(changed(&tenant, &[line(2, 1)], None, Timestamp::UNIX_EPOCH), None);
        let (_, status) = changed(&tenant, &[line(2, 3)], None, Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(
            (&status["conditions"][0]["status"], &status["conditions"][0]["reason"]),
            (&json!("False"), &json!("OverBudget"))
        );
        let (_, status) = changed(&tenant, &[], None, Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(status["quota"], json!([]), "the budget is gone");
        let (_, status) = changed(&tenant, &[line(2, 1)], Some((1, 3)), Timestamp::UNIX_EPOCH).unwrap();
        let said = &status["conditions"][1];
        assert_eq!((&said["type"], &said["status"]), (&json!("GrantsStand"), &json!("False")));
        tenant.status = Some(serde_json::from_value(status).unwrap());
        assert!(changed(&tenant, &[line(2, 1)], None, Timestamp::UNIX_EPOCH).is_some(), "it is taken away");
    }
}
