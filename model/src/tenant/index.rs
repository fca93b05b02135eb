use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::{NamespaceState, Subject, Tenant, TenantRole};
use crate::UserInfo;

/// All tenants and whose each namespace is, as they were at one moment.
///
/// Looking up the tenant of a namespace or the roles of a user takes time in the logarithm of the number of
/// namespaces and in the number of the user's groups.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TenantIndex {
    tenants: BTreeMap<String, Arc<Tenant>>,
    namespaces: BTreeMap<String, Arc<NamespaceState>>,
    children: BTreeMap<String, BTreeSet<String>>,
    owned: BTreeMap<String, BTreeSet<String>>,
    roles: HashMap<Subject, BTreeMap<String, TenantRole>>,
}

impl TenantIndex {
    /// An index of tenants and of all namespaces by name.
    pub fn new<T, N>(tenants: T, namespaces: N) -> Self
    where
        T: IntoIterator<Item = Arc<Tenant>>,
        N: IntoIterator<Item = (String, Arc<NamespaceState>)>,
    {
        let mut index = Self::default();
        for tenant in tenants {
            for member in &tenant.members {
                let roles = index.roles.entry(member.subject.clone()).or_default();
                let role = roles.entry(tenant.name.clone()).or_insert(member.role);
                *role = (*role).max(member.role);
            }
            for parent in &tenant.parents {
                index.children.entry(parent.clone()).or_default().insert(tenant.name.clone());
            }
            index.tenants.insert(tenant.name.clone(), tenant);
        }
        for (namespace, state) in namespaces {
            if let Some(tenant) = &state.tenant {
                index.owned.entry(tenant.clone()).or_default().insert(namespace.clone());
            }
            index.namespaces.insert(namespace, state);
        }
        index
    }

    /// Every tenant, by name.
    pub fn tenants(&self) -> impl Iterator<Item = &Arc<Tenant>> {
        self.tenants.values()
    }

    /// The tenant of this name.
    pub fn tenant(&self, name: &str) -> Option<&Arc<Tenant>> {
        self.tenants.get(name)
    }

    /// The tenant that a namespace's label names, whether or not there is one of the name.
    pub fn name_for(&self, namespace: &str) -> Option<&str> {
        self.namespaces.get(namespace)?.tenant.as_deref()
    }

    /// A namespace; `None` where the snapshot does not know it yet.
    pub fn namespace(&self, name: &str) -> Option<&NamespaceState> {
        self.namespaces.get(name).map(Arc::as_ref)
    }

    /// Whether there is any tenant; without one there are no walls.
    pub fn has_tenants(&self) -> bool {
        !self.tenants.is_empty()
    }

    /// The namespaces of a tenant.
    pub fn namespaces_of(&self, tenant: &str) -> impl Iterator<Item = &str> {
        self.owned.get(tenant).into_iter().flatten().map(String::as_str)
    }

    /// The namespaces of a tenant and of all tenants below it.
    pub fn namespaces_under(&self, tenant: &str) -> impl Iterator<Item = &str> {
        let below = self.children.get(tenant).into_iter().flatten();
        self.namespaces_of(tenant).chain(below.flat_map(|child| self.namespaces_of(child)))
    }

