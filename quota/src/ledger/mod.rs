//! Budgets that no race can break: a ledger whose free amounts are held in escrow by the replicas.
//!
//! Each replica has one [`Ledger`] and decides alone, from its share. Shares are persisted by domain, in one
//! [`Shares`] value that changes by compare-and-swap.
//!
//! **Guarantee.** At every moment, for every account, *claim* = what a replica's cache shows stored + all persisted
//! shares is at least what is stored and what requests under way may still store. Limits only grow with the accounts
//! (see [`Limit`]), and a share is only raised where the claims fit every limit. So no limit is passed, however many
//! replicas decide at once, whichever of them crash, and however old a cache is. Why the claim is enough:
//! 1. A request is let in only from the share of a replica, persisted before, and keeps its part of it
//!    ([`Ledger::reserve`]) until the object is seen stored, or the request has ended without it.
//! 2. A share is lowered for an object only when the object was seen stored at a version, which becomes a *horizon* in
//!    the same write. A replica whose cache has not reached every horizon takes nothing ([`Draft::behind`]). So an
//!    object that a cache does not show yet is still in a share.
//! 3. A request that was let in ends within the API server's bound; what never appeared is only given back when a
//!    read after that bound shows it absent ([`Ledger::expired`], [`Ledger::looked`]).
//! 4. While the outcome of a write is not known, the smaller of both shares counts ([`Ledger::writing`]).
//!
//! Sources: O'Neil's escrow method (1986), the demarcation protocol of Barbara and Garcia-Molina (1994).
//! What administrators do is not held to it: a lower budget, an adopted namespace, a tenant moved to another parent.
//!
//! Cost: deciding from a share is a few lookups in ordered maps, no call and no wait. What the accounts come to in each
//! limit is kept, so a draft takes time in what is held and asked, not in what is stored or in how many tenants there are.

mod account;
mod decide;
mod domains;
mod draft;
mod limits;
mod objects;
mod persisted;
mod reclaims;
mod report;
mod reservations;
mod shares;
mod sums;
mod tenants;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::TenantIndex;

use crate::measure::{ExtendedNames, Sum};

pub use account::{Account, Amounts, Charges, Kind, Place, Stored, counted_as, is_claim_for_devices};
pub use decide::{Answer, Ask, Ticket};
pub use domains::{Domain, Domains};
pub use draft::{Demand, Draft};
pub use limits::{Limit, NAMESPACES, ONE, Owner, Short};
pub use persisted::Mark;
pub use report::{Consumer, Line};
pub use reservations::Millis;
pub use shares::{Holder, Shares};

use account::gather;
use objects::{Listed, Objects};
use reservations::Reservations;
use sums::Sums;

/// What one replica knows and holds of all budgets.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub struct Ledger {
    me: Arc<str>,
    index: Arc<TenantIndex>,
    domains: Arc<Domains>,
    objects: Objects,
    reservations: Reservations,
    /// Held for objects that were seen stored since the share was last written, or for nothing: neither free nor under
    /// way.
    seen: Amounts,
    /// The newest version of each kind for which something is in `seen`, now or before.
    horizons: BTreeMap<Arc<Kind>, u64>,
    books: BTreeMap<Arc<str>, Book>,
    /// The domains of which something has changed that may have to be written.
    touched: BTreeSet<Arc<str>>,
    /// The kinds that resource names are about.
    kinds: BTreeMap<Arc<str>, BTreeSet<Arc<Kind>>>,
    /// What is read of the fields of a kind.
    sums: BTreeMap<Kind, Arc<[Sum]>>,
    /// What DeviceClasses say of their devices.
    extended: Arc<ExtendedNames>,
    /// Kinds whose versions went back, with the domains whose persisted horizons do not say so yet.
    rolled_back: BTreeMap<Arc<Kind>, BTreeSet<Arc<str>>>,
    /// Until when this replica may decide: afterwards others may have taken its shares.
    fence: Millis,
}

/// What a replica knows of one domain.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone))]
struct Book {
    /// The sum of the stored objects.
    live: Amounts,
    /// What that comes to in the limits.
    sums: Sums,
    /// The shares as they are persisted.
    shares: Shares,
    /// Their version; `None` where there are none.
    version: Option<u64>,
    /// Whether it is known what is persisted.
    known: bool,
    /// Writes of which it is not known whether they took place.
    open: Vec<draft::Written>,
    /// When an account was last asked for.
    asked: BTreeMap<Account, Millis>,
    /// What tenants asked for here that is their own and lent to others, and when.
    reclaims: BTreeMap<Account, (i128, Millis)>,
    /// How many writes of its share this replica began, and the number of the last that it knows to be persisted.
    begun: u64,
    done: u64,
    /// Whether the replica is a holder, as far as it knows, and whether that is in doubt.
    holds: bool,
    doubted: bool,
    /// How often the limits have changed.
    limits: u64,
    /// The limits under which this replica's share was last looked at: under others nothing is given from it.
    checked: u64,
}

