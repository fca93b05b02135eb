//! From which version on a list and a watch were narrowed in the same way.
//!
//! A client lists, and then watches from the version of its list. Both are narrowed to what the user belongs to at the time.
//! Where that changed in between, the watch would miss what the user gained, and keep what the user lost. So a watch goes on
//! only from versions that are not before the floor; older ones are expired, and the client lists again.
//!
//! The promise: a version above the floor that a narrowed answer gave was given under the memberships now in force, as far
//! as this gateway knew them. The argument:
//!
//! 1. Every narrowed answer begins with [`Floor::look`]. Where the memberships are not those of the last look, the floor is
//!    read anew from the API server, consistently: no answer that was there before has a greater version.
//! 2. An answer that was narrowed by older memberships was there before the newer ones came, else it is not given: that is
//!    looked at when a list's head is there, and for each piece of a watch.
//!
//! Another gateway which hears of a change later may give such a version meanwhile; the client then sees the change with its
//! next list. It costs one list of one object for each change of members that is noticed, for all users together.

use std::sync::Arc;

use http::StatusCode;
use model::TenantIndex;
use serde::Deserialize;
use tokio::sync::{Mutex, watch};

use crate::refusal::Refusal;
use crate::upstream::Upstream;

/// Its answer says at which version the API server is.
const NEWEST: &str = "/api/v1/namespaces?limit=1";
const METADATA: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";

/// The tenants, and the floor of versions that belongs to them.
pub(super) struct Floor {
    pub(super) tenants: watch::Receiver<Arc<TenantIndex>>,
    last: Mutex<Option<(Arc<TenantIndex>, u64)>>,
}

impl Floor {
    pub(super) fn new(tenants: watch::Receiver<Arc<TenantIndex>>) -> Self {
        Self { tenants, last: Mutex::default() }
    }

    /// The tenants in force and their floor.
    ///
    /// # Errors
    /// When the API server is away.
    pub(super) async fn look(&self, upstream: &Upstream) -> Result<(Arc<TenantIndex>, u64), Refusal> {
        let mut last = self.last.lock().await;
        // INVARIANT: taken under the lock, so that looks come in the order of snapshots.
        let index = Arc::clone(&self.tenants.borrow());
        let known =
            last.as_ref().filter(|(known, _)| Arc::ptr_eq(known, &index) || !known.members_unlike(&index));
        let floor = match known {
            Some((_, floor)) => *floor,
            None => newest(upstream).await?,
        };
        *last = Some((Arc::clone(&index), floor));
        Ok((index, floor))
    }
}

async fn newest(upstream: &Upstream) -> Result<u64, Refusal> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Metadata {
        resource_version: String,
    }
    #[derive(Deserialize)]
    struct List {
        metadata: Metadata,
    }
    let (status, body) = upstream.get_json(NEWEST, METADATA).await?;
    let list = serde_json::from_slice::<List>(&body).ok().filter(|_| status == StatusCode::OK);
    list.and_then(|list| list.metadata.resource_version.parse().ok()).ok_or_else(|| {
        tracing::error!(%status, "the API server did not say at which version it is");
        let message = "the API server did not say at which version it is";
        Refusal::unavailable(StatusCode::SERVICE_UNAVAILABLE, message)
    })
}
