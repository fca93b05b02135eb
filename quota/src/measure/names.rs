//! The resource names of ResourceQuota: which there are, which are the same, and what they count.

use std::borrow::Cow;
use std::fmt;

use thiserror::Error;

use super::Sum;

/// Between a storage class and what is counted of it.
pub(super) const STORAGE_CLASS: &str = ".storageclass.storage.k8s.io/";
/// After a device class.
pub(super) const DEVICES: &str = ".deviceclass.resource.k8s.io/devices";
/// Before a device class, where a Pod asks for its devices as for an extended resource.
pub(super) const DEVICE_CLASS: &str = "deviceclass.resource.kubernetes.io/";

const PODS: [&str; 11] = [
    "count/pods",
    "cpu",
    "ephemeral-storage",
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "memory",
    "pods",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];
const VOLUMES: [&str; 2] = ["persistentvolumeclaims", "requests.storage"];
/// Kinds of the core group that have a name without `count/` too.
const WITHOUT_COUNT: [&str; 6] = [
    "configmaps",
    "persistentvolumeclaims",
    "replicationcontrollers",
    "resourcequotas",
    "secrets",
    "services",
];
/// What is not stored, and events: Kubernetes does not count them.
const IGNORED: [(&str, &str); 10] = [
    ("", "bindings"),
    ("", "componentstatuses"),
    ("", "events"),
    ("authentication.k8s.io", "selfsubjectreviews"),
    ("authentication.k8s.io", "tokenreviews"),
    ("authorization.k8s.io", "localsubjectaccessreviews"),
    ("authorization.k8s.io", "selfsubjectaccessreviews"),
    ("authorization.k8s.io", "selfsubjectrulesreviews"),
    ("authorization.k8s.io", "subjectaccessreviews"),
    ("events.k8s.io", "events"),
];
const NAME: usize = 63;
const DOMAIN: usize = 253;

/// A kind of object: an API group, empty for the core group, and the plural.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupResource {
    /// The API group; empty for the core group.
    pub group: String,
    /// The plural, such as `pods`.
    pub resource: String,
}

impl GroupResource {
    /// A kind by its group and plural.
    pub fn new(group: &str, resource: &str) -> Self {
        Self { group: group.to_owned(), resource: resource.to_owned() }
    }
}

impl fmt::Display for GroupResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.group.as_str() {
            "" => f.write_str(&self.resource),
            group => write!(f, "{}.{group}", self.resource),
        }
    }
}

/// A name that no kind counts for.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{name}` is no resource name that is counted: {hint}")]
pub struct UnknownResource {
    /// The name.
    pub name: String,
    /// What would be one.
    pub hint: String,
}

/// The one name of what several names count: `cpu` is `requests.cpu`, `count/secrets` is `secrets`.
pub fn canonical(name: &str) -> Cow<'_, str> {
    match name {
        "cpu" => Cow::Borrowed("requests.cpu"),
        "memory" => Cow::Borrowed("requests.memory"),
        "ephemeral-storage" => Cow::Borrowed("requests.ephemeral-storage"),
        // With a domain, it is a class of that name.
        _ if name.starts_with("hugepages-") && !name.contains('/') => Cow::Owned(format!("requests.{name}")),
        _ => match name.strip_prefix("count/").filter(|plural| WITHOUT_COUNT.contains(plural)) {
            Some(plural) => Cow::Borrowed(plural),
            None => Cow::Borrowed(name),
        },
    }
}

/// The kinds of object that count for a resource name: one, or more where Kubernetes counts several together.
///
/// ResourceClaims count for `requests.<extended resource>` too if a DeviceClass gives its devices that name
/// ([`Measured::with_extended`](super::Measured::with_extended)); they are not among the kinds here.
///
/// # Errors
///
/// If no kind does, or the name means a [`Sum`] that there cannot be.
pub fn kinds_of(name: &str) -> Result<Vec<GroupResource>, UnknownResource> {
    let unknown = |hint: String| UnknownResource { name: name.to_owned(), hint };
    if let Some(sum) = Sum::named(name) {
        return sum.map(|sum| vec![sum.kind().clone()]).map_err(|error| unknown(error.to_string()));
    }
    if !is_qualified(name, 0) {
        return Err(unknown(format!("it is not well written; {}", examples())));
    }
    let kinds = counting(name);
    if kinds.iter().any(|kind| is_ignored(&kind.group, &kind.resource)) {
        return Err(unknown("Kubernetes does not count these objects".to_owned()));
    }
    if kinds.is_empty() { Err(unknown(hint(name))) } else { Ok(kinds) }
}

