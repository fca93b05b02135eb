use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};
use kube::api::{ApiResource, DynamicObject};
use kube::core::GroupVersionKind;
use kube::{Api, ResourceExt};
use serde::{Deserialize, Serialize};

use super::fault::Fault;
use super::session::Session;

/// What a container used at a moment, and what it asks for. Amounts are quantities.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct UsageSample {
    /// When, as RFC 3339.
    pub time: String,
    /// The namespace.
    pub namespace: String,
    /// What made the Pod: the Deployment, the CronJob, or what else its owner is called; the Pod's own name without one.
    pub workload: String,
    /// The container.
    pub container: String,
    /// The Pod.
    pub pod: String,
    /// Cores.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<String>,
    /// Bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<String>,
    /// Cores.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_request: Option<String>,
    /// Bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_request: Option<String>,
}

/// What a PodMetrics says beside its metadata.
#[derive(Deserialize)]
struct PodMetrics {
    timestamp: Option<String>,
    #[serde(default)]
    containers: Vec<ContainerMetrics>,
}

#[derive(Deserialize)]
struct ContainerMetrics {
    name: String,
    #[serde(default)]
    usage: BTreeMap<String, String>,
}

impl Session {
    /// The last sample that the cluster's metrics API has of each container, in order; of one namespace or of all.
    /// Pods that are gone are left out.
    ///
    /// # Errors
    /// Where the cluster has no `metrics.k8s.io`, or the user may not read it or the Pods.
    pub async fn usage_samples(&self, namespace: Option<&str>) -> Result<Vec<UsageSample>, Fault> {
        let kind = GroupVersionKind::gvk("metrics.k8s.io", "v1beta1", "PodMetrics");
        let kind = ApiResource::from_gvk_with_plural(&kind, "pods");
        let (metrics, pods): (Api<DynamicObject>, Api<Pod>) = match namespace {
            Some(name) => {
                let metrics = Api::namespaced_with(self.client.clone(), name, &kind);
                (metrics, Api::namespaced(self.client.clone(), name))
            }
            None => (Api::all_with(self.client.clone(), &kind), Api::all(self.client.clone())),
        };
        let metrics = self.list(metrics, "").await.map_err(|fault| match fault {
            Fault::NotFound(_) => Fault::NotFound(
                "the cluster serves no `metrics.k8s.io`: install a metrics server, or write a usage file by other means"
                    .to_owned(),
            ),
            other => other,
        })?;
        let pods = self.list(pods, "").await?;
        let pods: BTreeMap<_, _> =
            pods.iter().map(|pod| ((pod.namespace().unwrap_or_default(), pod.name_any()), pod)).collect();
        let mut samples = Vec::new();
        for object in metrics {
            let place = (object.namespace().unwrap_or_default(), object.name_any());
            if let Some(pod) = pods.get(&place) {
                samples.extend(samples_of(pod, object.data));
            }
        }
        samples.sort();
        Ok(samples)
    }
}

/// What metrics say of a Pod; nothing where they cannot be read.
fn samples_of(pod: &Pod, metrics: serde_json::Value) -> Vec<UsageSample> {
    let read: Option<PodMetrics> = serde_json::from_value(metrics).ok();
    let Some((time, containers)) = read.and_then(|read| Some((read.timestamp?, read.containers))) else {
        return Vec::new();
    };
    let request = |container: &str, name: &str| {
        let all = pod.spec.iter().flat_map(containers_of);
        let requests = all.filter(|found| found.name == container).find_map(|found| found.resources.as_ref());
        Some(requests?.requests.as_ref()?.get(name)?.0.clone())
    };
    let sample = |metrics: ContainerMetrics| UsageSample {
        time: time.clone(),
        namespace: pod.namespace().unwrap_or_default(),
        workload: workload(pod),
        pod: pod.name_any(),
        cpu: metrics.usage.get("cpu").cloned(),
        memory: metrics.usage.get("memory").cloned(),
        cpu_request: request(&metrics.name, "cpu"),
        memory_request: request(&metrics.name, "memory"),
        container: metrics.name,
    };
    containers.into_iter().map(sample).collect()
}

fn containers_of(spec: &PodSpec) -> impl Iterator<Item = &Container> {
    spec.init_containers.iter().flatten().chain(&spec.containers)
}

/// What made a Pod. A ReplicaSet of a Deployment and a Job of a CronJob are called as those are, with a suffix.
fn workload(pod: &Pod) -> String {
    let owner = pod.owner_references().iter().find(|owner| owner.controller == Some(true));
    let Some(owner) = owner else { return pod.name_any() };
    let hash = pod.labels().get("pod-template-hash");
    let number = owner.name.rsplit_once('-').filter(|(_, number)| {
        owner.kind == "Job" && number.len() >= 8 && number.bytes().all(|digit| digit.is_ascii_digit())
    });
    let deployment = hash.filter(|_| owner.kind == "ReplicaSet");
    let deployment = deployment.and_then(|hash| owner.name.strip_suffix(hash.as_str())?.strip_suffix('-'));
    deployment.or(number.map(|(name, _)| name)).unwrap_or(&owner.name).to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(owner: &Value) -> Pod {
        serde_json::from_value(json!({
            "metadata": {
                "namespace": "lab", "name": "web-5d4f-x", "labels": {"pod-template-hash": "5d4f"},
                "ownerReferences": [owner],
            },
            "spec": {
                "initContainers": [{"name": "proxy", "restartPolicy": "Always"}],
                "containers": [{"name": "app", "resources": {"requests": {"cpu": "2", "memory": "1Gi"}}}],
            },
        }))
        .unwrap()
    }

    fn owner(kind: &str, name: &str) -> Value {
        json!({"apiVersion": "v1", "kind": kind, "name": name, "uid": "u", "controller": true})
    }

    #[test]
    fn pods_of_one_workload_have_its_name() {
        let named = |kind, name| workload(&pod(&owner(kind, name)));
        assert_eq!(named("ReplicaSet", "web-5d4f"), "web");
        assert_eq!(named("ReplicaSet", "other"), "other", "one without a Deployment");
        assert_eq!(named("Job", "nightly-29384756"), "nightly");
        assert_eq!((named("Job", "once-7"), named("StatefulSet", "db")), ("once-7".into(), "db".into()));
        let mut other = owner("Something", "web");
        other["controller"] = false.into();
        assert_eq!(workload(&pod(&other)), "web-5d4f-x");
    }

    #[test]
    fn a_sample_has_what_is_used_and_what_is_asked_for() {
        let metrics = json!({
            "timestamp": "2026-11-22T08:00:00Z", "window": "15s",
            "containers": [{"name": "app", "usage": {"cpu": "15m", "memory": "9Mi"}}, {"name": "proxy", "usage": {"cpu": "0"}}],
        });
        let found = samples_of(&pod(&owner("ReplicaSet", "web-5d4f")), metrics);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].cpu.as_deref(), found[0].cpu_request.as_deref()), (Some("15m"), Some("2")));
        assert_eq!(
            serde_json::to_value(&found[1]).unwrap(),
            json!({
                "time": "2026-11-22T08:00:00Z", "namespace": "lab", "workload": "web", "container": "proxy",
                "pod": "web-5d4f-x", "cpu": "0",
            })
        );
        for bad in [json!({}), json!({"timestamp": 7}), json!({"timestamp": "t", "containers": "all"})] {
            assert_eq!(samples_of(&pod(&owner("Job", "x")), bad), []);
        }
    }
}
