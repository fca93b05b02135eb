//! What should be at the API server, and what has to be changed for it. Pure.

use std::collections::{BTreeMap, BTreeSet};

use fairness::apf::objects::{FlowSchema, PriorityLevelConfiguration, Subject};
use fairness::apf::plan::{self, Account, Diff, Inputs, Plan, PlanFault, SeatsReport};
use fairness::apf::{Level, ServerVersion};

use super::classes::Classes;
use crate::api::tenant::{MemberKind, Tenant};

/// What tells tenants apart: read from a cluster, or from files.
#[derive(Debug, Clone, Copy)]
pub struct Tenants<'a> {
    /// The classes.
    pub classes: &'a Classes<'a>,
    /// The tenants, by name.
    pub tenants: &'a BTreeMap<String, Tenant>,
    /// The tenant of each namespace that is a tenant's.
    pub namespaces: &'a BTreeMap<String, String>,
}

/// What the API server has.
#[derive(Debug, Clone, Default)]
pub struct Live {
    /// All priority levels.
    pub levels: Vec<PriorityLevelConfiguration>,
    /// All FlowSchemas.
    pub schemas: Vec<FlowSchema>,
}

/// An API server, as far as seats are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Server {
    /// The seats of one server: what may be in flight for reads and for writes, together.
    pub seats: u32,
    /// Its generation.
    pub version: ServerVersion,
}

/// What should be there.
#[derive(Debug, Clone, Default)]
pub struct Proposal {
    /// The objects, where tenants go, and what should be looked at.
    pub plan: Plan,
    /// What has to be changed.
    pub diff: Diff,
    /// What each priority level gets.
    pub seats: Vec<plan::LevelSeats>,
    /// Priority levels that cannot serve what they may be asked for.
    pub narrow: Vec<plan::Warning>,
}

/// What is wanted, and what has to be changed for it. Without a class in force there is nothing of Bailey's.
///
/// No FlowSchema leads to a priority level that somebody else made under the name of a wanted one: requests of tenants
/// would wait where nobody meant them to. They are left to the server's own FlowSchemas then.
///
/// # Errors
/// Where classes or tenants have one name twice, which names in a cluster never do.
pub fn propose(
    tenants: &Tenants<'_>,
    own: &[Subject],
    live: &Live,
    server: Server,
) -> Result<Proposal, PlanFault> {
    let mut plan = match inputs(tenants, own) {
        Some(inputs) => plan::plan(&inputs)?,
        None => Plan::default(),
    };
    let foreign: BTreeSet<&str> = live
        .levels
        .iter()
        .filter(|level| !level.metadata.is_ours())
        .map(|level| level.metadata.name.as_str())
        .collect();
    let taken: BTreeSet<String> = plan
        .levels
        .iter()
        .filter(|level| foreign.contains(level.metadata.name.as_str()))
        .map(|level| level.metadata.name.clone())
        .collect();
    plan.schemas.retain(|schema| !taken.contains(&schema.spec.priority_level_configuration.name));
    let diff = plan::diff(&plan, &live.levels, &live.schemas, usize::MAX);
    // Levels of Bailey's that are to go take no seats.
    let others: Vec<Level> =
        live.levels.iter().filter(|level| !level.metadata.is_ours()).map(Level::from).collect();
    let SeatsReport { levels: seats, warnings: narrow } = plan.seats(server.seats, &others, server.version);
    Ok(Proposal { plan, diff, seats, narrow })
}

/// What plans are made from; `None` without a class. A tenant without a class is not in it.
fn inputs(from: &Tenants<'_>, own: &[Subject]) -> Option<Inputs> {
    let classes: Vec<_> = from.classes.planned().cloned().collect();
    if classes.is_empty() {
        return None;
    }
    let mut namespaces: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (namespace, tenant) in from.namespaces {
        namespaces.entry(tenant).or_default().push(namespace.clone());
    }
    let tenants = from.tenants.iter().filter_map(|(name, tenant)| {
        let class = from.classes.membership(name, from.tenants).class?;
        let namespaces = namespaces.remove(name.as_str()).unwrap_or_default();
        Some(with_members(name, class, tenant, namespaces))
    });
    let tenants = tenants.collect();
    Some(Inputs { tenants, own: own.to_vec(), ..Inputs::new(classes) })
}

/// A tenant with those who act for it: its own members, and not owners of a tenant above it.
fn with_members(name: &str, class: &str, tenant: &Tenant, namespaces: Vec<String>) -> plan::Tenant {
    let of_kind = |kind: MemberKind| tenant.spec.members.iter().filter(move |member| member.kind == kind);
    let names = |kind| of_kind(kind).map(|member| member.name.clone()).collect();
    let accounts = of_kind(MemberKind::ServiceAccount).filter_map(|member| {
        Some(Account { namespace: member.namespace.clone()?, name: member.name.clone() })
    });
    plan::Tenant {
        name: name.to_owned(),
        class: class.to_owned(),
        users: names(MemberKind::User),
        groups: names(MemberKind::Group),
        accounts: accounts.collect(),
        namespaces,
    }
}

#[cfg(test)]
mod tests {
    use fairness::apf::plan::{Change, Object};
    use fairness::apf::{About, DEFAULT_SERVER_SEATS, Request, classify};
    use serde_json::{Value, json};

    use super::super::classes::tests::{classes, tenants};
    use super::*;

    const SERVER: Server = Server { seats: DEFAULT_SERVER_SEATS, version: ServerVersion::From134 };

