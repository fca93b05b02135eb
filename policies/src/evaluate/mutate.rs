//! The mutating pass: matching bindings change the object one after the other, in their order.
//!
//! Guarantee: the patch is a fixpoint. The ordered pass is repeated until no policy wants another change,
//! at most [`MAX_PASSES`] times, so a reinvocation by the API server finds nothing to do. Where the
//! passes do not come to rest, the policies that changed something in the last one are at fault: one
//! alone undoes or repeats its own work ([`Code::MutationNotIdempotent`]), several undo each other's
//! ([`Code::MutationConflict`]). They fail, and the rest are run again without them, so nothing of a
//! conflict reaches the object even where its failure is ignored. So it is with a policy that changed
//! something and then fails. Each restart drops a policy, so there are at most as many as policies.
//!
//! Cost: policies that change nothing are asked once; where one does, every policy is asked twice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use model::{Code, Enforcement, Finding, Request};
use serde_json::{Map, Value};

use crate::EvaluationError;
use crate::matching::RequestLabels;
use crate::patching;
use crate::set::{CompiledBinding, CompiledPolicy, PolicySet, Target};

use super::engines::{Question, Subject, Time};
use super::validate::policy_use;
use super::{Evaluation, Evaluator, finding, micros_since};

/// The most passes before policies that still change the object are at fault.
const MAX_PASSES: usize = 3;

/// How a row of passes ended.
enum Outcome {
    /// No policy wants another change.
    AtRest,
    /// These still changed something in the last pass, at these paths.
    Restless(BTreeMap<usize, Vec<String>>),
    /// A policy failed after it had changed the object.
    Tainted,
}

/// The state of one request's mutation.
struct Mutation {
    /// The request without its object.
    envelope: Map<String, Value>,
    object: Value,
    /// The request with the object as it is now: written and decoded once per change, not per policy.
    subject: Subject,
    /// Bindings that are not asked again.
    excluded: BTreeSet<usize>,
    /// Bindings whose changes are in the object.
    changed: BTreeSet<usize>,
    findings: BTreeMap<usize, Vec<Finding>>,
    micros: BTreeMap<usize, u32>,
}

impl Evaluator {
    /// Lets every matching mutating binding change the object; gives the patch of all together.
    ///
    /// Bindings that warn or audit change nothing: what they would have changed is a finding.
    pub fn mutate(&mut self, request: &Request, deadline: Instant) -> Evaluation {
        let start = Instant::now();
        let set = Arc::clone(&self.set);
        let mut evaluation = Evaluation::default();
        let Some(text) = &request.object else { return evaluation };
        let (places, failures) = self.matching(request, &mut RequestLabels::default(), deadline);
        let places: Vec<usize> = places.into_iter().filter(|place| mutates(&set, *place)).collect();
        evaluation.failures = failures;
        evaluation.failures.retain(|failure| set.mutates(&failure.binding));
        evaluation.note_match_failures();
        evaluation.matching_micros = micros_since(start);
        let start = Instant::now();
        if !places.is_empty() {
            match read(request, text) {
                Ok((envelope, object)) => {
                    let mutation = Mutation {
                        envelope,
                        object,
                        subject: Subject::new(request.raw.clone()),
                        excluded: BTreeSet::new(),
                        changed: BTreeSet::new(),
                        findings: BTreeMap::new(),
                        micros: BTreeMap::new(),
                    };
                    evaluation.patch = self.settle(&set, &places, mutation, deadline, &mut evaluation);
                }
                Err(error) => {
                    for compiled in places.iter().filter_map(|place| set.bindings.get(*place)) {
                        evaluation.failed(compiled, None, &error, 0);
                    }
                }
            }
        }
        evaluation.evaluate_micros = micros_since(start);
        evaluation
    }

