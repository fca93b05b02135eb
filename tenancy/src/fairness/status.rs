//! Says in the status of classes how they stand, and in that of tenants where they name one that is not there.

use std::collections::BTreeMap;

use fairness::apf::objects::MANAGED_BY_LABEL;
use fairness::apf::plan::{Change, Object, Warning};
use futures::StreamExt;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client};
use serde_json::{Value, json};

use super::classes::Classes;
use super::observed::{Kind, Observed, place};
use super::proposal::{Proposal, Tenants};
use crate::api::fairness_class::{FairnessClass, FairnessClassStatus};
use crate::api::tenant::Tenant;
use crate::api::{GROUP, VERSION};
use crate::cluster::api_message;

/// The field manager of what is said here.
const MANAGER: &str = "bailey-fairness";
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
    let writes = classes.chain(tenants).map(|(kind, name, status)| write(client, kind, name, status));
    let writes: Vec<_> = writes.collect();
    let written: Vec<bool> = futures::stream::iter(writes).buffer_unordered(AT_ONCE).collect().await;
    all && written.into_iter().all(|written| written)
}

async fn write(client: &Client, kind: &str, name: String, status: Value) -> bool {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(GROUP, VERSION, kind));
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
    let object = json!({
        "apiVersion": format!("{GROUP}/{VERSION}"), "kind": kind, "metadata": {"name": name}, "status": status,
    });
    let parameters = PatchParams::apply(MANAGER).force();
    match api.patch_status(&name, &parameters, &Patch::Apply(object)).await {
        Ok(_) => true,
        // Deleted meanwhile.
        Err(kube::Error::Api(status)) if status.code == 404 => true,
        Err(error) => {
            let error = api_message(&error);
            tracing::warn!(kind, name, error, "a status could not be written, it is tried again");
            false
        }
    }
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
    let (holds, reason, message) = match (own, membership.missing, membership.class) {
        (None, None, _) => return last.map(|_| json!({"conditions": []})),
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
    (last != Some(&wanted)).then(|| json!({"conditions": [wanted]}))
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
