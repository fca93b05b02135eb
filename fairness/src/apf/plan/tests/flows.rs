//! Which flows a tenant can reach, whatever it sends.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::apf::{About, Flow, Request, classify};

/// Every flow that anybody who acts for a tenant falls into, with requests about any namespace.
fn reached(plan: &Plan, tenant: &Tenant, namespaces: &[&str]) -> BTreeSet<Flow> {
    let accounts = tenant.namespaces.iter().flat_map(|namespace| {
        ["default", "robot"].map(|name| format!("system:serviceaccount:{namespace}:{name}"))
    });
    let users: Vec<String> = tenant.users.iter().cloned().chain(accounts).collect();
    let mut flows = BTreeSet::new();
    for user in &users {
        for verb in ["get", "list", "watch", "create"] {
            let resources = namespaces.iter().map(|namespace| About::Resource {
                group: "apps",
                resource: "deployments/scale",
                namespace,
            });
            for about in resources.chain([About::Path("/openapi/v3")]) {
                let request = Request { user, groups: &["system:authenticated"], verb, about };
                flows.extend(classify(&plan.schemas, &request));
            }
        }
    }
    flows
}

/// How many flows there are in levels for lists, and in others.
fn counted(flows: &BTreeSet<Flow>) -> (usize, usize) {
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
    let bailey = tenant("bailey", &["system:serviceaccount:bailey-system:bailey"], &[]);
    let flow = reached(&made, &bailey, &[""]).pop_first().unwrap();
    assert_eq!((flow.level.as_str(), flow.schema.as_str()), ("workload-high", "bailey.own"));
}

#[test]
fn shared_tenants_are_told_apart_by_their_namespace() {
    let mut all = crowd(40, |_| 1);
    let everywhere: Vec<String> = all.iter().map(|tenant| tenant.namespaces[0].clone()).collect();
    let mut everywhere: Vec<&str> = everywhere.iter().map(String::as_str).collect();
    everywhere.extend(["", "elsewhere"]);
    // Somebody in two tenants pays for each in its namespace.
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
    let place = |namespace| {
        let flows = reached(&made, &both, &[namespace]);
        flows
            .into_iter()
            .filter(|flow| !flow.distinguisher.is_empty())
            .map(|flow| flow.distinguisher)
            .collect()
    };
    let found: BTreeSet<String> = place("t00031-0");
    assert_eq!(found, BTreeSet::from(["t00031-0".to_owned()]));
}

#[test]
fn somebody_in_two_tenants_always_acts_for_the_same_one() {
    let one = tenant("one", &["eve"], &["a", "b"]);
    let two = tenant("two", &["eve"], &["c", "d"]);
    for tenants in [vec![one.clone(), two.clone()], vec![two, one]] {
        let made = plan(&inputs(tenants)).unwrap();
        let eve = tenant("eve", &["eve"], &[]);
        let schemas: BTreeSet<String> =
            reached(&made, &eve, &["", "a", "c"]).into_iter().map(|flow| flow.schema).collect();
        assert_eq!(schemas, BTreeSet::from(["bailey.lists.one".to_owned(), "bailey.tenant.one".to_owned()]));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_tenant_reaches_more_flows_than_promised(
        sizes in prop::collection::vec((0_usize..4, 0_usize..4, any::<bool>()), 1..12),
    ) {
        let all: Vec<Tenant> = sizes
            .iter()
            .enumerate()
            .map(|(number, (users, namespaces, gold))| {
                let mut tenant = tenant(&format!("t{number}"), &[], &[]);
                tenant.users = (0..*users).map(|at| format!("u{number}-{at}")).collect();
                tenant.namespaces = (0..*namespaces).map(|at| format!("n{number}-{at}")).collect();
                tenant.class = if *gold { "gold" } else { "bronze" }.to_owned();
                tenant
            })
            .collect();
        let made = plan(&tight(all.clone())).unwrap();
        let everywhere: Vec<String> =
            all.iter().flat_map(|tenant| tenant.namespaces.clone()).chain(["".into(), "x".into()]).collect();
        let everywhere: Vec<&str> = everywhere.iter().map(String::as_str).collect();
        for tenant in &all {
            let flows = reached(&made, tenant, &everywhere);
            let most = match made.places.get(&tenant.name).map(|place| place.kind) {
                None => 0,
                Some(PlaceKind::Shared) => 2,
                Some(PlaceKind::Dedicated | PlaceKind::Pooled) => 1,
            };
            prop_assert_eq!(counted(&flows), (most, most));
            for flow in flows {
                prop_assert!(flow.level.ends_with(&tenant.class));
            }
        }
    }
}
