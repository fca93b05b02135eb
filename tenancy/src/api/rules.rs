//! What an `IsolationProfile` lets objects in a tenant's namespaces be.

#![expect(unreachable_pub, reason = "the derive repeats each type inside a function")]

use std::collections::BTreeMap;

use kube::KubeSchema;
use model::{ClassKind, Globs};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;

/// What objects may be. Lists hold patterns with `*` and `?`; one that is not given allows everything, unless
/// its description says otherwise.
#[derive(KubeSchema, Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Allow {
    /// The images of containers.
    #[serde(default)]
    pub images: Images,
    /// Classes of PersistentVolumeClaims.
    #[serde(default)]
    pub storage_classes: Classes,
    /// Classes of Ingresses.
    #[serde(default)]
    pub ingress_classes: Classes,
    /// Classes of Gateways.
    #[serde(default)]
    pub gateway_classes: Classes,
    /// PriorityClasses of Pods. Those that begin with `system-` have to be named.
    #[serde(default)]
    pub priority_classes: Classes,
    /// RuntimeClasses of Pods.
    #[serde(default)]
    pub runtime_classes: Classes,
    /// DeviceClasses of ResourceClaims.
    #[serde(default)]
    pub device_classes: Classes,
    /// Host names of Ingresses, Gateways and their routes.
    #[serde(default)]
    pub hostnames: Hostnames,
    /// Services.
    #[serde(default)]
    pub services: Services,
    /// Volumes of Pods: configMap, secret, emptyDir, projected, downwardAPI, persistentVolumeClaim, ephemeral,
    /// csi and image where not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::patterns")]
    pub volumes: Option<Vec<String>>,
    /// Where Pods run.
    #[serde(default)]
    pub scheduling: Scheduling,
    /// What Pods ask for.
    #[serde(default)]
    pub resources: Resources,
    /// What is let through to running Pods.
    #[serde(default)]
    pub connect: Connect,
    /// Finalizers that members may set; those of Kubernetes where not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::patterns")]
    pub finalizers: Option<Vec<String>>,
    /// ClusterRoles that members may bind in their namespaces, where they have all the rights in them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::patterns")]
    pub cluster_roles: Option<Vec<String>>,
}

/// What images may be.
#[derive(KubeSchema, Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Images {
    /// References, such as `registry.example.com/*`; `nginx` is `docker.io/library/nginx`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::patterns")]
    pub allowed: Option<Vec<String>>,
    /// Whether references have to name a digest.
    #[serde(default)]
    pub digests: bool,
    /// Always, IfNotPresent, Never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::pull_policies")]
    pub pull_policies: Option<Vec<String>>,
}

/// Which classes of a kind objects may name.
#[derive(KubeSchema, Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Classes {
    /// The allowed ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::patterns")]
    pub allowed: Option<Vec<String>>,
    /// What objects get that name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub default: Option<String>,
}

/// What host names may be.
#[derive(KubeSchema, Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Hostnames {
    /// The allowed names, such as `*.lab.example.com`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::patterns")]
    pub allowed: Option<Vec<String>>,
    /// Whether a name may begin with `*.`, or be left out, which means every name.
    #[serde(default)]
    pub wildcards: bool,
    /// Whether another tenant may use the same names.
    #[serde(default)]
    pub shared: bool,
}

/// What Services may be.
#[derive(KubeSchema, Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Services {
    /// ClusterIP, NodePort, LoadBalancer, ExternalName; only ClusterIP where not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::service_types")]
    pub types: Option<Vec<String>>,
    /// Ranges in which externalIPs and loadBalancerIP have to be; none where not given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::address_ranges")]
    pub external_addresses: Vec<String>,
    /// What an ExternalName may point at; nothing where not given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::patterns")]
    pub external_names: Vec<String>,
}

/// Where Pods may run.
#[derive(KubeSchema, Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Scheduling {
    /// Labels of nodes that every Pod selects; it gets them where it does not say so.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::labels")]
    pub node_selector: BTreeMap<String, String>,
    /// Keys of taints that Pods may tolerate, beside `node.kubernetes.io/*`; none where not given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::patterns")]
    pub tolerations: Vec<String>,
    /// Whether Pods may name their node, past the scheduler.
    #[serde(default)]
    pub node_name: bool,
    /// The schedulers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::patterns")]
    pub schedulers: Option<Vec<String>>,
    /// Keys of node labels by which Pods may be spread or kept together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::patterns")]
    pub topology_keys: Option<Vec<String>>,
}

/// What Pods have to ask for.
#[derive(KubeSchema, Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Resources {
    /// Guaranteed, Burstable, BestEffort.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::qos_classes")]
    pub qos_classes: Option<Vec<String>>,
    /// How many percent of its request a container's limit may be at most, by resource: `cpu: 200`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::percentages")]
    pub max_limit_percent: BTreeMap<String, u32>,
}

/// What is let through to running Pods, for members who have the right.
#[derive(JsonSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Connect {
    /// `kubectl exec`.
    pub exec: bool,
    /// `kubectl attach`.
    pub attach: bool,
    /// `kubectl port-forward`.
    pub port_forward: bool,
    /// Pods and Services through the API server, past NetworkPolicies; not where not given.
    pub proxy: bool,
    /// `kubectl debug`.
    pub ephemeral_containers: bool,
}

