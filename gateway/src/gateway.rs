//! One request, from its head to the head of its answer.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fairness::rates::Timed;
use http::{Request, Response};
use hyper::body::Incoming;
use model::{Code, TenantIndex, UserInfo};
use tokio::sync::watch;

use crate::body::Body;
use crate::forward::Forward;
use crate::headers::{self, Upgrade};
use crate::identity::{self, Issuers, Peer, Tokens};
use crate::limits::{Accounts, LimitsOf, TenantLoad};
use crate::lists::{Asked, Lists};
use crate::metrics::{GatewayMetrics, RequestLabels};
use crate::refusal::Refusal;
use crate::seating::{Payer, SeatSettings, Seating};
use crate::target::Target;
use crate::upstream::{Sender, Upstream};

/// How a gateway behaves to everybody.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The longest body of a request, in bytes.
    pub body_bytes: usize,
    /// How long a client may take to read one piece of an answer.
    pub read_patience: Duration,
    /// How long a client may take to send one piece of a body.
    pub write_patience: Duration,
    /// The most connections from one address.
    pub connections_per_address: usize,
    /// The most connections in all.
    pub connections: usize,
    /// How many requests may be at the API server at once.
    pub seats: SeatSettings,
    /// Whom a refused person may ask, shown in every refusal.
    pub contact: Option<String>,
}

/// What a gateway is made of.
pub struct Parts {
    /// What sends requests to the API server.
    pub sender: Sender,
    /// Whose identity tokens are taken.
    pub issuers: Issuers,
    /// All tenants.
    pub tenants: watch::Receiver<Arc<TenantIndex>>,
    /// Whether they are listed; nobody passes before that.
    pub synced: watch::Receiver<bool>,
    /// What each may do.
    pub limits_of: LimitsOf,
    /// How much of that may pass here.
    pub rates: Timed,
    /// How it behaves.
    pub settings: Settings,
    /// What it counts.
    pub metrics: GatewayMetrics,
}

/// The tenants' endpoint in front of the API server.
pub struct Gateway {
    upstream: Upstream,
    issuers: Issuers,
    tokens: Tokens,
    tenants: watch::Receiver<Arc<TenantIndex>>,
    synced: watch::Receiver<bool>,
    accounts: Accounts,
    seating: Seating,
    lists: Lists,
    pub(crate) settings: Settings,
    pub(crate) metrics: GatewayMetrics,
}

impl Gateway {
    /// A gateway of these parts.
    pub fn new(parts: Parts) -> Self {
        let upstream = Upstream(parts.sender);
        Self {
            tokens: Tokens::new(upstream.clone(), parts.metrics.clone()),
            lists: Lists::new(parts.tenants.clone(), upstream.clone()),
            upstream,
            issuers: parts.issuers,
            tenants: parts.tenants,
            synced: parts.synced,
            accounts: Accounts::new(parts.limits_of, parts.rates),
            seating: Seating::new(parts.settings.seats, parts.metrics.clone()),
            settings: parts.settings,
            metrics: parts.metrics,
        }
    }

    /// Sets the gauges to how it stands now, and forgets the tenants that are no more.
    pub fn sample(&self) {
        let (requests, streams) = self.accounts.under_way();
        self.metrics.under_way.set(i64::try_from(requests).unwrap_or(i64::MAX));
        self.metrics.streams.set(i64::try_from(streams).unwrap_or(i64::MAX));
        let (waiting, taken) = self.seating.size();
        self.metrics.waiting.set(i64::try_from(waiting).unwrap_or(i64::MAX));
        self.metrics.seats_taken.set(taken.into());
        let tenants = Arc::clone(&self.tenants.borrow());
        for gone in self.accounts.retain(|tenant| tenants.tenant(tenant).is_some()) {
            self.metrics.forget(&gone);
        }
    }

    /// What each tenant does.
    pub fn loads(&self) -> HashMap<String, TenantLoad> {
        let mut loads = self.accounts.loads();
        for (tenant, standing) in self.seating.standings() {
            let load = loads.entry(tenant.to_string()).or_default();
            load.waiting = u32::try_from(standing.waiting).unwrap_or(u32::MAX);
            load.seats = standing.seats;
        }
        loads
    }

