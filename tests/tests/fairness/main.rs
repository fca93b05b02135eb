//! What tenants get of a real API server: classes become priority levels and FlowSchemas, and requests find them.

mod classes;
mod commands;
mod flows;
mod rates;
mod replicas;
mod sharing;
mod storms;
mod upkeep;

use http::header::AUTHORIZATION;
use kube::Client;
use kube::api::DynamicObject;
use kube::client::Body;
use serde_json::{Value, json};
use tests::{ADMIN, Objects, Tenant, World, give_namespace, until, until_some};

pub(crate) const FLOW: &str = "flowcontrol.apiserver.k8s.io/v1";

/// Where a request went, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Went {
    pub(crate) schema: String,
    pub(crate) level: String,
}

impl Went {
    pub(crate) fn to(schema: &str, level: &str) -> Self {
        Self { schema: schema.to_owned(), level: level.to_owned() }
    }
}

/// The administrator's look at one world.
pub(crate) struct Flows<'a> {
    world: &'a World,
    pub(crate) admin: Objects,
    client: Client,
}

impl Flows<'static> {
    pub(crate) async fn new() -> Self {
        Self::of(World::shared()).await
    }
}

impl<'a> Flows<'a> {
    pub(crate) async fn of(world: &'a World) -> Self {
        let client = world.client(ADMIN).await;
        Self { world, admin: Objects::new(client.clone()), client }
    }

    /// Creates a class with this spec, or changes it.
    pub(crate) async fn class(&self, name: &str, spec: Value) -> kube::Result<DynamicObject> {
        self.admin.apply(&class(name, spec)).await
    }

    /// Waits until a condition of a class has this reason, for its newest spec; gives its message.
    pub(crate) async fn until_class(&self, name: &str, condition: &str, reason: &str) -> String {
        let object = class(name, json!({}));
        until_some(&format!("the class `{name}` has {condition}: {reason}"), async || {
            let found = self.admin.get(&object).await.ok()?;
            let observed = found.data["status"]["observedGeneration"].as_i64();
            let conditions = found.data["status"]["conditions"].as_array()?;
            let said = conditions.iter().find(|said| said["type"] == condition)?;
            let holds = said["reason"] == reason && observed == found.metadata.generation;
            holds.then(|| said["message"].as_str().unwrap().to_owned())
        })
        .await
    }

    /// A tenant with this spec, and its namespace `NAME-web`; gives its object.
    pub(crate) async fn tenant(&self, name: &str, spec: &str) -> Tenant {
        let tenant = Tenant::create_in(self.world, name, spec).await;
        give_namespace(self.world, name, &format!("{name}-web")).await;
        tenant
    }

    pub(crate) async fn get(&self, kind: &str, name: &str) -> Option<DynamicObject> {
        self.admin.api(&named(kind, name)).get_opt(name).await.unwrap()
    }

    /// Waits until an object of flow control is there, or is not.
    pub(crate) async fn until_there(&self, kind: &str, name: &str, there: bool) {
        let what = format!("the {kind} `{name}` is {}", if there { "there" } else { "gone" });
        until(&what, async || self.get(kind, name).await.is_some() == there).await;
    }

    /// Waits until a FlowSchema has an effect.
    pub(crate) async fn until_in_effect(&self, name: &str) {
        until(&format!("the FlowSchema `{name}` is not dangling"), async || {
            let Some(found) = self.get("FlowSchema", name).await else { return false };
            let conditions = found.data["status"]["conditions"].as_array().cloned().unwrap_or_default();
            conditions.iter().any(|said| said["type"] == "Dangling" && said["status"] == "False")
        })
        .await;
    }

    /// Where a read by a user in these groups goes. Fairness comes before authorisation: it need not be allowed.
    pub(crate) async fn went(&self, user: &str, groups: &[&str], path: &str) -> Went {
        let mut request = http::Request::get(path).header("Impersonate-User", user);
        for group in groups {
            request = request.header("Impersonate-Group", *group);
        }
        self.sent(self.client.clone(), request).await
    }

    /// Where a read with a token goes.
    pub(crate) async fn went_with_token(&self, token: &str, path: &str) -> Went {
        let mut config = kube::Config::from_custom_kubeconfig(
            kube::config::Kubeconfig::read_from(self.world.access().kubeconfig(ADMIN)).unwrap(),
            &kube::config::KubeConfigOptions::default(),
        )
        .await
        .unwrap();
        config.auth_info = kube::config::AuthInfo::default();
        let request = http::Request::get(path).header(AUTHORIZATION, format!("Bearer {token}"));
        self.sent(Client::try_from(config).unwrap(), request).await
    }

    async fn sent(&self, client: Client, request: http::request::Builder) -> Went {
        let response = client.send(request.body(Body::empty()).unwrap()).await.unwrap();
        let header =
            |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let (schema, level) =
            (header("x-kubernetes-pf-flowschema-uid"), header("x-kubernetes-pf-prioritylevel-uid"));
        Went {
            schema: self.name_of("FlowSchema", &schema.unwrap()).await,
            level: self.name_of("PriorityLevelConfiguration", &level.unwrap()).await,
        }
    }

    async fn name_of(&self, kind: &str, uid: &str) -> String {
        let all = self.admin.api(&named(kind, "x")).list(&kube::api::ListParams::default()).await.unwrap();
        let found = all.items.into_iter().find(|object| object.metadata.uid.as_deref() == Some(uid));
        found.map_or_else(|| format!("gone: {uid}"), |object| object.metadata.name.unwrap())
    }

    /// Waits until a request goes where it should.
    pub(crate) async fn until_goes(&self, user: &str, groups: &[&str], path: &str, wanted: &Went) {
        let mut last = None;
        until_some(&format!("{user}'s {path} goes to {wanted:?}"), async || {
            let went = self.went(user, groups, path).await;
            if last.as_ref() != Some(&went) {
                println!("{user}: {path}: {went:?}");
                last = Some(went.clone());
            }
            (went == *wanted).then_some(())
        })
        .await;
    }
}

pub(crate) fn named(kind: &str, name: &str) -> Value {
    json!({"apiVersion": FLOW, "kind": kind, "metadata": {"name": name}})
}

pub(crate) fn class(name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "bailey.dev/v1alpha1", "kind": "FairnessClass", "metadata": {"name": name}, "spec": spec,
    })
}
