//! Exceptions to policies: asked for by tenants, decided on by administrators.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use http_body_util::BodyExt as _;
use kube::Api;
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::client::Body;
use kube::core::Status;
use serde::Serialize;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::fault::{Fault, chain};
use super::session::{Session, own};
use crate::api::exception::{State, Verdict};
use crate::api::{GROUP, VERSION};

/// How many namespaces are read at once.
const READS: usize = 8;
const ASK: &str = "owners and editors of a tenant ask for exceptions in its namespaces";
const DECIDE: &str = "exceptions are decided on by administrators: `bailey exception` is for them";
/// What stands before the text of a warning.
const WARNING: &str = "299 - ";

/// An exception that is to be asked for, in the session's namespace.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NewException {
    /// The policy.
    pub policy: String,
    /// Only what this binding finds.
    pub binding: Option<String>,
    /// Only findings with these codes.
    pub codes: Vec<String>,
    /// Only objects of these kinds.
    pub kinds: Vec<String>,
    /// Only objects with these names.
    pub names: Vec<String>,
    /// Why.
    pub reason: String,
    /// For how long.
    pub lasts: Duration,
}

/// An exception as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The exception.
    pub exception: ExceptionSummary,
    /// What the cluster says about it.
    pub warnings: Vec<String>,
}

/// A decision on an exception.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// Whether it is approved.
    pub approved: bool,
    /// Why, for whoever asked.
    pub message: Option<String>,
    /// Only if it is still of this generation.
    pub generation: Option<i64>,
}

/// An exception and how it stands.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExceptionSummary {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Which version of what is asked for.
    pub generation: i64,
    /// The policy.
    pub policy: String,
    /// The only binding that is meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub binding: Option<String>,
    /// The only codes that are meant.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub codes: Vec<String>,
    /// The objects that are meant, as they are stored; null for all.
    #[serde(rename = "match", skip_serializing_if = "Value::is_null")]
    pub objects: Value,
    /// Why it was asked for.
    pub reason: String,
    /// Who asked.
    pub requested_by: String,
    /// When it ends.
    pub expires: String,
    /// Pending, Approved, Refused, Changed or Expired.
    pub state: String,
    /// Who decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<String>,
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decided_at: Option<String>,
    /// What they said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl Session {
    /// Asks for an exception.
    ///
    /// # Errors
    /// When it is refused, or the API server does not answer.
    pub async fn request_exception(&self, wanted: &NewException) -> Result<Asked, Fault> {
        let now = OffsetDateTime::now_utc();
        let object = manifest(wanted, now)?;
        let path = format!("/apis/{GROUP}/{VERSION}/namespaces/{}/policyexceptions", self.namespace());
        let request = http::Request::post(path)
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(Body::from(object.to_string().into_bytes()))
            .map_err(|error| Fault::Usage(format!("`{}` is no namespace: {error}", self.namespace())))?;
        let answer = self.client.send(request).await.map_err(|error| self.fault(&error))?;
        let (head, body) = answer.into_parts();
        let body = body.collect().await.map_err(|error| Fault::Failed(chain(&error)))?.to_bytes();
        if !head.status.is_success() {
            let unreadable = || Status { code: head.status.as_u16(), ..Status::default() };
            let status = serde_json::from_slice(&body).unwrap_or_else(|_| unreadable());
            return Err(self.unknown(&kube::Error::Api(Box::new(status)), ASK));
        }
        let stored: DynamicObject = serde_json::from_slice(&body)
            .map_err(|error| Fault::Failed(format!("the answer cannot be read: {error}")))?;
        let warnings = head.headers.get_all(http::header::WARNING).iter();
        let warnings = warnings.filter_map(|warning| warning.to_str().ok()).map(warned).collect();
        Ok(Asked { exception: summary(&stored, now), warnings })
    }

    /// The exceptions in these namespaces, by namespace and name.
    ///
    /// # Errors
    /// When the user may not read them, or the API server does not answer.
    pub async fn exceptions_in(&self, namespaces: &[String]) -> Result<Vec<ExceptionSummary>, Fault> {
        let reads = namespaces.iter().map(|namespace| async move {
            let api = Api::namespaced_with(self.client.clone(), namespace, &own("PolicyException"));
            self.read_exceptions(api, "members of a tenant see the exceptions in its namespaces").await
        });
        let found: Vec<_> = futures::stream::iter(reads).buffered(READS).try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// The exceptions in all namespaces, for an administrator.
    ///
    /// # Errors
    /// As [`Session::exceptions_in`].
    pub async fn all_exceptions(&self) -> Result<Vec<ExceptionSummary>, Fault> {
        let api = self.own("PolicyException");
        self.read_exceptions(api, "users see their own with `kubectl tenant exceptions`").await
    }

    async fn read_exceptions(
        &self,
        api: Api<DynamicObject>,
        hint: &str,
    ) -> Result<Vec<ExceptionSummary>, Fault> {
        let now = OffsetDateTime::now_utc();
        let objects = self.list(api, "").await.map_err(|fault| known(fault).or(hint))?;
        let mut all: Vec<_> = objects.iter().map(|object| summary(object, now)).collect();
        all.sort_by(|one, other| (&one.namespace, &one.name).cmp(&(&other.namespace, &other.name)));
        Ok(all)
    }

    /// Decides on an exception in the session's namespace, as it is now.
    ///
    /// # Errors
    /// When it is refused, it is not there, or it is of another generation.
    pub async fn decide_exception(&self, name: &str, decided: &Decided) -> Result<ExceptionSummary, Fault> {
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), self.namespace(), &own("PolicyException"));
        let missing = |error: &kube::Error| match self.fault(error) {
            Fault::NotFound(_) => Fault::NotFound(format!(
                "there is no exception `{name}` in the namespace `{}`",
                self.namespace()
            )),
            other => other.or(DECIDE),
        };
        let found = api.get(name).await.map_err(|error| missing(&error))?.metadata;
        let generation = found.generation.unwrap_or_default();
        if decided.generation.is_some_and(|wanted| wanted != generation) {
            return Err(Fault::Conflict(format!(
                "the exception `{name}` is of generation {generation} now: it was changed since you looked at it"
            )));
        }
        let decision = if decided.approved { "Approved" } else { "Refused" };
        // Without a message an earlier one is taken away.
        let approval = json!({
            "decision": decision, "uid": found.uid, "generation": generation, "message": decided.message,
        });
        let patch = json!({"status": {"approval": approval}});
        let done = api.patch_status(name, &PatchParams::default(), &Patch::Merge(&patch)).await;
        let stored = done.map_err(|error| missing(&error))?;
        Ok(summary(&stored, OffsetDateTime::now_utc()))
    }

    fn unknown(&self, error: &kube::Error, hint: &str) -> Fault {
        known(self.fault(error)).or(hint)
    }
}

