//! Tenants as they are in force: what a tenant above another adds to it. Pure.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use model::{Isolation, Member, NamespaceRules, Network, TenantFault, TenantRole};

use super::grants::Grants;
use crate::api::isolation::{IsolationProfile, IsolationProfileSpec};
use crate::api::tenant::Tenant;
use crate::fairness::Classes;

/// The profile of tenants that name none.
const DEFAULT_PROFILE: &str = "default";
/// Where rules stand when there is no profile.
const BUILT_IN: &str = "the built-in IsolationProfile";

/// All tenants of the cluster with the walls that hold for each: its own and those of every tenant above it. Budgets
/// have what is granted beside them.
///
/// Guarantee: the walls of a tenant are never wider than those of one above it. One that names a parent which
/// does not exist, or stands above itself, is suspended and has the strictest walls.
pub(super) fn in_force(
    tenants: &BTreeMap<String, Tenant>,
    profiles: &BTreeMap<String, IsolationProfile>,
    classes: &Classes<'_>,
    grants: &Grants,
) -> Vec<model::Tenant> {
    let plain = tenants.iter().map(|(name, tenant)| {
        let mut alone = alone(name, tenant, profiles);
        alone.weight = classes.weight(classes.membership(name, tenants).class);
        grants.add_to(&mut alone);
        (name.as_str(), alone)
    });
    let plain: BTreeMap<&str, model::Tenant> = plain.collect();
    tenants.keys().filter_map(|name| with_parents(name, tenants, &plain)).collect()
}

/// A tenant without those above it.
fn alone(name: &str, tenant: &Tenant, profiles: &BTreeMap<String, IsolationProfile>) -> model::Tenant {
    let rules = &tenant.spec.namespaces;
    let prefix = rules.prefix.clone().unwrap_or_else(|| format!("{name}-"));
    let own = tenant.spec.isolation_profile.as_deref();
    let named = own.or_else(|| by_labels(tenant, profiles));
    model::Tenant {
        name: name.to_owned(),
        parents: Vec::new(),
        members: tenant.spec.members.iter().map(crate::api::tenant::Member::to_model).collect(),
        namespaces: NamespaceRules { prefix, limit: rules.limit },
        budget: tenant.spec.quota.to_model(),
        // One that goes does not grow.
        suspended: tenant.spec.suspended || tenant.metadata.deletion_timestamp.is_some(),
        profile: named.unwrap_or(DEFAULT_PROFILE).to_owned(),
        isolation: isolation(named, profiles),
        weight: NonZeroU32::MIN,
    }
}

/// The profile that selects a tenant by its labels.
fn by_labels<'a>(tenant: &Tenant, profiles: &'a BTreeMap<String, IsolationProfile>) -> Option<&'a str> {
    let labels = tenant.metadata.labels.clone().unwrap_or_default();
    let selects = |profile: &IsolationProfile| {
        profile.spec.tenant_selector.as_ref().is_some_and(|selector| selector.to_model().matches(&labels))
    };
    profiles.iter().find(|(_, profile)| selects(profile)).map(|(name, _)| name.as_str())
}

/// The walls of a profile; the strictest where it does not exist.
fn isolation(named: Option<&str>, profiles: &BTreeMap<String, IsolationProfile>) -> Isolation {
    let profile = |name: &str| {
        let source = format!("IsolationProfile `{name}`");
        profiles.get(name).map(|profile| from(profile.spec.to_model(), &source))
    };
    match named {
        Some(name) => {
            profile(name).unwrap_or_else(|| strictest(TenantFault::ProfileMissing(name.to_owned())))
        }
        None => profile(DEFAULT_PROFILE)
            .unwrap_or_else(|| from(IsolationProfileSpec::default().to_model(), BUILT_IN)),
    }
}

fn strictest(fault: TenantFault) -> Isolation {
    Isolation { fault: Some(fault), ..from(IsolationProfileSpec::strict().to_model(), BUILT_IN) }
}

/// The same walls, whose rules say where they stand.
fn from(mut isolation: Isolation, source: &str) -> Isolation {
    for rules in &mut isolation.rules {
        source.clone_into(&mut Arc::make_mut(rules).source);
    }
    isolation
}

