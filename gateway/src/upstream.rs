//! The API server, as the gateway asks it.
//!
//! HTTP/1.1 only: each request under way has a connection of its own. Over HTTP/2 all tenants would share the streams of a
//! few connections, and the watches of one could leave none to the others.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, ServiceExt as _};

use crate::body::Body;
use crate::refusal::Refusal;
use crate::upload::TooSlow;

/// How long the head of an answer may take: longer than the API server lets a request take.
const PATIENCE: Duration = Duration::from_secs(75);
/// How long the answer to the gateway's own questions may take.
const OWN_PATIENCE: Duration = Duration::from_secs(10);
/// The longest answer to those, in bytes.
const OWN_ANSWER: usize = 1 << 20;

const JSON: &str = "application/json";

/// What sends requests to the API server, with the gateway's own credentials; their targets are paths.
pub type Sender = BoxCloneSyncService<Request<Body>, Response<Incoming>, BoxError>;

type Answer = Pin<Box<dyn Future<Output = Result<Response<Incoming>, BoxError>> + Send>>;

/// The API server.
#[derive(Clone)]
pub(crate) struct Upstream(pub(crate) Sender);

impl Upstream {
    /// Sends a request on. It was not refused yet, so the error is for the client.
    pub(crate) async fn send(&self, request: Request<Body>) -> Result<Response<Incoming>, Refusal> {
        match tokio::time::timeout(PATIENCE, self.begin(request)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(failed(&error)),
            Err(_) => {
                let message = "the API server did not answer in time";
                Err(Refusal::unavailable(StatusCode::GATEWAY_TIMEOUT, message))
            }
        }
    }

    /// Of a named type, which the compiler needs to see that whoever waits may move between threads.
    fn begin(&self, request: Request<Body>) -> Answer {
        Box::pin(self.0.clone().oneshot(request))
    }

    /// Posts a question of the gateway's own.
    pub(crate) async fn post_json(
        &self,
        path: &str,
        body: &serde_json::Value,
    ) -> Result<(StatusCode, Bytes), Refusal> {
        let request = Request::builder().method(Method::POST).uri(path);
        self.own(path, request.header(CONTENT_TYPE, JSON), body.to_string()).await
    }

    /// Reads for the gateway itself.
    pub(crate) async fn get_json(&self, path: &str, accept: &str) -> Result<(StatusCode, Bytes), Refusal> {
        self.own(path, Request::get(path).header(ACCEPT, accept), String::new()).await
    }

    /// Reads for the gateway itself what may be as long as this, in bytes.
    pub(crate) async fn read(
        &self,
        target: &str,
        accept: &str,
        most: usize,
    ) -> Result<(StatusCode, Bytes), BoxError> {
        let empty = Body::new(Full::new(Bytes::new()).map_err(|never| match never {}));
        let request = Request::get(target).header(ACCEPT, accept).body(empty)?;
        tokio::time::timeout(PATIENCE, self.whole(request, most)).await?
    }

    /// Sends a request and takes in the whole answer.
    async fn whole(&self, request: Request<Body>, most: usize) -> Result<(StatusCode, Bytes), BoxError> {
        let (head, body) = self.begin(request).await?.into_parts();
        Ok((head.status, Limited::new(body, most).collect().await?.to_bytes()))
    }

    async fn own(
        &self,
        path: &str,
        request: http::request::Builder,
        body: String,
    ) -> Result<(StatusCode, Bytes), Refusal> {
        let unavailable = |why: &dyn std::fmt::Display| {
            tracing::error!(path, %why, "the API server does not answer");
            Refusal::unavailable(StatusCode::SERVICE_UNAVAILABLE, "the API server does not answer now")
        };
        let body = Full::new(Bytes::from(body)).map_err(|never| match never {});
        let request = request.body(Body::new(body)).map_err(|error| unavailable(&error))?;
        match tokio::time::timeout(OWN_PATIENCE, self.whole(request, OWN_ANSWER)).await {
            Ok(answer) => answer.map_err(|error| unavailable(&error)),
            Err(late) => Err(unavailable(&late)),
        }
    }
}

/// Why a request got no answer: the client's body was at fault, or the API server is.
fn failed(error: &BoxError) -> Refusal {
    if let Some(refusal) = of_the_body(error) {
        return refusal;
    }
    tracing::warn!(error, "a request got no answer of the API server");
    Refusal::unavailable(StatusCode::BAD_GATEWAY, "the API server does not answer now")
}

/// What is wrong with the client's body, if it is that.
pub(crate) fn of_the_body(error: &BoxError) -> Option<Refusal> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error.as_ref());
    while let Some(error) = cause {
        if error.is::<http_body_util::LengthLimitError>() {
            let message = "the body is longer than the gateway lets through";
            return Some(Refusal::new(model::Code::GatewayTooLarge, message));
        }
        if error.is::<tower_http::timeout::TimeoutError>() || error.is::<TooSlow>() {
            let message = "the body did not come in time";
            let refusal = Refusal::new(model::Code::GatewayRequest, message);
            return Some(refusal.with_status(StatusCode::REQUEST_TIMEOUT));
        }
        cause = error.source();
    }
    None
}
