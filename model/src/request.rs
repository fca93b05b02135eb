use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// A group, version and kind, as in `apps/v1 Deployment`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct GroupVersionKind {
    /// The API group; empty for the core group.
    #[serde(default)]
    pub group: String,
    /// The version, such as `v1`.
    pub version: String,
    /// The kind, such as `Pod`.
    pub kind: String,
}

impl GroupVersionKind {
    /// `group/version`, or the version alone in the core group: as `apiVersion` has it.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }
}

/// A group, version and resource, as in `apps/v1 deployments`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct GroupVersionResource {
    /// The API group; empty for the core group.
    #[serde(default)]
    pub group: String,
    /// The version, such as `v1`.
    pub version: String,
    /// The plural resource name, such as `pods`.
    pub resource: String,
}

/// What the user asked the API server to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Operation {
    /// Create an object.
    Create,
    /// Update or patch an object, or apply to an existing one.
    Update,
    /// Delete an object, alone or as one of a collection.
    Delete,
    /// Connect to an object: exec, attach, port-forward, proxy.
    Connect,
}

impl Operation {
    /// The operation as the API server writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Connect => "CONNECT",
        }
    }
}

/// Who asks, as the API server authenticated them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct UserInfo {
    /// The user name; `system:serviceaccount:NAMESPACE:NAME` for a service account.
    #[serde(default)]
    pub username: String,
    /// The user's identifier, where the authenticator has one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// The user's groups.
    #[serde(default, deserialize_with = "crate::review::null_is_default")]
    pub groups: Vec<String>,
    /// What else the authenticator said.
    #[serde(default, deserialize_with = "crate::review::null_is_default")]
    pub extra: BTreeMap<String, Vec<String>>,
}

/// One admission request. Decoded once; the objects stay JSON text that every engine shares.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The review's uid, which its answer must carry.
    pub uid: String,
    /// The kind of the object as the webhook is sent it.
    pub kind: GroupVersionKind,
    /// The resource as the webhook is sent it.
    pub resource: GroupVersionResource,
    /// The subresource, such as `status`; empty where there is none.
    pub sub_resource: String,
    /// The name; empty on a create with `generateName` in the mutating phase.
    pub name: String,
    /// The namespace; empty for cluster-scoped objects. A Namespace's own name for Namespaces.
    pub namespace: String,
    /// What is asked.
    pub operation: Operation,
    /// Who asks.
    pub user: UserInfo,
    /// Whether nothing will be stored.
    pub dry_run: bool,
    /// The JSON text of the whole `request` member.
    pub raw: Bytes,
    /// The JSON text of the object: absent on DELETE.
    pub object: Option<Bytes>,
    /// The JSON text of the stored object: on UPDATE and DELETE.
    pub old_object: Option<Bytes>,
}

/// The parts of an object's metadata that matching needs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectMeta {
    /// The name; may be empty while `generate_name` is set.
    #[serde(default)]
    pub name: String,
    /// The prefix of a name the API server will make.
    #[serde(default)]
    pub generate_name: String,
    /// The labels.
    #[serde(default, deserialize_with = "crate::review::null_is_default")]
    pub labels: BTreeMap<String, String>,
    /// Since when it is being deleted; `None` where it is not.
    #[serde(default)]
    pub deletion_timestamp: Option<String>,
}

impl Request {
    /// Reads the metadata of an object of this request.
    ///
    /// # Errors
    /// When the text is not an object with well-formed metadata.
    pub fn metadata(object: &[u8]) -> Result<ObjectMeta, serde_json::Error> {
        #[derive(Deserialize)]
        struct Partial {
            #[serde(default)]
            metadata: ObjectMeta,
        }
        serde_json::from_slice::<Partial>(object).map(|partial| partial.metadata)
    }

    /// Whether the request concerns a cluster-scoped object.
    ///
    /// Namespaces carry their own name as namespace and are cluster-scoped all the same.
    pub fn is_cluster_scoped(&self) -> bool {
        self.namespace.is_empty() || self.is_namespace()
    }

    /// Whether the object is a Namespace.
    pub fn is_namespace(&self) -> bool {
        self.resource.group.is_empty() && self.resource.resource == "namespaces"
    }
}
