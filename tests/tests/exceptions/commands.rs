//! `kubectl tenant request exception` and `bailey exception`, as users and administrators run them.

use serde_json::json;
use tests::command::{Said, bailey, tenant};
use tests::{ADMIN, ALICE, BOB, CAROL, until};

use crate::Lab;

#[tokio::test]
async fn an_exception_is_asked_for_listed_and_approved_by_commands() {
    let lab = Lab::create("cli").await;
    let ask = [
        "request",
        "exception",
        "cli",
        "-n",
        "cli-one",
        "--reason",
        "old image",
        "--for",
        "7d",
        "--binding",
        "cli",
        "--code",
        "owner",
        "--code",
        "tier",
        "--kind",
        "Pod",
        "--name",
        "web-*",
    ];
    let said = tenant(ALICE, &ask);
    assert_eq!(said.code, 0, "{said:?}");
    let (name, rest) = said.text.split_once(' ').unwrap();
    assert!(name.starts_with("policyexception.bailey.dev/cli-"), "{said:?}");
    assert!(rest.starts_with("requested in cli-one, until 20"), "{said:?}");
    let note = "note: an administrator has to approve it, see `kubectl tenant exceptions -n cli-one`\n";
    assert_eq!(said.error, note);
    let name = name.trim_start_matches("policyexception.bailey.dev/");
    assert!(lab.pod("one", "web-1", json!({})).await.is_err());

    // The tenant sees it, from any of its namespaces, and those who look do too.
    let found = tenant(ALICE, &["exceptions", "-t", "cli", "-o", "json"]).json();
    let expected = [("state", "Pending"), ("policy", "cli"), ("binding", "cli"), ("requestedBy", "alice")];
    for (field, value) in expected {
        assert_eq!(found[0][field], value, "{found}");
    }
    assert_eq!(found[0]["match"], json!({"kinds": ["Pod"], "names": ["web-*"]}));
    let said = Said::until(|| tenant(BOB, &["exceptions", "-n", "cli-one"]), |said| said.code == 0).await;
    assert!(said.text.starts_with("NAMESPACE  NAME") && said.text.contains("Pod web-*"), "{said:?}");
    assert_eq!(tenant(ALICE, &["exceptions", "-n", "cli-two", "-o", "name"]).text, "");

    // The administrator finds and approves it: not one that was changed since.
    let list = ["exception", "list", "--pending", "-n", "cli-one", "-o", "name"];
    assert_eq!(bailey(ADMIN, &list).text, format!("policyexception.bailey.dev/{name}\n"));
    let approve = |generation: &'static str| {
        bailey(
            ADMIN,
            &["exception", "approve", name, "-n", "cli-one", "--reason", "once", "--generation", generation],
        )
    };
    let said = approve("7");
    assert!(said.code == 1 && said.error.contains("is of generation 1 now"), "{said:?}");
    let said = approve("1");
    assert!(said.code == 0 && said.text.contains(" approved, until 20"), "{said:?}");
    assert_eq!(bailey(ADMIN, &list).text, "");
    lab.until_admitted("one", "web-1").await;
    let said = tenant(ALICE, &["exceptions", "-t", "cli"]);
    assert!(
        said.text.contains("Approved") && said.text.contains("admin") && said.text.contains("once"),
        "{said:?}"
    );
    let said = bailey(ADMIN, &["exception", "list"]);
    assert!(said.text.contains("owner,tier") && said.text.contains("old image"), "{said:?}");

    // And takes it back.
    let said = bailey(ADMIN, &["exception", "refuse", name, "-n", "cli-one", "--reason", "it was misused"]);
    assert_eq!(said.text, format!("policyexception.bailey.dev/{name} refused\n"));
    lab.until_refused("one", "web-1").await;
    until("the tenant is told why", async || {
        tenant(ALICE, &["exceptions", "-n", "cli-one"]).text.contains("it was misused")
    })
    .await;
}

#[tokio::test]
async fn commands_say_what_keeps_them() {
    let lab = Lab::with("clifaults", "Forbidden").await;
    let ask = ["request", "exception", "clifaults", "-n", "clifaults-one", "--reason", "r", "--for"];
    let said = tenant(ALICE, &[&ask[..], &["7d", "-o", "name"]].concat());
    let warned = "note: no binding of the policy `clifaults` allows exceptions: as it is, this one would change nothing";
    assert!(said.code == 0 && said.error.contains(warned), "{said:?}");
    let name = said.text.trim_end().trim_start_matches("policyexception.bailey.dev/").to_owned();

    let cases = [
        (ALICE, [&ask[..], &["91d"]].concat(), 1, "more than 90 days ahead: the latest is"),
        (ALICE, [&ask[..], &["7d", "--kind", "no kind"]].concat(), 1, "spec.match.kinds"),
        (ALICE, [&ask[..], &["7 days"]].concat(), 2, "is no time"),
        (BOB, [&ask[..], &["7d"]].concat(), 1, "owners and editors of a tenant ask for exceptions"),
        (CAROL, [&ask[..], &["7d"]].concat(), 1, "the cluster's RBAC refused it"),
        (CAROL, vec!["exceptions", "-n", "clifaults-one"], 1, "members of a tenant see the exceptions"),
    ];
    for (user, arguments, code, text) in cases {
        let said = tenant(user, &arguments);
        assert!(said.code == code && said.error.contains(text), "{arguments:?}: {said:?}");
    }

    let decide = |user, name: &str| bailey(user, &["exception", "approve", name, "-n", "clifaults-one"]);
    let said = decide(ALICE, &name);
    assert!(said.code == 1 && said.error.contains("exceptions are decided on by administrators"), "{said:?}");
    let said = decide(ADMIN, "nothing");
    let missing = "error: there is no exception `nothing` in the namespace `clifaults-one`\n";
    assert_eq!((said.code, said.error.as_str()), (3, missing));
    let said = bailey(ALICE, &["exception", "list"]);
    assert!(said.code == 1 && said.error.contains("`kubectl tenant exceptions`"), "{said:?}");
    drop(lab);
}
