//! What one tenant should have in the cluster: the same in each of its namespaces.

use std::collections::{BTreeMap, BTreeSet};

use model::{Amount, Member, Tenant, TenantRole, is_bytes};
use quota::ledger::{NAMESPACES, ONE};
use quota::measure::is_of_kubernetes;
use serde_json::{Value, json};

use super::content::digest;
use super::network;
use super::plan::{Kind, RBAC};

/// The NetworkPolicy that holds a tenant's Pods apart.
const NETWORK: &str = "bailey-isolation";
/// The LimitRange of a tenant's profile.
const LIMITS: &str = "bailey-limits";
/// The ResourceQuota of a budget's backstop.
const BACKSTOP: &str = "bailey-backstop";
/// The ServiceAccount of Pods that name none.
const DEFAULT_ACCOUNT: &str = "default";

/// An object that should be there.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Manifest {
    /// Everything but `apiVersion`, `kind` and `metadata`.
    pub(super) fields: Value,
    pub(super) digest: u128,
    /// Whether it says something else in every namespace.
    filled_in: bool,
}

impl Manifest {
    pub(super) fn new(fields: Value) -> Self {
        let digest = digest(&fields);
        Self { fields, digest, filled_in: false }
    }

    fn template(fields: Value) -> Self {
        let filled_in = fields.to_string().contains("${");
        Self { filled_in, ..Self::new(fields) }
    }

    /// What it says in one namespace.
    pub(super) fn in_namespace(&self, tenant: &str, namespace: &str) -> Value {
        if self.filled_in { fill_in(&self.fields, tenant, namespace) } else { self.fields.clone() }
    }
}

/// Objects by kind and name.
pub(super) type Manifests = BTreeMap<(Kind, String), Manifest>;

/// What a tenant should have.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Wanted {
    /// Labels of every namespace.
    pub(super) labels: BTreeMap<String, String>,
    /// What is in every namespace.
    pub(super) objects: Manifests,
    /// Secrets that are copied into every namespace.
    pub(super) secrets: Vec<String>,
    /// What it has in the cluster.
    pub(super) cluster: Manifests,
}

/// What a tenant should have.
pub(super) fn wanted(tenant: &Tenant) -> Wanted {
    let mut objects = Manifests::new();
    let isolation = &tenant.isolation;
    if let Some(rules) = &isolation.network {
        let spec = network::policy(&tenant.name, rules);
        objects.insert((Kind::NetworkPolicy, NETWORK.to_owned()), Manifest::new(json!({"spec": spec})));
    }
    for (place, items) in isolation.contents.limit_ranges.iter().enumerate() {
        let name = if place == 0 { LIMITS.to_owned() } else { format!("{LIMITS}-{place}") };
        objects.insert((Kind::LimitRange, name), Manifest::template(json!({"spec": {"limits": items}})));
    }
    objects.extend(backstop(tenant));
    objects.extend(isolation.contents.templates.iter().filter_map(template));
    objects.insert((Kind::ServiceAccount, DEFAULT_ACCOUNT.to_owned()), default_account(tenant));
    objects.extend(bindings(tenant));
    Wanted {
        labels: isolation.pod_security.clone(),
        objects,
        secrets: isolation.contents.secrets.clone(),
        cluster: own_object(tenant),
    }
}

/// A ResourceQuota that is wide enough to refuse nobody whom the budget does not, where one is asked for: Kubernetes
/// releases late, and each namespace might have all of the budget.
fn backstop(tenant: &Tenant) -> Option<((Kind, String), Manifest)> {
    let budget = &tenant.budget;
    let percent = i128::from(budget.backstop_percent?);
    let mut hard = serde_json::Map::new();
    for (resource, own) in &budget.hard {
        // Kubernetes counts nothing of the whole cluster, and no sums; and what a cohort lends has no bound of one tenant's own.
        if resource.as_ref() == NAMESPACES || !is_of_kubernetes(resource) {
            continue;
        }
        let most = match (&budget.cohort, budget.borrow.get(resource)) {
            (None, _) => *own,
            (Some(_), Some(borrowed)) => own.saturating_add(*borrowed),
            (Some(_), None) => continue,
        };
        let wide = most.saturating_mul(percent).checked_div(100).unwrap_or(most);
        // Of what cannot be divided there is a whole number.
        let whole = wide.checked_div(ONE).unwrap_or_default().saturating_add(1).saturating_mul(ONE);
        let divided = is_bytes(resource) || resource.ends_with("cpu");
        let amount = if divided || wide.checked_rem(ONE) == Some(0) { wide } else { whole };
        hard.insert(resource.to_string(), Amount::of(amount, is_bytes(resource)).to_string().into());
    }
    let fields = json!({"spec": {"hard": hard}});
    (!hard.is_empty()).then(|| ((Kind::ResourceQuota, BACKSTOP.to_owned()), Manifest::new(fields)))
}

