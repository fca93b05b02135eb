mod holdings;
mod hosts;
mod index;
mod rules;

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use serde_json::Value;

use crate::LabelSelector;

pub use holdings::{Holder, Holdings};
pub use hosts::{HostnameAsk, HostnameFault, covers, hosts, wildcards_above};
pub use index::TenantIndex;
pub use rules::{
    ClassKind, ClassRule, ConnectRules, HostRules, ImageRules, MetadataRules, ResourceRules, Rules,
    SchedulingRules, ServiceRules,
};

/// The label of a namespace that names its tenant. Only administrators and Bailey set it.
pub const TENANT_LABEL: &str = "bailey.dev/tenant";

/// The label that Bailey gives a tenant's namespace when all of its walls stand.
pub const WALLS_LABEL: &str = "bailey.dev/walls";
/// Its value.
pub const WALLS_STANDING: &str = "standing";
/// The label of objects in tenants' namespaces that Bailey keeps in sync; nobody else changes them.
pub const MANAGED_LABEL: &str = "bailey.dev/managed-by";
/// The label of every namespace that holds its name; Kubernetes sets it.
pub const NAMESPACE_NAME_LABEL: &str = "kubernetes.io/metadata.name";
/// What the labels of Pod Security begin with.
pub const POD_SECURITY_LABELS: &str = "pod-security.kubernetes.io/";

/// What keeps a deleted Tenant until its namespaces are gone.
pub const TENANT_FINALIZER: &str = "bailey.dev/namespaces";

/// What a member of a tenant may do, the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TenantRole {
    /// What the member's own ClusterRole says.
    Custom,
    /// Reads what is in the tenant's namespaces, but no Secrets.
    Viewer,
    /// Changes it too.
    Editor,
    /// Creates and deletes namespaces, and gives rights inside of them.
    Owner,
}

impl TenantRole {
    /// The role as it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Custom => "custom",
            Self::Viewer => "viewer",
            Self::Editor => "editor",
            Self::Owner => "owner",
        }
    }
}

/// Who can be a member.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// A user by name.
    User(String),
    /// Everybody in a group.
    Group(String),
    /// A service account.
    ServiceAccount {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
}

/// A member of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub subject: Subject,
    /// As what.
    pub role: TenantRole,
    /// The ClusterRole of a [`TenantRole::Custom`] member.
    pub cluster_role: Option<String>,
}

/// Rules for a tenant's own namespaces.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NamespaceRules {
    /// What their names begin with; empty where any name will do.
    pub prefix: String,
    /// The most namespaces; `None` without a limit.
    pub limit: Option<u32>,
}

/// How much a tenant may have at once. Amounts are in billionths, by canonical resource name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Budget {
    /// The most in all, or what is the tenant's own share of its cohort.
    pub hard: BTreeMap<Arc<str>, i128>,
    /// The most by the priority of Pods.
    pub bands: Vec<Band>,
    /// The tenants beside it with which it shares what it does not use.
    pub cohort: Option<String>,
    /// The most that the others of the cohort may use of its own; all of it where not given.
    pub lend: BTreeMap<Arc<str>, i128>,
    /// The most that it may use of what the others lend; all of it where not given.
    pub borrow: BTreeMap<Arc<str>, i128>,
    /// How much of the budget each namespace has as a ResourceQuota, in percent; `None` where it has none.
    pub backstop_percent: Option<u32>,
    /// What holds it.
    pub enforced: Enforced,
}

/// What holds a budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Enforced {
    /// Bailey's ledger, in admission.
    #[default]
    Ledger,
    /// ResourceQuotas of Kubernetes' own as well, with grants that move between namespaces.
    Native,
}

/// How much Pods of some priority classes may have at once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Band {
    /// The band's name.
    pub name: String,
    /// Its PriorityClasses; the Pods of no other band where there are none.
    pub priority_classes: Vec<String>,
    /// The most; what is not named is without a limit.
    pub hard: BTreeMap<Arc<str>, i128>,
}

