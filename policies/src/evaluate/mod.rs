//! One evaluation thread's world: the policy set in force, engines of its own, and the objects policies
//! may look up. Nothing here is shared with another thread.

mod engines;
mod memory;
mod mutate;
mod objects;
mod pool;
mod validate;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use model::{Code, Failure, Finding, ObjectEvent, Observation, PolicyUse, Request};

use crate::matching::{RequestLabels, RouteKey, Routes};
use crate::set::CompiledBinding;
use crate::{EvaluationError, PolicySet};

use engines::Engines;
use objects::Objects;
pub use pool::{EvaluationPool, PoolConfig, PoolCounts, SubmitError};

/// How long a request waits for its namespace to appear in the watch cache.
const NAMESPACE_WAIT: Duration = Duration::from_millis(500);

/// What all matching bindings said of one request.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Evaluation {
    /// Every fault found.
    pub findings: Vec<Finding>,
    /// Every binding that could not answer.
    pub failures: Vec<Failure>,
    /// Every binding that was asked.
    pub policies: Vec<PolicyUse>,
    /// The JSON Patch operations of a mutation; `None` when nothing changes.
    pub patch: Option<serde_json::Value>,
    /// Microseconds spent on matching.
    pub matching_micros: u32,
    /// Microseconds spent on evaluation.
    pub evaluate_micros: u32,
}

/// One thread's engines, objects and memo.
#[derive(Debug)]
pub struct Evaluator {
    set: Arc<PolicySet>,
    engines: Engines,
    objects: Objects,
    routes: Routes,
    events: Receiver<ObjectEvent>,
}

impl Evaluator {
    /// An evaluator over the empty set, which hears of cluster objects through `events`.
    pub fn new(events: Receiver<ObjectEvent>) -> Self {
        Self {
            set: Arc::new(PolicySet::empty()),
            engines: Engines::default(),
            objects: Objects::default(),
            routes: Routes::default(),
            events,
        }
    }

    /// Puts a set in force: makes this thread's instances of its policies.
    pub fn adopt(&mut self, set: Arc<PolicySet>) {
        self.engines.adopt(&set);
        self.objects.serve(set.bindings.iter().filter_map(CompiledBinding::rego_lookups));
        self.routes.clear();
        self.set = set;
    }

    /// Takes in every change of the watch caches that is waiting.
    pub fn refresh(&mut self) {
        while let Ok(event) = self.events.try_recv() {
            self.apply(&event);
        }
    }

    /// Takes in one change of the watch caches.
    pub fn apply(&mut self, event: &ObjectEvent) {
        for namespace in self.objects.apply(event) {
            self.routes.forget_namespace(&namespace);
        }
    }

    /// Drops every engine instance, after a panic, and makes new ones.
    pub(crate) fn renew(&mut self) {
        self.engines = Engines::default();
        let set = Arc::clone(&self.set);
        self.adopt(set);
    }

    /// The bindings that match, by their place in the set, in order; and those whose rules failed.
    fn matching(
        &mut self,
        request: &Request,
        labels: &mut RequestLabels,
        deadline: Instant,
    ) -> (Vec<usize>, Vec<Failure>) {
        let set = Arc::clone(&self.set);
        let mut failures = Vec::new();
        let places = self.routes(request, labels, deadline, &mut failures);
        let mut matching = Vec::with_capacity(places.len());
        for place in places.iter() {
            let Some(compiled) = set.bindings.get(*place) else { continue };
            match compiled.matcher.matches_object(request, labels) {
                Ok(true) => matching.push(*place),
                Ok(false) => {}
                Err(error) => failures.push(failure(compiled, &error)),
            }
        }
        (matching, failures)
    }

    /// What kind, operation and namespace decide; remembered where no rule failed.
    fn routes(
        &mut self,
        request: &Request,
        labels: &mut RequestLabels,
        deadline: Instant,
        failures: &mut Vec<Failure>,
    ) -> Arc<[usize]> {
        let key = RouteKey::of(request);
        // A Namespace is tested by labels of its own, which no key holds.
        let memorable = !request.is_namespace();
        if let Some(known) = self.routes.get(&key).filter(|_| memorable) {
            return known;
        }
        let set = Arc::clone(&self.set);
        let mut places = Vec::new();
        for place in set.index.candidates(request) {
            let Some(compiled) = set.bindings.get(place) else { continue };
            if !compiled.matcher.matches_resource(request) {
                continue;
            }
            match self.matches_namespace(compiled, request, labels, deadline) {
                Ok(true) => places.push(place),
                Ok(false) => {}
                Err(error) => failures.push(failure(compiled, &error)),
            }
        }
        if memorable && failures.is_empty() { self.routes.insert(key, places) } else { places.into() }
    }

    fn matches_namespace(
        &mut self,
        compiled: &CompiledBinding,
        request: &Request,
        labels: &mut RequestLabels,
        deadline: Instant,
    ) -> Result<bool, EvaluationError> {
        if request.is_namespace() {
            return compiled.matcher.matches_own_namespace(request, labels);
        }
        if request.is_cluster_scoped() {
            return Ok(true);
        }
        if compiled.matcher.selects_namespaces() {
            self.await_namespace(&request.namespace, deadline);
        }
        compiled.matcher.matches_namespace(&request.namespace, || {
            self.objects.namespace_labels(&request.namespace).ok_or_else(|| {
                EvaluationError::new(
                    Code::MatchError,
                    format!(
                        "namespace `{}` is not in the cache, so its labels are not known",
                        request.namespace
                    ),
                )
            })
        })
    }

    /// Waits, bounded, until the namespace is in the cache: a new one may not have been seen yet.
    /// Without a cache of namespaces there is nothing to wait for.
    fn await_namespace(&mut self, namespace: &str, deadline: Instant) {
        let until = deadline.min(after(Instant::now(), NAMESPACE_WAIT));
        while self.objects.caches_namespaces() && self.objects.namespace_labels(namespace).is_none() {
            match self.events.recv_deadline(until) {
                Ok(event) => self.apply(&event),
                Err(_) => return,
            }
        }
    }
}

/// A failure of one binding.
fn failure(compiled: &CompiledBinding, error: &EvaluationError) -> Failure {
    Failure {
        binding: compiled.binding.name.clone(),
        policy: compiled.binding.policy.clone(),
        enforcement: compiled.binding.enforcement,
        failure_policy: compiled.binding.failure_policy,
        code: error.code,
        message: error.message.clone(),
    }
}

/// A finding of one binding, with the catalogue's message.
fn finding(
    compiled: &CompiledBinding,
    observation: &Observation,
    catalogue: &std::collections::BTreeMap<String, String>,
) -> Finding {
    let warn = observation.warn_only && compiled.binding.enforcement == model::Enforcement::Deny;
    Finding {
        binding: compiled.binding.name.clone(),
        policy: compiled.binding.policy.clone(),
        enforcement: if warn { model::Enforcement::Warn } else { compiled.binding.enforcement },
        code: observation.code.clone(),
        message: observation.render(catalogue),
        path: observation.path.clone(),
        details: observation.details.clone(),
        exceptions: compiled.binding.exceptions,
        exception: None,
    }
}

/// A moment later, or the same one where there is no later.
fn after(now: Instant, wait: Duration) -> Instant {
    now.checked_add(wait).unwrap_or(now)
}

/// Microseconds since a moment, at most what fits.
fn micros_since(start: Instant) -> u32 {
    u32::try_from(start.elapsed().as_micros()).unwrap_or(u32::MAX)
}
