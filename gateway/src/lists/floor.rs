//! From which version on a list and a watch were narrowed in the same way.
//!
//! A client lists, and then watches from the version of its list. Both are narrowed to what the user belongs to at the time,
//! and to what that was granted. Below, *memberships* are all of what decides on what is seen of a kind.
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
//! next list. It costs one list of one object for each change that is noticed, for all users together, and where a cache
//! is not that far, a list of its kind.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use http::StatusCode;
use model::TenantIndex;
use serde::Deserialize;
use tokio::sync::{Mutex, watch};

use crate::refusal::Refusal;
use crate::target::Granted;
use crate::upstream::Upstream;

type Tenants = watch::Receiver<Arc<TenantIndex>>;

/// Its answer says at which version the API server is.
const NEWEST: &str = "/api/v1/namespaces?limit=1";
const METADATA: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";

/// The tenants, and the floor of versions that belongs to what is seen of one kind by them.
pub(super) struct Floor {
    tenants: Tenants,
    last: Mutex<Option<(Arc<TenantIndex>, u64)>>,
}

/// A floor for each kind.
pub(super) struct Floors {
    pub(super) tenants: Tenants,
    floors: std::sync::Mutex<HashMap<Granted, Arc<Floor>>>,
}

impl Floors {
    pub(super) fn new(tenants: Tenants) -> Self {
        Self { tenants, floors: std::sync::Mutex::default() }
    }

    /// That of a kind.
    pub(super) fn of(&self, granted: Granted) -> Arc<Floor> {
        let mut floors = self.floors.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Floor { tenants: self.tenants.clone(), last: Mutex::default() });
        Arc::clone(floors.entry(granted).or_insert_with(new))
    }
}

impl Floor {
    /// The tenants in force and their floor; `unlike` says whether something else may be seen by two snapshots.
    ///
    /// # Errors
    /// When the API server is away.
    pub(super) async fn look(
        &self,
        upstream: &Upstream,
        unlike: impl Fn(&TenantIndex, &TenantIndex) -> bool,
    ) -> Result<(Arc<TenantIndex>, u64), Refusal> {
        let mut last = self.last.lock().await;
        // INVARIANT: taken under the lock, so that looks come in the order of snapshots.
        let index = Arc::clone(&self.tenants.borrow());
        let known = last.as_ref().filter(|(known, _)| Arc::ptr_eq(known, &index) || !unlike(known, &index));
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
