//! Which flows a tenant can reach, whatever it sends.

use std::collections::BTreeSet;

use super::*;
use crate::apf::{About, Flow, Request, classify};

/// What a user asks about namespaces and beside them, and the flow of each request that has one.
pub(super) fn flows_of(
    plan: &Plan,
    user: &str,
    groups: &[&str],
    namespaces: &[&str],
) -> Vec<(String, Option<Flow>)> {
    let groups = [groups, &["system:authenticated"]].concat();
    let mut flows = Vec::new();
    for verb in ["get", "list", "watch", "create"] {
        let resources = namespaces.iter().map(|namespace| About::Resource {
            group: "apps",
            resource: "deployments/scale",
            namespace,
        });
        for about in resources.chain([About::Path("/openapi/v3")]) {
            let request = Request { user, groups: &groups, verb, about };
            flows.push((format!("{user} {verb} {about:?}"), classify(&plan.schemas, &request)));
        }
    }
    flows
}

/// Two service accounts of each of a tenant's namespaces.
pub(super) fn accounts(tenant: &Tenant) -> Vec<String> {
    let of = |namespace: &String| {
        ["default", "robot"].map(|name| format!("system:serviceaccount:{namespace}:{name}"))
    };
    tenant.namespaces.iter().flat_map(of).collect()
}

/// Every flow that anybody who acts for a tenant falls into, with requests about any namespace.
pub(super) fn reached(plan: &Plan, tenant: &Tenant, namespaces: &[&str]) -> BTreeSet<Flow> {
    let users: Vec<String> = tenant.users.iter().cloned().chain(accounts(tenant)).collect();
    let flows = users.iter().flat_map(|user| flows_of(plan, user, &[], namespaces));
    flows.filter_map(|(_, flow)| flow).collect()
}

/// How many flows there are in levels for lists, and in others.
pub(super) fn counted(flows: &BTreeSet<Flow>) -> (usize, usize) {
    let lists = flows.iter().filter(|flow| flow.level.starts_with("tenant-lists-")).count();
    (lists, flows.len() - lists)
}

#[test]
fn a_tenant_gains_nothing_by_users_accounts_and_namespaces() {
    let few = tenant("few", &["eve"], &["few-0"]);
    let mut many = tenant("many", &[], &[]);
    many.users = (0..100).map(|number| format!("user-{number}")).collect();
    many.namespaces = (0..50).map(|number| format!("many-{number}")).collect();
    let everywhere = ["", "few-0", "many-0", "many-1", "many-49", "elsewhere"];
    let made = plan(&inputs(vec![few.clone(), many.clone()])).unwrap();
    let (one, other) = (reached(&made, &few, &everywhere), reached(&made, &many, &everywhere));
    assert_eq!((counted(&one), counted(&other)), ((1, 1), (1, 1)));
    assert!(one.is_disjoint(&other));
}

#[test]
fn bailey_goes_its_own_way_whoever_names_it() {
    let mut namer = tenant("namer", &[], &["namer"]);
    namer.accounts = vec![Account { namespace: "bailey-system".into(), name: "bailey".into() }];
    let made = plan(&inputs(vec![namer])).unwrap();
    for (request, flow) in flows_of(&made, "system:serviceaccount:bailey-system:bailey", &[], &["", "namer"])
    {
        assert_eq!(
            flow.map(|flow| (flow.level, flow.schema)),
            Some(("workload-high".into(), "bailey.own".into())),
            "{request}"
        );
    }
}

#[test]
fn who_is_named_is_in_the_flow_inside_and_nowhere_else() {
    let mut shop = tenant("shop", &["eve"], &["shop-web"]);
    shop.groups = vec!["staff".into()];
    shop.accounts = [("ci", "robot"), ("bank-web", "robot")]
        .map(|(namespace, name)| Account { namespace: namespace.into(), name: name.into() })
        .into();
    let bank = tenant("bank", &["eve"], &["bank-web"]);
    let made = plan(&inputs(vec![shop, bank])).unwrap();
    let schemas = |user: &str, groups: &[&str], namespace: &str| -> BTreeSet<String> {
        let flows = flows_of(&made, user, groups, &[namespace]).into_iter();
        let inside = flows.filter(|(request, _)| !request.contains("Path"));
        inside.map(|(_, flow)| flow.map_or_else(|| "none".to_owned(), |flow| flow.schema)).collect()
    };
    let of =
        |tenant: &str| BTreeSet::from([format!("bailey.lists.{tenant}"), format!("bailey.tenant.{tenant}")]);
    let none = BTreeSet::from(["none".to_owned()]);
    let robot = "system:serviceaccount:ci:robot";
    for (user, groups) in [("eve", &[][..]), ("tom", &["staff"]), (robot, &[])] {
        assert_eq!(schemas(user, groups, "shop-web"), of("shop"), "{user}");
        for elsewhere in ["", "default"] {
            assert_eq!(schemas(user, groups, elsewhere), none, "{user} in {elsewhere}");
        }
    }
    // Who is in two tenants acts for that of the namespace.
    assert_eq!(schemas("eve", &[], "bank-web"), of("bank"));
    assert_eq!(schemas("tom", &["staff"], "bank-web"), none);
    // An account acts for its own tenant, whoever names it.
    for namespace in ["", "default", "shop-web", "bank-web"] {
        assert_eq!(
            schemas("system:serviceaccount:bank-web:robot", &[], namespace),
            of("bank"),
            "{namespace}"
        );
    }
}

