//! A namespace of its own for each test.

use std::sync::atomic::{AtomicUsize, Ordering};

use k8s_openapi::api::core::v1::{ConfigMap, Pod, ServiceAccount};
use kube::api::{Api, PostParams};
use kube::{Client, Resource};
use serde_json::{Value, json};

use crate::policies::conditions;
use crate::wait::until_some;
use crate::world::World;
use crate::{ADMIN, ALICE, BOB, Objects, User, documents};

static NEXT: AtomicUsize = AtomicUsize::new(1);

/// A namespace in which alice and bob may do everything, and clients for it.
pub struct Namespace {
    /// Its name: `<purpose>-<number>`.
    pub name: String,
    /// Everything as the administrator, who has to set policies up.
    pub admin: Objects,
    /// Everything as alice.
    pub alice: Objects,
    clients: [(User, Client); 3],
}

impl Namespace {
    /// Creates it and waits until Pods can be created in it.
    ///
    /// # Panics
    /// When the API server refuses.
    pub async fn create(world: &World, purpose: &str) -> Self {
        let name = format!("{purpose}-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let clients = [
            (ADMIN, world.client(ADMIN).await),
            (ALICE, world.client(ALICE).await),
            (BOB, world.client(BOB).await),
        ];
        let admin = Objects::new(clients[0].1.clone());
        let alice = Objects::new(clients[1].1.clone());
        admin.apply_all(&objects(&name)).await;
        let namespace = Self { name, admin, alice, clients };
        let accounts: Api<ServiceAccount> = namespace.api(ADMIN);
        until_some("the default service account exists", async || {
            accounts.get_opt("default").await.ok().flatten()
        })
        .await;
        namespace
    }

    /// The API of a kind in this namespace, as a user.
    ///
    /// # Panics
    /// For a user without a client.
    pub fn api<K>(&self, user: User) -> Api<K>
    where
        K: Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client(user), &self.name)
    }

    /// The client of a user.
    ///
    /// # Panics
    /// For a user without one.
    pub fn client(&self, user: User) -> Client {
        let found = self.clients.iter().find(|(known, _)| *known == user);
        found.map(|(_, client)| client.clone()).expect("the user has a client")
    }

    /// Pods as alice.
    pub fn pods(&self) -> Api<Pod> {
        self.api(ALICE)
    }

    /// ConfigMaps as alice.
    pub fn config_maps(&self) -> Api<ConfigMap> {
        self.api(ALICE)
    }

    /// A Pod with labels, from an image that nobody pulls.
    ///
    /// # Panics
    /// Never: the Pod is well-formed.
    pub fn pod(&self, name: &str, labels: &[(&str, &str)]) -> Pod {
        let labels: serde_json::Map<String, Value> =
            labels.iter().map(|(key, value)| ((*key).to_owned(), Value::from(*value))).collect();
        serde_json::from_value(json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": self.name, "labels": labels},
            "spec": {"containers": [{"name": "web", "image": "registry.example.com/web:1"}]},
        }))
        .unwrap()
    }

    /// Creates a Pod as alice.
    pub async fn create_pod(&self, name: &str, labels: &[(&str, &str)]) -> kube::Result<Pod> {
        self.pods().create(&PostParams::default(), &self.pod(name, labels)).await
    }

    /// Applies policies and bindings as the administrator and waits until Bailey reports them Ready.
    ///
    /// # Panics
    /// When one is refused, or not Ready soon; then with its conditions.
    pub async fn policies(&self, yaml: &str) {
        self.admin.apply_all(yaml).await;
        for object in documents(yaml) {
            self.wait_condition(&object, "True").await;
        }
    }

    /// Applies policies and bindings as [`Namespace::policies`] does, with the namespace's name for `NS`.
    ///
    /// Policies are cluster-wide: their names have to have `NS` in them too.
    ///
    /// # Panics
    /// As [`Namespace::policies`].
    pub async fn policies_here(&self, yaml: &str) {
        self.policies(&yaml.replace("NS", &self.name)).await;
    }

    /// Waits until the condition Ready of a policy or binding has this status; returns its reason and message.
    ///
    /// # Panics
    /// When it has not soon.
    pub async fn wait_condition(&self, object: &Value, wanted: &str) -> (String, String) {
        let what = format!("{} {} is Ready={wanted}", object["kind"], object["metadata"]["name"]);
        until_some(&what, async || {
            let found = conditions(&self.admin.get(object).await.ok()?);
            let ready = found.into_iter().find(|(kind, status, ..)| kind == "Ready" && status == wanted)?;
            Some((ready.2, ready.3))
        })
        .await
    }
}

fn objects(name: &str) -> String {
    format!(
        r"apiVersion: v1
kind: Namespace
metadata: {{name: {name}}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: tenants, namespace: {name}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}}
subjects:
- {{apiGroup: rbac.authorization.k8s.io, kind: Group, name: tenants}}
"
    )
}
