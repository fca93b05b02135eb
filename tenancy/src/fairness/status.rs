//! Says in the status of classes how they stand, and in that of tenants which one they are in and where they name one that
//! is not there.

use std::collections::BTreeMap;

use fairness::apf::objects::MANAGED_BY_LABEL;
use fairness::apf::plan::{Change, Object, Warning};
use futures::StreamExt;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use serde_json::{Value, json};

use super::classes::Classes;
use super::observed::{Kind, Observed, place};
use super::proposal::{Proposal, Tenants};
use super::write::MANAGER;
use crate::api::fairness_class::{FairnessClass, FairnessClassStatus};
use crate::api::tenant::{FairnessStatus, Tenant};
use crate::status::write_status;

/// The condition of tenants.
const FOUND: &str = "FairnessClassFound";
/// The most tenants whose status is written after one plan.
const TENANTS: usize = 50;
/// The most writes at once.
const AT_ONCE: usize = 4;
/// How many faults or warnings a message names.
const NAMED: usize = 10;

/// What is known when statuses are written.
pub(super) struct Situation<'a> {
    pub(super) from: Tenants<'a>,
    pub(super) objects: &'a BTreeMap<String, FairnessClass>,
    pub(super) proposal: &'a Proposal,
    pub(super) observed: &'a Observed,
    /// Changes that are due.
    pub(super) pending: &'a [Change],
    /// What could not be written, and why.
    pub(super) failed: &'a BTreeMap<(Kind, String), String>,
}

/// Writes the statuses that differ; whether all were written.
pub(super) async fn report(client: &Client, now: &Situation<'_>) -> bool {
    let moment = Timestamp::now();
    let classes = now.objects.iter().filter_map(|(name, class)| {
        let wanted = class_status(name, class, now, moment);
        (class.status.as_ref() != Some(&wanted)).then(|| ("FairnessClass", name.clone(), json!(wanted)))
    });
    let tenants = now.from.tenants.iter().filter_map(|(name, tenant)| {
        Some(("Tenant", name.clone(), tenant_status(name, tenant, &now.from, moment)?))
    });
    let mut tenants: Vec<_> = tenants.take(TENANTS.saturating_add(1)).collect();
    let all = tenants.len() <= TENANTS;
    tenants.truncate(TENANTS);
    let writes =
        classes.chain(tenants).map(|(kind, name, status)| write_status(client, MANAGER, kind, name, status));
    let writes: Vec<_> = writes.collect();
    let written: Vec<bool> = futures::stream::iter(writes).buffer_unordered(AT_ONCE).collect().await;
    all && written.into_iter().all(|written| written)
}

// --- classes ---

fn class_status(
    name: &str,
    class: &FairnessClass,
    now: &Situation<'_>,
    moment: Timestamp,
) -> FairnessClassStatus {
    let generation = class.metadata.generation;
    let last = |type_: &str| {
        let conditions = class.status.as_ref().map(|status| &status.conditions);
        conditions.and_then(|all| all.iter().find(|condition| condition.type_ == type_))
    };
    let said = |type_: &str, (holds, reason, message): (bool, &str, String)| {
        condition(type_, holds, reason, message, generation, last(type_), moment)
    };
    let planned = now.from.classes.planned_as(name);
    let seats = |level: Option<String>| {
        let rows = now.proposal.seats.iter().filter(|row| row.planned);
        let row = level.and_then(|level| rows.into_iter().find(|row| row.level.name == level));
        row.map_or(0, |row| row.seats.nominal)
    };
    let mine = |tenant: &&String| now.from.classes.membership(tenant, now.from.tenants).class == Some(name);
    FairnessClassStatus {
        observed_generation: generation,
        tenants: u32::try_from(now.from.tenants.keys().filter(mine).count()).unwrap_or(u32::MAX),
        seats: seats(planned.map(|class| class.level().name)),
        list_seats: seats(planned.map(|class| class.lists_level().name)),
        conditions: vec![said("Ready", ready(name, now)), said("Warning", warnings(name, now))],
    }
}

