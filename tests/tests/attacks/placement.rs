//! Roads to a node, and past a Service's and a namespace's walls, by subresources and updates.

use k8s_openapi::api::core::v1::{Pod, Service};
use kube::Api;
use kube::api::{Patch, PatchParams};
use kube::core::Request;
use serde_json::{Value, json};
use tests::{ADMIN, ALICE, World, documents, refusal};

use crate::{Attack, SIEGE, here, run, siege};

const POD: &str = "{apiVersion: v1, kind: Pod, metadata: {name: NAME, namespace: NS}, spec: {nodeSelector: {pool: siege}, containers: [{name: c, image: registry.example.com/c, resources: {requests: {cpu: 1m}}}]}}";

async fn pod(name: &str) -> Api<Pod> {
    siege().await.apply(&documents(&here(&POD.replace("NAME", name)))[0]).await.unwrap();
    Api::namespaced(World::shared().client(ALICE).await, SIEGE)
}

/// Sends an object to a path as alice.
async fn post(path: &str, object: &Value) -> kube::Result<Value> {
    let request =
        Request::new(path).create(&Default::default(), serde_json::to_vec(object).unwrap()).unwrap();
    World::shared().client(ALICE).await.request(request).await
}

#[tokio::test]
async fn affinity_to_a_node_does_not_replace_the_selector() {
    run(&[Attack {
        wall: "node-selector",
        says: "set `pool: siege`",
        attack: "{apiVersion: v1, kind: Pod, metadata: {name: af1, namespace: NS}, spec: {nodeSelector: {pool: others}, affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchFields: [{key: metadata.name, operator: In, values: [somebody-elses]}]}]}}}, containers: [{name: c, image: registry.example.com/c, resources: {requests: {cpu: 1m}}}]}}",
        // The scheduler asks for both: one of the nodes that are the tenant's, and not past any taint.
        twin: "{apiVersion: v1, kind: Pod, metadata: {name: af1, namespace: NS}, spec: {affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchFields: [{key: metadata.name, operator: In, values: [own]}]}]}}}, containers: [{name: c, image: registry.example.com/c, resources: {requests: {cpu: 1m}}}]}}",
    }])
    .await;
    let pod = documents(&here("{apiVersion: v1, kind: Pod, metadata: {name: af1, namespace: NS}}"));
    assert_eq!(siege().await.get(&pod[0]).await.unwrap().data["spec"]["nodeSelector"]["pool"], "siege");
}

#[tokio::test]
async fn nobody_binds_a_pod_to_a_node() {
    pod("unbound").await;
    let binding = json!({
        "apiVersion": "v1", "kind": "Binding", "metadata": {"name": "unbound", "namespace": SIEGE},
        "target": {"apiVersion": "v1", "kind": "Node", "name": "somebody-elses"},
    });
    for path in ["pods/unbound/binding", "bindings"] {
        let path = format!("/api/v1/namespaces/{SIEGE}/{path}");
        let refused = refusal(post(&path, &binding).await);
        assert!(refused.message.contains("wall `node-name`"), "{path}: {}", refused.message);
    }
    // Who is no member of a tenant, such as the scheduler, does.
    let path = format!("/api/v1/namespaces/{SIEGE}/pods/unbound/binding");
    let request =
        Request::new(path).create(&Default::default(), serde_json::to_vec(&binding).unwrap()).unwrap();
    World::shared().client(ADMIN).await.request::<Value>(request).await.unwrap();
}

#[tokio::test]
async fn a_running_pod_gets_no_tolerations() {
    let pods = pod("running").await;
    let tolerate = async |key: &str| {
        let mut object = serde_json::to_value(pods.get("running").await.unwrap()).unwrap();
        let all = object["spec"]["tolerations"].as_array_mut().unwrap();
        all.push(json!({"key": key, "operator": "Exists"}));
        let patch = json!({"spec": {"tolerations": all}});
        pods.patch("running", &PatchParams::default(), &Patch::Merge(&patch)).await
    };
    for key in ["dedicated", "node-role.kubernetes.io/control-plane"] {
        let refused = refusal(tolerate(key).await);
        assert!(refused.message.contains(&format!("has the taint `{key}`")), "{}", refused.message);
    }
    tolerate("siege/gpu").await.unwrap();
}

