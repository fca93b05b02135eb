//! The custom resource `PolicyException`: a request that findings of a policy refuse nothing, for a time.
//!
//! It holds nothing until an administrator approved it. The approval is in the status, which has rights of its own,
//! and names the very object that was approved: another object of the name and a changed spec are not approved.

#![expect(unreachable_pub, reason = "the derive repeats each type inside a function")]
#![expect(clippy::duplicated_attributes, reason = "every printer column has a type and a priority")]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema, ResourceExt};
use model::{Globs, KindPattern};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::binding::LabelSelector;
use super::schema;

/// A request that findings of a policy refuse nothing in this namespace, for a time.
#[derive(CustomResource, KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "bailey.dev",
    version = "v1alpha1",
    kind = "PolicyException",
    plural = "policyexceptions",
    shortname = "bpe",
    category = "bailey",
    namespaced,
    derive = "PartialEq",
    doc = "A request that findings of a Policy refuse nothing in this namespace, for a time. Administrators approve it.",
    status = "ExceptionStatus",
    printcolumn(name = "Policy", type_ = "string", json_path = ".spec.policy"),
    printcolumn(
        name = "State",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="InForce")].reason"#
    ),
    printcolumn(name = "Expires", type_ = "string", json_path = ".spec.expires"),
    printcolumn(name = "By", type_ = "string", json_path = ".status.approval.by"),
    printcolumn(name = "Requested by", type_ = "string", json_path = ".spec.requestedBy", priority = 1),
    printcolumn(name = "Why", type_ = "string", json_path = ".spec.reason", priority = 1),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="InForce")].message"#,
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicyExceptionSpec {
    /// The name of the Policy.
    #[schemars(length(min = 1, max = 253))]
    pub policy: String,
    /// Only what this PolicyBinding finds; that of every binding of the policy where not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub binding: Option<String>,
    /// Only findings with these codes of the policy's; any where not given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::codes")]
    pub codes: Vec<String>,
    /// Which objects of the namespace; all where not given.
    #[serde(rename = "match", default, skip_serializing_if = "Option::is_none")]
    pub objects: Option<ExceptionMatch>,
    /// Why it is needed, for whoever approves it.
    #[schemars(length(min = 1, max = 1024))]
    pub reason: String,
    /// When it ends, such as 2027-01-31T00:00:00Z: at most 90 days from when it is asked for and approved.
    #[schemars(schema_with = "schema::time")]
    pub expires: String,
    /// Who asks for it: Bailey sets this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub requested_by: Option<String>,
}

/// Which objects: every part that is given must match.
#[derive(KubeSchema, Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExceptionMatch {
    /// Kinds or resources, such as Pod, Deployment.apps, deployments.apps or pods/exec.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::kinds")]
    pub kinds: Vec<String>,
    /// Names, where * stands for any text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::few_patterns")]
    pub names: Vec<String>,
    /// Labels of the object as it is to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
}

/// How a PolicyException stands.
#[derive(KubeSchema, Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExceptionStatus {
    /// What an administrator decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
    /// InForce: approved, and not over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
    /// The generation that the conditions speak of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

/// What an administrator decided, and on which object: a later spec is not meant.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Approval {
    /// Approved or Refused.
    pub decision: Verdict,
    /// The uid of the object that was looked at.
    #[schemars(length(min = 1, max = 64))]
    pub uid: String,
    /// The generation that was looked at.
    #[schemars(range(min = 1))]
    pub generation: i64,
    /// Why, for whoever asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,
    /// Who decided: Bailey sets this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub by: Option<String>,
    /// When: Bailey sets this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::time")]
    pub at: Option<String>,
}

/// What may be decided.
#[derive(JsonSchema, Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// It is in force until it ends.
    Approved,
    /// It is not.
    Refused,
}

/// How an exception stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nobody decided on it.
    Pending,
    /// It is in force.
    Approved,
    /// It was refused.
    Refused,
    /// It was decided on, and changed since: somebody has to look at it again.
    Changed,
    /// Its time is over, whatever was decided.
    Expired,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 5] = [Self::Pending, Self::Approved, Self::Refused, Self::Changed, Self::Expired];

    /// How an exception stands at this time that ends then, and on which this was decided: the inner one is missing
    /// where it was decided on something else.
    pub fn of(ends: Option<OffsetDateTime>, decided: Option<Option<Verdict>>, now: OffsetDateTime) -> Self {
        if ends.is_none_or(|ends| ends <= now) {
            return Self::Expired;
        }
        match decided {
            None => Self::Pending,
            Some(None) => Self::Changed,
            Some(Some(Verdict::Refused)) => Self::Refused,
            Some(Some(Verdict::Approved)) => Self::Approved,
        }
    }

    /// The state as it is shown, and as the reason of its condition.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Approved => "Approved",
            Self::Refused => "Refused",
            Self::Changed => "Changed",
            Self::Expired => "Expired",
        }
    }
}

