//! An owner serves herself, within her tenant's rules.

use futures::future::join_all;
use serde_json::json;
use tests::{ADMIN, ALICE, BOB, World, refusal, until, until_some};

use crate::{Tenant, create, namespaces, until_may_create};

#[tokio::test]
async fn an_owner_creates_a_namespace_and_rules_in_it() {
    let world = World::shared();
    let tenant = Tenant::create("makers", "{members: [{kind: User, name: alice, role: owner}]}").await;
    until_may_create(ALICE, "makers-web").await;
    let created = world.kubectl(ALICE, &["create", "namespace", "makers-web"]);
    assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stderr));
    let found = until_some("alice may read her namespace", async || {
        namespaces(ALICE).await.get("makers-web").await.ok()
    })
    .await;
    assert_eq!(found.metadata.labels.unwrap()["bailey.dev/tenant"], "makers");
    until("alice rules in it", async || {
        let role = ["--namespace=makers-web", "create", "role", "r", "--verb=get", "--resource=pods"];
        world.kubectl(ALICE, &role).status.success()
    })
    .await;
    until("the status counts it", async || tenant.get().await.data["status"]["namespaceCount"] == 1).await;
    let deleted = world.kubectl(ALICE, &["delete", "namespace", "makers-web", "--wait=false"]);
    assert!(deleted.status.success(), "{}", String::from_utf8_lossy(&deleted.stderr));
}

#[tokio::test]
async fn the_sample_tenants_are_as_up_describes_them() {
    let world = World::shared();
    let samples = xtask::install::sample_tenants().unwrap();
    let admin = tests::Objects::new(world.client(ADMIN).await);
    admin.apply_all(&samples).await;
    for object in tests::documents(&samples) {
        let condition = match object["kind"].as_str() {
            Some("FairnessClass") => "Ready",
            Some("Tenant") => "FairnessClassFound",
            _ => continue,
        };
        until("classes are in force, and tenants are in theirs", async || {
            let found = admin.get(&object).await.unwrap();
            let conditions = found.data["status"]["conditions"].as_array().cloned().unwrap_or_default();
            conditions.iter().any(|said| said["type"] == condition && said["status"] == "True")
        })
        .await;
    }
    until_may_create(ALICE, "team-a-web").await;
    assert!(world.kubectl(ALICE, &["create", "namespace", "team-a-web"]).status.success());
    until("alice works in the namespace she was given", async || {
        world.kubectl(ALICE, &["--namespace=team-a", "get", "pods"]).status.success()
    })
    .await;
    let other = world.kubectl(BOB, &["--namespace=team-a", "get", "pods"]);
    assert!(String::from_utf8_lossy(&other.stderr).contains("Forbidden"), "{other:?}");
}

#[tokio::test]
async fn names_have_the_prefix_and_the_decision_names_the_tenant() {
    let world = World::shared();
    let spec = "{members: [{kind: Group, name: team-a, role: owner}], namespaces: {prefix: lab-}}";
    Tenant::create("lab", spec).await;
    until_may_create(ALICE, "lab-one").await;
    let refused = refusal(create(ALICE, "one", json!({"bailey.dev/tenant": "lab"})).await);
    assert_eq!(refused.reason, "tenant_denied");
    assert!(refused.message.contains("`lab-one` would"), "{}", refused.message);
    let refused = refusal(create(ALICE, "kube-lab", json!({"bailey.dev/tenant": "lab"})).await);
    assert!(refused.message.contains("reserved"), "{}", refused.message);

    create(ALICE, "lab-one", json!({})).await.unwrap();
    until("the record names the tenant", async || {
        let Ok(tail) = world.bailey.audit(&["tail", "--output", "json", "--tenant", "lab", "-n", "1000"])
        else {
            return false;
        };
        let parts = ["\"username\":\"alice\"", "\"name\":\"lab-one\"", "\"tenant\":\"lab\""];
        tail.lines().any(|line| parts.iter().all(|part| line.contains(part)))
    })
    .await;
}

#[tokio::test]
async fn the_limit_holds_under_parallel_creates() {
    let spec = "{members: [{kind: User, name: bob, role: owner}], namespaces: {limit: 3}}";
    Tenant::create("few", spec).await;
    until_may_create(BOB, "few-x").await;
    let names: Vec<String> = (0..12).map(|number| format!("few-{number}")).collect();
    let results = join_all(names.iter().map(|name| create(BOB, name, json!({})))).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 3);
    for refused in results.into_iter().filter(Result::is_err).map(refusal) {
        assert_eq!(refused.reason, "namespace_limit");
        assert!(refused.message.contains("at most 3"), "{}", refused.message);
    }
}

#[tokio::test]
async fn the_owner_of_several_tenants_says_for_which() {
    let members = "members: [{kind: User, name: bob, role: owner}]";
    Tenant::create("one", &format!("{{{members}, namespaces: {{prefix: ''}}}}")).await;
    Tenant::create("two", &format!("{{{members}, namespaces: {{prefix: ''}}}}")).await;
    until("the API server knows of both", async || {
        create(BOB, "either", json!({})).await.is_err_and(|error| error.to_string().contains("`two`"))
    })
    .await;
    let refused = refusal(create(BOB, "either", json!({})).await);
    assert_eq!(refused.reason, "tenant_ambiguous");
    create(BOB, "either", json!({"bailey.dev/tenant": "two"})).await.unwrap();
}
