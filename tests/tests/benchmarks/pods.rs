//! What Pods of a tenant may not be. Each Pod is a good one with one fault: the good one passes.

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::PostParams;
use serde_json::{Value, json};

use crate::owners;

const BY_POLICY: &str = "admission webhook";
/// The level `baseline`, which the API server enforces by the labels of the namespace.
const BY_LABELS: &str = "violates PodSecurity";

/// A Pod that everything lets through.
fn good() -> Value {
    json!({
        "metadata": {"name": "benchmark"},
        "spec": {
            "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": "c", "image": "registry.example.com/c", "imagePullPolicy": "Always",
                "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
            }],
        },
    })
}

/// Sends the good Pod, and the same with `value` at `path`, which has to be refused with every one of `says`.
async fn refused(path: &str, value: Value, says: &[&str]) {
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    let read = |pod: &Value| serde_json::from_value::<Pod>(pod.clone()).unwrap();
    let mut bad = good();
    let (parent, field) = path.rsplit_once('/').unwrap();
    bad.pointer_mut(parent).unwrap()[field] = value;
    for owner in owners().await {
        let pods: Api<Pod> = Api::namespaced(owner.client.clone(), owner.own);
        pods.create(&dry, &read(&good())).await.unwrap();
        let error = pods.create(&dry, &read(&bad)).await.expect_err(path).to_string();
        assert!(says.iter().all(|part| error.contains(part)), "{path}: {error}");
    }
}

const CONTAINER: &str = "/spec/containers/0";

#[tokio::test]
async fn pl1_bc_cpi_3_block_add_capabilities() {
    let added = json!({"drop": ["ALL"], "add": ["SETPCAP"]});
    refused("/spec/containers/0/securityContext/capabilities", added, &[BY_POLICY, "SETPCAP"]).await;
}

#[tokio::test]
async fn pl1_bc_cpi_4_require_run_as_non_root() {
    refused("/spec/securityContext/runAsNonRoot", json!(false), &[BY_POLICY, "runAsNonRoot"]).await;
}

#[tokio::test]
async fn pl1_bc_cpi_5_block_privileged_containers() {
    // The API server's own validation asks that both agree.
    let both = json!({"privileged": true, "capabilities": {"drop": ["ALL"]}});
    refused(&format!("{CONTAINER}/securityContext"), both, &[BY_LABELS, "privileged"]).await;
}

#[tokio::test]
async fn pl1_bc_cpi_6_block_privilege_escalation() {
    let path = format!("{CONTAINER}/securityContext/allowPrivilegeEscalation");
    refused(&path, json!(true), &[BY_POLICY, "allowPrivilegeEscalation"]).await;
}

#[tokio::test]
async fn pl1_bc_hi_1_block_host_path() {
    let volumes = json!([{"name": "v", "hostPath": {"path": "/"}}]);
    refused("/spec/volumes", volumes, &[BY_LABELS, "hostPath"]).await;
}

#[tokio::test]
async fn pl1_bc_hi_3_block_host_network_and_ports() {
    refused("/spec/hostNetwork", json!(true), &[BY_LABELS, "hostNetwork"]).await;
    let ports = json!([{"containerPort": 80, "hostPort": 80}]);
    refused(&format!("{CONTAINER}/ports"), ports, &[BY_LABELS, "hostPort"]).await;
}

#[tokio::test]
async fn pl1_bc_hi_4_block_host_pid() {
    refused("/spec/hostPID", json!(true), &[BY_LABELS, "hostPID"]).await;
}

#[tokio::test]
async fn pl1_bc_hi_5_block_host_ipc() {
    refused("/spec/hostIPC", json!(true), &[BY_LABELS, "hostIPC"]).await;
}

#[tokio::test]
async fn pl1_cc_di_1_always_pull_images() {
    let path = format!("{CONTAINER}/imagePullPolicy");
    for policy in ["Never", "IfNotPresent"] {
        refused(&path, json!(policy), &[BY_POLICY, "wall `images`", "use `Always`"]).await;
    }
}
