//! Who may not list the whole of a kind, as the API server said a moment ago.
//!
//! Only what is narrower is given by that: who was given the right since sees the whole when it is forgotten.

use std::time::Duration;

use model::UserInfo;
use sha2::{Digest as _, Sha256};

use crate::target::Granted;

/// How long it is believed: as long as that a token is good.
const BELIEVED: Duration = Duration::from_secs(10);
/// Of how many users and kinds.
const MAX: u64 = 20_000;

type Key = (Granted, [u8; 32]);

/// The users that may not, by a digest of all that the API server is told of them.
pub(super) struct Forbidden(moka::future::Cache<Key, ()>);

impl Forbidden {
    pub(super) fn new() -> Self {
        Self(moka::future::Cache::builder().max_capacity(MAX).time_to_live(BELIEVED).build())
    }

    pub(super) fn has(&self, granted: Granted, user: &UserInfo) -> bool {
        key(granted, user).is_some_and(|key| self.0.contains_key(&key))
    }

    pub(super) async fn note(&self, granted: Granted, user: &UserInfo) {
        if let Some(key) = key(granted, user) {
            self.0.insert(key, ()).await;
        }
    }
}

fn key(granted: Granted, user: &UserInfo) -> Option<Key> {
    let user = serde_json::to_vec(user).ok()?;
    Some((granted, Sha256::digest(user).into()))
}
