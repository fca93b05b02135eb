//! How budgets stand over time, from the daemon's store through the command and the metric.

use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{ApiResource, PostParams};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};
use tests::command::{Said, bailey};
use tests::{ADMIN, BOB, Namespace, Tenant, World, give_namespace, until_some};
use xtask::daemon::Settings;
use xtask::http;

#[tokio::test]
async fn a_budget_that_is_used_up_is_written_shown_and_a_metric() {
    let world = World::shared();
    Tenant::create("foreseen", "{namespaces: {prefix: ''}, quota: {hard: {secrets: 3, services: 5}}}").await;
    give_namespace(world, "foreseen", "foreseen-one").await;
    // A replica of its own, which looks every second.
    let mut settings = Settings::for_cluster(&world.bailey.settings.binary, world.access()).unwrap();
    settings.folder = world.access().folder().join("bailey-usage");
    settings.roles = "admission";
    settings.extra = ["--usage-interval", "1", "--quota-check-interval", "1"].map(str::to_owned).to_vec();
    let mut component = settings.spawn().unwrap();
    settings.wait_ready(&mut component).unwrap();

    let all: Api<Secret> = Api::namespaced(world.client(ADMIN).await, "foreseen-one");
    for name in ["one", "two", "three"] {
        let secret = serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
        all.create(&PostParams::default(), &secret).await.unwrap();
    }
    let database = settings.audit_database();
    let forecast = |arguments: &[&str]| -> Said {
        let all = ["quota", "forecast", "--audit-db", database.to_str().unwrap(), "--tenant", "foreseen"];
        bailey(ADMIN, &[&all, arguments].concat())
    };
    let of = |said: &Said, resource: &str| -> Option<Value> {
        said.json().as_array()?.iter().find(|line| line["resource"] == resource).cloned()
    };
    let said = until_some("the budget is used up, and a few samples say so", async || {
        let said = forecast(&["-o", "json"]);
        let line = of(&said, "secrets")?;
        (line["outlook"] == "full" && line["samples"].as_u64()? >= 3).then_some(said)
    })
    .await;
    let line = of(&said, "secrets").unwrap();
    assert!(line["used"].as_f64() >= Some(3.0) && line["budget"] == 3.0, "{line}");
    let line = of(&said, "services").unwrap();
    assert_eq!((&line["outlook"], &line["used"]), (&"not-enough-samples".into(), &json!(0.0)), "{line}");
    let table = forecast(&["--within", "30d"]).text;
    assert!(table.contains("secrets") && !table.contains("services"), "{table}");

    // What changed meanwhile was counted as it is, by every check.
    let (_, metrics) = until_some("what is counted was checked", async || {
        let of = |name: &str, metrics: &str| -> Option<u64> {
            let prefix = format!("bailey_quota_{name}_total ");
            metrics.lines().find_map(|line| line.strip_prefix(&prefix)?.parse().ok())
        };
        let answer = http::get(settings.http_port, "/metrics").unwrap();
        assert_eq!(of("drift", &answer.1), Some(0));
        (of("checks", &answer.1)? >= 3).then_some(answer)
    })
    .await;
    let full = metrics.lines().filter(|line| line.starts_with("bailey_quota_full_in_seconds{"));
    let full: Vec<_> = full.filter(|line| line.contains(r#"tenant="foreseen""#)).collect();
    assert_eq!(full.len(), 3, "{full:?}");
    assert!(
        full.iter().all(|line| line.contains(r#"resource="secrets""#) && line.ends_with(" 0")),
        "{full:?}"
    );
    component.stop();
}

/// The kind that metrics servers serve, here from the API server's own store.
const POD_METRICS: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: pods.metrics.k8s.io
  annotations: {api-approved.kubernetes.io: 'unapproved, for a test'}
spec:
  group: metrics.k8s.io
  scope: Namespaced
  names: {kind: PodMetrics, plural: pods, singular: podmetrics}
  versions:
    - name: v1beta1
      served: true
      storage: true
      schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
";

#[tokio::test]
async fn what_containers_use_is_sampled_from_the_metrics_api() {
    let world = World::shared();
    let namespace = Namespace::create(world, "sampled").await;
    let none = bailey(ADMIN, &["quota", "sample"]);
    assert!(none.code == 3 && none.error.contains("install a metrics server"), "{none:?}");
    let mut pod = serde_json::to_value(namespace.pod("web-0", &[])).unwrap();
    pod["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": "2", "memory": "4Gi"}});
    namespace.pods().create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await.unwrap();
    namespace.admin.apply_all(POD_METRICS).await;
    let kind = GroupVersionKind::gvk("metrics.k8s.io", "v1beta1", "PodMetrics");
    let metrics: Api<kube::api::DynamicObject> = Api::namespaced_with(
        namespace.client(ADMIN),
        &namespace.name,
        &ApiResource::from_gvk_with_plural(&kind, "pods"),
    );
    let of = |name: &str| -> kube::api::DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "metrics.k8s.io/v1beta1", "kind": "PodMetrics", "metadata": {"name": name},
            "timestamp": "2026-11-22T08:00:00Z", "window": "15s",
            "containers": [{"name": "web", "usage": {"cpu": "250m", "memory": "1Gi"}}],
        }))
        .unwrap()
    };
    for name in ["web-0", "gone"] {
        until_some("the kind is served", async || {
            metrics.create(&PostParams::default(), &of(name)).await.ok()
        })
        .await;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("usage.jsonl");
    let arguments = ["-n", &namespace.name, "--every", "1s", "--times", "2"];
    let said =
        bailey(ADMIN, &[&["quota", "sample", "--to", file.to_str().unwrap()], &arguments[..]].concat());
    assert_eq!(said.code, 0, "{said:?}");
    let written = std::fs::read_to_string(&file).unwrap();
    let lines: Vec<Value> = written.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let wanted = json!({
        "time": "2026-11-22T08:00:00Z", "namespace": namespace.name, "workload": "web-0", "container": "web",
        "pod": "web-0", "cpu": "250m", "memory": "1Gi", "cpu_request": "2", "memory_request": "4Gi",
    });
    assert_eq!(lines, [wanted], "once, though it was asked twice, and nothing of a Pod that is gone");
    let said = bailey(ADMIN, &["quota", "recommend", "--usage", file.to_str().unwrap(), "-o", "json"]);
    assert_eq!((&said.json()[0]["cpu"]["request"], said.code), (&json!(2.0), 0), "{said:?}");
    let refused = bailey(BOB, &["quota", "sample"]);
    assert!(refused.code == 1 && refused.error.contains("RBAC refused"), "{refused:?}");
}
