//! What tenants do now, as the replicas tell it in the ledgers of rates.

use kube::ResourceExt;

use super::fault::{Fault, chain};
use super::session::Session;
use crate::api::rate_ledger::RateLedgerSpec;
use crate::rates::Top;

/// Who may read what this reads.
const HINT: &str =
    "only administrators see what all tenants do; users see theirs with `kubectl tenant limits`";

impl Session {
    /// What tenants do now, a few seconds behind, by ledger; of one ledger or of all.
    ///
    /// # Errors
    /// When the user may not list ledgers, or there is none of the name.
    pub async fn top(&self, ledger: Option<&str>) -> Result<Vec<Top>, Fault> {
        let all = self.list(self.own("RateLedger"), "").await.map_err(|fault| fault.or(HINT))?;
        let mut found = Vec::new();
        for object in all.iter().filter(|object| ledger.is_none_or(|name| name == object.name_any())) {
            let spec = object.data.get("spec").cloned().unwrap_or_default();
            let spec: RateLedgerSpec =
                serde_json::from_value(spec).map_err(|error| Fault::Failed(chain(&error)))?;
            found.push(Top::of(object.name_any(), &spec.replicas));
        }
        if let Some(name) = ledger.filter(|_| found.is_empty()) {
            let known: Vec<String> = all.iter().map(|object| format!("`{}`", object.name_any())).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            return Err(Fault::NotFound(format!("there is no RateLedger `{name}`; there are {known}")));
        }
        Ok(found)
    }
}
