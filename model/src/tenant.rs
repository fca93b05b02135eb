use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::UserInfo;

/// The label of a namespace that names its tenant. Only administrators and Bailey set it.
pub const TENANT_LABEL: &str = "bailey.dev/tenant";

/// The label that Bailey gives a tenant's namespace when all of its walls stand.
pub const WALLS_LABEL: &str = "bailey.dev/walls";
/// Its value.
pub const WALLS_STANDING: &str = "standing";
/// The label of objects in tenants' namespaces that Bailey keeps in sync; nobody else changes them.
pub const MANAGED_LABEL: &str = "bailey.dev/managed-by";
/// The label of every namespace that holds its name; Kubernetes sets it.
pub const NAMESPACE_NAME_LABEL: &str = "kubernetes.io/metadata.name";
/// What the labels of Pod Security begin with.
pub const POD_SECURITY_LABELS: &str = "pod-security.kubernetes.io/";

/// What a member of a tenant may do, the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TenantRole {
    /// Reads what is in the tenant's namespaces, but no Secrets.
    Viewer,
    /// Changes it too.
    Editor,
    /// Creates and deletes namespaces, and gives rights inside of them.
    Owner,
}

impl TenantRole {
    /// The role as it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Editor => "editor",
            Self::Owner => "owner",
        }
    }
}

/// Who can be a member.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// A user by name.
    User(String),
    /// Everybody in a group.
    Group(String),
    /// A service account.
    ServiceAccount {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
}

/// A member of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub subject: Subject,
    /// As what.
    pub role: TenantRole,
}

/// Rules for a tenant's own namespaces.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NamespaceRules {
    /// What their names begin with; empty where any name will do.
    pub prefix: String,
    /// The most namespaces; `None` without a limit.
    pub limit: Option<u32>,
}

/// How far the Pods of a tenant are held apart from the node and from other Pods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Isolation {
    /// The labels of Pod Security that every namespace has, by whole name.
    pub pod_security: BTreeMap<String, String>,
    /// What Pods may reach and who may reach them; `None` where nothing is enforced.
    pub network: Option<Network>,
    /// The profile that the tenant names and that does not exist; these are the strictest walls then.
    pub missing_profile: Option<String>,
}

/// What the Pods of an isolated tenant may reach beside each other and DNS.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Network {
    /// Address ranges that they may reach, such as `203.0.113.0/24`.
    pub egress: Vec<String>,
    /// Namespaces from which they may be reached, such as that of an ingress controller.
    pub ingress_from: Vec<String>,
}

/// A namespace as the snapshot knows it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NamespaceState {
    /// The tenant that its label names, whether or not there is one of the name.
    pub tenant: Option<String>,
    /// Those of its labels that are walls: of Pod Security, and [`WALLS_LABEL`].
    pub labels: BTreeMap<String, String>,
}

impl NamespaceState {
    /// The state of a namespace with these labels.
    pub fn of(labels: BTreeMap<String, String>) -> Self {
        let tenant = labels.get(TENANT_LABEL).cloned();
        let walls = labels
            .into_iter()
            .filter(|(name, _)| name.starts_with(POD_SECURITY_LABELS) || name == WALLS_LABEL);
        Self { tenant, labels: walls.collect() }
    }

    /// Whether its walls stood once; what is taken away from them later is put right.
    pub fn stands(&self) -> bool {
        self.labels.get(WALLS_LABEL).is_some_and(|value| value == WALLS_STANDING)
    }
}

/// A tenant: who belongs to it, and what its namespaces may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    /// The object's name.
    pub name: String,
    /// Its members.
    pub members: Vec<Member>,
    /// Rules for its namespaces.
    pub namespaces: NamespaceRules,
    /// Whether it may not grow: running work stays, nothing new is created.
    pub suspended: bool,
    /// The walls of each namespace.
    pub isolation: Isolation,
}

/// All tenants and whose each namespace is, as they were at one moment.
///
/// Looking up the tenant of a namespace or the roles of a user takes time in the logarithm of the number of
/// namespaces and in the number of the user's groups.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TenantIndex {
    tenants: BTreeMap<String, Arc<Tenant>>,
    namespaces: BTreeMap<String, NamespaceState>,
    owned: BTreeMap<String, BTreeSet<String>>,
    roles: HashMap<Subject, BTreeMap<String, TenantRole>>,
}

impl TenantIndex {
    /// An index of tenants and of all namespaces by name.
    pub fn new<T, N>(tenants: T, namespaces: N) -> Self
    where
        T: IntoIterator<Item = Arc<Tenant>>,
        N: IntoIterator<Item = (String, NamespaceState)>,
    {
        let mut index = Self::default();
        for tenant in tenants {
            for member in &tenant.members {
                let roles = index.roles.entry(member.subject.clone()).or_default();
                let role = roles.entry(tenant.name.clone()).or_insert(member.role);
                *role = (*role).max(member.role);
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
        self.namespaces.get(name)
    }

    /// Whether there is any tenant; without one there are no walls.
    pub fn has_tenants(&self) -> bool {
        !self.tenants.is_empty()
    }

    /// The namespaces of a tenant.
    pub fn namespaces_of(&self, tenant: &str) -> impl Iterator<Item = &str> {
        self.owned.get(tenant).into_iter().flatten().map(String::as_str)
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

/// The service account that has this user name.
fn service_account(username: &str) -> Option<Subject> {
    let (namespace, name) = username.strip_prefix("system:serviceaccount:")?.split_once(':')?;
    Some(Subject::ServiceAccount { namespace: namespace.to_owned(), name: name.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(name: &str, members: &[(Subject, TenantRole)]) -> Arc<Tenant> {
        let members = members.iter().map(|(subject, role)| Member { subject: subject.clone(), role: *role });
        Arc::new(Tenant {
            name: name.to_owned(),
            members: members.collect(),
            namespaces: NamespaceRules::default(),
            suspended: false,
            isolation: Isolation { pod_security: BTreeMap::new(), network: None, missing_profile: None },
        })
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
    fn a_namespace_belongs_to_the_tenant_its_label_names() {
        let namespaces = [("a", Some("alpha")), ("b", Some("gone")), ("c", None)].map(|(name, tenant)| {
            let labels = tenant.map(|tenant| (TENANT_LABEL.to_owned(), tenant.to_owned()));
            (name.to_owned(), NamespaceState::of(labels.into_iter().collect()))
        });
        let index = TenantIndex::new([tenant("alpha", &[])], namespaces);
        assert_eq!(index.name_for("a"), Some("alpha"));
        assert_eq!((index.name_for("b"), index.tenant("gone")), (Some("gone"), None));
        assert_eq!(index.name_for("c"), None);
        assert_eq!(index.namespaces_of("alpha").collect::<Vec<_>>(), ["a"]);
    }
}
