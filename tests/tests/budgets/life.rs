//! What becomes of objects that count: they change, are kept by finalizers, are removed all at once, evicted, and change
//! hands with their namespace.

use k8s_openapi::api::core::v1::{Namespace, Service};

use super::*;

async fn secrets(namespace: &str) -> Api<Secret> {
    Api::namespaced(World::shared().client(ADMIN).await, namespace)
}

async fn secret(secrets: &Api<Secret>, name: &str) -> kube::Result<Secret> {
    let secret = serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
    secrets.create(&PostParams::default(), &secret).await
}

#[tokio::test]
async fn an_object_with_a_finalizer_counts_until_it_is_gone() {
    tenant("lingers", "alice", "{hard: {secrets: 1}}", &["lingers-one"]).await;
    let all = secrets("lingers-one").await;
    let held: Secret =
        serde_json::from_value(json!({"metadata": {"name": "held", "finalizers": ["example.com/held"]}}))
            .unwrap();
    all.create(&PostParams::default(), &held).await.unwrap();
    all.delete("held", &DeleteParams::default()).await.unwrap();
    assert!(all.get("held").await.unwrap().metadata.deletion_timestamp.is_some());
    for attempt in 0..3 {
        assert_eq!(refusal(secret(&all, &format!("next-{attempt}")).await).reason, "quota_exceeded");
    }
    let free = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    all.patch("held", &PatchParams::default(), &free).await.unwrap();
    until("what it had is free", async || secret(&all, "next").await.is_ok()).await;
}

#[tokio::test]
async fn what_is_removed_all_at_once_is_free_again() {
    tenant("swept", "alice", "{hard: {secrets: 4}}", &["swept-one", "swept-two", "swept-three"]).await;
    let (one, two, three) =
        (secrets("swept-one").await, secrets("swept-two").await, secrets("swept-three").await);
    for name in ["a", "b"] {
        secret(&one, name).await.unwrap();
        secret(&two, name).await.unwrap();
    }
    assert_eq!(refusal(secret(&three, "a").await).reason, "quota_exceeded");
    one.delete_collection(&DeleteParams::default(), &ListParams::default()).await.unwrap();
    for name in ["a", "b"] {
        until("what the collection had is free", async || secret(&three, name).await.is_ok()).await;
    }
    assert_eq!(refusal(secret(&three, "c").await).reason, "quota_exceeded");
    let namespaces: Api<Namespace> = Api::all(World::shared().client(ADMIN).await);
    namespaces.delete("swept-two", &DeleteParams::default()).await.unwrap();
    for name in ["c", "d"] {
        until("what the namespace had is free", async || secret(&three, name).await.is_ok()).await;
    }
    assert_eq!(refusal(secret(&three, "e").await).reason, "quota_exceeded");
}

#[tokio::test]
async fn a_namespace_that_changes_hands_counts_for_its_new_tenant() {
    tenant("giver", "alice", "{hard: {secrets: 2}}", &["giver-one", "giver-two"]).await;
    tenant("taker", "bob", "{hard: {secrets: 3}}", &["taker-one"]).await;
    let (given, stays, taker) =
        (secrets("giver-one").await, secrets("giver-two").await, secrets("taker-one").await);
    for name in ["a", "b"] {
        secret(&given, name).await.unwrap();
    }
    assert_eq!(refusal(secret(&stays, "a").await).reason, "quota_exceeded");
    let namespaces: Api<Namespace> = Api::all(World::shared().client(ADMIN).await);
    let label = Patch::Merge(json!({"metadata": {"labels": {"bailey.dev/tenant": "taker"}}}));
    namespaces.patch("giver-one", &PatchParams::default(), &label).await.unwrap();
    for name in ["a", "b"] {
        until("the giver has its own again", async || secret(&stays, name).await.is_ok()).await;
    }
    // Two came with the namespace, and one more fits.
    until("the taker's last one fits", async || secret(&taker, "a").await.is_ok()).await;
    assert_eq!(refusal(secret(&taker, "b").await).reason, "quota_exceeded");
    let refused = until_refused(&given).await;
    assert!(refused.contains("the budget of the tenant `taker` is 3 of `secrets`"), "{refused}");
}

/// The namespace's walls are made anew with its tenant; until then nothing is let in.
async fn until_refused(secrets: &Api<Secret>) -> String {
    tests::until_some("the new tenant's budget refuses", async || {
        let refused = refusal(secret(secrets, "c").await);
        (refused.reason == "quota_exceeded").then_some(refused.message)
    })
    .await
}

#[tokio::test]
async fn a_change_takes_what_it_adds_and_gives_back_what_it_drops() {
    let quota = "{hard: {services.nodeports: 2, services.loadbalancers: 1}}";
    tenant("ported", "alice", quota, &["ported-one"]).await;
    let all: Api<Service> = Api::namespaced(World::shared().client(ADMIN).await, "ported-one");
    let service = |name: &str, ports: &[u16]| -> Service {
        let ports: Vec<_> =
            ports.iter().map(|port| json!({"name": format!("p{port}"), "port": port})).collect();
        let spec = json!({"type": "NodePort", "ports": ports});
        serde_json::from_value(json!({"metadata": {"name": name}, "spec": spec})).unwrap()
    };
    all.create(&PostParams::default(), &service("one", &[80])).await.unwrap();
    let change = async |ports: &[u16]| {
        let new = service("one", ports);
        all.patch("one", &PatchParams::default(), &Patch::Merge(json!({"spec": new.spec}))).await
    };
    assert_eq!(refusal(change(&[80, 81, 82]).await).reason, "quota_exceeded");
    change(&[80, 81]).await.unwrap();
    assert_eq!(
        refusal(all.create(&PostParams::default(), &service("two", &[80])).await).reason,
        "quota_exceeded"
    );
    let closed = Patch::Merge(json!({"spec": {"type": "ClusterIP", "ports": [{"name": "p80", "port": 80}]}}));
    all.patch("one", &PatchParams::default(), &closed).await.unwrap();
    until("what it dropped is free", async || {
        all.create(&PostParams::default(), &service("two", &[80, 81])).await.is_ok()
    })
    .await;
    let balanced =
        Patch::Merge(json!({"spec": {"type": "LoadBalancer", "allocateLoadBalancerNodePorts": false}}));
    all.patch("one", &PatchParams::default(), &balanced).await.unwrap();
    let second =
        json!({"type": "LoadBalancer", "allocateLoadBalancerNodePorts": false, "ports": [{"port": 80}]});
    let second = serde_json::from_value(json!({"metadata": {"name": "three"}, "spec": second})).unwrap();
    let refused = refusal(all.create(&PostParams::default(), &second).await);
    assert!(refused.message.contains("is 1 of `services.loadbalancers`"), "{}", refused.message);
}

#[tokio::test]
async fn names_that_are_generated_count_each_for_itself() {
    tenant("generated", "alice", "{hard: {secrets: 5}}", &["generated-one"]).await;
    let all = secrets("generated-one").await;
    let one: Secret = serde_json::from_value(json!({"metadata": {"generateName": "same-"}})).unwrap();
    let parameters = PostParams::default();
    let made = join_all((0..20).map(|_| all.create(&parameters, &one))).await;
    assert_eq!(made.iter().filter(|made| made.is_ok()).count(), 5);
    assert_eq!(all.list(&ListParams::default()).await.unwrap().items.len(), 5);
}
