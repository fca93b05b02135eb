//! The fields of a Pod that count.

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::measure::json::{List, Text, or_default};

#[derive(Deserialize)]
pub(super) struct Pod<'a> {
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub(super) metadata: Metadata<'a>,
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub(super) spec: Spec<'a>,
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub(super) status: Status<'a>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub(super) struct Metadata<'a> {
    #[serde(borrow)]
    pub(super) deletion_timestamp: Option<Text<'a>>,
    pub(super) deletion_grace_period_seconds: Option<i64>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub(super) struct Spec<'a> {
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub(super) containers: Vec<Container<'a>>,
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub(super) init_containers: Vec<Container<'a>>,
    #[serde(borrow)]
    pub(super) resources: Option<Resources<'a>>,
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub(super) overhead: List<'a>,
    pub(super) active_deadline_seconds: Option<i64>,
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub(super) priority_class_name: Text<'a>,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) affinity: Affinity,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Container<'a> {
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub(super) name: Text<'a>,
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub(super) resources: Resources<'a>,
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub(super) restart_policy: Text<'a>,
}

#[derive(Deserialize, Default)]
pub(super) struct Resources<'a> {
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub(super) requests: List<'a>,
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub(super) limits: List<'a>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub(super) struct Affinity {
    #[serde(default, deserialize_with = "or_default")]
    pub(super) pod_affinity: Terms,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) pod_anti_affinity: Terms,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub(super) struct Terms {
    #[serde(
        default,
        rename = "requiredDuringSchedulingIgnoredDuringExecution",
        deserialize_with = "or_default"
    )]
    pub(super) required: Vec<Term>,
    #[serde(
        default,
        rename = "preferredDuringSchedulingIgnoredDuringExecution",
        deserialize_with = "or_default"
    )]
    pub(super) preferred: Vec<Weighted>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub(super) struct Weighted {
    #[serde(default, deserialize_with = "or_default")]
    pub(super) pod_affinity_term: Term,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub(super) struct Term {
    #[serde(default, deserialize_with = "or_default")]
    pub(super) namespaces: Vec<IgnoredAny>,
    pub(super) namespace_selector: Option<IgnoredAny>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub(super) struct Status<'a> {
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub(super) phase: Text<'a>,
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub(super) qos_class: Text<'a>,
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub(super) conditions: Vec<Condition<'a>>,
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub(super) container_statuses: Vec<ContainerStatus<'a>>,
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub(super) init_container_statuses: Vec<ContainerStatus<'a>>,
}

#[derive(Deserialize)]
pub(super) struct Condition<'a> {
    #[serde(borrow, rename = "type", default, deserialize_with = "or_default")]
    pub(super) kind: Text<'a>,
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub(super) reason: Text<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ContainerStatus<'a> {
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub(super) name: Text<'a>,
    #[serde(borrow)]
    pub(super) resources: Option<Resources<'a>>,
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub(super) allocated_resources: List<'a>,
}
