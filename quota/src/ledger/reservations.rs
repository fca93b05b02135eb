//! Requests that were let in and whose objects have not been seen stored yet.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::account::{Account, Amounts, Place, add, gather, of};

/// Milliseconds on a clock that never goes back.
pub type Millis = u64;

/// What requests under way take, by the place that their object has.
///
/// There is at most one object at a place at a time, and at most one of several changes of the same stored version
/// commits. So of the requests for one place which start at the same version, the largest counts: repeating a
/// request takes nothing more. Changes that start at different versions follow each other, and are added.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct Reservations {
    places: HashMap<Place, BTreeMap<Option<u64>, Group>>,
    held: Amounts,
    /// Tenants whose requests hold less than before.
    eased: BTreeSet<Arc<str>>,
}

/// Requests for one place of which at most one commits, or one after what another made is gone.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone))]
struct Group {
    members: Vec<Member>,
    /// Whether one of them was stored, and counts as stored beside what the others hold. What they hold then may be
    /// more than ever was free, and must not be used for anything else.
    shared: bool,
}

/// Requests that take the same.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
struct Member {
    /// The uids that the objects of creates will have, or the reviews' uids for changes.
    uids: BTreeSet<Arc<str>>,
    amounts: Amounts,
    until: Millis,
}

/// What one request takes.
#[derive(Debug, Clone)]
pub(super) struct Take {
    /// Where the object is.
    pub(super) place: Place,
    /// The version that a change starts from; `None` for a create.
    pub(super) from: Option<u64>,
    /// The uid of the object of a create, of the review for a change.
    pub(super) uid: Arc<str>,
    /// How much.
    pub(super) amounts: Amounts,
    /// When it has ended for certain.
    pub(super) until: Millis,
}

impl Reservations {
    /// What all requests under way take.
    pub(super) fn held(&self) -> &Amounts {
        &self.held
    }

    /// The tenants whose requests hold less than when this was asked before.
    pub(super) fn eased(&mut self) -> BTreeSet<Arc<str>> {
        std::mem::take(&mut self.eased)
    }

    /// What a request takes beyond what requests for the same place hold already.
    pub(super) fn beyond(&self, take: &Take) -> Amounts {
        let before = self.group(&take.place, take.from).map(most).unwrap_or_default();
        let more = take
            .amounts
            .iter()
            .map(|(account, amount)| (account.clone(), amount.saturating_sub(of(&before, account))));
        more.filter(|(_, more)| *more > 0).collect()
    }

    pub(super) fn insert(&mut self, take: Take) {
        let Take { place, from, uid, amounts, until } = take;
        self.change(&place, from, |group| {
            match group.members.iter_mut().find(|member| member.amounts == amounts) {
                Some(member) => {
                    member.uids.insert(uid);
                    member.until = member.until.max(until);
                }
                None => group.members.push(Member { uids: BTreeSet::from([uid]), amounts, until }),
            };
        });
    }

    /// Ends one request that never commits. Gives what it held that may not be used again before the share is written.
    pub(super) fn release(&mut self, place: &Place, from: Option<u64>, uid: &str) -> Amounts {
        let shared = self.group(place, from).is_some_and(|group| group.shared);
        let freed = self.change(place, from, |group| {
            group.members.iter_mut().for_each(|member| _ = member.uids.remove(uid));
            group.members.retain(|member| !member.uids.is_empty());
        });
        if shared { freed } else { Amounts::new() }
    }

    /// Ends a create whose object was stored; gives what it took. Others for its place may hold as much still.
    pub(super) fn stored(&mut self, place: &Place, uid: &str) -> Amounts {
        let mut members = self.group(place, None).into_iter().flat_map(|group| &group.members);
        let Some(took) =
            members.find(|member| member.uids.contains(uid)).map(|member| member.amounts.clone())
        else {
            return Amounts::new();
        };
        self.change(place, None, |group| group.shared = true);
        self.release(place, None, uid);
        took
    }

    /// Ends the changes that start before a version: the place has gone on without them, or with them. Gives what
    /// they held.
    pub(super) fn passed(&mut self, place: &Place, version: u64) -> Amounts {
        let mut freed = Amounts::new();
        for from in self.groups(place).into_iter().filter(|from| from.is_some_and(|from| from < version)) {
            gather(&mut freed, &self.change(place, from, |group| group.members.clear()));
        }
        freed
    }

