//! The objects of `flowcontrol.apiserver.k8s.io/v1` as the API server reads and writes them, without their status.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use super::{Kind, Level, Queuing};

/// The API version of both kinds.
pub const API_VERSION: &str = "flowcontrol.apiserver.k8s.io/v1";
/// The label of objects that a tool keeps in sync.
pub const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";
/// Its value for what Bailey writes.
pub const MANAGED_BY: &str = "bailey";

/// What an object is called.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectMeta {
    /// The name.
    pub name: String,
    /// The labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The version it was read at; `None` for an object that is to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_version: Option<String>,
}

impl ObjectMeta {
    /// The metadata of an object that Bailey writes.
    pub fn ours(name: String) -> Self {
        let labels = BTreeMap::from([(MANAGED_BY_LABEL.to_owned(), MANAGED_BY.to_owned())]);
        Self { name, labels, resource_version: None }
    }

    /// Whether Bailey wrote it.
    pub fn is_ours(&self) -> bool {
        self.labels.get(MANAGED_BY_LABEL).is_some_and(|value| value == MANAGED_BY)
    }
}

/// A priority level.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PriorityLevelConfiguration {
    /// [`API_VERSION`].
    #[serde(default = "api_version")]
    pub api_version: String,
    /// `PriorityLevelConfiguration`.
    #[serde(default = "level_kind")]
    pub kind: String,
    /// Its name.
    pub metadata: ObjectMeta,
    /// What is wanted.
    pub spec: PriorityLevelSpec,
}

/// What a priority level is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum PriorityLevelSpec {
    /// Every request is served at once.
    Exempt {
        /// How much it lends; the server fills it in.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exempt: Option<ExemptSpec>,
    },
    /// Requests wait for seats.
    Limited {
        /// How much it has.
        limited: LimitedSpec,
    },
}

/// What an exempt level has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExemptSpec {
    /// The weight, 0 where not given.
    #[serde(default)]
    pub nominal_concurrency_shares: u32,
    /// What others may use, in percent, 0 where not given.
    #[serde(default)]
    pub lendable_percent: u32,
}

/// What a limited level has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LimitedSpec {
    /// The weight, 30 where not given.
    #[serde(default = "default_shares")]
    pub nominal_concurrency_shares: u32,
    /// What others may use, in percent, 0 where not given.
    #[serde(default)]
    pub lendable_percent: u32,
    /// What it may borrow, in percent; `None` without a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub borrowing_limit_percent: Option<u32>,
    /// What becomes of requests that find no seat.
    pub limit_response: LimitResponse,
}

/// What becomes of requests that find no seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum LimitResponse {
    /// They are refused.
    Reject,
    /// They wait.
    Queue {
        /// The queues.
        queuing: QueuingConfiguration,
    },
}

/// The queues of a level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QueuingConfiguration {
    /// How many.
    pub queues: u32,
    /// Among how many a flow is spread.
    pub hand_size: u32,
    /// How many requests wait in each at most.
    pub queue_length_limit: u32,
}

/// Which requests go to which level, as which flow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FlowSchema {
    /// [`API_VERSION`].
    #[serde(default = "api_version")]
    pub api_version: String,
    /// `FlowSchema`.
    #[serde(default = "schema_kind")]
    pub kind: String,
    /// Its name.
    pub metadata: ObjectMeta,
    /// What is wanted.
    pub spec: FlowSchemaSpec,
}

/// What a FlowSchema is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FlowSchemaSpec {
    /// The level.
    pub priority_level_configuration: Reference,
    /// Its place, 1 to 10,000: the lowest number that matches wins, and of equals the first by name.
    pub matching_precedence: u32,
    /// How its requests are told apart; `None` where all are one flow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distinguisher_method: Option<DistinguisherMethod>,
    /// The requests: those that one of the rules matches.
    #[serde(default, deserialize_with = "or_default")]
    pub rules: Vec<PolicyRules>,
}

/// The name of another object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reference {
    /// The name.
    pub name: String,
}

/// How requests of one FlowSchema are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum DistinguisherMethod {
    /// By user.
    ByUser,
    /// By the namespace the request is about.
    ByNamespace,
}

/// Requests by who makes them and what they are about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyRules {
    /// Who, at least one.
    pub subjects: Vec<Subject>,
    /// Requests about resources.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub resource_rules: Vec<ResourceRule>,
    /// Other requests.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub non_resource_rules: Vec<NonResourceRule>,
}

/// Who makes a request.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all_fields = "camelCase")]
pub enum Subject {
    /// A user, or all of them: `*`.
    User {
        /// Its name.
        user: Name,
    },
    /// Everybody in a group.
    Group {
        /// Its name.
        group: Name,
    },
    /// A service account.
    ServiceAccount {
        /// Its name.
        service_account: ServiceAccount,
    },
}

