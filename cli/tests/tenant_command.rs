//! `kubectl tenant`, `bailey tenant` and `bailey rbac` as a user meets them where there is no cluster: wrong
//! arguments, files that are not there, addresses at which nobody answers.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail")]

use std::path::Path;
use std::process::{Command, Output};

const TENANT: &str = env!("CARGO_BIN_EXE_kubectl-tenant");
const BAILEY: &str = env!("CARGO_BIN_EXE_bailey");

fn run(binary: &str, arguments: &[&str]) -> Output {
    // No variable of whoever runs the test may lead to a cluster of theirs.
    let mut command = Command::new(binary);
    command.args(arguments).env_clear().env("HOME", "/nonexistent").current_dir(std::env::temp_dir());
    command.output().unwrap()
}

fn shown(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn assert_says(binary: &str, cases: &[(&[&str], i32, &str)]) {
    for (arguments, code, text) in cases {
        let output = run(binary, arguments);
        let said = shown(&output.stderr);
        assert_eq!(output.status.code(), Some(*code), "{arguments:?}: {said}");
        assert!(said.contains(text), "{arguments:?}: {said}");
        assert_eq!(shown(&output.stdout), "", "{arguments:?}");
    }
}

#[test]
fn wrong_arguments_say_what_would_be_right() {
    assert_says(
        TENANT,
        &[
            (&["lst"], 2, "a similar subcommand exists: 'list'"),
            (&["members", "ad", "user:bob"], 2, "a similar subcommand exists: 'add'"),
            (&["members", "add", "bob"], 2, "write `user:NAME`, `group:NAME` or `sa:NAMESPACE/NAME`"),
            (
                &["members", "add", "user:bob", "--role", "boss"],
                2,
                "[possible values: owner, editor, viewer]",
            ),
            (&["list", "--kubeconfg", "x"], 2, "a similar argument exists: '--kubeconfig'"),
            (&["list", "-o", "wide"], 2, "[possible values: table, json, yaml, name]"),
            (&["list", "--as", "admin"], 2, "unexpected argument '--as'"),
            (&["kubeconfig", "--duration", "2h"], 2, "--service-account <NAME>"),
            (
                &["kubeconfig", "--service-account", "x", "--duration", "soon"],
                2,
                "write it like `30m`, `12h` or `7d`",
            ),
            (&["check"], 2, "--filename <FILE>"),
            (&["request", "quta"], 2, "a similar subcommand exists: 'quota'"),
            (&["request", "quota", "pods", "--reason", "x"], 2, "write it like `pods=10`"),
            (&["request", "quota", "pods=-1", "--reason", "x"], 2, "`pods=-1` is no amount"),
            (&["request", "quota", "pods=1"], 2, "--reason <TEXT>"),
            (&["request", "quota", "pods=1", "--reason", "x", "--for", "1w"], 2, "write it like `30m`"),
            (&["namespaces", "delete"], 2, "<NAMES>"),
            (&["completions", "cmd"], 2, "possible values: bash"),
        ],
    );
    assert_says(
        BAILEY,
        &[
            (&["tenant", "crate", "x"], 2, "a similar subcommand exists: 'create'"),
            (&["tenant", "create", "x", "--owner", "alice"], 2, "write `user:NAME`"),
            (&["tenant", "create", "x", "--limit", "many"], 2, "invalid value 'many' for '--limit"),
            (&["tenant", "adopt", "x"], 2, "<NAMESPACES>"),
            (&["quota", "approve", "x"], 2, "`x` names no request: write `NAMESPACE/NAME`"),
            (&["quota", "approve", "a/b", "--amount", "pods"], 2, "write it like `pods=10`"),
            (&["quota", "refuse", "a/b", "--for", "1h"], 2, "unexpected argument '--for'"),
            (&["rbac", "who-can", "get"], 2, "<RESOURCE>"),
            (&["rbac", "who-can", "get", "pods/"], 2, "`pods/` is no resource"),
            (&["rbac", "who-can", "get", "/healthz", "x"], 2, "a path has no objects with names"),
            (
                &["rbac", "who-can", "get", "pods", "-n", "a", "--tenant", "b"],
                2,
                "cannot be used with '--tenant",
            ),
            (&["rbac", "what-can", "alice"], 2, "`alice` names no subject"),
            (&["rbac", "what-can", "user:a", "--dump", "x", "--kubeconfig", "y"], 2, "cannot be used with"),
        ],
    );
}

#[test]
fn a_cluster_that_cannot_be_reached_is_named_with_the_file_that_leads_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config");
    // Nobody listens on port 1.
    let text = "apiVersion: v1
kind: Config
current-context: here
contexts: [{name: here, context: {cluster: c, user: u}}]
clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]
users: [{name: u, user: {token: t}}]
";
    std::fs::write(&file, text).unwrap();
    let path = file.to_str().unwrap();
    let answer = format!(
        "the API server https://127.0.0.1:1 (kubeconfig `{path}`) does not answer: Connection refused"
    );
    assert_says(
        TENANT,
        &[
            (&["list", "--kubeconfig", path], 1, &answer),
            (
                &["list", "--kubeconfig", path, "--context", "there"],
                1,
                "has no context `there`; it has `here`",
            ),
            (&["list", "--kubeconfig", "/nonexistent/config"], 1, "`/nonexistent/config` cannot be used"),
            (&["whoami"], 1, "give `--kubeconfig FILE` or set $KUBECONFIG"),
            (
                &["check", "-f", "/nonexistent.yaml", "--kubeconfig", path],
                3,
                "there is no file `/nonexistent.yaml`",
            ),
        ],
    );
    assert_says(BAILEY, &[(&["tenant", "list", "--kubeconfig", path], 1, &answer)]);
    std::fs::write(&file, "clusters: [").unwrap();
    assert_says(TENANT, &[(&["list", "--kubeconfig", path], 1, "cannot be used")]);
}