    /// The places where a request has run out of time, or starts before the version that is known there, at most so many
    /// of them.
    pub(super) fn expired(
        &self,
        now: Millis,
        most: usize,
        known: impl Fn(&Place) -> Option<u64>,
    ) -> Vec<Place> {
        let over = |groups: &BTreeMap<_, Group>| {
            groups.values().flat_map(|group| &group.members).any(|member| member.until <= now)
        };
        let late = |place: &Place, groups: &BTreeMap<Option<u64>, Group>| {
            groups.keys().flatten().min().is_some_and(|from| known(place) > Some(*from))
        };
        self.places
            .iter()
            .filter(|(place, groups)| over(groups) || late(place, groups))
            .map(|(place, _)| place.clone())
            .take(most)
            .collect()
    }

    /// Ends every request for a place that ran out of time, but for one uid, which is stored. Gives what must not be
    /// used again before the share is written.
    pub(super) fn end_expired(&mut self, place: &Place, stored: Option<&str>, now: Millis) -> Amounts {
        let mut freed = Amounts::new();
        for from in self.groups(place) {
            let shared = self.group(place, from).is_some_and(|group| group.shared);
            let ended = self.change(place, from, |group| {
                for member in group.members.iter_mut().filter(|member| member.until <= now) {
                    member.uids.retain(|uid| Some(uid.as_ref()) == stored);
                }
                group.members.retain(|member| !member.uids.is_empty());
            });
            if shared {
                gather(&mut freed, &ended);
            }
        }
        freed
    }

    fn groups(&self, place: &Place) -> Vec<Option<u64>> {
        self.places.get(place).into_iter().flat_map(BTreeMap::keys).copied().collect()
    }

    /// What is under way in a namespace and ends after a time: the place, whether it is a create, and how much of a
    /// resource it takes for Pods of some PriorityClasses.
    pub(super) fn in_namespace<'a>(
        &'a self,
        namespace: &'a str,
        resource: &'a str,
        counts: impl Fn(Option<&str>) -> bool + Copy + 'a,
        after: Millis,
    ) -> impl Iterator<Item = (&'a Place, bool, i128)> {
        let here = self.places.iter().filter(move |(place, _)| place.namespace.as_ref() == namespace);
        here.flat_map(move |(place, groups)| {
            groups.iter().map(move |(from, group)| {
                let its = |account: &Account| {
                    account.resource.as_ref() == resource && counts(account.class.as_deref())
                };
                let late = group.members.iter().filter(|member| member.until > after);
                let taken = late.map(|member| {
                    let amounts = member.amounts.iter().filter(|(account, _)| its(account));
                    amounts.map(|(_, amount)| *amount).fold(0, i128::saturating_add)
                });
                (place, from.is_none(), taken.max().unwrap_or_default())
            })
        })
    }

    /// The places at which something is under way.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// Everything under way, each with what is left of its time, in order: what two ledgers are told apart by.
    #[cfg(test)]
    pub(super) fn told_apart(&self, now: Millis, state: &mut impl std::hash::Hasher) {
        use std::hash::Hash as _;
        let sorted: BTreeMap<_, _> = self.places.iter().collect();
        for (place, groups) in sorted {
            place.hash(state);
            for (from, group) in groups {
                (from, group.shared, group.members.len()).hash(state);
                for member in &group.members {
                    (&member.uids, &member.amounts, member.until.saturating_sub(now)).hash(state);
                }
            }
        }
    }

    fn group(&self, place: &Place, from: Option<u64>) -> Option<&Group> {
        self.places.get(place)?.get(&from)
    }

    /// Changes one group, and what is held with it; gives what it holds less than before.
    fn change(&mut self, place: &Place, from: Option<u64>, change: impl FnOnce(&mut Group)) -> Amounts {
        let groups = self.places.entry(place.clone()).or_default();
        let group = groups.entry(from).or_default();
        let before = most(group);
        change(group);
        let after = most(group);
        if group.members.is_empty() {
            groups.remove(&from);
        }
        if groups.is_empty() {
            self.places.remove(place);
        }
        let accounts: BTreeSet<&Account> = before.keys().chain(after.keys()).collect();
        let mut freed = Amounts::new();
        for account in accounts {
            let more = of(&after, account).saturating_sub(of(&before, account));
            add(&mut self.held, account, more);
            if more < 0 {
                self.eased.insert(Arc::clone(&account.tenant));
                freed.insert(account.clone(), more.saturating_neg());
            }
        }
        freed
    }
}

/// The largest amount of each account.
fn most(group: &Group) -> Amounts {
    let mut most = Amounts::new();
    for (account, amount) in group.members.iter().flat_map(|member| &member.amounts) {
        let known = most.entry(account.clone()).or_insert(*amount);
        *known = (*known).max(*amount);
    }
    most
}