    /// Answers a request.
    pub(crate) async fn answer(&self, request: Request<Incoming>, peer: &Peer) -> Response<Body> {
        let started = Instant::now();
        let target = Target::read(request.method(), request.uri());
        let class = target.as_ref().map_or("unread", |target| target.class.as_str());
        let answer = match target {
            Ok(target) => self.pass(request, peer, &target).await,
            Err(refusal) => Err(refusal),
        };
        let (response, result) = match answer {
            Ok(response) => {
                let result = range(response.status());
                (response, result)
            }
            Err(refusal) => {
                tracing::debug!(code = %refusal.code, message = refusal.message, "refused");
                (refusal.response(self.settings.contact.as_deref()), refusal.code.as_str())
            }
        };
        self.metrics.requests.get_or_create(&RequestLabels { class, result }).inc();
        self.metrics.duration.observe(started.elapsed().as_secs_f64());
        response
    }

    /// The whole path.
    async fn pass(
        &self,
        request: Request<Incoming>,
        peer: &Peer,
        target: &Target,
    ) -> Result<Response<Body>, Refusal> {
        let upgrade = headers::check(&request)?;
        if upgrade.is_some() && !target.is_long_running() {
            let message = "only exec, attach, port-forward, proxies and watches may change the protocol";
            return Err(Refusal::new(Code::GatewayRequest, message));
        }
        let user = identity::identify(&self.issuers, &self.tokens, request.headers(), peer).await?;
        let payer = self.payer(&user, target)?;
        let answer = self.pass_for(&payer, &user, request, peer, (target, upgrade)).await;
        answer.inspect_err(|refusal| self.metrics.limit(&payer.name, refusal.code))
    }

    /// The path of a request whose tenant is known.
    async fn pass_for(
        &self,
        payer: &Payer,
        user: &UserInfo,
        request: Request<Incoming>,
        peer: &Peer,
        (target, upgrade): (&Target, Option<Upgrade>),
    ) -> Result<Response<Body>, Refusal> {
        let place = self.accounts.admit(&payer.name, user, target)?;
        let forward = Forward {
            upstream: &self.upstream,
            settings: &self.settings,
            metrics: &self.metrics,
            user,
            from: peer.address,
            upgrade,
            seating: &self.seating,
            payer,
            target,
        };
        if let Some(scope) = target.scope.filter(|_| upgrade.is_none()) {
            let parts = request.into_parts().0;
            let (accounts, tenant) = (&self.accounts, payer.name.as_str());
            let asked = Asked { forward: &forward, accounts, tenant, parts, target, scope };
            return self.lists.answer(asked, place).await;
        }
        let answer = forward.run(request, place).await;
        if target.changes_namespace {
            self.lists.wrote(user).await;
        }
        answer
    }

    fn payer(&self, user: &UserInfo, target: &Target) -> Result<Payer, Refusal> {
        if !*self.synced.borrow() {
            let message = "the gateway is starting: it does not know the tenants yet";
            return Err(Refusal::new(Code::NotReady, message).after(Duration::from_secs(2)));
        }
        let index = Arc::clone(&self.tenants.borrow());
        let payer = index.payer(user, target.namespace.as_deref()).map(|name| {
            let weight = index.tenant(name).map_or(NonZeroU32::MIN, |tenant| tenant.weight);
            Payer { name: name.to_owned(), weight }
        });
        payer.ok_or_else(|| {
            let message = format!(
                "user {:?} belongs to no tenant, and this endpoint is for tenants; an owner of a tenant can make you a \
                 member, and everybody else uses the API server's own address",
                user.username
            );
            Refusal::new(Code::GatewayTenant, message)
        })
    }
}

const fn range(status: http::StatusCode) -> &'static str {
    match status.as_u16() {
        100..=199 => "1xx",
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        _ => "5xx",
    }
}
