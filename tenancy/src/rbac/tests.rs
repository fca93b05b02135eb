use model::Subject;
use proptest::prelude::*;

use super::*;
use crate::rbac::objects::RoleRef;
use crate::rbac::{RoleKind, read_dump};

fn dump(yaml: &str) -> Rbac {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), yaml).unwrap();
    read_dump(file.path()).unwrap().rbac
}

/// One ClusterRole with these rules, bound to alice in the whole cluster.
fn alice_has(rules: &str) -> Rbac {
    dump(&format!(
        "apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {{name: r}}
rules: {rules}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {{name: b}}
roleRef: {{kind: ClusterRole, name: r}}
subjects: [{{kind: User, name: alice}}]
"
    ))
}

fn ask(verb: &str, resource: &str, name: &str) -> Question {
    Question::parse(verb, resource, Some(name).filter(|name| !name.is_empty())).unwrap()
}

fn identity(subject: &str) -> Identity {
    Identity::of(&subject.parse().unwrap(), [])
}

#[test]
fn wildcards_and_subresources_are_those_of_kubernetes() {
    type Asked = &'static [(&'static str, &'static str, bool)];
    let cases: [(&str, Asked); 8] = [
        ("['*'], apiGroups: [''], resources: [pods]", &[("get", "pods", true), ("eat", "pods", true)]),
        ("[get], apiGroups: [''], resources: [pods]", &[("get", "pods/log", false), ("list", "pods", false)]),
        (
            "[get], apiGroups: [''], resources: [pods/log]",
            &[("get", "pods/log", true), ("get", "pods", false)],
        ),
        (
            "[get], apiGroups: ['*'], resources: ['*/scale']",
            &[("get", "deployments/scale", true), ("get", "deployments", false), ("get", "x.y/scale", true)],
        ),
        (
            "[get], apiGroups: [''], resources: [pods/*]",
            &[("get", "pods/log", false), ("get", "pods", false)],
        ),
        ("[get], apiGroups: [''], resources: ['*']", &[("get", "pods/log", true), ("get", "jobs", false)]),
        (
            "[get], apiGroups: [apps], resources: ['*']",
            &[("get", "deployments", true), ("get", "pods", false)],
        ),
        ("[get], apiGroups: [], resources: ['*']", &[("get", "pods", false)]),
    ];
    for (rule, questions) in cases {
        let rbac = alice_has(&format!("[{{verbs: {rule}}}]"));
        for (verb, resource, expected) in questions {
            let found = rbac.allows(&identity("user:alice"), "any", &ask(verb, resource, ""));
            assert_eq!(found, *expected, "{rule}: {verb} {resource}");
        }
    }
}

#[test]
fn names_limit_what_names_an_object_and_nothing_else_is_allowed_by_them() {
    let rule = "[{verbs: ['*'], apiGroups: [''], resources: [secrets, pods/exec], resourceNames: [a, b]}]";
    let rbac = alice_has(rule);
    let alice = identity("user:alice");
    for (verb, name, expected) in
        [("get", "a", true), ("get", "c", false), ("list", "", false), ("list", "a", true)]
    {
        assert_eq!(rbac.allows(&alice, "", &ask(verb, "secrets", name)), expected, "{verb} {name}");
    }
    let names = |question: &Question| {
        let found = rbac.who_can("", question).into_iter().find(|grant| grant.through != Source::ApiServer);
        found.map(|grant| grant.resource_names)
    };
    assert_eq!(names(&ask("get", "secrets", "")), Some(vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!(names(&ask("get", "secrets", "a")), Some(vec![]));
    assert_eq!(names(&ask("watch", "secrets", "")), Some(vec!["a".to_owned(), "b".to_owned()]));
    // Neither request can say a name, so that no rule with names ever allows it.
    assert_eq!(names(&ask("create", "secrets", "")), None);
    assert_eq!(names(&ask("deletecollection", "secrets", "")), None);
    assert_eq!(names(&ask("create", "pods/exec", "")), Some(vec!["a".to_owned(), "b".to_owned()]));
}

#[test]
fn paths_have_verbs_and_a_rest() {
    let rbac = alice_has("[{verbs: [get], nonResourceURLs: [/healthz, /logs/*]}]");
    let alice = identity("user:alice");
    for (path, expected) in
        [("/healthz", true), ("/healthz/etcd", false), ("/logs/a/b", true), ("/logs", false)]
    {
        assert_eq!(rbac.allows(&alice, "", &ask("get", path, "")), expected, "{path}");
    }
    assert!(!rbac.allows(&alice, "", &ask("post", "/healthz", "")));
    assert!(Question::parse("get", "/healthz", Some("x")).is_err());
}

#[test]
fn groups_that_authentication_adds_count() {
    let rbac = |subject: &str| {
        dump(&format!(
            "{{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {{name: r, namespace: a}},
  rules: [{{verbs: [get], apiGroups: [''], resources: [pods]}}]}}
---
{{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {{name: b, namespace: a}},
  roleRef: {{kind: Role, name: r}}, subjects: [{subject}]}}
"
        ))
    };
    let group = |name: &str| format!("{{kind: Group, name: '{name}'}}");
    let cases = [
        (group("system:authenticated"), "user:alice", true),
        (group("system:authenticated"), "sa:ci/x", true),
        (group("system:authenticated"), "group:staff", true),
        (group("system:authenticated"), "user:system:anonymous", false),
        (group("system:unauthenticated"), "user:system:anonymous", true),
        (group("system:serviceaccounts"), "sa:ci/x", true),
        (group("system:serviceaccounts:ci"), "sa:ci/x", true),
        (group("system:serviceaccounts:ci"), "user:system:serviceaccount:ci:x", true),
        (group("system:serviceaccounts:ci"), "sa:ci2/x", false),
        ("{kind: ServiceAccount, name: x, namespace: ci}".to_owned(), "sa:ci/x", true),
        ("{kind: ServiceAccount, name: x}".to_owned(), "sa:a/x", true),
        ("{kind: User, name: 'system:serviceaccount:ci:x'}".to_owned(), "sa:ci/x", true),
        ("{kind: User, name: x}".to_owned(), "sa:ci/x", false),
        ("{kind: User, name: ''}".to_owned(), "group:staff", false),
    ];
    for (subject, who, expected) in cases {
        let found = rbac(&subject).allows(&identity(who), "a", &ask("get", "pods", ""));
        assert_eq!(found, expected, "{who} as {subject}");
    }
    let others = rbac(&group("system:authenticated"));
    for elsewhere in ["b", ""] {
        assert!(!others.allows(&identity("user:alice"), elsewhere, &ask("get", "pods", "")));
    }
}

