use serde_json::json;
use tests::{ADMIN, ALICE, BOB, Objects, World, documents, refusal, until};

use crate::{Attack, SIEGE, run, siege};
use crate::{Tenant, create, namespaces};

macro_rules! binding {
    ($name:literal, $role:literal, $subject:literal) => {
        concat!(
            "{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: ",
            $name,
            ", namespace: NS}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: ",
            $role,
            "}, subjects: [",
            $subject,
            "]}"
        )
    };
}

#[tokio::test]
async fn bindings_finalizers_and_owners() {
    run(&[
        Attack {
            wall: "binding-subjects",
            says: "the group `system:authenticated`, in which others are",
            attack: binding!("r1", "view", "{apiGroup: rbac.authorization.k8s.io, kind: Group, name: 'system:authenticated'}"),
            twin: binding!("r1", "view", "{apiGroup: rbac.authorization.k8s.io, kind: Group, name: siege-students}"),
        },
        Attack {
            wall: "binding-subjects",
            says: "the service account `default` of the namespace `kube-system`",
            attack: binding!("r2", "view", "{kind: ServiceAccount, namespace: kube-system, name: default}"),
            twin: binding!("r2", "view", "{kind: ServiceAccount, namespace: NS, name: default}"),
        },
        Attack {
            wall: "binding-subjects",
            says: "a service account of others",
            attack: binding!("r3", "view", "{apiGroup: rbac.authorization.k8s.io, kind: User, name: 'system:serviceaccount:kube-system:default'}"),
            twin: binding!("r3", "view", "{apiGroup: rbac.authorization.k8s.io, kind: User, name: dave}"),
        },
        Attack {
            wall: "binding-subjects",
            says: "`system:serviceaccounts:kube-system`",
            attack: binding!("r4", "view", "{apiGroup: rbac.authorization.k8s.io, kind: Group, name: 'system:serviceaccounts:kube-system'}"),
            twin: binding!("r4", "view", "{apiGroup: rbac.authorization.k8s.io, kind: Group, name: 'system:serviceaccounts:NS'}"),
        },
        Attack {
            wall: "binding-roles",
            says: "the ClusterRole `admin` is not allowed, use `view`, `edit`",
            attack: binding!("r5", "admin", "{apiGroup: rbac.authorization.k8s.io, kind: User, name: dave}"),
            twin: binding!("r5", "edit", "{apiGroup: rbac.authorization.k8s.io, kind: User, name: dave}"),
        },
        Attack {
            wall: "finalizers",
            says: "the finalizer `example.com/never`",
            attack: "{apiVersion: v1, kind: ConfigMap, metadata: {name: f1, namespace: NS, finalizers: [example.com/never]}}",
            twin: "{apiVersion: v1, kind: ConfigMap, metadata: {name: f1, namespace: NS}}",
        },
        Attack {
            wall: "blocking-owners",
            says: "names the Tenant `siege`",
            attack: "{apiVersion: v1, kind: ConfigMap, metadata: {name: f2, namespace: NS, ownerReferences: [{apiVersion: bailey.dev/v1alpha1, kind: Tenant, name: siege, uid: u, blockOwnerDeletion: true}]}}",
            twin: "{apiVersion: v1, kind: ConfigMap, metadata: {name: f2, namespace: NS, ownerReferences: [{apiVersion: v1, kind: ConfigMap, name: f1, uid: u}]}}",
        },
        Attack {
            wall: "managed-objects",
            says: "leave it out",
            attack: "{apiVersion: v1, kind: ConfigMap, metadata: {name: m1, namespace: NS, labels: {bailey.dev/managed-by: bailey}}}",
            twin: "",
        },
        Attack {
            wall: "managed-objects",
            says: "Bailey keeps this object",
            attack: "{apiVersion: v1, kind: ConfigMap, metadata: {name: about, namespace: NS}, data: {tenant: mine}}",
            twin: "",
        },
        Attack {
            wall: "managed-objects",
            says: "Bailey keeps this object",
            attack: "{apiVersion: v1, kind: ServiceAccount, metadata: {name: default, namespace: NS}, automountServiceAccountToken: true}",
            twin: "{apiVersion: v1, kind: ServiceAccount, metadata: {name: own, namespace: NS}, automountServiceAccountToken: true}",
        },
        Attack {
            wall: "managed-objects",
            says: "Bailey keeps this object",
            attack: "{apiVersion: v1, kind: LimitRange, metadata: {name: bailey-limits, namespace: NS}, spec: {limits: []}}",
            twin: "",
        },
    ])
    .await;
}

