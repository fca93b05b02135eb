use std::sync::Arc;

use super::account::{Account, Amounts, Charges, Place, gather, of};
use super::reservations::Take;
use super::{Book, Ledger, Millis};

/// A request for growth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// Where the object is.
    pub place: Place,
    /// The tenant.
    pub tenant: Arc<str>,
    /// The PriorityClass of a Pod, empty without one; `None` for everything else.
    pub class: Option<Arc<str>>,
    /// The uid of the object that is created; that of the review for a change.
    pub uid: Arc<str>,
    /// The version of the stored object that is changed; `None` for a create.
    pub from: Option<u64>,
    /// What the stored object counts as.
    pub before: Charges,
    /// What the object will count as.
    pub after: Charges,
    /// When the request has ended for certain.
    pub until: Millis,
}

/// What was taken for a request; gives it back with [`Ledger::release`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    place: Place,
    from: Option<u64>,
    uid: Arc<str>,
}

/// What the share says to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// No limit is concerned: nothing was taken.
    Free,
    /// Taken from the share.
    Taken(Ticket),
    /// The share does not suffice: this domain's has to grow by these amounts.
    Short(Arc<str>, Amounts),
    /// The replica may not decide now: it has not written its lease in time.
    Fenced,
}

impl Ledger {
    /// Takes what a request needs from the share; a dry run only asks.
    pub fn reserve(&mut self, ask: &Ask, dry_run: bool, now: Millis) -> Answer {
        let Some((domain, amounts)) = self.growth(ask) else { return Answer::Free };
        if now >= self.fence {
            return Answer::Fenced;
        }
        let take = Take {
            place: ask.place.clone(),
            from: ask.from,
            uid: Arc::clone(&ask.uid),
            amounts,
            until: ask.until,
        };
        let beyond = self.reservations.beyond(&take);
        let book = self.books.entry(Arc::clone(&domain)).or_default();
        if !dry_run {
            take.amounts.keys().for_each(|account| _ = book.asked.insert(account.clone(), now));
        }
        let checked = book.checked == book.limits;
        if !checked || beyond.iter().any(|(account, more)| self.available(&domain, account) < *more) {
            return Answer::Short(domain, beyond);
        }
        if !dry_run {
            self.reservations.insert(take);
        }
        Answer::Taken(Ticket { place: ask.place.clone(), from: ask.from, uid: Arc::clone(&ask.uid) })
    }

    /// The kinds of limited resources that a request grows in, and by how much; `None` where there are none.
    fn growth(&self, ask: &Ask) -> Option<(Arc<str>, Amounts)> {
        let (name, domain) = self.domains.of_tenant(&ask.tenant)?;
        let mut amounts = Amounts::new();
        for (resource, after) in ask.after.iter() {
            let before =
                ask.before.iter().find(|(name, _)| name == resource).map_or(0, |(_, before)| *before);
            let more = after.saturating_sub(before);
            let account = domain.account(&ask.tenant, resource, ask.class.as_ref()).filter(|_| more > 0);
            amounts.extend(account.map(|account| (account, more)));
        }
        (!amounts.is_empty()).then(|| (Arc::clone(name), amounts))
    }

    /// Gives back what a request took that was refused after all.
    pub fn release(&mut self, ticket: &Ticket) {
        let freed = self.reservations.release(&ticket.place, ticket.from, &ticket.uid);
        gather(&mut self.seen, &freed);
    }

    /// Places whose requests have ended for certain and whose objects were not seen, or where a change starts from what
    /// is the past already, at most so many: to be looked at by a read that starts now, and told to [`Ledger::looked`].
    pub fn expired(&self, now: Millis, most: usize) -> Vec<Place> {
        self.reservations.expired(now, most, |place| Some(self.objects.at(place)?.version))
    }

    /// Takes in what a read of a place found that began at `began`: the uid and the version of the object.
    ///
    /// What ended before and is not there never will be: what it took is free again. What is there stays reserved
    /// until the watch shows it. A change that starts before the version that is there is over: it took place before,
    /// and was seen, or another came first.
    pub fn looked(&mut self, place: &Place, found: Option<(&str, u64)>, began: Millis) {
        let known = self.version(&place.kind).unwrap_or_default();
        // A stored change is not told from one that lost: the watch will.
        if found.is_some_and(|(_, version)| version > known) {
            return;
        }
        if let Some((_, version)) = found {
            let passed = self.reservations.passed(place, version);
            self.settle(&place.kind, version, &passed);
        }
        let freed = self.reservations.end_expired(place, found.map(|(uid, _)| uid), began);
        gather(&mut self.seen, &freed);
    }

    /// What this replica may still give of an account.
    pub(super) fn available(&self, domain: &str, account: &Account) -> i128 {
        let Some(book) = self.books.get(domain) else { return 0 };
        let taken = of(self.reservations.held(), account);
        book.certain(&self.me, account, of(&self.seen, account)).saturating_sub(taken)
    }
}

impl Book {
    /// What the replica holds for certain: the least of what its share may be, without what is in it for objects that
    /// were seen stored.
    fn certain(&self, me: &str, account: &Account, seen: i128) -> i128 {
        let persisted = self.shares.held(me, account).saturating_sub(seen);
        let written = self.open.iter().map(|written| {
            let new = seen.saturating_sub(of(&written.seen, account));
            of(&written.amounts, account).saturating_sub(new)
        });
        written.fold(persisted, i128::min)
    }
}