fn dump(folder: &Path) -> String {
    let file = folder.join("dump.yaml");
    let text = "apiVersion: v1
kind: List
items:
- apiVersion: rbac.authorization.k8s.io/v1
  kind: Role
  metadata: {name: reader, namespace: a}
  rules: [{verbs: [get], apiGroups: [apps], resources: [deployments]}]
- apiVersion: rbac.authorization.k8s.io/v1
  kind: RoleBinding
  metadata: {name: readers, namespace: a}
  roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
  subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: alice}]
---
apiVersion: v1
kind: Namespace
metadata: {name: a, labels: {bailey.dev/tenant: physics}}
";
    std::fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

#[test]
fn rights_are_told_from_a_dump_without_a_cluster() {
    let folder = tempfile::tempdir().unwrap();
    let file = dump(folder.path());
    let said = |arguments: &[&str]| {
        let output = run(BAILEY, &[&["rbac"], arguments, &["--dump", &file]].concat());
        assert_eq!((output.status.code(), shown(&output.stderr)), (Some(0), ""), "{arguments:?}");
        shown(&output.stdout).to_owned()
    };
    let expected = "\
SUBJECT               NAMESPACE  OBJECTS  BINDING                  ROLE
user:alice            a          *        RoleBinding/readers      Role/reader
group:system:masters  a          *        (the API server itself)  -
";
    assert_eq!(said(&["who-can", "get", "deployments", "--tenant", "physics"]), expected);
    assert_eq!(said(&["who-can", "get", "deployments", "-o", "name"]), "group:system:masters\n");
    let expected = "\
NAMESPACE  VERBS  AS          BINDING              ROLE         WHAT
a          get    user:alice  RoleBinding/readers  Role/reader  deployments.apps
";
    assert_eq!(said(&["what-can", "user:alice"]), expected);
    assert!(said(&["what-can", "user:alice", "-o", "json"]).contains("\"kind\": \"RoleBinding\""));
    assert_says(
        BAILEY,
        &[
            (&["rbac", "who-can", "get", "pods", "--tenant", "chemistry", "--dump", &file], 3, "`chemistry`"),
            (&["rbac", "who-can", "get", "pods", "--dump", "/nonexistent"], 3, "cannot read `/nonexistent`"),
            (&["rbac", "who-can", "get", "pods", "--dump", "/dev/null"], 1, "has neither roles nor bindings"),
        ],
    );
}

#[test]
fn completions_and_help_name_every_command() {
    let script = run(TENANT, &["completions", "bash"]);
    let script = shown(&script.stdout);
    let help = run(TENANT, &["--help"]);
    let help = shown(&help.stdout);
    for command in [
        "whoami",
        "list",
        "show",
        "namespaces",
        "members",
        "limits",
        "usage",
        "request",
        "requests",
        "check",
        "kubeconfig",
    ] {
        assert!(script.contains(command) && help.contains(command), "{command}");
    }
    assert!(help.contains("Usage: kubectl tenant") && help.contains("Exit codes: 0 done"), "{help}");
}
