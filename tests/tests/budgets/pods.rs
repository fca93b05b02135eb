//! Pods against budgets: what they ask for, when they end, by priority, resized.

use super::*;

#[tokio::test]
async fn a_pod_counts_what_it_asks_for_until_it_ends() {
    tenant("pods", "alice", "{hard: {cpu: 2, pods: 3}}", &["pods-one", "pods-two"]).await;
    let (one, two) = (pods(ALICE, "pods-one").await, pods(ALICE, "pods-two").await);
    start(&one, &pod("large", "1500m")).await.unwrap();
    let refused = refusal(start(&two, &pod("medium", "600m")).await);
    assert_eq!(refused.reason, "quota_exceeded");
    for part in [
        "the budget of the tenant `pods` is 2 of `requests.cpu`, of which 1500m are used",
        "this asks for 600m more, and up to 500m would pass now",
        "the largest of the tenant are pods pods-one/large (1500m)",
    ] {
        assert!(refused.message.contains(part), "{part}: {}", refused.message);
    }
    start(&two, &pod("small", "500m")).await.unwrap();
    assert_eq!(refusal(start(&two, &pod("tiny", "1m")).await).reason, "quota_exceeded");
    // One that has ended counts no more, one that is deleted neither.
    end(&one, "large").await;
    until("what ended is free", async || start(&two, &pod("next", "1500m")).await.is_ok()).await;
    one.delete("large", &DeleteParams::default().grace_period(0)).await.unwrap();
    start(&one, &pod("empty", "0")).await.unwrap();
    let refused = refusal(start(&one, &pod("fourth", "0")).await);
    assert!(refused.message.contains("is 3 of `pods`"), "{}", refused.message);
}

#[tokio::test]
async fn a_pod_says_what_it_needs_or_gets_the_tenants_defaults() {
    let quota = "{hard: {requests.memory: 1Gi}}";
    let tenant = tenant("silent", "alice", quota, &["silent-one"]).await;
    let all = pods(ALICE, "silent-one").await;
    let silent: Pod = serde_json::from_value(
        json!({"metadata": {"name": "silent"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}),
    )
    .unwrap();
    let refused = refusal(start(&all, &silent).await);
    assert_eq!(refused.reason, "quota_unspecified");
    assert!(refused.message.contains("`requests.memory`, and the container `c`"), "{}", refused.message);
    let profile = "{apiVersion: bailey.dev/v1alpha1, kind: IsolationProfile, metadata: {name: defaults}, spec: \
         {contents: {limitRange: [{type: Container, defaultRequest: {memory: 600Mi}}]}}}";
    Objects::new(World::shared().client(ADMIN).await).apply(&documents(profile)[0]).await.unwrap();
    tenant
        .set(&format!(
            "{{members: [{{kind: User, name: alice, role: owner}}], namespaces: {{prefix: ''}}, quota: {quota}, \
             isolationProfile: defaults}}"
        ))
        .await;
    until("the defaults are there", async || start(&all, &silent).await.is_ok()).await;
    let second = Pod { metadata: named("second"), ..silent };
    let refused = refusal(start(&all, &second).await);
    assert!(
        refused.message.contains("is 1Gi of `requests.memory`, of which 600Mi are used"),
        "{}",
        refused.message
    );
}

#[tokio::test]
async fn bands_hold_beside_the_whole_budget() {
    let class =
        "{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: critical}, value: 1000}";
    Objects::new(World::shared().client(ADMIN).await).apply(&documents(class)[0]).await.unwrap();
    let quota = "{hard: {pods: 4}, bands: [{name: production, priorityClasses: [critical], hard: {pods: 1}}, \
                 {name: rest, hard: {pods: 2}}]}";
    tenant("bands", "alice", quota, &["bands-one"]).await;
    let all = pods(ALICE, "bands-one").await;
    let mut first = pod("critical-1", "0");
    first.spec.as_mut().unwrap().priority_class_name = Some("critical".to_owned());
    until("the class is known", async || start(&all, &first).await.is_ok()).await;
    let second = Pod { metadata: named("critical-2"), ..first };
    let refused = refusal(start(&all, &second).await);
    assert!(refused.message.contains("for its band `production` is 1 of `pods`"), "{}", refused.message);
    for name in ["rest-1", "rest-2"] {
        start(&all, &pod(name, "0")).await.unwrap();
    }
    let refused = refusal(start(&all, &pod("rest-3", "0")).await);
    assert!(refused.message.contains("for its band `rest` is 2 of `pods`"), "{}", refused.message);
}

#[tokio::test]
async fn a_resize_takes_what_it_adds() {
    tenant("resize", "alice", "{hard: {requests.cpu: 1}}", &["resize-one"]).await;
    let all = pods(ALICE, "resize-one").await;
    start(&all, &pod("grows", "500m")).await.unwrap();
    let resize = async |cpu: &str| {
        let change =
            json!({"spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}]}});
        let admin: Api<Pod> = Api::namespaced(World::shared().client(ADMIN).await, "resize-one");
        admin.patch_subresource("resize", "grows", &PatchParams::default(), &Patch::Strategic(change)).await
    };
    let refused = refusal(resize("1500m").await);
    assert!(
        refused.message.contains("this asks for 1 more, and up to 500m would pass now"),
        "{}",
        refused.message
    );
    resize("1").await.unwrap();
    assert_eq!(refusal(start(&all, &pod("more", "1m")).await).reason, "quota_exceeded");
    resize("200m").await.unwrap();
    until("what it gave back is free", async || start(&all, &pod("more", "800m")).await.is_ok()).await;
}

async fn pods(user: User, namespace: &str) -> Api<Pod> {
    let accounts: Api<ServiceAccount> = Api::namespaced(World::shared().client(ADMIN).await, namespace);
    until("the namespace has its service account", async || {
        accounts.get_opt("default").await.unwrap().is_some()
    })
    .await;
    until_ready(user, namespace).await;
    Api::namespaced(World::shared().client(user).await, namespace)
}

async fn start(pods: &Api<Pod>, pod: &Pod) -> kube::Result<Pod> {
    pods.create(&PostParams::default(), pod).await
}

/// As a kubelet reports it.
async fn end(pods: &Api<Pod>, name: &str) {
    let namespace = pods.get(name).await.unwrap().metadata.namespace.unwrap();
    let admin: Api<Pod> = Api::namespaced(World::shared().client(ADMIN).await, &namespace);
    let status = Patch::Merge(json!({"status": {"phase": "Succeeded"}}));
    admin.patch_status(name, &PatchParams::default(), &status).await.unwrap();
}

fn named(name: &str) -> ObjectMeta {
    ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() }
}

fn pod(name: &str, cpu: &str) -> Pod {
    let resources = json!({"requests": {"cpu": cpu}});
    let containers = json!([{"name": "c", "image": "i", "resources": resources}]);
    serde_json::from_value(json!({"metadata": {"name": name}, "spec": {"containers": containers}})).unwrap()
}