#[tokio::test]
async fn a_running_pod_gets_no_other_image_or_limit() {
    let pods = pod("changed").await;
    let image = json!({"spec": {"containers": [{"name": "c", "image": "evil.example.com/c"}]}});
    let refused = refusal(pods.patch("changed", &PatchParams::default(), &Patch::Strategic(&image)).await);
    assert!(refused.message.contains("wall `images`"), "{}", refused.message);
    let resize = async |cpu: &str| {
        let patch = json!({"spec": {"containers": [{"name": "c", "resources": {"limits": {"cpu": cpu}}}]}});
        pods.patch_subresource("resize", "changed", &PatchParams::default(), &Patch::Strategic(&patch)).await
    };
    let refused = refusal(resize("64").await);
    assert!(refused.message.contains("wall `limit-ratio`"), "{}", refused.message);
}

#[tokio::test]
async fn a_services_status_claims_no_addresses() {
    let alice = siege().await;
    let service = documents(&here(
        "{apiVersion: v1, kind: Service, metadata: {name: lb, namespace: NS}, spec: {type: LoadBalancer, allocateLoadBalancerNodePorts: false, ports: [{port: 80}]}}",
    ));
    alice.apply(&service[0]).await.unwrap();
    let services: Api<Service> = Api::namespaced(World::shared().client(ALICE).await, SIEGE);
    let given = async |ip: &str| {
        let patch = json!({"status": {"loadBalancer": {"ingress": [{"ip": ip}]}}});
        services.patch_status("lb", &PatchParams::default(), &Patch::Merge(&patch)).await
    };
    let refused = refusal(given("10.96.0.1").await);
    assert!(refused.message.contains("wall `service-address`"), "{}", refused.message);
    given("203.0.113.4").await.unwrap();
}

#[tokio::test]
async fn templates_of_every_kind_are_held_against_the_rules() {
    let template = "template: {metadata: {labels: {a: b}}, spec: {nodeName: somebody-elses, containers: [{name: c, image: registry.example.com/c, resources: {requests: {cpu: 1m}}}], nodeSelector: {pool: siege}}}";
    let selector = "selector: {matchLabels: {a: b}}";
    let once = template.replace("spec: {nodeName", "spec: {restartPolicy: Never, nodeName");
    let objects = [
        format!("apiVersion: v1, kind: PodTemplate, metadata: META, {template}"),
        format!(
            "apiVersion: v1, kind: ReplicationController, metadata: META, spec: {{replicas: 0, {template}}}"
        ),
        format!(
            "apiVersion: apps/v1, kind: ReplicaSet, metadata: META, spec: {{replicas: 0, {selector}, {template}}}"
        ),
        format!(
            "apiVersion: apps/v1, kind: Deployment, metadata: META, spec: {{replicas: 0, {selector}, {template}}}"
        ),
        format!(
            "apiVersion: apps/v1, kind: StatefulSet, metadata: META, spec: {{replicas: 0, serviceName: s, {selector}, {template}}}"
        ),
        format!("apiVersion: apps/v1, kind: DaemonSet, metadata: META, spec: {{{selector}, {template}}}"),
        format!("apiVersion: batch/v1, kind: Job, metadata: META, spec: {{suspend: true, {once}}}"),
        format!(
            "apiVersion: batch/v1, kind: CronJob, metadata: META, spec: {{suspend: true, schedule: '* * * * *', jobTemplate: {{spec: {{{once}}}}}}}"
        ),
    ];
    let alice = siege().await;
    for object in objects {
        let object = format!("{{{}}}", object.replace("META", "{name: templated, namespace: NS}"));
        let refused = refusal(alice.apply(&documents(&here(&object))[0]).await);
        assert!(refused.message.contains("wall `node-name`"), "{object}: {}", refused.message);
        let twin = here(&object.replace("nodeName: somebody-elses, ", ""));
        alice.apply(&documents(&twin)[0]).await.unwrap();
    }
}
