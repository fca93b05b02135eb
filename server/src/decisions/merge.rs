use std::collections::HashSet;

use model::Record;

/// The newest of both, at most so many, oldest first. Of two with one id the first stays.
pub(super) fn merged(first: Vec<Record>, second: Vec<Record>, most: usize) -> Vec<Record> {
    let mut seen = HashSet::new();
    let mut all: Vec<Record> = first.into_iter().chain(second).collect();
    all.retain(|record| seen.insert(record.id.clone()));
    all.sort_by(|one, other| (one.time_micros, &one.id).cmp(&(other.time_micros, &other.id)));
    let older = all.len().saturating_sub(most);
    all.drain(..older);
    all
}
