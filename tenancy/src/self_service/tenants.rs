//! Tenants as their members see them.

use futures::{StreamExt, TryStreamExt};
use kube::api::{DynamicObject, Patch, PatchParams};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::budgets::{BudgetLine, Declared};
use super::fault::Fault;
use super::identity::{Names, TenantRights, Whoami};
use super::rates::{Fairness, RateLine};
use super::session::Session;
use crate::api::tenant::QuotaStatus;

/// How many tenants are read at once.
const READS: usize = 8;
/// What somebody can do who may not read a tenant.
const ASK: &str = "only members of a tenant can see it: ask an owner to add you";

/// A member of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MemberEntry {
    /// Who, such as `user:alice`.
    pub subject: String,
    /// As what.
    pub role: String,
    /// The ClusterRole of a custom member.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_role: Option<String>,
}

/// What a member may know of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TenantSummary {
    /// Its name.
    pub name: String,
    /// What the user is in it; `None` for somebody who only may read it.
    pub role: Option<String>,
    /// The tenant above it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// Its members.
    pub members: Vec<MemberEntry>,
    /// What the names of its namespaces begin with.
    pub prefix: String,
    /// Its namespaces, the first thousand.
    pub namespaces: Vec<String>,
    /// How many there are.
    pub namespace_count: u32,
    /// The most that there may be; `None` without a limit.
    pub limit: Option<u32>,
    /// What it may have at once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub budget: Vec<BudgetLine>,
    /// What of its budgets is used, a few seconds behind.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub budget_use: Vec<QuotaStatus>,
    /// The class of fairness that it is in; `None` where it is in none, or nobody has said yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fairness_class: Option<String>,
    /// How often it may do what.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rates: Vec<RateLine>,
    /// Its isolation profile; `None` for the one that every tenant has.
    pub isolation_profile: Option<String>,
    /// Whether it may not grow.
    pub suspended: bool,
    /// Whether all its namespaces have what they should; `None` where nobody has said yet.
    pub ready: Option<bool>,
    /// What is said of that.
    pub message: String,
}