fn with_parents(
    name: &str,
    tenants: &BTreeMap<String, Tenant>,
    plain: &BTreeMap<&str, model::Tenant>,
) -> Option<model::Tenant> {
    let mut tenant = plain.get(name)?.clone();
    let mut next = tenants.get(name).and_then(|tenant| tenant.spec.parent.as_deref());
    while let Some(parent) = next {
        let fault = if parent == name || tenant.parents.iter().any(|known| known == parent) {
            Some(TenantFault::ParentCircle(parent.to_owned()))
        } else if plain.contains_key(parent) {
            None
        } else {
            Some(TenantFault::ParentMissing(parent.to_owned()))
        };
        if let Some(fault) = fault {
            tenant.suspended = true;
            tenant.isolation = strictest(fault);
            break;
        }
        plain.get(parent).into_iter().for_each(|above| inherit(&mut tenant, above));
        next = tenants.get(parent).and_then(|tenant| tenant.spec.parent.as_deref());
    }
    Some(tenant)
}

/// Adds what one tenant above another says.
fn inherit(tenant: &mut model::Tenant, above: &model::Tenant) {
    tenant.parents.push(above.name.clone());
    let owners = above.members.iter().filter(|member| member.role == TenantRole::Owner);
    let new: Vec<Member> = owners.filter(|owner| !tenant.members.contains(owner)).cloned().collect();
    tenant.members.extend(new);
    tenant.suspended |= above.suspended;
    let prefix = &above.namespaces.prefix;
    if !tenant.namespaces.prefix.starts_with(prefix.as_str()) {
        tenant.namespaces.prefix.insert_str(0, prefix);
    }
    let (own, theirs) = (&mut tenant.isolation, &above.isolation);
    own.rules.extend(theirs.rules.iter().map(Arc::clone));
    for (label, value) in &theirs.pod_security {
        if let Some(own) = own.pod_security.get_mut(label) {
            *own = stricter(own, value).to_owned();
        }
    }
    own.network = match (own.network.take(), &theirs.network) {
        (Some(own), Some(theirs)) => Some(shared(&own, theirs)),
        (None, Some(theirs)) => Some(theirs.clone()),
        (own, None) => own,
    };
    own.contents.automount_token &= theirs.contents.automount_token;
    own.contents.limit_ranges.extend(theirs.contents.limit_ranges.iter().cloned());
    own.fault = own.fault.take().or_else(|| theirs.fault.clone());
}

/// The stricter of two levels of Pod Security. Of two versions the newer one: `latest` before all.
fn stricter<'a>(one: &'a str, other: &'a str) -> &'a str {
    let rank = |value: &str| match value {
        "privileged" => 0,
        "baseline" => 1,
        "restricted" => 2,
        "latest" => u32::MAX,
        version => version.strip_prefix("v1.").and_then(|minor| minor.parse().ok()).unwrap_or(0),
    };
    if rank(one) >= rank(other) { one } else { other }
}

