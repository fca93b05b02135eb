//! The API groups of Kubernetes' own resources, for questions that name none.

/// Groups, and their resources.
const GROUPS: [(&str, &[&str]); 17] = [
    ("apps", &["controllerrevisions", "daemonsets", "deployments", "replicasets", "statefulsets"]),
    ("batch", &["cronjobs", "jobs"]),
    ("autoscaling", &["horizontalpodautoscalers"]),
    ("networking.k8s.io", &["ingressclasses", "ingresses", "ipaddresses", "networkpolicies", "servicecidrs"]),
    ("policy", &["poddisruptionbudgets"]),
    ("rbac.authorization.k8s.io", &["clusterrolebindings", "clusterroles", "rolebindings", "roles"]),
    (
        "storage.k8s.io",
        &["csidrivers", "csinodes", "csistoragecapacities", "storageclasses", "volumeattachments"],
    ),
    ("apiextensions.k8s.io", &["customresourcedefinitions"]),
    ("apiregistration.k8s.io", &["apiservices"]),
    ("coordination.k8s.io", &["leases"]),
    ("discovery.k8s.io", &["endpointslices"]),
    ("scheduling.k8s.io", &["priorityclasses"]),
    ("node.k8s.io", &["runtimeclasses"]),
    ("certificates.k8s.io", &["certificatesigningrequests"]),
    (
        "admissionregistration.k8s.io",
        &[
            "mutatingwebhookconfigurations",
            "validatingadmissionpolicies",
            "validatingadmissionpolicybindings",
            "validatingwebhookconfigurations",
        ],
    ),
    ("authorization.k8s.io", &["localsubjectaccessreviews", "subjectaccessreviews"]),
    ("bailey.dev", &["isolationprofiles", "policies", "policybindings", "tenants"]),
];

/// The API group of a well-known resource; the core group for all others.
pub(super) fn resource_group(plural: &str) -> &'static str {
    GROUPS.iter().find(|(_, resources)| resources.contains(&plural)).map_or("", |(group, _)| group)
}
