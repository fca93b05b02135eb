//! Builders shared by the tests of whole evaluations.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]

use std::time::{Duration, Instant};

use bytes::Bytes;
use model::{
    Enforcement, FailurePolicy, Loaded, MatchRules, ObjectEvent, Operation, Policy, PolicyBinding,
    PolicyLimits, RegoModule, RegoVersion, Request, ResourceRule, Source, Sources, decode_review,
};
use policies::wasm::{WasmConfig, WasmRuntime};
use policies::{Build, Compiler, Evaluation, Evaluator, Limits};
use serde_json::{Value, json};

/// A Rego v1 policy whose package is `test`.
pub fn policy(name: &str, rules: &str) -> Policy {
    Policy {
        name: name.into(),
        generation: 1,
        source: Source::Rego {
            version: RegoVersion::V1,
            modules: vec![RegoModule { name: "policy.rego".into(), text: format!("package test\n{rules}") }],
        },
        mutates: rules.contains("patch"),
        parameter_schema: None,
        messages: Default::default(),
        lookups: vec![],
        limits: PolicyLimits::default(),
    }
}

/// A binding on pods that asks the policy of this name.
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
                operations: vec![Operation::Create, Operation::Update, Operation::Delete],
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

pub fn sources(policies: Vec<Policy>, bindings: Vec<PolicyBinding>) -> Sources {
    Sources {
        policies: policies
            .into_iter()
            .map(|policy| Loaded {
                name: policy.name.clone(),
                generation: policy.generation,
                value: Ok(policy),
            })
            .collect(),
        bindings: bindings
            .into_iter()
            .map(|binding| Loaded {
                name: binding.name.clone(),
                generation: binding.generation,
                value: Ok(binding),
            })
            .collect(),
    }
}

/// A compiler, an evaluator, and the way to tell it of cluster objects.
pub struct World {
    pub compiler: Compiler,
    pub evaluator: Evaluator,
    pub events: crossbeam_channel::Sender<ObjectEvent>,
}

impl World {
    pub fn new() -> Self {
        let limits = Limits::default();
        let runtime = WasmRuntime::new(WasmConfig { cache_dir: None, slots: 2, limits }).unwrap();
        let (events, received) = crossbeam_channel::unbounded();
        Self { compiler: Compiler::new(runtime, limits), evaluator: Evaluator::new(received), events }
    }

    /// Compiles the sources and puts them in force.
    pub fn load(&mut self, sources: &Sources) -> Build {
        let build = self.compiler.build(sources);
        self.evaluator.adopt(std::sync::Arc::clone(&build.set));
        build
    }

    pub fn validate(&mut self, request: &Request) -> Evaluation {
        self.evaluator.refresh();
        self.evaluator.validate(request, Instant::now() + Duration::from_secs(5))
    }

    pub fn mutate(&mut self, request: &Request) -> Evaluation {
        self.evaluator.refresh();
        self.evaluator.mutate(request, Instant::now() + Duration::from_secs(5))
    }
}

/// A review that creates this pod in namespace `team-a`.
pub fn create(object: Value) -> Request {
    review("CREATE", object, Value::Null)
}

pub fn review(operation: &str, object: Value, old_object: Value) -> Request {
    let name = object.pointer("/metadata/name").or(old_object.pointer("/metadata/name")).cloned();
    let review = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "u-1",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "name": name.unwrap_or(json!("")),
            "namespace": "team-a",
            "operation": operation,
            "userInfo": {"username": "ada", "groups": ["dev"]},
            "object": object,
            "oldObject": old_object,
            "dryRun": false,
        }
    });
    decode_review(&Bytes::from(review.to_string())).unwrap()
}

pub fn pod() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web", "namespace": "team-a", "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "main", "image": "evil.example/web:latest"}]},
    })
}
