//! The requests that wait for their replica's share to grow.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::{Counts, Full, Refused};
use crate::ledger::{Amounts, Answer, Ask, Demand, Draft, Ledger, Millis, Short, Ticket};

/// How long a request waits for others to give back what they hold and do not need.
const RECALL: Duration = Duration::from_secs(1);
/// How long it waits for news where nobody holds more than needed: what a watch is about to tell.
const NEWS: Duration = Duration::from_millis(25);
/// How many of the largest consumers a refusal tells.
const CONSUMERS: usize = 3;

/// The ledger, and who waits for it by domain.
#[derive(Debug)]
pub(super) struct State {
    pub(super) ledger: Ledger,
    pub(super) waiting: BTreeMap<Arc<str>, Vec<Waiting>>,
    pub(super) last: u64,
    pub(super) counts: Counts,
}

#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) demand: Demand,
    ask: Ask,
    since: Instant,
    pub(super) answer: oneshot::Sender<Result<Option<Ticket>, Refused>>,
}

impl State {
    pub(super) fn queue(
        &mut self,
        domain: &Arc<str>,
        ask: Ask,
        amounts: Amounts,
    ) -> oneshot::Receiver<Result<Option<Ticket>, Refused>> {
        let (answer, answered) = oneshot::channel();
        self.last = self.last.wrapping_add(1);
        let demand = Demand { id: self.last, amounts };
        let waiting = self.waiting.entry(Arc::clone(domain)).or_default();
        waiting.push(Waiting { demand, ask, since: Instant::now(), answer });
        answered
    }

    /// Whether a request would fit if every replica held only what it needs; nothing is written for it.
    pub(super) fn would_fit(
        &mut self,
        domain: &Arc<str>,
        ask: &Ask,
        amounts: Amounts,
        now: Millis,
    ) -> Result<Option<Ticket>, Refused> {
        let demand = [Demand { id: 0, amounts }];
        let Some(draft) = self.ledger.draft(domain, &demand, &BTreeSet::new(), now) else {
            return Err(Refused::Late);
        };
        match draft.short.first() {
            Some((_, short)) if draft.waits_for.is_empty() => {
                self.counts.refused = self.counts.refused.saturating_add(1);
                Err(Refused::Full(Box::new(full(&self.ledger, domain, ask, short))))
            }
            _ => Ok(None),
        }
    }

    /// Answers those that wait, with a draft in force: what fits is taken, what does not is refused once nothing can
    /// change that soon.
    pub(super) fn answer(&mut self, draft: &Draft, now: Millis) {
        let Some(waiting) = self.waiting.get_mut(&draft.domain) else { return };
        for one in std::mem::take(waiting) {
            if draft.fits.contains(&one.demand.id) {
                match self.ledger.reserve(&one.ask, false, now) {
                    Answer::Taken(ticket) => {
                        if let Err(Ok(Some(ticket))) = one.answer.send(Ok(Some(ticket))) {
                            self.ledger.release(&ticket);
                        }
                        self.counts.waited = self.counts.waited.saturating_add(1);
                    }
                    Answer::Free => _ = one.answer.send(Ok(None)),
                    Answer::Fenced => _ = one.answer.send(Err(Refused::Fenced)),
                    // Another took it meanwhile.
                    Answer::Short(_, amounts) => {
                        let demand = Demand { amounts, ..one.demand };
                        waiting.push(Waiting { demand, ..one });
                    }
                }
                continue;
            }
            let patience = if draft.waits_for.is_empty() { NEWS } else { RECALL };
            let short = draft.short.iter().find(|(id, _)| *id == one.demand.id);
            match short.filter(|_| one.since.elapsed() >= patience) {
                Some((_, short)) => {
                    self.counts.refused = self.counts.refused.saturating_add(1);
                    let full = full(&self.ledger, &draft.domain, &one.ask, short);
                    _ = one.answer.send(Err(Refused::Full(Box::new(full))));
                }
                None => waiting.push(one),
            }
        }
        if waiting.is_empty() {
            self.waiting.remove(&draft.domain);
        }
    }
}

fn full(ledger: &Ledger, domain: &str, ask: &Ask, short: &Short) -> Full {
    let consumers = ledger.consumers(&ask.tenant, &short.account.resource, CONSUMERS);
    Full { line: ledger.line(domain, &short.limit), short: short.clone(), consumers }
}
