//! A request on its way to the API server, and the answer on its way back.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, UPGRADE};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use model::{Code, UserInfo};
use tower::BoxError;
use tower_http::timeout::TimeoutBody;

use crate::body::{Body, Carriage};
use crate::gateway::Settings;
use crate::headers::{self, Upgrade};
use crate::limits::Place;
use crate::listen::Open;
use crate::metrics::GatewayMetrics;
use crate::refusal::Refusal;
use crate::seating::{Held, Payer, Seating};
use crate::target::Target;
use crate::upload::Upload;
use crate::upstream::{Upstream, of_the_body};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// As whom the API server is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asker {
    /// With the rights of the user.
    User,
    /// With the rights of the gateway: what is asked has to be narrowed to what the user may see.
    Gateway,
}

/// What a request is sent on with.
pub(crate) struct Forward<'a> {
    pub(crate) upstream: &'a Upstream,
    pub(crate) settings: &'a Settings,
    pub(crate) metrics: &'a GatewayMetrics,
    pub(crate) user: &'a UserInfo,
    pub(crate) from: IpAddr,
    pub(crate) upgrade: Option<Upgrade>,
    /// Where it takes its turn, and at whose cost.
    pub(crate) seating: &'a Seating,
    pub(crate) payer: &'a Payer,
    pub(crate) target: &'a Target,
}

impl Forward<'_> {
    /// Sends it on and gives the answer; the place is held until that has ended.
    pub(crate) async fn run(
        &self,
        mut request: Request<Incoming>,
        place: Place,
    ) -> Result<Response<Body>, Refusal> {
        let client = self.upgrade.map(|_| hyper::upgrade::on(&mut request));
        let open = request.extensions_mut().remove::<Open>();
        let (parts, body) = request.into_parts();
        let body = self.request_body(&parts, body).await?;
        let request = Request::from_parts(self.head(parts, Asker::User)?, body);
        let mut response = self.send(request).await?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let (Some(client), Some(upgrade)) = (client, self.upgrade) else {
                return Err(Refusal::unavailable(
                    StatusCode::BAD_GATEWAY,
                    "the API server changed the protocol unasked",
                ));
            };
            let server = hyper::upgrade::on(&mut response);
            tokio::spawn(tunnel(client, server, (place, open)));
            return Ok(switched(response, upgrade));
        }
        Ok(self.carry(response, place))
    }

    /// Asks what has no body, as the user or as the gateway itself.
    pub(crate) async fn ask(&self, parts: Parts, asker: Asker) -> Result<Response<Incoming>, Refusal> {
        let body = Body::new(Empty::new().map_err(|never| match never {}));
        self.send(Request::from_parts(self.head(parts, asker)?, body)).await
    }

    /// Sends it on when it is its turn. An answer that the API server still works at keeps the seat, until it is dropped
    /// or its body has come.
    async fn send(&self, request: Request<Body>) -> Result<Response<Incoming>, Refusal> {
        let seat = self.seating.take(self.payer, self.target).await?;
        let mut response = self.upstream.send(request).await?;
        if let Some(seat) = seat {
            seat.stay(&mut response, self.target);
        }
        Ok(response)
    }

    /// The answer as the client gets it; the place is held until it has ended.
    pub(crate) fn carry<B>(&self, response: Response<B>, place: Place) -> Response<Body>
    where
        B: hyper::body::Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static,
    {
        let (mut head, body) = response.into_parts();
        headers::hop_by_hop(&mut head.headers);
        let seat = head.extensions.remove::<Held>();
        let pace = place.pace.clone();
        let carriage = Carriage {
            patience: self.settings.read_patience,
            pace,
            place,
            seat,
            bytes: self.metrics.bytes.clone(),
            slow: self.metrics.slow.clone(),
        };
        Response::from_parts(head, carriage.carry(body))
    }

    /// The client's body, no longer and no slower than it may be. Where the request is going to have a seat, its beginning
    /// is here then.
    async fn request_body(&self, parts: &Parts, body: Incoming) -> Result<Body, Refusal> {
        let most = self.settings.body_bytes;
        let said =
            parts.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        if said.is_some_and(|said| said > most as u64) {
            let message = format!("the body is longer than the {most} bytes that the gateway lets through");
            return Err(Refusal::new(Code::GatewayTooLarge, message));
        }
        if hyper::body::Body::is_end_stream(&body) {
            return Ok(Body::new(Empty::new().map_err(|never| match never {})));
        }
        // Boxed: its timer does not move.
        let timed = Box::pin(TimeoutBody::new(self.settings.write_patience, body));
        let body = Body::new(Limited::new(timed, most));
        if !self.seating.concerns(self.target) {
            return Ok(body);
        }
        let begun = Upload::begin(body).await.map_err(|error| {
            let cut_off = || Refusal::new(Code::GatewayRequest, "the body ended before it was whole");
            of_the_body(&error).unwrap_or_else(cut_off)
        })?;
        Ok(Body::new(begun))
    }

    /// The head as the API server gets it.
    fn head(&self, mut parts: Parts, asker: Asker) -> Result<Parts, Refusal> {
        headers::strip(&mut parts.headers);
        if asker == Asker::User {
            headers::impersonate(&mut parts.headers, self.user)?;
        }
        let from = HeaderValue::try_from(self.from.to_string());
        parts.headers.insert(FORWARDED_FOR, from.unwrap_or_else(|_| HeaderValue::from_static("unknown")));
        if let Some(upgrade) = self.upgrade {
            parts.headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
            parts.headers.insert(UPGRADE, HeaderValue::from_static(upgrade.as_str()));
        }
        parts.version = http::Version::HTTP_11;
        let target = parts.uri.path_and_query().cloned();
        parts.uri = target.map_or_else(Uri::default, Uri::from);
        // What the connection to the client knows does not concern the other.
        parts.extensions = http::Extensions::new();
        Ok(parts)
    }
}

/// The answer that lets the client change the protocol too.
fn switched(response: Response<Incoming>, upgrade: Upgrade) -> Response<Body> {
    let (mut head, _) = response.into_parts();
    headers::hop_by_hop(&mut head.headers);
    head.headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    head.headers.insert(UPGRADE, HeaderValue::from_static(upgrade.as_str()));
    head.extensions = http::Extensions::new();
    Response::from_parts(head, Body::new(Empty::new().map_err(|never| match never {})))
}

/// Passes bytes both ways until both ends are done, and holds on to what the stream has taken.
async fn tunnel(
    client: hyper::upgrade::OnUpgrade,
    server: hyper::upgrade::OnUpgrade,
    held: (Place, Option<Open>),
) {
    const HANDSHAKE: Duration = Duration::from_secs(10);
    let both = async { tokio::try_join!(client, server) };
    match tokio::time::timeout(HANDSHAKE, both).await {
        Ok(Ok((client, server))) => {
            let (mut client, mut server) = (TokioIo::new(client), TokioIo::new(server));
            if let Err(error) = tokio::io::copy_bidirectional(&mut client, &mut server).await {
                tracing::debug!(%error, "a tunnel ended with an error");
            }
        }
        Ok(Err(error)) => tracing::debug!(%error, "a connection did not change its protocol"),
        Err(_) => tracing::debug!("a connection did not change its protocol in time"),
    }
    drop(held);
}
