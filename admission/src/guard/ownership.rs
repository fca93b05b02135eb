//! What would keep a namespace, or an object of the whole cluster, from being deleted.

use model::Operation;
use serde::Deserialize;

use super::Question;
use super::metadata::parts;

/// Kinds of the whole cluster, whose deletion an object of a tenant must not hold up.
const CLUSTER_KINDS: [&str; 8] = [
    "Namespace",
    "Node",
    "PersistentVolume",
    "Tenant",
    "IsolationProfile",
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
];

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Metadata {
    finalizers: Option<Vec<String>>,
    owner_references: Option<Vec<Owner>>,
}

#[derive(Deserialize, Default, PartialEq)]
#[serde(default, rename_all = "camelCase")]
struct Owner {
    kind: String,
    name: String,
    block_owner_deletion: bool,
}

fn metadata(object: Option<&bytes::Bytes>) -> Metadata {
    parts(object.map(AsRef::as_ref))
}

/// Members set no finalizer that nobody takes away again: the namespace could never be deleted.
pub(super) fn has_a_foreign_finalizer(question: &Question<'_>) -> Option<String> {
    let request = question.request;
    let rules: Vec<_> = question.rules().collect();
    if rules.is_empty() || !names(request.object.as_ref(), b"\"finalizers\"") {
        return None;
    }
    let before = match request.operation {
        Operation::Update => metadata(request.old_object.as_ref()).finalizers.unwrap_or_default(),
        _ => Vec::new(),
    };
    let finalizers = metadata(request.object.as_ref()).finalizers.unwrap_or_default();
    let new: Vec<&String> = finalizers.iter().filter(|finalizer| !before.contains(finalizer)).collect();
    rules.iter().find_map(|rules| {
        let foreign = new.iter().find(|finalizer| !rules.finalizers.matches(finalizer))?;
        let shown = rules.finalizers.shown();
        Some(format!(
            "the finalizer `{foreign}` could keep the namespace from being deleted: allowed are {shown} ({})",
            rules.source
        ))
    })
}

/// Members hold up no deletion of what is not theirs.
pub(super) fn blocks_the_cluster(question: &Question<'_>) -> Option<String> {
    question.tenant()?;
    let request = question.request;
    if !names(request.object.as_ref(), b"\"ownerReferences\"") {
        return None;
    }
    let before = metadata(request.old_object.as_ref()).owner_references.unwrap_or_default();
    let owners = metadata(request.object.as_ref()).owner_references.unwrap_or_default();
    let blocks = |owner: &&Owner| CLUSTER_KINDS.contains(&owner.kind.as_str()) && !before.contains(owner);
    let owner = owners.iter().find(blocks)?;
    Some(format!(
        "metadata.ownerReferences names the {} `{}`, which is not the tenant's: name owners in the namespace",
        owner.kind, owner.name
    ))
}

/// Whether a text is in an object anywhere: most need not be read.
fn names(object: Option<&bytes::Bytes>, text: &[u8]) -> bool {
    object.is_some_and(|object| memchr::memmem::find(object, text).is_some())
}
