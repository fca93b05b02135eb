//! The next writes that bring grants to where they are needed. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::share::{occupied, sum, targets};
use super::{Hard, NAMESPACES_OF_A_POOL, Quota, Record, Situation};

/// A write. Each may fail or be lost: the next plan starts from what is then known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Write the record, if it is still the one that the plan was made from.
    Record(Record),
    /// Create the quota of a namespace, which names no resources yet: what is under way is not refused by it.
    Create(Arc<str>),
    /// Write `spec.hard` of the quota of a namespace with this annotation, if it still has this version.
    Spec(Arc<str>, u64, Hard, u64),
    /// Write these of `status.hard` of the quota of a namespace, if it still has this version.
    Status(Arc<str>, u64, Hard),
    /// Delete the quota of a namespace with this uid.
    Delete(Arc<str>, Arc<str>),
    /// Read the quota of a namespace: whether the one with this uid is gone.
    Look(Arc<str>, Arc<str>),
    /// Delete the record.
    Forget,
}

/// What can be done now, all of it at once: nothing of it depends on another part.
pub fn plan(now: &Situation<'_>) -> Vec<Step> {
    let Some(budget) = now.budget else { return dissolve(now) };
    let Some(record) = now.record else {
        return vec![Step::Record(Record { turn: now.first, grants: BTreeMap::new() })];
    };
    let mut steps = keep(now, record);
    let mut draft = Draft { next: record.clone(), ..Draft::default() };
    let targets = targets(now, record, budget);
    let none = Hard::new();
    for namespace in now.members.keys() {
        let Some(quota) = now.quotas.get(namespace).filter(|quota| quota.fits(now.counted)) else { continue };
        let target = targets.get(namespace).unwrap_or(&none);
        lower_or_open(record, budget, namespace, quota, target, &mut draft);
    }
    draft.next.grants.retain(|namespace, grant| {
        let stays = now.members.contains_key(namespace) || now.quotas.contains_key(namespace);
        stays || !(grant.uid.is_empty() || now.gone.contains(&grant.uid))
    });
    for grant in draft.next.grants.values_mut() {
        grant.hard.retain(|resource, _| budget.contains_key(resource));
    }
    raise(now, budget, &targets, &mut draft);
    let differs = draft.next.grants != record.grants;
    if draft.urgent || ((differs || draft.blocked) && !draft.settling) {
        let fit = now.quotas.values().filter(|quota| quota.fits(now.counted));
        let turns = fit.map(|quota| quota.turn);
        draft.next.turn = turns.fold(record.turn, u64::max).saturating_add(1);
        // What is annotated with this turn is in vain when the turn is over.
        draft.steps.retain(|step| !matches!(step, Step::Spec(_, _, _, turn) if *turn == record.turn));
        steps.push(Step::Record(draft.next));
    }
    steps.extend(draft.steps);
    steps
}

/// A plan as it comes to be.
#[derive(Debug, Default)]
struct Draft {
    next: Record,
    steps: Vec<Step>,
    /// Whether something is being lowered, and not settled yet.
    settling: bool,
    /// Whether a quota may only be raised at the next turn.
    blocked: bool,
    /// Whether somebody waits for what the record gives them.
    urgent: bool,
}

/// Takes everything away; nothing is enforced by quotas any more.
fn dissolve(now: &Situation<'_>) -> Vec<Step> {
    let quotas = now.quotas.iter();
    let steps: Vec<_> = quotas
        .map(|(namespace, quota)| Step::Delete(Arc::clone(namespace), Arc::clone(&quota.uid)))
        .collect();
    match now.record {
        Some(_) if steps.is_empty() => vec![Step::Forget],
        _ => steps,
    }
}

/// Which quotas have to come, to go, and to be looked for.
fn keep(now: &Situation<'_>, record: &Record) -> Vec<Step> {
    let missing = now.members.iter().filter(|(name, goes)| !**goes && !now.quotas.contains_key(*name));
    let mut steps: Vec<_> = missing.map(|(name, _)| Step::Create(Arc::clone(name))).collect();
    for (namespace, quota) in now.quotas {
        if !quota.fits(now.counted) || !now.members.contains_key(namespace) {
            steps.push(Step::Delete(Arc::clone(namespace), Arc::clone(&quota.uid)));
        }
    }
    for (namespace, grant) in &record.grants {
        let known = now.quotas.contains_key(namespace) || now.members.contains_key(namespace);
        if !known && !grant.uid.is_empty() && !now.gone.contains(&grant.uid) {
            steps.push(Step::Look(Arc::clone(namespace), Arc::clone(&grant.uid)));
        }
    }
    steps
}