#[test]
fn masters_always_may_and_missing_roles_give_nothing() {
    let mut rbac = alice_has("[{verbs: [get], apiGroups: [''], resources: [pods]}]");
    rbac.cluster_roles.clear();
    assert!(!rbac.allows(&identity("user:alice"), "", &ask("get", "pods", "")));
    assert_eq!(rbac.dangling().count(), 1);
    let root = Identity::of(&Subject::User("root".into()), ["system:masters".to_owned()]);
    assert!(rbac.allows(&root, "", &ask("get", "/anything", "")));
    assert_eq!(rbac.what_can(&root, None).len(), 1);
    let who = rbac.who_can("", &ask("get", "pods", ""));
    assert_eq!(
        who.iter().map(|grant| grant.subject.to_string()).collect::<Vec<_>>(),
        ["group:system:masters"]
    );
}

#[test]
fn what_somebody_can_says_through_what() {
    let rbac = dump(include_str!("tests.yaml"));
    let all = rbac.what_can(&identity("sa:ci/deployer"), None);
    let said: Vec<_> = all
        .iter()
        .map(|power| {
            let place = power.through.namespace().unwrap_or("*");
            let role = power.through.role().map(ToString::to_string).unwrap_or_default();
            format!("{place} {} {} {role}", power.rule.verbs.join(","), power.through.binding())
        })
        .collect();
    let expected = [
        "* get ClusterRoleBinding/readers ClusterRole/reader",
        "* get ClusterRoleBinding/readers ClusterRole/reader",
        "a get RoleBinding/read ClusterRole/reader",
        "a create RoleBinding/deploy Role/deploy",
    ];
    let sorted = |all: &[String]| {
        let mut all = all.to_vec();
        all.sort();
        all
    };
    assert_eq!(
        sorted(&said),
        sorted(&expected.map(str::to_owned)),
        "the rule of a path is only the cluster's"
    );
    assert_eq!(rbac.what_can(&identity("sa:ci/deployer"), Some("b")).len(), 2);
}

/// A small world in which names meet often.
fn small() -> impl Strategy<Value = Rbac> {
    let one_of = |all: &'static [&'static str]| prop::sample::select(all).prop_map(str::to_owned);
    let some = move |all| prop::collection::vec(one_of(all), 0..3);
    let rule = (
        some(&["get", "list", "create", "*"]),
        some(&["", "apps", "*"]),
        some(&["pods", "pods/log", "*/log", "*"]),
        some(&["a"]),
    )
        .prop_map(|(verbs, api_groups, resources, resource_names)| Rule {
            verbs,
            api_groups,
            resources,
            resource_names,
            non_resource_urls: Vec::new(),
        });
    let subject =
        prop::sample::select(vec!["user:alice", "group:staff", "group:system:authenticated", "sa:a/x"]);
    let binding = (
        prop::option::of(one_of(&["a", "b"])),
        one_of(&["r", "s", "missing"]),
        prop::collection::vec(subject, 0..3),
    )
        .prop_map(|(namespace, role, subjects)| Binding {
            namespace,
            name: "b".to_owned(),
            role: RoleRef { kind: RoleKind::ClusterRole, name: role },
            subjects: subjects.into_iter().map(|subject| subject.parse().unwrap()).collect(),
        });
    let rules = || prop::collection::vec(rule.clone(), 0..3);
    (rules(), rules(), prop::collection::vec(binding, 0..4)).prop_map(|(r, s, bindings)| Rbac {
        cluster_roles: [("r".to_owned(), r), ("s".to_owned(), s)].into(),
        roles: [].into(),
        bindings,
    })
}

proptest! {
    /// The two ways to ask are one: somebody may just when a subject that they are is among those who can.
    #[test]
    fn who_can_and_allows_agree(
        rbac in small(),
        verb in prop::sample::select(vec!["get", "list", "create", "deletecollection"]),
        resource in prop::sample::select(vec!["pods", "pods/log", "deployments", "deployments/log"]),
        name in prop::sample::select(vec!["", "a", "c"]),
        namespace in prop::sample::select(vec!["", "a", "b"]),
    ) {
        let question = ask(verb, resource, name);
        let who = rbac.who_can(namespace, &question);
        for subject in ["user:alice", "user:bob", "group:staff", "sa:a/x", "sa:b/x"] {
            let identity = identity(subject);
            let among = who.iter().any(|grant| grant.resource_names.is_empty() && identity.is(&grant.subject));
            prop_assert_eq!(rbac.allows(&identity, namespace, &question), among, "{}", subject);
            // Who may do it is told of a rule that says so.
            let namespace = Some(namespace).filter(|name| !name.is_empty());
            prop_assert!(!among || !rbac.what_can(&identity, namespace).is_empty());
        }
    }
}
