//! `kubectl tenant` and `bailey tenant` as users run them: the real binaries with the users' own kubeconfigs.

mod command_line;

use command_line::{Said, Tenant, bailey, record, tenant, tenant_stdin};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, ServiceAccount};
use kube::Api;
use kube::api::{DynamicObject, PostParams};
use serde_json::json;
use tests::{ADMIN, ALICE, BOB, CAROL, Objects, World, until, until_some};

#[tokio::test]
async fn members_see_their_tenants_and_a_stranger_nothing() {
    let members =
        "members: [{kind: User, name: alice, role: owner}, {kind: Group, name: team-b, role: editor}]";
    Tenant::create("cli-a", &format!("{{{members}, namespaces: {{limit: 3}}}}"))
        .await
        .with_namespace("cli-a-one")
        .await;
    let said =
        Said::until(|| tenant(ALICE, &["whoami", "-o", "json"]), |said| said.text.contains("\"cli-a\""))
            .await;
    assert_eq!(said.json()["username"], "alice");
    assert!(said.json()["groups"].as_array().unwrap().contains(&json!("team-a")), "{said:?}");
    let roles = said.json()["tenants"].clone();
    assert!(roles.as_array().unwrap().contains(&json!({"name": "cli-a", "role": "owner"})), "{roles}");

    // Bob is one by a group.
    let said = Said::until(|| tenant(BOB, &["show", "cli-a", "-o", "json"]), |said| said.code == 0).await;
    assert_eq!((&said.json()["role"], &said.json()["limit"]), (&json!("editor"), &json!(3)));
    let said = Said::until(
        || tenant(BOB, &["namespaces", "-t", "cli-a", "-o", "name"]),
        |said| !said.text.is_empty(),
    )
    .await;
    assert_eq!(said.text, "namespace/cli-a-one\n");

    // Carol is none, and learns nothing by any command.
    let said = tenant(CAROL, &["list", "-o", "name"]);
    assert!(said.code == 0 && !said.text.contains("cli-a"), "{said:?}");
    let spying: [&[&str]; 7] = [
        &["show", "cli-a"],
        &["namespaces", "-t", "cli-a"],
        &["members", "-t", "cli-a"],
        &["limits", "-t", "cli-a"],
        &["usage", "-t", "cli-a"],
        &["members", "add", "user:carol", "--role", "owner", "-t", "cli-a"],
        &["namespaces", "delete", "cli-a-one"],
    ];
    for arguments in spying {
        let said = tenant(CAROL, arguments);
        assert_eq!((said.code, said.text.as_str()), (1, ""), "{arguments:?}: {said:?}");
        assert!(said.error.contains("the cluster's RBAC refused it"), "{arguments:?}: {said:?}");
        assert!(!said.error.contains("alice") && !said.error.contains("team-b"), "{arguments:?}: {said:?}");
    }
    // A tenant that is not there looks the same as one that is another's.
    let (theirs, nobodys) = (tenant(CAROL, &["show", "cli-a"]), tenant(CAROL, &["show", "cli-0"]));
    assert_eq!(theirs.error.replace("cli-a", "X"), nobodys.error.replace("cli-0", "X"));
}