/// How far the Pods of a tenant are held apart from the node and from other Pods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Isolation {
    /// The labels of Pod Security that every namespace has, by whole name.
    pub pod_security: BTreeMap<String, String>,
    /// What Pods may reach and who may reach them; `None` where nothing is enforced.
    pub network: Option<Network>,
    /// What else every namespace gets.
    pub contents: Contents,
    /// What objects may be: the profile's rules, and those of every tenant above. All of them hold.
    pub rules: Vec<Arc<Rules>>,
    /// What is wrong with the tenant's own declaration; the walls are the strictest then.
    pub fault: Option<TenantFault>,
}

/// Why a tenant does not have the walls that it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TenantFault {
    /// There is no profile of this name.
    ProfileMissing(String),
    /// There is no tenant of this name, which is named as parent.
    ParentMissing(String),
    /// The tenant is above itself, through this parent.
    ParentCircle(String),
}

/// What every namespace of a tenant gets beside walls and rights.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Contents {
    /// The items of LimitRanges: those of the profile, and of every tenant above.
    pub limit_ranges: Vec<Vec<Value>>,
    /// Whether Pods that do not say get a token of the ServiceAccount `default`.
    pub automount_token: bool,
    /// Secrets with which the ServiceAccount `default` pulls images.
    pub image_pull_secrets: Vec<String>,
    /// Whole objects, in which `${NAMESPACE}` and `${TENANT}` are filled in.
    pub templates: Vec<Value>,
    /// Secrets of Bailey's own namespace that are copied, by name.
    pub secrets: Vec<String>,
}

/// What the Pods of an isolated tenant may reach beside each other and DNS.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Network {
    /// Address ranges that they may reach, such as `203.0.113.0/24`.
    pub egress: Vec<String>,
    /// Namespaces from which they may be reached, such as that of an ingress controller.
    pub ingress_from: Vec<String>,
    /// The same by labels of namespaces.
    pub ingress_selectors: Vec<LabelSelector>,
}

/// A namespace as the snapshot knows it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NamespaceState {
    /// The tenant that its label names, whether or not there is one of the name.
    pub tenant: Option<String>,
    /// Those of its labels that are walls: of Pod Security, and [`WALLS_LABEL`].
    pub labels: BTreeMap<String, String>,
    /// Whether it is being deleted: nothing is put into it any more, and its name may soon be another tenant's.
    pub terminating: bool,
}

impl NamespaceState {
    /// The state of a namespace with these labels.
    pub fn of(labels: BTreeMap<String, String>) -> Self {
        let tenant = labels.get(TENANT_LABEL).cloned();
        let walls = labels
            .into_iter()
            .filter(|(name, _)| name.starts_with(POD_SECURITY_LABELS) || name == WALLS_LABEL);
        Self { tenant, labels: walls.collect(), terminating: false }
    }

    /// Whether its walls stood once; what is taken away from them later is put right.
    pub fn stands(&self) -> bool {
        self.labels.get(WALLS_LABEL).is_some_and(|value| value == WALLS_STANDING)
    }
}

/// A tenant: who belongs to it, and what its namespaces may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    /// The object's name.
    pub name: String,
    /// The tenants above it, the nearest first.
    pub parents: Vec<String>,
    /// Its members; the owners of every tenant above are among them.
    pub members: Vec<Member>,
    /// Rules for its namespaces.
    pub namespaces: NamespaceRules,
    /// How much it may have at once, together with all tenants below it.
    pub budget: Budget,
    /// Whether it may not grow: running work stays, nothing new is created.
    pub suspended: bool,
    /// The profile that it uses, whether or not there is one of the name.
    pub profile: String,
    /// The walls of each namespace.
    pub isolation: Isolation,
    /// How many turns it has where all tenants take turns, for one of a tenant of weight 1.
    pub weight: NonZeroU32,
}

impl Tenant {
    /// A tenant of this name with nothing: no members, no budget, no walls.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            parents: Vec::new(),
            members: Vec::new(),
            namespaces: NamespaceRules::default(),
            budget: Budget::default(),
            suspended: false,
            profile: "default".to_owned(),
            isolation: Isolation {
                pod_security: BTreeMap::new(),
                network: None,
                contents: Contents::default(),
                rules: Vec::new(),
                fault: None,
            },
            weight: NonZeroU32::MIN,
        }
    }
}
