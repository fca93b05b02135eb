use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::account::{Account, Amounts, Kind, add, gather, of};
use super::domains::Domain;
use super::limits::Short;
use super::reclaims::Reclaims;
use super::shares::{Holder, Shares};
use super::sums::Claims;
use super::{Book, Ledger, Millis};

/// How long an account that nobody asks for keeps more than it needs.
pub(super) const IDLE: Millis = 60_000;

/// The most accounts of a domain of which its holders together hold more than they need: all of it is one object, and
/// etcd takes none of more than 1.5 MiB.
pub(super) const SPARE_ACCOUNTS: usize = 4_000;

/// A write of a share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Written {
    /// The share.
    pub(super) amounts: Amounts,
    /// What was in the share before for objects seen stored, and is no longer.
    pub(super) seen: Amounts,
    /// The kinds whose horizons were lowered, as their versions went back.
    pub(super) reset: BTreeSet<Arc<Kind>>,
}

/// What a waiting request needs beyond the share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Demand {
    /// Tells it from others.
    pub id: u64,
    /// How much.
    pub amounts: Amounts,
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
    pub(super) limits: u64,
    pub(super) written: Written,
    pub(super) reclaims: BTreeMap<Account, (i128, Millis)>,
    pub(super) writes: u64,
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
        let mut claims = Claims::new(domain, &book.sums);
        shares.others(&self.me).for_each(|(_, holder)| claims.gather(&holder.amounts));
        let mut mine = domain.part_of(self.reservations.held());
        claims.gather(&mine);
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
            match reclaims.add(&mut claims, &demand.amounts) {
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
                (demands, &used),
                &mut claims,
                (shares.holders.len(), behind.is_empty()),
                now,
            ),
        };
        gather(&mut mine, &spare);
        let waits_for = recall(&mut shares, &self.me, !short.is_empty());
        let seen = domain.part_of(&self.seen);
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

    /// What to hold beyond what is needed, account by account.
    fn spare(
        &self,
        name: &Arc<str>,
        (demands, used): (&[Demand], &Amounts),
        claims: &mut Claims<'_>,
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
        let mut accounts: BTreeSet<&Account> = held.chain(asked.keys().copied()).collect();
        let most = SPARE_ACCOUNTS.checked_div(holders).unwrap_or(SPARE_ACCOUNTS);
        if accounts.len() > most {
            // Whoever asked last keeps what it has.
            let asked = |account| (asked.contains_key(account), book.asked.get(account), account);
            let mut all: Vec<_> = accounts.into_iter().map(asked).collect();
            all.sort_unstable_by(|one, other| other.cmp(one));
            accounts = all.into_iter().take(most).map(|(.., account)| account).collect();
        }
        let parts = i128::try_from(holders.max(1)).unwrap_or(i128::MAX).saturating_mul(2);
        let mut spare = Amounts::new();
        for account in accounts {
            let room = claims.room(account).map_or(0, |(room, _)| room.max(0));
            let recent = book.asked.get(account).is_some_and(|asked| now.saturating_sub(*asked) < IDLE);
            let idle = self.idle(name, account).saturating_sub(of(used, account)).max(0);
            let kept = if recent { idle } else { 0 };
            let more = asked
                .get(account)
                .filter(|_| may_grow)
                .map_or(0, |asked| steps(room.checked_div(parts), *asked));
            let extra = kept.max(more).min(room);
            add(&mut spare, account, extra);
            claims.add(account, extra);
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