#[tokio::test]
async fn an_owner_creates_and_deletes_namespaces_and_is_told_what_keeps_her() {
    Tenant::create("cli-b", "{members: [{kind: User, name: alice, role: owner}], namespaces: {limit: 1}}")
        .await;
    Said::until(|| tenant(ALICE, &["show", "cli-b"]), |said| said.code == 0).await;
    let create = || tenant(ALICE, &["namespaces", "create", "cli-b-web", "-t", "cli-b"]);
    let said = Said::until(create, |said| said.code == 0).await;
    assert_eq!(said.text, "namespace/cli-b-web created for the tenant cli-b, and ready\n");
    // Ready means that she can work in it at once.
    let made = World::shared().kubectl(ALICE, &["create", "configmap", "x", "-n", "cli-b-web"]);
    assert!(made.status.success(), "{made:?}");

    let said = tenant(ALICE, &["namespaces", "create", "cli-b-more", "-t", "cli-b"]);
    assert!(
        said.code == 1
            && said.error.starts_with("error: Bailey refused it: the tenant `cli-b` has 1 of at most 1"),
        "{said:?}"
    );
    let (_, decision) = said.error.trim_end().trim_end_matches(')').rsplit_once("(decision ").unwrap();
    assert!(record(decision).await.contains("namespace_limit"));
    let said = tenant(ALICE, &["namespaces", "create", "default", "-t", "cli-b"]);
    assert!(said.code == 1 && said.error.contains("wall `namespace-name`"), "{said:?}");

    // Adopting is an administrator's, and says so.
    Api::<Namespace>::all(World::shared().client(ADMIN).await)
        .create(
            &PostParams::default(),
            &serde_json::from_value(json!({"metadata": {"name": "cli-stray"}})).unwrap(),
        )
        .await
        .unwrap();
    let said = tenant(ALICE, &["namespaces", "adopt", "cli-stray", "-t", "cli-b"]);
    assert!(said.code == 1 && said.error.contains("`bailey tenant adopt TENANT NAMESPACE`"), "{said:?}");
    let said = bailey(ADMIN, &["tenant", "adopt", "cli-b", "cli-stray"]);
    assert_eq!(said.text, "namespace/cli-stray now belongs to the tenant cli-b\n");
    let said = bailey(ADMIN, &["tenant", "adopt", "cli-b", "cli-stray"]);
    assert_eq!(said.text, "namespace/cli-stray belongs already to the tenant cli-b\n");

    let delete = || tenant(ALICE, &["namespaces", "delete", "cli-stray"]);
    let said = Said::until(delete, |said| said.code == 0).await;
    assert_eq!(said.text, "namespace/cli-stray deleted\n");
    let said = tenant(ADMIN, &["namespaces", "delete", "cli-nowhere"]);
    assert_eq!((said.code, said.error.as_str()), (3, "error: there is no namespace `cli-nowhere`\n"));
}

#[tokio::test]
async fn owners_change_members_all_at_once_and_others_do_not() {
    Tenant::create("cli-c", "{members: [{kind: User, name: alice, role: owner}, {kind: User, name: bob}]}")
        .await;
    let add = |subject: &'static str, role: &'static str| {
        tenant(ALICE, &["members", "add", subject, "--role", role, "-t", "cli-c"])
    };
    Said::until(|| add("user:first", "viewer"), |said| said.code == 0).await;
    // Whoever meets another change tries again.
    let writers: Vec<_> = ["user:dan", "group:staff", "sa:ci/deployer"]
        .map(|subject| std::thread::spawn(move || add(subject, "editor")))
        .into_iter()
        .map(|thread| thread.join().unwrap())
        .collect();
    assert!(writers.iter().all(|said| said.code == 0), "{writers:?}");
    let said = tenant(ALICE, &["members", "-t", "cli-c", "-o", "name"]);
    for subject in ["user:alice", "user:bob", "user:first", "user:dan", "group:staff", "sa:ci/deployer"] {
        assert!(said.text.lines().any(|line| line == subject), "{subject}: {said:?}");
    }
    let cases: [(&[&str], i32, &str); 5] = [
        (&["add", "user:dan"], 1, "`user:dan` is a member already, as editor"),
        (&["remove", "user:eve"], 3, "`user:eve` is no member"),
        (&["remove", "user:alice"], 2, "`user:alice` is the last owner"),
        (&["add", "user:system:admin"], 1, "names beginning with `system:` belong to Kubernetes"),
        (&["remove", "group:staff"], 0, ""),
    ];
    for (arguments, code, text) in cases {
        let said = tenant(ALICE, &[&["members"], arguments, &["-t", "cli-c"]].concat());
        assert!(said.code == code && said.error.contains(text), "{arguments:?}: {said:?}");
    }
    // Bob may look, and not change.
    let bob = || tenant(BOB, &["members", "add", "user:bob", "--role", "owner", "-t", "cli-c"]);
    let said = Said::until(bob, |said| said.error.contains("only an owner")).await;
    assert_eq!(said.code, 1);
}

