//! Reviews and policies of the usual library kind, made from a fixed seed.
#![allow(unreachable_pub, dead_code, reason = "shared by benches, each uses a part")]

use bytes::Bytes;
use model::{
    Enforcement, FailurePolicy, Loaded, MatchRules, Policy, PolicyBinding, PolicyLimits, RegoModule,
    RegoVersion, ResourceRule, Source, Sources,
};
use serde_json::{Value, json};

const LIBRARY: &[(&str, &str)] = &[
    ("required-labels", include_str!("../library/required_labels.rego")),
    ("allowed-registries", include_str!("../library/allowed_registries.rego")),
    ("container-limits", include_str!("../library/container_limits.rego")),
    ("privileged", include_str!("../library/privileged.rego")),
    ("host-namespaces", include_str!("../library/host_namespaces.rego")),
    ("volumes", include_str!("../library/volumes.rego")),
    ("capabilities", include_str!("../library/capabilities.rego")),
    ("image-tags", include_str!("../library/image_tags.rego")),
    ("probes", include_str!("../library/probes.rego")),
    ("users", include_str!("../library/users.rego")),
];

fn parameters(policy: &str, number: usize) -> Value {
    match policy {
        "required-labels" => {
            json!({"labels": ["app", "owner", format!("l{}", number % 3)], "patterns": {"owner": "^[a-z-]+$"}})
        }
        "allowed-registries" => json!({"registries": ["registry.example/", "mirror.example/"]}),
        "container-limits" => json!({"memory": "4Gi"}),
        "volumes" => json!({"allowed": ["configMap", "secret", "emptyDir", "projected"]}),
        "capabilities" => json!({"allowed": ["NET_BIND_SERVICE"], "drop": ["ALL"]}),
        "image-tags" => json!({"forbidden": ["latest", "dev"]}),
        "probes" => json!({"probes": ["livenessProbe", "readinessProbe"]}),
        "users" => json!({"ranges": [{"min": 1000, "max": 60000}]}),
        _ => json!({}),
    }
}

/// A policy in Rego that matches nothing yet.
pub fn rego(name: &str, text: &str) -> Policy {
    Policy {
        name: name.into(),
        generation: 1,
        source: Source::Rego {
            version: RegoVersion::V1,
            modules: vec![RegoModule { name: "policy.rego".into(), text: text.into() }],
        },
        mutates: false,
        parameter_schema: None,
        messages: Default::default(),
        lookups: vec![],
        limits: PolicyLimits::default(),
    }
}

/// As many bindings as asked for over the ten library policies, each with a policy of its own; all match pods.
pub fn library(bindings: usize) -> Sources {
    let mut sources = Sources::default();
    for number in 0..bindings {
        let (kind, text) = LIBRARY[number % LIBRARY.len()];
        let name = format!("{kind}-{number}");
        let policy = rego(&name, text);
        sources.policies.push(Loaded { name: name.clone(), generation: 1, value: Ok(policy) });
        let mut binding = binding(&name, &name);
        binding.parameters = parameters(kind, number);
        sources.bindings.push(Loaded { name, generation: 1, value: Ok(binding) });
    }
    sources
}

/// Adds bindings that cannot match a pod of namespace `team-a`: half by kind, half by namespace.
pub fn idle(sources: &mut Sources, count: usize) {
    let policy = sources.policies[0].name.clone();
    for number in 0..count {
        let name = format!("idle-{number}");
        let mut binding = binding(&name, &policy);
        if number % 2 == 0 {
            binding.rules.resources[0].kinds = vec!["Service".into()];
        } else {
            binding.rules.namespaces = vec![format!("tenant-{number}-*")];
        }
        sources.bindings.push(Loaded { name, generation: 1, value: Ok(binding) });
    }
}

/// A binding on pods.
pub fn binding(name: &str, policy: &str) -> PolicyBinding {
    PolicyBinding {
        name: name.into(),
        generation: 1,
        policy: policy.into(),
        parameters: json!({}),
        rules: MatchRules {
            resources: vec![ResourceRule {
                groups: vec![String::new()],
                kinds: vec!["Pod".into()],
                ..ResourceRule::default()
            }],
            ..MatchRules::default()
        },
        enforcement: Enforcement::Deny,
        failure_policy: FailurePolicy::Fail,
        order: 0,
        exceptions: false,
    }
}

/// A review that creates a pod of this many containers: about 1.6 KB each and 5 KB around them.
pub fn review(containers: usize) -> Bytes {
    let container = |number: usize| {
        json!({
            "name": format!("c{number}"),
            "image": format!("registry.example/team/service-{number}:1.{number}.0"),
            "args": ["--listen=0.0.0.0:8080", "--log-format=json", "--upstream=http://backend.team-a.svc:8080"],
            "env": (0..8).map(|e| json!({"name": format!("SETTING_{e}"), "value": format!("value-{number}-{e}")})).collect::<Vec<_>>(),
            "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
            "resources": {"limits": {"cpu": "500m", "memory": "512Mi"}, "requests": {"cpu": "100m", "memory": "128Mi"}},
            "livenessProbe": {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 10, "failureThreshold": 3},
            "readinessProbe": {"httpGet": {"path": "/readyz", "port": 8080}, "periodSeconds": 5, "failureThreshold": 3},
            "securityContext": {"runAsUser": 2000, "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
            "volumeMounts": [{"name": "config", "mountPath": "/etc/service"}, {"name": "cache", "mountPath": "/var/cache"}],
            "terminationMessagePath": "/dev/termination-log",
            "imagePullPolicy": "IfNotPresent",
        })
    };
    let fields: serde_json::Map<String, Value> = (0..40)
        .map(|number| (format!("f:field-{number}"), json!({".": {}, "f:value": {}, "f:name": {}})))
        .collect();
    let object = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "web-5d4f8c7b9-x2x7p", "generateName": "web-5d4f8c7b9-", "namespace": "team-a",
            "uid": "6f1e2c52-6d0b-4a53-9a86-1f2d3c4b5a69", "creationTimestamp": "2026-11-01T10:00:00Z",
            "labels": {"app": "web", "owner": "team-a", "l0": "x", "l1": "x", "l2": "x", "pod-template-hash": "5d4f8c7b9"},
            "annotations": {"checksum/config": "0123456789abcdef0123456789abcdef", "example.org/scrape": "true"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-5d4f8c7b9", "uid": "a", "controller": true}],
            "managedFields": [{"manager": "kube-controller-manager", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": fields}],
        },
        "spec": {
            "containers": (0..containers).map(container).collect::<Vec<_>>(),
            "volumes": [{"name": "config", "configMap": {"name": "web"}}, {"name": "cache", "emptyDir": {}}],
            "serviceAccountName": "web", "restartPolicy": "Always", "schedulerName": "default-scheduler",
            "tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}],
        },
    });
    let review = json!({
        "kind": "AdmissionReview",
        "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "requestKind": {"group": "", "version": "v1", "kind": "Pod"},
            "requestResource": {"group": "", "version": "v1", "resource": "pods"},
            "name": "web-5d4f8c7b9-x2x7p", "namespace": "team-a", "operation": "CREATE",
            "userInfo": {"username": "system:serviceaccount:kube-system:replicaset-controller", "groups": ["system:serviceaccounts", "system:authenticated"]},
            "object": object, "oldObject": null, "dryRun": false,
            "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
        },
    });
    Bytes::from(review.to_string())
}
