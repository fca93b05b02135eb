//! How a subject is written on a command line: `user:alice`, `group:staff`, `sa:ci/deployer`.

use std::fmt;
use std::str::FromStr;

use crate::Subject;

/// A text that names no subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubjectFault {
    text: String,
}

impl fmt::Display for SubjectFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` names no subject: write `user:NAME`, `group:NAME` or `sa:NAMESPACE/NAME`", self.text)
    }
}

impl std::error::Error for SubjectFault {}

impl Subject {
    /// The user or the service account that has this user name.
    pub fn of_username(username: &str) -> Self {
        let account = username.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'));
        match account {
            Some((namespace, name)) => {
                Self::ServiceAccount { namespace: namespace.to_owned(), name: name.to_owned() }
            }
            None => Self::User(username.to_owned()),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(name) => write!(f, "user:{name}"),
            Self::Group(name) => write!(f, "group:{name}"),
            Self::ServiceAccount { namespace, name } => write!(f, "sa:{namespace}/{name}"),
        }
    }
}

impl FromStr for Subject {
    type Err = SubjectFault;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fault = || SubjectFault { text: text.to_owned() };
        let (kind, name) = text.split_once(':').filter(|(_, name)| !name.is_empty()).ok_or_else(fault)?;
        match kind {
            "user" => Ok(Self::User(name.to_owned())),
            "group" => Ok(Self::Group(name.to_owned())),
            "sa" => {
                let whole = |(namespace, name): &(&str, &str)| !namespace.is_empty() && !name.is_empty();
                let (namespace, name) = name.split_once('/').filter(whole).ok_or_else(fault)?;
                Ok(Self::ServiceAccount { namespace: namespace.to_owned(), name: name.to_owned() })
            }
            _ => Err(fault()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_name_is_that_of_a_user_or_of_a_service_account() {
        let said = |username| Subject::of_username(username).to_string();
        assert_eq!(said("system:serviceaccount:ci:deployer"), "sa:ci/deployer");
        assert_eq!(
            (said("alice"), said("system:anonymous")),
            ("user:alice".into(), "user:system:anonymous".into())
        );
    }

    #[test]
    fn a_subject_is_read_as_it_is_written() {
        let account = Subject::ServiceAccount { namespace: "ci".into(), name: "deployer".into() };
        for (text, subject) in [
            ("user:alice", Subject::User("alice".into())),
            ("user:oidc:alice", Subject::User("oidc:alice".into())),
            ("group:system:authenticated", Subject::Group("system:authenticated".into())),
            ("sa:ci/deployer", account),
        ] {
            assert_eq!(text.parse(), Ok(subject.clone()));
            assert_eq!(subject.to_string(), text);
        }
        for bad in ["", "alice", "user:", "sa:deployer", "sa:/x", "sa:ci/", "User:alice"] {
            let fault = bad.parse::<Subject>().unwrap_err().to_string();
            assert!(fault.contains("sa:NAMESPACE/NAME"), "{fault}");
        }
    }
}
