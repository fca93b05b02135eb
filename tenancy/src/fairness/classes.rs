//! Which class each tenant is in. Pure.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use fairness::apf::plan::Class;
use fairness::rates::ByTenant;

use crate::api::fairness_class::{FairnessClass, Rates};
use crate::api::tenant::Tenant;

/// The classes of a cluster, as far as they can be in force.
#[derive(Debug, Clone, Default)]
pub struct Classes<'a> {
    usable: BTreeMap<&'a str, (&'a FairnessClass, Class)>,
    faults: BTreeMap<&'a str, String>,
    default: Option<&'a str>,
}

/// In which class a tenant is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Membership<'a> {
    /// The class in force; `None` where it names none that is there and there is no default one.
    pub class: Option<&'a str>,
    /// The class that it names, or a tenant above it, which is not there or not in force.
    pub missing: Option<&'a str>,
}

impl<'a> Classes<'a> {
    /// The classes in force among these. One that is not valid counts as absent: the API server would not take it.
    pub fn of(all: &'a BTreeMap<String, FairnessClass>) -> Self {
        let mut classes = Self::default();
        for (name, class) in all {
            match class.spec.to_plan(name) {
                Ok(planned) => _ = classes.usable.insert(name, (class, planned)),
                Err(fault) => _ = classes.faults.insert(name, fault.message),
            }
        }
        let first = classes.usable.iter().find(|(_, (class, _))| class.spec.default);
        classes.default = first.map(|(name, _)| *name);
        classes
    }