#[tokio::test]
async fn a_check_tells_what_would_be_admitted_and_stores_nothing() {
    let spec = "{members: [{kind: User, name: alice, role: owner}, {kind: User, name: bob}]}";
    Tenant::create("cli-d", spec).await.with_namespace("cli-d-one").await;
    let file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
    std::fs::write(file.path(), include_str!("check.yaml")).unwrap();
    let check =
        || tenant(ALICE, &["check", "-f", file.path().to_str().unwrap(), "-n", "cli-d-one", "-o", "json"]);
    let said = Said::until(check, |said| said.json()[0]["verdict"] == "admitted").await;
    assert_eq!(said.code, 4, "{said:?}");
    let found = said.json();
    let of = |place: usize, field: &str| found[place][field].as_str().unwrap_or_default().to_owned();
    let verdicts: Vec<_> =
        (0..6).map(|place| format!("{} {}", of(place, "verdict"), of(place, "refusedBy"))).collect();
    let expected = [
        "admitted ",
        "refused admission",
        "admitted ",
        "refused Bailey",
        "refused API server",
        "refused RBAC",
    ];
    assert_eq!(verdicts, expected, "{said:?}");
    assert!(of(1, "message").contains("violates PodSecurity"), "{said:?}");
    assert!(found[2]["warnings"][0].as_str().unwrap().contains("restricted"), "{said:?}");
    assert_eq!(of(3, "code"), "tenant_denied");
    let kept = record(&of(3, "decision")).await;
    assert!(kept.contains("dry run"), "{kept}");
    assert!(of(4, "message").contains("unknown field \"dat\""), "{said:?}");

    let maps: Api<ConfigMap> = Api::namespaced(World::shared().client(ALICE).await, "cli-d-one");
    assert!(maps.get_opt("settings").await.unwrap().is_none(), "a check stores nothing");

    // What is there already is changed, not created; from standard input, in YAML of another kind.
    let text = "{apiVersion: v1, kind: ConfigMap, metadata: {name: kube-root-ca.crt}, data: {a: b}}";
    let said = tenant_stdin(ALICE, &["check", "-f", "-", "-n", "cli-d-one"], text);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.text.contains("cli-d-one/kube-root-ca.crt (change)\nVerdict  admitted\n"), "{said:?}");
    // A viewer may not, and a stranger neither.
    for user in [BOB, CAROL] {
        let said = tenant_stdin(user, &["check", "-f", "-", "-n", "cli-d-one"], text);
        assert!(said.code == 4 && said.text.contains("By       RBAC"), "{said:?}");
    }
    let said = tenant_stdin(ALICE, &["check", "-f", "-"], "a: [");
    assert!(said.code == 2 && said.error.contains("`-`: it is neither JSON nor YAML"), "{said:?}");
}

#[tokio::test]
async fn a_kubeconfig_of_ones_own_or_of_a_service_account_works() {
    let world = World::shared();
    Tenant::create("cli-e", "{members: [{kind: User, name: alice, role: owner}]}")
        .await
        .with_namespace("cli-e-one")
        .await;
    let accounts: Api<ServiceAccount> = Api::namespaced(world.client(ADMIN).await, "cli-e-one");
    until_some("the account is there", async || accounts.get_opt("default").await.unwrap()).await;
    let folder = tempfile::tempdir().unwrap();
    let (own, token) = (folder.path().join("own"), folder.path().join("token"));
    let (own, token) = (own.to_str().unwrap(), token.to_str().unwrap());
    let said = tenant(ALICE, &["kubeconfig", "-n", "cli-e-one", "--out", own]);
    assert!(said.code == 0 && said.text.is_empty(), "{said:?}");
    let with_token = [
        "kubeconfig",
        "-n",
        "cli-e-one",
        "--service-account",
        "default",
        "--duration",
        "10m",
        "--out",
        token,
    ];
    Said::until(|| tenant(ALICE, &with_token), |said| said.code == 0).await;
    for (file, user) in [(own, "alice"), (token, "system:serviceaccount:cli-e-one:default")] {
        let said = tenant(CAROL, &["whoami", "-o", "name", "--kubeconfig", file]);
        assert_eq!(said.text, format!("{user}\n"), "{said:?}");
        // kubectl reads it too.
        let kubectl = std::process::Command::new(world.access().kubectl())
            .args(["--kubeconfig", file, "config", "view", "--minify", "-o", "jsonpath={..namespace}"])
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&kubectl.stdout), "cli-e-one");
    }
    // Not for a namespace of others, not for less than the API server gives, and nothing is overwritten.
    let cases: [(tests::User, &[&str], i32, &str); 4] = [
        (CAROL, &["--service-account", "default"], 1, "the cluster's RBAC refused it"),
        (ALICE, &["--service-account", "nobody"], 3, "there is no service account `nobody`"),
        (ALICE, &["--service-account", "default", "--duration", "1m"], 2, "at least 10 minutes"),
        (ALICE, &["--out", own], 1, "File exists"),
    ];
    for (user, arguments, code, text) in cases {
        let said = tenant(user, &[&["kubeconfig", "-n", "cli-e-one"], arguments].concat());
        assert!(said.code == code && said.error.contains(text), "{arguments:?}: {said:?}");
    }
}

