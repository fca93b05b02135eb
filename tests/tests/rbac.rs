//! What `bailey rbac` says about rights is what the API server's own authorizer says.

use std::path::Path;
use std::process::Command;

use futures::StreamExt;
use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use kube::api::PostParams;
use kube::{Api, Client};
use serde_json::{Value, json};
use tenancy::rbac::{Identity, Question, Rbac, read_dump};
use tests::{ADMIN, ALICE, Objects, World, until, until_some};

/// Roles and bindings of every form that the rules know.
const RIGHTS: &str = include_str!("rbac.yaml");
const KINDS: &str = "roles,rolebindings,clusterroles,clusterrolebindings";

/// One question of somebody.
#[derive(Debug, Clone)]
struct Asked {
    user: &'static str,
    groups: &'static [&'static str],
    namespace: &'static str,
    question: Question,
}

impl Asked {
    /// Who asks, with these groups and no others, as an access review has it.
    fn identity(&self) -> Identity {
        Identity::exactly(self.user, self.groups.iter().map(|group| (*group).to_owned()))
    }

    async fn api_server(&self, client: &Client) -> bool {
        let mut spec = json!({"user": self.user, "groups": self.groups});
        match &self.question {
            Question::Resource { verb, group, resource, subresource, name } => {
                spec["resourceAttributes"] = json!({
                    "verb": verb, "group": group, "resource": resource, "subresource": subresource, "name": name,
                    "namespace": self.namespace,
                });
            }
            Question::Path { verb, path } => {
                spec["nonResourceAttributes"] = json!({"verb": verb, "path": path});
            }
        }
        let review: SubjectAccessReview = serde_json::from_value(json!({"spec": spec})).unwrap();
        let api: Api<SubjectAccessReview> = Api::all(client.clone());
        api.create(&PostParams::default(), &review).await.unwrap().status.unwrap().allowed
    }
}

const USERS: [(&str, &[&str]); 9] = [
    ("ann", &["system:authenticated"]),
    ("ben", &["system:authenticated", "rbac-staff"]),
    ("cid", &["system:authenticated", "rbac-readers"]),
    ("dan", &["system:authenticated"]),
    ("root", &["system:authenticated", "system:masters"]),
    ("system:anonymous", &["system:unauthenticated"]),
    (
        "system:serviceaccount:rbac-a:robot",
        &["system:serviceaccounts", "system:serviceaccounts:rbac-a", "system:authenticated"],
    ),
    (
        "system:serviceaccount:rbac-b:robot",
        &["system:serviceaccounts", "system:serviceaccounts:rbac-b", "system:authenticated"],
    ),
    ("rbac-staff", &[]),
];

/// Every combination of users, verbs, resources, names and namespaces, and of users and paths.
fn questions() -> Vec<Asked> {
    let verbs = ["get", "list", "create", "update", "delete", "deletecollection", "impersonate"];
    let resources = [
        "pods",
        "pods/exec",
        "configmaps",
        "secrets",
        "deployments.apps",
        "deployments.apps/scale",
        "statefulsets.apps/scale",
        "jobs.batch",
        "namespaces",
        "nodes",
        "tenants.bailey.dev",
        "things.example.com",
        "things.example.com/status",
    ];
    let mut all = Vec::new();
    for (user, groups) in USERS {
        let ask = |namespace, question| Asked { user, groups, namespace, question };
        for (verb, resource) in
            verbs.iter().flat_map(|verb| resources.iter().map(move |resource| (verb, resource)))
        {
            for name in [None, Some("one"), Some("two")] {
                for namespace in ["", "rbac-a", "rbac-b"] {
                    all.push(ask(namespace, Question::parse(verb, resource, name).unwrap()));
                }
            }
        }
        for verb in ["get", "post"] {
            for path in ["/healthz", "/healthz/etcd", "/logs", "/logs/a/b", "/version", "/nothing"] {
                all.push(ask("", Question::parse(verb, path, None).unwrap()));
            }
        }
    }
    all
}

/// The rights as `kubectl get` writes them.
fn dump(world: &World, file: &Path) -> Rbac {
    let output = world.kubectl(ADMIN, &["get", KINDS, "-A", "-o", "yaml"]);
    std::fs::write(file, &output.stdout).unwrap();
    read_dump(file).unwrap().rbac
}

