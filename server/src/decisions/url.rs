use std::str::FromStr;

use reqwest::Url;
use thiserror::Error;

/// Where another replica is asked: `https://HOST:PORT`. A host name stands for all its addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerUrl {
    url: Url,
    host: String,
    port: u16,
}

/// Why a text is no [`PeerUrl`].
#[derive(Debug, Error)]
pub enum PeerUrlError {
    /// It is no URL.
    #[error("it is no URL")]
    Url(#[source] <Url as FromStr>::Err),
    /// It is a URL of another form.
    #[error("it has to be https://HOST:PORT and nothing else")]
    Form,
}

impl FromStr for PeerUrl {
    type Err = PeerUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url = Url::parse(text).map_err(PeerUrlError::Url)?;
        let bare = url.scheme() == "https"
            && url.username().is_empty()
            && url.password().is_none()
            && matches!(url.path(), "" | "/")
            && url.query().is_none()
            && url.fragment().is_none();
        let (Some(host), Some(port), true) = (url.host_str(), url.port_or_known_default(), bare) else {
            return Err(PeerUrlError::Form);
        };
        // An IPv6 address is in brackets.
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self { host, port, url })
    }
}

impl PeerUrl {
    /// The host name or address, which is also the name that certificates of peers have.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, 443 where none is given.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The URL of a question; texts of users stay in their place.
    pub(super) fn question(&self, tenant: &str, pairs: &[(&'static str, String)]) -> Url {
        let mut url = self.url.clone();
        // INVARIANT: a URL with a host can be a base, so there are segments.
        if let Ok(mut path) = url.path_segments_mut() {
            path.clear().extend(["v1", "decisions", tenant]);
        }
        url.query_pairs_mut().extend_pairs(pairs);
        url
    }
}
