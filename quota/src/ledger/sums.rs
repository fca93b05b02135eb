//! What accounts come to in each limit, so that what is left is known without adding up a domain.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::account::{Account, Amounts};
use super::domains::Domain;
use super::limits::{Limit, PartOf, Short};

/// What the accounts of a domain come to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Sums {
    /// In each part of a limit.
    parts: BTreeMap<PartOf, i128>,
    /// Of each limit's bound, by its number.
    taken: BTreeMap<usize, i128>,
}

impl Sums {
    /// Adds to an account of the domain that all before were added for.
    ///
    /// Cost: O(log n) for each limit that concerns the account.
    pub(super) fn add(&mut self, domain: &Domain, account: &Account, amount: i128) {
        self.add_beside(&Self::default(), domain, account, amount);
    }

    /// The same where these are beside others: what is taken of a bound is not the sum of what each takes alone.
    fn add_beside(&mut self, base: &Self, domain: &Domain, account: &Account, amount: i128) {
        for place in domain.parts_of(account) {
            let Some(limit) = domain.limits.get(place.limit) else { continue };
            let before = base.part(place).saturating_add(self.part(place));
            let over = |sum: i128| limit.over(place.part, sum);
            let more = over(before.saturating_add(amount)).saturating_sub(over(before));
            change(&mut self.parts, place, amount);
            change(&mut self.taken, place.limit, more);
        }
    }

    fn part(&self, place: PartOf) -> i128 {
        self.parts.get(&place).copied().unwrap_or_default()
    }

    /// What of a limit's bound is taken.
    pub(super) fn taken(&self, limit: &Limit) -> i128 {
        self.taken.get(&limit.number).copied().unwrap_or_default()
    }
}

fn change<K: Ord>(sums: &mut BTreeMap<K, i128>, key: K, amount: i128) {
    if amount != 0 {
        let sum = sums.entry(key).or_default();
        *sum = sum.saturating_add(amount);
    }
}

/// Sums, and more on top of them.
#[derive(Debug)]
pub(super) struct Claims<'a> {
    pub(super) domain: &'a Domain,
    base: &'a Sums,
    more: Sums,
}

impl<'a> Claims<'a> {
    /// Nothing on top of these.
    pub(super) fn new(domain: &'a Domain, base: &'a Sums) -> Self {
        Self { domain, base, more: Sums::default() }
    }

    pub(super) fn add(&mut self, account: &Account, amount: i128) {
        self.more.add_beside(self.base, self.domain, account, amount);
    }

    pub(super) fn gather(&mut self, more: &Amounts) {
        more.iter().for_each(|(account, amount)| self.add(account, *amount));
    }

    /// Takes away what was gathered.
    pub(super) fn scatter(&mut self, less: &Amounts) {
        less.iter().for_each(|(account, amount)| self.add(account, amount.saturating_neg()));
    }

    /// What of a limit's bound is taken.
    pub(super) fn taken(&self, limit: &Limit) -> i128 {
        self.base.taken(limit).saturating_add(self.more.taken(limit))
    }

    fn part(&self, place: PartOf) -> i128 {
        self.base.part(place).saturating_add(self.more.part(place))
    }

    /// How much more an account could have, and which limit says so; negative where a bound is passed already, `None`
    /// without a limit.
    pub(super) fn room(&self, account: &Account) -> Option<(i128, &'a Arc<Limit>)> {
        let rooms = self.domain.parts_of(account).filter_map(|place| {
            let limit = self.domain.limits.get(place.limit)?;
            let free = limit.free(place.part, self.part(place));
            let left = limit.bound.saturating_sub(self.taken(limit));
            // What a tenant does not lend is its own however much the others have.
            Some((if left < 0 && free > 0 { free } else { left.saturating_add(free) }, limit))
        });
        rooms.min_by_key(|(room, _)| *room)
    }

    /// Adds amounts where all of them fit.
    ///
    /// # Errors
    /// The first account that does not, how much it asked, what it could have, and which limit says so; nothing is
    /// added then.
    pub(super) fn fit(&mut self, asked: &Amounts) -> Result<(), Box<Short>> {
        let mut added = Amounts::new();
        for (account, asked) in asked.iter().filter(|(_, asked)| **asked > 0) {
            if let Some((room, limit)) = self.room(account).filter(|(room, _)| room < asked) {
                let (account, limit) = (account.clone(), Arc::clone(limit));
                self.scatter(&added);
                return Err(Box::new(Short { account, asked: *asked, room, wanted_back: 0, limit }));
            }
            self.add(account, *asked);
            added.insert(account.clone(), *asked);
        }
        Ok(())
    }

    /// In which limits of cohorts an account counts, and how much more of its own budget its tenant could have there;
    /// negative where it borrows.
    pub(super) fn own_rooms(&self, account: &Account) -> impl Iterator<Item = (PartOf, i128)> {
        self.domain.parts_of(account).filter_map(|place| {
            let own = self.domain.limits.get(place.limit)?.own(place.part)?;
            Some((place, own.saturating_sub(self.part(place))))
        })
    }
}