impl Ledger {
    /// An empty ledger of the replica of this name, which differs from all others, also from those before a restart.
    pub fn new(me: &str) -> Self {
        Self {
            me: me.into(),
            index: Arc::default(),
            domains: Arc::default(),
            objects: Objects::default(),
            reservations: Reservations::default(),
            seen: Amounts::new(),
            horizons: BTreeMap::new(),
            books: BTreeMap::new(),
            touched: BTreeSet::new(),
            kinds: BTreeMap::new(),
            sums: BTreeMap::new(),
            extended: Arc::default(),
            rolled_back: BTreeMap::new(),
            fence: 0,
        }
    }

    /// The replica's name.
    pub fn me(&self) -> &Arc<str> {
        &self.me
    }

    /// The domains in force.
    pub fn domains(&self) -> &Arc<Domains> {
        &self.domains
    }

    /// Lets the replica decide until then.
    pub fn set_fence(&mut self, until: Millis) {
        self.fence = until;
    }

    /// Lets the replica decide nothing until what is persisted was read again, and its fence set: it may not be what it was.
    pub fn doubt(&mut self) {
        self.fence = 0;
        for book in self.books.values_mut() {
            (book.known, book.doubted) = (false, true);
            book.checked = book.limits.wrapping_sub(1);
        }
        self.touched = self.names();
    }

    /// Lets nothing grow that needs to know the objects of a kind, until they are listed again.
    pub fn unlist(&mut self, kind: &Arc<Kind>) {
        if self.is_counted(kind) {
            self.objects.kind_mut(kind).version = None;
        }
    }

    /// Lets the replica decide nothing more, and forgets what is persisted: what it knows is of another past.
    pub fn distrust(&mut self) {
        self.fence = 0;
        self.books.clear();
        self.touched = self.names();
    }

    /// Counts these kinds and no others, for these resource names. A kind of which other fields are read now has to be
    /// listed again.
    pub fn set_kinds(&mut self, kinds: BTreeMap<Arc<str>, BTreeSet<Arc<Kind>>>) {
        let mut all: BTreeSet<_> = kinds.values().flatten().cloned().collect();
        let sums = sums_of(kinds.keys());
        all.retain(|kind| names(self.sums.get(kind)).eq(names(sums.get(kind))));
        for (_, listed) in self.objects.retain(&all) {
            self.forget(listed);
        }
        (self.kinds, self.sums) = (kinds, sums);
    }

    /// Whether a tenant is limited in a resource.
    pub fn limits(&self, tenant: &str, resource: &str) -> bool {
        let domain = self.domains.of_tenant(tenant).map(|(_, domain)| domain);
        domain.is_some_and(|domain| domain.resources(tenant).any(|limited| **limited == *resource))
    }

    /// The sums over fields of a kind that some tenant is limited in.
    pub fn sums(&self, kind: &Kind) -> Arc<[Sum]> {
        self.sums.get(kind).cloned().unwrap_or_default()
    }

    /// Takes in what DeviceClasses say of their devices. Claims for devices have to be listed again.
    pub fn set_extended(&mut self, names: Arc<ExtendedNames>) {
        self.extended = names;
        let claims = self.counted().into_iter().filter(|kind| account::is_claim_for_devices(kind));
        claims.for_each(|kind| self.unlist(&kind));
    }

    /// What DeviceClasses say of their devices.
    pub fn extended(&self) -> Arc<ExtendedNames> {
        Arc::clone(&self.extended)
    }

    /// The names of all domains, those that have only shares left among them.
    pub fn names(&self) -> BTreeSet<Arc<str>> {
        self.domains.by_name.keys().chain(self.books.keys()).cloned().collect()
    }

    /// The newest version of a kind that some holder has noted, as far as it is known here.
    pub fn horizon(&self, kind: &Kind) -> u64 {
        let noted = self.books.values().filter_map(|book| book.shares.horizons.get(kind));
        noted.copied().max().unwrap_or_default()
    }

    /// Takes in that a list which began after a horizon was known is older than it: the cluster's store was restored
    /// to an older state, and its versions count anew.
    pub fn rolled_back(&mut self, kind: &Arc<Kind>) {
        self.horizons.remove(kind);
        let domains = self.names();
        self.rolled_back.insert(Arc::clone(kind), domains);
    }

    /// Takes in all objects of a kind as they were at a version.
    pub fn replace(&mut self, kind: &Arc<Kind>, version: u64, all: Vec<(Arc<str>, Arc<str>, Stored)>) {
        if !self.is_counted(kind) {
            return;
        }
        let before = std::mem::take(self.objects.kind_mut(kind));
        // A kind that is not served any more has no version: nothing went back.
        if version > 0 && before.version.is_some_and(|known| known > version) {
            self.rolled_back(kind);
        }
        self.forget(before);
        for (namespace, name, stored) in all {
            self.upsert(Place { kind: Arc::clone(kind), namespace, name }, stored);
        }
        self.objects.kind_mut(kind).version = Some(version);
    }

