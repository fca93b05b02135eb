//! Which objects make up what a tenant uses of a resource.

use std::collections::BTreeSet;

use futures::{StreamExt, TryStreamExt};
use kube::api::{Api, ApiResource, DynamicObject};
use kube::discovery::Scope;
use kube::{Resource as _, ResourceExt};
use model::{Amount, TENANT_LABEL, is_bytes};
use quota::ledger::{Kind, NAMESPACES, counted_as, is_claim_for_devices};
use quota::measure::{ExtendedNames, Sum, add_up, canonical, kinds_of, measure};
use serde::Serialize;

use super::fault::Fault;
use super::quotas::readable;
use super::session::Session;
use super::tenants::TenantSummary;
use crate::budgets::served;

/// How many namespaces are read at once.
const READS: usize = 8;

/// What a tenant uses of one resource, object by object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explained {
    /// The tenant.
    pub tenant: String,
    /// The canonical resource name.
    pub resource: String,
    /// The objects that count, of the tenant and of those below it; the largest first.
    pub objects: Vec<Part>,
    /// All of them together.
    pub total: String,
    /// What the tenant's status says is used, a few seconds behind; `None` without a budget of the resource.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reported: Option<String>,
    /// The namespaces whose objects the user may not read.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub unread: BTreeSet<String>,
}

/// What one object takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Part {
    /// The kind, as `PLURAL` or `PLURAL.GROUP`.
    pub kind: String,
    /// The namespace; empty for cluster-scoped objects.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// How much.
    pub amount: String,
    #[serde(skip)]
    billionths: i128,
}

impl Session {
    /// Which objects make up what a tenant uses of a resource, read anew with the user's own rights.
    ///
    /// # Errors
    /// [`Fault::Usage`] for a name that nothing counts; when the API server does not answer.
    pub async fn explain(&self, tenant: &TenantSummary, resource: &str) -> Result<Explained, Fault> {
        let name = canonical(resource);
        let kinds = kinds_of(&name).map_err(|unknown| Fault::Usage(unknown.to_string()))?;
        let all = self.tenants().await?;
        let below = with_below(&all, tenant);
        let (mut parts, mut unread) = (Vec::new(), BTreeSet::new());
        for kind in &kinds {
            if *name == *NAMESPACES {
                let namespaces = below.iter().flat_map(|tenant| &tenant.namespaces);
                parts
                    .extend(namespaces.map(|namespace| part(kind, "", namespace, quota::ledger::ONE, &name)));
                continue;
            }
            let served = served(&self.client, &kind.group, &kind.resource).await;
            let Some(served) = served.map_err(|error| self.fault(&error))? else { continue };
            let extended = self.extended(kind).await?;
            for (namespace, objects) in self.objects_of(kind, served, &below).await? {
                let Some(objects) = objects else {
                    unread.insert(namespace);
                    continue;
                };
                let amounts = objects
                    .iter()
                    .filter_map(|object| Some((object, amount(kind, object, &name, &extended)?)));
                parts.extend(amounts.map(|(object, amount)| {
                    part(kind, &object.namespace().unwrap_or_default(), &object.name_any(), amount, &name)
                }));
            }
        }
        parts.sort_by(|one, other| {
            let key = |part: &Part| (part.kind.clone(), part.namespace.clone(), part.name.clone());
            other.billionths.cmp(&one.billionths).then_with(|| key(one).cmp(&key(other)))
        });
        let total = parts.iter().map(|part| part.billionths).fold(0, i128::saturating_add);
        let reported = tenant.budget_use.iter().find(|line| line.band.is_none() && line.resource == *name);
        Ok(Explained {
            tenant: tenant.name.clone(),
            total: Amount::of(total, is_bytes(&name)).to_string(),
            reported: reported.map(|line| line.used.clone()),
            resource: name.into_owned(),
            objects: parts,
            unread,
        })
    }

