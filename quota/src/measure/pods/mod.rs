//! Pods: their number, requests and limits, and the facts that scopes ask for.

mod object;
mod scopes;
#[cfg(test)]
mod tests;
mod total;

use std::borrow::Cow;

use object::{Metadata, Pod};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use super::number::ONE;
use super::{Amounts, MeasureError, Measured, Scopes, json, names};

/// What a Pod counts as.
pub(super) fn measure(object: &[u8]) -> Result<Measured, MeasureError> {
    let pod: Pod<'_> = json::read(object)?;
    let mut amounts = Amounts::from([(Cow::Borrowed("count/pods"), ONE)]);
    let mut until = None;
    if !matches!(&*pod.status.phase, "Failed" | "Succeeded") {
        until = overdue_from(&pod.metadata)?;
        amounts.insert(Cow::Borrowed("pods"), ONE);
        count(&pod, &mut amounts);
    }
    Ok(Measured { amounts, scopes: Scopes::Pod(scopes::of(&pod)), until, of_pod: false })
}

fn count(pod: &Pod<'_>, amounts: &mut Amounts) {
    for (name, amount) in total::requests(pod) {
        let name = match name {
            "cpu" => Cow::Borrowed("requests.cpu"),
            "memory" => Cow::Borrowed("requests.memory"),
            "ephemeral-storage" => Cow::Borrowed("requests.ephemeral-storage"),
            other if names::is_requested(other) => Cow::Owned(format!("requests.{other}")),
            _ => continue,
        };
        amounts.insert(name, amount);
    }
    for (name, amount) in total::limits(pod) {
        let name = match name {
            "cpu" => "limits.cpu",
            "memory" => "limits.memory",
            "ephemeral-storage" => "limits.ephemeral-storage",
            _ => continue,
        };
        amounts.insert(Cow::Borrowed(name), amount);
    }
}

/// When a Pod that is being deleted should have been gone: its node may be lost, and it counts no longer.
fn overdue_from(metadata: &Metadata<'_>) -> Result<Option<OffsetDateTime>, MeasureError> {
    let (Some(deleted), Some(grace)) = (&metadata.deletion_timestamp, metadata.deletion_grace_period_seconds)
    else {
        return Ok(None);
    };
    let deleted = OffsetDateTime::parse(deleted, &Rfc3339).map_err(|error| MeasureError::Field {
        path: "metadata.deletionTimestamp".to_owned(),
        reason: error.to_string(),
    })?;
    Ok(Some(deleted.saturating_add(Duration::seconds(grace))))
}

/// What every container has to say where it is limited, as Kubernetes' own quota asks it.
const SAID: [(&str, &str, bool); 4] = [
    ("requests.cpu", "cpu", false),
    ("requests.memory", "memory", false),
    ("limits.cpu", "cpu", true),
    ("limits.memory", "memory", true),
];

/// The first container of a Pod that does not say how much it needs of something limited: its name and the resource
/// name. A Pod that says it for all of its containers together need not say it for each.
///
/// # Errors
///
/// If a field that counts cannot be read.
pub fn unspecified(
    object: &[u8],
    limited: impl Fn(&str) -> bool,
) -> Result<Option<(String, &'static str)>, MeasureError> {
    let pod: object::Pod<'_> = super::json::read(object)?;
    let whole = pod.spec.resources.as_ref();
    for (name, resource, of_limits) in SAID.into_iter().filter(|(name, _, _)| limited(name)) {
        let said = |resources: &object::Resources<'_>| {
            let list = if of_limits { &resources.limits } else { &resources.requests };
            list.get(resource).is_some()
        };
        if whole.is_some_and(said) {
            continue;
        }
        let mut containers = pod.spec.containers.iter().chain(&pod.spec.init_containers);
        if let Some(silent) = containers.find(|container| !said(&container.resources)) {
            return Ok(Some((silent.name.to_string(), name)));
        }
    }
    Ok(None)
}
