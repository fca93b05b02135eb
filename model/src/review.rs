//! AdmissionReview text to [`Request`]: the one decoder of what the API server sends.

use bytes::Bytes;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use thiserror::Error;

use crate::{Code, GroupVersionKind, GroupVersionResource, Operation, Request, UserInfo};

/// The deepest nesting of arrays and objects accepted, in levels.
///
/// Every engine's own decoder must accept this depth, so that no review is refused by one of them only.
pub const MAX_DEPTH: usize = 100;

/// Why a review could not be decoded.
#[derive(Debug, Error)]
pub enum ReviewError {
    /// The text is not JSON or lacks a required member.
    #[error("the body is not an AdmissionReview")]
    Malformed(#[source] serde_json::Error),
    /// The JSON nests too deep.
    #[error("the JSON nests deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// The review has another `apiVersion` or `kind`.
    #[error("the review is `{found}`, only `admission.k8s.io/v1 AdmissionReview` is served")]
    Version {
        /// What was sent, cut to 100 characters.
        found: String,
    },
    /// A required member is empty.
    #[error("the review has no `{0}`")]
    Missing(&'static str),
}

impl ReviewError {
    /// The stable code.
    pub const fn code(&self) -> Code {
        match self {
            Self::Malformed(_) | Self::Missing(_) => Code::ReviewMalformed,
            Self::TooDeep => Code::ReviewTooDeep,
            Self::Version { .. } => Code::ReviewVersion,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireReview<'a> {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    kind: String,
    #[serde(borrow, default)]
    request: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireRequest<'a> {
    #[serde(default)]
    uid: String,
    kind: GroupVersionKind,
    resource: GroupVersionResource,
    #[serde(default)]
    sub_resource: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    namespace: String,
    operation: Operation,
    #[serde(default)]
    user_info: UserInfo,
    #[serde(borrow, default)]
    object: Option<&'a RawValue>,
    #[serde(borrow, default)]
    old_object: Option<&'a RawValue>,
    #[serde(default)]
    dry_run: Option<bool>,
}

/// Decodes an AdmissionReview of `admission.k8s.io/v1`.
///
/// Unknown members are kept in [`Request::raw`] and otherwise ignored: a newer API server may send more.
/// Nothing is copied but the envelope: the objects are slices of `body`.
///
/// # Errors
/// See [`ReviewError`]; the deepest nesting accepted is [`MAX_DEPTH`].
pub fn decode_review(body: &Bytes) -> Result<Request, ReviewError> {
    check_depth(body)?;
    if body.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        return Err(ReviewError::Missing("top-level object"));
    }
    let review: WireReview<'_> = serde_json::from_slice(body).map_err(ReviewError::Malformed)?;
    if review.api_version != "admission.k8s.io/v1" || review.kind != "AdmissionReview" {
        let found = format!("{} {}", review.api_version, review.kind);
        return Err(ReviewError::Version { found: found.chars().take(100).collect() });
    }
    let raw = review.request.ok_or(ReviewError::Missing("request"))?;
    decode_request(body, raw)
}

fn decode_request(body: &Bytes, raw: &RawValue) -> Result<Request, ReviewError> {
    let wire: WireRequest<'_> = serde_json::from_str(raw.get()).map_err(ReviewError::Malformed)?;
    if wire.uid.is_empty() {
        return Err(ReviewError::Missing("request.uid"));
    }
    if wire.kind.kind.is_empty() || wire.resource.resource.is_empty() {
        return Err(ReviewError::Missing("request.kind or request.resource"));
    }
    let slice = |value: &RawValue| body.slice_ref(value.get().as_bytes());
    Ok(Request {
        uid: wire.uid,
        kind: wire.kind,
        resource: wire.resource,
        sub_resource: wire.sub_resource,
        name: wire.name,
        namespace: wire.namespace,
        operation: wire.operation,
        user: wire.user_info,
        dry_run: wire.dry_run.unwrap_or(false),
        raw: slice(raw),
        object: wire.object.map(slice),
        old_object: wire.old_object.map(slice),
    })
}

/// Refuses text that nests too deep, in one pass and without a stack.
fn check_depth(text: &[u8]) -> Result<(), ReviewError> {
    let mut depth = 0usize;
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => skip_string(&mut bytes),
            b'[' | b'{' => {
                depth = depth.saturating_add(1);
                if depth > MAX_DEPTH {
                    return Err(ReviewError::TooDeep);
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

fn skip_string(bytes: &mut std::slice::Iter<'_, u8>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            b'\\' => {
                bytes.next();
            }
            _ => {}
        }
    }
}

/// `null` reads as the default: Go writes a nil slice or map as `null`.
pub(crate) fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn review(request: &str) -> Bytes {
        Bytes::from(format!(
            r#"{{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{request}}}"#
        ))
    }

    const POD: &str = r#"{"uid":"u1","kind":{"group":"","version":"v1","kind":"Pod"},
        "resource":{"group":"","version":"v1","resource":"pods"},"name":"a","namespace":"n","operation":"CREATE",
        "userInfo":{"username":"ada","groups":null},"object":{"metadata":{"name":"a","labels":null}},"oldObject":null,
        "options":null,"dryRun":true,"future":1}"#;

    #[test]
    fn a_pod_is_decoded_without_copying_it() {
        let body = review(POD);
        let request = decode_review(&body).unwrap();
        assert_eq!((request.uid.as_str(), request.operation), ("u1", Operation::Create));
        assert!(request.dry_run);
        assert_eq!(request.old_object, None);
        let object = request.object.unwrap();
        assert!(body.as_ptr_range().contains(&object.as_ptr()));
        assert_eq!(Request::metadata(&object).unwrap().name, "a");
    }

    #[test]
    fn bad_reviews_have_their_codes() {
        let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        let beta = r#"{"apiVersion":"admission.k8s.io/v1beta1","kind":"AdmissionReview","request":{}}"#;
        let no_uid = POD.replace("\"uid\":\"u1\",", "");
        let cases = [
            (Bytes::from_static(b""), Code::ReviewMalformed),
            (Bytes::from_static(b"[]"), Code::ReviewMalformed),
            (Bytes::from_static(b"{\"apiVersion\":"), Code::ReviewMalformed),
            (Bytes::from(deep.clone()), Code::ReviewTooDeep),
            (review(&format!("{{\"object\":{deep}}}")), Code::ReviewTooDeep),
            (Bytes::from(beta), Code::ReviewVersion),
            (Bytes::from_static(b"{}"), Code::ReviewVersion),
            (review("null"), Code::ReviewMalformed),
            (review("{}"), Code::ReviewMalformed),
            (review(&no_uid), Code::ReviewMalformed),
            (review(&POD.replace("CREATE", "FROB")), Code::ReviewMalformed),
        ];
        for (body, code) in cases {
            let error = decode_review(&body).unwrap_err();
            assert_eq!(error.code(), code, "{error} for {:?}", &body[..body.len().min(60)]);
        }
    }

    #[test]
    fn brackets_inside_strings_are_not_depth() {
        let text = format!(r#"{{"a":"{}\"","b":"\\"}}"#, "[".repeat(500));
        assert!(check_depth(text.as_bytes()).is_ok());
    }
}