fn default_account(tenant: &Tenant) -> Manifest {
    let contents = &tenant.isolation.contents;
    let mut fields = json!({"automountServiceAccountToken": contents.automount_token});
    if !contents.image_pull_secrets.is_empty()
        && let Some(fields) = fields.as_object_mut()
    {
        let secrets = contents.image_pull_secrets.iter().map(|name| json!({"name": name}));
        fields.insert("imagePullSecrets".to_owned(), secrets.collect());
    }
    Manifest::new(fields)
}

fn template(object: &Value) -> Option<((Kind, String), Manifest)> {
    let kind = Kind::of_template(object.get("kind")?.as_str()?)?;
    let name = object.pointer("/metadata/name")?.as_str()?.to_owned();
    let mut fields = object.clone();
    fields.as_object_mut()?.retain(|name, _| !["apiVersion", "kind", "metadata"].contains(&name.as_str()));
    Some(((kind, name), Manifest::template(fields)))
}

/// The rights of members in every namespace.
fn bindings(tenant: &Tenant) -> Manifests {
    let rows = [
        ("bailey-owners", "admin", TenantRole::Owner),
        ("bailey-namespace-owners", "bailey-namespace-owner", TenantRole::Owner),
        ("bailey-editors", "edit", TenantRole::Editor),
        ("bailey-viewers", "view", TenantRole::Viewer),
    ];
    let mut all = Manifests::new();
    for (name, role, of) in rows {
        let members = tenant.members.iter().filter(|member| member.role == of);
        let subjects: BTreeSet<_> = members.map(|member| &member.subject).collect();
        all.extend(binding(Kind::RoleBinding, name.to_owned(), role, subjects));
    }
    let mut custom: BTreeMap<&str, BTreeSet<&model::Subject>> = BTreeMap::new();
    for Member { subject, cluster_role, .. } in &tenant.members {
        cluster_role.iter().for_each(|role| _ = custom.entry(role).or_default().insert(subject));
    }
    for (role, subjects) in custom {
        all.extend(binding(Kind::RoleBinding, format!("bailey-custom-{role}"), role, subjects));
    }
    all
}

/// Every member reads the tenant and its profile; owners change it, as far as the walls let them.
fn own_object(tenant: &Tenant) -> Manifests {
    let own = |resource: &str, name: &str, verbs: &[&str]| rule("bailey.dev", resource, name, verbs);
    let name = tenant.name.as_str();
    let read = [
        own("tenants", name, &["get"]),
        own("isolationprofiles", &tenant.profile, &["get"]),
        rule("decisions.bailey.dev", "decisions", name, &["get"]),
        rule("decisions.bailey.dev", "uses", name, &["get"]),
    ];
    let change = [own("tenants", name, &["get", "patch", "update"])];
    let members: BTreeSet<_> = tenant.members.iter().map(|member| &member.subject).collect();
    let owners = tenant.members.iter().filter(|member| member.role == TenantRole::Owner);
    let owners: BTreeSet<_> = owners.map(|member| &member.subject).collect();
    let mut all = Manifests::new();
    for (role, rules, subjects) in [
        (format!("bailey-tenant:{name}"), &read[..], members),
        (format!("bailey-tenant-owners:{name}"), &change[..], owners),
    ] {
        if let Some(binding) = binding(Kind::ClusterRoleBinding, role.clone(), &role, subjects) {
            all.insert((Kind::ClusterRole, role), Manifest::new(json!({"rules": rules})));
            all.extend([binding]);
        }
    }
    all
}

fn rule(group: &str, resource: &str, name: &str, verbs: &[&str]) -> Value {
    json!({"apiGroups": [group], "resources": [resource], "resourceNames": [name], "verbs": verbs})
}

/// A binding of a ClusterRole; none without subjects.
pub(super) fn binding<'a>(
    kind: Kind,
    name: String,
    role: &str,
    subjects: impl IntoIterator<Item = &'a model::Subject>,
) -> Option<((Kind, String), Manifest)> {
    let subjects: Vec<Value> = subjects.into_iter().map(subject).collect();
    let role = json!({"apiGroup": RBAC, "kind": "ClusterRole", "name": role});
    let manifest = || Manifest::new(json!({"roleRef": role, "subjects": subjects}));
    (!subjects.is_empty()).then(|| ((kind, name), manifest()))
}

fn subject(member: &model::Subject) -> Value {
    match member {
        model::Subject::User(name) => json!({"apiGroup": RBAC, "kind": "User", "name": name}),
        model::Subject::Group(name) => json!({"apiGroup": RBAC, "kind": "Group", "name": name}),
        model::Subject::ServiceAccount { namespace, name } => {
            json!({"kind": "ServiceAccount", "name": name, "namespace": namespace})
        }
    }
}

/// A template with its texts filled in.
fn fill_in(value: &Value, tenant: &str, namespace: &str) -> Value {
    let text = |text: &str| text.replace("${NAMESPACE}", namespace).replace("${TENANT}", tenant);
    match value {
        Value::String(found) => Value::String(text(found)),
        Value::Array(items) => items.iter().map(|item| fill_in(item, tenant, namespace)).collect(),
        Value::Object(members) => {
            members.iter().map(|(name, value)| (text(name), fill_in(value, tenant, namespace))).collect()
        }
        other => other.clone(),
    }
}
