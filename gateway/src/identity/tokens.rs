//! Tokens that the API server knows: it is asked once, and its answer kept for a short while.
//!
//! An answer is kept under the token's digest, not the token. Clients who ask for the same token at once share one question.
//! How many questions are under way is bounded; addresses whose tokens were often no good share a narrower way, so that a
//! flood of made-up tokens leaves the wide one to everybody else.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use model::{Code, UserInfo};
use moka::Expiry;
use moka::future::Cache;
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

use crate::metrics::{GatewayMetrics, ReviewLabels};
use crate::refusal::Refusal;
use crate::upstream::Upstream;

/// How long an accepted token is believed, if it does not expire before.
const ACCEPTED: Duration = Duration::from_secs(10);
/// How long a rejected one is.
const REJECTED: Duration = Duration::from_secs(5);
/// The most tokens that are kept.
const KEPT: u64 = 20_000;
/// The most questions under way.
const ASKING: usize = 32;
/// The most under way for addresses that are suspect.
const ASKING_SUSPECT: usize = 2;
/// From so many rejected tokens within [`SUSPICION`] on an address is suspect.
const SUSPECT: u32 = 20;
const SUSPICION: Duration = Duration::from_secs(30);
/// The most suspect addresses that are remembered.
const ADDRESSES: u64 = 20_000;
/// How long a request waits for its turn to ask.
const WAIT: Duration = Duration::from_secs(5);

/// What the API server says of a token.
#[derive(Debug, Clone)]
enum Verdict {
    /// It is this user's, until then.
    User(Arc<UserInfo>, Option<SystemTime>),
    Nobody,
}

/// The tokens that are known, and how to find out about others.
pub(crate) struct Tokens {
    upstream: Upstream,
    known: Cache<[u8; 32], Verdict>,
    failures: Cache<IpAddr, Arc<AtomicU32>>,
    asking: Semaphore,
    asking_suspect: Semaphore,
    metrics: GatewayMetrics,
}

struct Lifetime;

impl Expiry<[u8; 32], Verdict> for Lifetime {
    fn expire_after_create(&self, _: &[u8; 32], verdict: &Verdict, _: Instant) -> Option<Duration> {
        Some(match verdict {
            Verdict::Nobody => REJECTED,
            Verdict::User(_, None) => ACCEPTED,
            Verdict::User(_, Some(end)) => {
                end.duration_since(SystemTime::now()).unwrap_or_default().min(ACCEPTED)
            }
        })
    }
}

impl Tokens {
    pub(crate) fn new(upstream: Upstream, metrics: GatewayMetrics) -> Self {
        Self {
            upstream,
            known: Cache::builder().max_capacity(KEPT).expire_after(Lifetime).build(),
            failures: Cache::builder().max_capacity(ADDRESSES).time_to_live(SUSPICION).build(),
            asking: Semaphore::new(ASKING),
            asking_suspect: Semaphore::new(ASKING_SUSPECT),
            metrics,
        }
    }

    /// Whose a token is.
    pub(crate) async fn user_of(&self, token: &str, from: IpAddr) -> Result<Arc<UserInfo>, Refusal> {
        let key = Sha256::digest(token.as_bytes()).into();
        let mut asked = false;
        let verdict = self.known.try_get_with(key, async {
            asked = true;
            self.ask(token, from).await
        });
        let verdict = verdict.await.map_err(|refusal: Arc<Refusal>| Refusal::clone(&refusal));
        let result = match (&verdict, asked) {
            (Ok(_), false) => "cached",
            (Ok(Verdict::User(..)), true) => "accepted",
            (Ok(Verdict::Nobody), true) => "rejected",
            (Err(_), _) => "failed",
        };
        self.metrics.tokens.get_or_create(&ReviewLabels { result }).inc();
        match verdict? {
            Verdict::User(_, Some(end)) if end <= SystemTime::now() => Err(rejected()),
            Verdict::User(user, _) => Ok(user),
            Verdict::Nobody => Err(rejected()),
        }
    }

    async fn ask(&self, token: &str, from: IpAddr) -> Result<Verdict, Refusal> {
        let failures = self.failures.get(&from).await;
        let suspect = failures.is_some_and(|count| count.load(Ordering::Relaxed) >= SUSPECT);
        let lane = if suspect { &self.asking_suspect } else { &self.asking };
        let busy = || {
            let message = "too many tokens are being checked; try again in a moment";
            Refusal::unavailable(StatusCode::TOO_MANY_REQUESTS, message)
        };
        let Ok(Ok(_turn)) = tokio::time::timeout(WAIT, lane.acquire()).await else { return Err(busy()) };
        let verdict = self.review(token).await?;
        if matches!(verdict, Verdict::Nobody) {
            let count = self.failures.get_with(from, async { Arc::default() }).await;
            count.fetch_add(1, Ordering::Relaxed);
        }
        Ok(verdict)
    }

    async fn review(&self, token: &str) -> Result<Verdict, Refusal> {
        let review = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token},
        });
        let path = "/apis/authentication.k8s.io/v1/tokenreviews";
        let (status, body) = self.upstream.post_json(path, &review).await?;
        let failed = |why: String| {
            tracing::error!(why, "the API server reviews no tokens");
            let message = "whether your token is valid cannot be found out now";
            Refusal::unavailable(StatusCode::SERVICE_UNAVAILABLE, message)
        };
        if status != StatusCode::CREATED {
            return Err(failed(format!("it answered {status}: {}", String::from_utf8_lossy(&body))));
        }
        let review: Review = serde_json::from_slice(&body).map_err(|error| failed(error.to_string()))?;
        Ok(match review.status {
            Status { authenticated: true, user: Some(user) } => Verdict::User(Arc::new(user), expiry(token)),
            _ => Verdict::Nobody,
        })
    }
}

fn rejected() -> Refusal {
    Refusal::new(Code::GatewayUnauthenticated, "the token is not valid, or no longer: sign in again")
}

#[derive(Deserialize)]
struct Review {
    status: Status,
}

#[derive(Deserialize)]
struct Status {
    #[serde(default)]
    authenticated: bool,
    #[serde(default)]
    user: Option<UserInfo>,
}

#[derive(Deserialize)]
struct Claims {
    exp: f64,
}

/// When a token expires, where it is a JSON Web Token that says so. The API server has verified it.
fn expiry(token: &str) -> Option<SystemTime> {
    let payload = token.split('.').nth(1)?;
    let claims: Claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    UNIX_EPOCH.checked_add(Duration::try_from_secs_f64(claims.exp).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_is_kept_no_longer_than_the_token_lives() {
        let token = |payload: &str| format!("e30.{}.x", URL_SAFE_NO_PAD.encode(payload));
        assert_eq!(expiry(&token(r#"{"exp": 100}"#)), UNIX_EPOCH.checked_add(Duration::from_secs(100)));
        assert_eq!([expiry("opaque"), expiry(&token("{}")), expiry(&token(r#"{"exp": -1}"#))], [None; 3]);
        let life = |verdict| Lifetime.expire_after_create(&[0; 32], &verdict, Instant::now()).unwrap();
        let until = |end| Verdict::User(Arc::default(), end);
        assert_eq!(life(until(None)), ACCEPTED);
        assert_eq!(life(until(Some(UNIX_EPOCH))), Duration::ZERO);
        assert!(life(until(SystemTime::now().checked_add(Duration::from_secs(3)))) <= Duration::from_secs(3));
        assert_eq!(life(Verdict::Nobody), REJECTED);
    }
}