    /// The namespaces that another snapshot does not know, or knows as another tenant's.
    pub fn namespaces_unlike<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = &'a str> {
        let unlike = |name: &String, state: &Arc<NamespaceState>| {
            other
                .namespaces
                .get(name)
                .is_none_or(|known| !Arc::ptr_eq(known, state) && known.tenant != state.tenant)
        };
        let gone = other.namespaces.keys().filter(|name| !self.namespaces.contains_key(*name));
        let changed =
            self.namespaces.iter().filter(move |(name, state)| unlike(name, state)).map(|(name, _)| name);
        changed.chain(gone).map(String::as_str)
    }

    /// A tenant and all below it.
    pub fn with_all_below<'a>(&'a self, tenant: &'a str) -> impl Iterator<Item = &'a str> {
        let below = self.children.get(tenant).into_iter().flatten();
        std::iter::once(tenant).chain(below.map(String::as_str))
    }

    /// Whether another snapshot knows other tenants, or other members of one.
    ///
    /// Takes time in the number of tenants, and in that of the members of those that are not the same value.
    pub fn members_unlike(&self, other: &Self) -> bool {
        let alike = |(known, tenant): (&Arc<Tenant>, &Arc<Tenant>)| {
            Arc::ptr_eq(known, tenant) || (known.name == tenant.name && known.members == tenant.members)
        };
        self.tenants.len() != other.tenants.len()
            || !self.tenants.values().zip(other.tenants.values()).all(alike)
    }

    /// Whether one tenant is another, or above it.
    pub fn holds(&self, upper: &str, tenant: &str) -> bool {
        upper == tenant || self.children.get(upper).is_some_and(|below| below.contains(tenant))
    }

    /// The tenant in whose namespace a user's service account lives, if that is what the user is.
    pub fn home_of(&self, user: &UserInfo) -> Option<&str> {
        let (namespace, _) = user.username.strip_prefix(SERVICE_ACCOUNT)?.split_once(':')?;
        self.name_for(namespace)
    }

    /// The tenant at whose cost a user's request goes: that of the namespace, where the user belongs to it, else that in whose
    /// namespace a service account lives, whoever else names it, else the first by name that the user belongs to. A request
    /// into the namespace of somebody else costs its sender.
    pub fn payer(&self, user: &UserInfo, namespace: Option<&str>) -> Option<&str> {
        let roles = self.roles_of(user);
        let home = self.home_of(user).filter(|tenant| self.tenant(tenant).is_some());
        let own = |tenant: &&str| home == Some(*tenant) || roles.keys().any(|role| self.holds(role, tenant));
        let named = namespace.and_then(|namespace| self.name_for(namespace)).filter(own);
        named.or(home).or_else(|| roles.keys().next().copied())
    }

    /// In which tenants a user has a role, and which: the highest that the user or one of their groups has.
    pub fn roles_of(&self, user: &UserInfo) -> BTreeMap<&str, TenantRole> {
        let mut found = BTreeMap::new();
        if self.roles.is_empty() {
            return found;
        }
        let own = service_account(&user.username).unwrap_or_else(|| Subject::User(user.username.clone()));
        let groups = user.groups.iter().map(|group| Subject::Group(group.clone()));
        for roles in std::iter::once(own).chain(groups).filter_map(|subject| self.roles.get(&subject)) {
            for (tenant, role) in roles {
                let highest = found.entry(tenant.as_str()).or_insert(*role);
                *highest = (*highest).max(*role);
            }
        }
        found
    }
}

/// What user names of service accounts begin with.
const SERVICE_ACCOUNT: &str = "system:serviceaccount:";

