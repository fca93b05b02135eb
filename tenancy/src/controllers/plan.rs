//! What the cluster should have for its tenants, and what has to be done for it: pure.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::rbac::v1::{RoleRef, Subject};
use model::{TenantIndex, TenantRole};

/// The label of objects that Bailey keeps in sync; nobody else changes them.
pub(super) const MANAGED_LABEL: &str = "bailey.dev/managed-by";
/// Its value.
pub(super) const MANAGED: &str = "bailey";
/// The ClusterRoleBinding that lets owners create namespaces.
pub(super) const OWNERS: &str = "bailey-tenant-owners";

const RBAC: &str = "rbac.authorization.k8s.io";

/// A binding of a ClusterRole to members, in a namespace or in the cluster.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Binding {
    pub(super) role: String,
    pub(super) subjects: Vec<Subject>,
}

/// Namespace and name; what is of the whole cluster is in the empty namespace.
pub(super) type Key = (String, String);
/// Bindings by namespace and name.
pub(super) type Bindings = BTreeMap<Key, Binding>;

/// One step towards what should be.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    /// Make the binding so.
    Apply(Key, Binding),
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

/// The bindings that all tenants together should have.
pub(super) fn wanted(index: &TenantIndex) -> Bindings {
    let mut bindings = Bindings::new();
    let mut owners = BTreeSet::new();
    for tenant in index.tenants() {
        let with = |role: TenantRole| -> Vec<&model::Subject> {
            let members = tenant.members.iter().filter(|member| member.role == role);
            members.map(|member| &member.subject).collect::<BTreeSet<_>>().into_iter().collect()
        };
        owners.extend(with(TenantRole::Owner));
        let rows = [
            ("bailey-owners", "admin", with(TenantRole::Owner)),
            ("bailey-namespace-owners", "bailey-namespace-owner", with(TenantRole::Owner)),
            ("bailey-editors", "edit", with(TenantRole::Editor)),
            ("bailey-viewers", "view", with(TenantRole::Viewer)),
        ];
        for namespace in index.namespaces_of(&tenant.name) {
            for (name, role, members) in rows.iter().filter(|(_, _, members)| !members.is_empty()) {
                let binding = binding(role, members.iter().copied());
                bindings.insert((namespace.to_owned(), (*name).to_owned()), binding);
            }
        }
    }
    if !owners.is_empty() {
        let binding = binding("bailey-namespace-creator", owners);
        bindings.insert((String::new(), OWNERS.to_owned()), binding);
    }
    bindings
}

/// The steps from what is to what should be. Nothing to do, no step.
pub(super) fn plan(wanted: &Bindings, found: &Bindings) -> Vec<Step> {
    let apply = wanted.iter().filter(|(key, binding)| found.get(key) != Some(binding));
    let apply = apply.map(|(key, binding)| Step::Apply(key.clone(), binding.clone()));
    // The role of a binding cannot be changed: one with another role is deleted first.
    let stays = |key: &Key, found: &Binding| wanted.get(key).is_some_and(|wanted| wanted.role == found.role);
    let delete = found.iter().filter(|(key, binding)| !stays(key, binding));
    let delete = delete.map(|(key, _)| Step::Delete(key.clone()));
    // Rights are taken away before others are given.
    delete.chain(apply).collect()
}

fn binding<'a>(role: &str, members: impl IntoIterator<Item = &'a model::Subject>) -> Binding {
    Binding { role: role.to_owned(), subjects: members.into_iter().map(subject).collect() }
}

fn subject(member: &model::Subject) -> Subject {
    let group = |kind: &str, name: &str| Subject {
        api_group: Some(RBAC.to_owned()),
        kind: kind.to_owned(),
        name: name.to_owned(),
        namespace: None,
    };
    match member {
        model::Subject::User(name) => group("User", name),
        model::Subject::Group(name) => group("Group", name),
        model::Subject::ServiceAccount { namespace, name } => Subject {
            api_group: None,
            kind: "ServiceAccount".to_owned(),
            name: name.clone(),
            namespace: Some(namespace.clone()),
        },
    }
}

/// A reference to a ClusterRole.
pub(super) fn cluster_role(name: &str) -> RoleRef {
    RoleRef { api_group: Some(RBAC.to_owned()), kind: "ClusterRole".to_owned(), name: name.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::{Member, NamespaceRules, Tenant};

    use super::*;

    fn index(members: &[(&str, TenantRole)], namespaces: &[&str]) -> TenantIndex {
        let members = members
            .iter()
            .map(|(name, role)| Member { subject: model::Subject::User((*name).to_owned()), role: *role });
        let tenant = Tenant {
            name: "alpha".into(),
            members: members.collect(),
            namespaces: NamespaceRules::default(),
            suspended: false,
        };
        let namespaces = namespaces.iter().map(|name| ((*name).to_owned(), "alpha".to_owned()));
        TenantIndex::new([Arc::new(tenant)], namespaces)
    }

    fn keys(bindings: &Bindings) -> Vec<String> {
        bindings.keys().map(|(namespace, name)| format!("{namespace}/{name}")).collect()
    }

    #[test]
    fn every_namespace_gets_a_binding_for_each_role_that_has_members() {
        let index = index(&[("alice", TenantRole::Owner), ("carol", TenantRole::Viewer)], &["a", "b"]);
        let found = wanted(&index);
        let of = |namespace: &str| {
            ["bailey-namespace-owners", "bailey-owners", "bailey-viewers"]
                .map(|name| format!("{namespace}/{name}"))
        };
        assert_eq!(
            keys(&found),
            [vec!["/bailey-tenant-owners".to_owned()], of("a").into(), of("b").into()].concat()
        );
        let viewers =
            found.get(&("a".to_owned(), "bailey-viewers".to_owned())).map(|binding| &binding.subjects);
        assert_eq!(viewers.and_then(|subjects| subjects.first()).map(|s| s.name.as_str()), Some("carol"));
    }

    #[test]
    fn what_is_right_gets_no_step_and_what_is_left_over_goes_first() {
        let before = wanted(&index(&[("alice", TenantRole::Owner)], &["a"]));
        assert_eq!(plan(&before, &before), []);
        let after = wanted(&index(&[("bob", TenantRole::Editor)], &["a"]));
        let steps = plan(&after, &before);
        let deleted = steps.iter().take_while(|step| matches!(step, Step::Delete(_))).count();
        assert_eq!((deleted, steps.len()), (3, 4));
        let step = steps.last();
        assert!(matches!(step, Some(Step::Apply((_, name), _)) if name == "bailey-editors"), "{step:?}");
    }

    #[test]
    fn drift_is_put_right() {
        let wanted = wanted(&index(&[("alice", TenantRole::Owner)], &["a"]));
        let mut drifted = wanted.clone();
        for binding in drifted.values_mut() {
            binding.subjects.clear();
        }
        assert_eq!(plan(&wanted, &drifted).len(), 3);
    }
}