    /// Runs passes until they come to rest; see the head of this file.
    fn settle(
        &mut self,
        set: &PolicySet,
        places: &[usize],
        mut mutation: Mutation,
        deadline: Instant,
        evaluation: &mut Evaluation,
    ) -> Option<Value> {
        let original = mutation.object.clone();
        let as_it_came = mutation.subject.raw();
        loop {
            match self.passes(set, places, &mut mutation, deadline, evaluation) {
                Outcome::AtRest => break,
                Outcome::Restless(changed) => {
                    blame(set, &changed, &mutation, evaluation);
                    mutation.excluded.extend(changed.keys());
                }
                Outcome::Tainted => {}
            }
            mutation.object.clone_from(&original);
            mutation.subject = Subject::new(as_it_came.clone());
            mutation.changed.clear();
        }
        for place in places.iter().filter(|place| !mutation.excluded.contains(place)) {
            let Some(compiled) = set.bindings.get(*place) else { continue };
            let micros = mutation.micros.get(place).copied().unwrap_or_default();
            evaluation.policies.push(policy_use(compiled, ready(compiled), micros));
        }
        evaluation.findings.extend(mutation.findings.into_values().flatten());
        patching::difference(&original, &mutation.object)
    }

    /// Passes until nothing changes, or it cannot be helped.
    fn passes(
        &mut self,
        set: &PolicySet,
        places: &[usize],
        mutation: &mut Mutation,
        deadline: Instant,
        evaluation: &mut Evaluation,
    ) -> Outcome {
        let mut changed = BTreeMap::new();
        for _ in 0..MAX_PASSES {
            changed = self.pass(set, places, mutation, deadline, evaluation);
            if !mutation.changed.is_disjoint(&mutation.excluded) {
                return Outcome::Tainted;
            }
            if changed.is_empty() {
                return Outcome::AtRest;
            }
            mutation.changed.extend(changed.keys());
        }
        Outcome::Restless(changed)
    }

    /// Asks every binding once, in order; gives the paths each one changed.
    fn pass(
        &mut self,
        set: &PolicySet,
        places: &[usize],
        mutation: &mut Mutation,
        deadline: Instant,
        evaluation: &mut Evaluation,
    ) -> BTreeMap<usize, Vec<String>> {
        let mut changed = BTreeMap::new();
        for place in places {
            let Some(compiled) = set.bindings.get(*place) else { continue };
            if mutation.excluded.contains(place) {
                continue;
            }
            let start = Instant::now();
            let result = self.mutate_one(compiled, *place, mutation, deadline);
            let spent = mutation.micros.entry(*place).or_default();
            *spent = spent.saturating_add(micros_since(start));
            match result {
                Ok(paths) if paths.is_empty() => {}
                Ok(paths) => _ = changed.insert(*place, paths),
                Err(error) => {
                    evaluation.failed(compiled, ready(compiled), &error, *spent);
                    mutation.excluded.insert(*place);
                    mutation.findings.remove(place);
                }
            }
        }
        changed
    }

    /// Asks one binding and applies its answer; gives the paths that changed.
    fn mutate_one(
        &mut self,
        compiled: &CompiledBinding,
        place: usize,
        mutation: &mut Mutation,
        deadline: Instant,
    ) -> Result<Vec<String>, EvaluationError> {
        let policy = match &compiled.target {
            Target::Ready(policy) => policy,
            Target::Broken(fault) => return Err(EvaluationError::new(fault.code, fault.message.clone())),
        };
        let subject = &mut mutation.subject;
        let time = Time { now: Instant::now(), deadline };
        let answer = self.engines.ask(Question::Mutate, compiled, policy, subject, &self.objects, time)?;
        let catalogue = &policy.policy.messages;
        let mut findings: Vec<Finding> =
            answer.observations.iter().map(|observation| finding(compiled, observation, catalogue)).collect();
        let mut paths = Vec::new();
        if let Some(wanted) = answer.mutation {
            let changed = patching::apply(&mutation.object, wanted)?;
            paths = patching::paths(&mutation.object, &changed);
            if compiled.binding.enforcement == Enforcement::Deny {
                if !paths.is_empty() {
                    mutation.change(changed)?;
                }
            } else if !paths.is_empty() {
                findings.push(would_change(compiled, &paths));
                paths.clear();
            }
        }
        mutation.findings.insert(place, findings);
        Ok(paths)
    }
}

