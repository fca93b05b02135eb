//! What is wanted back of what the tenants of a cohort lend each other.

use std::collections::BTreeMap;

use super::account::{Account, Amounts, gather, of};
use super::limits::{PartOf, Short};
use super::sums::Claims;
use super::{Book, Millis};

/// How long a tenant wants back what it asked for in vain.
const RECLAIM: Millis = 60_000;

/// What is wanted back of what cohorts lend, while demands are looked at.
///
/// A tenant whose demand is within its own budget and does not fit, because others use what it lends, reclaims it: until
/// it has it, or has not asked for [`RECLAIM`], no other tenant of the cohort grows beyond its own. So what ends of
/// theirs is free for it, and it is at most its own that others wait for.
pub(super) struct Reclaims {
    others: Amounts,
    mine: BTreeMap<Account, (i128, Millis)>,
    now: Millis,
}

impl Reclaims {
    pub(super) fn new(book: &Book, others: Amounts, now: Millis) -> Self {
        let mut mine = book.reclaims.clone();
        mine.retain(|_, (_, asked)| now.saturating_sub(*asked) < RECLAIM);
        Self { others, mine, now }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.others.is_empty() && self.mine.is_empty()
    }

    /// What is wanted back here, with when it was last asked for.
    pub(super) fn into_mine(self) -> BTreeMap<Account, (i128, Millis)> {
        self.mine
    }

    pub(super) fn mine(&self) -> Amounts {
        self.mine.iter().map(|(account, (amount, _))| (account.clone(), *amount)).collect()
    }

    /// Adds a demand where it fits beside what is before it.
    pub(super) fn add(&mut self, claims: &mut Claims<'_>, asked: &Amounts) -> Result<(), Box<Short>> {
        let before = match self.is_empty() {
            true => Amounts::new(),
            false => {
                let mut all = self.mine();
                gather(&mut all, &self.others);
                claims.before(asked, &all)
            }
        };
        claims.gather(&before);
        let added = claims.fit(asked);
        claims.scatter(&before);
        match &added {
            // What it wanted back it has.
            Ok(()) => self.mine.retain(|account, (amount, _)| {
                *amount = amount.saturating_sub(of(asked, account));
                *amount > 0
            }),
            Err(short) => {
                if let Some((account, amount)) = claims.lent(short) {
                    let wanted = self.mine.entry(account).or_insert((0, self.now));
                    *wanted = (wanted.0.max(amount), self.now);
                }
            }
        }
        added.map_err(|mut short| {
            short.wanted_back = before.values().copied().fold(0, i128::saturating_add);
            short
        })
    }
}

impl Claims<'_> {
    /// What of these reclaims is before a demand: those of the other tenants of a cohort, where the demand would use more
    /// than its tenant's own.
    fn before(&self, asked: &Amounts, reclaims: &Amounts) -> Amounts {
        let rooms = |(account, more): (&Account, &i128)| {
            let more = *more;
            self.own_rooms(account).map(move |(place, room)| (place, room < more)).collect::<Vec<_>>()
        };
        let all: Vec<(PartOf, bool)> = asked.iter().flat_map(rooms).collect();
        let borrows = |limit| all.iter().any(|(place, borrows)| place.limit == limit && *borrows);
        let of_another = |account: &Account| {
            self.own_rooms(account)
                .any(|(place, _)| borrows(place.limit) && all.iter().all(|(asks, _)| *asks != place))
        };
        let wanted = reclaims.iter().filter(|(account, _)| of_another(account));
        wanted.map(|(account, amount)| (account.clone(), *amount)).collect()
    }

    /// What a tenant wants back whose demand did not fit because others use what is its own.
    fn lent(&self, short: &Short) -> Option<(Account, i128)> {
        let (_, room) =
            self.own_rooms(&short.account).find(|(place, _)| place.limit == short.limit.number)?;
        (room >= short.asked).then(|| (short.account.clone(), short.asked))
    }
}
