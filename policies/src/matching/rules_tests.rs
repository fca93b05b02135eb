use bytes::Bytes;
use model::{GroupVersionKind, GroupVersionResource, Requirement, SelectorOperator, UserInfo};

use super::*;

fn request(kind: &str, resource: &str) -> Request {
    Request {
        uid: "u".into(),
        kind: GroupVersionKind { group: String::new(), version: "v1".into(), kind: kind.into() },
        resource: GroupVersionResource {
            group: String::new(),
            version: "v1".into(),
            resource: resource.into(),
        },
        sub_resource: String::new(),
        name: "web-1".into(),
        namespace: "team-a".into(),
        operation: Operation::Create,
        user: UserInfo { username: "ada".into(), groups: vec!["dev".into()], ..UserInfo::default() },
        dry_run: false,
        raw: Bytes::new(),
        object: Some(Bytes::from_static(br#"{"metadata":{"name":"web-1","labels":{"tier":"gold"}}}"#)),
        old_object: None,
    }
}

fn pods() -> MatchRules {
    MatchRules {
        resources: vec![ResourceRule {
            groups: vec![String::new()],
            kinds: vec!["Pod".into()],
            ..ResourceRule::default()
        }],
        ..MatchRules::default()
    }
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// The whole verdict, with the namespace's labels as the cache would give them.
fn matches(rules: &MatchRules, request: &Request) -> bool {
    let matcher = Matcher::new(rules).unwrap();
    let mut labels = RequestLabels::default();
    let namespace_labels = BTreeMap::from([("env".to_owned(), "prod".to_owned())]);
    let namespace = if request.is_namespace() {
        matcher.matches_own_namespace(request, &mut labels).unwrap()
    } else if request.is_cluster_scoped() {
        true
    } else {
        matcher.matches_namespace(&request.namespace, || Ok(&namespace_labels)).unwrap()
    };
    matcher.matches_resource(request) && namespace && matcher.matches_object(request, &mut labels).unwrap()
}

#[test]
fn rows_follow_kind_operation_group_version_and_scope() {
    let row = |change: fn(&mut ResourceRule)| {
        let mut rules = pods();
        change(&mut rules.resources[0]);
        rules
    };
    let pod = request("Pod", "pods");
    let cases: [(MatchRules, bool); 12] = [
        (row(|_| ()), true),
        (row(|row| row.kinds = names(&["Service"])), false),
        (row(|row| row.kinds = names(&["*"])), true),
        (row(|row| (row.kinds, row.resources) = (vec![], names(&["pods"]))), true),
        (row(|row| row.groups = names(&["apps"])), false),
        (row(|row| row.groups = names(&["*"])), true),
        (row(|row| row.groups = vec![]), false),
        (row(|row| row.versions = names(&["v2"])), false),
        (row(|row| row.operations = vec![Operation::Delete]), false),
        (row(|row| row.scope = Scope::Cluster), false),
        (row(|row| row.scope = Scope::Namespaced), true),
        (row(|row| row.sub_resources = names(&["status"])), false),
    ];
    for (rules, expected) in cases {
        assert_eq!(matches(&rules, &pod), expected, "{:?}", rules.resources);
    }
}

#[test]
fn subresources_are_matched_only_where_they_are_named() {
    let mut exec = request("PodExecOptions", "pods");
    exec.sub_resource = "exec".into();
    exec.operation = Operation::Connect;
    let mut rules = pods();
    rules.resources[0] = ResourceRule {
        groups: vec![String::new()],
        resources: names(&["pods"]),
        operations: vec![Operation::Connect],
        ..ResourceRule::default()
    };
    assert!(!matches(&rules, &exec));
    rules.resources[0].sub_resources = names(&["exec"]);
    assert!(matches(&rules, &exec));
    rules.resources[0].sub_resources = names(&["*"]);
    assert!(matches(&rules, &exec));
}

#[test]
fn any_group_leaves_baileys_own_objects_out() {
    let mut policy = request("Policy", "policies");
    policy.resource.group = "bailey.dev".into();
    policy.kind.group = "bailey.dev".into();
    policy.namespace = String::new();
    let mut rules = pods();
    rules.resources[0].kinds = names(&["*"]);
    rules.resources[0].groups = names(&["*"]);
    assert!(!matches(&rules, &policy));
    rules.resources[0].groups = names(&["bailey.dev"]);
    assert!(matches(&rules, &policy));
}

#[test]
fn namespace_rules_test_namespaced_objects_and_namespaces_only() {
    let mut rules = pods();
    rules.namespaces = names(&["team-*"]);
    assert!(matches(&rules, &request("Pod", "pods")));
    rules.excluded_namespaces = names(&["team-a"]);
    assert!(!matches(&rules, &request("Pod", "pods")));

    rules.resources[0].kinds = names(&["*"]);
    let mut node = request("Node", "nodes");
    node.namespace = String::new();
    assert!(matches(&rules, &node), "other cluster-scoped objects pass untested");

    let mut namespace = request("Namespace", "namespaces");
    (namespace.name, namespace.namespace) = ("team-a".into(), "team-a".into());
    assert!(!matches(&rules, &namespace));
    (namespace.name, namespace.namespace) = ("team-b".into(), "team-b".into());
    assert!(matches(&rules, &namespace));
}

#[test]
fn a_namespace_is_selected_by_its_own_labels_old_or_new() {
    let mut rules = pods();
    rules.resources[0].kinds = names(&["Namespace"]);
    rules.resources[0].operations = vec![Operation::Update];
    rules.namespace_selector.match_labels.insert("tier".into(), "gold".into());
    let mut namespace = request("Namespace", "namespaces");
    namespace.operation = Operation::Update;
    namespace.old_object = namespace.object.replace(Bytes::from_static(br#"{"metadata":{"labels":null}}"#));
    assert!(matches(&rules, &namespace), "taking the label off is still seen");
}

#[test]
fn selectors_names_and_subjects() {
    let pod = request("Pod", "pods");
    let with = |change: fn(&mut MatchRules)| {
        let mut rules = pods();
        change(&mut rules);
        rules
    };
    let requirement = |operator| Requirement { key: "tier".into(), operator, values: Default::default() };
    let mut absent = pods();
    absent.object_selector.match_expressions = vec![requirement(SelectorOperator::DoesNotExist)];
    let cases = [
        (with(|r| _ = r.object_selector.match_labels.insert("tier".into(), "gold".into())), true),
        (with(|r| _ = r.object_selector.match_labels.insert("tier".into(), "tin".into())), false),
        (absent, false),
        (with(|r| _ = r.namespace_selector.match_labels.insert("env".into(), "prod".into())), true),
        (with(|r| _ = r.namespace_selector.match_labels.insert("env".into(), "dev".into())), false),
        (with(|r| r.names = names(&["web-*"])), true),
        (with(|r| r.names = names(&["db-*"])), false),
        (with(|r| r.subjects.users = names(&["ada"])), true),
        (with(|r| r.subjects.users = names(&["bob"])), false),
        (with(|r| r.subjects.groups = names(&["d?v"])), true),
        (with(|r| r.excluded_subjects.groups = names(&["dev"])), false),
        (with(|r| r.subjects.service_accounts = names(&["*"])), false),
    ];
    for (rules, expected) in cases {
        assert_eq!(matches(&rules, &pod), expected, "{rules:?}");
    }
    let mut robot = pod;
    robot.user.username = "system:serviceaccount:ci:runner".into();
    assert!(matches(&with(|r| r.subjects.service_accounts = names(&["ci:*"])), &robot));
}

#[test]
fn a_generated_name_is_tested_by_its_prefix() {
    let mut rules = pods();
    rules.names = names(&["job-*"]);
    let mut pod = request("Pod", "pods");
    pod.name = String::new();
    pod.object = Some(Bytes::from_static(br#"{"metadata":{"generateName":"job-"}}"#));
    assert!(matches(&rules, &pod));
}

#[test]
fn unreadable_metadata_is_an_error_not_a_mismatch() {
    let mut rules = pods();
    rules.object_selector.match_labels.insert("tier".into(), "gold".into());
    let mut pod = request("Pod", "pods");
    pod.object = Some(Bytes::from_static(br#"{"metadata":{"labels":["tier"]}}"#));
    let error =
        Matcher::new(&rules).unwrap().matches_object(&pod, &mut RequestLabels::default()).unwrap_err();
    assert_eq!(error.code, Code::MatchError);
}

#[test]
fn rules_without_rows_or_kinds_are_refused() {
    assert!(Matcher::new(&MatchRules::default()).is_err());
    let mut rules = pods();
    rules.resources[0].kinds.clear();
    assert_eq!(Matcher::new(&rules).unwrap_err().code, Code::BindingInvalid);
}