/// The name of a user or a group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Name {
    /// The name, or `*`.
    pub name: String,
}

/// The name of a service account.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ServiceAccount {
    /// Its namespace.
    pub namespace: String,
    /// Its name in there, or `*`.
    pub name: String,
}

/// Requests about resources. `*` stands for all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceRule {
    /// What is done.
    pub verbs: Vec<String>,
    /// In which groups.
    pub api_groups: Vec<String>,
    /// To what.
    pub resources: Vec<String>,
    /// Whether requests count that are about no namespace.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cluster_scope: bool,
    /// About which namespaces.
    #[serde(default, deserialize_with = "or_default")]
    pub namespaces: Vec<String>,
}

/// Requests about other things than resources. `*` stands for all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NonResourceRule {
    /// The HTTP methods, in lower case.
    pub verbs: Vec<String>,
    /// The paths; one that ends in `/*` stands for all below it.
    #[serde(rename = "nonResourceURLs")]
    pub non_resource_urls: Vec<String>,
}

fn api_version() -> String {
    API_VERSION.to_owned()
}

fn level_kind() -> String {
    "PriorityLevelConfiguration".to_owned()
}

fn schema_kind() -> String {
    "FlowSchema".to_owned()
}

const fn default_shares() -> u32 {
    30
}

/// The server writes an empty list as `null`.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

// --- levels as objects, and back ---

impl From<&Level> for PriorityLevelConfiguration {
    /// An object of Bailey's own.
    fn from(level: &Level) -> Self {
        let spec = match level.kind {
            Kind::Exempt => PriorityLevelSpec::Exempt {
                exempt: Some(ExemptSpec {
                    nominal_concurrency_shares: level.shares,
                    lendable_percent: level.lendable_percent,
                }),
            },
            Kind::Limited { borrowing_limit_percent, queuing } => PriorityLevelSpec::Limited {
                limited: LimitedSpec {
                    nominal_concurrency_shares: level.shares,
                    lendable_percent: level.lendable_percent,
                    borrowing_limit_percent,
                    limit_response: queuing.map_or(LimitResponse::Reject, |queuing| LimitResponse::Queue {
                        queuing: QueuingConfiguration {
                            queues: queuing.queues,
                            hand_size: queuing.hand,
                            queue_length_limit: queuing.length,
                        },
                    }),
                },
            },
        };
        let metadata = ObjectMeta::ours(level.name.clone());
        Self { api_version: api_version(), kind: level_kind(), metadata, spec }
    }
}

impl From<&PriorityLevelConfiguration> for Level {
    fn from(object: &PriorityLevelConfiguration) -> Self {
        let name = object.metadata.name.clone();
        match &object.spec {
            PriorityLevelSpec::Exempt { exempt } => {
                let none = ExemptSpec { nominal_concurrency_shares: 0, lendable_percent: 0 };
                let ExemptSpec { nominal_concurrency_shares: shares, lendable_percent } =
                    exempt.unwrap_or(none);
                Self { name, shares, lendable_percent, kind: Kind::Exempt }
            }
            PriorityLevelSpec::Limited { limited } => {
                let queuing = match limited.limit_response {
                    LimitResponse::Reject => None,
                    LimitResponse::Queue { queuing } => Some(Queuing {
                        queues: queuing.queues,
                        hand: queuing.hand_size,
                        length: queuing.queue_length_limit,
                    }),
                };
                let borrowing_limit_percent = limited.borrowing_limit_percent;
                Self {
                    name,
                    shares: limited.nominal_concurrency_shares,
                    lendable_percent: limited.lendable_percent,
                    kind: Kind::Limited { borrowing_limit_percent, queuing },
                }
            }
        }
    }
}

impl FlowSchema {
    /// An object of Bailey's own.
    pub fn ours(name: String, spec: FlowSchemaSpec) -> Self {
        Self { api_version: api_version(), kind: schema_kind(), metadata: ObjectMeta::ours(name), spec }
    }
}

impl Subject {
    /// A user.
    pub fn user(name: &str) -> Self {
        Self::User { user: Name { name: name.to_owned() } }
    }

    /// A group.
    pub fn group(name: &str) -> Self {
        Self::Group { group: Name { name: name.to_owned() } }
    }

    /// A service account, or all of a namespace: `*`.
    pub fn service_account(namespace: &str, name: &str) -> Self {
        let service_account = ServiceAccount { namespace: namespace.to_owned(), name: name.to_owned() };
        Self::ServiceAccount { service_account }
    }
}

impl std::fmt::Display for Subject {
    /// As a user name or a group is written.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::User { user } => write!(f, "user:{}", user.name),
            Self::Group { group } => write!(f, "group:{}", group.name),
            Self::ServiceAccount { service_account: ServiceAccount { namespace, name } } => {
                write!(f, "sa:{namespace}/{name}")
            }
        }
    }
}
