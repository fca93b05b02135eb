#![expect(clippy::arithmetic_side_effects, reason = "small numbers of a test")]

mod changes;
mod flows;
mod strangers;

use k8s_openapi::api::flowcontrol::v1 as k8s;

use super::*;
use crate::apf::objects::Subject;
use crate::apf::{DEFAULT_SERVER_SEATS, Level, ServerVersion, default_levels};

fn tenant(name: &str, users: &[&str], namespaces: &[&str]) -> Tenant {
    let owned = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect();
    Tenant {
        name: name.to_owned(),
        class: "gold".to_owned(),
        users: owned(users),
        namespaces: owned(namespaces),
        ..Tenant::default()
    }
}

fn inputs(tenants: Vec<Tenant>) -> Inputs {
    let own = vec![Subject::service_account("bailey-system", "*")];
    let classes = vec![Class::new("gold", 60), Class::new("bronze", 20)];
    Inputs { tenants, own, ..Inputs::new(classes) }
}

/// One user and so many namespaces for each of so many tenants.
fn crowd(tenants: usize, namespaces: impl Fn(usize) -> usize) -> Vec<Tenant> {
    let one = |number: usize| {
        let name = format!("t{number:05}");
        let namespaces = (0..namespaces(number)).map(|at| format!("{name}-{at}")).collect();
        Tenant { namespaces, ..tenant(&name, &[&format!("user-of-{name}")], &[]) }
    };
    (0..tenants).map(one).collect()
}

fn tight(tenants: Vec<Tenant>) -> Inputs {
    Inputs { bounds: Bounds { dedicated: 2, shards: 2, subjects: 20_000 }, ..inputs(tenants) }
}

fn names(plan: &Plan) -> Vec<&str> {
    plan.schemas.iter().map(|schema| schema.metadata.name.as_str()).collect()
}

#[test]
fn objects_are_shaped_as_the_server_has_them() {
    let mut all = crowd(6, |number| number % 3);
    all[0].groups = vec!["staff".into()];
    all[0].accounts = vec![Account { namespace: "ci".into(), name: "robot".into() }];
    let plan = plan(&tight(all)).unwrap();
    for level in &plan.levels {
        let ours = serde_json::to_value(level).unwrap();
        let theirs: k8s::PriorityLevelConfiguration = serde_json::from_value(ours.clone()).unwrap();
        assert_eq!(serde_json::to_value(&theirs).unwrap(), ours);
        assert_eq!(&serde_json::from_value::<PriorityLevelConfiguration>(ours).unwrap(), level);
    }
    for schema in &plan.schemas {
        let ours = serde_json::to_value(schema).unwrap();
        let theirs: k8s::FlowSchema = serde_json::from_value(ours.clone()).unwrap();
        assert_eq!(serde_json::to_value(&theirs).unwrap(), ours);
        assert_eq!(&serde_json::from_value::<FlowSchema>(ours).unwrap(), schema);
    }
}

#[test]
fn the_servers_own_levels_are_read() {
    let exempt = r#"{"metadata": {"name": "exempt", "uid": "1"}, "spec": {"type": "Exempt"}, "status": {}}"#;
    let level = Level::from(&serde_json::from_str::<PriorityLevelConfiguration>(exempt).unwrap());
    assert_eq!(level, default_levels()[0]);
    let reject = r#"{"metadata": {"name": "catch-all"}, "spec": {"type": "Limited", "limited":
        {"nominalConcurrencyShares": 5, "limitResponse": {"type": "Reject"}}}}"#;
    let level = Level::from(&serde_json::from_str::<PriorityLevelConfiguration>(reject).unwrap());
    assert_eq!(level, default_levels()[7]);
    let schema = r#"{"metadata": {"name": "x"}, "spec": {"priorityLevelConfiguration": {"name": "y"},
        "matchingPrecedence": 5, "distinguisherMethod": {"type": "ByUser"}, "rules": [{"subjects": [],
        "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "clusterScope": true,
        "namespaces": null}]}]}}"#;
    assert!(serde_json::from_str::<FlowSchema>(schema).is_ok());
}

#[test]
fn a_tenant_has_two_of_its_own() {
    let plan = plan(&inputs(vec![tenant("acme", &["eve"], &["shop", "web"])])).unwrap();
    assert_eq!(names(&plan), ["bailey.lists.acme", "bailey.own", "bailey.tenant.acme"]);
    let levels: Vec<_> = plan.levels.iter().map(|level| level.metadata.name.as_str()).collect();
    assert_eq!(levels, ["tenant-lists-bronze", "tenant-lists-gold", "tenants-bronze", "tenants-gold"]);
    assert_eq!(plan.warnings, []);
    let acme = &plan.schemas[2].spec;
    assert_eq!((acme.distinguisher_method, acme.matching_precedence), (None, 2_000));
    let [named, accounts] = acme.rules.as_slice() else { panic!("{:?}", acme.rules) };
    assert_eq!(named.subjects, [Subject::user("eve")]);
    assert_eq!(
        (&named.resource_rules[0].namespaces, named.resource_rules[0].cluster_scope),
        (&vec!["shop".to_owned(), "web".to_owned()], false)
    );
    assert!(named.non_resource_rules.is_empty());
    assert_eq!(accounts.subjects, ["shop", "web"].map(|name| Subject::service_account(name, "*")));
    assert!(accounts.resource_rules[0].cluster_scope && accounts.non_resource_rules.len() == 1);
}

