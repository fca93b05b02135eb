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
    Ok(Measured { amounts, scopes: Scopes::Pod(scopes::of(&pod)), until, owner: None })
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
