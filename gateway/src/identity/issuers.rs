//! Identity tokens of OpenID Connect providers, each held against the one issuer that it names.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::UserInfo;
use serde::Deserialize;

use super::issuer::{Issuer, IssuerFault, check_all};
use super::provider::Provider;
use crate::refusal::Refusal;

/// The providers whose tokens are taken.
#[derive(Default)]
pub struct Issuers(Vec<Provider>);

#[derive(Deserialize)]
struct Claims {
    iss: String,
}

impl Issuers {
    /// Trusts these. Nothing is read from them before a token names them.
    ///
    /// # Errors
    /// Where one cannot be trusted as it is configured.
    pub fn new(issuers: Vec<Issuer>) -> Result<Self, IssuerFault> {
        check_all(&issuers)?;
        issuers.into_iter().map(Provider::new).collect::<Result<_, _>>().map(Self)
    }

    /// Whom a token names; `None` where it is of none of these issuers. A token that says it is of one is held against that
    /// one alone.
    pub(crate) async fn user_of(&self, token: &str) -> Option<Result<UserInfo, Refusal>> {
        let named = issuer_of(token)?;
        let provider = self.0.iter().find(|provider| provider.url() == named)?;
        Some(provider.user_of(token).await)
    }
}

/// The issuer that a token names, whether or not it is true.
fn issuer_of(token: &str) -> Option<String> {
    let payload = token.split('.').nth(1)?;
    let claims: Claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    Some(claims.iss)
}