impl Mutation {
    /// Makes this the object that the next policy sees.
    fn change(&mut self, object: Value) -> Result<(), EvaluationError> {
        self.envelope.insert("object".to_owned(), object.clone());
        let text = serde_json::to_vec(&self.envelope).map_err(|error| {
            EvaluationError::new(Code::Internal, format!("the review cannot be written: {error}"))
        })?;
        self.object = object;
        self.subject = Subject::new(text.into());
        Ok(())
    }
}

impl PolicySet {
    /// Whether the binding of this name changes objects; one whose policy is not there may.
    fn mutates(&self, binding: &str) -> bool {
        self.bindings
            .iter()
            .enumerate()
            .any(|(place, compiled)| compiled.binding.name == binding && mutates(self, place))
    }
}

/// Whether a binding's policy mutates. A broken one is asked on `/validate` only: there its failure
/// refuses the request once, not twice.
fn mutates(set: &PolicySet, place: usize) -> bool {
    set.bindings.get(place).and_then(ready).is_some_and(|policy| policy.policy.mutates)
}

fn ready(compiled: &CompiledBinding) -> Option<&Arc<CompiledPolicy>> {
    match &compiled.target {
        Target::Ready(policy) => Some(policy),
        Target::Broken(_) => None,
    }
}

fn read(request: &Request, text: &[u8]) -> Result<(Map<String, Value>, Value), EvaluationError> {
    let unreadable = |error: serde_json::Error| {
        EvaluationError::new(Code::ReviewMalformed, format!("the object cannot be read: {error}"))
    };
    let mut envelope: Map<String, Value> = serde_json::from_slice(&request.raw).map_err(unreadable)?;
    envelope.remove("object");
    Ok((envelope, serde_json::from_slice(text).map_err(unreadable)?))
}

/// Fails the bindings that keep changing the object.
fn blame(
    set: &PolicySet,
    changed: &BTreeMap<usize, Vec<String>>,
    mutation: &Mutation,
    evaluation: &mut Evaluation,
) {
    let name = |place: &usize| set.bindings.get(*place).map_or("", |compiled| compiled.binding.name.as_str());
    for (place, paths) in changed {
        let Some(compiled) = set.bindings.get(*place) else { continue };
        let paths = shown(paths);
        let others: Vec<&str> = changed.keys().filter(|other| *other != place).map(name).collect();
        let error = if others.is_empty() {
            EvaluationError::new(
                Code::MutationNotIdempotent,
                format!("run again on its own result, it still changes {paths}"),
            )
        } else {
            EvaluationError::new(
                Code::MutationConflict,
                format!("it and binding `{}` keep changing {paths} against each other", others.join("`, `")),
            )
        };
        let micros = mutation.micros.get(place).copied().unwrap_or_default();
        evaluation.failed(compiled, ready(compiled), &error, micros);
    }
}

fn would_change(compiled: &CompiledBinding, paths: &[String]) -> Finding {
    Finding {
        binding: compiled.binding.name.clone(),
        policy: compiled.binding.policy.clone(),
        enforcement: compiled.binding.enforcement,
        code: "would_change".to_owned(),
        message: format!("would change {}", shown(paths)),
        path: paths.first().cloned().unwrap_or_default(),
        details: Map::new(),
        exceptions: compiled.binding.exceptions,
        exception: None,
    }
}

/// The first few paths, for a message.
fn shown(paths: &[String]) -> String {
    const SHOWN: usize = 5;
    let mut text = paths.iter().take(SHOWN).map(|path| format!("`{path}`")).collect::<Vec<_>>().join(", ");
    if paths.len() > SHOWN {
        text.push_str(&format!(" and {} more", paths.len().saturating_sub(SHOWN)));
    }
    text
}
