//! Tenants to run the binaries over.

use serde_json::Value;
pub use tests::command::{Said, bailey, tenant, tenant_stdin};
use tests::{ADMIN, Objects, World, documents, until, until_some};

/// The record of a decision, which is written a moment after the answer.
pub async fn record(decision: &str) -> String {
    until_some("the decision is kept", async || World::shared().bailey.audit(&["show", decision]).ok()).await
}

/// A tenant of one test.
pub struct Tenant {
    name: String,
    /// The administrator.
    pub admin: Objects,
}

impl Tenant {
    /// Creates it and waits until it is in sync.
    pub async fn create(name: &str, spec: &str) -> Self {
        let tenant = Self { name: name.to_owned(), admin: Objects::new(World::shared().client(ADMIN).await) };
        let yaml = format!(
            "apiVersion: bailey.dev/v1alpha1\nkind: Tenant\nmetadata: {{name: {name}}}\nspec: {spec}"
        );
        tenant.admin.apply_all(&yaml).await;
        let object = documents(&yaml).swap_remove(0);
        until("the tenant is in sync", async || {
            let found = tenant.admin.get(&object).await.unwrap();
            found.data["status"]["conditions"][0]["status"] == "True"
        })
        .await;
        tenant
    }

    /// Gives it a namespace, as the administrator, and waits until its walls stand and the tenant tells of it.
    pub async fn with_namespace(self, name: &str) -> Self {
        let yaml = format!(
            "apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}, labels: {{bailey.dev/tenant: {}}}}}",
            self.name
        );
        self.admin.apply_all(&yaml).await;
        let tenant = documents(&format!(
            "apiVersion: bailey.dev/v1alpha1\nkind: Tenant\nmetadata: {{name: {}}}",
            self.name
        ));
        until("the tenant tells of its namespace", async || {
            let found = self.admin.get(&tenant[0]).await.unwrap();
            let names = found.data["status"]["namespaces"].as_array().cloned().unwrap_or_default();
            let namespace = self.admin.get(&documents(&yaml)[0]).await.unwrap();
            let labels = namespace.metadata.labels.unwrap_or_default();
            names.contains(&Value::from(name)) && labels.contains_key("bailey.dev/walls")
        })
        .await;
        self
    }
}
