use std::sync::Arc;

use super::Ledger;
use super::account::{Amounts, Kind, add};
use super::limits::{Limit, Owner};

/// How a limit stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Whose.
    pub owner: Owner,
    /// The resource name.
    pub resource: Arc<str>,
    /// The most, in billionths.
    pub bound: i128,
    /// What stored objects take of it.
    pub used: i128,
    /// What the replicas hold of it, for requests under way and to come.
    pub held: i128,
}

/// An object that takes of a limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consumer {
    /// Its kind.
    pub kind: Arc<Kind>,
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// How much, in billionths.
    pub amount: i128,
}

impl Ledger {
    /// How every limit stands.
    pub fn lines(&self) -> Vec<Line> {
        let domains = self.domains.by_name.iter();
        domains.flat_map(|(name, domain)| domain.limits.iter().map(|limit| self.line(name, limit))).collect()
    }

    /// How one limit stands.
    pub fn line(&self, domain: &str, limit: &Limit) -> Line {
        let (mut claims, mut used) = (Amounts::new(), 0);
        if let Some(book) = self.books.get(domain) {
            used = limit.taken(&book.live);
            claims.clone_from(&book.live);
            for (account, amount) in book.shares.holders.values().flat_map(|holder| &holder.amounts) {
                add(&mut claims, account, *amount);
            }
        }
        let held = limit.taken(&claims).saturating_sub(used).max(0);
        let (owner, resource) = (limit.owner.clone(), Arc::clone(&limit.resource));
        Line { owner, resource, bound: limit.bound, used, held }
    }

    /// The objects of a tenant that take the most of a resource, the largest first.
    pub fn consumers(&self, tenant: &str, resource: &str, most: usize) -> Vec<Consumer> {
        let mut found: Vec<Consumer> = Vec::new();
        for namespace in self.index.namespaces_of(tenant) {
            for (kind, key, stored) in self.objects.in_namespace(namespace) {
                let Some((_, amount)) = stored.charges.iter().find(|(name, _)| name.as_ref() == resource)
                else {
                    continue;
                };
                let smallest = found.last().filter(|_| found.len() >= most);
                if *amount <= 0 || smallest.is_some_and(|last| last.amount >= *amount) {
                    continue;
                }
                let (namespace, name) = (Arc::clone(&key.0), Arc::clone(&key.1));
                found.push(Consumer { kind: Arc::clone(kind), namespace, name, amount: *amount });
                found.sort_by_key(|consumer| std::cmp::Reverse(consumer.amount));
                found.truncate(most);
            }
        }
        found
    }
}
