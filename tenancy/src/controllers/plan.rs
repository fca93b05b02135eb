//! What the cluster should have for its tenants, and what has to be done for it: pure.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::networking::v1::NetworkPolicySpec;
use k8s_openapi::api::rbac::v1::Subject;
use model::{Tenant, TenantIndex, TenantRole};

use super::network;

/// The value of [`model::MANAGED_LABEL`].
pub(super) const MANAGED: &str = "bailey";
/// The ClusterRoleBinding that lets owners create namespaces.
const OWNERS: &str = "bailey-tenant-owners";
/// The NetworkPolicy that holds a tenant's Pods apart.
const NETWORK: &str = "bailey-isolation";

pub(super) const RBAC: &str = "rbac.authorization.k8s.io";

/// Which object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) kind: Kind,
    /// Empty for the whole cluster.
    pub(super) namespace: String,
    pub(super) name: String,
}

/// The kinds of objects that are kept, in the order in which they are written: labels of namespaces first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Namespace,
    NetworkPolicy,
    RoleBinding,
    ClusterRoleBinding,
}

/// What an object says, as far as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Object {
    /// These labels; of others a namespace may have any.
    Labels(BTreeMap<String, String>),
    /// A whole specification.
    Network(Box<NetworkPolicySpec>),
    /// A ClusterRole and whom it is bound to.
    Binding(String, Vec<Subject>),
}

/// Objects by which they are.
pub(super) type Objects = BTreeMap<Key, Object>;

/// One step towards what should be.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    /// Make the object so.
    Apply(Key, Object),
    /// Take it away.
    Delete(Key),
}

impl Step {
    /// What it changes.
    pub(super) fn key(&self) -> &Key {
        match self {
            Self::Apply(key, _) | Self::Delete(key) => key,
        }
    }
}

/// What all tenants together should have.
pub(super) fn wanted(index: &TenantIndex) -> Objects {
    let mut objects = Objects::new();
    let mut owners = BTreeSet::new();
    for tenant in index.tenants() {
        owners.extend(members(tenant, TenantRole::Owner));
        for namespace in index.namespaces_of(&tenant.name) {
            objects.extend(in_namespace(tenant, namespace));
        }
    }
    if !owners.is_empty() {
        let key = Key { kind: Kind::ClusterRoleBinding, namespace: String::new(), name: OWNERS.to_owned() };
        objects.insert(key, binding("bailey-namespace-creator", owners));
    }
    objects
}

/// What one namespace should have.
fn in_namespace(tenant: &Tenant, namespace: &str) -> Vec<(Key, Object)> {
    let key = |kind: Kind, name: &str| Key { kind, namespace: namespace.to_owned(), name: name.to_owned() };
    let labels = Object::Labels(tenant.isolation.pod_security.clone());
    let mut objects = vec![(key(Kind::Namespace, namespace), labels)];
    if let Some(rules) = &tenant.isolation.network {
        let spec = network::policy(&tenant.name, rules);
        objects.push((key(Kind::NetworkPolicy, NETWORK), Object::Network(Box::new(spec))));
    }
    let rows = [
        ("bailey-owners", "admin", TenantRole::Owner),
        ("bailey-namespace-owners", "bailey-namespace-owner", TenantRole::Owner),
        ("bailey-editors", "edit", TenantRole::Editor),
        ("bailey-viewers", "view", TenantRole::Viewer),
    ];
    for (name, role, of) in rows {
        let members = members(tenant, of);
        if !members.is_empty() {
            objects.push((key(Kind::RoleBinding, name), binding(role, members)));
        }
    }
    objects
}

fn members(tenant: &Tenant, role: TenantRole) -> BTreeSet<&model::Subject> {
    tenant.members.iter().filter(|member| member.role == role).map(|member| &member.subject).collect()
}

/// The steps from what is to what should be. Nothing to do, no step.
pub(super) fn plan(wanted: &Objects, found: &Objects) -> Vec<Step> {
    let apply =
        wanted.iter().filter(|(key, object)| !found.get(key).is_some_and(|found| says(found, object)));
    let apply = apply.map(|(key, object)| Step::Apply(key.clone(), object.clone()));
    // The role of a binding cannot be changed: one with another role is deleted first.
    let delete = found.iter().filter(|(key, object)| match (wanted.get(key), object) {
        (Some(Object::Binding(wanted, _)), Object::Binding(found, _)) => wanted != found,
        (Some(_), _) => false,
        (None, _) => key.kind != Kind::Namespace,
    });
    let delete = delete.map(|(key, _)| Step::Delete(key.clone()));
    // Rights are taken away before others are given.
    delete.chain(apply).collect()
}

/// Whether an object is as it should be.
fn says(found: &Object, wanted: &Object) -> bool {
    match (found, wanted) {
        (Object::Labels(found), Object::Labels(wanted)) => {
            wanted.iter().all(|(name, value)| found.get(name) == Some(value))
        }
        (found, wanted) => found == wanted,
    }
}

