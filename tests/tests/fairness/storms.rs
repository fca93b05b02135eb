//! Storms of Events and of tokens, held by the webhook alone: there is no gateway here.

use std::sync::atomic::{AtomicUsize, Ordering};

use http::StatusCode;
use serde_json::{Value, json};
use tests::{ADMIN, Tenant, World, https_client, metric, until};
use xtask::http as plain;

use crate::Flows;

/// Who asks, as whom the administrator acts.
struct Asker<'a> {
    client: &'a reqwest::Client,
    user: &'a str,
    groups: &'a [&'a str],
}

impl Asker<'_> {
    /// By a client that does not wait by itself and try again.
    async fn post(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        let file = std::fs::read(World::shared().access().kubeconfig(ADMIN)).unwrap();
        let config: Value = serde_json::from_slice(&file).unwrap();
        let server = config["clusters"][0]["cluster"]["server"].as_str().unwrap();
        let request = self.client.post(format!("{server}{path}")).json(body);
        let mut request = request.bearer_auth(config["users"][0]["user"]["token"].as_str().unwrap());
        request = request.header("Impersonate-User", self.user);
        for group in self.groups {
            request = request.header("Impersonate-Group", *group);
        }
        let response = request.send().await.unwrap();
        (response.status(), response.json().await.unwrap())
    }

    /// Writes an Event about a Pod, of the core group or of its own.
    async fn event(&self, namespace: &str, core: bool) -> (StatusCode, Value) {
        let about = json!({"kind": "Pod", "namespace": namespace, "name": "web", "apiVersion": "v1"});
        let metadata = json!({"generateName": "web-"});
        if core {
            let event =
                json!({"metadata": metadata, "involvedObject": about, "reason": "Stormed", "type": "Normal"});
            return self.post(&format!("/api/v1/namespaces/{namespace}/events"), &event).await;
        }
        let event = json!({
            "metadata": metadata, "regarding": about, "reason": "Stormed", "type": "Normal", "action": "Storming",
            "eventTime": "2026-01-01T00:00:00.000000Z", "reportingController": "tests", "reportingInstance": "one",
        });
        self.post(&format!("/apis/events.k8s.io/v1/namespaces/{namespace}/events"), &event).await
    }

    async fn token(&self, namespace: &str) -> (StatusCode, Value) {
        let asked = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
        self.post(&format!("/api/v1/namespaces/{namespace}/serviceaccounts/default/token"), &asked).await
    }
}

/// Two tenants, of which the first may write few Events and ask for few tokens, and whose accounts may do both.
async fn tenants(flows: &Flows<'static>) -> (Tenant, Tenant) {
    let few = json!({"tenant": {"requests": 1, "seconds": 1000, "burst": 3}});
    flows.class("few-events", json!({"rates": {"event": few, "token": few}})).await.unwrap();
    let stormy = flows.tenant("stormy", "{fairnessClass: few-events}").await;
    let calm = flows.tenant("calm", "{}").await;
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "storms"},
        "rules": [
            {"apiGroups": ["", "events.k8s.io"], "resources": ["events"], "verbs": ["create"]},
            {"apiGroups": [""], "resources": ["serviceaccounts/token"], "verbs": ["create"]},
        ],
    });
    flows.admin.apply(&role).await.unwrap();
    for namespace in ["stormy-web", "calm-web"] {
        let group =
            |name: String| json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": name});
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": {"name": "storms", "namespace": namespace},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "storms"},
            "subjects": [
                group(format!("system:serviceaccounts:{namespace}")), group("system:nodes".to_owned()),
                group("system:serviceaccounts:kube-system".to_owned()),
            ],
        });
        flows.admin.apply(&binding).await.unwrap();
    }
    (stormy, calm)
}

#[tokio::test]
async fn a_storm_of_events_or_tokens_is_its_own_tenants_alone() {
    let flows = Flows::new().await;
    let _tenants = tenants(&flows).await;
    let client = https_client(&World::shared().access().authority());
    let account = |namespace: &'static str| -> (&'static str, [&'static str; 3]) {
        match namespace {
            "stormy-web" => {
                let groups =
                    ["system:serviceaccounts", "system:serviceaccounts:stormy-web", "system:authenticated"];
                ("system:serviceaccount:stormy-web:loud", groups)
            }
            _ => {
                let groups =
                    ["system:serviceaccounts", "system:serviceaccounts:calm-web", "system:authenticated"];
                ("system:serviceaccount:calm-web:quiet", groups)
            }
        }
    };
    let (loud, quiet) = (account("stormy-web"), account("calm-web"));
    let loud = Asker { client: &client, user: loud.0, groups: &loud.1 };
    let quiet = Asker { client: &client, user: quiet.0, groups: &quiet.1 };
    // Beyond the rate, whichever of the two groups of Events is written to.
    let (passed, tried) = (AtomicUsize::new(0), AtomicUsize::new(0));
    until("the storm is held", async || {
        let core = tried.fetch_add(1, Ordering::Relaxed) % 2 == 0;
        let (status, _) = loud.event("stormy-web", core).await;
        passed.fetch_add(usize::from(status == StatusCode::CREATED), Ordering::Relaxed);
        status == StatusCode::TOO_MANY_REQUESTS
    })
    .await;
    assert!(passed.into_inner() >= 1, "its burst passes");
    for core in [true, false] {
        let (status, said) = loud.event("stormy-web", core).await;
        assert_eq!(status, StatusCode::TOO_MANY_REQUESTS, "{said}");
        let message = said["message"].as_str().unwrap();
        let limit = "tenant stormy may send 0.001 requests of class `event` per second, and 3 at once";
        assert!(message.contains(limit) && message.contains("[rate_limited]"), "{message}");
        assert_eq!(said["details"]["causes"][0]["reason"], "rate_limited");
    }
    until("tokens are held by a rate of their own", async || {
        loud.token("stormy-web").await.0 == StatusCode::TOO_MANY_REQUESTS
    })
    .await;
    // Another tenant's pass, and those of the system in the same namespace.
    let node =
        Asker { client: &client, user: "system:node:one", groups: &["system:nodes", "system:authenticated"] };
    let accounts = ["system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"];
    let controller = Asker {
        client: &client,
        user: "system:serviceaccount:kube-system:job-controller",
        groups: &accounts,
    };
    for _ in 0..6 {
        for (asker, namespace) in [(&quiet, "calm-web"), (&node, "stormy-web"), (&controller, "stormy-web")] {
            let (status, said) = asker.event(namespace, true).await;
            assert_eq!(status, StatusCode::CREATED, "{}: {said}", asker.user);
        }
        for (asker, namespace) in [(&quiet, "calm-web"), (&controller, "stormy-web")] {
            let (status, said) = asker.token(namespace).await;
            assert_eq!(status, StatusCode::CREATED, "{}: {said}", asker.user);
        }
    }
    let (_, metrics) = plain::get(World::shared().bailey.settings.http_port, "/metrics").unwrap();
    let count = |class, result| {
        let name = format!(r#"bailey_admission_paced_total{{class="{class}",result="{result}"}}"#);
        metric::<u64>(&metrics, &name).unwrap_or(0)
    };
    assert!(count("event", "refused") >= 3 && count("token", "refused") >= 1, "{metrics}");
    assert!(count("event", "allowed") >= 6, "who has no rate is counted as allowed");
}
