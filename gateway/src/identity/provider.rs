//! The keys of an issuer: read when they are first needed, and again when they are old or a token has a new one.
//!
//! While the provider cannot be reached, keys that were read stay good for [`STALE`]. However many tokens name unknown keys,
//! the provider is asked no more often than every [`PACE`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use http::StatusCode;
use jsonwebtoken::Algorithm;
use jsonwebtoken::jwk::JwkSet;
use model::{Code, UserInfo};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;

use super::claims::{Fault, Keys, user_of};
use super::issuer::{Issuer, IssuerFault};
use crate::refusal::Refusal;

/// How long keys are good without a look at newer ones.
const FRESH: Duration = Duration::from_secs(300);
/// How long they are good when nobody answers.
const STALE: Duration = Duration::from_secs(3_600);
/// How often the provider is asked at most.
const PACE: Duration = Duration::from_secs(5);
/// How long it may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest answer, in bytes.
const MAX_ANSWER: usize = 1 << 20;

/// An issuer and its keys.
pub(super) struct Provider {
    issuer: Issuer,
    algorithms: Vec<Algorithm>,
    client: reqwest::Client,
    keys: ArcSwapOption<Read>,
    /// When the provider was last asked; whoever asks holds it.
    asked: Mutex<Option<Instant>>,
}

/// Keys, and when they were read.
struct Read {
    keys: Keys,
    at: Instant,
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

impl Provider {
    pub(super) fn new(issuer: Issuer) -> Result<Self, IssuerFault> {
        let algorithms = issuer.algorithms()?;
        let mut builder = reqwest::Client::builder()
            .https_only(true)
            .no_proxy()
            .timeout(PATIENCE)
            .redirect(reqwest::redirect::Policy::none());
        if let Some(file) = &issuer.certificate_authority_file {
            let cannot = |error: &dyn std::fmt::Display| {
                issuer.fault(format!("cannot use `{}`: {error}", file.display()))
            };
            let pem = std::fs::read(file).map_err(|error| cannot(&error))?;
            let authorities = reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| cannot(&error))?;
            builder = builder.tls_certs_only(authorities);
        }
        let client = builder.build().map_err(|error| issuer.fault(error.to_string()))?;
        Ok(Self { issuer, algorithms, client, keys: ArcSwapOption::empty(), asked: Mutex::default() })
    }

    /// The issuer, as tokens name it.
    pub(super) fn url(&self) -> &str {
        &self.issuer.url
    }

    /// Whom a token of this issuer names.
    pub(super) async fn user_of(&self, token: &str) -> Result<UserInfo, Refusal> {
        let keys = self.keys(None).await?;
        let verify = |keys: &Read| user_of(token, &self.issuer, &self.algorithms, &keys.keys);
        let verdict = match verify(&keys) {
            Err(Fault::UnknownKey) => verify(&*self.keys(Some(&keys)).await?),
            verdict => verdict,
        };
        verdict.map_err(|fault| {
            let what = match fault {
                Fault::UnknownKey => "is signed with a key that its issuer does not have".to_owned(),
                Fault::Invalid(what) => what,
            };
            Refusal::new(Code::GatewayUnauthenticated, format!("the token {what}"))
        })
    }

    /// Keys that are good now, newer than `known` if the provider may be asked for such.
    async fn keys(&self, known: Option<&Arc<Read>>) -> Result<Arc<Read>, Refusal> {
        let is_known = |read: &Arc<Read>| known.is_some_and(|known| Arc::ptr_eq(known, read));
        let good = |life: Duration| self.keys.load_full().filter(|read| read.at.elapsed() < life);
        if let Some(read) = good(FRESH).filter(|read| !is_known(read)) {
            return Ok(read);
        }
        let mut asked = match good(STALE).filter(|read| !is_known(read)) {
            // While somebody asks, older ones will do.
            Some(read) => match self.asked.try_lock() {
                Ok(asked) => asked,
                Err(_) => return Ok(read),
            },
            None => self.asked.lock().await,
        };
        // Somebody else may have asked meanwhile.
        if let Some(read) = good(FRESH).filter(|read| !is_known(read)) {
            return Ok(read);
        }
        if asked.is_none_or(|at| at.elapsed() >= PACE) {
            // Before: who goes away while the provider is asked does not let the next one ask at once.
            *asked = Some(Instant::now());
            match self.fetch().await {
                Ok(keys) => self.keys.store(Some(Arc::new(Read { keys, at: Instant::now() }))),
                Err(why) => {
                    tracing::error!(issuer = self.issuer.url, why, "the issuer's keys cannot be read")
                }
            }
        }
        good(STALE).ok_or_else(|| {
            let message = format!("the keys of issuer {} cannot be read now", self.issuer.url);
            Refusal::unavailable(StatusCode::SERVICE_UNAVAILABLE, message)
        })
    }

    async fn fetch(&self) -> Result<Keys, String> {
        let found: Discovery = self.get(&self.issuer.discovery()).await?;
        if found.issuer != self.issuer.url {
            return Err(format!("it calls itself `{}`", found.issuer));
        }
        let set: JwkSet = self.get(&found.jwks_uri).await?;
        Keys::of(&set).ok_or_else(|| "it has no key that can verify a token".to_owned())
    }

    async fn get<T: DeserializeOwned>(&self, url: &str) -> Result<T, String> {
        let told = |error: reqwest::Error| format!("{url}: {error}");
        let mut response = self.client.get(url).send().await.map_err(told)?;
        if response.status() != StatusCode::OK {
            return Err(format!("{url} answered {}", response.status()));
        }
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(told)? {
            body.extend_from_slice(&piece);
            if body.len() > MAX_ANSWER {
                return Err(format!("{url} answered with more than {MAX_ANSWER} bytes"));
            }
        }
        serde_json::from_slice(&body).map_err(|error| format!("{url}: {error}"))
    }
}