fn binding<'a>(role: &str, members: impl IntoIterator<Item = &'a model::Subject>) -> Object {
    Object::Binding(role.to_owned(), members.into_iter().map(subject).collect())
}

fn subject(member: &model::Subject) -> Subject {
    let of_rbac = |kind: &str, name: &str| Subject {
        api_group: Some(RBAC.to_owned()),
        kind: kind.to_owned(),
        name: name.to_owned(),
        namespace: None,
    };
    match member {
        model::Subject::User(name) => of_rbac("User", name),
        model::Subject::Group(name) => of_rbac("Group", name),
        model::Subject::ServiceAccount { namespace, name } => Subject {
            api_group: None,
            kind: "ServiceAccount".to_owned(),
            name: name.clone(),
            namespace: Some(namespace.clone()),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::{Isolation, Member, NamespaceRules, NamespaceState, Network, TENANT_LABEL};

    use super::*;

    fn index(members: &[(&str, TenantRole)], namespaces: &[&str]) -> TenantIndex {
        let members = members
            .iter()
            .map(|(name, role)| Member { subject: model::Subject::User((*name).to_owned()), role: *role });
        let label =
            BTreeMap::from([("pod-security.kubernetes.io/enforce".to_owned(), "baseline".to_owned())]);
        let tenant = Tenant {
            name: "alpha".into(),
            members: members.collect(),
            namespaces: NamespaceRules::default(),
            suspended: false,
            isolation: Isolation {
                pod_security: label,
                network: Some(Network::default()),
                missing_profile: None,
            },
        };
        let state = || NamespaceState::of(BTreeMap::from([(TENANT_LABEL.to_owned(), "alpha".to_owned())]));
        TenantIndex::new([Arc::new(tenant)], namespaces.iter().map(|name| ((*name).to_owned(), state())))
    }

    fn names(objects: &Objects) -> Vec<String> {
        objects.keys().map(|key| format!("{:?} {}/{}", key.kind, key.namespace, key.name)).collect()
    }

    #[test]
    fn every_namespace_gets_its_walls_and_a_binding_for_each_role_that_has_members() {
        let found = wanted(&index(&[("alice", TenantRole::Owner), ("carol", TenantRole::Viewer)], &["a"]));
        let expected = [
            "Namespace a/a",
            "NetworkPolicy a/bailey-isolation",
            "RoleBinding a/bailey-namespace-owners",
            "RoleBinding a/bailey-owners",
            "RoleBinding a/bailey-viewers",
            "ClusterRoleBinding /bailey-tenant-owners",
        ];
        assert_eq!(names(&found), expected);
        let viewers = found.iter().find(|(key, _)| key.name == "bailey-viewers").map(|(_, object)| object);
        assert!(
            matches!(viewers, Some(Object::Binding(role, all)) if role == "view" && all.first().is_some_and(|s| s.name == "carol")),
            "{viewers:?}"
        );
    }

    #[test]
    fn what_is_right_gets_no_step_and_what_is_left_over_goes_first() {
        let before = wanted(&index(&[("alice", TenantRole::Owner)], &["a"]));
        assert_eq!(plan(&before, &before), []);
        let steps = plan(&wanted(&index(&[("bob", TenantRole::Editor)], &["a"])), &before);
        let deleted = steps.iter().take_while(|step| matches!(step, Step::Delete(_))).count();
        assert_eq!((deleted, steps.len()), (3, 4));
        assert_eq!(steps.last().map(|step| step.key().name.as_str()), Some("bailey-editors"));
    }

    #[test]
    fn drift_is_put_right_and_labels_of_others_are_left_alone() {
        let wanted = wanted(&index(&[("alice", TenantRole::Owner)], &["a"]));
        let mut drifted = wanted.clone();
        for object in drifted.values_mut() {
            match object {
                Object::Labels(labels) => _ = labels.insert("color".to_owned(), "blue".to_owned()),
                Object::Network(spec) => spec.egress = None,
                Object::Binding(role, _) => "cluster-admin".clone_into(role),
            }
        }
        let steps = plan(&wanted, &drifted);
        let count = |of: fn(&Step) -> bool| steps.iter().filter(|step| of(step)).count();
        // Three bindings are deleted, which have another role, and made again; the network is put right.
        assert_eq!(count(|step| matches!(step, Step::Delete(_))), 3);
        assert_eq!(count(|step| matches!(step, Step::Apply(key, _) if key.kind == Kind::NetworkPolicy)), 1);
        assert_eq!(steps.len(), 7);
    }

    #[test]
    fn a_namespace_that_leaves_its_tenant_loses_what_it_got() {
        let before = wanted(&index(&[("alice", TenantRole::Owner)], &["a", "b"]));
        let after = wanted(&index(&[("alice", TenantRole::Owner)], &["a"]));
        let steps = plan(&after, &before);
        assert!(
            steps.iter().all(|step| matches!(step, Step::Delete(key) if key.namespace == "b")),
            "{steps:?}"
        );
        assert_eq!(steps.len(), 3, "its labels stay: without a tenant it is as safe as before");
    }
}