/// Whether the API server has what a class says.
fn ready(class: &str, now: &Situation<'_>) -> (bool, &'static str, String) {
    if let Some(fault) = now.from.classes.fault(class) {
        return (false, "Invalid", format!("the API server would not take it: {fault}"));
    }
    let concerns = |object: &Object| concerns(object, class, now.from.classes);
    let taken = now.proposal.diff.conflicts.iter().filter(|object| concerns(object)).map(|object| {
        format!("the {} is somebody else's, without the label {MANAGED_BY_LABEL}", shown(object))
    });
    if let Some(message) = joined(taken) {
        return (
            false,
            "NameTaken",
            format!("{message}: it is left alone; delete it or give it another name"),
        );
    }
    let pending = || now.pending.iter().map(object_of).filter(|object| concerns(object));
    let failed = pending().filter_map(|object| {
        let (kind, name) = place(object);
        let why = now.failed.get(&(kind, name.to_owned()))?;
        Some(format!("the {} could not be written: {why}", shown(object)))
    });
    if let Some(message) = joined(failed) {
        return (false, "WriteFailed", message);
    }
    let dangling = now.observed.dangling().filter_map(|(schema, why)| {
        let object = Object::Schema(schema.clone());
        concerns(&object).then(|| format!("the {} has no effect: {why}", shown(&object)))
    });
    if let Some(message) = joined(dangling) {
        return (false, "Dangling", message);
    }
    match pending().count() {
        0 => (true, "InSync", "the API server has its priority levels and FlowSchemas".to_owned()),
        due => (false, "Writing", format!("{due} changes are due")),
    }
}

fn object_of(change: &Change) -> &Object {
    let (Change::Create(object) | Change::Update(object) | Change::Delete(object)) = change;
    object
}

/// Whether an object is a class's, or leads to it. Bailey's own concerns them all.
fn concerns(object: &Object, class: &str, classes: &Classes<'_>) -> bool {
    let level = match object {
        Object::Level(level) => &level.metadata.name,
        Object::Schema(schema) => &schema.spec.priority_level_configuration.name,
    };
    let Some(planned) = classes.planned_as(class) else { return false };
    let of_none =
        !classes.planned().any(|class| *level == class.level().name || *level == class.lists_level().name);
    of_none || *level == planned.level().name || *level == planned.lists_level().name
}

fn shown(object: &Object) -> String {
    match object {
        Object::Level(level) => format!("PriorityLevelConfiguration `{}`", level.metadata.name),
        Object::Schema(schema) => format!("FlowSchema `{}`", schema.metadata.name),
    }
}

/// What should be looked at of a class and of its tenants.
fn warnings(class: &str, now: &Situation<'_>) -> (bool, &'static str, String) {
    let all = now.proposal.plan.warnings.iter().chain(&now.proposal.narrow);
    let found = all.filter(|warning| is_about(warning, class, &now.from)).map(ToString::to_string);
    match joined(found) {
        Some(message) => (true, "LookAt", message),
        None => (false, "None", "there is nothing to look at".to_owned()),
    }
}

/// Whether a warning is about a class or one of its tenants; what is about no class is about all of them.
fn is_about(warning: &Warning, class: &str, from: &Tenants<'_>) -> bool {
    let is_in = |tenant: &String| from.classes.membership(tenant, from.tenants).class == Some(class);
    match warning {
        Warning::NoSubject { tenant }
        | Warning::UnknownClass { tenant, .. }
        | Warning::ReservedSubject { tenant, .. }
        | Warning::InvalidAccount { tenant, .. }
        | Warning::Split { tenant, .. }
        | Warning::Pooled { tenant } => is_in(tenant),
        Warning::SharedSubject { tenants, .. } => tenants.iter().any(is_in),
        Warning::Narrow { level, .. } => from
            .classes
            .planned_as(class)
            .is_some_and(|class| *level == class.level().name || *level == class.lists_level().name),
        Warning::Open { .. } | Warning::NoOwnSubject | Warning::Starved { .. } => true,
    }
}

