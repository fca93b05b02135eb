//! An issuer of identity tokens, as it is configured.

use std::path::PathBuf;

use jsonwebtoken::Algorithm;
use serde::Deserialize;
use thiserror::Error;

/// What is trusted of one OpenID Connect provider. The names are those of Kubernetes' `AuthenticationConfiguration`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Issuer {
    /// The issuer: `https://`, and just as tokens say it in `iss`.
    pub url: String,
    /// Where its configuration is, if not at `<url>/.well-known/openid-configuration`.
    #[serde(default, rename = "discoveryURL")]
    pub discovery_url: Option<String>,
    /// A file with the authority of its certificate, in PEM; the system's authorities where not given.
    #[serde(default)]
    pub certificate_authority_file: Option<PathBuf>,
    /// For whom tokens have to be: one of these.
    pub audiences: Vec<String>,
    /// With what they may be signed.
    #[serde(default = "usual")]
    pub algorithms: Vec<String>,
    /// The claim that is the user's name.
    pub username: Mapping,
    /// The claim that has the user's groups; none where not given.
    #[serde(default)]
    pub groups: Option<Mapping>,
}

/// A claim, and what is put before each of its values.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// Its name.
    pub claim: String,
    /// The prefix. It has to be given; empty means that the issuer's names are the cluster's.
    pub prefix: String,
}

/// Why an issuer cannot be trusted as it is configured.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("issuer `{issuer}`: {what}")]
pub struct IssuerFault {
    issuer: String,
    what: String,
}

fn usual() -> Vec<String> {
    vec!["RS256".to_owned(), "ES256".to_owned()]
}

/// The most issuers.
const MAX_ISSUERS: usize = 64;

impl Issuer {
    /// Where its configuration is.
    pub(super) fn discovery(&self) -> String {
        let own = || format!("{}/.well-known/openid-configuration", self.url.trim_end_matches('/'));
        self.discovery_url.clone().unwrap_or_else(own)
    }

    /// With what tokens may be signed.
    ///
    /// # Errors
    /// For an algorithm that is unknown, or whose key a provider would have to share.
    pub(super) fn algorithms(&self) -> Result<Vec<Algorithm>, IssuerFault> {
        let read = |name: &String| match name.parse() {
            Ok(Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512) | Err(_) => {
                let known = "RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 and EdDSA";
                Err(self.fault(format!("`algorithms` has `{name}`; there are {known}")))
            }
            Ok(algorithm) => Ok(algorithm),
        };
        self.algorithms.iter().map(read).collect()
    }

    pub(super) fn fault(&self, what: impl Into<String>) -> IssuerFault {
        IssuerFault { issuer: self.url.clone(), what: what.into() }
    }

    fn check(&self) -> Result<(), IssuerFault> {
        let secure = |url: &str| {
            url.strip_prefix("https://")
                .is_some_and(|rest| !rest.is_empty() && !rest.contains(['?', '#', '@']))
        };
        if !secure(&self.url) || !secure(&self.discovery()) {
            return Err(self
                .fault("`url` and `discoveryURL` are `https://` with a host, and without `?`, `#` and `@`"));
        }
        if self.audiences.is_empty() || self.audiences.iter().any(String::is_empty) {
            return Err(self.fault("`audiences` names for whom tokens have to be, at least one"));
        }
        if self.algorithms()?.is_empty() {
            return Err(self.fault("`algorithms` is empty"));
        }
        let mappings = [Some(&self.username), self.groups.as_ref()];
        for mapping in mappings.into_iter().flatten() {
            if mapping.claim.is_empty() {
                return Err(self.fault("a `claim` is empty"));
            }
            if mapping.prefix.starts_with("system:") {
                return Err(self.fault("a `prefix` begins with `system:`, which is Kubernetes' own"));
            }
        }
        Ok(())
    }
}

/// Holds issuers against the rules.
///
/// # Errors
/// Where one cannot be trusted as it is configured, or two have the same address.
pub(super) fn check_all(issuers: &[Issuer]) -> Result<(), IssuerFault> {
    let mut seen = std::collections::BTreeSet::new();
    for issuer in issuers {
        issuer.check()?;
        if !seen.insert(issuer.url.as_str()) {
            return Err(issuer.fault("it is there more than once"));
        }
        if seen.len() > MAX_ISSUERS {
            return Err(issuer.fault(format!("there are more than {MAX_ISSUERS}")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn issuer() -> Value {
        json!({"url": "https://a", "audiences": ["b"], "username": {"claim": "sub", "prefix": "a:"}})
    }

    fn check_with(key: &str, value: Value) -> Result<(), String> {
        let mut issuer = issuer();
        issuer[key] = value;
        let issuer: Issuer = serde_json::from_value(issuer).map_err(|error| error.to_string())?;
        check_all(&[issuer]).map_err(|fault| fault.to_string())
    }

    #[test]
    fn what_cannot_be_trusted_is_refused_at_the_start() {
        assert_eq!(check_with("algorithms", json!(["PS256", "EdDSA"])), Ok(()));
        let wrong = [
            ("url", json!("http://a")),
            ("url", json!("https://")),
            ("url", json!("https://a@b")),
            ("discoveryURL", json!("http://a")),
            ("audiences", json!([])),
            ("audiences", json!([""])),
            ("algorithms", json!(["none"])),
            ("algorithms", json!(["HS256"])),
            ("algorithms", json!([])),
            ("username", json!({"claim": "sub"})),
            ("username", json!({"claim": "", "prefix": ""})),
            ("username", json!({"claim": "sub", "prefix": "system:"})),
            ("groups", json!({"claim": "groups", "prefix": "system:x"})),
            ("colour", json!("blue")),
        ];
        for (key, value) in wrong {
            assert!(check_with(key, value.clone()).is_err(), "{key}: {value}");
        }
        let one: Issuer = serde_json::from_value(issuer()).unwrap();
        assert!(check_all(&[one.clone(), one]).is_err());
    }
}
