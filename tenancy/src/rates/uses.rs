//! What a tenant does now, for its own members: read from the ledgers when somebody asks.
//!
//! Replicas write what they tell at least every five seconds, and what was read is kept for two: numbers are up to seven
//! seconds old. However many ask, a replica lists the ledgers once in two seconds, also in vain.

use std::sync::Arc;
use std::time::Duration;

use kube::api::{Api, ListParams};
use kube::{Client, ResourceExt};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::told::TenantUse;
use crate::api::rate_ledger::RateLedger;
use crate::cluster::api_message;

/// How long what was read is kept.
const KEPT: Duration = Duration::from_secs(2);
/// How long a read may take.
const PATIENCE: Duration = Duration::from_secs(5);

type Ledgers = Arc<Vec<RateLedger>>;

/// Reads what tenants do.
pub struct UseReader {
    api: Api<RateLedger>,
    /// Who comes while the ledgers are read waits for that.
    read: Mutex<Option<(Instant, Result<Ledgers, String>)>>,
}

impl UseReader {
    pub(crate) fn new(client: Client) -> Self {
        Self { api: Api::all(client), read: Mutex::default() }
    }

    /// What a tenant does, by ledger; of one that no replica tells of nothing but zeros.
    ///
    /// # Errors
    /// When the ledgers cannot be read; the text says why.
    pub async fn of(&self, tenant: &str) -> Result<Vec<TenantUse>, String> {
        let ledgers = self.ledgers().await?;
        let of = |ledger: &RateLedger| TenantUse::of(tenant, &ledger.name_any(), &ledger.spec.replicas);
        Ok(ledgers.iter().filter(|ledger| !ledger.spec.replicas.is_empty()).map(of).collect())
    }

    async fn ledgers(&self) -> Result<Ledgers, String> {
        let mut read = self.read.lock().await;
        if let Some((_, known)) = read.as_ref().filter(|(at, _)| at.elapsed() < KEPT) {
            return known.clone();
        }
        let found = match timeout(PATIENCE, self.api.list(&ListParams::default())).await {
            Ok(Ok(list)) => Ok(Arc::new(list.items)),
            Ok(Err(error)) => Err(api_message(&error)),
            Err(_) => Err(super::late()),
        };
        *read = Some((Instant::now(), found.clone()));
        found
    }
}
