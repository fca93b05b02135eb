use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::{
    Contents, Isolation, Member, NamespaceRules, NamespaceState, Network, Subject, TENANT_LABEL, Tenant,
    TenantIndex, TenantRole, WALLS_LABEL, WALLS_STANDING,
};
use serde_json::{Value, json};

use super::content::Content;
use super::plan::{Found, Key, Kind, Plan, Situation, Step, Wishes, plan};

fn tenant(members: &[(&str, TenantRole)], contents: Contents) -> Tenant {
    let members = members.iter().map(|(name, role)| Member {
        subject: Subject::User((*name).to_owned()),
        role: *role,
        cluster_role: (*role == TenantRole::Custom).then(|| "auditor".to_owned()),
    });
    let label = ("pod-security.kubernetes.io/enforce".to_owned(), "baseline".to_owned());
    Tenant {
        name: "alpha".into(),
        parents: Vec::new(),
        members: members.collect(),
        namespaces: NamespaceRules::default(),
        budget: model::Budget::default(),
        suspended: false,
        weight: std::num::NonZeroU32::MIN,
        profile: "default".into(),
        isolation: Isolation {
            pod_security: BTreeMap::from([label]),
            network: Some(Network::default()),
            contents,
            rules: Vec::new(),
            fault: None,
        },
    }
}

/// The tenant alpha and its namespaces; those that stand have all labels.
fn index(tenant: Tenant, namespaces: &[&str], stand: bool) -> TenantIndex {
    let mut labels = BTreeMap::from([(TENANT_LABEL.to_owned(), "alpha".to_owned())]);
    if stand {
        labels.extend(tenant.isolation.pod_security.clone());
        labels.insert(WALLS_LABEL.to_owned(), WALLS_STANDING.to_owned());
    }
    let state = Arc::new(NamespaceState::of(labels));
    TenantIndex::new(
        [Arc::new(tenant)],
        namespaces.iter().map(|name| ((*name).to_owned(), Arc::clone(&state))),
    )
}

#[test]
fn a_namespace_that_goes_gets_nothing_any_more() {
    let tenant = tenant(&[("alice", TenantRole::Owner)], Contents::default());
    let going = NamespaceState {
        terminating: true,
        ..NamespaceState::of(BTreeMap::from([(TENANT_LABEL.to_owned(), "alpha".to_owned())]))
    };
    let namespaces = [("alpha-one".to_owned(), Arc::new(going))];
    let plan = next(&TenantIndex::new([Arc::new(tenant)], namespaces), &Found::new(), 100);
    assert!(plan.steps.iter().all(|step| step.key().namespace.is_empty()), "{plan:?}");
    assert!(plan.standing.is_empty());
}

fn next(index: &TenantIndex, found: &Found, most: usize) -> Plan {
    let (secrets, resting) =
        (BTreeMap::from([("registry".to_owned(), json!({"data": {}}))]), BTreeSet::new());
    plan(
        &Situation { index, found, secrets: &secrets, resting: &resting, unsettled: &BTreeSet::new() },
        &mut Wishes::default(),
        most,
    )
}

/// The cluster after the steps of a plan.
fn after(plan: Plan, mut found: Found) -> Found {
    for step in plan.steps {
        match step {
            Step::Apply(key, fields) => {
                let content = Content::found(key.kind, &key.name, fields);
                found.entry(key.namespace).or_default().insert((key.kind, key.name), content);
            }
            Step::Delete(key) => {
                found.get_mut(&key.namespace).map(|objects| objects.remove(&(key.kind, key.name)));
            }
            Step::Label(..) => {}
        }
    }
    found
}

fn names(plan: &Plan) -> Vec<String> {
    let shown = |step: &Step| {
        let verb = match step {
            Step::Delete(_) => "-",
            Step::Apply(..) => "+",
            Step::Label(..) => "#",
        };
        let Key { kind, namespace, name } = step.key();
        format!("{verb} {kind:?} {namespace}/{name}")
    };
    plan.steps.iter().map(shown).collect()
}

#[test]
fn every_namespace_gets_its_walls_and_a_binding_for_each_role_that_has_members() {
    let contents = Contents {
        limit_ranges: vec![vec![json!({"type": "Container"})], vec![json!({"type": "Pod"})]],
        templates: vec![json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "about"}, "data": {"it": "${TENANT} ${NAMESPACE}"},
        })],
        secrets: vec!["registry".to_owned(), "not-there".to_owned()],
        ..Contents::default()
    };
    let members = [("alice", TenantRole::Owner), ("carol", TenantRole::Viewer), ("eve", TenantRole::Custom)];
    let index = index(tenant(&members, contents), &["a"], false);
    let plan = next(&index, &Found::new(), 100);
    let expected = [
        "+ ClusterRole /bailey-tenant-owners:alpha",
        "+ ClusterRole /bailey-tenant:alpha",
        "+ ClusterRoleBinding /bailey-tenant-owners:alpha",
        "+ ClusterRoleBinding /bailey-tenant:alpha",
        "+ ClusterRoleBinding /bailey-tenant-owners",
        "# Namespace a/a",
        "+ NetworkPolicy a/bailey-isolation",
        "+ LimitRange a/bailey-limits",
        "+ LimitRange a/bailey-limits-1",
        "+ ServiceAccount a/default",
        "+ ConfigMap a/about",
        "+ RoleBinding a/bailey-custom-auditor",
        "+ RoleBinding a/bailey-namespace-owners",
        "+ RoleBinding a/bailey-owners",
        "+ RoleBinding a/bailey-viewers",
        "+ Secret a/registry",
    ];
    assert_eq!(names(&plan), expected);
    assert!(plan.standing.is_empty() && !plan.more);
    let about = plan.steps.iter().find_map(|step| match step {
        Step::Apply(key, fields) if key.kind == Kind::ConfigMap => Some(fields),
        _ => None,
    });
    assert_eq!(about, Some(&json!({"data": {"it": "alpha a"}})));
}

