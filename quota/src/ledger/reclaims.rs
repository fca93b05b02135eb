//! What is wanted back of what the tenants of a cohort lend each other.

use std::collections::BTreeMap;

use super::account::{Account, Amounts, add, gather, of};
use super::limits::{Domain, Limit, Short};
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
    pub(super) fn add(
        &mut self,
        domain: &Domain,
        claims: &mut Amounts,
        asked: &Amounts,
    ) -> Result<(), Box<Short>> {
        let before = match self.is_empty() {
            true => Amounts::new(),
            false => {
                let mut all = self.mine();
                gather(&mut all, &self.others);
                domain.before(asked, claims, &all)
            }
        };
        gather(claims, &before);
        let added = domain.add(claims, asked);
        before.iter().for_each(|(account, amount)| add(claims, account, amount.saturating_neg()));
        match &added {
            // What it wanted back it has.
            Ok(()) => self.mine.retain(|account, (amount, _)| {
                *amount = amount.saturating_sub(of(asked, account));
                *amount > 0
            }),
            Err(short) => {
                if let Some((account, amount)) = Domain::lent(short, claims) {
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

impl Domain {
    /// What of these reclaims is before a demand beside these amounts: those of the other tenants of a cohort, where the
    /// demand would use more than its tenant's own.
    fn before(&self, asked: &Amounts, amounts: &Amounts, reclaims: &Amounts) -> Amounts {
        let borrowed = |limit: &&Limit| {
            asked
                .iter()
                .any(|(account, more)| limit.own_room(account, amounts).is_some_and(|room| room < *more))
        };
        let others = |limit: &Limit, account: &Account| {
            let part = limit.part_of(account);
            part.is_some() && asked.keys().all(|asks| limit.part_of(asks) != part)
        };
        let limits: Vec<&Limit> = self.limits.iter().filter(borrowed).collect();
        let wanted = reclaims.iter().filter(|(account, _)| limits.iter().any(|limit| others(limit, account)));
        wanted.map(|(account, amount)| (account.clone(), *amount)).collect()
    }

    /// What a tenant wants back whose demand did not fit beside these amounts because others use what is its own.
    fn lent(short: &Short, amounts: &Amounts) -> Option<(Account, i128)> {
        let room = short.limit.own_room(&short.account, amounts)?;
        (room >= short.asked).then(|| (short.account.clone(), short.asked))
    }
}
