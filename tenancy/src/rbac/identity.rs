use std::collections::BTreeSet;

use model::Subject;

const AUTHENTICATED: &str = "system:authenticated";
const UNAUTHENTICATED: &str = "system:unauthenticated";
const ANONYMOUS: &str = "system:anonymous";
const ACCOUNT: &str = "system:serviceaccount:";
/// The group that the API server lets do everything, before it asks any authorizer.
pub(super) const MASTERS: &str = "system:masters";

/// Who asks: a user name and groups.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Identity {
    user: String,
    groups: BTreeSet<String>,
}

impl Identity {
    /// A user with exactly these groups.
    pub fn exactly(user: impl Into<String>, groups: impl IntoIterator<Item = String>) -> Self {
        Self { user: user.into(), groups: groups.into_iter().collect() }
    }

    /// Whoever a subject stands for, with the groups that authentication adds by itself and with `more`.
    ///
    /// A group stands for a user without a name who is in it.
    pub fn of(subject: &Subject, more: impl IntoIterator<Item = String>) -> Self {
        let mut groups: BTreeSet<String> = more.into_iter().collect();
        let user = match subject {
            Subject::User(name) => name.clone(),
            Subject::ServiceAccount { namespace, name } => format!("{ACCOUNT}{namespace}:{name}"),
            Subject::Group(name) => {
                groups.insert(name.clone());
                String::new()
            }
        };
        if let Some((namespace, _)) = user.strip_prefix(ACCOUNT).and_then(|rest| rest.split_once(':')) {
            groups.insert("system:serviceaccounts".to_owned());
            groups.insert(format!("system:serviceaccounts:{namespace}"));
        }
        let stranger = user == ANONYMOUS || groups.contains(UNAUTHENTICATED);
        groups.insert(if stranger { UNAUTHENTICATED } else { AUTHENTICATED }.to_owned());
        Self { user, groups }
    }

    /// The groups.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        self.groups.iter().map(String::as_str)
    }

    /// Whether this is one of those whom a subject of a binding names.
    pub(super) fn is(&self, subject: &Subject) -> bool {
        match subject {
            Subject::User(name) => !self.user.is_empty() && *name == self.user,
            Subject::Group(name) => self.groups.contains(name),
            Subject::ServiceAccount { namespace, name } => {
                let rest = self.user.strip_prefix(ACCOUNT).and_then(|rest| rest.split_once(':'));
                rest == Some((namespace.as_str(), name.as_str()))
            }
        }
    }

    /// Whether the API server lets them do everything.
    pub(super) fn is_master(&self) -> bool {
        self.groups.contains(MASTERS)
    }
}
