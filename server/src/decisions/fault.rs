use std::io;

use reqwest::StatusCode;
use thiserror::Error;

/// Why a peer's decisions are missing.
#[derive(Debug, Error)]
pub(super) enum PeerFault {
    #[error("the host name has no address")]
    Unresolved(#[source] io::Error),
    #[error("the host name has more than {most} addresses")]
    TooMany { most: usize },
    #[error("there was no answer in time")]
    Late,
    #[error("the connection cannot be made, or broke")]
    Connection(#[source] reqwest::Error),
    #[error("the answer is {0}")]
    Refused(StatusCode),
    #[error("the answer is longer than {most} bytes")]
    TooLarge { most: usize },
    #[error("the answer cannot be read")]
    Malformed(#[source] serde_json::Error),
    #[error("the answer has more records than were asked for, or others")]
    NotAskedFor,
    #[error("this replica has no usable certificate")]
    NoCertificate,
}

impl PeerFault {
    /// The stable code, a metric's label.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::Unresolved(_) => "unresolved",
            Self::TooMany { .. } => "too_many",
            Self::Late => "late",
            Self::Connection(_) => "connection",
            Self::Refused(_) => "refused",
            Self::TooLarge { .. } => "too_large",
            Self::Malformed(_) => "malformed",
            Self::NotAskedFor => "not_asked_for",
            Self::NoCertificate => "no_certificate",
        }
    }
}
