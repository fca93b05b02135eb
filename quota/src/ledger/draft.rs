use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::account::{Account, Amounts, Kind, add, gather, of};
use super::limits::{Domain, Short};
use super::reclaims::Reclaims;
use super::shares::{Holder, Shares};
use super::{Book, Ledger, Millis};

/// How long an account that nobody asks for keeps more than it needs.
const IDLE: Millis = 60_000;

/// A write of a share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Written {
    /// The share.
    pub(super) amounts: Amounts,
    /// What was in the share before for objects seen stored, and is no longer.
    pub(super) seen: Amounts,
    /// The kinds whose horizons were lowered, as their versions went back.
    reset: BTreeSet<Arc<Kind>>,
}

/// What a waiting request needs beyond the share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Demand {
    /// Tells it from others.
    pub id: u64,
    /// How much.
    pub amounts: Amounts,
}

/// What a replica has written of a domain for certain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mark {
    done: u64,
    holds: bool,
}

/// How the shares of a domain should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// The domain.
    pub domain: Arc<str>,
    /// All shares, with this replica's as it should be.
    pub shares: Shares,
    /// The version that they replace; `None` where there are none yet.
    pub version: Option<u64>,
    /// Whether they differ from what is persisted.
    pub changed: bool,
    /// The demands that the share covers once it is written.
    pub fits: Vec<u64>,
    /// The demands that do not fit, and why.
    pub short: Vec<(u64, Box<Short>)>,
    /// Other replicas that hold more than they need; the shares ask them to give it back.
    pub waits_for: Vec<Arc<str>>,
    /// The kinds whose caches are behind what others saw: nothing is taken until they have caught up.
    pub behind: Vec<Arc<Kind>>,
    limits: u64,
    pub(super) written: Written,
    reclaims: BTreeMap<Account, (i128, Millis)>,
    writes: u64,
}

impl Ledger {
    /// How the shares of a domain should be, with these demands in order and without the holders that are gone.
    ///
    /// What is free is taken in halves: of each account half of this replica's part of what is left, so that
    /// the next requests need no write. Where a demand does not fit, nothing more than needed is held, and the others
    /// are asked to do the same.
    pub fn draft(
        &self,
        name: &Arc<str>,
        demands: &[Demand],
        gone: &BTreeSet<Arc<str>>,
        now: Millis,
    ) -> Option<Draft> {
        let nothing = (Domain::default(), Book::default());
        let domain = self.domains.by_name.get(name).unwrap_or(&nothing.0);
        let book = self.books.get(name).unwrap_or(&nothing.1);
        if !book.known {
            return None;
        }
        let mut shares = book.shares.clone();
        shares.holders.retain(|holder, _| !gone.contains(holder));
        let fewer = shares.holders.len() < book.shares.holders.len();
        let reset = self.reset_horizons(name, &mut shares);
        let behind = self.behind(domain, &shares);
        let mut claims = book.live.clone();
        shares.others(&self.me).for_each(|(_, holder)| gather(&mut claims, &holder.amounts));
        let mut mine = self.part_of(name, self.reservations.held());
        gather(&mut claims, &mine);
        let (mut fits, mut short) = (Vec::new(), Vec::new());
        // What demands have of the share as it is: the rest of it can be kept, and nothing twice.
        let mut used = Amounts::new();
        let mut reclaims = Reclaims::new(book, shares.reclaims_of_others(&self.me), now);
        for demand in demands {
            // What is held already needs no more room than it has.
            let covered = book.checked == book.limits
                && demand.amounts.iter().all(|(account, more)| {
                    self.idle(name, account).saturating_sub(of(&used, account)) >= *more
                });
            if !behind.is_empty() && !covered {
                continue;
            }
            match reclaims.add(domain, &mut claims, &demand.amounts) {
                Ok(()) => {
                    gather(&mut mine, &demand.amounts);
                    gather(&mut used, &demand.amounts);
                    fits.push(demand.id);
                }
                Err(why) => short.push((demand.id, why)),
            }
        }
        let recalled = shares.holders.get(&self.me).is_some_and(|holder| holder.recalled);
        // Without a lease nothing can be given: the replica starts, or ends.
        let spare = match recalled || !short.is_empty() || self.fence == 0 || !reclaims.is_empty() {
            true => Amounts::new(),
            false => self.spare(
                name,
                domain,
                (demands, &used),
                &mut claims,
                (shares.holders.len(), behind.is_empty()),
                now,
            ),
        };
        gather(&mut mine, &spare);
        let waits_for = recall(&mut shares, &self.me, !short.is_empty());
        let seen = self.part_of(name, &self.seen);
        self.raise_horizons(&mut shares, &seen, fewer);
        let wanted = if self.fence == 0 { Amounts::new() } else { reclaims.mine() };
        let writes = book.shares.holders.get(&self.me).map_or(0, |holder| holder.writes);
        let holder = Holder {
            amounts: mine.clone(),
            exact: spare.is_empty(),
            recalled: false,
            reclaims: wanted.clone(),
            writes,
        };
        if mine.is_empty() && wanted.is_empty() {
            shares.holders.remove(&self.me);
        } else {
            shares.holders.insert(Arc::clone(&self.me), holder);
        }
        let changed = shares != book.shares;
        let writes = book.begun.saturating_add(1);
        if changed && let Some(holder) = shares.holders.get_mut(&self.me) {
            holder.writes = writes;
        }
        Some(Draft {
            domain: Arc::clone(name),
            changed,
            shares,
            version: book.version,
            fits,
            short,
            waits_for,
            behind,
            limits: book.limits,
            written: Written { amounts: mine, seen, reset },
            reclaims: reclaims.into_mine(),
            writes,
        })
    }

