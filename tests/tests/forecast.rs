//! How budgets stand over time, from the daemon's store through the command and the metric.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::PostParams;
use serde_json::{Value, json};
use tests::command::{Said, bailey};
use tests::{ADMIN, Tenant, World, give_namespace, until_some};
use xtask::daemon::Settings;
use xtask::http;

#[tokio::test]
async fn a_budget_that_is_used_up_is_written_shown_and_a_metric() {
    let world = World::shared();
    Tenant::create("foreseen", "{namespaces: {prefix: ''}, quota: {hard: {configmaps: 3, services: 5}}}")
        .await;
    give_namespace(world, "foreseen", "foreseen-one").await;
    // A replica of its own, which looks every second.
    let mut settings = Settings::for_cluster(&world.bailey.settings.binary, world.access()).unwrap();
    settings.folder = world.access().folder().join("bailey-usage");
    settings.roles = "admission";
    settings.extra = ["--usage-interval", "1"].map(str::to_owned).to_vec();
    let mut component = settings.spawn().unwrap();
    settings.wait_ready(&mut component).unwrap();

    // Kubernetes' own is there already, or comes and is the third: then the last of these is one too many.
    let maps: Api<ConfigMap> = Api::namespaced(world.client(ADMIN).await, "foreseen-one");
    for name in ["one", "two", "three"] {
        let map = serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
        let _ = maps.create(&PostParams::default(), &map).await;
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
        let line = of(&said, "configmaps")?;
        (line["outlook"] == "full" && line["samples"].as_u64()? >= 3).then_some(said)
    })
    .await;
    let line = of(&said, "configmaps").unwrap();
    assert!(line["used"].as_f64() >= Some(3.0) && line["budget"] == 3.0, "{line}");
    let line = of(&said, "services").unwrap();
    assert_eq!((&line["outlook"], &line["used"]), (&"not-enough-samples".into(), &json!(0.0)), "{line}");
    let table = forecast(&["--within", "30d"]).text;
    assert!(table.contains("configmaps") && !table.contains("services"), "{table}");

    let (_, metrics) = http::get(settings.http_port, "/metrics").unwrap();
    let full = metrics.lines().filter(|line| line.starts_with("bailey_quota_full_in_seconds{"));
    let full: Vec<_> = full.filter(|line| line.contains(r#"tenant="foreseen""#)).collect();
    assert_eq!(full.len(), 3, "{full:?}");
    assert!(
        full.iter().all(|line| line.contains(r#"resource="configmaps""#) && line.ends_with(" 0")),
        "{full:?}"
    );
    component.stop();
}
