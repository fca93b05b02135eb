//! What a client is told that does not pass, as Kubernetes says it.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use model::Code;
use serde_json::{Value, json};

use crate::body::Body;

/// Why a request does not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: Code,
    pub(crate) status: StatusCode,
    pub(crate) message: String,
    /// When it may pass, rounded up to whole seconds.
    pub(crate) retry_after: Option<Duration>,
    /// What clients of Kubernetes look for besides the code.
    cause: Option<&'static str>,
}

impl Refusal {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, status: status(code), message: message.into(), retry_after: None, cause: None }
    }

    /// The API server, or who says who somebody is, cannot be asked.
    pub(crate) fn unavailable(status: StatusCode, message: impl Into<String>) -> Self {
        let retry_after = Some(Duration::from_secs(1));
        Self { status, retry_after, ..Self::new(Code::GatewayUnavailable, message) }
    }

    pub(crate) fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    pub(crate) fn after(self, wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..self }
    }

    /// Says so as clients of Kubernetes look for it.
    pub(crate) fn because(self, cause: &'static str) -> Self {
        Self { cause: Some(cause), ..self }
    }

    /// A Status object, as the API server writes them.
    pub(crate) fn status_object(&self, contact: Option<&str>) -> Value {
        let message = match contact {
            Some(contact) => format!("{} [{}]; {contact}", self.message, self.code),
            None => format!("{} [{}]", self.message, self.code),
        };
        let causes = std::iter::once(self.code.as_str()).chain(self.cause);
        let causes: Vec<Value> =
            causes.map(|cause| json!({"reason": cause, "message": self.message})).collect();
        let mut details = json!({"causes": causes});
        if let (Some(wait), Some(details)) = (self.retry_after, details.as_object_mut()) {
            details.insert("retryAfterSeconds".to_owned(), whole_seconds(wait).into());
        }
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": message, "reason": reason(self.status), "details": details, "code": self.status.as_u16(),
        })
    }

    /// The answer.
    pub(crate) fn response(&self, contact: Option<&str>) -> Response<Body> {
        let status = self.status_object(contact);
        let body = Full::new(Bytes::from(status.to_string())).map_err(|never| match never {});
        let mut response = Response::new(Body::new(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(wait) = self.retry_after {
            headers.insert(RETRY_AFTER, whole_seconds(wait).into());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// At least one: zero would mean at once.
fn whole_seconds(wait: Duration) -> u64 {
    let more = u64::from(wait.subsec_nanos() > 0);
    wait.as_secs().saturating_add(more).max(1)
}

const fn status(code: Code) -> StatusCode {
    match code {
        Code::GatewayRequest | Code::GatewayPage => StatusCode::BAD_REQUEST,
        Code::GatewayTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Code::GatewayUnauthenticated => StatusCode::UNAUTHORIZED,
        Code::GatewayImpersonation | Code::GatewayIdentity | Code::GatewayTenant | Code::GatewayScope => {
            StatusCode::FORBIDDEN
        }
        Code::GatewayExpired => StatusCode::GONE,
        Code::GatewayRate
        | Code::GatewayBusy
        | Code::GatewayWatches
        | Code::GatewayQueue
        | Code::GatewayFull => StatusCode::TOO_MANY_REQUESTS,
        Code::GatewayUnavailable | Code::NotReady => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The word that Kubernetes has for a status.
fn reason(status: StatusCode) -> &'static str {
    match status {
        StatusCode::BAD_REQUEST => "BadRequest",
        StatusCode::UNAUTHORIZED => "Unauthorized",
        StatusCode::FORBIDDEN => "Forbidden",
        StatusCode::NOT_FOUND => "NotFound",
        StatusCode::METHOD_NOT_ALLOWED => "MethodNotAllowed",
        StatusCode::GONE => "Expired",
        StatusCode::NOT_ACCEPTABLE => "NotAcceptable",
        StatusCode::PAYLOAD_TOO_LARGE => "RequestEntityTooLarge",
        StatusCode::TOO_MANY_REQUESTS => "TooManyRequests",
        StatusCode::SERVICE_UNAVAILABLE => "ServiceUnavailable",
        StatusCode::GATEWAY_TIMEOUT => "Timeout",
        _ => "InternalError",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_refusal_is_a_status_that_clients_back_off_on() {
        let refusal = Refusal::new(Code::GatewayRate, "too fast").after(Duration::from_millis(1_001));
        let response = refusal.response(Some("ask ops"));
        assert_eq!(response.status(), 429);
        assert_eq!(response.headers()[RETRY_AFTER], "2");
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let status: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(status["kind"], "Status");
        assert_eq!(status["reason"], "TooManyRequests");
        assert_eq!(status["details"]["retryAfterSeconds"], 2);
        assert_eq!(status["details"]["causes"][0]["reason"], "gateway_rate");
        assert_eq!(status["message"], "too fast [gateway_rate]; ask ops");
    }

    #[test]
    fn a_client_without_proof_is_told_how_to_prove_itself() {
        let response = Refusal::new(Code::GatewayUnauthenticated, "who").response(None);
        assert_eq!(
            (response.status().as_u16(), &response.headers()[WWW_AUTHENTICATE]),
            (401, &"Bearer".parse().unwrap())
        );
        assert!(response.headers().get(RETRY_AFTER).is_none());
    }
}
