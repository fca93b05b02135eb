//! A name of a namespace that is deleted and made again, by the same tenant and by another.

use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::ListParams;
use tokio::sync::watch;

use crate::*;

const ROUNDS: usize = 6;

/// Creates a namespace the instant its name is free.
async fn create_when_free(user: User, name: &str) {
    let all = namespaces(user).await;
    let object = serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
    tokio::time::timeout(tests::SOON, async {
        while let Err(error) = all.create(&PostParams::default(), &object).await {
            let kube::Error::Api(status) = &error else { panic!("{error}") };
            assert!(status.code == 409, "{name}: {error}");
        }
    })
    .await
    .expect("the name is free soon");
}

async fn until_standing(name: &str) {
    let all = namespaces(ADMIN).await;
    until("the walls stand", async || {
        let labels = all.get(name).await.unwrap().metadata.labels.unwrap();
        labels.contains_key("bailey.dev/walls")
    })
    .await;
}

#[tokio::test]
async fn a_namespace_made_again_by_its_owner_has_all_its_walls() {
    Tenant::create("phoenix", "{members: [{kind: User, name: alice, role: owner}]}").await;
    until_may_create(ALICE, "phoenix-x").await;
    let admin = World::shared().client(ADMIN).await;
    let policies: Api<NetworkPolicy> = Api::namespaced(admin.clone(), "phoenix-one");
    let bindings: Api<RoleBinding> = Api::namespaced(admin, "phoenix-one");
    create(ALICE, "phoenix-one", json!({})).await.unwrap();
    for round in 0..ROUNDS {
        until_standing("phoenix-one").await;
        // What stands behind the label is really there.
        assert!(policies.get_opt("bailey-isolation").await.unwrap().is_some(), "round {round}");
        assert!(bindings.get_opt("bailey-owners").await.unwrap().is_some(), "round {round}");
        let alice = World::shared().client(ALICE).await;
        until("alice rules", async || write(&alice, "phoenix-one", "hers").await.is_ok()).await;
        namespaces(ADMIN).await.delete("phoenix-one", &Default::default()).await.unwrap();
        create_when_free(ALICE, "phoenix-one").await;
    }
}

#[tokio::test]
async fn whoever_had_the_name_before_has_nothing_in_the_new_namespace() {
    for (tenant, owner) in [("first", "alice"), ("second", "bob")] {
        let spec =
            format!("{{members: [{{kind: User, name: {owner}, role: owner}}], namespaces: {{prefix: ''}}}}");
        Tenant::create(tenant, &spec).await;
    }
    for round in 0..ROUNDS {
        let (old, new) = if round % 2 == 0 { (ALICE, BOB) } else { (BOB, ALICE) };
        inherited(&format!("estate-{round}"), old, new).await;
    }
}

/// `old` has a namespace, deletes it, and goes on writing while `new` makes one of the same name.
async fn inherited(name: &str, old: User, new: User) {
    let label = |user: User| json!({"bailey.dev/tenant": if user == ALICE { "first" } else { "second" }});
    until("the namespace is made", async || create(old, name, label(old)).await.is_ok()).await;
    until_standing(name).await;
    let before = World::shared().client(old).await;
    until("the owner rules", async || write(&before, name, "old").await.is_ok()).await;
    let uid = namespaces(ADMIN).await.get(name).await.unwrap().metadata.uid;

    let (done, ended) = watch::channel(false);
    let writing = tokio::spawn(writes(before, name.to_owned(), ended));
    namespaces(old).await.delete(name, &Default::default()).await.unwrap();
    let all = namespaces(new).await;
    let object = serde_json::from_value(json!({"metadata": {"name": name, "labels": label(new)}})).unwrap();
    tokio::time::timeout(tests::SOON, async {
        while all.create(&PostParams::default(), &object).await.is_err() {}
    })
    .await
    .expect("the name is free soon");
    until_standing(name).await;
    let after = World::shared().client(new).await;
    until("the new owner rules", async || write(&after, name, "new").await.is_ok()).await;
    done.send(true).unwrap();
    writing.await.unwrap();

    assert_ne!(namespaces(ADMIN).await.get(name).await.unwrap().metadata.uid, uid);
    let maps: Api<ConfigMap> = Api::namespaced(World::shared().client(ADMIN).await, name);
    let names = maps.list(&ListParams::default()).await.unwrap().items.into_iter();
    let names: Vec<String> = names.filter_map(|map| map.metadata.name).collect();
    assert!(
        !names.iter().any(|found| found.starts_with("late-")),
        "{} wrote into {name}: {names:?}",
        old.name
    );
    namespaces(new).await.delete(name, &Default::default()).await.unwrap();
}

/// Writes as fast as it goes, until told to end.
async fn writes(client: Client, namespace: String, ended: watch::Receiver<bool>) {
    for number in 0.. {
        if *ended.borrow() {
            return;
        }
        let _refused = write(&client, &namespace, &format!("late-{number}")).await;
    }
}