#[test]
fn what_should_be_looked_at_is_said() {
    let mut odd = tenant("odd", &["system:kube-scheduler", "*", "system:serviceaccount:ci:robot"], &[]);
    odd.groups = vec!["system:authenticated".into(), "system:serviceaccounts:ci".into(), String::new()];
    odd.class = "silver".into();
    odd.namespaces = vec!["*".into(), "odd".into()];
    let account = |namespace: &str, name: &str| Account { namespace: namespace.into(), name: name.into() };
    odd.accounts = vec![account("ci", "*"), account("ci", "robot.1"), account("", "x")];
    let nobody = tenant("nobody", &["system:masters"], &[]);
    let made = plan(&Inputs { own: Vec::new(), ..inputs(vec![odd, nobody]) }).unwrap();
    let reserved = |tenant: &str, subject: &str| Warning::ReservedSubject {
        tenant: tenant.into(),
        subject: subject.into(),
    };
    let invalid = |account: &str| Warning::InvalidAccount { tenant: "odd".into(), account: account.into() };
    let expected = [
        reserved("nobody", "system:masters"),
        Warning::UnknownClass { tenant: "odd".into(), class: "silver".into() },
        reserved("odd", "system:kube-scheduler"),
        reserved("odd", "*"),
        reserved("odd", "system:serviceaccount:ci:robot"),
        reserved("odd", "system:authenticated"),
        reserved("odd", "system:serviceaccounts:ci"),
        reserved("odd", ""),
        invalid("ci/*"),
        invalid("/x"),
        invalid("*/*"),
        Warning::NoOwnSubject,
    ];
    assert_eq!(made.warnings, expected);
    assert!(!made.places.contains_key("nobody"));
    for warning in &made.warnings {
        let text = warning.to_string();
        assert!(!text.ends_with('.') && !text.contains('\n'), "{text}");
    }
}

#[test]
fn what_cannot_be_planned_is_refused() {
    let with = |change: fn(&mut Class)| {
        let mut inputs = inputs(Vec::new());
        change(&mut inputs.classes[0]);
        plan(&inputs).unwrap_err().to_string()
    };
    assert!(with(|class| class.name = "Gold".into()).contains("class `Gold`"));
    assert!(with(|class| class.hand = 0).contains("`hand` must be at least 1"));
    assert!(with(|class| class.queues = 5).contains("`queues` must be at least the hand"));
    assert!(with(|class| class.queues = 1_025).contains("at most 60"));
    assert!(with(|class| class.lendable_percent = 101).contains("at most 100"));
    assert!(with(|class| class.name = "bronze".into()).contains("twice"));
    assert!(with(|class| class.name = "silver".into()).contains("default class `gold`"));
    let twice = inputs(vec![tenant("a", &[], &[]), tenant("a", &[], &[])]);
    assert_eq!(plan(&twice), Err(PlanFault::Duplicate("a".into())));
    let none = Inputs { bounds: Bounds { dedicated: 1, shards: 0, subjects: 0 }, ..inputs(Vec::new()) };
    assert_eq!(plan(&none), Err(PlanFault::NoShards));
}

#[test]
fn objects_are_bounded_in_number_and_size() {
    let started = crowd(10_000, |number| 1 + usize::from(number % 20 == 0) * 4);
    let made = plan(&inputs(started)).unwrap();
    assert!(made.schemas.len() <= 2 * 1_000 + 4 * 16 + 2 + 1, "{}", made.schemas.len());
    let count = |kind| made.places.values().filter(|place| place.kind == kind).count();
    // 500 of six subjects and 500 of two, twice each; 2,000 of two, one of them twice and one four times; and Bailey's.
    assert_eq!([PlaceKind::Dedicated, PlaceKind::Shared].map(count), [1_000, 2_000]);
    assert_eq!([PlaceKind::Pooled, PlaceKind::Open].map(count), [0, 7_000]);
    let rules = made.schemas.iter().flat_map(|schema| &schema.spec.rules);
    assert_eq!(rules.map(|rules| rules.subjects.len()).sum::<usize>(), 20_000 + 2 + 1);
    assert_eq!(made.warnings, [Warning::Open { tenants: 7_000 }]);
    let sizes = made.schemas.iter().map(|schema| serde_json::to_vec(schema).unwrap().len());
    assert!(sizes.max().unwrap() < 1_000_000);
    for schema in &made.schemas {
        assert!(schema.spec.rules.iter().all(|rules| !rules.subjects.is_empty()));
    }
}