#[tokio::test]
async fn nothing_of_the_whole_cluster_is_written_whatever_rights_were_given() {
    let says = "is the whole cluster's, and members of tenants write none";
    let attack = |attack: &'static str| Attack { wall: "cluster-objects", says, attack, twin: "" };
    run(&[
        attack("{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: x1}, value: 1000000}"),
        attack("{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: x2}, provisioner: evil}"),
        attack("{apiVersion: v1, kind: PersistentVolume, metadata: {name: x3}, spec: {capacity: {storage: 1Gi}, accessModes: [ReadWriteOnce], hostPath: {path: /}}}"),
        attack("{apiVersion: v1, kind: Node, metadata: {name: x4}}"),
        attack("{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: x5}, rules: [{apiGroups: [''], resources: [pods], verbs: [get]}]}"),
        attack("{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: x6}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: siege-mistakes}, subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: alice}]}"),
        attack("{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: xs.evil.example.com}, spec: {group: evil.example.com, scope: Cluster, names: {plural: xs, kind: X}, versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]}}"),
        attack("{apiVersion: apiregistration.k8s.io/v1, kind: APIService, metadata: {name: v1.evil.example.com}, spec: {group: evil.example.com, version: v1, groupPriorityMinimum: 1, versionPriority: 1, service: {namespace: NS, name: x}}}"),
        attack("{apiVersion: bailey.dev/v1alpha1, kind: IsolationProfile, metadata: {name: x9}, spec: {}}"),
        attack("{apiVersion: bailey.dev/v1alpha1, kind: PolicyBinding, metadata: {name: x10}, spec: {policy: x, match: {resources: [{apiGroups: [''], kinds: [Pod]}]}}}"),
        attack("{apiVersion: certificates.k8s.io/v1, kind: CertificateSigningRequest, metadata: {name: x11}, spec: {signerName: kubernetes.io/kube-apiserver-client, usages: [client auth], request: LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlIS01ISUNBUUF3RURFT01Bd0dBMVVFQXd3RllXUnRhVzR3V1RBVEJnY3Foa2pPUFFJQkJnZ3Foa2pPUFFNQgpCd05DQUFRekthSUEwWjNlU0ZXM2JJWjh0NDhRZ3YwR1BhUEgyZUVMMmw2SmZuZXUzV1ZzZFdqZzMyb2tiYkhlCkdydmhZT2Z2S0hHTmYyZTlxbS81R2ttdEt0enNvQUF3Q2dZSUtvWkl6ajBFQXdJRFNBQXdSUUloQU9STVFrWnUKL0xBK2lSRXBZREtDMmIwRnZGbHJXZCtuSTJURWZod0Z6amNUQWlCTnU4bS8xdkI5bE9VUU82RkNlcHd6c0ZRNwowOGRrRUdwdlFPV0tHaGhuY1E9PQotLS0tLUVORCBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0K}}"),
    ])
    .await;
}

