//! What has to be done so that the cluster has what its tenants should have: pure.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use model::{Tenant, TenantIndex, TenantRole};
use serde_json::Value;

use super::content::{Content, has_role};
use super::wanted::{self, Manifest, Manifests, Wanted};

/// The value of [`model::MANAGED_LABEL`].
pub(super) const MANAGED: &str = "bailey";
/// The ClusterRoleBinding that lets owners create namespaces.
const OWNERS: &str = "bailey-tenant-owners";

pub(super) const RBAC: &str = "rbac.authorization.k8s.io";

/// Which object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) kind: Kind,
    /// Empty for the whole cluster.
    pub(super) namespace: String,
    pub(super) name: String,
}

/// The kinds of objects that are kept, in the order in which they are written: rights last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Namespace,
    NetworkPolicy,
    LimitRange,
    ResourceQuota,
    ServiceAccount,
    ConfigMap,
    Secret,
    PodDisruptionBudget,
    Role,
    ClusterRole,
    RoleBinding,
    ClusterRoleBinding,
}

impl Kind {
    /// Those that are watched; namespaces are known from the snapshot.
    pub(super) const WATCHED: [Self; 11] = [
        Self::NetworkPolicy,
        Self::LimitRange,
        Self::ResourceQuota,
        Self::ServiceAccount,
        Self::ConfigMap,
        Self::Secret,
        Self::PodDisruptionBudget,
        Self::Role,
        Self::ClusterRole,
        Self::RoleBinding,
        Self::ClusterRoleBinding,
    ];

    /// The API group and the kind.
    pub(super) const fn group_and_kind(self) -> (&'static str, &'static str) {
        match self {
            Self::Namespace => ("", "Namespace"),
            Self::NetworkPolicy => ("networking.k8s.io", "NetworkPolicy"),
            Self::LimitRange => ("", "LimitRange"),
            Self::ResourceQuota => ("", "ResourceQuota"),
            Self::ServiceAccount => ("", "ServiceAccount"),
            Self::ConfigMap => ("", "ConfigMap"),
            Self::Secret => ("", "Secret"),
            Self::PodDisruptionBudget => ("policy", "PodDisruptionBudget"),
            Self::Role => (RBAC, "Role"),
            Self::ClusterRole => (RBAC, "ClusterRole"),
            Self::RoleBinding => (RBAC, "RoleBinding"),
            Self::ClusterRoleBinding => (RBAC, "ClusterRoleBinding"),
        }
    }

    /// The kind of a template, of those that templates may be.
    pub(super) fn of_template(name: &str) -> Option<Self> {
        let kinds = [
            Self::NetworkPolicy,
            Self::LimitRange,
            Self::ResourceQuota,
            Self::ServiceAccount,
            Self::ConfigMap,
            Self::PodDisruptionBudget,
            Self::Role,
        ];
        kinds.into_iter().find(|kind| kind.group_and_kind().1 == name)
    }
}

/// The objects with the label that were found: by namespace, the empty one for the whole cluster.
pub(super) type Found = HashMap<String, BTreeMap<(Kind, String), Content>>;

/// One step towards what should be.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    /// Make the object say this.
    Apply(Key, Value),
    /// Give a namespace these labels.
    Label(String, BTreeMap<String, String>),
    /// Take an object away.
    Delete(Key),
}

impl Step {
    /// What it changes.
    pub(super) fn key(&self) -> Key {
        match self {
            Self::Apply(key, _) | Self::Delete(key) => key.clone(),
            Self::Label(name, _) => {
                Key { kind: Kind::Namespace, namespace: name.clone(), name: name.clone() }
            }
        }
    }
}

/// What is to be done now.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Plan {
    pub(super) steps: Vec<Step>,
    /// Namespaces whose walls all stand, and which do not say so yet.
    pub(super) standing: Vec<String>,
    /// Whether there is more to do than one plan holds.
    pub(super) more: bool,
    /// The tenants that were not looked at to their end because of that.
    pub(super) unfinished: BTreeSet<String>,
}

