//! Asking for more, and deciding on it, from the command line.

use std::collections::BTreeSet;

use serde_json::Value;
use tests::command::{Said, bailey, tenant};
use tests::{ADMIN, ALICE, BOB, CAROL, Tenant, World, give_namespace, until, until_some};

/// How many ConfigMaps alice may have more, by trying.
fn fits(namespace: &str) -> bool {
    let create = ["create", "configmap", "more", "--dry-run=server", "-n", namespace];
    World::shared().kubectl(ALICE, &create).status.success()
}

#[tokio::test]
async fn a_member_asks_and_an_administrator_decides() {
    let members = "members: [{kind: User, name: alice, role: owner}, {kind: User, name: bob}]";
    let spec =
        format!("{{{members}, namespaces: {{prefix: ''}}, quota: {{hard: {{configmaps: 1, pods: 4}}}}}}");
    Tenant::create("cli-ask", &spec).await;
    give_namespace(World::shared(), "cli-ask", "cli-ask-one").await;
    let ask = |amount: &'static str| {
        move || {
            let arguments = [
                "request", "quota", amount, "--reason", "a term", "--for", "7d", "-t", "cli-ask", "-o",
                "json",
            ];
            tenant(ALICE, &arguments)
        }
    };
    // Her namespace is found by the tenant; her rights follow a moment later than it.
    let said = Said::until(ask("configmaps=3"), |said| said.code == 0).await;
    let entry = said.json();
    let name = entry["name"].as_str().unwrap().to_owned();
    let expected = ["cli-ask-one", "cli-ask", "alice", "Pending", "7d"];
    let found = ["namespace", "tenant", "requestedBy", "state", "askedFor"].map(|field| entry[field].clone());
    assert_eq!(found, expected, "{said:?}");
    let refused = [
        ("services=1", 1, "has no budget of `services`"),
        ("podz=1", 1, "`podz`"),
        ("pods", 2, "write it like `pods=10`"),
    ];
    for (amount, code, part) in refused {
        let said = ask(amount)();
        assert!(said.code == code && said.error.contains(part), "{said:?}");
    }

    // Who reads in the namespace sees it, and may not ask; a stranger sees nothing.
    let list = || tenant(BOB, &["requests", "-t", "cli-ask"]);
    let said = Said::until(list, |said| said.text.contains("Pending")).await;
    assert!(said.text.starts_with("NAMESPACE") && said.text.contains("configmaps 3"), "{said:?}");
    let said = tenant(BOB, &["request", "quota", "pods=1", "--reason", "x", "-t", "cli-ask"]);
    assert!(said.code == 1 && said.error.contains("owners and editors"), "{said:?}");
    for arguments in [&["requests", "-t", "cli-ask"][..], &["request", "--delete", &name, "-t", "cli-ask"]] {
        assert_eq!(tenant(CAROL, arguments).code, 1);
    }

    // Only an administrator sees them all, and decides.
    let place = format!("cli-ask-one/{name}");
    let said = bailey(ADMIN, &["quota", "list", "--pending", "-t", "cli-ask", "-o", "name"]);
    assert_eq!(said.text, format!("{place}\n"), "{said:?}");
    let said = bailey(ALICE, &["quota", "list"]);
    assert!(said.code == 1 && said.error.contains("`kubectl tenant requests`"), "{said:?}");
    let said = bailey(ALICE, &["quota", "approve", &place]);
    assert!(said.code == 1 && said.error.contains("the cluster's RBAC refused it"), "{said:?}");
    assert!(!fits("cli-ask-one"));
    let said = bailey(ADMIN, &["quota", "approve", &place, "--amount", "configmaps=4"]);
    assert!(said.code == 2 && said.error.contains("more than was asked for, which is 3"), "{said:?}");
    let less = ["quota", "approve", &place, "--amount", "configmaps=2", "--for", "1h", "--reason", "enough"];
    let said = bailey(ADMIN, &less);
    let words =
        format!("quotarequest.bailey.dev/{name} approved: configmaps 2 for the tenant cli-ask until 20");
    assert!(said.code == 0 && said.text.starts_with(&words), "{said:?}");
    until("what was granted counts", async || fits("cli-ask-one")).await;
    decision_is_on_record(&name).await;

    let shown = bailey(ADMIN, &["quota", "show", &place, "-o", "json"]).json();
    assert_eq!((&shown["state"], &shown["decidedBy"]), (&"Approved".into(), &ADMIN.name.into()));
    assert_eq!((&shown["answer"], &shown["granted"]["configmaps"]), (&"enough".into(), &"2".into()));
    let said = tenant(ALICE, &["limits", "-t", "cli-ask"]);
    let has =
        |words: &[&str]| said.text.lines().any(|line| line.split_whitespace().eq(words.iter().copied()));
    assert!(has(&["configmaps", "-", "1", "2"]) && has(&["pods", "-", "4", "-"]), "{said:?}");
    let said = bailey(ADMIN, &["tenant", "list"]);
    assert!(said.text.contains("configmaps 1 +2, pods 4"), "{said:?}");

    // Refused after all, and withdrawn.
    let said = bailey(ADMIN, &["quota", "refuse", &place, "--reason", "no room"]);
    assert_eq!(said.text, format!("quotarequest.bailey.dev/{name} refused\n"), "{said:?}");
    until("it does not count any more", async || !fits("cli-ask-one")).await;
    let said = tenant(ALICE, &["requests", "-t", "cli-ask"]);
    assert!(said.text.contains("Refused"), "{said:?}");
    let said = tenant(ALICE, &["request", "--delete", &name, "-t", "cli-ask"]);
    assert_eq!(said.text, format!("quotarequest.bailey.dev/{name} deleted\n"), "{said:?}");
    let said = tenant(ALICE, &["request", "--delete", &name, "-t", "cli-ask"]);
    assert!(said.code == 3 && said.error.contains("has no request"), "{said:?}");
    let said = bailey(ADMIN, &["quota", "show", &place]);
    assert_eq!(said.code, 3, "{said:?}");
}

/// Who decided is in the record, with the tenant and the request's name.
async fn decision_is_on_record(name: &str) {
    let id = until_some("the decision is on record", async || {
        let arguments =
            ["tail", "--tenant", "cli-ask", "--kind", "QuotaRequest", "--user", ADMIN.name, "-o", "json"];
        let text = World::shared().bailey.audit(&arguments).ok()?;
        let rows = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let mut found = rows.filter(|row| row["name"] == name && row["subResource"] == "status");
        found.find(|row| row["allowed"] == true).map(|row| row["id"].as_str().unwrap().to_owned())
    })
    .await;
    let text = World::shared().bailey.audit(&["show", &id]).unwrap();
    let lines: BTreeSet<_> = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).collect();
    assert!(lines.contains(&vec!["tenant", "cli-ask"]), "{text}");
}