/// What has to be written to one quota, and what of its grant is settled by it.
fn lower_or_open(
    record: &Record,
    budget: &Hard,
    namespace: &Arc<str>,
    quota: &Quota,
    target: &Hard,
    draft: &mut Draft,
) {
    let is_open = record.grants.get(namespace).is_some_and(|grant| grant.uid == quota.uid);
    // Either this record is old, or the annotation was written by hand.
    if quota.turn > record.turn {
        draft.blocked = true;
        return;
    }
    let (mut spec, mut lowers) = (Hard::new(), false);
    for resource in budget.keys() {
        let granted = record.hard(namespace, resource);
        let wanted = target.get(resource).copied().unwrap_or_default().min(granted);
        lowers |= is_open && wanted < granted;
        let found = quota.spec.get(resource).copied();
        let may_rise = is_open && quota.turn < record.turn;
        let value = match found {
            Some(found) if found >= wanted => Some(wanted),
            _ if may_rise => Some(wanted),
            found => {
                draft.blocked |= is_open;
                found
            }
        };
        spec.extend(value.map(|value| (Arc::clone(resource), value)));
    }
    let turn = if lowers { record.turn } else { quota.turn };
    if spec != quota.spec || turn != quota.turn {
        draft.steps.push(Step::Spec(Arc::clone(namespace), quota.version, spec, turn));
        draft.settling |= lowers;
        return;
    }
    let status = status(quota);
    if !status.is_empty() {
        draft.steps.push(Step::Status(Arc::clone(namespace), quota.version, status));
        draft.settling |= lowers;
        if lowers {
            return;
        }
    }
    settle(record, budget, namespace, quota, is_open, draft);
}

/// What of `status.hard` is not as `spec.hard` has it, never below what is used.
fn status(quota: &Quota) -> Hard {
    let mut status = Hard::new();
    for (resource, spec) in &quota.spec {
        let Some(used) = quota.used.get(resource) else { continue };
        let found = quota.status.get(resource);
        let value = match found {
            Some(found) if found > spec => *spec.max(used).min(found),
            _ => *spec,
        };
        if found != Some(&value) {
            status.insert(Arc::clone(resource), value);
        }
    }
    status
}

/// Takes into the record what a quota's claim is, where that is less than its grant.
fn settle(
    record: &Record,
    budget: &Hard,
    namespace: &Arc<str>,
    quota: &Quota,
    is_open: bool,
    draft: &mut Draft,
) {
    if draft.next.grants.len() >= NAMESPACES_OF_A_POOL && !record.grants.contains_key(namespace) {
        return;
    }
    let grant = draft.next.grants.entry(Arc::clone(namespace)).or_default();
    if !is_open {
        let fits = |resource: &Arc<str>| {
            let granted = record.hard(namespace, resource);
            let of = |hard: &Hard| hard.get(resource).is_none_or(|amount| *amount <= granted);
            of(&quota.spec) && of(&quota.status)
        };
        if budget.keys().all(fits) {
            grant.uid = Arc::clone(&quota.uid);
        }
        return;
    }
    // INVARIANT: annotated with this turn, the quota is not raised before the next one.
    if quota.turn != record.turn {
        return;
    }
    for resource in budget.keys() {
        let granted = record.hard(namespace, resource);
        if let Some(claim) = quota.claim(resource).filter(|claim| *claim < granted) {
            grant.hard.insert(Arc::clone(resource), claim);
        }
    }
}

/// Raises grants in the record, as far as they and all that is used fit.
fn raise(now: &Situation<'_>, budget: &Hard, targets: &BTreeMap<Arc<str>, Hard>, draft: &mut Draft) {
    for (resource, budget) in budget {
        let taken = |next: &Record| sum(next.grants.keys().map(|name| occupied(now, next, name, resource)));
        let strangers = now.quotas.iter().filter(|(name, _)| !draft.next.grants.contains_key(*name));
        let theirs = sum(strangers.map(|(name, _)| occupied(now, &draft.next, name, resource)));
        let mut free = budget.saturating_sub(taken(&draft.next)).saturating_sub(theirs);
        // Nothing is raised until everything fits.
        if free < 0 {
            continue;
        }
        let needs = |name: &Arc<str>| {
            now.needs.get(name).and_then(|need| need.get(resource)).is_some_and(|need| *need > 0)
        };
        let mut order: Vec<&Arc<str>> = targets.keys().collect();
        order.sort_by_key(|name| !needs(name));
        for name in order {
            let target =
                targets.get(name).and_then(|target| target.get(resource)).copied().unwrap_or_default();
            let granted = draft.next.hard(name, resource);
            // What is used already takes of the budget, granted or not.
            let base = occupied(now, &draft.next, name, resource).max(granted);
            let more = target.saturating_sub(base).min(free).max(0);
            let raised = base.min(target).saturating_add(more);
            let Some(grant) = draft.next.grants.get_mut(name).filter(|_| raised > granted) else { continue };
            free = free.saturating_sub(more);
            grant.hard.insert(Arc::clone(resource), raised);
            draft.urgent |= needs(name);
        }
    }
}