/// A tenant as far as it is read. Unknown fields are a newer Bailey's, and no reason to fail.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Stored {
    spec: Spec,
    status: Status,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    parent: Option<String>,
    members: Vec<Value>,
    namespaces: Rules,
    isolation_profile: Option<String>,
    quota: Declared,
    suspended: bool,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Rules {
    prefix: Option<String>,
    limit: Option<u32>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    namespaces: Vec<String>,
    namespace_count: u32,
    quota: Vec<QuotaStatus>,
    fairness: Option<Fairness>,
    conditions: Vec<Condition>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Condition {
    r#type: String,
    status: String,
    message: String,
}

impl Session {
    /// The user's tenants by name: every tenant for an administrator.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn tenants(&self) -> Result<Vec<TenantSummary>, Fault> {
        let (me, rights) = futures::try_join!(self.whoami(), self.tenant_rights())?;
        let objects = match &rights.read {
            Names::All if rights.list => self.list(self.own("Tenant"), "").await?,
            // Without names or the right to list there is no way to find any.
            Names::All => Vec::new(),
            Names::These(names) => self.read_all(names.iter().cloned()).await?,
        };
        let mut all: Vec<_> =
            objects.iter().map(|object| summary(object, &me, &rights)).collect::<Result<_, _>>()?;
        all.sort_by(|one: &TenantSummary, other| one.name.cmp(&other.name));
        Ok(all)
    }

    /// One tenant.
    ///
    /// # Errors
    /// [`Fault::NotFound`] when there is none of the name, a refusal when the user may not see it.
    pub async fn tenant(&self, name: &str) -> Result<TenantSummary, Fault> {
        let (me, rights) = futures::try_join!(self.whoami(), self.tenant_rights())?;
        summary(&self.stored_tenant(name).await?, &me, &rights)
    }

    /// The tenant that is meant: that of the name; else the user's only one; else that of the current namespace.
    ///
    /// # Errors
    /// [`Fault::Usage`] when it is none or several, with their names.
    pub async fn tenant_meant(&self, name: Option<&str>) -> Result<TenantSummary, Fault> {
        if let Some(name) = name {
            return self.tenant(name).await;
        }
        let mut all = self.tenants().await?;
        if all.is_empty() {
            return Err(Fault::NotFound(
                "you belong to no tenant: ask an owner of one to add you, or an administrator for a new one"
                    .to_owned(),
            ));
        }
        if all.len() > 1 {
            let here = |tenant: &TenantSummary| tenant.namespaces.iter().any(|name| name == self.namespace());
            let names: Vec<_> = all.iter().map(|tenant| tenant.name.clone()).collect();
            all.retain(here);
            if all.len() != 1 {
                return Err(Fault::Usage(format!(
                    "you belong to several tenants, and the namespace `{}` is none of theirs: say which with `--tenant` \
                     (`{}`)",
                    self.namespace(),
                    names.join("`, `")
                )));
            }
        }
        all.pop().ok_or_else(|| Fault::NotFound("there is no tenant".to_owned()))
    }

    /// A tenant as it is stored.
    pub(super) async fn stored_tenant(&self, name: &str) -> Result<DynamicObject, Fault> {
        let got = self.own("Tenant").get(name).await;
        got.map_err(|error| match self.fault(&error) {
            Fault::NotFound(_) => Fault::NotFound(format!("there is no tenant `{name}`")),
            other => other.or(ASK),
        })
    }

    /// Changes some fields of a tenant, if it still has this version.
    pub(super) async fn patch_tenant(
        &self,
        name: &str,
        version: Option<&str>,
        spec: &Value,
        hint: &str,
    ) -> Result<DynamicObject, Fault> {
        let metadata = version.map_or_else(|| json!({}), |version| json!({"resourceVersion": version}));
        let patch = json!({"metadata": metadata, "spec": spec});
        let done = self.own("Tenant").patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await;
        done.map_err(|error| match self.fault(&error) {
            Fault::NotFound(_) => Fault::NotFound(format!("there is no tenant `{name}`")),
            other => other.or(hint),
        })
    }

    /// The tenants of these names. One that was deleted just now is left out.
    async fn read_all(&self, names: impl Iterator<Item = String>) -> Result<Vec<DynamicObject>, Fault> {
        let api = self.own("Tenant");
        let reads = names.map(|name| {
            let api = api.clone();
            async move { api.get_opt(&name).await.map_err(|error| self.fault(&error)) }
        });
        let found: Vec<_> = futures::stream::iter(reads).buffer_unordered(READS).try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }
}