impl PolicyException {
    /// When it ends; `None` where that is no time.
    pub fn ends(&self) -> Option<OffsetDateTime> {
        OffsetDateTime::parse(&self.spec.expires, &Rfc3339).ok()
    }

    /// How it stands at this time.
    pub fn state(&self, now: OffsetDateTime) -> State {
        State::of(self.ends(), self.decided(), now)
    }

    /// What was decided, if anything was.
    fn decided(&self) -> Option<Option<Verdict>> {
        let approval = self.status.as_ref()?.approval.as_ref()?;
        let same = self.metadata.generation == Some(approval.generation)
            && self.metadata.uid.as_ref() == Some(&approval.uid);
        Some(same.then_some(approval.decision))
    }

    /// The exception as admission knows it, where it was approved as it is; whether it is over is for the clock.
    pub(crate) fn approved(&self) -> Option<model::Exception> {
        if self.decided() != Some(Some(Verdict::Approved)) {
            return None;
        }
        let objects = self.spec.objects.clone().unwrap_or_default();
        let selector = objects.selector.map(|selector| selector.to_model()).unwrap_or_default();
        selector.validate().ok()?;
        Some(model::Exception {
            name: self.name_any(),
            namespace: self.namespace()?,
            policy: self.spec.policy.clone(),
            binding: self.spec.binding.clone(),
            codes: self.spec.codes.iter().cloned().collect(),
            kinds: objects.kinds.iter().map(|kind| KindPattern::new(kind)).collect(),
            names: Globs::new(&objects.names),
            selector,
            expires: self.ends()?.unix_timestamp(),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2027-01-01 00:00:00 UTC);

    fn exception(expires: &str, approval: &serde_json::Value) -> PolicyException {
        serde_json::from_value(json!({
            "apiVersion": "bailey.dev/v1alpha1", "kind": "PolicyException",
            "metadata": {"name": "e", "namespace": "lab", "uid": "u", "generation": 3},
            "spec": {
                "policy": "p", "reason": "r", "expires": expires, "codes": ["c"],
                "match": {"kinds": ["Pod"], "names": ["web-*"], "selector": {"matchLabels": {"a": "b"}}},
            },
            "status": {"approval": approval},
        }))
        .unwrap()
    }

    #[test]
    fn only_what_was_approved_as_it_is_now_is_in_force_and_only_until_it_ends() {
        let later = "2027-01-02T00:00:00Z";
        let decision = |decision: &str, uid: &str, generation: i64| json!({"decision": decision, "uid": uid, "generation": generation});
        let rows = [
            (later, json!(null), State::Pending, false),
            (later, decision("Approved", "u", 3), State::Approved, true),
            (later, decision("Refused", "u", 3), State::Refused, false),
            (later, decision("Approved", "u", 2), State::Changed, false),
            (later, decision("Approved", "u", 4), State::Changed, false),
            (later, decision("Approved", "v", 3), State::Changed, false),
            (later, decision("Refused", "u", 2), State::Changed, false),
            ("2027-01-01T00:00:00Z", decision("Approved", "u", 3), State::Expired, true),
            ("2026-12-31T00:00:00Z", json!(null), State::Expired, false),
            ("2027-01-01T01:00:00+02:00", decision("Approved", "u", 3), State::Expired, true),
            ("tomorrow", decision("Approved", "u", 3), State::Expired, false),
        ];
        for (expires, approval, state, approved) in rows {
            let exception = exception(expires, &approval);
            assert_eq!(exception.state(NOW), state, "{expires} {approval}");
            assert_eq!(exception.approved().is_some(), approved, "{expires} {approval}");
        }
    }

    #[test]
    fn admission_gets_all_of_it() {
        let approval = json!({"decision": "Approved", "uid": "u", "generation": 3});
        let found = exception("2027-01-02T00:00:00.5Z", &approval).approved().unwrap();
        assert_eq!((found.namespace.as_str(), found.policy.as_str()), ("lab", "p"));
        assert_eq!(found.expires, datetime!(2027-01-02 00:00:00 UTC).unix_timestamp());
        assert_eq!((found.codes.len(), found.kinds.as_slice()), (1, &[KindPattern::new("Pod")][..]));
        assert!(found.names.matches("web-1") && !found.selector.is_empty());
    }
}
