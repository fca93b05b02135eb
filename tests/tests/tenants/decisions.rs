//! What was decided on requests of a tenant, for its members alone.

use serde_json::{Value, json};
use tests::{ALICE, BOB, User, World, https_client, refusal, until, until_some};

use crate::{Tenant, create, until_may_create};

fn ask(user: User, query: &str) -> Result<Value, String> {
    let path = format!("/apis/decisions.bailey.dev/v1alpha1/decisions/told{query}");
    let output = World::shared().kubectl(user, &["get", "--raw", &path]);
    match output.status.success() {
        true => Ok(serde_json::from_slice(&output.stdout).unwrap()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

#[tokio::test]
async fn members_read_the_decisions_of_their_tenant_and_of_no_other() {
    Tenant::create("told", "{members: [{kind: Group, name: team-a, role: owner}]}").await;
    Tenant::create("untold", "{members: [{kind: User, name: bob, role: owner}]}").await;
    until_may_create(ALICE, "told-x").await;
    let refused = refusal(create(ALICE, "wrong", json!({"bailey.dev/tenant": "told"})).await);
    let found = until_some("alice reads why", async || {
        let answer = ask(ALICE, "?denied=true&limit=500").ok()?;
        let items = answer["items"].as_array()?;
        items.iter().find(|item| item["id"] == json!(refused.decision)).cloned()
    })
    .await;
    assert_eq!((&found["tenant"], &found["code"]), (&json!("told"), &json!("tenant_denied")));
    assert!(found.get("groups").is_none());
    let one = ask(ALICE, &format!("?id={}", refused.decision)).unwrap();
    assert_eq!(one["items"].as_array().unwrap().len(), 1);

    let foreign = ask(BOB, "").unwrap_err();
    assert!(foreign.to_lowercase().contains("forbidden"), "{foreign}");
    // The id of a decision on another tenant.
    until_may_create(BOB, "untold-x").await;
    let other = refusal(create(BOB, "wrong", json!({"bailey.dev/tenant": "untold"})).await);
    until("it is kept", async || World::shared().bailey.audit(&["show", &other.decision]).is_ok()).await;
    let hidden = ask(ALICE, &format!("?id={}", other.decision)).unwrap_err();
    assert!(hidden.contains("no record has the id"), "{hidden}");
    let wrong = ask(ALICE, "?colour=blue").unwrap_err();
    assert!(wrong.contains("colour"), "{wrong}");
}

#[tokio::test]
async fn nobody_asks_past_the_api_server() {
    let world = World::shared();
    let port = world.bailey.settings.api_port;
    let url = format!("https://localhost:{port}/apis/decisions.bailey.dev/v1alpha1/decisions/told");
    let client = https_client(&world.access().authority());
    let answer = client.get(&url).header("X-Remote-User", "admin").send().await.unwrap();
    assert_eq!(answer.status(), 403);
}

#[tokio::test]
async fn the_api_server_takes_the_manifests_for_a_cluster() {
    let access = World::shared().access();
    let authority =
        access.run(&["get", "apiservice", "v1alpha1.decisions.bailey.dev", "-o=jsonpath={.spec.caBundle}"]);
    for name in ["deployment.yaml", "decisions-service.yaml"] {
        let file = xtask::workspace::root().join("deploy/manifests").join(name);
        let text = std::fs::read_to_string(file).unwrap();
        let filled = access.folder().join(name);
        std::fs::write(&filled, text.replace("${CA_BUNDLE}", authority.as_ref().unwrap())).unwrap();
        let dry = ["apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f"];
        let said = access.run(&[&dry[..], &[filled.to_str().unwrap()]].concat()).unwrap();
        assert!(said.lines().count() >= 3, "{said}");
    }
}
