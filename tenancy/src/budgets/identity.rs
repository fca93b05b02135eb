use model::TENANT_LABEL;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Which object a text is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) uid: String,
    pub(super) version: u64,
    /// The tenant that its label names.
    pub(super) tenant: Option<String>,
}

#[derive(Deserialize)]
struct Object {
    metadata: Metadata,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Metadata {
    namespace: String,
    name: String,
    uid: String,
    resource_version: String,
    labels: Option<BTreeMap<String, String>>,
}

impl Identity {
    /// Reads it from an object's JSON; `None` for text that is no stored object.
    pub(super) fn of(json: &str) -> Option<Self> {
        let Object { metadata } = serde_json::from_str(json).ok()?;
        Some(Self {
            namespace: metadata.namespace,
            name: metadata.name,
            uid: metadata.uid,
            version: metadata.resource_version.parse().ok()?,
            tenant: metadata.labels.unwrap_or_default().remove(TENANT_LABEL),
        })
    }
}
