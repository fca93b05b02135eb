use std::sync::Arc;

use model::Tenant;

use super::account::{Account, Amounts, Kind, add};
use super::limits::{Limit, NAMESPACES, ONE, Owner};
use super::{Book, Ledger};

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

    /// How a tenant's own budget stands, with what the tenants below it use; bands after the whole.
    pub fn standing(&self, tenant: &Tenant) -> Vec<Line> {
        let Some((name, domain)) = self.domains.of_tenant(&tenant.name) else { return Vec::new() };
        let none = Book::default();
        let book = self.books.get(name).unwrap_or(&none);
        let sum = |amounts: &Amounts, resource: &str| {
            let below = |account: &&Account| {
                account.resource.as_ref() == resource && self.index.holds(&tenant.name, &account.tenant)
            };
            let mine = amounts.iter().filter(|(account, _)| below(account)).map(|(_, amount)| *amount);
            mine.fold(0, i128::saturating_add)
        };
        let limit =
            tenant.namespaces.limit.map(|most| (Arc::from(NAMESPACES), i128::from(most).saturating_mul(ONE)));
        let hard = tenant.budget.hard.iter().map(|(resource, bound)| (Arc::clone(resource), *bound));
        let whole = hard.chain(limit).map(|(resource, bound)| Line {
            owner: Owner::Tenant(tenant.name.as_str().into()),
            bound,
            used: sum(&book.live, &resource),
            held: book
                .shares
                .holders
                .values()
                .map(|holder| sum(&holder.amounts, &resource))
                .fold(0, i128::saturating_add),
            resource,
        });
        let is_band =
            |limit: &&Limit| matches!(&limit.owner, Owner::Band(owner, _) if owner.as_ref() == tenant.name);
        whole.chain(domain.limits.iter().filter(is_band).map(|limit| self.line(name, limit))).collect()
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