    /// What of the share is neither under way nor seen stored.
    fn idle(&self, name: &str, account: &Account) -> i128 {
        self.available(name, account).max(0)
    }

    /// The kinds of a domain's limits whose caches have not reached a horizon, or have nothing yet.
    fn behind(&self, domain: &Domain, shares: &Shares) -> Vec<Arc<Kind>> {
        let kinds: BTreeSet<_> =
            domain.limits.iter().filter_map(|limit| self.kinds.get(&limit.resource)).flatten().collect();
        let late = kinds.into_iter().filter(|kind| {
            let horizon = shares.horizons.get(*kind).copied().unwrap_or_default();
            // Of a kind that is not served there is nothing to know.
            self.version(kind).is_none_or(|version| version > 0 && version < horizon)
        });
        late.map(Arc::clone).collect()
    }

    /// Lowers the horizons of kinds whose versions went back, once in each domain: the cluster's store was restored.
    fn reset_horizons(&self, name: &Arc<str>, shares: &mut Shares) -> BTreeSet<Arc<Kind>> {
        let due = self.rolled_back.iter().filter(|(_, domains)| domains.contains(name));
        let due: BTreeSet<_> = due.map(|(kind, _)| Arc::clone(kind)).collect();
        for kind in &due {
            let version = self.version(kind).unwrap_or_default();
            shares.horizons.entry(Arc::clone(kind)).and_modify(|horizon| *horizon = (*horizon).min(version));
        }
        due
    }

    /// The amounts of the tenants of a domain.
    fn part_of(&self, name: &Arc<str>, amounts: &Amounts) -> Amounts {
        let inside = |account: &Account| {
            self.domains.of_tenant(&account.tenant).is_some_and(|(domain, _)| domain == name)
        };
        amounts
            .iter()
            .filter(|(account, _)| inside(account))
            .map(|(account, amount)| (account.clone(), *amount))
            .collect()
    }

