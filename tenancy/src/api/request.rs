//! The custom resource `QuotaRequest`: a tenant asks for more than its budget, and an administrator decides.

#![expect(unreachable_pub, reason = "the derive repeats each type inside a function")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::{CustomResource, KubeSchema};
use model::LoadFault;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::budget::{Quantities, amounts, check_amounts, check_of_pods, fault, text};
use super::schema;

/// The longest that more may be asked for.
const LONGEST: Duration = Duration::from_hours(366 * 24);

/// A request of a tenant for more than its budget. It lives in a namespace of the tenant.
#[derive(CustomResource, KubeSchema, Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[kube(
    group = "bailey.dev",
    version = "v1alpha1",
    kind = "QuotaRequest",
    plural = "quotarequests",
    namespaced,
    category = "bailey",
    derive = "PartialEq",
    doc = "A tenant asks for more than its budget; administrators decide in its status.",
    status = "QuotaRequestStatus",
    validation = Rule::new("self.metadata.name.size() <= 63").message("the name has more than 63 characters"),
    printcolumn(name = "State", type_ = "string", json_path = ".status.state"),
    printcolumn(name = "Asked By", type_ = "string", json_path = ".spec.requestedBy"),
    printcolumn(name = "Granted", type_ = "string", json_path = ".status.decision.granted", priority = 1),
    printcolumn(name = "Until", type_ = "string", json_path = ".status.decision.until"),
    printcolumn(name = "Decided By", type_ = "string", json_path = ".status.decision.by"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".spec.reason", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!(has(self.duration) && has(self.until))")
    .message("give a duration or until, not both"))]
pub struct QuotaRequestSpec {
    /// How much more than now is asked for, by the names that the tenant's `spec.quota.hard` has.
    #[schemars(schema_with = "schema::quantities_required")]
    pub amounts: Quantities,
    /// The band of the tenant's budget; its `hard` where not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"))]
    pub band: Option<String>,
    /// What it is for.
    #[schemars(length(min = 1, max = 1_024))]
    pub reason: String,
    /// For how long, from the approval on, such as `12h` or `7d`; without an end where not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 9), regex(pattern = "^[1-9][0-9]{0,7}[smhd]$"))]
    pub duration: Option<String>,
    /// Until when; without an end where not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::instant")]
    pub until: Option<Time>,
    /// Who wrote this spec. Bailey sets it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1_024))]
    pub requested_by: Option<String>,
}

/// How a QuotaRequest stands.
#[derive(KubeSchema, Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QuotaRequestStatus {
    /// What an administrator decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<QuotaDecision>,
    /// Pending, Approved, Refused or Expired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub state: Option<String>,
    /// Granted: the request adds to the budget now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}

/// What an administrator decided on a QuotaRequest.
#[derive(KubeSchema, Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QuotaDecision {
    /// Approved or Refused.
    pub verdict: QuotaVerdict,
    /// The generation that was decided on: a spec that is changed later is not.
    pub generation: i64,
    /// What is granted, by resource name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::quantities")]
    pub granted: Quantities,
    /// When the grant ends; never where not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::instant")]
    pub until: Option<Time>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1_024))]
    pub reason: Option<String>,
    /// Whose request it was. Bailey sets it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub tenant: Option<String>,
    /// Who decided. Bailey sets it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1_024))]
    pub by: Option<String>,
    /// When. Bailey sets it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::instant")]
    pub at: Option<Time>,
}

/// What was decided.
#[derive(JsonSchema, Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum QuotaVerdict {
    /// What is granted adds to the budget.
    Approved,
    /// Nothing is granted.
    #[default]
    Refused,
}

/// How a request stands at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestState {
    /// Nobody has decided on it as it is now.
    Pending,
    /// What is granted adds to the budget.
    Approved,
    /// It was refused.
    Refused,
    /// Its time is over.
    Expired,
}