/// The first texts in one, and how many more there are; `None` where there are none.
fn joined(texts: impl Iterator<Item = String>) -> Option<String> {
    let mut texts: Vec<String> = texts.collect();
    let more = texts.len().saturating_sub(NAMED);
    texts.truncate(NAMED);
    let mut text = texts.join("; ");
    // A status has room for so much.
    if text.len() > 16_384 {
        let end = text.floor_char_boundary(16_384);
        text.truncate(end);
        text.push('…');
    }
    if more > 0 {
        text.push_str(&format!("; and {more} more"));
    }
    (!text.is_empty()).then_some(text)
}

// --- tenants ---

/// The status that a tenant should have, where it has another. Who names no class has nothing said about it.
fn tenant_status(name: &str, tenant: &Tenant, from: &Tenants<'_>, moment: Timestamp) -> Option<Value> {
    let membership = from.classes.membership(name, from.tenants);
    let conditions = tenant.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let last = conditions.iter().find(|condition| condition.type_ == FOUND);
    let own = tenant.spec.fairness_class.as_deref();
    let fairness = membership.class.map(|class| FairnessStatus {
        class: class.to_owned(),
        rates: from.classes.rates_of(class).cloned().unwrap_or_default(),
    });
    let told = tenant.status.as_ref().and_then(|status| status.fairness.as_ref()) == fairness.as_ref();
    let (holds, reason, message) = match (own, membership.missing, membership.class) {
        (None, None, _) => {
            return (last.is_some() || !told).then(|| said(&[], fairness.as_ref()));
        }
        (Some(_), None, class) => {
            let class = class.unwrap_or_default();
            (true, "Found", format!("its requests count as FairnessClass `{class}` says"))
        }
        (_, Some(missing), Some(default)) => {
            let message = format!(
                "there is no FairnessClass `{missing}` in force; the default one, `{default}`, is used until then"
            );
            (false, "ClassMissing", message)
        }
        (_, Some(missing), None) => {
            let message = format!(
                "there is no FairnessClass `{missing}` in force and no default one: its requests are not told from \
                 others until then"
            );
            (false, "ClassMissing", message)
        }
    };
    let wanted = condition(FOUND, holds, reason, message, tenant.metadata.generation, last, moment);
    (last != Some(&wanted) || !told).then(|| said(&[wanted], fairness.as_ref()))
}

/// What is said of a tenant. What is not said is taken back; `null` the API server would refuse.
fn said(conditions: &[Condition], fairness: Option<&FairnessStatus>) -> Value {
    match fairness {
        Some(fairness) => json!({"conditions": conditions, "fairness": fairness}),
        None => json!({"conditions": conditions}),
    }
}