    fn proposal(classes_of: &[(&str, Value)], tenants_of: &[(&str, Value)], live: &Live) -> Proposal {
        let (all, tenants) = (classes(classes_of), tenants(tenants_of));
        let classes = Classes::of(&all);
        let namespaces = [("shop-web", "shop"), ("bank-db", "bank")];
        let namespaces = namespaces.map(|(name, tenant)| (name.to_owned(), tenant.to_owned())).into();
        let from = Tenants { classes: &classes, tenants: &tenants, namespaces: &namespaces };
        propose(&from, &[Subject::service_account("bailey-system", "bailey")], live, SERVER).unwrap()
    }

    /// What the API server has once a proposal is written.
    fn written(proposal: &Proposal) -> Live {
        Live { levels: proposal.plan.levels.clone(), schemas: proposal.plan.schemas.clone() }
    }

    fn flow(live: &Live, user: &str, groups: &[&str], namespace: &str) -> String {
        let about = About::Resource { group: "", resource: "pods", namespace };
        let request = Request { user, groups, verb: "get", about };
        classify(&live.schemas, &request).map(|flow| flow.schema.clone()).unwrap_or_default()
    }

    #[test]
    fn members_and_accounts_of_a_tenant_have_its_flow_and_foreign_accounts_cannot_be_named_away() {
        let shop =
            json!({"members": [{"kind": "User", "name": "sue"}, {"kind": "Group", "name": "shop-staff"}]});
        // It names an account of the shop's, and one that is nobody's.
        let account =
            |namespace: &str| json!({"kind": "ServiceAccount", "name": "ci", "namespace": namespace});
        let bank = json!({"members": [account("shop-web"), account("builds")]});
        let found = proposal(
            &[("standard", json!({"default": true}))],
            &[("bank", bank), ("shop", shop)],
            &Live::default(),
        );
        let live = written(&found);
        let web = |user: &str, groups: &[&str]| flow(&live, user, groups, "shop-web");
        assert_eq!(web("sue", &[]), "bailey.tenant.shop");
        assert_eq!(web("tom", &["shop-staff"]), "bailey.tenant.shop");
        assert_eq!(web("system:serviceaccount:shop-web:ci", &[]), "bailey.tenant.shop");
        assert_eq!(web("system:serviceaccount:bailey-system:bailey", &[]), "bailey.own");
        assert_eq!(web("carol", &[]), "");
        // Outside of its namespaces an account is still the tenant's, and nobody else is.
        let builds = "system:serviceaccount:builds:ci";
        assert_eq!(
            (web(builds, &[]), flow(&live, builds, &[], "bank-db")),
            (String::new(), "bailey.tenant.bank".into())
        );
        for elsewhere in ["", "bank-db"] {
            assert_eq!(flow(&live, "sue", &[], elsewhere), "");
            assert_eq!(
                flow(&live, "system:serviceaccount:shop-web:ci", &[], elsewhere),
                "bailey.tenant.shop"
            );
        }
    }

    #[test]
    fn without_a_class_nothing_is_wanted_and_what_was_written_goes() {
        let shop = ("shop", json!({"members": [{"kind": "User", "name": "sue"}]}));
        let standard = ("standard", json!({"default": true}));
        let before = proposal(std::slice::from_ref(&standard), std::slice::from_ref(&shop), &Live::default());
        assert_eq!(before.diff.changes.len(), 2 + 2 + 1, "{:?}", before.diff.changes);
        let live = written(&before);
        let same = proposal(&[standard], std::slice::from_ref(&shop), &live);
        assert_eq!(same.diff.changes, []);
        let after = proposal(&[], std::slice::from_ref(&shop), &live);
        assert_eq!(after.diff.changes.len(), 5);
        assert!(after.diff.changes.iter().all(|change| matches!(change, Change::Delete(_))));
        // Nobody is in a class that is not the default one without naming it.
        let named = proposal(&[("gold", json!({}))], &[shop], &Live::default());
        assert_eq!((named.plan.places.len(), named.plan.schemas.len()), (0, 1));
    }

    #[test]
    fn no_tenant_is_led_to_a_level_that_is_somebody_elses() {
        let standard = ("standard", json!({"default": true}));
        let shop = ("shop", json!({"members": [{"kind": "User", "name": "sue"}]}));
        let wanted = proposal(std::slice::from_ref(&standard), std::slice::from_ref(&shop), &Live::default());
        let mut theirs = wanted.plan.levels[1].clone();
        assert_eq!(theirs.metadata.name, "tenants-standard");
        theirs.metadata.labels.clear();
        let live = Live { levels: vec![theirs], schemas: Vec::new() };
        let found = proposal(&[standard], &[shop], &live);
        assert!(matches!(found.diff.conflicts.as_slice(), [Object::Level(_)]));
        let led: Vec<_> = found.plan.schemas.iter().map(|schema| schema.metadata.name.as_str()).collect();
        assert_eq!(led, ["bailey.lists.shop", "bailey.own"]);
    }

    #[test]
    fn each_level_has_its_seats_of_the_server() {
        let found = proposal(&[("standard", json!({}))], &[], &Live::default());
        let seats: Vec<_> =
            found.seats.iter().map(|row| (row.level.name.as_str(), row.seats.nominal)).collect();
        assert_eq!(seats, [("tenant-lists-standard", 120), ("tenants-standard", 480)]);
    }
}