impl RequestState {
    /// The state as it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Approved => "Approved",
            Self::Refused => "Refused",
            Self::Expired => "Expired",
        }
    }
}

/// What a request adds to a budget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Grant {
    /// To which band; to the whole budget where it is none.
    pub(crate) band: Option<String>,
    /// How much, in billionths, by canonical resource name.
    pub(crate) amounts: BTreeMap<Arc<str>, i128>,
    /// Until when.
    pub(crate) until: Option<Timestamp>,
}

impl QuotaRequest {
    /// What was decided on the spec as it is now, for the tenant that the namespace belongs to now.
    pub(crate) fn decision(&self, tenant: &str) -> Option<&QuotaDecision> {
        let decision = self.status.as_ref()?.decision.as_ref()?;
        let meant = Some(decision.generation) == self.metadata.generation
            && decision.tenant.as_deref() == Some(tenant);
        meant.then_some(decision)
    }

    /// How it stands for the tenant that its namespace belongs to.
    pub fn state(&self, tenant: &str, now: Timestamp) -> RequestState {
        match self.decision(tenant) {
            None => RequestState::Pending,
            Some(decision) if decision.verdict == QuotaVerdict::Refused => RequestState::Refused,
            Some(decision) if decision.until.as_ref().is_some_and(|until| until.0 <= now) => {
                RequestState::Expired
            }
            Some(_) => RequestState::Approved,
        }
    }

    /// What it adds to the tenant's budget now. One that is being deleted adds nothing.
    pub(crate) fn grant(&self, tenant: &str, now: Timestamp) -> Option<Grant> {
        if self.metadata.deletion_timestamp.is_some() || self.state(tenant, now) != RequestState::Approved {
            return None;
        }
        let decision = self.decision(tenant)?;
        Some(Grant {
            band: self.spec.band.clone(),
            amounts: amounts(&decision.granted),
            until: decision.until.as_ref().map(|until| until.0),
        })
    }
}

/// Checks of a QuotaRequest what its schema cannot say. One whose spec is as it was is not checked again.
///
/// # Errors
/// [`model::Code::QuotaInvalid`] with the field and what would pass.
pub fn check_quota_request(json: &[u8], old: Option<&[u8]>) -> Result<(), LoadFault> {
    let read = |json: &[u8]| serde_json::from_slice::<QuotaRequest>(json);
    let request =
        read(json).map_err(|error| fault("spec", &format!("the QuotaRequest cannot be read: {error}")))?;
    let before = old.and_then(|old| read(old).ok());
    if before.is_some_and(|before| before.spec == request.spec) {
        return Ok(());
    }
    request.spec.check(Timestamp::now())
}

impl QuotaRequestSpec {
    fn check(&self, now: Timestamp) -> Result<(), LoadFault> {
        const AMOUNTS: &str = "spec.amounts";
        check_amounts(AMOUNTS, &self.amounts)?;
        if self.amounts.is_empty() {
            return Err(fault(AMOUNTS, "is empty: name how much more is asked for, such as `pods: 10`"));
        }
        let nothing = self.amounts.iter().find(|(_, amount)| model::quantity(&text(amount)) == Some(0));
        if let Some((name, _)) = nothing {
            return Err(fault(AMOUNTS, &format!("`{name}` is 0: leave it out, or ask for more")));
        }
        if self.band.is_some() {
            check_of_pods(AMOUNTS, &self.amounts)?;
        }
        if self.reason.trim().is_empty() {
            return Err(fault("spec.reason", "is empty: say what it is for"));
        }
        let longest = || format!("is more than {} days from now on", LONGEST.as_secs().div_euclid(86_400));
        if let Some(duration) = &self.duration {
            match period(duration) {
                None => return Err(fault("spec.duration", "is no time such as 30m, 12h or 7d")),
                Some(period) if period > LONGEST => return Err(fault("spec.duration", &longest())),
                Some(_) => {}
            }
        }
        match &self.until {
            Some(until) if until.0 <= now => {
                Err(fault("spec.until", &format!("{} is not in the future", until.0)))
            }
            Some(until) if after(now, LONGEST).is_some_and(|last| until.0 > last) => {
                Err(fault("spec.until", &longest()))
            }
            _ => Ok(()),
        }
    }
}

