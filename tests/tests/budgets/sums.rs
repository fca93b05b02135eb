//! Budgets of what is written in fields of objects.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v1::Scale;
use k8s_openapi::api::core::v1::Service;

use super::*;

fn sized(name: &str, size: &str) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": name}, "data": {"size": size}})).unwrap()
}

async fn make(maps: &Api<ConfigMap>, name: &str, size: &str) -> kube::Result<ConfigMap> {
    maps.create(&PostParams::default(), &sized(name, size)).await
}

async fn resize(maps: &Api<ConfigMap>, name: &str, size: &str) -> kube::Result<ConfigMap> {
    let patch = Patch::Merge(json!({"data": {"size": size}}));
    maps.patch(name, &PatchParams::default(), &patch).await
}

#[tokio::test]
async fn a_sum_over_a_field_is_held_over_all_namespaces_whoever_asks_at_once() {
    let quota = "{hard: {'sum/configmaps:$.data.size': 20}}";
    tenant("sums", "alice", quota, &["sums-one", "sums-two"]).await;
    let (one, two) = (until_ready(ALICE, "sums-one").await, until_ready(ALICE, "sums-two").await);
    let names: Vec<String> = (0..10).map(|number| format!("many-{number}")).collect();
    let asked =
        names.iter().flat_map(|name| [&one, &two].map(|maps| async move { make(maps, name, "3").await }));
    let results = join_all(asked).await;
    let (made, refused): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
    assert_eq!(made.len(), 6);
    for refused in refused.into_iter().map(refusal) {
        assert_eq!(refused.reason, "quota_exceeded");
        let says = "is 20 of `sum/configmaps:$.data.size`, of which";
        assert!(refused.message.contains(says), "{}", refused.message);
    }
    // Two are left.
    make(&one, "last", "1500m").await.unwrap();
    let refused = refusal(resize(&one, "last", "2500m").await);
    assert!(
        refused.message.contains("this asks for 1 more, and up to 500m would pass"),
        "{}",
        refused.message
    );
    resize(&one, "last", "2").await.unwrap();
    resize(&one, "last", "1").await.unwrap();
    until("what became smaller is free", async || resize(&one, "last", "2").await.is_ok()).await;
    // What is no amount is not let in, and what has none takes none.
    for size in ["many", "-1", ""] {
        assert_eq!(refusal(make(&two, "odd", size).await).reason, "quota_unspecified", "{size}");
    }
    create(&two, "none").await.unwrap();
}

#[tokio::test]
async fn what_is_there_counts_for_a_sum_that_is_new() {
    let tenant = tenant("newer", "alice", "{hard: {configmaps: 30}}", &["newer-one"]).await;
    let maps = until_ready(ALICE, "newer-one").await;
    make(&maps, "large", "7").await.unwrap();
    make(&maps, "odd", "many").await.unwrap();
    let spec = "{members: [{kind: User, name: alice, role: owner}], namespaces: {prefix: ''}, \
                quota: {hard: {configmaps: 30, 'sum/configmaps:$.data.size': 10}}}";
    tenant.set(spec).await;
    until("the sum is in force", async || refused_or_removed(&maps, make(&maps, "larger", "4").await).await)
        .await;
    make(&maps, "small", "3").await.unwrap();
    // What could not be counted can be put right where there is room.
    assert_eq!(refusal(resize(&maps, "odd", "1").await).reason, "quota_exceeded");
    resize(&maps, "odd", "0").await.unwrap();
}

/// Whether a create was refused; what was created is removed again.
async fn refused_or_removed(maps: &Api<ConfigMap>, result: kube::Result<ConfigMap>) -> bool {
    match result {
        Ok(map) => {
            maps.delete(&map.metadata.name.unwrap(), &DeleteParams::default()).await.unwrap();
            false
        }
        Err(error) => refusal::<()>(Err(error)).reason == "quota_exceeded",
    }
}

#[tokio::test]
async fn replicas_are_a_sum_that_scaling_is_held_to() {
    let quota = "{hard: {'sum/deployments.apps:$.spec.replicas': 4, 'count/services:$.spec.ports[*]': 2}}";
    tenant("scaled", "alice", quota, &["scaled-one"]).await;
    until_ready(ALICE, "scaled-one").await;
    let client = World::shared().client(ALICE).await;
    let all: Api<Deployment> = Api::namespaced(client.clone(), "scaled-one");
    let web = json!({"metadata": {"name": "web"}, "spec": {
        "replicas": 3, "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}},
    }});
    all.create(&PostParams::default(), &serde_json::from_value(web).unwrap()).await.unwrap();
    let scale = async |replicas: i32| -> kube::Result<Scale> {
        let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
        all.patch_scale("web", &PatchParams::default(), &patch).await
    };
    let refused = refusal(scale(5).await);
    assert_eq!(refused.reason, "quota_exceeded");
    assert!(
        refused.message.contains("this asks for 2 more, and up to 1 would pass now"),
        "{}",
        refused.message
    );
    // An attempt that lost against the controller's write of the status is held until its request must have ended.
    let until_scaled = async |replicas: i32| {
        let start = std::time::Instant::now();
        while let Err(error) = scale(replicas).await {
            assert!(
                start.elapsed() < std::time::Duration::from_secs(90),
                "what is held is never free: {error}"
            );
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        }
    };
    until_scaled(4).await;
    let patch = Patch::Merge(json!({"spec": {"replicas": 5}}));
    assert_eq!(refusal(all.patch("web", &PatchParams::default(), &patch).await).reason, "quota_exceeded");
    scale(1).await.unwrap();
    until_scaled(4).await;
    // How many there are of something in an object.
    let services: Api<Service> = Api::namespaced(client, "scaled-one");
    let service = |name: &str, ports: &[u16]| -> Service {
        let ports: Vec<_> =
            ports.iter().map(|port| json!({"name": format!("p{port}"), "port": port})).collect();
        serde_json::from_value(json!({"metadata": {"name": name}, "spec": {"ports": ports}})).unwrap()
    };
    let refused = services.create(&PostParams::default(), &service("wide", &[1, 2, 3])).await;
    assert_eq!(refusal(refused).reason, "quota_exceeded");
    services.create(&PostParams::default(), &service("narrow", &[1, 2])).await.unwrap();
}

#[tokio::test]
async fn a_sum_that_is_none_is_refused_with_what_would_be_one() {
    let objects = Objects::new(World::shared().client(ADMIN).await);
    for (name, part) in [
        ("sum/configmaps", "a sum has a JSONPath after its kind"),
        ("sum/configmaps:size", "`size` is no JSONPath"),
        ("sum/Config:$.a", "`Config` is no kind"),
        ("sum/pods:$.status.phase", "its path leads to the status"),
        ("count/events:$.a", "Kubernetes does not count these objects"),
    ] {
        let yaml = format!(
            "{{apiVersion: bailey.dev/v1alpha1, kind: Tenant, metadata: {{name: bad}}, spec: {{quota: {{hard: {{'{name}': 1}}}}}}}}"
        );
        let Err(kube::Error::Api(status)) = objects.apply(&documents(&yaml)[0]).await else {
            panic!("{name} was taken")
        };
        assert!(status.message.contains(part), "{name}: {}", status.message);
    }
}
