//! Exceptions to policies on a real API server: asked for by a tenant, approved by an administrator, over by the clock.

mod commands;
mod effect;
mod rights;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::Api;
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use tests::{ADMIN, ALICE, Objects, Tenant, User, World, documents, give_namespace, until};

/// A policy with two codes, bound in namespaces of one tenant; `NAME` is the tenant.
const POLICY: &str = r#"
apiVersion: bailey.dev/v1alpha1
kind: Policy
metadata: {name: NAME}
spec:
  messages: {owner: "label `owner` is missing", tier: "label `tier` is missing"}
  rego:
    source: |
      package labels
      violation contains {"code": label} if {
        some label in {"owner", "tier"}
        object.get(input.review.object.metadata, ["labels", label], "") == ""
      }
---
apiVersion: bailey.dev/v1alpha1
kind: PolicyBinding
metadata: {name: NAME}
spec:
  policy: NAME
  match:
    resources: [{apiGroups: [""], kinds: [Pod]}]
    namespaces: [NAME-one, NAME-two]
  exceptions: ALLOWED
"#;

/// A tenant with two namespaces in which a policy refuses every Pod without labels.
pub(crate) struct Lab {
    pub(crate) name: String,
}

impl Lab {
    /// Of alice, who owns it, and of bob, who only looks.
    pub(crate) async fn create(name: &str) -> Self {
        Self::with(name, "Allowed").await
    }

    pub(crate) async fn with(name: &str, allowed: &str) -> Self {
        let world = World::shared();
        let members = "{kind: User, name: alice, role: owner}, {kind: User, name: bob, role: viewer}";
        Tenant::create(name, &format!("{{members: [{members}]}}")).await;
        for namespace in [format!("{name}-one"), format!("{name}-two")] {
            give_namespace(world, name, &namespace).await;
        }
        let lab = Self { name: name.to_owned() };
        lab.bind(allowed).await;
        until("alice may ask for exceptions", async || {
            let dry = PostParams { dry_run: true, ..PostParams::default() };
            let api = lab.exceptions(ALICE, "one").await;
            api.create(&dry, &lab.exception("probe", 60, &json!({}))).await.is_ok()
        })
        .await;
        lab
    }

    /// Applies the policy and its binding, and waits until they hold.
    pub(crate) async fn bind(&self, allowed: &str) {
        let admin = Objects::new(World::shared().client(ADMIN).await);
        for object in documents(&POLICY.replace("NAME", &self.name).replace("ALLOWED", allowed)) {
            let generation = admin.apply(&object).await.unwrap().metadata.generation;
            until("the policy is in force", async || {
                let found = admin.get(&object).await.unwrap().data;
                found["status"]["observedGeneration"].as_i64() == generation
                    && found["status"]["conditions"][1]["status"] == "True"
            })
            .await;
        }
    }

    pub(crate) fn namespace(&self, which: &str) -> String {
        format!("{}-{which}", self.name)
    }

    pub(crate) async fn exceptions(&self, user: User, which: &str) -> Api<DynamicObject> {
        let some =
            documents("{apiVersion: bailey.dev/v1alpha1, kind: PolicyException, metadata: {namespace: NS}}");
        let mut some = some.into_iter().next().unwrap();
        some["metadata"]["namespace"] = json!(self.namespace(which));
        Objects::new(World::shared().client(user).await).api(&some)
    }

    /// A request that lasts some seconds, with more fields.
    pub(crate) fn exception(&self, name: &str, seconds: i64, more: &Value) -> DynamicObject {
        let expires = Timestamp::now() + SignedDuration::from_secs(seconds);
        let mut spec = json!({"policy": self.name, "reason": "tests", "expires": expires.to_string()});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(json!({
            "apiVersion": "bailey.dev/v1alpha1", "kind": "PolicyException", "metadata": {"name": name}, "spec": spec,
        }))
        .unwrap()
    }

    /// Asks for one as alice.
    pub(crate) async fn ask(&self, which: &str, exception: &DynamicObject) -> DynamicObject {
        self.exceptions(ALICE, which).await.create(&PostParams::default(), exception).await.unwrap()
    }

    /// Decides on the one that is there, as the administrator.
    pub(crate) async fn decide(&self, which: &str, name: &str, decision: &str) {
        let api = self.exceptions(ADMIN, which).await;
        let found = api.get(name).await.unwrap().metadata;
        let approval = approval(decision, found.uid.as_deref().unwrap(), found.generation.unwrap());
        api.patch_status(name, &PatchParams::default(), &Patch::Merge(&approval)).await.unwrap();
    }

    /// Waits until its status says so.
    pub(crate) async fn until_state(&self, which: &str, name: &str, reason: &str) -> Value {
        let api = self.exceptions(ADMIN, which).await;
        until(&format!("the exception is {reason}"), async || {
            api.get(name).await.unwrap().data["status"]["conditions"][0]["reason"] == reason
        })
        .await;
        api.get(name).await.unwrap().data
    }

    /// Creates a Pod as alice, with these labels; nothing is stored.
    pub(crate) async fn pod(&self, which: &str, name: &str, labels: Value) -> kube::Result<Pod> {
        let pod = json!({
            "metadata": {"name": name, "labels": labels},
            "spec": {"containers": [{"name": "web", "image": "registry.example.com/web:1"}]},
        });
        let api: Api<Pod> = Api::namespaced(World::shared().client(ALICE).await, &self.namespace(which));
        let dry = PostParams { dry_run: true, ..PostParams::default() };
        api.create(&dry, &serde_json::from_value(pod).unwrap()).await
    }

    pub(crate) async fn until_admitted(&self, which: &str, name: &str) {
        until("the Pod is admitted", async || self.pod(which, name, json!({})).await.is_ok()).await;
    }

    pub(crate) async fn until_refused(&self, which: &str, name: &str) {
        until("the Pod is refused", async || self.pod(which, name, json!({})).await.is_err()).await;
    }
}

pub(crate) fn approval(decision: &str, uid: &str, generation: i64) -> Value {
    json!({"status": {"approval": {"decision": decision, "uid": uid, "generation": generation, "message": "once"}}})
}
