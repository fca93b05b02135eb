//! Members of a tenant, added and removed by its owners.

use std::fmt;

use kube::api::DynamicObject;
use model::Subject;
use serde_json::{Value, json};

use super::fault::Fault;
use super::session::Session;
use super::tenants::{MemberEntry, entry};

/// How often a change is tried again that met another one.
const TRIES: usize = 5;
const HINT: &str = "only an owner of the tenant can change its members";

/// What a member may be made with a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberRole {
    /// Creates and deletes namespaces, and gives rights inside of them.
    Owner,
    /// Changes what is inside.
    Editor,
    /// Reads what is inside, but no Secrets.
    Viewer,
}

impl MemberRole {
    /// The role as it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Editor => "editor",
            Self::Viewer => "viewer",
        }
    }
}

/// A change of a tenant's members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Somebody becomes a member, or gets another role. Without a role a new member is a viewer, and nobody gets
    /// another one.
    Add(Subject, Option<MemberRole>),
    /// Somebody is a member no longer.
    Remove(Subject),
}

/// Why members are not changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemberFault {
    /// The subject has the role already.
    Already(Subject, String),
    /// The subject is no member.
    NoMember(Subject, Vec<MemberEntry>),
    /// No owner would be left.
    LastOwner(Subject),
}

impl fmt::Display for MemberFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Already(subject, role) => {
                write!(
                    f,
                    "`{subject}` is a member already, as {role}: nothing was changed; another role takes `--role`"
                )
            }
            Self::NoMember(subject, members) => {
                let names: Vec<_> = members.iter().map(|member| member.subject.as_str()).collect();
                let names =
                    if names.is_empty() { "none".to_owned() } else { format!("`{}`", names.join("`, `")) };
                write!(f, "`{subject}` is no member; the members are {names}")
            }
            Self::LastOwner(subject) => write!(
                f,
                "`{subject}` is the last owner: without one, nobody but an administrator can create namespaces or add \
                 members; add another owner first, or give `--force`"
            ),
        }
    }
}

/// The members after a change. Of those that stay nothing is changed, known or not.
///
/// # Errors
/// When there is nothing to change, or it takes the last owner away and is not forced.
pub fn change(members: &[Value], change: &Change, force: bool) -> Result<Vec<Value>, MemberFault> {
    let (Change::Add(subject, _) | Change::Remove(subject)) = change;
    let is_meant = |member: &Value| entry(member).subject == subject.to_string();
    let owners = |members: &[Value]| members.iter().filter(|member| entry(member).role == "owner").count();
    let before: Vec<_> = members.iter().filter(|member| is_meant(member)).map(entry).collect();
    let mut after: Vec<Value> = members.iter().filter(|member| !is_meant(member)).cloned().collect();
    match change {
        Change::Add(_, role) => {
            // Somebody who is there twice has the higher role; one entry is what is meant.
            if let [only] = before.as_slice()
                && role.is_none_or(|role| role.as_str() == only.role)
            {
                return Err(MemberFault::Already(subject.clone(), only.role.clone()));
            }
            let role = role.unwrap_or(MemberRole::Viewer);
            let place = members.iter().position(is_meant).unwrap_or(after.len()).min(after.len());
            after.insert(place, stored(subject, role));
        }
        Change::Remove(_) if before.is_empty() => {
            return Err(MemberFault::NoMember(subject.clone(), members.iter().map(entry).collect()));
        }
        Change::Remove(_) => {}
    }
    if !force && owners(members) > 0 && owners(&after) == 0 {
        return Err(MemberFault::LastOwner(subject.clone()));
    }
    Ok(after)
}

/// A member as it is stored.
pub(super) fn stored(subject: &Subject, role: MemberRole) -> Value {
    let role = role.as_str();
    match subject {
        Subject::User(name) => json!({"kind": "User", "name": name, "role": role}),
        Subject::Group(name) => json!({"kind": "Group", "name": name, "role": role}),
        Subject::ServiceAccount { namespace, name } => {
            json!({"kind": "ServiceAccount", "namespace": namespace, "name": name, "role": role})
        }
    }
}