#[test]
fn a_tenant_of_very_many_users_is_split() {
    let users: Vec<String> = (0..20_000).map(|number| format!("user-{number}@example.org")).collect();
    let mut large = tenant("large", &[], &["large"]);
    large.users = users;
    let all = vec![large.clone(), tenant("small", &["eve"], &["small"])];
    let much = Bounds { subjects: usize::MAX, ..Bounds::default() };
    let made = plan(&Inputs { bounds: much, ..inputs(all) }).unwrap();
    let large_ones: Vec<&str> = names(&made).into_iter().filter(|name| name.contains("large")).collect();
    let parts = large_ones.len() / 2;
    assert!(large_ones.contains(&"bailey.tenant-part1.large") && (2..6).contains(&parts), "{large_ones:?}");
    assert_eq!(made.warnings, [Warning::Split { tenant: "large".into(), parts }]);
    let subjects: usize = made
        .schemas
        .iter()
        .filter(|schema| schema.metadata.name.starts_with("bailey.tenant"))
        .flat_map(|schema| &schema.spec.rules)
        .map(|rules| rules.subjects.len())
        .sum();
    assert_eq!(subjects, 20_001 + 2);
    let none =
        Inputs { bounds: Bounds { dedicated: 0, shards: 1, subjects: usize::MAX }, ..inputs(vec![large]) };
    for schema in plan(&none).unwrap().schemas {
        assert!(serde_json::to_vec(&schema).unwrap().len() < MAX_SUBJECT_BYTES + 2_048);
    }
}

#[test]
fn a_tenant_of_very_many_namespaces_is_split_and_still_in_one_place() {
    let mut large = tenant("large", &["eve"], &[]);
    large.namespaces = (0..9_000).map(|at| format!("large-{at:0>50}")).collect();
    let much = Bounds { subjects: usize::MAX, ..Bounds::default() };
    let made = plan(&Inputs { bounds: much, ..inputs(vec![large.clone()]) }).unwrap();
    let [Warning::Split { parts, .. }] = made.warnings.as_slice() else { panic!("{:?}", made.warnings) };
    assert_eq!((made.schemas.len(), (3..8).contains(parts)), (2 * parts + 1, true));
    for schema in &made.schemas {
        assert!(serde_json::to_vec(schema).unwrap().len() < MAX_SUBJECT_BYTES + 2_048);
    }
    // Each namespace is in one of them, for the user as for the accounts.
    let rules = made.schemas.iter().flat_map(|schema| &schema.spec.rules);
    let named = rules.filter(|rules| rules.subjects == [Subject::user("eve")]);
    let namespaces: usize = named.map(|rules| rules.resource_rules[0].namespaces.len()).sum();
    assert_eq!(namespaces, 2 * large.namespaces.len());
}

#[test]
fn the_seats_of_every_level_are_told() {
    let made = plan(&inputs(Vec::new())).unwrap();
    let report = made.seats(DEFAULT_SERVER_SEATS, &default_levels(), ServerVersion::From134);
    let told: Vec<(&str, u32, u32, u32, u32)> = report
        .levels
        .iter()
        .filter(|row| row.planned)
        .map(|row| (row.level.name.as_str(), row.seats.nominal, row.seats.min, row.seats.max, row.width.list))
        .collect();
    // 345 shares in all: 245 of the server's own, 60 + 15 + 20 + 5.
    let expected = [
        ("tenant-lists-bronze", 9, 4, 9, 1),
        ("tenant-lists-gold", 27, 13, 27, 4),
        ("tenants-bronze", 35, 17, 70, 5),
        ("tenants-gold", 105, 52, 210, 16),
    ];
    assert_eq!(told, expected);
    assert_eq!(report.warnings, []);
    // The levels as they are read back from the cluster change nothing.
    let mut live = default_levels();
    live.extend(made.levels.iter().map(Level::from));
    assert_eq!(made.seats(DEFAULT_SERVER_SEATS, &live, ServerVersion::From134), report);
}

#[test]
fn levels_that_cannot_serve_are_told() {
    let mut large = inputs(Vec::new());
    large.classes = vec![Class { lists_shares: 5, ..Class::new("gold", 600) }];
    let report = plan(&large).unwrap().seats(120, &default_levels(), ServerVersion::From134);
    assert!(report.warnings.contains(&Warning::Narrow {
        level: "tenant-lists-gold".into(),
        nominal: 1,
        held: 6
    }));
    assert!(report.warnings.contains(&Warning::Starved { level: "system".into(), before: 15, after: 5 }));
}
