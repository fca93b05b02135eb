//! Objects as YAML, through a client of any user.

use kube::api::{DeleteParams, Patch, PatchParams};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, Client};
use serde_json::Value;

/// The documents of a YAML text.
///
/// # Panics
/// When it is no YAML.
pub fn documents(yaml: &str) -> Vec<Value> {
    yaml.split("\n---\n")
        .filter(|document| !document.trim().is_empty())
        .map(|document| {
            serde_saphyr::from_str(document).unwrap_or_else(|error| panic!("{error}\n{document}"))
        })
        .collect()
}

/// Access to objects of every kind as one user.
#[derive(Clone)]
pub struct Objects {
    client: Client,
}

impl Objects {
    /// Objects as the user of `client`.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// The API of an object's kind, in the object's namespace.
    pub fn api(&self, object: &Value) -> Api<DynamicObject> {
        let resource = resource(object);
        match object["metadata"]["namespace"].as_str() {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        }
    }

    /// Applies one object by server-side apply.
    pub async fn apply(&self, object: &Value) -> kube::Result<DynamicObject> {
        let parameters = PatchParams::apply("tests").force();
        self.api(object).patch(name(object), &parameters, &Patch::Apply(object)).await
    }

    /// Applies every document of a YAML text.
    ///
    /// # Panics
    /// When one is refused.
    pub async fn apply_all(&self, yaml: &str) {
        for object in documents(yaml) {
            if let Err(error) = self.apply(&object).await {
                panic!("`{} {}` was refused: {error}", object["kind"], object["metadata"]["name"]);
            }
        }
    }

    /// The object as it is now.
    pub async fn get(&self, object: &Value) -> kube::Result<DynamicObject> {
        self.api(object).get(name(object)).await
    }

    /// Deletes the object.
    pub async fn delete(&self, object: &Value) -> kube::Result<()> {
        self.api(object).delete(name(object), &DeleteParams::default()).await.map(drop)
    }
}

fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().expect("the object has a name")
}

fn resource(object: &Value) -> ApiResource {
    let (version, kind) = (object["apiVersion"].as_str(), object["kind"].as_str());
    let (version, kind) =
        (version.expect("the object has an apiVersion"), kind.expect("the object has a kind"));
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind))
}
