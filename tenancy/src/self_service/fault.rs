use std::error::Error as _;
use std::fmt;

use kube::core::Status;

/// Who refused a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refuser {
    /// The cluster's roles and bindings: the user has no right to ask for it.
    Rbac,
    /// Bailey: a policy, or a wall of a tenant.
    Bailey {
        /// The stable code, such as `tenant_denied`.
        code: String,
        /// The decision's id, which the record has too.
        decision: String,
    },
    /// Another admission plugin or webhook of the API server.
    Admission,
}

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// What was asked for cannot be meant.
    Usage(String),
    /// The kubeconfig leads nowhere.
    Kubeconfig(String),
    /// The API server does not answer.
    Unreachable {
        /// Its address.
        server: String,
        /// Where the address is from.
        kubeconfig: String,
        /// What happened.
        why: String,
    },
    /// The API server does not know the user.
    Unauthenticated {
        /// Its address.
        server: String,
        /// Where the credentials are from.
        kubeconfig: String,
        /// What it says.
        message: String,
    },
    /// The request was refused.
    Refused {
        /// By whom.
        by: Refuser,
        /// What they say.
        message: String,
        /// What would work; empty where nobody knows.
        hint: String,
    },
    /// It is not there.
    NotFound(String),
    /// It is there already.
    Exists(String),
    /// Somebody else changed it at the same time.
    Conflict(String),
    /// The API server could not do it.
    Failed(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable { server, kubeconfig, why } => {
                write!(f, "the API server {server} ({kubeconfig}) does not answer: {why}")
            }
            Self::Unauthenticated { server, kubeconfig, message } => write!(
                f,
                "the API server {server} does not know who you are, with the credentials of {kubeconfig}: {message}"
            ),
            Self::Refused { by, message, hint } => {
                match by {
                    Refuser::Rbac => write!(f, "the cluster's RBAC refused it: {message}")?,
                    Refuser::Bailey { decision, .. } => {
                        write!(f, "Bailey refused it: {message} (decision {decision})")?;
                    }
                    Refuser::Admission => write!(f, "the API server's admission refused it: {message}")?,
                }
                if hint.is_empty() { Ok(()) } else { write!(f, "; {hint}") }
            }
            Self::Usage(text)
            | Self::Kubeconfig(text)
            | Self::NotFound(text)
            | Self::Exists(text)
            | Self::Conflict(text)
            | Self::Failed(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for Fault {}

impl Fault {
    /// The same with what would work, where the user lacks the right.
    #[must_use]
    pub(super) fn or(mut self, what_would_work: &str) -> Self {
        if let Self::Refused { by: Refuser::Rbac, hint, .. } = &mut self {
            what_would_work.clone_into(hint);
        }
        self
    }

    /// What the API server's answer means, apart from how it was reached.
    pub(super) fn of_status(status: &Status) -> Self {
        let message = status.message.trim().replace('\n', " ");
        if let Some(by) = bailey(status) {
            // What comes before is the API server's, and the same for every webhook.
            let own = message.split_once("denied the request: ").map_or(message.as_str(), |(_, own)| own);
            // Nor is the id said twice.
            let own = own.split_once("; decision ").map_or(own, |(own, _)| own);
            return Self::Refused { by, message: own.to_owned(), hint: String::new() };
        }
        match status.code {
            403 => {
                let lacks = message.contains("User \"") && message.contains("\" cannot ");
                // Nobody gives what they do not have.
                let rbac =
                    lacks || message.contains("is attempting to grant RBAC permissions not currently held");
                let by = if rbac { Refuser::Rbac } else { Refuser::Admission };
                Self::Refused { by, message, hint: String::new() }
            }
            404 => Self::NotFound(message),
            409 if status.reason == "AlreadyExists" => Self::Exists(message),
            409 => Self::Conflict(message),
            _ if message.starts_with("admission webhook ") => {
                Self::Refused { by: Refuser::Admission, message, hint: String::new() }
            }
            _ => Self::Failed(message),
        }
    }
}

/// The refusal of Bailey's that a status is, which has the decision's id as its cause.
fn bailey(status: &Status) -> Option<Refuser> {
    let cause = status.details.as_ref()?.causes.first()?;
    let decision = cause.message.strip_prefix("decision ")?.to_owned();
    Some(Refuser::Bailey { code: cause.reason.clone(), decision })
}

/// An error with its causes, each said once.
pub(super) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        next = cause.source();
    }
    text
}

/// The innermost cause of an error of the connection, which is the one that helps.
pub(super) fn innermost(error: &kube::Error) -> String {
    let mut said = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        said = cause.to_string();
        next = cause.source();
    }
    said
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn status(value: serde_json::Value) -> Status {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn an_answer_says_who_refused() {
        let wall = json!({
            "code": 403, "message": "admission webhook \"validate.bailey.dev\" denied the request: wall `x`: no; decision 0190, quote it",
            "details": {"causes": [{"reason": "tenant_denied", "message": "decision 0190"}]},
        });
        let fault = Fault::of_status(&status(wall)).or("ask");
        assert_eq!(fault.to_string(), "Bailey refused it: wall `x`: no (decision 0190)");

        let rbac = "pods is forbidden: User \"bob\" cannot list resource \"pods\"";
        let fault = Fault::of_status(&status(json!({"code": 403, "message": rbac}))).or("ask an owner");
        assert_eq!(fault.to_string(), format!("the cluster's RBAC refused it: {rbac}; ask an owner"));

        let other = "pods \"web\" is forbidden: violates PodSecurity \"baseline:latest\": host namespaces";
        let fault = Fault::of_status(&status(json!({"code": 403, "message": other}))).or("ask an owner");
        assert_eq!(fault.to_string(), format!("the API server's admission refused it: {other}"));
    }

    #[test]
    fn what_is_not_there_or_twice_is_told_apart() {
        let said =
            |code: u16, reason: &str| Fault::of_status(&status(json!({"code": code, "reason": reason})));
        assert!(matches!(said(404, "NotFound"), Fault::NotFound(_)));
        assert!(matches!(said(409, "AlreadyExists"), Fault::Exists(_)));
        assert!(matches!(said(409, "Conflict"), Fault::Conflict(_)));
        assert!(matches!(said(500, "InternalError"), Fault::Failed(_)));
    }
}