/// The service account that has this user name.
fn service_account(username: &str) -> Option<Subject> {
    let (namespace, name) = username.strip_prefix(SERVICE_ACCOUNT)?.split_once(':')?;
    Some(Subject::ServiceAccount { namespace: namespace.to_owned(), name: name.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Member, TENANT_LABEL};

    fn tenant(name: &str, members: &[(Subject, TenantRole)]) -> Arc<Tenant> {
        let members = members.iter().map(|(subject, role)| Member {
            subject: subject.clone(),
            role: *role,
            cluster_role: None,
        });
        Arc::new(Tenant { members: members.collect(), ..Tenant::new(name) })
    }

    fn user(name: &str, groups: &[&str]) -> UserInfo {
        let groups = groups.iter().map(|group| (*group).to_owned()).collect();
        UserInfo { username: name.to_owned(), groups, ..UserInfo::default() }
    }

    #[test]
    fn the_highest_role_of_user_and_groups_counts() {
        let index = TenantIndex::new(
            [
                tenant(
                    "alpha",
                    &[
                        (Subject::User("alice".into()), TenantRole::Viewer),
                        (Subject::Group("staff".into()), TenantRole::Owner),
                        (Subject::Group("staff".into()), TenantRole::Editor),
                    ],
                ),
                tenant("beta", &[(Subject::User("alice".into()), TenantRole::Editor)]),
            ],
            [],
        );
        let alice = index.roles_of(&user("alice", &["staff"])).into_iter().collect::<Vec<_>>();
        assert_eq!(alice, [("alpha", TenantRole::Owner), ("beta", TenantRole::Editor)]);
        assert_eq!(index.roles_of(&user("alice", &[])).get("alpha"), Some(&TenantRole::Viewer));
        assert!(index.roles_of(&user("bob", &["users"])).is_empty());
    }

    #[test]
    fn a_user_cannot_pass_for_a_service_account_or_a_group() {
        let account = Subject::ServiceAccount { namespace: "ci".into(), name: "deployer".into() };
        let members = [(account, TenantRole::Owner), (Subject::User("staff".into()), TenantRole::Owner)];
        let index = TenantIndex::new([tenant("alpha", &members)], []);
        assert_eq!(index.roles_of(&user("system:serviceaccount:ci:deployer", &[])).len(), 1);
        assert!(index.roles_of(&user("deployer", &["staff", "ci:deployer"])).is_empty());
    }

    #[test]
    fn an_account_is_at_the_cost_of_its_own_tenant_whoever_names_it() {
        let robot = Subject::ServiceAccount { namespace: "shop-web".into(), name: "robot".into() };
        let tenants = [tenant("bank", &[(robot, TenantRole::Editor)]), tenant("shop", &[])];
        let namespaces = [("bank-web", "bank"), ("shop-web", "shop")].map(|(name, tenant)| {
            let labels = BTreeMap::from([(TENANT_LABEL.to_owned(), tenant.to_owned())]);
            (name.to_owned(), Arc::new(NamespaceState::of(labels)))
        });
        let index = TenantIndex::new(tenants, namespaces);
        let robot = user("system:serviceaccount:shop-web:robot", &[]);
        for namespace in [None, Some("shop-web"), Some("elsewhere")] {
            assert_eq!(index.payer(&robot, namespace), Some("shop"), "{namespace:?}");
        }
        assert_eq!(index.payer(&robot, Some("bank-web")), Some("bank"));
    }

    #[test]
    fn other_members_are_noticed_and_other_namespaces_are_not() {
        let alice = |role| tenant("alpha", &[(Subject::User("alice".into()), role)]);
        let index = TenantIndex::new([alice(TenantRole::Viewer)], []);
        let space = ("a".to_owned(), Arc::new(NamespaceState::of(BTreeMap::new())));
        assert!(!index.members_unlike(&TenantIndex::new([alice(TenantRole::Viewer)], [space])));
        assert!(index.members_unlike(&TenantIndex::new([alice(TenantRole::Owner)], [])));
        assert!(index.members_unlike(&TenantIndex::new([tenant("beta", &[])], [])));
        assert!(index.members_unlike(&TenantIndex::default()));
    }

    #[test]
    fn a_namespace_belongs_to_the_tenant_its_label_names() {
        let namespaces = [("a", Some("alpha")), ("b", Some("gone")), ("c", None)].map(|(name, tenant)| {
            let labels = tenant.map(|tenant| (TENANT_LABEL.to_owned(), tenant.to_owned()));
            (name.to_owned(), Arc::new(NamespaceState::of(labels.into_iter().collect())))
        });
        let index = TenantIndex::new([tenant("alpha", &[])], namespaces);
        assert_eq!(index.name_for("a"), Some("alpha"));
        assert_eq!((index.name_for("b"), index.tenant("gone")), (Some("gone"), None));
        assert_eq!(index.name_for("c"), None);
        assert_eq!(index.namespaces_of("alpha").collect::<Vec<_>>(), ["a"]);
    }
}
