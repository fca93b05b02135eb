//! Several replicas keep the same objects, and none stands in another's way.

use kube::api::{DeleteParams, ListParams};
use serde_json::json;
use tests::{ADMIN, Replicas, World, until};
use xtask::http;

use crate::{Flows, named};

/// What replicas wrote in all, by what came of it.
fn written(ports: &[u16], result: &str) -> u64 {
    let line = format!("bailey_fairness_writes_total{{result=\"{result}\"}} ");
    let of = |port: &u16| {
        let (_, metrics) = http::get(*port, "/metrics").unwrap();
        let value = metrics.lines().find_map(|found| found.strip_prefix(&line)?.parse::<u64>().ok());
        value.unwrap_or_else(|| panic!("no {line}in {metrics}"))
    };
    ports.iter().map(of).sum()
}

#[tokio::test]
async fn replicas_write_each_object_once_and_one_is_enough_to_keep_them() {
    let world = World::start();
    let mut replicas = Replicas::start_with(&world, 3, |_, settings| settings.roles = "admission,controller");
    let ports = replicas.http_ports();
    let flows = Flows::of(&world).await;
    flows.class("all", json!({"default": true})).await.unwrap();
    for number in 0..4 {
        let name = format!("replicas-{number}");
        flows.tenant(&name, &format!("{{members: [{{kind: User, name: {name}-ann}}]}}")).await;
    }
    for number in 0..4 {
        flows.until_in_effect(&format!("bailey.tenant.replicas-{number}")).await;
        flows.until_in_effect(&format!("bailey.lists.replicas-{number}")).await;
    }
    flows.until_in_effect("bailey.own").await;
    flows.until_class("all", "Ready", "InSync").await;
    let ours = ListParams::default().labels("app.kubernetes.io/managed-by=bailey");
    let schemas = flows.admin.api(&named("FlowSchema", "x"));
    assert_eq!(schemas.list(&ours).await.unwrap().items.len(), 4 * 2 + 1);
    // Two levels too. Who came too late is no failure.
    until("each object was created once", async || written(&ports, "created") == 9 + 2).await;
    assert_eq!(["deleted", "failed"].map(|result| written(&ports, result)), [0, 0]);

    // All of them are webhooks of what has no namespace.
    let kinds = "validatingwebhookconfigurations,mutatingwebhookconfigurations";
    world.kubectl(ADMIN, &["delete", kinds, "--all"]);
    for number in [1, 2] {
        replicas.kill(number);
    }
    // The API server may still ask a webhook that is gone.
    until("one is deleted", async || {
        schemas.delete("bailey.tenant.replicas-2", &DeleteParams::default()).await.is_ok()
    })
    .await;
    flows.until_in_effect("bailey.tenant.replicas-2").await;
    assert_eq!(written(&ports[..1], "failed"), 0);
}
