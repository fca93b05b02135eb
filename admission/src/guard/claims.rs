//! Claims for volumes that exist already, and for devices.

use model::{Holder, Operation};
use serde_json::Value;

use super::Question;
use super::classes::storage_classes;

/// What the scheduler writes on claims that it makes for the extended resources of a Pod.
const OF_POD: &str = "resource.kubernetes.io/extended-resource-claim";

/// A claim takes no volume of others: neither by its name, nor by copying a claim of another namespace.
pub(super) fn takes_a_foreign_volume(question: &Question<'_>) -> Option<String> {
    let tenant = question.tenant()?;
    // Controllers bind claims to volumes; what they create is what a template of the tenant says.
    if question.asker.controller && question.request.operation != Operation::Create {
        return None;
    }
    let object = question.object()?;
    let volume = object.pointer("/spec/volumeName").and_then(Value::as_str).filter(|name| !name.is_empty());
    if let Some(volume) = volume.filter(|volume| !is_own(question, volume)) {
        return Some(format!(
            "the PersistentVolume `{volume}` is not the tenant's: leave spec.volumeName out, or have an \
             administrator label the volume `{}: {}`",
            model::TENANT_LABEL,
            tenant.name
        ));
    }
    let source = object.pointer("/spec/dataSourceRef/namespace").and_then(Value::as_str);
    let foreign =
        source.filter(|namespace| question.tenants.name_for(namespace) != Some(tenant.name.as_str()))?;
    Some(format!("spec.dataSourceRef is in the namespace `{foreign}`, which is not the tenant's"))
}

fn is_own(question: &Question<'_>, volume: &str) -> bool {
    let tenant = question.tenant().map(|tenant| tenant.name.as_str());
    match question.holdings.volume(volume) {
        Some(Holder::Tenant(owner)) => tenant == Some(owner.as_str()),
        Some(Holder::Namespace(namespace)) => {
            tenant.is_some() && question.tenants.name_for(namespace) == tenant
        }
        Some(Holder::Nobody) | None => false,
    }
}

/// A claim without a class takes any volume without one that fits, whoever made it.
pub(super) fn takes_any_volume(question: &Question<'_>) -> Option<String> {
    question.tenant()?;
    let object = question.object()?;
    let volume = object.pointer("/spec/volumeName").and_then(Value::as_str);
    let any = storage_classes(object).contains(&"") && volume.is_none_or(str::is_empty);
    any.then(|| {
        "spec.storageClassName is empty, which takes any volume without a class that fits: name a StorageClass, or \
         a volume of the tenant in spec.volumeName"
            .to_owned()
    })
}

/// Nobody but the scheduler makes claims for the extended resources of a Pod: those count toward no budget, as the Pod does.
pub(super) fn says_it_is_a_pods(question: &Question<'_>) -> Option<String> {
    question.tenant()?;
    let said = |object: &Value| {
        let paths = ["/metadata/annotations", "/spec/metadata/annotations"];
        let mut notes = paths.into_iter().filter_map(|path| object.pointer(path)?.get(OF_POD));
        notes.any(|note| !note.is_null())
    };
    let old =
        question.request.old_object.as_deref().and_then(|old| serde_json::from_slice::<Value>(old).ok());
    (question.object().is_some_and(said) || old.as_ref().is_some_and(said)).then(|| {
        format!("the annotation `{OF_POD}` is the scheduler's, on claims that it makes for Pods and that nobody else changes")
    })
}