#[tokio::test]
async fn usage_and_limits_are_what_the_quotas_say() {
    let spec = "{members: [{kind: User, name: alice, role: owner}, {kind: User, name: bob}], namespaces: {limit: 4}, quota: {hard: {configmaps: 20}}}";
    let tenant_f = Tenant::create("cli-f", spec)
        .await
        .with_namespace("cli-f-one")
        .await
        .with_namespace("cli-f-two")
        .await;
    let mut quotas = String::new();
    for (namespace, count) in [("cli-f-one", 5), ("cli-f-two", 3)] {
        quotas += &format!(
            "apiVersion: v1\nkind: ResourceQuota\nmetadata: {{name: maps, namespace: {namespace}}}\nspec: {{hard: {{configmaps: {count}, requests.memory: 1Gi}}}}\n---\n"
        );
    }
    quotas += "apiVersion: v1\nkind: LimitRange\nmetadata: {name: sizes, namespace: cli-f-one}\nspec: {limits: [{type: Container, max: {cpu: '2'}}]}\n";
    tenant_f.admin.apply_all(&quotas).await;
    // A viewer sees it too.
    let usage = || tenant(BOB, &["usage", "-t", "cli-f", "-o", "json"]);
    let done = |said: &Said| {
        said.json()["total"][0]["used"] == "2" && said.json()["byNamespace"]["cli-f-two"].is_array()
    };
    let said = Said::until(usage, done).await.json();
    assert_eq!((&said["namespaces"], &said["namespaceLimit"]), (&json!(2), &json!(4)));
    let expected = json!([
        {"resource": "configmaps", "used": "2", "hard": "8", "percent": 25},
        {"resource": "requests.memory", "used": "0", "hard": "2Gi", "percent": 0},
    ]);
    assert_eq!(said["total"], expected);
    let counted = |said: &Said| {
        said.text
            .lines()
            .any(|line| line.split_whitespace().eq(["budget", "cli-f", "configmaps", "2", "20", "10"]))
    };
    Said::until(|| tenant(BOB, &["usage", "-t", "cli-f"]), counted).await;
    // Each number is made up of objects.
    let said = tenant(BOB, &["usage", "-t", "cli-f", "--of", "configmaps"]);
    let rows: Vec<Vec<&str>> =
        said.text.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
    let part = |namespace| vec!["configmaps", namespace, "kube-root-ca.crt", "1"];
    assert_eq!(rows, [part("cli-f-one"), part("cli-f-two"), vec!["all", "-", "-", "2"]], "{said:?}");
    let said = tenant(BOB, &["usage", "-t", "cli-f", "--of", "count/configmaps", "-o", "json"]).json();
    assert_eq!((&said["total"], &said["reported"]), (&json!("2"), &json!("2")), "{said}");
    let said = tenant(ADMIN, &["usage", "-t", "cli-f", "--of", "count/namespaces", "-o", "json"]).json();
    assert_eq!((&said["total"], &said["objects"][0]["name"]), (&json!("2"), &json!("cli-f-one")), "{said}");
    let said = tenant(BOB, &["usage", "-t", "cli-f", "--of", "gpus"]);
    assert!(said.code == 2 && said.error.contains("is no resource name that is counted"), "{said:?}");
    let said = tenant(BOB, &["usage", "-t", "cli-f", "--of", "secrets"]);
    assert!(said.error.contains("you may not read the objects in cli-f-one, cli-f-two"), "{said:?}");
    let said = tenant(BOB, &["limits", "-t", "cli-f"]);
    let has =
        |words: &[&str]| said.text.lines().any(|line| line.split_whitespace().eq(words.iter().copied()));
    assert!(has(&["cli-f-one", "ResourceQuota/maps", "configmaps", "5"]), "{said:?}");
    assert!(has(&["cli-f-one", "LimitRange/sizes", "Container", "max.cpu", "2"]), "{said:?}");
    // The administrator sees all tenants together.
    let said = bailey(ADMIN, &["tenant", "list"]);
    let row = said.text.lines().find(|line| line.starts_with("cli-f ")).unwrap();
    assert!(row.contains("user:alice") && row.contains("configmaps 2/8"), "{row}");
    let said = bailey(ALICE, &["tenant", "list"]);
    assert!(said.code == 1 && said.error.contains("`kubectl tenant list`"), "{said:?}");
}