/// A fault, where it may be that the cluster has no such kind.
fn known(fault: Fault) -> Fault {
    match fault {
        Fault::NotFound(message) if message.contains("could not find the requested resource") => {
            Fault::NotFound("the cluster does not know exceptions: apply `bailey crds` first".to_owned())
        }
        other => other,
    }
}

/// The text of a warning's header.
fn warned(header: &str) -> String {
    let text = header.strip_prefix(WARNING).unwrap_or(header).trim_matches('"');
    text.replace("\\\"", "\"").replace("\\\\", "\\")
}

/// The object that is asked for.
fn manifest(wanted: &NewException, now: OffsetDateTime) -> Result<Value, Fault> {
    let too_long = || Fault::Usage("an exception cannot last that long".to_owned());
    let lasts = time::Duration::try_from(wanted.lasts).map_err(|_| too_long())?;
    let ends = now.checked_add(lasts).ok_or_else(too_long)?;
    let ends = ends.replace_nanosecond(0).unwrap_or(ends).format(&Rfc3339).map_err(|_| too_long())?;
    let mut objects = Map::new();
    for (name, list) in [("kinds", &wanted.kinds), ("names", &wanted.names)] {
        if !list.is_empty() {
            objects.insert(name.to_owned(), json!(list));
        }
    }
    let mut spec = Map::from_iter([
        ("policy".to_owned(), json!(wanted.policy)),
        ("reason".to_owned(), json!(wanted.reason)),
        ("expires".to_owned(), json!(ends)),
    ]);
    spec.extend(wanted.binding.as_ref().map(|binding| ("binding".to_owned(), json!(binding))));
    if !wanted.codes.is_empty() {
        spec.insert("codes".to_owned(), json!(wanted.codes));
    }
    if !objects.is_empty() {
        spec.insert("match".to_owned(), objects.into());
    }
    Ok(json!({
        "apiVersion": format!("{GROUP}/{VERSION}"), "kind": "PolicyException",
        "metadata": {"generateName": format!("{}-", wanted.policy)}, "spec": spec,
    }))
}