fn condition(
    type_: &str,
    holds: bool,
    reason: &str,
    message: String,
    generation: Option<i64>,
    last: Option<&Condition>,
    moment: Timestamp,
) -> Condition {
    let status = if holds { "True" } else { "False" };
    let since = last.filter(|last| last.status == status);
    Condition {
        type_: type_.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message,
        observed_generation: generation,
        last_transition_time: since.map_or(Time(moment), |last| last.last_transition_time.clone()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use fairness::apf::{DEFAULT_SERVER_SEATS, ServerVersion};

    use super::super::classes::tests::{classes, tenants};
    use super::super::proposal::{Live, Server, propose};
    use super::*;

    #[test]
    fn a_class_tells_what_is_wrong_with_its_own_tenants_and_levels() {
        // Six seats in hands of six.
        let all = classes(&[
            ("gold", json!({"priorityLevel": {"shares": 1_000, "listShares": 1_000}})),
            ("tiny", json!({"priorityLevel": {"shares": 1}})),
        ]);
        let tenants = tenants(&[
            ("empty", json!({"fairnessClass": "gold"})),
            ("shop", json!({"fairnessClass": "tiny", "members": [{"kind": "User", "name": "sue"}]})),
            ("lost", json!({"fairnessClass": "platinum"})),
        ]);
        let (classes, namespaces) = (Classes::of(&all), BTreeMap::new());
        let from = Tenants { classes: &classes, tenants: &tenants, namespaces: &namespaces };
        let server = Server { seats: DEFAULT_SERVER_SEATS, version: ServerVersion::From134 };
        let proposal = propose(&from, &[], &Live::default(), server).unwrap();
        let (observed, failed) = (Observed::default(), BTreeMap::new());
        let pending = proposal.diff.changes.clone();
        let mut now = Situation {
            from,
            objects: &all,
            proposal: &proposal,
            observed: &observed,
            pending: &pending,
            failed: &failed,
        };
        let (_, reason, gold) = warnings("gold", &now);
        assert!(reason == "LookAt" && gold.contains("tenant `empty`") && !gold.contains("tiny"), "{gold}");
        let (_, _, tiny) = warnings("tiny", &now);
        assert!(tiny.contains("level `tenants-tiny`") && !tiny.contains("`empty`"), "{tiny}");
        assert!([&gold, &tiny].iter().all(|text| text.contains("nobody is named as Bailey")));

        // Its two levels, and the two FlowSchemas of its tenant.
        let said = ready("tiny", &now);
        assert_eq!(said, (false, "Writing", "4 changes are due".to_owned()));
        let refused = [((Kind::Schema, "bailey.tenant.shop".to_owned()), "forbidden".to_owned())].into();
        now.failed = &refused;
        let (_, reason, message) = ready("tiny", &now);
        assert_eq!(reason, "WriteFailed");
        assert_eq!(message, "the FlowSchema `bailey.tenant.shop` could not be written: forbidden");
        assert_eq!(ready("gold", &now).1, "Writing");
        now.pending = &[];
        assert_eq!(ready("tiny", &now).1, "InSync");

        let said = |name: &str| tenant_status(name, &tenants[name], &from, Timestamp::UNIX_EPOCH);
        let lost = said("lost").unwrap();
        assert_eq!(lost["conditions"][0]["reason"], "ClassMissing");
        assert!(lost.get("fairness").is_none(), "{lost}");
        assert_eq!(said("shop").unwrap()["conditions"][0]["status"], "True");
    }

    #[test]
    fn a_tenant_is_told_once_and_what_no_longer_holds_is_taken_back() {
        let write = json!({"tenant": {"requests": 5, "burst": 9}});
        let all = classes(&[("gold", json!({"rates": {"write": write}}))]);
        let mut tenants = tenants(&[("shop", json!({"fairnessClass": "gold"}))]);
        let (classes, namespaces) = (Classes::of(&all), BTreeMap::new());
        let mut said = Vec::new();
        for class in [Some("gold"), Some("gold"), None, None] {
            tenants.get_mut("shop").unwrap().spec.fairness_class = class.map(str::to_owned);
            let from = Tenants { classes: &classes, tenants: &tenants, namespaces: &namespaces };
            let status = tenant_status("shop", &tenants["shop"], &from, Timestamp::UNIX_EPOCH);
            said.push(status.as_ref().map(|status| {
                let burst = status["fairness"]["rates"]["write"]["tenant"]["burst"].as_u64();
                (status["conditions"].as_array().unwrap().len(), burst)
            }));
            if let Some(status) = status {
                tenants.get_mut("shop").unwrap().status = Some(serde_json::from_value(status).unwrap());
            }
        }
        assert_eq!(said, [Some((1, Some(9))), None, Some((0, None)), None]);
    }

    #[test]
    fn a_message_names_the_first_ones_and_counts_the_rest() {
        let texts = |count: usize| (0..count).map(|number| format!("t{number}"));
        assert_eq!(joined(texts(0)), None);
        assert_eq!(joined(texts(2)).unwrap(), "t0; t1");
        assert!(joined(texts(12)).unwrap().ends_with("t9; and 2 more"));
        let long = joined(std::iter::repeat_n("ä".repeat(10_000), 3)).unwrap();
        assert!(long.len() < 16_500 && long.ends_with('…'), "{}", long.len());
    }
}
