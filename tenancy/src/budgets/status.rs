//! Says in each tenant's status how its budget stands: not at every change, but soon after.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, ResourceExt};
use model::{Amount, TenantIndex, is_bytes};
use quota::desk::Desk;
use quota::ledger::{Line, Owner};
use serde_json::json;
use tokio::sync::watch::Receiver;
use tokio::time::{MissedTickBehavior, interval};

use crate::api::tenant::{QuotaStatus, Tenant};
use crate::api::{GROUP, VERSION};
use crate::cluster::api_message;

/// How often it is looked what has changed.
const EVERY: Duration = Duration::from_secs(2);
/// The most writes of one look: the rest waits for the next.
const WRITES: usize = 50;
/// The most writes at once.
const AT_ONCE: usize = 4;
/// The field manager of these fields.
const MANAGER: &str = "bailey-budgets";
/// The condition that is said here.
const WITHIN: &str = "WithinBudget";

pub(super) async fn run(
    client: Client,
    desk: Arc<Desk>,
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
                changed(tenant, &lines, Timestamp::now())
            })
            .take(WRITES)
            .collect();
        let writes = changed.into_iter().map(|(name, status)| write(client.clone(), name, status));
        futures::stream::iter(writes).buffer_unordered(AT_ONCE).collect::<()>().await;
    }
}

/// The status that a tenant should have, where it has another.
fn changed(tenant: &Tenant, lines: &[Line], now: Timestamp) -> Option<(String, serde_json::Value)> {
    let found = tenant.status.as_ref();
    let quota: Vec<QuotaStatus> = lines.iter().map(row).collect();
    let last = found.and_then(|status| status.conditions.iter().find(|condition| condition.type_ == WITHIN));
    let over: Vec<&str> =
        lines.iter().filter(|line| line.used > line.bound).map(|line| &*line.resource).collect();
    let (holds, reason, message) = match over.as_slice() {
        [] => ("True", "Within", "nothing is used beyond the budget".to_owned()),
        over => {
            let message =
                format!("more than the budget is used of `{}`; nothing of it grows", over.join("`, `"));
            ("False", "OverBudget", message)
        }
    };
    let same = found.map_or(quota.is_empty(), |found| found.quota == quota)
        && (quota.is_empty() || last.is_some_and(|last| last.status == holds && last.message == message));
    if same {
        return None;
    }
    let since =
        last.filter(|last| last.status == holds).map_or(Time(now), |last| last.last_transition_time.clone());
    let condition = Condition {
        type_: WITHIN.to_owned(),
        status: holds.to_owned(),
        reason: reason.to_owned(),
        message,
        observed_generation: tenant.metadata.generation,
        last_transition_time: since,
    };
    let conditions = if quota.is_empty() { Vec::new() } else { vec![condition] };
    Some((tenant.name_any(), json!({"quota": quota, "conditions": conditions})))
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

async fn write(client: Client, name: String, status: serde_json::Value) {
    let api: Api<Tenant> = Api::all(client);
    let object = json!({
        "apiVersion": format!("{GROUP}/{VERSION}"), "kind": "Tenant", "metadata": {"name": name}, "status": status,
    });
    let parameters = PatchParams::apply(MANAGER).force();
    match api.patch_status(&name, &parameters, &Patch::Apply(object)).await {
        Ok(_) => {}
        // Deleted meanwhile.
        Err(kube::Error::Api(status)) if status.code == 404 => {}
        Err(error) => {
            let error = api_message(&error);
            tracing::warn!(
                tenant = name,
                error,
                "how a budget stands could not be written, it is tried again"
            );
        }
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
        assert_eq!(changed(&tenant, &[], Timestamp::UNIX_EPOCH), None, "no budget, nothing to say");
        let (_, status) = changed(&tenant, &[line(2, 1)], Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(status["quota"][0], json!({"resource": "pods", "hard": "2", "used": "1", "held": "0"}));
        assert_eq!(status["conditions"][0]["status"], "True");
        tenant.status = Some(serde_json::from_value(status).unwrap());
        assert_eq!(changed(&tenant, &[line(2, 1)], Timestamp::UNIX_EPOCH), None);
        let (_, status) = changed(&tenant, &[line(2, 3)], Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(
            (&status["conditions"][0]["status"], &status["conditions"][0]["reason"]),
            (&json!("False"), &json!("OverBudget"))
        );
        let (_, status) = changed(&tenant, &[], Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(status["quota"], json!([]), "the budget is gone");
    }
}
