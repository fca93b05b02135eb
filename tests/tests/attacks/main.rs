//! What a tenant tries against the rules of its profile: each attack runs into its wall, and the same thing
//! within the limits passes. With the tenant's own credentials, on the real API server.

mod controllers;
mod deletion;
mod hijack;
mod network;
mod placement;
mod pods;
mod references;
mod rights;
mod routes;
mod services;
mod storage;

use serde_json::Value;
use tests::{
    ADMIN, ALICE, Objects, Tenant, World, create_namespace as create, documents, namespaces, refusal, until,
    until_some,
};
use tokio::sync::OnceCell;

/// One attack and its legitimate twin, each as objects in YAML; `NS` is the namespace.
pub(crate) struct Attack {
    /// The wall that has to hold.
    pub(crate) wall: &'static str,
    /// Part of what the user is told.
    pub(crate) says: &'static str,
    /// What has to be refused.
    pub(crate) attack: &'static str,
    /// What has to pass; empty where nothing of the kind does.
    pub(crate) twin: &'static str,
}

/// The namespace of a tenant whose profile has every rule.
pub(crate) const SIEGE: &str = "siege-one";

const PROFILE: &str = r#"
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: {name: siege-batch}
value: 7
---
apiVersion: node.k8s.io/v1
kind: RuntimeClass
metadata: {name: siege-sandbox}
handler: sandbox
---
apiVersion: node.k8s.io/v1
kind: RuntimeClass
metadata: {name: siege-bare}
handler: bare
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: gateways.gateway.networking.k8s.io
  annotations: {api-approved.kubernetes.io: "https://github.com/kubernetes-sigs/gateway-api/pull/1"}
spec:
  group: gateway.networking.k8s.io
  scope: Namespaced
  names: {plural: gateways, singular: gateway, kind: Gateway}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