    /// What to hold beyond what is needed, account by account.
    fn spare(
        &self,
        name: &Arc<str>,
        domain: &Domain,
        (demands, used): (&[Demand], &Amounts),
        claims: &mut Amounts,
        (holders, may_grow): (usize, bool),
        now: Millis,
    ) -> Amounts {
        let Some(book) = self.books.get(name) else { return Amounts::new() };
        let mut asked: BTreeMap<&Account, i128> = BTreeMap::new();
        for (account, amount) in demands.iter().flat_map(|demand| &demand.amounts) {
            let largest = asked.entry(account).or_default();
            *largest = (*largest).max(*amount);
        }
        let held = book.shares.holders.get(&self.me).into_iter().flat_map(|holder| holder.amounts.keys());
        let accounts: BTreeSet<&Account> = held.chain(asked.keys().copied()).collect();
        let parts = i128::try_from(holders.max(1)).unwrap_or(i128::MAX).saturating_mul(2);
        let mut spare = Amounts::new();
        for account in accounts {
            let room = domain.room(account, claims).map_or(0, |(room, _)| room.max(0));
            let recent = book.asked.get(account).is_some_and(|asked| now.saturating_sub(*asked) < IDLE);
            let idle = self.idle(name, account).saturating_sub(of(used, account)).max(0);
            let kept = if recent { idle } else { 0 };
            let more = asked
                .get(account)
                .filter(|_| may_grow)
                .map_or(0, |asked| steps(room.checked_div(parts), *asked));
            let extra = kept.max(more).min(room);
            add(&mut spare, account, extra);
            add(claims, account, extra);
        }
        spare
    }

    /// Who takes of what is free from now on must know what this replica saw stored: what is in its share no more, and
    /// what was in the shares of holders that are gone.
    fn raise_horizons(&self, shares: &mut Shares, seen: &Amounts, gone: bool) {
        let lowered = self.horizons.iter().filter(|_| !seen.is_empty());
        let mut raised: BTreeMap<_, _> =
            lowered.map(|(kind, version)| (Arc::clone(kind), *version)).collect();
        if gone {
            let all = self
                .kinds
                .values()
                .flatten()
                .filter_map(|kind| Some((Arc::clone(kind), self.version(kind)?)));
            raised.extend(all);
        }
        for (kind, version) in raised {
            let horizon = shares.horizons.entry(kind).or_default();
            *horizon = (*horizon).max(version);
        }
    }

    /// Notes that a draft is being written: until its outcome is known the smaller share counts.
    pub fn writing(&mut self, draft: &Draft) {
        let book = self.books.entry(Arc::clone(&draft.domain)).or_default();
        book.open.push(draft.written.clone());
        book.begun = draft.writes;
    }

    /// Takes in that a draft was written, and has this version now.
    pub fn wrote(&mut self, draft: &Draft, version: u64) {
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

    /// Takes in that the shares of a domain are gone: they have to be read before anything is taken.
    pub fn forget_shares(&mut self, domain: &Arc<str>) {
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

    /// Whether this replica should write a domain's shares without being asked: another wants back what it holds, it
    /// holds more than it said, or less is persisted than it has given; or what is persisted is not known.
    pub fn owes(&self, domain: &Arc<str>) -> bool {
        let known = self.books.get(domain).filter(|book| book.known);
        // What is not known has to be read before somebody asks.
        let Some(book) = known else { return self.domains.by_name.contains_key(domain) };
        let given = self.part_of(domain, self.reservations.held());
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

/// The whole steps that an amount has.
fn steps(amount: Option<i128>, step: i128) -> i128 {
    let steps = amount.and_then(|amount| amount.checked_div(step)).unwrap_or_default();
    steps.saturating_mul(step)
}

/// Asks the others to give back what they do not need; gives those that have some.
fn recall(shares: &mut Shares, me: &str, short: bool) -> Vec<Arc<str>> {
    let others =
        shares.holders.iter_mut().filter(|(name, holder)| short && name.as_ref() != me && !holder.exact);
    let asked = others.map(|(name, holder)| {
        holder.recalled = true;
        Arc::clone(name)
    });
    asked.collect()
}