/// What an object says. Fields of a newer Bailey's are passed by.
fn summary(object: &DynamicObject, now: OffsetDateTime) -> ExceptionSummary {
    let said = |path: &str| object.data.pointer(path).and_then(Value::as_str).map(str::to_owned);
    let metadata = object.metadata.clone();
    let codes = object.data.pointer("/spec/codes").and_then(Value::as_array).into_iter().flatten();
    let expires = said("/spec/expires").unwrap_or_default();
    let ends = OffsetDateTime::parse(&expires, &Rfc3339).ok();
    let generation = metadata.generation.unwrap_or_default();
    let approval = object.data.pointer("/status/approval").filter(|approval| !approval.is_null());
    let decided = approval.map(|approval| {
        let of = approval.get("generation").and_then(Value::as_i64);
        let same = approval.get("uid").and_then(Value::as_str) == metadata.uid.as_deref();
        match approval.get("decision").and_then(Value::as_str) {
            Some("Approved") if same && of == Some(generation) => Some(Verdict::Approved),
            Some("Refused") if same && of == Some(generation) => Some(Verdict::Refused),
            _ => None,
        }
    });
    ExceptionSummary {
        namespace: metadata.namespace.unwrap_or_default(),
        name: metadata.name.unwrap_or_default(),
        generation,
        policy: said("/spec/policy").unwrap_or_default(),
        binding: said("/spec/binding"),
        codes: codes.filter_map(Value::as_str).map(str::to_owned).collect(),
        objects: object.data.pointer("/spec/match").cloned().unwrap_or_default(),
        reason: said("/spec/reason").unwrap_or_default(),
        requested_by: said("/spec/requestedBy").unwrap_or_default(),
        expires,
        state: State::of(ends, decided, now).as_str().to_owned(),
        decided_by: said("/status/approval/by"),
        decided_at: said("/status/approval/at"),
        message: said("/status/approval/message"),
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2027-01-01 00:00:00.5 UTC);

    #[test]
    fn what_is_asked_for_has_only_what_was_given() {
        let bare = NewException { policy: "p".into(), reason: "r".into(), ..NewException::default() };
        let week = NewException { lasts: Duration::from_secs(604_800), ..bare.clone() };
        let spec = |wanted: &NewException| manifest(wanted, NOW).unwrap()["spec"].clone();
        assert_eq!(spec(&week), json!({"policy": "p", "reason": "r", "expires": "2027-01-08T00:00:00Z"}));
        let whole = NewException {
            binding: Some("b".into()),
            codes: vec!["c".into()],
            kinds: vec!["Pod".into()],
            names: vec!["web-*".into()],
            ..week
        };
        let found = spec(&whole);
        assert_eq!((&found["binding"], &found["codes"]), (&json!("b"), &json!(["c"])));
        assert_eq!(found["match"], json!({"kinds": ["Pod"], "names": ["web-*"]}));
        let ever = NewException { lasts: Duration::MAX, ..bare };
        assert!(matches!(manifest(&ever, NOW), Err(Fault::Usage(_))));
    }

    #[test]
    fn an_exception_is_read_with_fields_that_are_not_known() {
        let object = |generation: i64| {
            serde_json::from_value(json!({
                "metadata": {"name": "e", "namespace": "lab", "uid": "u", "generation": 2},
                "spec": {"policy": "p", "expires": "2027-01-02T00:00:00Z", "newer": 1, "codes": ["c", 1]},
                "status": {"approval": {"decision": "Approved", "uid": "u", "generation": generation, "by": "dean"}},
            }))
            .unwrap()
        };
        let found = summary(&object(2), NOW);
        assert_eq!((found.state.as_str(), found.decided_by.as_deref()), ("Approved", Some("dean")));
        assert_eq!((found.codes.as_slice(), found.binding), (&["c".to_owned()][..], None));
        assert_eq!(summary(&object(1), NOW).state, "Changed");
        assert_eq!(summary(&object(2), datetime!(2027-02-01 00:00:00 UTC)).state, "Expired");
    }

    #[test]
    fn a_warning_is_read_as_it_was_meant() {
        assert_eq!(warned(r#"299 - "the \"p\" is not there""#), "the \"p\" is not there");
        assert_eq!(warned("something else"), "something else");
    }
}