---
apiVersion: bailey.dev/v1alpha1
kind: IsolationProfile
metadata: {name: siege}
spec:
  podSecurity: {enforce: privileged, warn: privileged, audit: privileged}
  network: {egress: [203.0.113.0/24], ingressFrom: [ingress]}
  labels: {required: {cost-centre: "4*"}, defaults: {cost-centre: "4711"}, forbidden: ["platform/*"]}
  annotations: {defaults: {owner: siege}, forbidden: ["scheduler.alpha.kubernetes.io/*"]}
  allow:
    images: {allowed: [registry.example.com/*], pullPolicies: [Always, IfNotPresent]}
    storageClasses: {allowed: [fast, standard], default: standard}
    ingressClasses: {allowed: [inside], default: inside}
    gatewayClasses: {allowed: [inside]}
    priorityClasses: {allowed: [siege-batch], default: siege-batch}
    runtimeClasses: {allowed: [siege-sandbox], default: siege-sandbox}
    deviceClasses: {allowed: [gpu-small]}
    hostnames: {allowed: ["*.siege.example.com"]}
    services:
      types: [ClusterIP, LoadBalancer, ExternalName]
      externalAddresses: [203.0.113.0/24]
      externalNames: ["*.siege.example.com"]
    scheduling:
      nodeSelector: {pool: siege}
      tolerations: [siege/*]
      schedulers: [default-scheduler]
      topologyKeys: [topology.kubernetes.io/zone]
    resources: {qosClasses: [Guaranteed, Burstable], maxLimitPercent: {cpu: 200}}
    connect: {exec: false, attach: false, portForward: false, proxy: false, ephemeralContainers: false}
    clusterRoles: [view, edit]
  contents:
    limitRange: [{type: PersistentVolumeClaim, max: {storage: 10240Mi}}]
    serviceAccount: {imagePullSecrets: [registry]}
    secrets: [registry]
    templates:
    - {apiVersion: v1, kind: ConfigMap, metadata: {name: about}, data: {namespace: "${NAMESPACE}", tenant: "${TENANT}"}}
    - {apiVersion: v1, kind: ResourceQuota, metadata: {name: objects}, spec: {hard: {count/configmaps: "100", services.nodeports: "0"}}}
"#;

/// An administrator's mistakes: rights that RBAC would not give, so that the walls are all that is left.
const MISTAKES: &str = r#"
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: siege-mistakes}
rules:
- {apiGroups: ["", discovery.k8s.io, gateway.networking.k8s.io, resource.k8s.io], resources: ["*"], verbs: ["*"]}
- {apiGroups: [scheduling.k8s.io, certificates.k8s.io, apiextensions.k8s.io, apiregistration.k8s.io, storage.k8s.io], resources: ["*"], verbs: ["*"]}
- {apiGroups: [rbac.authorization.k8s.io], resources: [clusterroles, clusterrolebindings], verbs: ["*"]}
- {apiGroups: [bailey.dev], resources: [policies, policybindings, isolationprofiles, tenants], verbs: ["*"]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: siege-mistakes}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: siege-mistakes}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: alice}]
"#;

const SECRET: &str = r#"
apiVersion: v1
kind: Secret
metadata: {name: registry, namespace: bailey-system, labels: {bailey.dev/copy: "true"}}
type: Opaque
data: {token: c2VjcmV0}
"#;

/// Sets the tenant up, once for all tests.
pub(crate) async fn siege() -> Objects {
    static READY: OnceCell<()> = OnceCell::const_new();
    READY.get_or_init(set_up).await;
    Objects::new(World::shared().client(ALICE).await)
}

async fn set_up() {
    let admin = Objects::new(World::shared().client(ADMIN).await);
    for yaml in [PROFILE, SECRET, MISTAKES] {
        admin.apply_all(yaml).await;
    }
    let spec = "{members: [{kind: User, name: alice, role: owner}], isolationProfile: siege}";
    Tenant::create("siege", spec).await;
    create(ADMIN, SIEGE, serde_json::json!({"bailey.dev/tenant": "siege", "cost-centre": "4711"}))
        .await
        .unwrap();
    until("the walls of the namespace stand", async || {
        let namespace = namespaces(ADMIN).await.get(SIEGE).await.unwrap();
        namespace.metadata.labels.is_some_and(|labels| labels.contains_key("bailey.dev/walls"))
    })
    .await;
    let gateway = documents(&here(
        "{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: first, namespace: NS}, spec: {}}",
    ));
    until("gateways are served", async || admin.apply(&gateway[0]).await.is_ok()).await;
    let alice = Objects::new(World::shared().client(ALICE).await);
    until("alice has her rights", async || {
        let probe =
            documents(&here("{apiVersion: v1, kind: ConfigMap, metadata: {name: probe, namespace: NS}}"));
        let foreign = documents(
            "{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: probe}, value: 1}",
        );
        let refused = alice.apply(&foreign[0]).await.is_err_and(|error| error.to_string().contains("wall"));
        alice.apply(&probe[0]).await.is_ok() && refused
    })
    .await;
}

fn here(yaml: &str) -> String {
    yaml.replace("NS", SIEGE)
}

/// Runs every attack and its twin.
pub(crate) async fn run(attacks: &[Attack]) {
    let alice = siege().await;
    for attack in attacks {
        let objects = documents(&here(attack.attack));
        let (last, before) = objects.split_last().unwrap();
        for object in before {
            alice.apply(object).await.unwrap_or_else(|error| panic!("{}: {error}", attack.wall));
        }
        refused(attack, alice.apply(last).await, last).await;
        for object in documents(&here(attack.twin)) {
            let applied = alice.apply(&object).await;
            assert!(applied.is_ok(), "{}: the twin was refused: {applied:?}\n{object}", attack.wall);
        }
    }
}

/// The refusal is the wall's, says why, and is kept.
async fn refused(attack: &Attack, result: kube::Result<kube::api::DynamicObject>, object: &Value) {
    assert!(result.is_err(), "{}: the attack passed: {object}", attack.wall);
    let refused = refusal(result);
    let wall = format!("wall `{}`", attack.wall);
    assert!(refused.message.contains(&wall), "{}: {}", attack.wall, refused.message);
    assert!(refused.message.contains(attack.says), "{}: {}", attack.wall, refused.message);
    let show = ["show", "--output", "json", &refused.decision];
    let kept = until_some("the record is kept", async || World::shared().bailey.audit(&show).ok()).await;
    assert!(kept.contains(&wall) && kept.contains("\"username\":\"alice\""), "{kept}");
}
