//! A tenant of one test.

use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::{DynamicObject, PostParams};
use serde_json::json;

use crate::{ADMIN, Objects, User, World, documents, until};

/// A tenant of one test, and what its users may do.
pub struct Tenant {
    name: String,
    admin: Objects,
}

impl Tenant {
    /// Creates it with this spec, and waits until its owner, if there is one, may create namespaces.
    ///
    /// # Panics
    /// When it is refused, or not in sync soon.
    pub async fn create(name: &str, spec: &str) -> Self {
        Self::create_in(World::shared(), name, spec).await
    }

    /// The same in another world.
    ///
    /// # Panics
    /// As [`Tenant::create`].
    pub async fn create_in(world: &World, name: &str, spec: &str) -> Self {
        let tenant = Self { name: name.to_owned(), admin: Objects::new(world.client(ADMIN).await) };
        tenant.set(spec).await;
        tenant
    }

    /// Applies another spec; gives its generation.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn apply(&self, spec: &str) -> Option<i64> {
        self.admin.apply(&self.object(spec)).await.unwrap().metadata.generation
    }

    /// Gives it another spec, and waits until the tenant is in sync with it.
    ///
    /// # Panics
    /// When it is refused, or not in sync soon.
    pub async fn set(&self, spec: &str) {
        let generation = self.apply(spec).await;
        until("the tenant is in sync", async || {
            let status = &self.get().await.data["status"];
            let ready = status["conditions"].as_array().is_some_and(|all| {
                all.iter().any(|said| said["type"] == "Ready" && said["status"] == "True")
            });
            ready && status["observedGeneration"].as_i64() == generation
        })
        .await;
    }

    /// The object as it is now.
    ///
    /// # Panics
    /// When it is not there.
    pub async fn get(&self) -> DynamicObject {
        self.admin.get(&self.object("{}")).await.unwrap()
    }

    fn object(&self, spec: &str) -> serde_json::Value {
        let yaml = format!(
            "apiVersion: bailey.dev/v1alpha1\nkind: Tenant\nmetadata: {{name: {}}}\nspec: {spec}",
            self.name
        );
        documents(&yaml).swap_remove(0)
    }
}

/// Namespaces as a user.
pub async fn namespaces(user: User) -> Api<Namespace> {
    Api::all(World::shared().client(user).await)
}

/// Creates a namespace as a user, with labels.
///
/// # Errors
/// When the API server refuses.
///
/// # Panics
/// For labels that are none.
pub async fn create_namespace(user: User, name: &str, labels: serde_json::Value) -> kube::Result<Namespace> {
    let object = json!({
        "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels},
    });
    namespaces(user).await.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await
}

/// Gives a tenant a namespace as the administrator, and waits until its walls stand.
///
/// # Panics
/// When it is refused, or its walls do not stand soon.
pub async fn give_namespace(world: &World, tenant: &str, name: &str) {
    let object = json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": name, "labels": {"bailey.dev/tenant": tenant}},
    });
    let all: Api<Namespace> = Api::all(world.client(ADMIN).await);
    all.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
    until("the walls of the namespace stand", async || {
        let found = all.get(name).await.unwrap();
        found.metadata.labels.is_some_and(|labels| labels.contains_key("bailey.dev/walls"))
    })
    .await;
}

/// Waits until the API server's own rights of a user have followed.
///
/// # Panics
/// When they have not soon.
pub async fn until_may_create(user: User, name: &str) {
    until("the owner may create namespaces", async || {
        let dry = PostParams { dry_run: true, ..PostParams::default() };
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        namespaces(user).await.create(&dry, &serde_json::from_value(object).unwrap()).await.is_ok()
    })
    .await;
}
