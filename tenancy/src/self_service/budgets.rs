//! The budgets of tenants as they are declared, and what is granted beside them.

use model::Amount;
use quota::measure::canonical;
use serde::{Deserialize, Serialize};

use super::requests::RequestEntry;
use crate::api::budget::{Quantities, text};

/// One resource of a tenant's budget.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BudgetLine {
    /// The resource, such as `requests.cpu`.
    pub resource: String,
    /// The band of Pods; `None` for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub band: Option<String>,
    /// What the Tenant says.
    pub hard: String,
    /// What approved requests add now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub granted: Option<String>,
}

/// A tenant's `spec.quota`, as far as it is shown.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Declared {
    hard: Quantities,
    bands: Vec<DeclaredBand>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct DeclaredBand {
    name: String,
    hard: Quantities,
}

impl Declared {
    /// A line for each resource.
    pub(super) fn lines(&self) -> Vec<BudgetLine> {
        let of = |band: Option<&String>, hard: &Quantities| -> Vec<BudgetLine> {
            let line = |(name, amount): (&String, _)| BudgetLine {
                resource: name.clone(),
                band: band.cloned(),
                hard: text(amount),
                granted: None,
            };
            hard.iter().map(line).collect()
        };
        let mut lines = of(None, &self.hard);
        lines.extend(self.bands.iter().flat_map(|band| of(Some(&band.name), &band.hard)));
        lines
    }
}

/// The same lines with what these requests of the tenant add now.
pub(super) fn with_granted(mut lines: Vec<BudgetLine>, requests: &[RequestEntry]) -> Vec<BudgetLine> {
    let approved = || requests.iter().filter(|request| request.state == "Approved");
    for line in &mut lines {
        let own = approved().filter(|request| request.band == line.band);
        let amounts = own.flat_map(|request| &request.granted);
        let amounts = amounts.filter(|(name, _)| canonical(name) == canonical(&line.resource));
        let sum = amounts.filter_map(|(_, amount)| Amount::parse(amount)).reduce(Amount::plus);
        line.granted = sum.map(|sum| sum.to_string());
    }
    lines
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_granted_now_is_shown_beside_what_is_declared() {
        let declared: Declared = serde_json::from_value(json!({
            "hard": {"cpu": 4, "pods": "20"}, "newer": 1,
            "bands": [{"name": "batch", "hard": {"pods": 5}}],
        }))
        .unwrap();
        let request = |state: &str, band: Option<&str>, amounts: &[(&str, &str)]| {
            let amounts: BTreeMap<_, _> =
                amounts.iter().map(|(name, amount)| ((*name).to_owned(), (*amount).to_owned())).collect();
            RequestEntry {
                namespace: "a".into(),
                name: "b".into(),
                tenant: Some("physics".into()),
                amounts: amounts.clone(),
                band: band.map(str::to_owned),
                reason: "r".into(),
                asked_for: None,
                requested_by: None,
                created: None,
                state: state.into(),
                granted: amounts,
                until: None,
                decided_by: None,
                decided_at: None,
                answer: None,
            }
        };
        let requests = [
            request("Approved", None, &[("requests.cpu", "500m"), ("services", "1")]),
            request("Approved", None, &[("cpu", "1")]),
            request("Expired", None, &[("pods", "7")]),
            request("Approved", Some("batch"), &[("pods", "2")]),
        ];
        let lines = with_granted(declared.lines(), &requests);
        let said: Vec<_> = lines
            .iter()
            .map(|line| {
                let (band, granted) = (line.band.as_deref(), line.granted.as_deref());
                format!("{} {} {}", band.unwrap_or("-"), line.hard, granted.unwrap_or("-"))
            })
            .collect();
        assert_eq!(said, ["- 4 1500m", "- 20 -", "batch 5 2"]);
    }
}
