//! Decision to AdmissionReview: what the API server is sent back.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::{Code, Decision, Verdict};
use serde::Serialize;
use serde_json::{Value, json};

use crate::decision::reason;

/// The longest audit annotation, in bytes.
const MAX_ANNOTATION: usize = 4_096;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireReview<'a> {
    api_version: &'static str,
    kind: &'static str,
    response: WireResponse<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireResponse<'a> {
    uid: &'a str,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_type: Option<&'static str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    warnings: &'a [String],
    audit_annotations: serde_json::Map<String, Value>,
}

/// The AdmissionReview that answers the review of this uid.
///
/// # Errors
/// When the answer cannot be written as JSON.
pub fn encode(uid: &str, decision: &Decision) -> Result<Vec<u8>, serde_json::Error> {
    let patch = match &decision.patch {
        Some(patch) => Some(STANDARD.encode(serde_json::to_vec(patch)?)),
        None => None,
    };
    let status = match &decision.verdict {
        Verdict::Allowed => None,
        Verdict::Denied { code, status, message, retry_after_seconds } => {
            Some(status_object(decision, *code, *status, message, *retry_after_seconds))
        }
    };
    serde_json::to_vec(&WireReview {
        api_version: "admission.k8s.io/v1",
        kind: "AdmissionReview",
        response: WireResponse {
            uid,
            allowed: decision.verdict.is_allowed(),
            status,
            patch_type: patch.as_ref().map(|_| "JSONPatch"),
            patch,
            warnings: &decision.warnings,
            audit_annotations: annotations(decision),
        },
    })
}

/// A Kubernetes `Status` for bodies that no AdmissionReview can answer, as there is no uid.
pub fn bare_status(code: Code, status: u16, message: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Status",
        "status": "Failure",
        "code": status,
        "reason": reason(status),
        "message": message,
        "details": {"causes": [{"reason": code.as_str(), "message": message}]},
    })
}

fn status_object(
    decision: &Decision,
    code: Code,
    status: u16,
    message: &str,
    retry_after_seconds: Option<u32>,
) -> Value {
    let mut causes = vec![json!({"reason": code.as_str(), "message": format!("decision {}", decision.id)})];
    causes.extend(
        decision.findings.iter().filter(|finding| finding.exception.is_none()).take(20).map(
            |finding| json!({"reason": finding.code, "message": finding.message, "field": finding.path}),
        ),
    );
    let mut details = json!({"causes": causes});
    if let (Some(seconds), Value::Object(members)) = (retry_after_seconds, &mut details) {
        members.insert("retryAfterSeconds".to_owned(), seconds.into());
    }
    json!({"code": status, "reason": reason(status), "message": message, "details": details})
}

/// What the API server's own audit log keeps: the id above all.
fn annotations(decision: &Decision) -> serde_json::Map<String, Value> {
    let mut annotations = serde_json::Map::new();
    annotations.insert("decision".to_owned(), decision.id.as_str().into());
    if let Verdict::Denied { code, .. } = &decision.verdict {
        annotations.insert("code".to_owned(), code.as_str().into());
    }
    let findings: Vec<String> = decision
        .findings
        .iter()
        .map(|finding| {
            let except = finding.exception.as_ref().map(|name| format!(" (but for the exception {name})"));
            let except = except.unwrap_or_default();
            format!("{}/{}: {}{except}", finding.binding, finding.policy, finding.message)
        })
        .collect();
    if !findings.is_empty() {
        annotations.insert("findings".to_owned(), cut(findings.join("; ")).into());
    }
    let failures: Vec<String> = decision
        .failures
        .iter()
        .map(|failure| {
            format!("{}/{}: {} {}", failure.binding, failure.policy, failure.code, failure.message)
        })
        .collect();
    if !failures.is_empty() {
        annotations.insert("failures".to_owned(), cut(failures.join("; ")).into());
    }
    annotations
}

fn cut(mut text: String) -> String {
    if text.len() > MAX_ANNOTATION {
        text.truncate(text.floor_char_boundary(MAX_ANNOTATION));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::{Contact, allow, refuse};

    fn encoded(decision: &Decision) -> Value {
        serde_json::from_slice(&encode("u1", decision).unwrap()).unwrap()
    }

    #[test]
    fn an_allowed_review_carries_its_patch_in_base64() {
        let mut decision = allow("id-1".into(), vec!["careful".into()]);
        decision.patch = Some(json!([{"op": "remove", "path": "/x"}]));
        let review = encoded(&decision);
        let response = &review["response"];
        assert_eq!(response["uid"], "u1");
        assert_eq!(response["allowed"], true);
        assert_eq!(response["patchType"], "JSONPatch");
        let patch = STANDARD.decode(response["patch"].as_str().unwrap()).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&patch).unwrap(), decision.patch.unwrap());
        assert_eq!(response["auditAnnotations"]["decision"], "id-1");
        assert_eq!(response["warnings"], json!(["careful"]));
    }

    #[test]
    fn overload_tells_the_client_when_to_come_back() {
        let review = encoded(&refuse("id-1".into(), Code::Overloaded, "busy", &Contact::default()));
        let status = &review["response"]["status"];
        assert_eq!(status["code"], 429);
        assert_eq!(status["reason"], "TooManyRequests");
        assert_eq!(status["details"]["retryAfterSeconds"], 1);
        assert!(review["response"].get("patch").is_none());
    }

    #[test]
    fn annotations_are_cut_at_a_character() {
        assert_eq!(cut("é".repeat(4_000)).chars().count(), MAX_ANNOTATION / 2 + 1);
    }
}