/// What tenants should have, made again only for those that changed.
#[derive(Debug, Default)]
pub(super) struct Wishes(HashMap<String, (Arc<Tenant>, Arc<Wanted>)>);

impl Wishes {
    fn of(&mut self, tenant: &Arc<Tenant>) -> Arc<Wanted> {
        match self.0.get(&tenant.name) {
            Some((known, wanted)) if Arc::ptr_eq(known, tenant) => Arc::clone(wanted),
            _ => {
                let wanted = Arc::new(wanted::wanted(tenant));
                let entry = (Arc::clone(tenant), Arc::clone(&wanted));
                self.0.insert(tenant.name.clone(), entry);
                wanted
            }
        }
    }

    fn forget_others(&mut self, index: &TenantIndex) {
        self.0.retain(|name, _| index.tenant(name).is_some());
    }
}

/// The cluster as it is, for a plan.
pub(super) struct Situation<'a> {
    pub(super) index: &'a TenantIndex,
    pub(super) found: &'a Found,
    /// The Secrets that can be copied, with what they hold.
    pub(super) secrets: &'a BTreeMap<String, Value>,
    /// Namespaces that are left alone for now, because a write to them failed.
    pub(super) resting: &'a BTreeSet<String>,
    /// Namespaces in which no ResourceQuota holds a budget yet that is to: nobody gets rights there.
    pub(super) unsettled: &'a BTreeSet<String>,
}

/// The next steps from what is to what should be: everything that has to go, and about `most` others.
pub(super) fn plan(now: &Situation<'_>, wishes: &mut Wishes, most: usize) -> Plan {
    wishes.forget_others(now.index);
    let mut plan = Plan { steps: superfluous(now, wishes), ..Plan::default() };
    rights_in_cluster(now, wishes, &mut plan);
    let first = plan.steps.len();
    for tenant in now.index.tenants() {
        let wanted = wishes.of(tenant);
        for namespace in now.index.namespaces_of(&tenant.name) {
            if plan.steps.len().saturating_sub(first) >= most {
                plan.more = true;
                let rest = now.index.tenants().skip_while(|other| other.name != tenant.name);
                plan.unfinished = rest.map(|tenant| tenant.name.clone()).collect();
                return plan;
            }
            if !now.resting.contains(namespace) {
                in_namespace(now, tenant, &wanted, namespace, &mut plan);
            }
        }
    }
    plan
}

fn rights_in_cluster(now: &Situation<'_>, wishes: &mut Wishes, plan: &mut Plan) {
    let mut owners = BTreeSet::new();
    for tenant in now.index.tenants() {
        let of_owners = tenant.members.iter().filter(|member| member.role == TenantRole::Owner);
        owners.extend(of_owners.map(|member| &member.subject));
        let wanted = wishes.of(tenant);
        add_missing(now, tenant, "", &wanted.cluster, plan);
    }
    let role = "bailey-namespace-creator";
    let all = wanted::binding(Kind::ClusterRoleBinding, OWNERS.to_owned(), role, owners);
    if let Some(((kind, name), manifest)) = all {
        let key = Key { kind, namespace: String::new(), name };
        plan.steps.extend(step(now.found.get(""), key, &manifest, || manifest.fields.clone()));
    }
}

fn in_namespace(now: &Situation<'_>, tenant: &Tenant, wanted: &Wanted, namespace: &str, plan: &mut Plan) {
    // One that goes is emptied: what is written now could reach the next namespace of its name.
    let Some(state) = now.index.namespace(namespace).filter(|state| !state.terminating) else { return };
    let before = plan.steps.len();
    let right = |(name, value): (&String, &String)| state.labels.get(name) == Some(value);
    if !wanted.labels.iter().all(right) {
        plan.steps.push(Step::Label(namespace.to_owned(), wanted.labels.clone()));
    }
    add_missing(now, tenant, namespace, &wanted.objects, plan);
    let secrets = wanted.secrets.iter().filter_map(|name| Some((name, now.secrets.get(name)?)));
    let secrets: Manifests =
        secrets.map(|(name, fields)| ((Kind::Secret, name.clone()), Manifest::new(fields.clone()))).collect();
    add_missing(now, tenant, namespace, &secrets, plan);
    if now.unsettled.contains(namespace) {
        let gives_rights = |step: &Step| step.key().kind == Kind::RoleBinding;
        let own = plan.steps.split_off(before);
        plan.steps.extend(own.into_iter().filter(|step| !gives_rights(step)));
        return;
    }
    if plan.steps.len() == before && !state.stands() {
        plan.standing.push(namespace.to_owned());
    }
}