    /// The class of tenants that name none: of several that say so the first by name.
    pub fn default_class(&self) -> Option<&'a str> {
        self.default
    }

    /// Why a class is not in force; `None` for one that is.
    pub fn fault(&self, class: &str) -> Option<&str> {
        self.faults.get(class).map(String::as_str)
    }

    /// The classes in force, by name.
    pub fn planned(&self) -> impl Iterator<Item = &Class> {
        self.usable.values().map(|(_, planned)| planned)
    }

    /// A class in force, as plans have it.
    pub fn planned_as(&self, class: &str) -> Option<&Class> {
        self.usable.get(class).map(|(_, planned)| planned)
    }

    /// In which class a tenant is: that which it names, or else the nearest tenant above it that names one, or else the
    /// default one, which stands in for one that is not there too.
    pub fn membership<'b>(&self, tenant: &str, tenants: &'b BTreeMap<String, Tenant>) -> Membership<'b>
    where
        'a: 'b,
    {
        let mut next = tenants.get(tenant);
        let mut named = None;
        // Those above are at most all others: a circle ends.
        for _ in 0..tenants.len() {
            let Some(tenant) = next else { break };
            named = tenant.spec.fairness_class.as_deref();
            if named.is_some() {
                break;
            }
            next = tenant.spec.parent.as_ref().and_then(|parent| tenants.get(parent));
        }
        match named.map(|named| (named, self.usable.contains_key(named))) {
            Some((named, true)) => Membership { class: Some(named), missing: None },
            Some((named, false)) => Membership { class: self.default, missing: Some(named) },
            None => Membership { class: self.default, missing: None },
        }
    }

    /// How often each tenant of a class in force may do what.
    pub fn rates_of(&self, class: &str) -> Option<&'a Rates> {
        self.usable.get(class).map(|(class, _)| &class.spec.rates)
    }

    /// How often each of these tenants may do what; those without a limit are left out.
    pub fn rates(&self, tenants: &BTreeMap<String, Tenant>) -> ByTenant {
        let limits: BTreeMap<&str, _> =
            self.usable.iter().map(|(name, (class, _))| (*name, Arc::new(class.spec.limits()))).collect();
        let of = |name: &String| {
            let limits =
                limits.get(self.membership(name, tenants).class?).filter(|limits| !limits.is_empty())?;
            Some((name.clone(), Arc::clone(limits)))
        };
        tenants.keys().filter_map(of).collect()
    }

    /// The weight of the tenants of a class; 1 without one.
    pub fn weight(&self, class: Option<&str>) -> NonZeroU32 {
        let found = class.and_then(|class| self.usable.get(class));
        found.and_then(|(class, _)| NonZeroU32::new(class.spec.weight)).unwrap_or(NonZeroU32::MIN)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::{Value, json};

    use super::*;

    pub(crate) fn classes(specs: &[(&str, Value)]) -> BTreeMap<String, FairnessClass> {
        let class = |(name, spec): &(&str, Value)| {
            let object = json!({
                "apiVersion": "bailey.dev/v1alpha1", "kind": "FairnessClass",
                "metadata": {"name": name, "generation": 1}, "spec": spec,
            });
            ((*name).to_owned(), serde_json::from_value(object).unwrap())
        };
        specs.iter().map(class).collect()
    }

    pub(crate) fn tenants(specs: &[(&str, Value)]) -> BTreeMap<String, Tenant> {
        let tenant = |(name, spec): &(&str, Value)| {
            let object = json!({
                "apiVersion": "bailey.dev/v1alpha1", "kind": "Tenant",
                "metadata": {"name": name, "generation": 1}, "spec": spec,
            });
            ((*name).to_owned(), serde_json::from_value(object).unwrap())
        };
        specs.iter().map(tenant).collect()
    }

    #[test]
    fn a_tenant_is_in_the_class_that_it_or_the_nearest_above_names() {
        let all = classes(&[
            ("gold", json!({"weight": 4})),
            ("standard", json!({"default": true})),
            (
                "zinc",
                json!({"default": true, "weight": 2, "rates": {"list": {"tenant": {"requests": 1, "burst": 3}}}}),
            ),
        ]);
        let classes = Classes::of(&all);
        let tenants = tenants(&[
            ("faculty", json!({"fairnessClass": "gold"})),
            ("department", json!({"parent": "faculty"})),
            ("lab", json!({"parent": "department"})),
            ("poor", json!({"parent": "lab", "fairnessClass": "zinc"})),
            ("plain", json!({})),
            ("lost", json!({"fairnessClass": "platinum"})),
            ("one", json!({"parent": "two"})),
            ("two", json!({"parent": "one"})),
        ]);
        let class = |name: &str| classes.membership(name, &tenants).class.unwrap();
        assert_eq!(["lab", "poor", "plain", "one"].map(class), ["gold", "zinc", "standard", "standard"]);
        let lost = classes.membership("lost", &tenants);
        assert_eq!(lost, Membership { class: Some("standard"), missing: Some("platinum") });
        let rates = classes.rates(&tenants);
        assert_eq!(rates.keys().collect::<Vec<_>>(), ["poor"], "no other class has any");
        assert_eq!(rates["poor"][&fairness::rates::Class::List].tenant.burst, 3);
        let weight = |name: &str| classes.weight(classes.membership(name, &tenants).class).get();
        assert_eq!(["lab", "poor", "plain"].map(weight), [4, 2, 1]);
    }

    #[test]
    fn without_a_default_class_who_names_none_is_in_none_and_an_invalid_class_counts_as_absent() {
        let all = classes(&[
            ("broken", json!({"default": true, "priorityLevel": {"queues": 10_000, "handSize": 60}})),
            ("gold", json!({})),
        ]);
        let classes = Classes::of(&all);
        let tenants = tenants(&[("plain", json!({})), ("lost", json!({"fairnessClass": "broken"}))]);
        assert_eq!(classes.membership("plain", &tenants), Membership::default());
        let lost = classes.membership("lost", &tenants);
        assert_eq!(lost, Membership { class: None, missing: Some("broken") });
        assert!(classes.fault("broken").is_some_and(|fault| fault.contains("handSize is at most 4")));
        assert_eq!((classes.fault("gold"), classes.planned().count()), (None, 1));
        assert_eq!(classes.weight(None), NonZeroU32::MIN);
    }
}