#[test]
fn what_is_right_gets_no_step_and_what_is_left_over_goes_first() {
    let with =
        |members: &[(&str, TenantRole)], stand| index(tenant(members, Contents::default()), &["a"], stand);
    let owner = [("alice", TenantRole::Owner)];
    let found = after(next(&with(&owner, false), &Found::new(), 100), Found::new());
    assert_eq!(next(&with(&owner, true), &found, 100), Plan::default());
    let plan = next(&with(&[("bob", TenantRole::Editor)], true), &found, 100);
    let expected = [
        "- ClusterRole /bailey-tenant-owners:alpha",
        "- ClusterRoleBinding /bailey-tenant-owners",
        "- ClusterRoleBinding /bailey-tenant-owners:alpha",
        "- RoleBinding a/bailey-namespace-owners",
        "- RoleBinding a/bailey-owners",
        "+ ClusterRoleBinding /bailey-tenant:alpha",
        "+ RoleBinding a/bailey-editors",
    ];
    let mut found_names = names(&plan);
    found_names[..5].sort();
    assert_eq!(found_names, expected);
}

#[test]
fn a_namespace_stands_when_all_is_there_and_not_before() {
    let mut labelled = tenant(&[("alice", TenantRole::Owner)], Contents::default());
    labelled.isolation.pod_security = BTreeMap::new();
    let index = index(labelled, &["a", "b"], false);
    let first = next(&index, &Found::new(), 1);
    assert!(first.more && first.standing.is_empty());
    assert_eq!(first.unfinished.iter().collect::<Vec<_>>(), ["alpha"], "it is not said to be in sync yet");
    let found = after(first, Found::new());
    let second = next(&index, &found, 100);
    assert_eq!((second.standing.as_slice(), second.more), (&["a".to_owned()][..], false));
    let found = after(second, found);
    assert_eq!(next(&index, &found, 100).standing, ["a", "b"]);
}

#[test]
fn drift_is_put_right_and_a_binding_with_another_role_is_made_again() {
    let index = index(tenant(&[("alice", TenantRole::Owner)], Contents::default()), &["a"], true);
    let mut found = after(next(&index, &Found::new(), 100), Found::new());
    let mut drift = |kind: Kind, name: &str, fields: Value| {
        let content = Content::found(kind, name, fields);
        found.get_mut("a").unwrap().insert((kind, name.to_owned()), content);
    };
    drift(Kind::NetworkPolicy, "bailey-isolation", json!({"spec": {"podSelector": {}}}));
    drift(Kind::ServiceAccount, "default", json!({"automountServiceAccountToken": true}));
    let other = json!({"apiGroup": super::plan::RBAC, "kind": "ClusterRole", "name": "cluster-admin"});
    drift(Kind::RoleBinding, "bailey-owners", json!({"roleRef": other, "subjects": []}));
    drift(Kind::ConfigMap, "left-over", json!({"data": {}}));
    let plan = next(&index, &found, 100);
    let expected = [
        "- ConfigMap a/left-over",
        "- RoleBinding a/bailey-owners",
        "+ NetworkPolicy a/bailey-isolation",
        "+ ServiceAccount a/default",
        "+ RoleBinding a/bailey-owners",
    ];
    assert_eq!(names(&plan), expected);
}

#[test]
fn a_namespace_that_leaves_its_tenant_loses_what_it_got() {
    let with = |namespaces: &[&str]| {
        index(tenant(&[("alice", TenantRole::Owner)], Contents::default()), namespaces, true)
    };
    let found = after(next(&with(&["a", "b"]), &Found::new(), 100), Found::new());
    let plan = next(&with(&["a"]), &found, 100);
    assert!(names(&plan).iter().all(|name| name.starts_with("- ") && name.contains(" b/")), "{plan:?}");
    assert_eq!(plan.steps.len(), 4, "its labels stay: without a tenant it is as safe as before");
}

#[test]
fn a_backstop_is_as_wide_as_is_asked_and_whole_where_it_cannot_be_divided() {
    let mut tenant = tenant(&[], Contents::default());
    let amount = |text: &str| model::quantity(text).unwrap();
    let hard =
        [("requests.cpu", "1500m"), ("requests.memory", "3Gi"), ("pods", "5"), ("count/namespaces", "9")];
    tenant.budget.hard = hard.into_iter().map(|(name, most)| (name.into(), amount(most))).collect();
    let quota = |tenant: &model::Tenant| {
        let plan = next(&index(tenant.clone(), &["a"], false), &Found::new(), 100);
        plan.steps.into_iter().find_map(|step| match step {
            Step::Apply(key, fields) if key.kind == Kind::ResourceQuota => Some((key.name, fields)),
            _ => None,
        })
    };
    assert_eq!(quota(&tenant), None, "only where it is asked for");
    tenant.budget.backstop_percent = Some(150);
    let hard = json!({"requests.cpu": "2250m", "requests.memory": "4608Mi", "pods": "8"});
    assert_eq!(quota(&tenant), Some(("bailey-backstop".to_owned(), json!({"spec": {"hard": hard}}))));
}