fn add_missing(now: &Situation<'_>, tenant: &Tenant, namespace: &str, wanted: &Manifests, plan: &mut Plan) {
    let found = now.found.get(namespace);
    for ((kind, name), manifest) in wanted {
        let key = Key { kind: *kind, namespace: namespace.to_owned(), name: name.clone() };
        plan.steps.extend(step(found, key, manifest, || manifest.in_namespace(&tenant.name, namespace)));
    }
}

/// The step that makes an object as it should be, if it is not.
fn step(
    found: Option<&BTreeMap<(Kind, String), Content>>,
    key: Key,
    manifest: &Manifest,
    fields: impl FnOnce() -> Value,
) -> Option<Step> {
    let place = (key.kind, key.name.clone());
    match found.and_then(|found| found.get(&place)) {
        Some(found @ (Content::Digest(_) | Content::Binding(..)))
            if found.says(&Value::Null, manifest.digest) =>
        {
            None
        }
        Some(found @ Content::Fields(_)) => {
            let fields = fields();
            (!found.says(&fields, manifest.digest)).then_some(Step::Apply(key, fields))
        }
        _ => Some(Step::Apply(key, fields())),
    }
}

/// What nobody wants any more, and bindings whose role is another: a role cannot be changed.
fn superfluous(now: &Situation<'_>, wishes: &mut Wishes) -> Vec<Step> {
    let mut steps = Vec::new();
    for (namespace, objects) in now.found {
        let tenant = now.index.name_for(namespace).and_then(|name| now.index.tenant(name));
        let wanted = tenant.map(|tenant| wishes.of(tenant));
        for ((kind, name), content) in objects {
            let keep = match (namespace.as_str(), &wanted) {
                ("", _) => keeps_in_cluster(now.index, wishes, *kind, name, content),
                (_, Some(wanted)) => keeps(wanted, *kind, name, content),
                (_, None) => false,
            };
            if !keep {
                let key = Key { kind: *kind, namespace: namespace.clone(), name: name.clone() };
                steps.push(Step::Delete(key));
            }
        }
    }
    steps.sort_by_key(Step::key);
    steps
}

/// Whether a namespace keeps an object, as it is or to be put right.
fn keeps(wanted: &Wanted, kind: Kind, name: &str, found: &Content) -> bool {
    if kind == Kind::Secret {
        return wanted.secrets.iter().any(|wanted| wanted == name);
    }
    let manifest = wanted.objects.get(&(kind, name.to_owned()));
    manifest.is_some_and(|manifest| has_role(found, &manifest.fields))
}

fn keeps_in_cluster(
    index: &TenantIndex,
    wishes: &mut Wishes,
    kind: Kind,
    name: &str,
    found: &Content,
) -> bool {
    if name == OWNERS {
        let owns =
            |tenant: &Arc<Tenant>| tenant.members.iter().any(|member| member.role == TenantRole::Owner);
        return index.tenants().any(owns);
    }
    let tenant = name.split_once(':').and_then(|(_, tenant)| index.tenant(tenant));
    let wanted = tenant.map(|tenant| wishes.of(tenant));
    let manifest = wanted.as_ref().and_then(|wanted| wanted.cluster.get(&(kind, name.to_owned())));
    manifest.is_some_and(|manifest| has_role(found, &manifest.fields))
}