impl Default for Connect {
    fn default() -> Self {
        Self { exec: true, attach: true, port_forward: true, proxy: false, ephemeral_containers: true }
    }
}

/// Which labels or annotations a namespace has.
#[derive(KubeSchema, Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Metadata {
    /// Those that it has to have, each with a pattern for the value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::annotations")]
    pub required: BTreeMap<String, String>,
    /// Those that it gets where it does not have them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::annotations")]
    pub defaults: BTreeMap<String, String>,
    /// Those that members may not set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::patterns")]
    pub forbidden: Vec<String>,
}

impl Metadata {
    pub(super) fn to_model(&self) -> model::MetadataRules {
        let required = self.required.iter().map(|(name, value)| (name.clone(), Globs::new([value])));
        model::MetadataRules {
            required: required.collect(),
            defaults: self.defaults.clone(),
            forbidden: Globs::new(&self.forbidden),
        }
    }
}

/// Finalizers that Kubernetes itself sets and takes away.
const FINALIZERS: [&str; 4] = ["foregroundDeletion", "orphan", "kubernetes.io/*", "*.kubernetes.io/*"];

/// Volumes that lead neither to the node nor to a store that another tenant may use too.
const VOLUMES: [&str; 9] = [
    "configMap",
    "secret",
    "emptyDir",
    "projected",
    "downwardAPI",
    "persistentVolumeClaim",
    "ephemeral",
    "csi",
    "image",
];

impl Allow {
    /// The rules as the other crates know them.
    pub(super) fn to_model(&self, labels: &Metadata, annotations: &Metadata) -> model::Rules {
        let globs = |list: &Option<Vec<String>>| list.as_ref().map(Globs::new);
        model::Rules {
            source: String::new(),
            labels: labels.to_model(),
            annotations: annotations.to_model(),
            images: model::ImageRules {
                allowed: globs(&self.images.allowed),
                digests: self.images.digests,
                pull_policies: self.images.pull_policies.as_ref().map(|list| list.iter().cloned().collect()),
            },
            classes: self.classes(),
            hosts: model::HostRules {
                allowed: globs(&self.hostnames.allowed),
                wildcards: self.hostnames.wildcards,
                shared: self.hostnames.shared,
            },
            services: self.services.to_model(),
            scheduling: self.scheduling.to_model(),
            volumes: self.volumes.as_ref().map_or_else(|| Globs::new(VOLUMES), Globs::new),
            resources: model::ResourceRules {
                qos_classes: self.resources.qos_classes.as_ref().map(|list| list.iter().cloned().collect()),
                max_limit_percent: self.resources.max_limit_percent.clone(),
            },
            connect: self.connect.to_model(),
            finalizers: self.finalizers.as_ref().map_or_else(|| Globs::new(FINALIZERS), Globs::new),
            cluster_roles: globs(&self.cluster_roles),
        }
    }

    fn classes(&self) -> BTreeMap<ClassKind, model::ClassRule> {
        let rows = [
            (ClassKind::Storage, &self.storage_classes),
            (ClassKind::Ingress, &self.ingress_classes),
            (ClassKind::Gateway, &self.gateway_classes),
            (ClassKind::Priority, &self.priority_classes),
            (ClassKind::Runtime, &self.runtime_classes),
            (ClassKind::Device, &self.device_classes),
        ];
        let rules = rows.map(|(kind, classes)| {
            let allowed = classes.allowed.as_ref().map(Globs::new);
            (kind, model::ClassRule { allowed, default: classes.default.clone() })
        });
        rules.into()
    }
}

impl Services {
    fn to_model(&self) -> model::ServiceRules {
        let types = self.types.clone().unwrap_or_else(|| vec!["ClusterIP".to_owned()]);
        model::ServiceRules {
            types: types.into_iter().collect(),
            // A range that is none allows nothing.
            external_ips: self.external_addresses.iter().filter_map(|range| range.parse().ok()).collect(),
            external_names: Globs::new(&self.external_names),
        }
    }
}

impl Scheduling {
    fn to_model(&self) -> model::SchedulingRules {
        model::SchedulingRules {
            node_selector: self.node_selector.clone(),
            tolerations: Globs::new(
                self.tolerations.iter().map(String::as_str).chain(["node.kubernetes.io/*"]),
            ),
            node_name: self.node_name,
            schedulers: self.schedulers.as_ref().map(Globs::new),
            topology_keys: self.topology_keys.as_ref().map(Globs::new),
        }
    }
}

impl Connect {
    fn to_model(&self) -> model::ConnectRules {
        let rows = [
            ("exec", self.exec),
            ("attach", self.attach),
            ("portforward", self.port_forward),
            ("proxy", self.proxy),
            ("ephemeralcontainers", self.ephemeral_containers),
        ];
        let refused = rows.into_iter().filter(|(_, allowed)| !allowed).map(|(name, _)| name.to_owned());
        model::ConnectRules { refused: refused.collect() }
    }
}
