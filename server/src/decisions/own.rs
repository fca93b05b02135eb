use std::path::PathBuf;

use audit::{AuditReader, Filter, ReadError};
use model::Record;
use tokio::sync::Semaphore;

use super::question::Question;

/// The most reads at once; more wait.
const READERS: usize = 4;

/// The record that this replica writes.
pub(crate) struct OwnRecord {
    database: PathBuf,
    readers: Semaphore,
}

impl OwnRecord {
    /// Reads this file.
    pub(crate) fn new(database: PathBuf) -> Self {
        Self { database, readers: Semaphore::new(READERS) }
    }

    /// What this replica decided on requests of the tenant, oldest first; by id at most ten, which may be none.
    ///
    /// # Errors
    /// [`ReadError::IdInvalid`], and when the file cannot be read.
    pub(super) async fn read(&self, tenant: &str, question: &Question) -> Result<Vec<Record>, ReadError> {
        // INVARIANT: nobody holds a permit while another replica is asked, or replicas could wait for each other.
        // The semaphore is never closed.
        let _permit = self.readers.acquire().await.ok();
        let mut reader = AuditReader::open(&self.database).await?;
        let entries = match &question.id {
            Some(id) => reader.find(id, Some(tenant)).await?,
            None => reader.tail(&filter(tenant, question)).await?,
        };
        Ok(entries.into_iter().map(|entry| told(entry.record)).collect())
    }
}

fn filter(tenant: &str, question: &Question) -> Filter {
    Filter {
        denied: question.denied,
        namespace: question.namespace.clone(),
        user: question.user.clone(),
        tenant: Some(tenant.to_owned()),
        limit: question.limit(),
        ..Filter::default()
    }
}

/// A record without the groups of whoever asked: those are between them and the identity provider.
fn told(mut record: Record) -> Record {
    record.groups.clear();
    record
}
