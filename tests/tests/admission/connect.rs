//! CONNECT: `kubectl exec` and its kind.

use k8s_openapi::api::core::v1::Pod;
use kube::core::Request;
use tests::{ALICE, BOB, Namespace, User, World, refusal};

const NO_SHELLS: &str = r#"apiVersion: bailey.dev/v1alpha1
kind: Policy
metadata: {name: NS}
spec:
  rego:
    source: |
      package no_shells
      deny contains sprintf("`%v` is a shell, use `kubectl debug` with a copy of the pod", [command]) if {
        command := input.review.object.command[0]
        command in {"sh", "bash"}
      }
---
apiVersion: bailey.dev/v1alpha1
kind: PolicyBinding
metadata: {name: NS}
spec:
  policy: NS
  match:
    resources: [{apiGroups: [""], resources: [pods], subresources: [exec], operations: [CONNECT]}]
    namespaces: [NS]
    excludedSubjects: {users: [bob]}
"#;

async fn exec(namespace: &Namespace, user: User, command: &str) -> kube::Result<String> {
    let pods = namespace.api::<Pod>(user);
    let mut request = Request::new(pods.resource_url()).get_subresource("exec", "web").unwrap();
    *request.uri_mut() = format!("{}?command={command}&stdout=true", request.uri().path()).parse().unwrap();
    namespace.client(user).request_text(request).await
}

#[tokio::test]
async fn a_shell_in_a_container_is_refused() {
    let namespace = World::shared().namespace("connect").await;
    namespace.policies_here(NO_SHELLS).await;
    namespace.create_pod("web", &[]).await.unwrap();

    let refused = refusal(exec(&namespace, ALICE, "sh").await);
    assert!(refused.message.contains("`sh` is a shell"), "{}", refused.message);

    // Without a kubelet an exec that is let through fails too, but then the API server says why.
    for (user, command) in [(ALICE, "date"), (BOB, "sh")] {
        let error = exec(&namespace, user, command).await.unwrap_err().to_string();
        assert!(error.contains("does not have a host assigned"), "{} {command}: {error}", user.name);
    }
}
