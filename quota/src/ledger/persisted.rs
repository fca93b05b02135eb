//! What is persisted of the shares: what of a replica's writes took place, and what it owes.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::account::{Account, Amounts, add, of};
use super::draft::{Draft, IDLE};
use super::reclaims::Reclaims;
use super::shares::{Holder, Shares};
use super::{Ledger, Millis};

/// What a replica has written of a domain for certain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mark {
    done: u64,
    holds: bool,
}

impl Ledger {
    /// Notes that a draft is being written: until its outcome is known the smaller share counts.
    pub fn writing(&mut self, draft: &Draft) {
        let book = self.books.entry(Arc::clone(&draft.domain)).or_default();
        book.open.push(draft.written.clone());
        book.begun = draft.writes;
    }

    /// Takes in that a draft was written, and has this version now.
    pub fn wrote(&mut self, draft: &Draft, version: u64) {
        self.touch(&draft.domain);
        let book = self.books.entry(Arc::clone(&draft.domain)).or_default();
        // Writes before this one cannot take place any more: the version they replace is gone.
        book.open.clear();
        book.known = true;
        (book.done, book.holds) = (draft.writes, draft.shares.holders.contains_key(&self.me));
        book.shares = draft.shares.clone();
        book.version = Some(version);
        book.checked = draft.limits;
        book.reclaims.clone_from(&draft.reclaims);
        for (account, amount) in &draft.written.seen {
            add(&mut self.seen, account, amount.saturating_neg());
        }
        for kind in &draft.written.reset {
            self.rolled_back.get_mut(kind).into_iter().for_each(|domains| _ = domains.remove(&draft.domain));
        }
    }

    /// Takes in that a draft is nothing else than what is persisted.
    pub fn confirm(&mut self, draft: &Draft) {
        self.touch(&draft.domain);
        let Some(book) = self.books.get_mut(&draft.domain) else { return };
        book.checked = draft.limits;
        book.reclaims.clone_from(&draft.reclaims);
        // INVARIANT: the share has nothing for what was seen stored, and the horizons say so: as if it were written now.
        // It is when the answer to that write was lost, or when others' horizons say enough and as much is needed again.
        for (account, amount) in &draft.written.seen {
            add(&mut self.seen, account, amount.saturating_neg());
            book.open.iter_mut().for_each(|written| add(&mut written.seen, account, amount.saturating_neg()));
        }
    }

    /// Takes in that a draft was not written: another write came first.
    pub fn lost(&mut self, draft: &Draft) {
        self.touch(&draft.domain);
        let book = self.books.entry(Arc::clone(&draft.domain)).or_default();
        if book.open.last() == Some(&draft.written) {
            book.open.pop();
        }
    }

    /// Takes in the shares of a domain as they are persisted, at a version; `None` where there are none.
    ///
    /// A watch may tell what is older than an own write; a `read` is as new as it can be, and its version is only lower
    /// when the cluster's store was restored.
    ///
    /// Gives whether it was, to before a write of this replica: what is then its share may have been given already, and
    /// it can only begin anew under another name.
    pub fn observe(&mut self, domain: &Arc<str>, persisted: Option<(Shares, u64)>, read: bool) -> bool {
        let mark = self.mark(domain);
        self.observe_since(domain, persisted, read, mark)
    }

    /// What this replica has written of a domain for certain; a read that begins now shows it.
    pub fn mark(&self, domain: &str) -> Mark {
        self.books.get(domain).map_or(Mark::default(), |book| Mark { done: book.done, holds: book.holds })
    }

    /// The same for a read that began when this was certain.
    pub fn observe_since(
        &mut self,
        domain: &Arc<str>,
        persisted: Option<(Shares, u64)>,
        read: bool,
        since: Mark,
    ) -> bool {
        // It may be older than what was written meanwhile: whoever needs it reads again.
        if read && since != self.mark(domain) {
            return false;
        }
        self.touch(domain);
        let book = self.books.entry(Arc::clone(domain)).or_default();
        let newer = persisted.as_ref().is_some_and(|(_, version)| Some(*version) > book.version);
        let mine = persisted.as_ref().and_then(|(shares, _)| shares.holders.get(&self.me));
        if !read && !newer {
            return false;
        }
        // Without a doubt somebody deleted the shares by hand.
        let older = mine.map_or(book.doubted && since.holds, |mine| mine.writes < since.done);
        book.done = mine.map_or(book.done, |mine| book.done.max(mine.writes));
        (book.known, book.doubted, book.holds) = (true, false, mine.is_some());
        match persisted {
            Some((shares, version)) => (book.shares, book.version) = (shares, Some(version)),
            None => (book.shares, book.version) = (Shares::default(), None),
        }
        older
    }