impl Session {
    /// Changes the members of a tenant, again where somebody else changed it in between; gives those it has then.
    ///
    /// # Errors
    /// When the change makes no sense, or is refused.
    pub async fn change_members(
        &self,
        tenant: &str,
        of: &Change,
        force: bool,
    ) -> Result<Vec<MemberEntry>, Fault> {
        let mut tries = 1;
        loop {
            let found = self.stored_tenant(tenant).await?;
            let after = change(&members(&found), of, force).map_err(|fault| match fault {
                MemberFault::Already(..) => Fault::Exists(fault.to_string()),
                MemberFault::NoMember(..) => Fault::NotFound(fault.to_string()),
                MemberFault::LastOwner(_) => Fault::Usage(fault.to_string()),
            })?;
            let version = found.metadata.resource_version.as_deref();
            match self.patch_tenant(tenant, version, &json!({"members": after}), HINT).await {
                Ok(changed) => return Ok(members(&changed).iter().map(entry).collect()),
                Err(Fault::Conflict(_)) if tries < TRIES => tries = tries.saturating_add(1),
                Err(fault) => return Err(fault),
            }
        }
    }
}

fn members(tenant: &DynamicObject) -> Vec<Value> {
    let members = tenant.data.pointer("/spec/members").and_then(Value::as_array);
    members.cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(text: &str) -> Subject {
        text.parse().unwrap()
    }

    fn said(members: &[Value]) -> Vec<String> {
        members.iter().map(entry).map(|member| format!("{} {}", member.subject, member.role)).collect()
    }

    fn team() -> Vec<Value> {
        vec![
            json!({"kind": "User", "name": "alice", "role": "owner"}),
            json!({"kind": "Group", "name": "staff", "role": "custom", "clusterRole": "x", "newer": 1}),
        ]
    }

    #[test]
    fn members_come_and_go_and_others_stay_as_they_are() {
        let more =
            change(&team(), &Change::Add(subject("sa:ci/x"), Some(MemberRole::Editor)), false).unwrap();
        assert_eq!(said(&more), ["user:alice owner", "group:staff custom", "sa:ci/x editor"]);
        assert_eq!(more[1], team()[1]);
        let viewer = change(&team(), &Change::Add(subject("user:bob"), None), false).unwrap();
        assert_eq!(said(&viewer).last().map(String::as_str), Some("user:bob viewer"));
        let less = change(&more, &Change::Remove(subject("sa:ci/x")), false).unwrap();
        assert_eq!(less, team());
    }

    #[test]
    fn another_role_takes_the_place_of_the_one_before() {
        let changed =
            change(&team(), &Change::Add(subject("group:staff"), Some(MemberRole::Owner)), false).unwrap();
        assert_eq!(said(&changed), ["user:alice owner", "group:staff owner"]);
        let first =
            change(&changed, &Change::Add(subject("user:alice"), Some(MemberRole::Viewer)), false).unwrap();
        assert_eq!(said(&first), ["user:alice viewer", "group:staff owner"]);
        // Somebody who is there twice is there once afterwards.
        let twice = vec![team()[0].clone(), json!({"kind": "User", "name": "alice"})];
        let once =
            change(&twice, &Change::Add(subject("user:alice"), Some(MemberRole::Owner)), false).unwrap();
        assert_eq!(said(&once), ["user:alice owner"]);
    }

    #[test]
    fn what_makes_no_sense_is_said_kindly() {
        let fault = |of: Change| change(&team(), &of, false).unwrap_err().to_string();
        let already = fault(Change::Add(subject("user:alice"), Some(MemberRole::Owner)));
        assert_eq!(
            already,
            "`user:alice` is a member already, as owner: nothing was changed; another role takes `--role`"
        );
        // Without a role nobody loses the one they have.
        assert_eq!(fault(Change::Add(subject("user:alice"), None)), already);
        let missing = fault(Change::Remove(subject("user:bob")));
        assert_eq!(missing, "`user:bob` is no member; the members are `user:alice`, `group:staff`");
    }

    #[test]
    fn the_last_owner_goes_by_force_only() {
        for of in [
            Change::Remove(subject("user:alice")),
            Change::Add(subject("user:alice"), Some(MemberRole::Editor)),
        ] {
            let fault = change(&team(), &of, false).unwrap_err();
            assert_eq!(fault, MemberFault::LastOwner(subject("user:alice")));
            assert!(change(&team(), &of, true).is_ok());
        }
        // A tenant that has no owner loses none.
        let ownerless = vec![team()[1].clone()];
        assert!(change(&ownerless, &Change::Remove(subject("group:staff")), false).is_ok());
    }
}
