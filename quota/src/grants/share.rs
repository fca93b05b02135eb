//! How much each namespace of a pool should have of one resource.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::pools::whole_units;
use super::{Hard, Record, Situation};
use crate::ledger::ONE;

/// What is known of one namespace and one resource.
#[derive(Debug, Clone, Copy)]
struct Row {
    /// What it is granted.
    granted: i128,
    /// What it uses and needs.
    floor: i128,
    /// What it should be granted.
    target: i128,
}

/// The grants that namespaces should have: the same as now, but for what somebody needs or is too much.
///
/// A namespace whose need is not covered gets it and some slack; if that is more than is granted to nobody, those with the
/// most to spare are lowered, first to their slack, then to what they need. The slack is half of what is free, evenly.
pub(super) fn targets(now: &Situation<'_>, record: &Record, budget: &Hard) -> BTreeMap<Arc<str>, Hard> {
    let mut all: BTreeMap<Arc<str>, Hard> = BTreeMap::new();
    for (resource, budget) in budget {
        for (namespace, target) in of_resource(now, record, resource, *budget) {
            all.entry(namespace).or_default().insert(Arc::clone(resource), target);
        }
    }
    all
}

fn of_resource(now: &Situation<'_>, record: &Record, resource: &str, budget: i128) -> Vec<(Arc<str>, i128)> {
    let mut rows: Vec<(Arc<str>, Row)> = now
        .members
        .keys()
        .map(|namespace| (Arc::clone(namespace), row(now, record, namespace, resource)))
        .collect();
    let others = record.grants.keys().filter(|namespace| !now.members.contains_key(*namespace));
    let gone = sum(others.map(|namespace| occupied(now, record, namespace, resource)));
    let needed = sum(rows.iter().map(|(_, row)| row.floor));
    let free = budget.saturating_sub(gone).saturating_sub(needed).max(0);
    let slack = slack(free, rows.len(), resource);
    for (namespace, row) in &mut rows {
        let goes = now.members.get(namespace).copied().unwrap_or_default();
        row.target = if goes { row.granted.min(row.floor) } else { row.wish(slack, now.tidy) };
    }
    let wished = sum(rows.iter().map(|(_, row)| row.target));
    let mut excess = wished.saturating_add(gone).saturating_sub(budget);
    for spare in [slack, 0] {
        rows.sort_by_key(|(_, row)| row.floor.saturating_sub(row.target));
        for (_, row) in &mut rows {
            let idle = row.target.saturating_sub(row.floor).saturating_sub(spare);
            let cut = idle.min(excess).max(0);
            row.target = row.target.saturating_sub(cut);
            excess = excess.saturating_sub(cut);
        }
    }
    rows.into_iter().map(|(namespace, row)| (namespace, row.target)).collect()
}

impl Row {
    fn wish(&self, slack: i128, tidy: bool) -> i128 {
        let idle = self.granted.saturating_sub(self.floor);
        let half = slack.checked_div(2).unwrap_or_default();
        let twice = slack.saturating_mul(2).saturating_add(ONE);
        if idle < 0 || (tidy && (idle < half || idle > twice)) {
            return self.floor.saturating_add(slack);
        }
        self.granted
    }
}

fn row(now: &Situation<'_>, record: &Record, namespace: &str, resource: &str) -> Row {
    let of = |hard: Option<&Hard>| hard.and_then(|hard| hard.get(resource)).copied().unwrap_or_default();
    let quota = now.quotas.get(namespace);
    let floor = of(quota.map(|quota| &quota.used)).saturating_add(of(now.needs.get(namespace)));
    let granted = record.hard(namespace, resource);
    // What another mover has begun to lower is lowered, not raised again: two would go on for ever.
    let begun = quota.filter(|quota| quota.turn == record.turn).map(|quota| of(Some(&quota.spec)));
    Row { granted: begun.map_or(granted, |spec| spec.min(granted)), floor, target: 0 }
}

/// What a namespace takes of the budget: its grant, or more where more is charged or the quota allows more.
pub(super) fn occupied(now: &Situation<'_>, record: &Record, namespace: &str, resource: &str) -> i128 {
    let granted = record.hard(namespace, resource);
    let Some(quota) = now.quotas.get(namespace) else { return granted };
    let of = |hard: &Hard| hard.get(resource).copied().unwrap_or_default();
    granted.max(of(&quota.used)).max(of(&quota.status)).max(of(&quota.spec))
}

/// What each namespace has beside what it needs: half of what is free, evenly, in whole units.
fn slack(free: i128, namespaces: usize, resource: &str) -> i128 {
    let parts = i128::try_from(namespaces).unwrap_or(i128::MAX).saturating_mul(2);
    whole_units(resource, free.checked_div(parts).unwrap_or_default())
}

pub(super) fn sum(amounts: impl Iterator<Item = i128>) -> i128 {
    amounts.fold(0, i128::saturating_add)
}