/// The tenant that an object is, seen by a user.
fn summary(object: &DynamicObject, me: &Whoami, rights: &TenantRights) -> Result<TenantSummary, Fault> {
    let name = object.metadata.name.clone().unwrap_or_default();
    let unreadable =
        |error| Fault::Failed(format!("the tenant `{name}` is not one that can be read: {error}"));
    let stored: Stored = serde_json::from_value(object.data.clone()).map_err(unreadable)?;
    let members: Vec<_> = stored.spec.members.iter().map(entry).collect();
    let (fairness_class, rates) = stored.status.fairness.map(Fairness::shown).unzip();
    let ready = stored.status.conditions.into_iter().find(|condition| condition.r#type == "Ready");
    Ok(TenantSummary {
        role: role(&name, &members, me, rights),
        parent: stored.spec.parent,
        members,
        prefix: stored.spec.namespaces.prefix.unwrap_or_else(|| format!("{name}-")),
        namespaces: stored.status.namespaces,
        namespace_count: stored.status.namespace_count,
        limit: stored.spec.namespaces.limit,
        budget: stored.spec.quota.lines(),
        budget_use: stored.status.quota,
        fairness_class,
        rates: rates.unwrap_or_default(),
        isolation_profile: stored.spec.isolation_profile,
        suspended: stored.spec.suspended,
        ready: ready.as_ref().and_then(|condition| match condition.status.as_str() {
            "True" => Some(true),
            "False" => Some(false),
            _ => None,
        }),
        message: ready.map(|condition| condition.message).unwrap_or_default(),
        name,
    })
}

/// What the user is: an owner where the API server lets them change it, an administrator where that is so for
/// all; else the first role that the user or a group of theirs has.
fn role(name: &str, members: &[MemberEntry], me: &Whoami, rights: &TenantRights) -> Option<String> {
    let own = model::Subject::of_username(&me.username).to_string();
    let groups: Vec<_> = me.groups.iter().map(|group| format!("group:{group}")).collect();
    let mine = members.iter().filter(|member| member.subject == own || groups.contains(&member.subject));
    let mut roles: Vec<_> = mine.map(|member| member.role.as_str()).collect();
    roles.sort_by_key(|role| ["owner", "editor", "custom", "viewer"].iter().position(|one| one == role));
    match (&rights.change, roles.first()) {
        (_, Some(role)) if *role == "owner" => Some("owner".to_owned()),
        (Names::All, None) => Some("administrator".to_owned()),
        (Names::These(_), _) if rights.change.has(name) => Some("owner".to_owned()),
        (_, role) => role.map(|role| (*role).to_owned()),
    }
}

/// A member as it is stored.
pub(super) fn entry(member: &Value) -> MemberEntry {
    let said = |field: &str| member.get(field).and_then(Value::as_str);
    let name = said("name").unwrap_or_default();
    let subject = match said("kind").unwrap_or_default() {
        "User" => format!("user:{name}"),
        "Group" => format!("group:{name}"),
        "ServiceAccount" => format!("sa:{}/{name}", said("namespace").unwrap_or_default()),
        other => format!("{other}:{name}"),
    };
    let role = said("role").unwrap_or("viewer").to_owned();
    MemberEntry { subject, role, cluster_role: said("clusterRole").map(str::to_owned) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object() -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "bailey.dev/v1alpha1", "kind": "Tenant", "metadata": {"name": "physics"},
            "spec": {
                "members": [
                    {"kind": "User", "name": "alice", "role": "owner"},
                    {"kind": "Group", "name": "students", "role": "editor", "since": "a newer field"},
                    {"kind": "ServiceAccount", "namespace": "ci", "name": "deployer"},
                ],
                "namespaces": {"limit": 3, "newer": true},
                "newer": 1,
            },
            "status": {
                "fairness": {"class": "gold", "rates": {"write": {"tenant": {"requests": 5, "burst": 9}}}},
                "namespaceCount": 2, "namespaces": ["physics-a", "physics-b"],
                "conditions": [{"type": "Ready", "status": "True", "message": "all is well"}],
            },
        }))
        .unwrap()
    }

    fn seen_by(username: &str, groups: &[&str], change: Names) -> TenantSummary {
        let groups = groups.iter().map(|group| (*group).to_owned()).collect();
        let me = Whoami { username: username.to_owned(), groups };
        summary(&object(), &me, &TenantRights { read: Names::All, change, list: false }).unwrap()
    }

    #[test]
    fn a_tenant_is_read_with_fields_that_are_not_known_and_without_those_that_are_missing() {
        let seen = seen_by("alice", &[], Names::These([].into()));
        assert_eq!((seen.prefix.as_str(), seen.limit, seen.ready), ("physics-", Some(3), Some(true)));
        assert_eq!((seen.fairness_class.as_deref(), seen.rates.len()), (Some("gold"), 1));
        assert_eq!(seen.members.last().map(|member| member.role.as_str()), Some("viewer"));
        let bare = serde_json::from_value(json!({"metadata": {"name": "bare"}})).unwrap();
        let rights = TenantRights { read: Names::All, change: Names::All, list: true };
        let me = Whoami { username: "root".into(), groups: vec![] };
        let bare = summary(&bare, &me, &rights).unwrap();
        assert_eq!((bare.ready, bare.limit, bare.namespace_count), (None, None, 0));
    }

    #[test]
    fn the_role_is_the_highest_and_what_the_api_server_lets_the_user_do() {
        let none = || Names::These([].into());
        let role = |username: &str, groups: &[&str], change| seen_by(username, groups, change).role;
        assert_eq!(role("alice", &["students"], none()).as_deref(), Some("owner"));
        assert_eq!(role("bob", &["students"], none()).as_deref(), Some("editor"));
        assert_eq!(role("system:serviceaccount:ci:deployer", &[], none()).as_deref(), Some("viewer"));
        assert_eq!(role("deployer", &["alice", "ci/deployer"], none()), None);
        // The owner of the tenant above it, whom its own members do not name.
        assert_eq!(role("dean", &[], Names::These(["physics".to_owned()].into())).as_deref(), Some("owner"));
        assert_eq!(role("root", &[], Names::All).as_deref(), Some("administrator"));
    }
}