    /// Takes in a stored object, new or changed.
    pub fn upsert(&mut self, place: Place, stored: Stored) {
        if !self.is_counted(&place.kind) {
            return;
        }
        let mut freed = self.reservations.stored(&place, &stored.uid);
        gather(&mut freed, &self.reservations.passed(&place, stored.version));
        self.settle(&place.kind, stored.version, &freed);
        self.attribute(self.tenant_of(&place.namespace, &stored), &stored, true);
        let listed = self.objects.kind_mut(&place.kind);
        listed.version = listed.version.map(|version| version.max(stored.version));
        if let Some(before) = listed.objects.insert((Arc::clone(&place.namespace), place.name), stored) {
            self.attribute(self.tenant_of(&place.namespace, &before), &before, false);
        }
    }

    /// Takes in that an object is gone, at a version.
    pub fn delete(&mut self, place: &Place, uid: &str, version: u64) {
        if !self.is_counted(&place.kind) {
            return;
        }
        let mut freed = self.reservations.stored(place, uid);
        gather(&mut freed, &self.reservations.passed(place, version));
        self.settle(&place.kind, version, &freed);
        let listed = self.objects.kind_mut(&place.kind);
        listed.version = listed.version.map(|known| known.max(version));
        if let Some(before) = listed.objects.remove(&(Arc::clone(&place.namespace), Arc::clone(&place.name)))
        {
            self.attribute(self.tenant_of(&place.namespace, &before), &before, false);
        }
    }

    /// Takes in that nothing of a kind changed up to a version.
    pub fn bookmark(&mut self, kind: &Arc<Kind>, version: u64) {
        let listed = self.objects.kind_mut(kind);
        listed.version = listed.version.map(|known| known.max(version));
    }

    /// Whether objects of a kind count toward a limit of a tenant.
    pub fn counts(&self, tenant: &str, kind: &Kind) -> bool {
        let Some((_, domain)) = self.domains.of_tenant(tenant) else { return false };
        domain
            .resources(tenant)
            .filter_map(|resource| self.kinds.get(resource))
            .any(|kinds| kinds.contains(kind))
    }

    /// The kinds that count toward some limit.
    pub fn counted(&self) -> BTreeSet<Arc<Kind>> {
        self.kinds.values().flatten().cloned().collect()
    }

    /// The newest version of a kind that was heard of; `None` until it is listed.
    pub fn version(&self, kind: &Kind) -> Option<u64> {
        self.objects.kind(kind)?.version
    }

    /// How many of these are not known as they are; see [`Ledger::known_of`] for those known that are not among them.
    pub fn unlike(&self, stored: &[(Place, Stored)]) -> usize {
        stored.iter().filter(|(place, stored)| self.objects.at(place) != Some(stored)).count()
    }

    /// How many objects of a kind are known.
    pub fn known_of(&self, kind: &Kind) -> usize {
        self.objects.kind(kind).map_or(0, |listed| listed.objects.len())
    }

    /// How many objects are known, and for how many places something is under way.
    pub fn size(&self) -> (usize, usize) {
        (self.objects.len(), self.reservations.len())
    }

    /// What a watch tells that is just being ended is not heard.
    fn is_counted(&self, kind: &Kind) -> bool {
        self.kinds.values().any(|kinds| kinds.contains(kind))
    }

    fn touch(&mut self, domain: &Arc<str>) {
        if !self.touched.contains(domain) {
            self.touched.insert(Arc::clone(domain));
        }
    }

    pub(super) fn settle(&mut self, kind: &Arc<Kind>, version: u64, freed: &Amounts) {
        if freed.is_empty() {
            return;
        }
        gather(&mut self.seen, freed);
        let horizon = self.horizons.entry(Arc::clone(kind)).or_default();
        *horizon = (*horizon).max(version);
    }

    fn forget(&mut self, listed: Listed) {
        for ((namespace, _), stored) in listed.objects {
            self.attribute(self.tenant_of(&namespace, &stored), &stored, false);
        }
    }
}

/// The sums that resource names mean, by the kind that they are of.
fn sums_of<'a>(resources: impl Iterator<Item = &'a Arc<str>>) -> BTreeMap<Kind, Arc<[Sum]>> {
    let mut sums: BTreeMap<Kind, Vec<Sum>> = BTreeMap::new();
    for sum in resources.filter_map(|name| Sum::named(name)?.ok()) {
        sums.entry(sum.kind().clone()).or_default().push(sum);
    }
    sums.into_iter().map(|(kind, sums)| (kind, sums.into())).collect()
}

fn names(sums: Option<&Arc<[Sum]>>) -> impl Iterator<Item = &str> {
    sums.into_iter().flat_map(|sums| sums.iter().map(Sum::resource_name))
}
