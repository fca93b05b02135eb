//! The custom resource `HostnameClaim`: which tenant has a host name.

#![expect(unreachable_pub, reason = "the derive repeats each type inside a function")]
#![expect(clippy::duplicated_attributes, reason = "every printer column has a type and a priority")]

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use crate::digest::digest_of;

/// A host name that one tenant has. Bailey alone writes it.
#[derive(CustomResource, KubeSchema, Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[kube(
    group = "bailey.dev",
    version = "v1alpha1",
    kind = "HostnameClaim",
    plural = "hostnameclaims",
    category = "bailey",
    derive = "PartialEq",
    doc = "A host name that one tenant has. Bailey alone writes it.",
    printcolumn(name = "Hostname", type_ = "string", json_path = ".spec.hostname"),
    printcolumn(name = "Tenant", type_ = "string", json_path = ".spec.tenant"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct HostnameClaimSpec {
    /// The name in small letters, without the dot at its end; empty for every name.
    #[schemars(length(max = 2048))]
    pub hostname: String,
    /// The tenant.
    #[schemars(length(max = 253))]
    pub tenant: String,
    /// The uid of the last review that wanted it.
    #[serde(default)]
    #[schemars(length(max = 253))]
    pub last_request: String,
}

/// The name of the object that claims a host name: one for each, readable where a name can be.
pub(crate) fn object_name(hostname: &str) -> String {
    let readable = match hostname.strip_prefix("*.") {
        _ if hostname.is_empty() => return "everything".to_owned(),
        Some(below) => format!("wildcard.{below}"),
        None => format!("name.{hostname}"),
    };
    let label = |label: &str| {
        let plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let ends = [label.as_bytes().first(), label.as_bytes().last()];
        ends.iter().all(|end| end.is_some_and(plain))
            && label.bytes().all(|byte| plain(&byte) || byte == b'-')
    };
    if readable.len() <= 253 && readable.split('.').all(label) {
        return readable;
    }
    format!("digest.{}", digest_of(hostname.as_bytes()).to_string().replace(':', "."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_an_object_of_its_own() {
        assert_eq!(object_name("a.example.com"), "name.a.example.com");
        assert_eq!(object_name("*.example.com"), "wildcard.example.com");
        assert_eq!(object_name("wildcard.example.com"), "name.wildcard.example.com");
        assert_eq!(object_name(""), "everything");
        let long = "a.".repeat(126) + "a";
        let odd = ["*", "*a.b", "a..b", "-a", "a b", "a_b", "ä.example", long.as_str(), "a/b", "*.", "."];
        let names: std::collections::BTreeSet<_> = odd.into_iter().map(object_name).collect();
        assert_eq!(names.len(), odd.len());
        assert!(names.iter().all(|name| name.starts_with("digest.") && name.len() == 78), "{names:?}");
    }
}