    /// Whether the shares of a domain are known as they were written after this version.
    pub fn has_moved(&self, domain: &str, since: Option<u64>) -> bool {
        self.books.get(domain).is_some_and(|book| book.known && book.version > since)
    }

    /// Takes in that the shares of a domain are gone: they have to be read before anything is taken.
    pub fn forget_shares(&mut self, domain: &Arc<str>) {
        self.touch(domain);
        if let Some(book) = self.books.get_mut(domain) {
            book.known = false;
        }
    }

    /// Domains that are no more and of which nobody holds anything, with the versions of their shares.
    pub fn abandoned(&self) -> Vec<(Arc<str>, u64)> {
        let former = self.books.iter().filter(|(name, book)| {
            !self.domains.by_name.contains_key(*name) && book.known && book.shares.holders.is_empty()
        });
        former.filter_map(|(name, book)| Some((Arc::clone(name), book.version?))).collect()
    }

    /// Every replica that holds something.
    pub fn holders(&self) -> BTreeSet<Arc<str>> {
        self.books.values().flat_map(|book| book.shares.holders.keys()).cloned().collect()
    }

    /// Whether one of these replicas holds something of a domain.
    pub fn has_holder(&self, domain: &str, holders: &BTreeSet<Arc<str>>) -> bool {
        self.books
            .get(domain)
            .is_some_and(|book| book.shares.holders.keys().any(|name| holders.contains(name)))
    }

    /// The domains that this replica owes a write of, of those of which something has changed since they were last looked
    /// at here, or were `busy` then; not those that are busy now.
    ///
    /// Cost: in the number of the domains that have changed.
    pub fn owing(&mut self, busy: &BTreeSet<Arc<str>>) -> BTreeSet<Arc<str>> {
        for tenant in self.reservations.eased() {
            if let Some((domain, _)) = self.domains.of_tenant(&tenant) {
                self.touched.insert(Arc::clone(domain));
            }
        }
        let (later, now) =
            std::mem::take(&mut self.touched).into_iter().partition(|name| busy.contains(name));
        self.touched = later;
        let now: BTreeSet<_> = now;
        now.into_iter().filter(|domain| self.owes(domain)).collect()
    }

    /// Whether this replica should write a domain's shares without being asked: another wants back what it holds, it
    /// holds more than it said, or less is persisted than it has given; or what is persisted is not known.
    pub fn owes(&self, domain: &Arc<str>) -> bool {
        let known = self.books.get(domain).filter(|book| book.known);
        // What is not known has to be read before somebody asks.
        let Some(book) = known else { return self.domains.by_name.contains_key(domain) };
        let limits = self.domains.by_name.get(domain);
        let given = limits.map_or(Amounts::new(), |domain| domain.part_of(self.reservations.held()));
        let nothing = Holder { exact: true, ..Holder::default() };
        let mine = book.shares.holders.get(&self.me).unwrap_or(&nothing);
        mine.recalled
            || (book.checked != book.limits && !mine.amounts.is_empty())
            || given.iter().any(|(account, given)| of(&mine.amounts, account) < *given)
            || (mine.exact && mine.amounts.iter().any(|(account, held)| *held > of(&given, account)))
    }

    /// Whether a domain's share has what nobody asks for any more, or what is in it for stored objects.
    pub fn is_untidy(&self, domain: &Arc<str>, now: Millis) -> bool {
        let Some(book) = self.books.get(domain) else { return false };
        let Some(mine) = book.shares.holders.get(&self.me) else { return false };
        let old = |account: &Account| {
            book.asked.get(account).is_none_or(|asked| now.saturating_sub(*asked) >= IDLE)
        };
        let reclaims = Reclaims::new(book, Amounts::new(), now);
        mine.reclaims != reclaims.mine()
            || mine.amounts.keys().any(|account| old(account) && self.available(domain, account) > 0)
            || mine.amounts.keys().any(|account| of(&self.seen, account) > 0)
    }
}