async fn prepare(world: &World) {
    Objects::new(world.client(ADMIN).await).apply_all(RIGHTS).await;
    until("the aggregated roles are filled", async || {
        let found = world
            .kubectl(ADMIN, &["get", "clusterrole", "rbac-aggregate", "view", "-o", "jsonpath={..rules}"]);
        String::from_utf8_lossy(&found.stdout).matches("[{").count() == 2
    })
    .await;
}

#[tokio::test]
async fn the_evaluator_and_the_api_server_agree() {
    let world = World::shared();
    prepare(world).await;
    let folder = tempfile::tempdir().unwrap();
    let client = world.client(ADMIN).await;
    let all = questions();
    // The authorizer follows by a watch: what differs is asked again.
    let (asked, allowed) = until_some("both agree", async || {
        let rbac = dump(world, &folder.path().join("dump.yaml"));
        let answers = futures::stream::iter(&all).map(|asked| {
            let client = &client;
            async move { (asked, asked.api_server(client).await) }
        });
        let answers: Vec<_> = answers.buffer_unordered(32).collect().await;
        let allowed = answers.iter().filter(|(_, allowed)| *allowed).count();
        let differ: Vec<_> = answers
            .iter()
            .filter(|(asked, said)| rbac.allows(&asked.identity(), asked.namespace, &asked.question) != *said)
            .collect();
        if let Some((asked, said)) = differ.first() {
            println!("{} differ, such as {asked:?}, for which the API server says {said}", differ.len());
        }
        differ.is_empty().then_some((answers.len(), allowed))
    })
    .await;
    println!("{asked} questions, {allowed} of them allowed, and no difference");
    assert!(asked > 7_000 && allowed > 1_000 && asked - allowed > 1_000, "{asked} {allowed}");
}

fn bailey(world: &World, user: tests::User, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(&world.bailey.settings.binary);
    command.env("KUBECONFIG", world.access().kubeconfig(user)).args(["rbac"]).args(arguments);
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[tokio::test]
async fn the_commands_say_the_same_live_and_from_a_dump() {
    let world = World::shared();
    prepare(world).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dump.yaml");
    let path = file.to_str().unwrap();
    let cases: [&[&str]; 5] = [
        &["who-can", "get", "secrets", "-n", "rbac-a"],
        &["who-can", "update", "deployments.apps/scale", "-o", "json"],
        &["who-can", "get", "/healthz", "-o", "name"],
        &["what-can", "sa:rbac-a/robot", "-o", "yaml"],
        &["what-can", "user:ben", "--group", "rbac-staff", "-n", "rbac-a"],
    ];
    for arguments in cases {
        // Other tests change the cluster meanwhile.
        until(&format!("{arguments:?} is the same"), async || {
            drop(dump(world, &file));
            let live = bailey(world, ADMIN, arguments);
            let dumped = bailey(world, ADMIN, &[arguments, &["--dump", path]].concat());
            assert_eq!((live.0, live.2.as_str()), (Some(0), ""), "{arguments:?}");
            // One binding has a role that is nowhere, of which only who reads a dump is told.
            assert!(dumped.0 == Some(0) && dumped.2.contains("of 1 bindings the role"), "{dumped:?}");
            live.1 == dumped.1
        })
        .await;
    }
    let (_, text, _) = bailey(world, ADMIN, &["who-can", "get", "secrets", "-n", "rbac-a"]);
    let row = text.lines().find(|line| line.starts_with("group:rbac-staff")).unwrap();
    assert!(row.contains("RoleBinding/staff") && row.contains("Role/named") && row.contains("one"), "{row}");
    // The kind, in the singular, and without its group.
    let (_, text, _) =
        bailey(world, ADMIN, &["who-can", "patch", "deployment", "-n", "rbac-b", "-o", "json"]);
    let rows: Vec<Value> = serde_json::from_str(&text).unwrap();
    assert!(
        rows.iter().any(|row| row["subject"] == "user:ann" && row["through"]["role"]["name"] == "edit"),
        "{text}"
    );
}

#[tokio::test]
async fn who_may_not_read_roles_is_told_what_would_work() {
    let world = World::shared();
    let (code, _, text) = bailey(world, ALICE, &["what-can", "user:alice"]);
    assert_eq!(code, Some(1));
    assert!(text.contains("the cluster's RBAC refused it") && text.contains("`--dump`"), "{text}");
}