/// A time such as `90s`, `30m`, `12h` or `7d`.
pub(crate) fn period(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds: u64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    let count = number.parse::<u64>().ok().filter(|count| *count > 0)?;
    count.checked_mul(seconds).map(Duration::from_secs)
}

/// A moment that much later, if there is one.
pub(crate) fn after(now: Timestamp, time: Duration) -> Option<Timestamp> {
    now.checked_add(SignedDuration::try_from(time).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn check(spec: &Value, old: Option<&Value>) -> Result<(), LoadFault> {
        let object = |spec: &Value| {
            let object = json!({
                "apiVersion": "bailey.dev/v1alpha1", "kind": "QuotaRequest",
                "metadata": {"name": "more", "namespace": "a"}, "spec": spec,
            });
            object.to_string().into_bytes()
        };
        let old = old.map(object);
        check_quota_request(&object(spec), old.as_deref())
    }

    #[test]
    fn what_cannot_be_asked_for_is_refused_with_the_field_named() {
        let with = |field: &str, value: Value| {
            let mut spec = json!({"amounts": {"pods": 5}, "reason": "a term"});
            spec[field] = value;
            spec
        };
        for good in [
            with("reason", json!("another")),
            with("amounts", json!({"cpu": "500m", "count/jobs.batch": 3, "requests.nvidia.com/gpu": "2"})),
            with("duration", json!("366d")),
            with("band", json!("batch")),
        ] {
            check(&good, None).unwrap();
        }
        let cases = [
            (with("amounts", json!({})), "spec.amounts: is empty"),
            (with("amounts", json!({"pods": 0})), "`pods` is 0"),
            (with("amounts", json!({"pods": -1})), "cannot be negative"),
            (with("amounts", json!({"pods": "many"})), "which is no quantity"),
            (with("amounts", json!({"podz": 1})), "spec.amounts: "),
            (with("reason", json!("  ")), "spec.reason: is empty"),
            (with("duration", json!("367d")), "spec.duration: is more than 366 days"),
            (with("duration", json!("soon")), "spec.duration: is no time"),
            (with("until", json!("2020-01-01T00:00:00Z")), "is not in the future"),
            (with("until", json!("2999-01-01T00:00:00Z")), "spec.until: is more than 366 days"),
            (with("reason", json!(7)), "cannot be read"),
        ];
        for (spec, part) in cases {
            let fault = check(&spec, None).unwrap_err();
            assert_eq!(fault.code, model::Code::QuotaInvalid);
            assert!(fault.message.contains(part), "{part}: {}", fault.message);
        }
        let mut banded = with("band", json!("batch"));
        banded["amounts"] = json!({"configmaps": 1});
        assert!(check(&banded, None).unwrap_err().message.contains("only Pods have bands"));
    }

    #[test]
    fn one_whose_time_is_over_may_still_get_a_label() {
        let over = json!({"amounts": {"pods": 5}, "reason": "r", "until": "2020-01-01T00:00:00Z"});
        check(&over, Some(&over)).unwrap();
        let more = json!({"amounts": {"pods": 6}, "reason": "r", "until": "2020-01-01T00:00:00Z"});
        assert!(check(&more, Some(&over)).is_err());
    }

    #[test]
    fn times_are_read() {
        assert_eq!(period("90s"), Some(Duration::from_secs(90)));
        assert_eq!(period("7d"), Some(Duration::from_secs(604_800)));
        for bad in ["", "d", "0h", "-1h", "1w", "7", "1é", "99999999999999999999d"] {
            assert_eq!(period(bad), None, "{bad}");
        }
    }
}