#[test]
fn shared_tenants_are_told_apart_by_their_namespace() {
    let mut all = crowd(40, |_| 1);
    let everywhere: Vec<String> = all.iter().map(|tenant| tenant.namespaces[0].clone()).collect();
    let mut everywhere: Vec<&str> = everywhere.iter().map(String::as_str).collect();
    everywhere.extend(["", "elsewhere"]);
    all[30].users.push("both".into());
    all[31].users.push("both".into());
    let made = plan(&tight(all.clone())).unwrap();
    let shared: Vec<&Tenant> =
        all.iter().filter(|tenant| made.places[&tenant.name].kind == PlaceKind::Shared).collect();
    assert_eq!(shared.len(), 38);
    for tenant in &shared {
        let flows = reached(&made, tenant, &everywhere);
        let own: Vec<&Flow> =
            flows.iter().filter(|flow| flow.distinguisher == tenant.namespaces[0]).collect();
        assert_eq!(own.len(), 2, "{flows:?}");
    }
    let both = tenant("both", &["both"], &[]);
    let found = reached(&made, &both, &everywhere);
    let found: BTreeSet<&str> = found.iter().map(|flow| flow.distinguisher.as_str()).collect();
    assert_eq!(found, BTreeSet::from(["t00030-0", "t00031-0"]));
}

#[test]
fn open_tenants_are_told_apart_by_their_namespace() {
    let all = crowd(40, |number| 1 + usize::from(number == 39));
    // Ten of two subjects, one of them twice, and one of three; for lists and the rest.
    let bounds = Bounds { dedicated: 1, shards: 2, subjects: 2 * 3 + 2 * 3 * 10 };
    let made = plan(&Inputs { bounds, ..inputs(all.clone()) }).unwrap();
    let open: Vec<&Tenant> =
        all.iter().filter(|tenant| made.places[&tenant.name].kind == PlaceKind::Open).collect();
    assert_eq!((open.len(), made.warnings.as_slice()), (29, &[Warning::Open { tenants: 29 }][..]));
    for tenant in open {
        let own: Vec<Flow> = reached(&made, tenant, &[&tenant.namespaces[0]]).into_iter().collect();
        assert_eq!(own.len(), 2, "{own:?}");
        for (flow, schema) in own.iter().zip(["bailey.open-lists.gold", "bailey.open.gold"]) {
            assert_eq!((flow.schema.as_str(), &flow.distinguisher), (schema, &tenant.namespaces[0]));
        }
        assert!(reached(&made, tenant, &["", "elsewhere"]).is_empty());
    }
    // Service accounts of others are told by who they are, wherever they ask.
    let accounts = Tenant { users: Vec::new(), ..all[39].clone() };
    let flows = reached(&made, &accounts, &["t00038-0"]);
    assert!(flows.iter().all(|flow| flow.schema.ends_with(".t00039")), "{flows:?}");
}

#[test]
fn whoever_has_many_subjects_is_open_and_not_the_others() {
    let mut all = crowd(20, |_| 2);
    all[0].users = (0..50).map(|number| format!("user-{number}")).collect();
    // All fit but the one that has many.
    let bounds = Bounds { subjects: 2 * 3 * 19 + 50, ..Bounds::default() };
    let made = plan(&Inputs { bounds, ..inputs(all.clone()) }).unwrap();
    for tenant in &all {
        let open = made.places[&tenant.name].kind == PlaceKind::Open;
        assert_eq!(open, tenant.name == "t00000", "{}", tenant.name);
    }
}