#[tokio::test]
async fn an_owner_changes_members_and_nothing_else_of_the_tenant() {
    siege().await;
    let object = |spec: &str| {
        documents(&format!(
            "{{apiVersion: bailey.dev/v1alpha1, kind: Tenant, metadata: {{name: guild}}, spec: {spec}}}"
        ))
        .swap_remove(0)
    };
    Tenant::create("guild", "{members: [{kind: User, name: bob, role: owner}], namespaces: {limit: 2}}")
        .await;
    let bob = Objects::new(World::shared().client(BOB).await);
    until("bob may read his tenant", async || bob.get(&object("{}")).await.is_ok()).await;
    let alice = Objects::new(World::shared().client(ALICE).await);
    let patch = async |spec: serde_json::Value| {
        let api = bob.api(&object("{}"));
        let patch = kube::api::Patch::Merge(json!({"spec": spec}));
        api.patch("guild", &kube::api::PatchParams::default(), &patch).await
    };
    let bob_owns = json!({"kind": "User", "name": "bob", "role": "owner"});
    for (spec, part) in [
        (json!({"namespaces": {"limit": 100}}), "`spec.namespaces.limit` is an administrator's"),
        (json!({"isolationProfile": "wide"}), "`spec.isolationProfile` is"),
        (json!({"parent": "siege"}), "`spec.parent` is"),
        (json!({"suspended": true}), "`spec.suspended` is"),
        (json!({"members": []}), "no owner left"),
        (
            json!({"members": [bob_owns, {"kind": "User", "name": "eve", "role": "custom", "clusterRole": "cluster-admin"}]}),
            "the ClusterRole `cluster-admin` is an administrator's to give",
        ),
    ] {
        let refused = refusal(patch(spec.clone()).await);
        assert!(refused.message.contains("wall `tenant-object`"), "{spec}: {}", refused.message);
        assert!(refused.message.contains(part), "{spec}: {}", refused.message);
    }
    // A service account becomes an editor: that is the owner's to decide, and on record.
    let robot = json!({"kind": "ServiceAccount", "namespace": SIEGE, "name": "default", "role": "editor"});
    patch(json!({"members": [bob_owns, robot]})).await.unwrap();
    until("the change is on record", async || {
        let tail =
            World::shared().bailey.audit(&["tail", "--output", "json", "-n", "1000"]).unwrap_or_default();
        tail.lines().any(|line| line.contains("\"kind\":\"Tenant\"") && line.contains("\"username\":\"bob\""))
    })
    .await;
    // Nobody else reads it, and alice's mistaken rights do not make her an owner.
    let theirs = alice.apply(&object("{suspended: true}")).await;
    assert!(refusal(theirs).message.contains("you are no owner of the tenant `guild`"));
}

#[tokio::test]
async fn namespaces_have_the_labels_of_the_profile() {
    siege().await;
    let created = create(ALICE, "siege-two", json!({"bailey.dev/tenant": "siege"})).await.unwrap();
    assert_eq!(created.metadata.labels.unwrap()["cost-centre"], "4711");
    assert_eq!(created.metadata.annotations.unwrap()["owner"], "siege");
    for (labels, part) in [
        (
            json!({"bailey.dev/tenant": "siege", "cost-centre": "5"}),
            "`cost-centre` is `5`: it has to match `4*`",
        ),
        (json!({"bailey.dev/tenant": "siege", "platform/tier": "gold"}), "`platform/tier` is not yours"),
    ] {
        let refused = refusal(create(ALICE, "siege-three", labels).await);
        assert!(refused.message.contains("wall `namespace-metadata`"), "{}", refused.message);
        assert!(refused.message.contains(part), "{}", refused.message);
    }
}

#[tokio::test]
async fn every_namespace_gets_the_contents_of_the_profile_and_keeps_them() {
    siege().await;
    let admin = Objects::new(World::shared().client(ADMIN).await);
    let get = async |kind: &str, name: &str| {
        let yaml =
            format!("{{apiVersion: v1, kind: {kind}, metadata: {{name: {name}, namespace: {SIEGE}}}}}");
        admin.get(&documents(&yaml)[0]).await
    };
    let about = get("ConfigMap", "about").await.unwrap();
    assert_eq!(about.data["data"], json!({"namespace": SIEGE, "tenant": "siege"}));
    assert_eq!(
        get("LimitRange", "bailey-limits").await.unwrap().data["spec"]["limits"][0]["max"]["storage"],
        "10Gi"
    );
    assert_eq!(get("Secret", "registry").await.unwrap().data["data"]["token"], "c2VjcmV0");
    let account = get("ServiceAccount", "default").await.unwrap();
    assert_eq!(account.data["automountServiceAccountToken"], false);
    assert_eq!(account.data["imagePullSecrets"], json!([{"name": "registry"}]));
    let quota = documents(&format!(
        "{{apiVersion: v1, kind: ResourceQuota, metadata: {{name: objects, namespace: {SIEGE}}}}}"
    ));
    admin.delete(&quota[0]).await.unwrap();
    until("what was deleted is there again", async || get("ResourceQuota", "objects").await.is_ok()).await;
    let again = get("ConfigMap", "about").await.unwrap();
    assert_eq!(
        about.metadata.resource_version, again.metadata.resource_version,
        "what is right is not written"
    );
    assert!(namespaces(ADMIN).await.get(SIEGE).await.is_ok());
}
