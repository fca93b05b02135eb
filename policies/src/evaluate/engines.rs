//! One thread's own instances of the compiled policies.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use model::Code;
use regorus::Value;

use crate::rego::{RegoInstance, input};
use crate::set::{CompiledBinding, CompiledEngine, CompiledPolicy, PolicySet, Target};
use crate::wasm::Call;
use crate::{Answer, EvaluationError};

use super::objects::Objects;

/// When a policy is asked, and when the answer is due: the clock is read once for all that need it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Time {
    pub(super) now: Instant,
    pub(super) deadline: Instant,
}

/// What a policy is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Question {
    /// Is this request fine?
    Validate,
    /// How should the object change?
    Mutate,
}

/// Rego instances by policy, and parameters as Rego values by binding.
#[derive(Debug, Default)]
pub(super) struct Engines {
    instances: HashMap<String, Instance>,
    parameters: HashMap<String, Parameters>,
}

/// A binding's parameters as a Rego value.
#[derive(Debug, Clone)]
struct Parameters {
    value: Value,
    /// Whether the policy may look at `metadata.managedFields`, by its own text or by a parameter.
    whole: bool,
}

#[derive(Debug)]
struct Instance {
    version: Arc<str>,
    rego: RegoInstance,
}

/// The review as every engine reads it; a Rego form is made when the first policy asks that reads it.
pub(super) struct Subject {
    raw: Bytes,
    /// With `metadata.managedFields`.
    whole: Option<Value>,
    /// Without.
    plain: Option<Value>,
}

impl Subject {
    /// A request given as JSON text; [`model::Request::raw`] is the request as it came.
    pub(super) fn new(raw: Bytes) -> Self {
        Self { raw, whole: None, plain: None }
    }

    /// The JSON text.
    pub(super) fn raw(&self) -> Bytes {
        self.raw.clone()
    }

    fn rego(&mut self, whole: bool) -> Result<Value, EvaluationError> {
        let form = if whole { &mut self.whole } else { &mut self.plain };
        if let Some(known) = form {
            return Ok(known.clone());
        }
        let decoded = if whole { input::decode(&self.raw)? } else { input::decode_request(&self.raw)? };
        Ok(form.insert(decoded).clone())
    }
}

impl Engines {
    /// Makes instances for the policies that are new or changed, drops those that are gone.
    pub(super) fn adopt(&mut self, set: &PolicySet) {
        self.parameters.clear();
        let mut kept = HashMap::with_capacity(self.instances.len());
        for compiled in &set.bindings {
            let Target::Ready(policy) = &compiled.target else { continue };
            let CompiledEngine::Rego(program) = &policy.engine else { continue };
            let whole = program.reads_managed_fields() || compiled.parameters.contains(input::MANAGED_FIELDS);
            let parameters = Parameters { value: input::from_json(&compiled.binding.parameters), whole };
            self.parameters.insert(compiled.binding.name.clone(), parameters);
            let name = &policy.policy.name;
            if kept.contains_key(name) {
                continue;
            }
            let instance = match self.instances.remove(name) {
                Some(instance) if instance.version == policy.version => Some(instance),
                // What cannot be made now is tried again, and reported, at the first request.
                _ => {
                    program.instantiate().ok().map(|rego| Instance { version: policy.version.clone(), rego })
                }
            };
            kept.extend(instance.map(|instance| (name.clone(), instance)));
        }
        self.instances = kept;
    }

    /// Asks one binding's policy.
    pub(super) fn ask(
        &mut self,
        question: Question,
        compiled: &CompiledBinding,
        policy: &Arc<CompiledPolicy>,
        subject: &mut Subject,
        objects: &Objects,
        time: Time,
    ) -> Result<Answer, EvaluationError> {
        objects.check(&policy.policy.lookups)?;
        let left = time.deadline.saturating_duration_since(time.now);
        if left.is_zero() {
            return Err(EvaluationError::new(Code::DeadlineExceeded, "no time was left to ask this policy"));
        }
        let budget = left.min(policy.limits.timeout);
        match &policy.engine {
            CompiledEngine::Rego(_) => self.ask_rego(question, compiled, policy, subject, objects, budget),
            CompiledEngine::Wasm(module) => {
                let call = Call {
                    request: &subject.raw,
                    settings: &compiled.parameters,
                    lookups: objects,
                    declared: &policy.policy.lookups,
                    limits: &policy.limits,
                    budget,
                };
                match question {
                    Question::Validate => module.validate(&call),
                    Question::Mutate => module.mutate(&call),
                }
            }
        }
    }

    fn ask_rego(
        &mut self,
        question: Question,
        compiled: &CompiledBinding,
        policy: &Arc<CompiledPolicy>,
        subject: &mut Subject,
        objects: &Objects,
        budget: Duration,
    ) -> Result<Answer, EvaluationError> {
        let Some(Parameters { value, whole }) = self.parameters.get(&compiled.binding.name) else {
            return Err(EvaluationError::new(Code::Internal, "the binding's parameters were not read"));
        };
        let input = input::envelope(&subject.rego(*whole)?, value);
        let data = objects.data(&policy.policy.lookups);
        let instance = self.instance(policy)?;
        match question {
            Question::Validate => instance.validate(input, data, &policy.limits, budget),
            Question::Mutate => instance.mutate(input, data, &policy.limits, budget),
        }
    }

    fn instance(&mut self, policy: &CompiledPolicy) -> Result<&mut RegoInstance, EvaluationError> {
        let CompiledEngine::Rego(program) = &policy.engine else {
            return Err(EvaluationError::new(Code::Internal, "the policy is not written in Rego"));
        };
        let name = &policy.policy.name;
        if !self.instances.contains_key(name) {
            let instance = Instance { version: policy.version.clone(), rego: program.instantiate()? };
            self.instances.insert(name.clone(), instance);
        }
        let instance = self.instances.get_mut(name).map(|instance| &mut instance.rego);
        instance.ok_or_else(|| EvaluationError::new(Code::Internal, "the policy has no instance"))
    }
}