fn counting(name: &str) -> Vec<GroupResource> {
    if let Some(counted) = name.strip_prefix("count/") {
        let (resource, group) = counted.split_once('.').unwrap_or((counted, ""));
        return vec![GroupResource::new(group, resource)];
    }
    if WITHOUT_COUNT.contains(&name) {
        return vec![GroupResource::new("", name)];
    }
    let by_class = |suffix: &str| name.strip_suffix(suffix).is_some_and(|class| !class.is_empty());
    let of_storage_class = |counted: &&str| {
        name.strip_suffix(*counted).and_then(|rest| rest.strip_suffix(STORAGE_CLASS)).is_some()
    };
    // The devices of any class may be an extended resource.
    let extended = name.strip_prefix("requests.").is_some_and(is_extended);
    [
        (PODS.contains(&name) || is_asked_of_pods(name), GroupResource::new("", "pods")),
        (matches!(name, "services.loadbalancers" | "services.nodeports"), GroupResource::new("", "services")),
        (
            VOLUMES.contains(&name) || VOLUMES.iter().any(of_storage_class),
            GroupResource::new("", "persistentvolumeclaims"),
        ),
        (by_class(DEVICES) || extended, GroupResource::new("resource.k8s.io", "resourceclaims")),
    ]
    .into_iter()
    .filter_map(|(counts, kind)| counts.then_some(kind))
    .collect()
}

/// Whether a name counts huge pages or an extended resource that Pods ask for.
fn is_asked_of_pods(name: &str) -> bool {
    let asked = name.strip_prefix("requests.");
    (asked.unwrap_or(name).starts_with("hugepages-") && !name.contains('/')) || asked.is_some_and(is_extended)
}

/// Whether a name is that of an extended resource, or of a device class as one.
fn is_extended(name: &str) -> bool {
    !is_native(name) || name.starts_with(DEVICE_CLASS)
}

/// Whether what a container asks for is counted as `requests.<name>`, beyond cpu, memory and ephemeral storage.
pub(super) fn is_requested(name: &str) -> bool {
    const PREFIX: &str = "requests.";
    name.starts_with("hugepages-")
        || name.starts_with(DEVICE_CLASS)
        || (!is_native(name) && !name.starts_with(PREFIX) && is_qualified(name, PREFIX.len()))
}

/// The name that counts the objects of a kind.
pub(super) fn count(group: &str, resource: &str) -> Cow<'static, str> {
    if group.is_empty() {
        let short = WITHOUT_COUNT.into_iter().find(|plural| *plural == resource);
        return short.map_or_else(|| Cow::Owned(format!("count/{resource}")), Cow::Borrowed);
    }
    Cow::Owned(format!("count/{resource}.{group}"))
}

/// Whether a plural name and a group are written as Kubernetes has them.
pub(super) fn is_kind(resource: &str, group: &str) -> bool {
    let written = |name: &str| is_qualified(name, 0);
    let plain = !resource.contains(['.', '_', '/']) && resource == resource.to_lowercase();
    plain && if group.is_empty() { written(resource) } else { written(&format!("{group}/{resource}")) }
}

/// Whether a ResourceQuota of Kubernetes may have this name too: all but [`Sum`]s.
pub fn is_of_kubernetes(name: &str) -> bool {
    Sum::named(name).is_none()
}

/// Whether objects of a kind are never counted.
pub(super) fn is_ignored(group: &str, resource: &str) -> bool {
    IGNORED.contains(&(group, resource))
}

/// Names without a domain are Kubernetes' own, and those of its domain.
fn is_native(name: &str) -> bool {
    !name.contains('/') || name.contains("kubernetes.io/")
}

/// Whether a name is written as Kubernetes wants it, with so many more characters before it: `domain/name` or
/// `name`.
fn is_qualified(name: &str, before: usize) -> bool {
    let (domain, name) = match name.split_once('/') {
        Some((domain, name)) => (Some(domain), name),
        None => (None, name),
    };
    let ends = |text: &str| {
        let edge = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
        edge(text.bytes().next()) && edge(text.bytes().next_back())
    };
    let is_label = |label: &str| {
        let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        ends(label) && label.bytes().all(known)
    };
    let is_domain =
        |domain: &str| domain.len().saturating_add(before) <= DOMAIN && domain.split('.').all(is_label);
    let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    domain.is_none_or(is_domain) && name.len() <= NAME && ends(name) && name.bytes().all(known)
}

fn hint(name: &str) -> String {
    let asked = format!("requests.{}", name.strip_prefix("limits.").unwrap_or(name));
    if counting(&asked).is_empty() { examples() } else { format!("`{asked}` would be one") }
}

