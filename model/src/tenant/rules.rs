use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use crate::Globs;

/// What objects in a tenant's namespaces may be. An allowed list that is `None` allows everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Where they stand, such as "IsolationProfile `lab`": who is refused is told.
    pub source: String,
    /// The labels of namespaces.
    pub labels: MetadataRules,
    /// The annotations of namespaces.
    pub annotations: MetadataRules,
    /// The images of containers.
    pub images: ImageRules,
    /// Classes that objects name.
    pub classes: BTreeMap<ClassKind, ClassRule>,
    /// Host names of Ingresses, Gateways and their routes.
    pub hosts: HostRules,
    /// Services.
    pub services: ServiceRules,
    /// Kinds of volumes that Pods may have.
    pub volumes: Globs,
    /// Where Pods run.
    pub scheduling: SchedulingRules,
    /// What Pods ask for.
    pub resources: ResourceRules,
    /// What is let through to running Pods.
    pub connect: ConnectRules,
    /// Finalizers that members may set.
    pub finalizers: Globs,
    /// ClusterRoles that members may bind, where they have the rights in them.
    pub cluster_roles: Option<Globs>,
}

impl Rules {
    /// Whether objects may name a class; of PriorityClasses those of Kubernetes' own only where they are in a list.
    pub fn may_name(&self, kind: ClassKind, name: &str) -> bool {
        match self.classes.get(&kind).and_then(|rule| rule.allowed.as_ref()) {
            Some(allowed) => allowed.matches(name),
            None => kind != ClassKind::Priority || !name.starts_with(SYSTEM_PRIORITIES),
        }
    }
}

/// What the names of Kubernetes' own PriorityClasses begin with.
const SYSTEM_PRIORITIES: &str = "system-";

/// Which labels or annotations a namespace has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MetadataRules {
    /// Those that it has to have, with what the value has to match.
    pub required: BTreeMap<String, Globs>,
    /// Those that it gets where it does not have them.
    pub defaults: BTreeMap<String, String>,
    /// Those that members may not set.
    pub forbidden: Globs,
}

/// What images may be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ImageRules {
    /// What the reference has to match, with `docker.io/library/` where the text leaves that out.
    pub allowed: Option<Globs>,
    /// Whether the reference has to name a digest.
    pub digests: bool,
    /// The allowed pull policies.
    pub pull_policies: Option<BTreeSet<String>>,
}

/// A kind of class that objects name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClassKind {
    /// Of PersistentVolumeClaims.
    Storage,
    /// Of Ingresses.
    Ingress,
    /// Of Gateways.
    Gateway,
    /// Of Pods: who goes first.
    Priority,
    /// Of Pods: how containers run.
    Runtime,
    /// Of ResourceClaims.
    Device,
}

impl ClassKind {
    /// The name of the class's own kind.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Storage => "StorageClass",
            Self::Ingress => "IngressClass",
            Self::Gateway => "GatewayClass",
            Self::Priority => "PriorityClass",
            Self::Runtime => "RuntimeClass",
            Self::Device => "DeviceClass",
        }
    }
}

/// Which classes of one kind objects may name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClassRule {
    /// The allowed ones.
    pub allowed: Option<Globs>,
    /// The one that objects get which name none.
    pub default: Option<String>,
}

/// What host names may be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostRules {
    /// The allowed names.
    pub allowed: Option<Globs>,
    /// Whether names may begin with `*.`, and be left out, which means every name.
    pub wildcards: bool,
    /// Whether two tenants may use the same name.
    pub shared: bool,
}

/// What Services may be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServiceRules {
    /// The allowed types.
    pub types: BTreeSet<String>,
    /// Ranges in which external addresses have to be.
    pub external_ips: Vec<IpNet>,
    /// What names the type `ExternalName` may point at.
    pub external_names: Globs,
}

/// Where Pods may run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SchedulingRules {
    /// Labels of nodes that every Pod selects.
    pub node_selector: BTreeMap<String, String>,
    /// Keys of taints that Pods may tolerate.
    pub tolerations: Globs,
    /// Whether Pods may name their node, past the scheduler.
    pub node_name: bool,
    /// The allowed schedulers.
    pub schedulers: Option<Globs>,
    /// Keys of node labels by which Pods may be spread or kept together.
    pub topology_keys: Option<Globs>,
}

/// What Pods have to ask for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ResourceRules {
    /// The allowed classes: `Guaranteed`, `Burstable`, `BestEffort`.
    pub qos_classes: Option<BTreeSet<String>>,
    /// How many hundredths of its request a container's limit may be, by resource.
    pub max_limit_percent: BTreeMap<String, u32>,
}

/// What is let through to running Pods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectRules {
    /// Subresources that are refused: `exec`, `attach`, `portforward`, `proxy`, `ephemeralcontainers`.
    pub refused: BTreeSet<String>,
}
