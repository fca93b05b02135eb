use model::{Finding, PolicyUse, Record};
use serde_json::{Map, Value};

/// The bytes a record holds in memory, roughly: its own size, its texts and its lists.
///
/// INVARIANT: never less than the length of all its texts, so that the queue's byte limit bounds memory.
pub(crate) fn weight(record: &Record) -> usize {
    let texts = [
        &record.id,
        &record.phase,
        &record.uid,
        &record.username,
        &record.kind.group,
        &record.kind.version,
        &record.kind.kind,
        &record.sub_resource,
        &record.namespace,
        &record.name,
        &record.code,
        &record.message,
    ];
    size_of::<Record>()
        .saturating_add(sum(texts, |text| text.len()))
        .saturating_add(record.tenant.as_ref().map_or(0, String::len))
        .saturating_add(sum(&record.groups, |group| size_of::<String>().saturating_add(group.len())))
        .saturating_add(sum(&record.policies, policy))
        .saturating_add(sum(&record.findings, finding))
}

fn policy(policy: &PolicyUse) -> usize {
    let failure = [&policy.failure, &policy.failure_message];
    size_of::<PolicyUse>()
        .saturating_add(sum([&policy.binding, &policy.policy, &policy.version], |text| text.len()))
        .saturating_add(sum(failure, |text| text.as_ref().map_or(0, String::len)))
}

fn finding(finding: &Finding) -> usize {
    let texts = [&finding.binding, &finding.policy, &finding.code, &finding.message, &finding.path];
    size_of::<Finding>()
        .saturating_add(sum(texts, |text| text.len()))
        .saturating_add(members(&finding.details))
}

fn members(map: &Map<String, Value>) -> usize {
    sum(map, |(key, value)| key.len().saturating_add(json(value)))
}

fn json(value: &Value) -> usize {
    let inner = match value {
        Value::String(text) => text.len(),
        Value::Array(values) => sum(values, json),
        Value::Object(map) => members(map),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    };
    size_of::<Value>().saturating_add(inner)
}

fn sum<T>(items: impl IntoIterator<Item = T>, weigh: impl Fn(T) -> usize) -> usize {
    items.into_iter().map(weigh).fold(0, usize::saturating_add)
}
