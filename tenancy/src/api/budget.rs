//! How much a tenant may have at once, in the spec of a Tenant.

#![expect(unreachable_pub, reason = "the derive repeats each type inside a function")]

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::KubeSchema;
use model::{Code, LoadFault, quantity};
use quota::measure::{canonical, kinds_of};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;

/// Amounts by resource name, as a ResourceQuota has them.
pub type Quantities = BTreeMap<String, IntOrString>;

/// How much a tenant may have at once, in all of its namespaces and those of the tenants below it.
#[derive(KubeSchema, Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("has(self.cohort) || (!has(self.lend) && !has(self.borrow))")
    .message("only a tenant with a cohort lends and borrows"))]
#[x_kube(validation = Rule::new("self.enforcement != 'Native' || !has(self.cohort)")
    .message("enforcement Native is for budgets of the tenant's own: ResourceQuotas cannot hold what a cohort lends"))]
pub struct Quota {
    /// The most of each resource, by the names that a ResourceQuota knows, and `count/namespaces`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::quantities")]
    pub hard: Quantities,
    /// The most that Pods of some priority may have, beside `hard`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub bands: Vec<Band>,
    /// Tenants of one cohort and parent use what the others of it do not; `hard` is what is the tenant's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"))]
    pub cohort: Option<String>,
    /// The most of its own that the others of the cohort may use; all of it for what is not named.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::quantities")]
    pub lend: Quantities,
    /// The most that it may use of what the others lend; all of it for what is not named.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::quantities")]
    pub borrow: Quantities,
    /// Also a ResourceQuota of Kubernetes' own in each namespace, of so much of the budget in percent: for when Bailey is
    /// down and its webhooks were taken away. None where not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 100, max = 10_000))]
    pub backstop_percent: Option<u32>,
    /// What holds the budget: Bailey's ledger, or also a ResourceQuota in each namespace with a part of it, so that it holds
    /// while Bailey is down or its webhooks are taken away. Not with a cohort.
    #[serde(default)]
    pub enforcement: Enforcement,
}

/// What holds a budget.
#[derive(JsonSchema, Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Enforcement {
    /// Bailey's ledger, in admission.
    #[default]
    Ledger,
    /// ResourceQuotas as well, with grants that move between the namespaces.
    Native,
}

/// The most that Pods of some PriorityClasses may have.
#[derive(KubeSchema, Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Band {
    /// The band's name, such as `production` or `best-effort`.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"))]
    pub name: String,
    /// The PriorityClasses of its Pods; the Pods of no other band where none is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::names")]
    pub priority_classes: Vec<String>,
    /// The most of each resource of Pods; what is not named is bounded by the tenant's `hard` alone.
    #[schemars(schema_with = "schema::quantities")]
    pub hard: Quantities,
}

impl Quota {
    /// The budget as it is in force. What cannot be read is nothing at all: closed, until it is put right.
    pub(crate) fn to_model(&self) -> model::Budget {
        let band = |band: &Band| model::Band {
            name: band.name.clone(),
            priority_classes: band.priority_classes.clone(),
            hard: amounts(&band.hard),
        };
        model::Budget {
            hard: amounts(&self.hard),
            bands: self.bands.iter().map(band).collect(),
            cohort: self.cohort.clone(),
            lend: amounts(&self.lend),
            borrow: amounts(&self.borrow),
            backstop_percent: self.backstop_percent,
            enforced: match self.enforcement {
                Enforcement::Ledger => model::Enforced::Ledger,
                Enforcement::Native => model::Enforced::Native,
            },
        }
    }

    /// Checks names and amounts.
    ///
    /// # Errors
    /// [`Code::QuotaInvalid`] with the field and what would pass.
    pub(crate) fn check(&self) -> Result<(), LoadFault> {
        check_amounts("spec.quota.hard", &self.hard)?;
        check_amounts("spec.quota.lend", &self.lend)?;
        check_amounts("spec.quota.borrow", &self.borrow)?;
        let mut names: Vec<&str> = Vec::new();
        let mut rest = 0_usize;
        for band in &self.bands {
            let field = format!("spec.quota.bands[{}].hard", band.name);
            check_amounts(&field, &band.hard)?;
            check_of_pods(&field, &band.hard)?;
            rest = rest.saturating_add(usize::from(band.priority_classes.is_empty()));
            if names.contains(&band.name.as_str()) || rest > 1 {
                let why = format!(
                    "the band `{}` is there twice, or a second one has no priorityClasses",
                    band.name
                );
                return Err(fault("spec.quota.bands", &why));
            }
            names.push(&band.name);
            if self.enforcement == Enforcement::Native {
                check_native(&field, &band.hard)?;
            }
        }
        Ok(())
    }
}

/// What a ResourceQuota with a PriorityClass scope can count.
const SCOPED: [&str; 5] = ["pods", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"];

fn check_native(field: &str, amounts: &Quantities) -> Result<(), LoadFault> {
    match amounts.keys().find(|name| !SCOPED.contains(&canonical(name).as_ref())) {
        Some(name) => {
            let why = format!(
                "a ResourceQuota cannot count `{name}` of Pods of some PriorityClasses, so that enforcement Native cannot \
                 hold it in a band; it can hold {}",
                SCOPED.join(", ")
            );
            Err(fault(field, &why))
        }
        None => Ok(()),
    }
}

pub(super) fn fault(field: &str, why: &str) -> LoadFault {
    LoadFault::new(Code::QuotaInvalid, format!("{field}: {why}"))
}

/// Checks that bands can have these amounts.
pub(super) fn check_of_pods(field: &str, amounts: &Quantities) -> Result<(), LoadFault> {
    let of_pods =
        |name: &&String| kinds_of(name).is_ok_and(|kinds| kinds.iter().any(|kind| kind.resource == "pods"));
    match amounts.keys().find(|name| !of_pods(name)) {
        Some(name) => {
            Err(fault(field, &format!("`{name}` is not a resource of Pods, and only Pods have bands")))
        }
        None => Ok(()),
    }
}

/// Checks that each name is known, and each amount one that is not negative.
pub(super) fn check_amounts(field: &str, amounts: &Quantities) -> Result<(), LoadFault> {
    for (name, amount) in amounts {
        kinds_of(name).map_err(|unknown| fault(field, &unknown.to_string()))?;
        let text = text(amount);
        match quantity(&text) {
            Some(amount) if amount >= 0 => {}
            Some(_) => return Err(fault(field, &format!("`{name}` is `{text}`, and cannot be negative"))),
            None => {
                return Err(fault(
                    field,
                    &format!("`{name}` is `{text}`, which is no quantity such as 500m, 2 or 4Gi"),
                ));
            }
        }
    }
    Ok(())
}

/// Amounts in billionths, by canonical name.
pub(super) fn amounts(amounts: &Quantities) -> BTreeMap<Arc<str>, i128> {
    let read = |(name, amount): (&String, &IntOrString)| {
        let amount = quantity(&text(amount)).unwrap_or_default().max(0);
        (Arc::from(canonical(name).as_ref()), amount)
    };
    let mut least: BTreeMap<Arc<str>, i128> = BTreeMap::new();
    for (name, amount) in amounts.iter().map(read) {
        // Of two names of one resource the smaller amount holds.
        let known = least.entry(name).or_insert(amount);
        *known = (*known).min(amount);
    }
    least
}

/// An amount as it is written.
pub(crate) fn text(amount: &IntOrString) -> String {
    match amount {
        IntOrString::Int(number) => number.to_string(),
        IntOrString::String(text) => text.clone(),
    }
}