/// What both networks let through.
fn shared(one: &Network, other: &Network) -> Network {
    fn both<T: PartialEq + Clone>(one: &[T], other: &[T]) -> Vec<T> {
        one.iter().filter(|entry| other.contains(entry)).cloned().collect()
    }
    Network {
        ingress_selectors: both(&one.ingress_selectors, &other.ingress_selectors),
        egress: both(&one.egress, &other.egress),
        ingress_from: both(&one.ingress_from, &other.ingress_from),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn tenants(specs: &[(&str, Value)]) -> BTreeMap<String, Tenant> {
        let tenant = |name: &str, spec: &Value| {
            let object = json!({
                "apiVersion": "bailey.dev/v1alpha1", "kind": "Tenant", "metadata": {"name": name}, "spec": spec,
            });
            (name.to_owned(), serde_json::from_value(object).unwrap())
        };
        specs.iter().map(|(name, spec)| tenant(name, spec)).collect()
    }

    fn profiles(specs: &[(&str, Value)]) -> BTreeMap<String, IsolationProfile> {
        let profile = |name: &str, spec: &Value| {
            let object = json!({
                "apiVersion": "bailey.dev/v1alpha1", "kind": "IsolationProfile", "metadata": {"name": name},
                "spec": spec,
            });
            (name.to_owned(), serde_json::from_value(object).unwrap())
        };
        specs.iter().map(|(name, spec)| profile(name, spec)).collect()
    }

    fn find<'a>(all: &'a [model::Tenant], name: &str) -> &'a model::Tenant {
        all.iter().find(|tenant| tenant.name == name).unwrap()
    }

    #[test]
    fn walls_of_a_child_are_never_wider_than_those_above() {
        let owner = json!({"kind": "User", "name": "dean", "role": "owner"});
        let reader = json!({"kind": "User", "name": "reader"});
        let profiles = profiles(&[
            (
                "tight",
                json!({"podSecurity": {"enforce": "restricted"}, "network": {"egress": ["10.0.0.0/8"]}}),
            ),
            (
                "wide",
                json!({"podSecurity": {"enforce": "privileged", "version": "v1.30"}, "network": {"mode": "Open"}}),
            ),
        ]);
        let tenants = tenants(&[
            ("faculty", json!({"members": [owner, reader], "isolationProfile": "tight"})),
            ("department", json!({"parent": "faculty"})),
            (
                "lab",
                json!({"parent": "department", "isolationProfile": "wide", "namespaces": {"prefix": "x-"}}),
            ),
        ]);
        let all = in_force(&tenants, &profiles, &Classes::default(), &Grants::default());
        let lab = find(&all, "lab");
        assert_eq!(lab.parents, ["department", "faculty"]);
        assert_eq!(lab.members.len(), 1, "owners are inherited, readers are not: {:?}", lab.members);
        assert_eq!(lab.namespaces.prefix, "faculty-department-x-");
        assert_eq!(lab.isolation.pod_security["pod-security.kubernetes.io/enforce"], "restricted");
        assert_eq!(lab.isolation.pod_security["pod-security.kubernetes.io/enforce-version"], "latest");
        // The department reaches nothing outside: the lab does not either, though the faculty would.
        assert_eq!(lab.isolation.network, Some(Network::default()));
        assert_eq!(lab.isolation.rules.len(), 3);
    }

    #[test]
    fn a_profile_selects_tenants_that_name_none() {
        let selector =
            json!({"matchExpressions": [{"key": "tier", "operator": "In", "values": ["gold", "silver"]}]});
        let profiles = profiles(&[
            ("a-none", json!({})),
            ("b-paid", json!({"tenantSelector": selector, "podSecurity": {"enforce": "privileged"}})),
            ("c-all", json!({"tenantSelector": {}, "podSecurity": {"enforce": "restricted"}})),
        ]);
        let mut tenants = tenants(&[
            ("gold", json!({})),
            ("plain", json!({})),
            ("named", json!({"isolationProfile": "a-none"})),
        ]);
        for tenant in tenants.values_mut().filter(|tenant| tenant.metadata.name.as_deref() != Some("plain")) {
            tenant.metadata.labels = Some(BTreeMap::from([("tier".to_owned(), "gold".to_owned())]));
        }
        let all = in_force(&tenants, &profiles, &Classes::default(), &Grants::default());
        let used = ["gold", "plain", "named"].map(|name| find(&all, name).profile.as_str());
        assert_eq!(used, ["b-paid", "c-all", "a-none"]);
    }

    #[test]
    fn a_suspended_parent_suspends_and_a_broken_line_is_closed() {
        let tenants = tenants(&[
            ("top", json!({"suspended": true})),
            ("below", json!({"parent": "top"})),
            ("orphan", json!({"parent": "gone"})),
            ("one", json!({"parent": "two"})),
            ("two", json!({"parent": "one"})),
        ]);
        let all = in_force(&tenants, &BTreeMap::new(), &Classes::default(), &Grants::default());
        assert!(all.iter().all(|tenant| tenant.suspended));
        assert_eq!(find(&all, "below").isolation.fault, None);
        for (name, fault) in [
            ("orphan", TenantFault::ParentMissing("gone".to_owned())),
            ("one", TenantFault::ParentCircle("one".to_owned())),
        ] {
            let tenant = find(&all, name);
            assert_eq!(tenant.isolation.fault, Some(fault));
            assert_eq!(tenant.isolation.pod_security["pod-security.kubernetes.io/enforce"], "restricted");
        }
    }
}
