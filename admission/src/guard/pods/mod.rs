//! What Pods may be, and the templates that Pods are made from.

pub(super) mod images;
pub(super) mod placement;
pub(super) mod resources;
pub(super) mod volumes;

use std::collections::BTreeMap;

use model::{Operation, Request};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::Question;

/// The parts of a Pod's specification that walls look at.
#[derive(Debug, PartialEq, Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct PodSpec {
    #[serde(deserialize_with = "or_default")]
    pub(super) containers: Vec<Container>,
    #[serde(deserialize_with = "or_default")]
    init_containers: Vec<Container>,
    #[serde(deserialize_with = "or_default")]
    ephemeral_containers: Vec<Container>,
    #[serde(deserialize_with = "or_default")]
    volumes: Vec<BTreeMap<String, Value>>,
    #[serde(deserialize_with = "or_default")]
    node_selector: BTreeMap<String, String>,
    #[serde(deserialize_with = "or_default")]
    tolerations: Vec<Toleration>,
    #[serde(deserialize_with = "or_default")]
    topology_spread_constraints: Vec<Topology>,
    affinity: Option<Affinity>,
    node_name: Option<String>,
    scheduler_name: Option<String>,
    pub(super) priority_class_name: Option<String>,
    pub(super) runtime_class_name: Option<String>,
    resources: Option<Amounts>,
}

#[derive(Debug, PartialEq, Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Container {
    name: String,
    image: Option<String>,
    image_pull_policy: Option<String>,
    resources: Option<Amounts>,
}

#[derive(Debug, PartialEq, Deserialize, Default)]
#[serde(default)]
struct Amounts {
    #[serde(deserialize_with = "or_default")]
    requests: BTreeMap<String, Value>,
    #[serde(deserialize_with = "or_default")]
    limits: BTreeMap<String, Value>,
}

#[derive(Debug, PartialEq, Deserialize, Default)]
#[serde(default)]
struct Toleration {
    key: Option<String>,
}

#[derive(Debug, PartialEq, Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Topology {
    topology_key: String,
}

#[derive(Debug, PartialEq, Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Affinity {
    pod_affinity: Option<Terms>,
    pod_anti_affinity: Option<Terms>,
}

#[derive(Debug, PartialEq, Deserialize, Default)]
#[serde(default)]
struct Terms {
    #[serde(rename = "requiredDuringSchedulingIgnoredDuringExecution", deserialize_with = "or_default")]
    required: Vec<Topology>,
    #[serde(rename = "preferredDuringSchedulingIgnoredDuringExecution", deserialize_with = "or_default")]
    preferred: Vec<Weighted>,
}

#[derive(Debug, PartialEq, Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Weighted {
    pod_affinity_term: Topology,
}

fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// An object whose `spec` is looked at.
#[derive(Deserialize)]
struct Spec<T> {
    spec: Option<T>,
}

/// One whose `template` is looked at.
#[derive(Deserialize)]
struct Template<T> {
    template: Option<T>,
}

/// One whose `jobTemplate` is looked at.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct JobTemplate<T> {
    job_template: Option<T>,
}

/// What has a template of Pods in its specification.
type Workload = Spec<Template<Spec<PodSpec>>>;

impl Workload {
    fn pod(self) -> Option<PodSpec> {
        self.spec?.template?.spec
    }
}

/// Reads the specification of Pods out of an object; `None` where it has none.
type Reader = fn(&[u8]) -> serde_json::Result<Option<PodSpec>>;

/// How the specification of Pods is read out of objects of a kind; `None` where there is none in them.
fn reader(group: &str, resource: &str) -> Option<Reader> {
    Some(match (group, resource) {
        ("", "pods") => |object| Ok(serde_json::from_slice::<Spec<PodSpec>>(object)?.spec),
        ("", "podtemplates") => |object| {
            let template: Template<Spec<PodSpec>> = serde_json::from_slice(object)?;
            Ok(template.template.and_then(|template| template.spec))
        },
        ("", "replicationcontrollers")
        | ("apps", "deployments" | "replicasets" | "statefulsets" | "daemonsets")
        | ("batch", "jobs") => |object| Ok(serde_json::from_slice::<Workload>(object)?.pod()),
        ("batch", "cronjobs") => |object| {
            let cron: Spec<JobTemplate<Workload>> = serde_json::from_slice(object)?;
            Ok(cron.spec.and_then(|spec| spec.job_template?.pod()))
        },
        _ => return None,
    })
}

/// A Pod that no rule can read passes none.
pub(super) fn cannot_be_read(question: &Question<'_>) -> Option<String> {
    question.unreadable_pod()
}

/// The Pod that a request makes or changes, now or by its template. An error says that it cannot be read.
///
/// What stays as it was counts as absent: a rule that came later holds nobody up.
pub(super) fn pod_of(request: &Request) -> Result<Option<PodSpec>, String> {
    let resource = &request.resource;
    let Some(reader) = reader(&resource.group, &resource.resource) else { return Ok(None) };
    if !["", "ephemeralcontainers", "resize"].contains(&request.sub_resource.as_str()) {
        return Ok(None);
    }
    let read = |object: Option<&bytes::Bytes>| match object {
        Some(object) => reader(object).map_err(|error| format!("the Pod cannot be read: {error}")),
        None => Ok(None),
    };
    let new = read(request.object.as_ref())?;
    if request.operation == Operation::Update && read(request.old_object.as_ref())? == new {
        return Ok(None);
    }
    Ok(new)
}

impl PodSpec {
    /// All containers, of every kind.
    fn all_containers(&self) -> impl Iterator<Item = &Container> {
        self.containers.iter().chain(&self.init_containers).chain(&self.ephemeral_containers)
    }
}
