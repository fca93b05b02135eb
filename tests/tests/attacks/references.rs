//! Names that look like others: of images, hosts, amounts, classes and subjects.

use serde_json::json;
use tests::{ADMIN, ALICE, BOB, Objects, Tenant, World, documents, give_namespace, refusal, until};

use crate::{Attack, run, siege};

macro_rules! image {
    ($name:literal, $image:literal) => {
        concat!(
            "{apiVersion: v1, kind: Pod, metadata: {name: ",
            $name,
            ", namespace: NS}, spec: {nodeSelector: {pool: siege}, containers: [{name: c, image: '",
            $image,
            "', resources: {requests: {cpu: 1m}}}]}}"
        )
    };
}

macro_rules! amounts {
    ($name:literal, $of_pod:literal, $of_container:literal) => {
        concat!(
            "{apiVersion: v1, kind: Pod, metadata: {name: ",
            $name,
            ", namespace: NS}, spec: {nodeSelector: {pool: siege}, ",
            $of_pod,
            "containers: [{name: c, image: registry.example.com/c, ",
            $of_container,
            "}]}}"
        )
    };
}

const fn of(wall: &'static str, says: &'static str, attack: &'static str, twin: &'static str) -> Attack {
    Attack { wall, says, attack, twin }
}

#[tokio::test]
async fn images() {
    const WHERE: &str = "is not allowed, use `registry.example.com/*`";
    run(&[
        of("images", WHERE, image!("x1", "docker.io/library/nginx"), image!("x1", "registry.example.com/library/nginx")),
        of("images", WHERE, image!("x2", "REGISTRY.example.com/c"), image!("x2", "registry.example.com/c:V1")),
        of("images", WHERE, image!("x3", "registry.example.com.evil.com/c"), image!("x3", "registry.example.com/evil.com/c")),
        of("images", WHERE, image!("x4", "registry.example.com:5000/c"), ""),
        of(
            "images",
            "`docker.io/library/registry.example.com@sha256:",
            image!("x5", "registry.example.com@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            image!("x5", "registry.example.com/c:1@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ),
        of("images", "docker.io/library/registry.example.com:c", image!("x6", "registry.example.com:c"), ""),
        of("images", "docker.io/evil/registry.example.com/c", image!("x7", "evil/registry.example.com/c"), ""),
        of("images", WHERE, image!("x8", "user@registry.example.com/c"), ""),
    ])
    .await;
}

#[tokio::test]
async fn amounts() {
    const TOO_MUCH: &str = "is more than 200 % of its request";
    run(&[
        of(
            "limit-ratio",
            TOO_MUCH,
            amounts!("q1", "", "resources: {requests: {cpu: '0.5'}, limits: {cpu: 1001m}}"),
            amounts!("q1", "", "resources: {requests: {cpu: '0.5'}, limits: {cpu: 1000m}}"),
        ),
        of(
            "limit-ratio",
            TOO_MUCH,
            amounts!("q2", "", "resources: {requests: {cpu: '1'}, limits: {cpu: '1e3'}}"),
            amounts!("q2", "", "resources: {requests: {cpu: '1e3'}, limits: {cpu: '2e3'}}"),
        ),
        of("limit-ratio", TOO_MUCH, amounts!("q3", "", "resources: {requests: {cpu: 0, memory: 1Mi}, limits: {cpu: 1}}"), ""),
        of("limit-ratio", TOO_MUCH, amounts!("q4", "", "resources: {requests: {cpu: 1n}, limits: {cpu: 9E}}"), ""),
        of(
            // Beside containers that say nothing.
            "limit-ratio",
            "the Pod: the cpu limit 64 is more than",
            amounts!("q5", "resources: {requests: {cpu: 1m}, limits: {cpu: 64}}, ", "imagePullPolicy: Always"),
            amounts!("q5", "resources: {requests: {cpu: 1}, limits: {cpu: 2}}, ", "imagePullPolicy: Always"),
        ),
        of(
            "limit-ratio",
            "container `i`",
            amounts!("q6", "initContainers: [{name: i, image: registry.example.com/i, resources: {requests: {cpu: 1m}, limits: {cpu: 8}}}], ", "resources: {requests: {cpu: 1m}}"),
            "",
        ),
    ])
    .await;
}

macro_rules! claim {
    ($name:literal, $metadata:literal, $spec:literal) => {
        concat!(
            "{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: ",
            $name,
            ", namespace: NS",
            $metadata,
            "}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}",
            $spec,
            "}}"
        )
    };
}

macro_rules! gateway {
    ($name:literal, $host:literal) => {
        concat!(
            "{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: ",
            $name,
            ", namespace: NS}, spec: {gatewayClassName: inside, listeners: [{hostname: '",
            $host,
            "'}]}}"
        )
    };
}

#[tokio::test]
async fn classes_hosts_and_subjects() {
    run(&[
        of(
            // What Kubernetes goes by, before the field.
            "storage-class",
            "the StorageClass `platinum` is not allowed",
            claim!("p1", ", annotations: {volume.beta.kubernetes.io/storage-class: platinum}", ", storageClassName: fast"),
            claim!("p1", ", annotations: {volume.beta.kubernetes.io/storage-class: fast}", ", storageClassName: fast"),
        ),
        of("hostnames", "`bank.example.com`", gateway!("t1", "BANK.example.com"), gateway!("t1", "T1.Siege.example.com")),
        of("hostnames", "`bank.example.com`", gateway!("t2", "bank.example.com."), gateway!("t2", "t2.siege.example.com.")),
        of("hostnames", "`xn--siege-6ya.example.com`", gateway!("t3", "xn--siege-6ya.example.com"), gateway!("t3", "xn--bcher-kva.siege.example.com")),
        of("hostnames", "`siege.example.com.evil.com`", gateway!("t4", "siege.example.com.evil.com"), ""),
        of("hostnames", "`siege.example.com`", gateway!("t5", "siege.example.com"), ""),
        of(
            "binding-subjects",
            "`system:anonymous`",
            "{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: anybody, namespace: NS}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}, subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: 'system:anonymous'}]}",
            "",
        ),
    ])
    .await;
    let alice = siege().await;
    let hosts: Vec<String> =
        (0..300).map(|number| format!("{{host: many-{number}.siege.example.com}}")).collect();
    let ingress = |last: &str| {
        let yaml = format!(
            "{{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {{name: many, namespace: siege-one}}, spec: {{rules: [{}, {{host: {last}}}]}}}}",
            hosts.join(", ")
        );
        documents(&yaml).swap_remove(0)
    };
    let refused = refusal(alice.apply(&ingress("bank.example.com")).await);
    assert!(refused.message.contains("`bank.example.com` is not allowed"), "{}", refused.message);
    alice.apply(&ingress("last.siege.example.com")).await.unwrap();
}

#[tokio::test]
async fn a_name_of_another_tenant_in_other_spellings() {
    let alice = siege().await;
    let world = World::shared();
    let admin = Objects::new(world.client(ADMIN).await);
    admin
        .apply_all("{apiVersion: bailey.dev/v1alpha1, kind: IsolationProfile, metadata: {name: loose}, spec: {allow: {images: {allowed: ['docker.io/*']}}}}")
        .await;
    Tenant::create("loose", "{members: [{kind: User, name: alice, role: owner}], isolationProfile: loose}")
        .await;
    Tenant::create("bank", "{members: [{kind: User, name: bob, role: owner}]}").await;
    give_namespace(world, "loose", "loose-one").await;
    give_namespace(world, "bank", "bank-one").await;
    let bob = Objects::new(world.client(BOB).await);
    let ingress = documents(
        "{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: i, namespace: bank-one}, spec: {rules: [{host: bank.example.org}]}}",
    );
    until("bob has his name", async || bob.apply(&ingress[0]).await.is_ok()).await;
    for host in ["bank.example.org", "BANK.example.org", "bank.example.org.", "Bank.Example.Org."] {
        let gateway = documents(&gateway!("g", "HOST").replace("NS", "loose-one").replace("HOST", host));
        let refused = refusal(alice.apply(&gateway[0]).await);
        assert!(refused.message.contains("`bank.example.org` is in use"), "{host}: {}", refused.message);
    }
    // A first part in capitals is a host, and not a name at docker.io.
    let pod =
        |image: &str| documents(&image!("loose", "IMAGE").replace("NS", "loose-one").replace("IMAGE", image));
    let refused = refusal(alice.apply(&pod("EVIL/c")[0]).await);
    assert!(refused.message.contains("the image `EVIL/c` is not allowed"), "{}", refused.message);
    alice.apply(&pod("good/c")[0]).await.unwrap();
    debug_containers(&alice).await;
}

/// Ephemeral containers have images too.
async fn debug_containers(alice: &Objects) {
    let world = World::shared();
    let pod = &documents("{apiVersion: v1, kind: Pod, metadata: {name: loose, namespace: loose-one}}")[0];
    alice.get(pod).await.unwrap();
    let pods: kube::Api<k8s_openapi::api::core::v1::Pod> =
        kube::Api::namespaced(world.client(ALICE).await, "loose-one");
    let attach = async |name: &str, image: &str| {
        let containers = json!({"spec": {"ephemeralContainers": [{"name": name, "image": image}]}});
        let patch = kube::api::Patch::Strategic(&containers);
        pods.patch_ephemeral_containers("loose", &Default::default(), &patch).await
    };
    let refused = refusal(attach("bad", "evil.example.com/debug").await);
    assert!(
        refused.message.contains("container `bad`: the image `evil.example.com/debug`"),
        "{}",
        refused.message
    );
    attach("good", "docker.io/library/busybox").await.unwrap();
}
