//! What naming others changes for them, and for who names them.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::flows::{accounts, counted, flows_of, reached};
use super::*;
use crate::apf::Flow;

/// How many users, groups and namespaces a tenant has, and whether its class is gold.
type Size = (usize, usize, usize, bool);

/// Tenants of their own users, groups and namespaces.
fn tenants(sizes: &[Size]) -> Vec<Tenant> {
    let one = |(number, (users, groups, namespaces, gold)): (usize, &Size)| Tenant {
        name: format!("t{number}"),
        class: if *gold { "gold" } else { "bronze" }.to_owned(),
        users: (0..*users).map(|at| format!("u{number}-{at}")).collect(),
        groups: (0..*groups).map(|at| format!("g{number}-{at}")).collect(),
        namespaces: (0..*namespaces).map(|at| format!("n{number}-{at}")).collect(),
        accounts: Vec::new(),
    };
    sizes.iter().enumerate().map(one).collect()
}

/// Everybody there is: members, who are in a group of each tenant, accounts, and some who are in no tenant.
fn everybody(all: &[Tenant]) -> Vec<(String, Vec<String>)> {
    let users = all.iter().flat_map(|tenant| tenant.users.clone()).map(|user| (user, Vec::new()));
    let grouped = all
        .iter()
        .flat_map(|tenant| &tenant.groups)
        .map(|group| (format!("of-{group}"), vec![group.clone()]));
    let accounts = all.iter().flat_map(accounts).map(|account| (account, Vec::new()));
    let free = [
        ("free".to_owned(), vec!["platform".to_owned()]),
        ("system:serviceaccount:ops:robot".to_owned(), Vec::new()),
    ];
    users.chain(grouped).chain(accounts).chain(free).collect()
}

/// The flow of whatever anybody asks, by request.
fn flows(plan: &Plan, all: &[Tenant], namespaces: &[&str]) -> BTreeMap<String, Option<Flow>> {
    let of = |(user, groups): (String, Vec<String>)| {
        let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
        flows_of(plan, &user, &groups, namespaces)
    };
    everybody(all).into_iter().flat_map(of).collect()
}

/// The same tenant, and whoever else there is as its members.
fn naming_everybody(namer: &Tenant, all: &[Tenant]) -> Tenant {
    let of = |name: fn(&Tenant) -> &Vec<String>| all.iter().flat_map(name).cloned();
    let account = |namespace: &str| Account { namespace: namespace.to_owned(), name: "robot".to_owned() };
    Tenant {
        users: of(|tenant| &tenant.users).chain(["free".to_owned()]).collect(),
        groups: of(|tenant| &tenant.groups).chain(["platform".to_owned()]).collect(),
        accounts: of(|tenant| &tenant.namespaces)
            .map(|namespace| account(&namespace))
            .chain([account("ops")])
            .collect(),
        ..namer.clone()
    }
}

/// Few places of their own, so that there are all kinds of them but open ones, where nobody is named.
fn roomy(tenants: Vec<Tenant>) -> Inputs {
    Inputs { bounds: Bounds { dedicated: 2, shards: 2, subjects: usize::MAX }, ..inputs(tenants) }
}

fn sizes() -> impl Strategy<Value = Vec<Size>> {
    prop::collection::vec((0_usize..4, 0_usize..3, 0_usize..4, any::<bool>()), 1..10)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn naming_strangers_changes_no_flow_outside_of_the_namespaces_of_who_names_them(
        sizes in sizes(),
        namer in any::<prop::sample::Index>(),
    ) {
        let all = tenants(&sizes);
        let namer = namer.index(all.len());
        let mut named = all.clone();
        named[namer] = naming_everybody(&all[namer], &all);
        let outside = all.iter().enumerate().filter(|(number, _)| *number != namer);
        let outside = outside.flat_map(|(_, tenant)| &tenant.namespaces).map(String::as_str);
        let outside: Vec<&str> = outside.chain(["", "elsewhere"]).collect();
        let before = flows(&plan(&roomy(all.clone())).unwrap(), &all, &outside);
        let after = flows(&plan(&roomy(named)).unwrap(), &all, &outside);
        prop_assert_eq!(before, after);
    }

    #[test]
    fn a_request_is_in_the_flow_of_the_senders_home_or_else_of_the_tenant_of_the_namespace(sizes in sizes()) {
        // All name all: only the namespace, or where an account lives, can tell.
        let own = tenants(&sizes);
        let all: Vec<Tenant> = own.iter().map(|tenant| naming_everybody(tenant, &own)).collect();
        let made = plan(&Inputs { bounds: Bounds { subjects: usize::MAX, ..Bounds::default() }, ..inputs(all) }).unwrap();
        let mut places: Vec<(&str, Option<&str>)> = vec![("", None), ("elsewhere", None)];
        places.extend(own.iter().flat_map(|tenant| tenant.namespaces.iter().map(|namespace| (namespace.as_str(), Some(tenant.name.as_str())))));
        for (user, groups) in everybody(&own) {
            let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
            let home = own.iter().find(|tenant| accounts(tenant).contains(&user)).map(|tenant| tenant.name.as_str());
            for (namespace, holder) in &places {
                for (request, flow) in flows_of(&made, &user, &groups, &[namespace]) {
                    let holder = holder.filter(|_| !request.contains("Path"));
                    let expected = home.or(holder);
                    let found = flow.as_ref().map(|flow| flow.schema.rsplit('.').next().unwrap_or_default());
                    prop_assert_eq!(found, expected, "{}", request);
                }
            }
        }
    }

    #[test]
    fn no_tenant_reaches_more_flows_than_promised_whomever_it_names(
        sizes in sizes(),
        namer in any::<prop::sample::Index>(),
    ) {
        let mut all = tenants(&sizes);
        let namer = namer.index(all.len());
        all[namer] = naming_everybody(&all[namer], &all);
        let made = plan(&roomy(all.clone())).unwrap();
        let everywhere = all.iter().flat_map(|tenant| &tenant.namespaces).map(String::as_str);
        let everywhere: Vec<&str> = everywhere.chain(["", "elsewhere"]).collect();
        for tenant in &all {
            let own: Vec<&str> = tenant.namespaces.iter().map(String::as_str).collect();
            let mut flows = reached(&made, &Tenant { users: Vec::new(), ..tenant.clone() }, &everywhere);
            let inside = everybody(&all).into_iter().filter(|(user, _)| !user.starts_with("system:serviceaccount:n"));
            for (user, groups) in inside {
                let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
                flows.extend(flows_of(&made, &user, &groups, &own).into_iter().filter_map(|(_, flow)| flow));
            }
            let most = match made.places.get(&tenant.name).map(|place| place.kind) {
                None => 0,
                Some(PlaceKind::Shared) => 2,
                Some(PlaceKind::Dedicated | PlaceKind::Pooled) => 1,
                Some(PlaceKind::Open) => unreachable!("there is room"),
            };
            prop_assert_eq!(counted(&flows), (most, most), "{:?}", flows);
            for flow in flows {
                prop_assert!(flow.level.ends_with(&tenant.class));
            }
        }
    }
}