fn examples() -> String {
    let all = [
        "requests.cpu",
        "limits.memory",
        "requests.storage",
        "pods",
        "requests.example.com/gpu",
        "gold.storageclass.storage.k8s.io/requests.storage",
        "count/jobs.batch",
    ];
    format!("such are {}", all.map(|name| format!("`{name}`")).join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(name: &str) -> String {
        let kinds = kinds_of(name).unwrap();
        kinds.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn every_name_has_kinds() {
        for (name, expected) in [
            ("cpu", "pods"),
            ("requests.memory", "pods"),
            ("limits.ephemeral-storage", "pods"),
            ("pods", "pods"),
            ("count/pods", "pods"),
            ("hugepages-2Mi", "pods"),
            ("requests.hugepages-1Gi", "pods"),
            ("requests.nvidia.com/gpu", "pods resourceclaims.resource.k8s.io"),
            ("requests.deviceclass.resource.kubernetes.io/gpu", "pods resourceclaims.resource.k8s.io"),
            ("services", "services"),
            ("count/services", "services"),
            ("services.loadbalancers", "services"),
            ("services.nodeports", "services"),
            ("persistentvolumeclaims", "persistentvolumeclaims"),
            ("requests.storage", "persistentvolumeclaims"),
            ("gold.storageclass.storage.k8s.io/requests.storage", "persistentvolumeclaims"),
            ("my.gold.storageclass.storage.k8s.io/persistentvolumeclaims", "persistentvolumeclaims"),
            ("hugepages-a.storageclass.storage.k8s.io/requests.storage", "persistentvolumeclaims"),
            ("gpu.deviceclass.resource.k8s.io/devices", "resourceclaims.resource.k8s.io"),
            ("configmaps", "configmaps"),
            ("resourcequotas", "resourcequotas"),
            ("count/jobs.batch", "jobs.batch"),
            ("count/widgets.a.example.com", "widgets.a.example.com"),
            ("count/resourceclaims.resource.k8s.io", "resourceclaims.resource.k8s.io"),
        ] {
            assert_eq!(kinds(name), expected, "{name}");
        }
    }

    #[test]
    fn unknown_names_say_what_would_be_one() {
        for (name, hint) in [
            ("nvidia.com/gpu", "`requests.nvidia.com/gpu` would be one"),
            ("limits.nvidia.com/gpu", "`requests.nvidia.com/gpu` would be one"),
            ("limits.hugepages-2Mi", "`requests.hugepages-2Mi` would be one"),
            ("storage", "`requests.storage` would be one"),
            ("deployments", "such are `requests.cpu`"),
            ("services.externalips", "such are `requests.cpu`"),
            ("requests.kubernetes.io/batch", "such are `requests.cpu`"),
            ("gold.storageclass.storage.k8s.io/pods", "`requests.gold.storageclass.storage.k8s.io/pods`"),
            ("events", "such are"),
            ("count/events", "Kubernetes does not count these objects"),
            ("count/events.events.k8s.io", "Kubernetes does not count these objects"),
            ("sum/disks", "a sum has a JSONPath after its kind"),
            ("", "it is not well written"),
            ("count/", "it is not well written"),
            ("a/b/c", "it is not well written"),
            (".storageclass.storage.k8s.io/requests.storage", "it is not well written"),
            ("requests.Nvidia.com/gpu", "it is not well written"),
        ] {
            let error = kinds_of(name).expect_err(name);
            assert!(error.hint.starts_with(hint), "{error}");
        }
        assert!(kinds_of(&format!("count/{}", "x".repeat(64))).is_err());
        assert!(kinds_of(&format!("requests.{}/x", "x".repeat(253))).is_err());
    }

    #[test]
    fn names_of_the_same_are_one() {
        for (name, expected) in [
            ("cpu", "requests.cpu"),
            ("memory", "requests.memory"),
            ("ephemeral-storage", "requests.ephemeral-storage"),
            ("hugepages-2Mi", "requests.hugepages-2Mi"),
            (
                "hugepages-a.deviceclass.resource.k8s.io/devices",
                "hugepages-a.deviceclass.resource.k8s.io/devices",
            ),
            ("count/configmaps", "configmaps"),
            ("count/services", "services"),
            ("count/persistentvolumeclaims", "persistentvolumeclaims"),
            ("count/pods", "count/pods"),
            ("pods", "pods"),
            ("count/jobs.batch", "count/jobs.batch"),
            ("count/services.serving.knative.dev", "count/services.serving.knative.dev"),
            ("requests.nvidia.com/gpu", "requests.nvidia.com/gpu"),
        ] {
            assert_eq!(canonical(name), expected);
            assert_eq!(canonical(&canonical(name)), expected);
        }
    }

    #[test]
    fn what_containers_ask_for_is_counted_as_kubernetes_does() {
        for (name, expected) in [
            ("hugepages-2Mi", true),
            ("nvidia.com/gpu", true),
            ("deviceclass.resource.kubernetes.io/gpu", true),
            ("kubernetes.io/batch", false),
            ("example.kubernetes.io/batch", false),
            ("requests.nvidia.com/gpu", false),
            ("storage", false),
            ("Nvidia.com/gpu", false),
            ("nvidia.com/", false),
        ] {
            assert_eq!(is_requested(name), expected, "{name}");
        }
        let domain = |length: usize| format!("{}/x", "x".repeat(length));
        assert!(is_requested(&domain(244)) && !is_requested(&domain(245)));
    }
}
