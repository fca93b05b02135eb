//! How a plan changes, and how it is brought about.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::apf::{About, Request, classify};

/// A cluster that does as it is told.
#[derive(Default)]
struct Cluster {
    levels: Vec<PriorityLevelConfiguration>,
    schemas: Vec<FlowSchema>,
    version: u64,
}

impl Cluster {
    fn apply(&mut self, change: Change) {
        self.version += 1;
        let version = Some(self.version.to_string());
        match change {
            Change::Create(Object::Level(mut level)) => {
                level.metadata.resource_version = version;
                self.levels.push(level);
            }
            Change::Create(Object::Schema(mut schema)) => {
                schema.metadata.resource_version = version;
                self.schemas.push(schema);
            }
            Change::Update(Object::Level(level)) => {
                let old = self.levels.iter_mut().find(|old| old.metadata == level.metadata).unwrap();
                *old = level;
                old.metadata.resource_version = version;
            }
            Change::Update(Object::Schema(schema)) => {
                let old = self.schemas.iter_mut().find(|old| old.metadata == schema.metadata).unwrap();
                *old = schema;
                old.metadata.resource_version = version;
            }
            Change::Delete(Object::Level(level)) => self.levels.retain(|old| *old != level),
            Change::Delete(Object::Schema(schema)) => self.schemas.retain(|old| *old != schema),
        }
        // What a FlowSchema of ours leads to is there.
        let levels: BTreeSet<&str> = self.levels.iter().map(|level| level.metadata.name.as_str()).collect();
        for schema in self.schemas.iter().filter(|schema| schema.metadata.name != "bailey.own") {
            assert!(levels.contains(schema.spec.priority_level_configuration.name.as_str()));
        }
    }

    fn follow(&mut self, wanted: &Plan, batch: usize, mut check: impl FnMut(&Self)) -> usize {
        let mut batches = 0;
        loop {
            let next = diff(wanted, &self.levels, &self.schemas, batch);
            assert!(next.changes.len() <= batch && next.conflicts.is_empty());
            if next.changes.is_empty() {
                return batches;
            }
            batches += 1;
            for change in next.changes {
                self.apply(change);
                check(self);
            }
        }
    }
}

#[test]
fn changes_are_made_in_batches_and_then_there_are_none() {
    let mut cluster = Cluster::default();
    let wanted = plan(&inputs(crowd(20, |_| 2))).unwrap();
    assert_eq!(diff(&wanted, &[], &[], 10).remaining, 45 - 10);
    assert_eq!(cluster.follow(&wanted, 10, |_| {}), 5);
    assert_eq!(cluster.schemas.len(), 41);
    // Somebody edits an object: it is repaired, at the version it has.
    cluster.schemas[3].spec.matching_precedence = 1;
    let repair = diff(&wanted, &cluster.levels, &cluster.schemas, 10);
    let [Change::Update(Object::Schema(schema))] = repair.changes.as_slice() else { panic!("{repair:?}") };
    assert_eq!(schema.metadata, cluster.schemas[3].metadata);
    assert_eq!(cluster.follow(&wanted, 10, |_| {}), 1);
    assert_eq!(cluster.follow(&Plan::default(), 100, |_| {}), 1);
    assert!(cluster.schemas.is_empty() && cluster.levels.is_empty());
}

#[test]
fn what_others_wrote_is_left_alone() {
    let wanted = plan(&inputs(vec![tenant("acme", &["eve"], &["a", "b"])])).unwrap();
    let mut cluster = Cluster::default();
    cluster.follow(&wanted, 100, |_| {});
    let mut theirs = cluster.schemas.remove(0);
    theirs.metadata.labels.clear();
    theirs.spec.matching_precedence = 7;
    let mut other = theirs.clone();
    other.metadata.name = "somebody-elses".into();
    let live = [cluster.schemas.as_slice(), &[theirs.clone(), other]].concat();
    let found = diff(&wanted, &cluster.levels, &live, 100);
    assert_eq!((found.changes, found.conflicts), (Vec::new(), vec![Object::Schema(theirs)]));
}

#[test]
fn the_order_of_the_inputs_plays_no_part() {
    let mut all = crowd(300, |number| number % 4);
    let made = plan(&tight(all.clone())).unwrap();
    all.reverse();
    for tenant in &mut all {
        tenant.namespaces.reverse();
        tenant.users.extend(tenant.users.clone());
    }
    let mut again = tight(all);
    again.classes.reverse();
    assert_eq!(plan(&again).unwrap(), made);
}

#[test]
fn a_new_tenant_changes_little() {
    let all = crowd(5_000, |number| 1 + usize::from(number % 5 == 0));
    let before = plan(&inputs(all.clone())).unwrap();
    let cluster = Cluster { levels: before.levels, schemas: before.schemas, version: 0 };
    for (name, namespaces) in [("aaa", 2_usize), ("zzz", 2), ("aaa", 1), ("zzz", 0)] {
        let mut more = all.clone();
        more.push(Tenant {
            namespaces: (0..namespaces).map(|at| format!("{name}-{at}")).collect(),
            ..tenant(name, &["new"], &[])
        });
        let found = diff(&plan(&inputs(more)).unwrap(), &cluster.levels, &cluster.schemas, 1_000);
        assert!(
            found.changes.len() <= 20,
            "{name}, {namespaces} namespaces: {} changes",
            found.changes.len()
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn whoever_had_a_flow_and_keeps_it_always_has_one(
        before in prop::collection::btree_map(0_usize..12, 0_usize..3, 1..10),
        after in prop::collection::btree_map(0_usize..12, 0_usize..3, 1..10),
        batch in 1_usize..6,
    ) {
        let tenants = |sizes: &std::collections::BTreeMap<usize, usize>| -> Vec<Tenant> {
            crowd(12, |number| sizes.get(&number).copied().unwrap_or_default())
                .into_iter()
                .enumerate()
                .filter(|(number, _)| sizes.contains_key(number))
                .map(|(_, tenant)| tenant)
                .collect()
        };
        let mut cluster = Cluster::default();
        cluster.follow(&plan(&tight(tenants(&before))).unwrap(), batch, |_| {});
        let has_namespaces = |(number, size): (&usize, &usize)| (*size > 0).then_some(*number);
        let kept: Vec<usize> = before
            .iter()
            .filter_map(has_namespaces)
            .filter(|number| after.get(number).is_some_and(|size| *size > 0))
            .collect();
        let wanted = plan(&tight(tenants(&after))).unwrap();
        let flow = |cluster: &Cluster, user: &str, namespace: &str| {
            let about = About::Resource { group: "", resource: "pods", namespace };
            classify(&cluster.schemas, &Request { user, groups: &[], verb: "get", about })
        };
        cluster.follow(&wanted, batch, |cluster| {
            for number in &kept {
                let name = format!("t{number:05}");
                let (account, namespace) = (format!("system:serviceaccount:{name}-0:x"), format!("{name}-0"));
                assert!(flow(cluster, &account, "x").is_some(), "{account} has no flow");
                // Others move between what is shared and what is pooled.
                if before[number] == after[number] {
                    let user = format!("user-of-{name}");
                    assert!(flow(cluster, &user, &namespace).is_some(), "{user} has no flow");
                }
            }
        });
        let found: BTreeSet<&str> = cluster.schemas.iter().map(|schema| schema.metadata.name.as_str()).collect();
        prop_assert_eq!(found, names(&wanted).into_iter().collect::<BTreeSet<_>>());
    }
}
