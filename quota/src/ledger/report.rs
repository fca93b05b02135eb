use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::Tenant;

use super::account::{Account, Amounts, Kind, Place, add};
use super::limits::{Limit, NAMESPACES, ONE, Owner};
use super::{Book, Ledger, Millis};

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
        let mut lines = Vec::new();
        for (name, domain) in &self.domains.by_name {
            let (live, claims) = self.claims(name);
            lines.extend(domain.limits.iter().map(|limit| line(limit, &live, &claims)));
        }
        lines
    }

    /// How one limit stands.
    pub fn line(&self, domain: &str, limit: &Limit) -> Line {
        let (live, claims) = self.claims(domain);
        line(limit, &live, &claims)
    }

    /// What is stored of a domain, and that with everything that is held.
    fn claims(&self, domain: &str) -> (Cow<'_, Amounts>, Amounts) {
        let Some(book) = self.books.get(domain) else { return Default::default() };
        let mut claims = book.live.clone();
        for (account, amount) in book.shares.holders.values().flat_map(|holder| &holder.amounts) {
            add(&mut claims, account, *amount);
        }
        (Cow::Borrowed(&book.live), claims)
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

    /// What the objects of a namespace take of a resource that are stored, or let in and not stored yet, as far as it is
    /// known here; of Pods those whose PriorityClass `counts`, and of what is not stored only what ends after a time,
    /// and not at places that are `waiting`. Takes time in the number of the namespace's objects.
    pub fn known_in(
        &self,
        namespace: &str,
        resource: &str,
        counts: impl Fn(Option<&str>) -> bool + Copy,
        waiting: &BTreeSet<Place>,
        after: Millis,
    ) -> BTreeMap<Place, i128> {
        let mut known: BTreeMap<Place, i128> = BTreeMap::new();
        for (kind, (namespace, name), stored) in self.objects.in_namespace(namespace) {
            let amount = stored.charges.iter().find(|(name, _)| name.as_ref() == resource);
            if let Some((_, amount)) = amount.filter(|_| counts(stored.class.as_deref())) {
                let (namespace, name) = (Arc::clone(namespace), Arc::clone(name));
                known.insert(Place { kind: Arc::clone(kind), namespace, name }, *amount);
            }
        }
        let under_way = self.reservations.in_namespace(namespace, resource, counts, after);
        let under_way = under_way.filter(|(place, ..)| !waiting.contains(*place));
        let (creates, changes): (Vec<_>, Vec<_>) = under_way.partition(|(_, creates, _)| *creates);
        // There is one object at a place: a create of what is there changes nothing.
        for (place, _, amount) in creates {
            let there = known.entry(place.clone()).or_default();
            *there = (*there).max(amount);
        }
        for (place, _, amount) in changes {
            let there = known.entry(place.clone()).or_default();
            *there = there.saturating_add(amount);
        }
        known
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

fn line(limit: &Limit, live: &Amounts, claims: &Amounts) -> Line {
    let used = limit.taken(live);
    let held = limit.taken(claims).saturating_sub(used).max(0);
    let (owner, resource) = (limit.owner.clone(), Arc::clone(&limit.resource));
    Line { owner, resource, bound: limit.bound, used, held }
}
