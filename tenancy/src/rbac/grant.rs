use model::Subject;
use serde::{Serialize, Serializer};

use super::objects::{RoleRef, Rule};

/// Through what a right comes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum Source {
    /// The API server itself: the group `system:masters` may do everything.
    ApiServer,
    /// A ClusterRoleBinding: everywhere.
    #[serde(rename = "ClusterRoleBinding")]
    ClusterRoleBinding {
        /// The binding.
        name: String,
        /// The role that it gives.
        role: RoleRef,
    },
    /// A RoleBinding: in its namespace.
    #[serde(rename = "RoleBinding")]
    RoleBinding {
        /// The binding's namespace.
        namespace: String,
        /// The binding.
        name: String,
        /// The role that it gives.
        role: RoleRef,
    },
}

impl Source {
    /// The binding as kubectl names it; empty where there is none.
    pub fn binding(&self) -> String {
        match self {
            Self::ApiServer => String::new(),
            Self::ClusterRoleBinding { name, .. } => format!("ClusterRoleBinding/{name}"),
            Self::RoleBinding { name, .. } => format!("RoleBinding/{name}"),
        }
    }

    /// The role; `None` for the API server itself.
    pub fn role(&self) -> Option<&RoleRef> {
        match self {
            Self::ApiServer => None,
            Self::ClusterRoleBinding { role, .. } | Self::RoleBinding { role, .. } => Some(role),
        }
    }

    /// The namespace in which the right holds; `None` for everywhere.
    pub fn namespace(&self) -> Option<&str> {
        match self {
            Self::RoleBinding { namespace, .. } => Some(namespace),
            Self::ApiServer | Self::ClusterRoleBinding { .. } => None,
        }
    }
}

/// Somebody who may do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Grant {
    /// Who, as a binding names them.
    #[serde(serialize_with = "as_text")]
    pub subject: Subject,
    /// The only objects for which it holds; empty for all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resource_names: Vec<String>,
    /// Through what.
    pub through: Source,
}

/// Something that somebody may do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Power {
    /// What.
    pub rule: Rule,
    /// As which subject of the binding: themselves, or a group they are in.
    #[serde(serialize_with = "as_text")]
    pub subject: Subject,
    /// Through what.
    pub through: Source,
}

fn as_text<S: Serializer>(subject: &Subject, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(subject)
}