    /// The objects of a kind by namespace, `None` where the user may not read them.
    async fn objects_of(
        &self,
        kind: &Kind,
        (served, scope): (ApiResource, Scope),
        tenants: &[&TenantSummary],
    ) -> Result<Vec<(String, Option<Vec<DynamicObject>>)>, Fault> {
        if scope == Scope::Cluster {
            let names: Vec<_> = tenants.iter().map(|tenant| tenant.name.as_str()).collect();
            let all: Api<DynamicObject> = Api::all_with(self.client.clone(), &served);
            let labels = format!("{TENANT_LABEL} in ({})", names.join(","));
            return Ok(vec![(
                format!("the whole cluster ({kind})"),
                readable(self.list(all, &labels).await)?,
            )]);
        }
        let namespaces = tenants.iter().flat_map(|tenant| &tenant.namespaces);
        let served = &served;
        let reads = namespaces.map(|namespace| async move {
            let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, served);
            Ok::<_, Fault>((namespace.clone(), readable(self.list(api, "").await)?))
        });
        futures::stream::iter(reads).buffered(READS).try_collect().await
    }

    /// What extended resources devices are, where it matters and may be read.
    async fn extended(&self, kind: &Kind) -> Result<ExtendedNames, Fault> {
        if !is_claim_for_devices(kind) {
            return Ok(ExtendedNames::new());
        }
        use k8s_openapi::api::resource::v1::DeviceClass;
        let classes = readable(self.list(Api::<DeviceClass>::all(self.client.clone()), "").await)?;
        let named =
            |class: DeviceClass| Some((class.meta().name.clone()?, class.spec?.extended_resource_name?));
        Ok(classes.into_iter().flatten().filter_map(named).collect())
    }
}

/// A tenant, and those below it that the user may see.
fn with_below<'a>(all: &'a [TenantSummary], tenant: &'a TenantSummary) -> Vec<&'a TenantSummary> {
    let mut below = vec![tenant];
    let mut next = 0;
    while let Some(upper) = below.get(next) {
        let name = upper.name.clone();
        let children = all.iter().filter(|one| one.parent.as_ref() == Some(&name));
        // A circle of parents is none of any tenant.
        let new: Vec<_> = children.filter(|one| below.iter().all(|known| known.name != one.name)).collect();
        below.extend(new);
        next = next.saturating_add(1);
    }
    below
}

/// What an object takes of a resource, if anything.
fn amount(kind: &Kind, object: &DynamicObject, name: &str, extended: &ExtendedNames) -> Option<i128> {
    let text = serde_json::to_vec(object).ok()?;
    let measured = measure(&kind.group, &kind.resource, &text).ok()?;
    let sum = Sum::named(name).and_then(Result::ok);
    let sums = add_up(sum.iter(), &text).unwrap_or_default();
    let (charges, _) = counted_as(kind, &measured, &sums, extended);
    charges.iter().find(|(charged, amount)| **charged == *name && *amount > 0).map(|(_, amount)| *amount)
}

fn part(kind: &Kind, namespace: &str, name: &str, billionths: i128, resource: &str) -> Part {
    Part {
        kind: kind.to_string(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        amount: Amount::of(billionths, is_bytes(resource)).to_string(),
        billionths,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_object_takes_what_the_ledger_counts() {
        let pods = Kind::new("", "pods");
        let pod: DynamicObject = serde_json::from_value(json!({
            "metadata": {"name": "p", "namespace": "a"},
            "spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "250m"}}}]},
        }))
        .unwrap();
        let of = |name| amount(&pods, &pod, name, &ExtendedNames::new());
        assert_eq!((of("requests.cpu"), of("pods")), (Some(250_000_000), Some(1_000_000_000)));
        assert_eq!((of("requests.memory"), of("secrets")), (None, None));
        assert_eq!(of("count/pods:$.spec.containers[*]"), Some(1_000_000_000));
        assert_eq!(part(&pods, "a", "p", 1 << 30, "pods").amount, "1073741824n");
    }
}
