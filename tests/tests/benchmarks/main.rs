//! The checks of the Kubernetes multi-tenancy working group's benchmarks, in words of our own, over two tenants
//! with the sample profile. Each test has the id and the title of its check; `docs/operations/benchmarks.md` has
//! the table. What the working group planned and never wrote is in `planned`.

mod network;
mod planned;
mod pods;
mod quotas;
mod rights;

use kube::Client;
use serde_json::Value;
use tests::{
    ADMIN, ALICE, BOB, Objects, Tenant, User, World, conditions, documents, give_namespace, may, until,
};
use tokio::sync::OnceCell;
use xtask::workspace;

/// The tenants: who owns one, and the namespace.
const TENANTS: [(User, &str); 2] = [(ALICE, "bench-a-one"), (BOB, "bench-b-one")];

/// One of the two tenants, as its owner sees it.
struct Owner {
    user: User,
    client: Client,
    objects: Objects,
    /// Their namespace.
    own: &'static str,
    /// That of the other tenant.
    other: &'static str,
}

impl Owner {
    async fn may(&self, verb: &str, kind: (&str, &str), namespace: &str) -> bool {
        may(&self.client, verb, kind, namespace).await
    }

    /// Objects of a YAML text in the owner's namespace, for `NS`.
    fn here(&self, yaml: &str) -> Vec<Value> {
        documents(&yaml.replace("NS", self.own))
    }
}

/// Both owners, after both tenants were set up.
async fn owners() -> [Owner; 2] {
    static READY: OnceCell<()> = OnceCell::const_new();
    READY.get_or_init(set_up).await;
    let [one, two] = TENANTS;
    [owner(one, two.1).await, owner(two, one.1).await]
}

async fn owner((user, own): (User, &'static str), other: &'static str) -> Owner {
    let client = World::shared().client(user).await;
    Owner { user, objects: Objects::new(client.clone()), client, own, other }
}

async fn set_up() {
    let world = World::shared();
    let admin = Objects::new(world.client(ADMIN).await);
    for file in ["policies/library/pod-security/policy.yaml", "deploy/samples/benchmarks/profile.yaml"] {
        admin.apply_all(&std::fs::read_to_string(workspace::root().join(file)).unwrap()).await;
    }
    let binding = &documents(
        "{apiVersion: bailey.dev/v1alpha1, kind: PolicyBinding, metadata: {name: benchmarks}, spec: {}}",
    )[0];
    until("the policy is in force", async || {
        let found = conditions(&admin.get(binding).await.unwrap());
        found.iter().any(|(kind, status, ..)| kind == "Ready" && status == "True")
    })
    .await;
    for ((user, namespace), name) in TENANTS.into_iter().zip(["bench-a", "bench-b"]) {
        let members = format!("members: [{{kind: User, name: {}, role: owner}}]", user.name);
        Tenant::create(name, &format!("{{{members}, isolationProfile: benchmarks}}")).await;
        give_namespace(world, name, namespace).await;
        let owner = owner((user, namespace), "").await;
        until("the owner has her rights", async || owner.may("create", ("", "pods"), namespace).await).await;
    }
}
