//! Who the user is, and which tenants are theirs, in the API server's own words.

use std::collections::BTreeSet;

use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::authorization::v1::{ResourceRule, SelfSubjectRulesReview, SelfSubjectRulesReviewSpec};
use kube::Api;
use kube::api::PostParams;
use serde::Serialize;

use super::fault::Fault;
use super::session::Session;
use crate::api::GROUP;

/// Who the API server takes the user for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Whoami {
    /// The user name.
    pub username: String,
    /// Every group, those that authentication adds too.
    pub groups: Vec<String>,
}

/// Some or all objects of a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Names {
    All,
    These(BTreeSet<String>),
}

impl Names {
    pub(super) fn has(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::These(names) => names.contains(name),
        }
    }
}

/// What the user may do with tenants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TenantRights {
    /// Which they may read.
    pub(super) read: Names,
    /// Which they may change: those they own.
    pub(super) change: Names,
    /// Whether they may list all.
    pub(super) list: bool,
}

impl Session {
    /// Asks the API server who the user is.
    ///
    /// # Errors
    /// When it does not answer, or is so old that it knows no such question.
    pub async fn whoami(&self) -> Result<Whoami, Fault> {
        let api: Api<SelfSubjectReview> = Api::all(self.client.clone());
        let review = api.create(&PostParams::default(), &SelfSubjectReview::default()).await;
        let review = review.map_err(|error| self.fault(&error))?;
        let user = review.status.and_then(|status| status.user_info).unwrap_or_default();
        Ok(Whoami { username: user.username.unwrap_or_default(), groups: user.groups.unwrap_or_default() })
    }

    /// Asks the API server which tenants the user may read and change.
    ///
    /// Nobody but an administrator may list them, so that this is how users learn the names of theirs.
    pub(super) async fn tenant_rights(&self) -> Result<TenantRights, Fault> {
        let api: Api<SelfSubjectRulesReview> = Api::all(self.client.clone());
        // These rights are those of the whole cluster, which every namespace's answer has.
        let spec = SelfSubjectRulesReviewSpec { namespace: Some("default".to_owned()) };
        let question = SelfSubjectRulesReview { spec, ..SelfSubjectRulesReview::default() };
        let answer = api.create(&PostParams::default(), &question).await;
        let answer = answer.map_err(|error| self.fault(&error))?;
        let rules = answer.status.map(|status| status.resource_rules).unwrap_or_default();
        Ok(TenantRights {
            read: names(&rules, "get"),
            change: names(&rules, "patch"),
            list: names(&rules, "list") == Names::All,
        })
    }
}

/// For which tenants the rules have the verb.
fn names(rules: &[ResourceRule], verb: &str) -> Names {
    let has = |all: &[String], wanted: &str| all.iter().any(|one| one == "*" || one == wanted);
    let given = |all: &Option<Vec<String>>, wanted: &str| has(all.as_deref().unwrap_or_default(), wanted);
    let mut found = BTreeSet::new();
    for rule in rules {
        if has(&rule.verbs, verb) && given(&rule.api_groups, GROUP) && given(&rule.resources, "tenants") {
            match rule.resource_names.as_deref() {
                None | Some([]) => return Names::All,
                Some(names) => found.extend(names.iter().cloned()),
            }
        }
    }
    Names::These(found)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rules(value: serde_json::Value) -> Vec<ResourceRule> {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn the_names_of_a_users_tenants_are_those_of_the_rules() {
        let found = rules(json!([
            {"verbs": ["get"], "apiGroups": ["bailey.dev"], "resources": ["tenants"], "resourceNames": ["a", "b"]},
            {"verbs": ["patch", "update"], "apiGroups": ["bailey.dev"], "resources": ["tenants"], "resourceNames": ["b"]},
            {"verbs": ["get"], "apiGroups": ["bailey.dev"], "resources": ["isolationprofiles"], "resourceNames": ["c"]},
            {"verbs": ["get"], "apiGroups": [""], "resources": ["tenants"], "resourceNames": ["d"]},
        ]));
        assert_eq!(names(&found, "get"), Names::These(["a".to_owned(), "b".to_owned()].into()));
        assert_eq!(names(&found, "patch"), Names::These(["b".to_owned()].into()));
        assert_eq!(names(&found, "list"), Names::These(BTreeSet::new()));
    }

    #[test]
    fn a_rule_without_names_is_an_administrators() {
        let found = rules(json!([
            {"verbs": ["get"], "apiGroups": ["bailey.dev"], "resources": ["tenants"], "resourceNames": ["a"]},
            {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]},
        ]));
        assert_eq!(names(&found, "get"), Names::All);
        assert!(names(&found, "list").has("anything"));
    }
}
