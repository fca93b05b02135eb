//! Whose what is stored is, also when tenants and their namespaces change.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::TenantIndex;

use super::Ledger;
use super::account::{Stored, add};
use super::domains::{Domain, Domains};

impl Ledger {
    /// Takes in tenants and whose each namespace is.
    ///
    /// Cost: in the number of the tenants, and of the objects in the domains that change and the namespaces that move.
    pub fn set_tenants(&mut self, index: Arc<TenantIndex>) {
        let before = std::mem::replace(&mut self.index, index);
        let domains = Domains::of(&self.index);
        let changed = domains.unlike(&self.domains);
        self.domains = Arc::new(domains);
        for name in &changed {
            if let Some(book) = self.books.get_mut(name) {
                book.limits = book.limits.saturating_add(1);
                (book.live, book.sums) = Default::default();
            }
            self.touch(name);
        }
        self.move_namespaces(&before, &changed);
        self.recount(&changed);
    }

    /// Counts the objects of namespaces that are another tenant's now, but for domains that are counted anew.
    fn move_namespaces(&mut self, before: &TenantIndex, anew: &BTreeSet<Arc<str>>) {
        let moved: Vec<Arc<str>> = self.index.namespaces_unlike(before).map(Arc::from).collect();
        for namespace in moved {
            let from = before.name_for(&namespace).filter(|tenant| !self.is_in(tenant, anew));
            let to = self.index.name_for(&namespace).filter(|tenant| !self.is_in(tenant, anew));
            let (from, to): (Option<Arc<str>>, Option<Arc<str>>) = (from.map(Arc::from), to.map(Arc::from));
            for stored in self.stored_in(&namespace) {
                self.attribute(from.clone(), &stored, false);
                self.attribute(to.clone(), &stored, true);
            }
        }
    }

    fn is_in(&self, tenant: &str, domains: &BTreeSet<Arc<str>>) -> bool {
        self.domains.of_tenant(tenant).is_some_and(|(domain, _)| domains.contains(domain))
    }

    fn stored_in(&self, namespace: &str) -> Vec<Stored> {
        self.objects.in_namespace(namespace).map(|(_, _, stored)| stored.clone()).collect()
    }

    pub(super) fn tenant_of(&self, namespace: &str, stored: &Stored) -> Option<Arc<str>> {
        if namespace.is_empty() {
            stored.tenant.clone()
        } else {
            self.index.name_for(namespace).map(Arc::from)
        }
    }

    /// Adds what an object counts as to its tenant, or takes it away.
    pub(super) fn attribute(&mut self, tenant: Option<Arc<str>>, stored: &Stored, there: bool) {
        let domains = Arc::clone(&self.domains);
        let Some(tenant) = tenant else { return };
        let Some((name, domain)) = domains.of_tenant(&tenant) else { return };
        let book = self.books.entry(Arc::clone(name)).or_default();
        for (resource, amount) in stored.charges.iter() {
            if let Some(account) = domain.account(&tenant, resource, stored.class.as_ref()) {
                let more = if there { *amount } else { amount.saturating_neg() };
                add(&mut book.live, &account, more);
                book.sums.add(domain, &account, more);
            }
        }
    }

    /// Adds up the objects of these domains, which have nothing yet.
    fn recount(&mut self, anew: &BTreeSet<Arc<str>>) {
        let domains = Arc::clone(&self.domains);
        let tenants = anew.iter().filter_map(|name| domains.by_name.get(name)).flat_map(Domain::tenants);
        for tenant in tenants {
            let namespaces: Vec<Arc<str>> = self.index.namespaces_of(tenant).map(Arc::from).collect();
            for stored in
                namespaces.iter().flat_map(|namespace| self.stored_in(namespace)).collect::<Vec<_>>()
            {
                self.attribute(Some(Arc::clone(tenant)), &stored, true);
            }
        }
        for stored in self.stored_in("") {
            let tenant = stored.tenant.clone().filter(|tenant| self.is_in(tenant, anew));
            self.attribute(tenant, &stored, true);
        }
    }
}
