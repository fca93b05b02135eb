use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::Tenant;

use super::account::{Amounts, Kind, Place, of_tenant};
use super::domains::Domain;
use super::limits::{Limit, NAMESPACES, ONE, Owner};
use super::sums::Claims;
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
            lines.extend(self.lines_of(name, domain.limits.iter()));
        }
        lines
    }

    /// How one limit stands, as long as there is one of its owner and its resource.
    pub fn line(&self, domain: &str, limit: &Limit) -> Line {
        let same = |other: &&Arc<Limit>| other.owner == limit.owner && other.resource == limit.resource;
        let limits = self.domains.by_name.get(domain).map(|domain| &domain.limits);
        // The tenants may have changed since, and with them the limits' numbers.
        let at = limits.and_then(|limits| limits.get(limit.number).filter(same));
        let now = at.or_else(|| limits.into_iter().flatten().find(same));
        let line = now.and_then(|limit| self.lines_of(domain, std::iter::once(limit)).pop());
        let (owner, resource) = (limit.owner.clone(), Arc::clone(&limit.resource));
        line.unwrap_or(Line { owner, resource, bound: limit.bound, used: 0, held: 0 })
    }

    fn lines_of<'a>(&self, name: &str, limits: impl Iterator<Item = &'a Arc<Limit>>) -> Vec<Line> {
        let nothing = (Domain::default(), Book::default());
        let domain = self.domains.by_name.get(name).unwrap_or(&nothing.0);
        let book = self.books.get(name).unwrap_or(&nothing.1);
        let mut claims = Claims::new(domain, &book.sums);
        book.shares.holders.values().for_each(|holder| claims.gather(&holder.amounts));
        let line = |limit: &Arc<Limit>| {
            let used = book.sums.taken(limit);
            let held = claims.taken(limit).saturating_sub(used).max(0);
            let (owner, resource) = (limit.owner.clone(), Arc::clone(&limit.resource));
            Line { owner, resource, bound: limit.bound, used, held }
        };
        limits.map(line).collect()
    }

    /// How a tenant's own budget stands, with what the tenants below it use; bands after the whole.
    pub fn standing(&self, tenant: &Tenant) -> Vec<Line> {
        let Some((name, domain)) = self.domains.of_tenant(&tenant.name) else { return Vec::new() };
        let none = Book::default();
        let book = self.books.get(name).unwrap_or(&none);
        let below = self.index.with_all_below(&tenant.name);
        let below: Vec<Arc<str>> = below.map(Arc::from).collect();
        let sum = |amounts: &Amounts, resource: &str| {
            let all = below.iter().flat_map(|tenant| of_tenant(amounts, tenant));
            let mine = all.filter(|(account, _)| account.resource.as_ref() == resource);
            mine.map(|(_, amount)| *amount).fold(0, i128::saturating_add)
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
        let is_band = |limit: &&Arc<Limit>| matches!(&limit.owner, Owner::Band(owner, _) if owner.as_ref() == tenant.name);
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
