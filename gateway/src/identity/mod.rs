//! Who a client is, by what proves it: a client certificate, a token of an issuer, or one that the API server knows.

mod certificate;
mod claims;
mod issuer;
mod issuers;
mod provider;
mod tokens;

use std::net::IpAddr;
use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use model::{Code, UserInfo};
use rustls_pki_types::CertificateDer;

use crate::refusal::Refusal;
pub(crate) use certificate::user_of;
pub use issuer::{Issuer, IssuerFault, Mapping};
pub use issuers::Issuers;
pub(crate) use tokens::Tokens;

/// The longest token, in bytes.
const MAX_TOKEN: usize = 16 << 10;

/// The other end of a connection.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) address: IpAddr,
    /// Its certificate, which the TLS layer has held against the authority of clients.
    pub(crate) certificate: Option<CertificateDer<'static>>,
}

/// What proves who a user is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proof {
    Certificate,
    /// A token of an issuer of identities.
    Issuer,
    /// The API server said so.
    Review,
}

/// Who asks. As with the API server, a certificate goes before a token.
///
/// # Errors
/// [`Code::GatewayUnauthenticated`] without a valid proof, [`Code::GatewayIdentity`] for somebody as whom nobody acts here.
pub(crate) async fn identify(
    issuers: &Issuers,
    tokens: &Tokens,
    headers: &HeaderMap,
    peer: &Peer,
) -> Result<Arc<UserInfo>, Refusal> {
    let (user, proof) = match &peer.certificate {
        Some(certificate) => (Arc::new(user_of(certificate)?), Proof::Certificate),
        None => {
            let token = headers.get(AUTHORIZATION).ok_or_else(no_proof)?;
            let token = bearer(token)?;
            match issuers.user_of(token).await {
                Some(user) => (Arc::new(user?), Proof::Issuer),
                None => (tokens.user_of(token, peer.address).await?, Proof::Review),
            }
        }
    };
    permit(&user, proof)?;
    Ok(user)
}

fn no_proof() -> Refusal {
    let message =
        "the request says not who you are: send a token as `Authorization: Bearer`, or a client certificate";
    Refusal::new(Code::GatewayUnauthenticated, message)
}

/// The token of a header `Authorization: Bearer TOKEN`.
fn bearer(value: &HeaderValue) -> Result<&str, Refusal> {
    let (scheme, token) = value.to_str().ok().and_then(|text| text.split_once(' ')).ok_or_else(no_proof)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(no_proof());
    }
    // What RFC 6750 lets a token have.
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    if token.is_empty() || token.len() > MAX_TOKEN || !token.bytes().all(allowed) {
        let message = "the token is empty, longer than 16 KiB, or has characters that no token has";
        return Err(Refusal::new(Code::GatewayUnauthenticated, message));
    }
    Ok(token)
}

/// Refuses whom nobody acts for here: those who are of the system, and so stand above all tenants.
fn permit(user: &UserInfo, proof: Proof) -> Result<(), Refusal> {
    let refuse = |what: &str| {
        let message =
            format!("{what}, for which the API server's own address is: this endpoint is for tenants");
        Err(Refusal::new(Code::GatewayIdentity, message))
    };
    let account = user.username.strip_prefix("system:serviceaccount:");
    let account = account.is_some() && proof == Proof::Review;
    if user.username.starts_with("system:") && !account {
        return refuse(&format!("you are the system user {:?}", user.username));
    }
    let of_all = |group: &str| {
        group == "system:authenticated"
            || (account
                && (group == "system:serviceaccounts" || group.starts_with("system:serviceaccounts:")))
    };
    match user.groups.iter().find(|group| group.starts_with("system:") && !of_all(group)) {
        Some(group) => refuse(&format!("you are in the system group {group:?}")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str, groups: &[&str]) -> UserInfo {
        let groups = groups.iter().map(|group| (*group).to_owned()).collect();
        UserInfo { username: name.to_owned(), groups, ..UserInfo::default() }
    }

    #[test]
    fn nobody_of_the_system_passes() {
        let refused = |user: UserInfo, proof| {
            permit(&user, proof).is_err_and(|refusal| refusal.code == Code::GatewayIdentity)
        };
        for proof in [Proof::Certificate, Proof::Issuer, Proof::Review] {
            for name in
                ["system:admin", "system:node:a", "system:anonymous", "system:", "system:kube-scheduler"]
            {
                assert!(refused(user(name, &[]), proof), "{name}");
            }
            for group in
                ["system:masters", "system:nodes", "system:unauthenticated", "system:serviceaccounts:x"]
            {
                assert!(refused(user("eve", &["a", group]), proof), "{group}");
            }
            assert!(!refused(user("alice", &["system:authenticated", "team"]), proof));
        }
        let account =
            || user("system:serviceaccount:a:b", &["system:serviceaccounts", "system:serviceaccounts:a"]);
        assert!(!refused(account(), Proof::Review));
        assert!(refused(account(), Proof::Certificate) && refused(account(), Proof::Issuer));
    }

    #[test]
    fn a_token_is_what_it_may_be() {
        let token = |text: &str| bearer(&HeaderValue::from_str(text).unwrap()).map(str::to_owned).ok();
        assert_eq!(token("Bearer a.b-c_d").as_deref(), Some("a.b-c_d"));
        assert_eq!(token("bearer a").as_deref(), Some("a"));
        for text in ["a", "Basic YTpi", "Bearer ", "Bearer  a", "Bearer a b", "Bearer a,b", "Bearer"] {
            assert_eq!(token(text), None, "{text:?}");
        }
        assert_eq!(token(&format!("Bearer {}", "a".repeat(MAX_TOKEN + 1))), None);
    }
}