#[tokio::test]
async fn kubectl_finds_the_plugin_and_gives_its_exit_code() {
    let world = World::shared();
    let plugins = world.bailey.settings.binary.parent().unwrap();
    let path =
        std::env::join_paths([plugins, std::path::Path::new("/usr/bin"), std::path::Path::new("/bin")])
            .unwrap();
    let kubectl = |arguments: &[&str]| {
        let mut command = std::process::Command::new(world.access().kubectl());
        command.env("PATH", &path).env("KUBECONFIG", world.access().kubeconfig(ALICE)).args(arguments);
        Said::of(&command.output().unwrap())
    };
    let said = kubectl(&["tenant", "whoami", "-o", "name"]);
    assert_eq!((said.code, said.text.as_str()), (0, "alice\n"), "{said:?}");
    assert_eq!(kubectl(&["tenant", "show", "cli-nowhere"]).code, 1);
    assert_eq!(kubectl(&["tenant", "lst"]).code, 2);
    let listed = kubectl(&["plugin", "list"]);
    assert!(listed.text.contains("/kubectl-tenant"), "{listed:?}");
}

#[tokio::test]
async fn administrators_create_suspend_export_and_draw_tenants() {
    let world = World::shared();
    let create =
        ["tenant", "create", "cli-g", "--owner", "user:carol", "--owner", "group:cli-staff", "--limit", "2"];
    let said = bailey(ADMIN, &create);
    assert_eq!(said.text, "tenant.bailey.dev/cli-g created\n", "{said:?}");
    let said = bailey(ADMIN, &create);
    assert_eq!((said.code, said.error.as_str()), (1, "error: there is a tenant `cli-g` already\n"));
    let said = bailey(CAROL, &["tenant", "create", "cli-h"]);
    assert!(said.code == 1 && said.error.contains("this takes an administrator's rights"), "{said:?}");
    let made = || tenant(CAROL, &["namespaces", "create", "cli-g-web", "-t", "cli-g"]);
    Said::until(made, |said| said.code == 0).await;

    assert_eq!(bailey(ADMIN, &["tenant", "suspend", "cli-g"]).text, "tenant.bailey.dev/cli-g suspended\n");
    let more = || tenant(CAROL, &["namespaces", "create", "cli-g-more", "-t", "cli-g"]);
    Said::until(more, |said| said.error.contains("wall `suspended`")).await;
    assert_eq!(
        bailey(ADMIN, &["tenant", "suspend", "cli-g"]).text,
        "tenant.bailey.dev/cli-g is suspended already\n"
    );
    assert_eq!(bailey(ADMIN, &["tenant", "resume", "cli-g"]).text, "tenant.bailey.dev/cli-g resumed\n");
    assert_eq!(bailey(ADMIN, &["tenant", "resume", "cli-nowhere"]).code, 3);

    // What is exported can be applied: here it changes nothing.
    let said = bailey(ADMIN, &["tenant", "export", "cli-g"]);
    assert!(!said.text.contains("uid") && !said.text.contains("status"), "{said:?}");
    let object: DynamicObject =
        Objects::new(world.client(ADMIN).await).get(&tests::documents(&said.text)[0]).await.unwrap();
    assert_eq!(tests::documents(&said.text).len(), 2, "{said:?}");
    world.access().apply(&said.text).unwrap();
    let after = Objects::new(world.client(ADMIN).await).get(&tests::documents(&said.text)[0]).await.unwrap();
    assert_eq!(after.metadata.generation, object.metadata.generation);

    let drawn = || bailey(ADMIN, &["tenant", "graph", "cli-g"]);
    let edge = "\"user:carol\" -> \"namespace cli-g-web\" [label=\"ClusterRole/admin";
    let said = Said::until(drawn, |said| said.text.contains(edge)).await;
    assert!(
        said.text.starts_with("digraph \"cli-g\" {\n") && said.text.contains("\"group:cli-staff\";"),
        "{said:?}"
    );
    let said = bailey(ADMIN, &["tenant", "graph", "cli-g", "-o", "json"]);
    let rules = &said.json()["roles"]["ClusterRole/bailey-namespace-owner"];
    assert!(rules[0]["verbs"].as_array().unwrap().contains(&json!("delete")), "{rules}");
    until("the graph of nobody's tenant is not found", async || {
        bailey(ADMIN, &["tenant", "graph", "x"]).code == 3
    })
    .await;
}

#[tokio::test]
async fn a_tenant_is_created_in_its_fairness_class_and_exported_with_it() {
    let world = World::shared();
    let create = ["tenant", "create", "cli-classy", "--fairness-class", "cli-gold"];
    let said = bailey(ADMIN, &create);
    let expected = "error: there is no FairnessClass `cli-gold`: `kubectl get fairnessclasses` lists them\n";
    assert_eq!((said.code, said.error.as_str()), (3, expected));
    let admin = Objects::new(world.client(ADMIN).await);
    let class = json!({
        "apiVersion": "bailey.dev/v1alpha1", "kind": "FairnessClass", "metadata": {"name": "cli-gold"},
        "spec": {"weight": 3, "priorityLevel": {"shares": 60}},
    });
    admin.apply(&class).await.unwrap();
    let said = bailey(ADMIN, &create);
    assert_eq!(said.text, "tenant.bailey.dev/cli-classy created\n", "{said:?}");

    let exported = bailey(ADMIN, &["tenant", "export", "cli-classy"]);
    let documents = tests::documents(&exported.text);
    let of = |kind: &str| documents.iter().find(|object| object["kind"] == kind).unwrap();
    assert_eq!(of("Tenant")["spec"]["fairnessClass"], "cli-gold");
    assert_eq!((documents.len(), &of("FairnessClass")["spec"]["weight"]), (2, &json!(3)), "{exported:?}");
    // Applied it changes nothing; where the class is gone, it comes back.
    let before = admin.get(&class).await.unwrap().metadata;
    world.access().apply(&exported.text).unwrap();
    assert_eq!(admin.get(&class).await.unwrap().metadata.generation, before.generation);
    admin.delete(&class).await.unwrap();
    assert_eq!(tests::documents(&bailey(ADMIN, &["tenant", "export", "cli-classy"]).text).len(), 1);
    world.access().apply(&exported.text).unwrap();
    let after = admin.get(&class).await.unwrap();
    assert_eq!(after.data["spec"]["priorityLevel"]["shares"], 60);
    assert_ne!(after.metadata.uid, before.uid);
}

#[tokio::test]
async fn members_see_what_was_refused_and_why_and_strangers_do_not() {
    Tenant::create("cli-told", "{members: [{kind: User, name: alice, role: owner}]}").await;
    Said::until(|| tenant(ALICE, &["show", "cli-told"]), |said| said.code == 0).await;
    let refused = || tenant(ALICE, &["namespaces", "create", "default", "-t", "cli-told"]);
    let said = Said::until(refused, |said| said.error.contains("wall `namespace-name`")).await;
    let (_, decision) = said.error.trim_end().trim_end_matches(')').rsplit_once("(decision ").unwrap();
    let denials = || tenant(ALICE, &["denials", "-t", "cli-told"]);
    let said = Said::until(denials, |said| said.text.contains(decision)).await;
    assert!(said.text.starts_with("TIME") && said.text.contains("denied"), "{said:?}");
    // Without a tenant every tenant of hers is asked, by the first characters of the id too.
    let said = tenant(ALICE, &["explain", &decision[..18]]);
    assert!(said.code == 0 && said.text.contains("wall `namespace-name`"), "{said:?}");
    let said = tenant(ALICE, &["explain", decision, "-t", "cli-told", "-o", "name"]);
    assert_eq!(said.text, format!("decision/{decision}\n"));
    let said = tenant(ALICE, &["explain", "00000000", "-t", "cli-told"]);
    assert!(said.code == 3 && said.error.contains("no record has the id"), "{said:?}");
    let said = tenant(BOB, &["explain", decision, "-t", "cli-told"]);
    assert!(said.code == 1 && said.text.is_empty(), "{said:?}");
}
