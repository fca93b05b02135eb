//! The validating pass: every matching binding is asked, whatever the others say.

use std::sync::Arc;
use std::time::Instant;

use model::{PolicyUse, Request};

use crate::EvaluationError;
use crate::matching::RequestLabels;
use crate::set::{CompiledBinding, CompiledPolicy, Target};

use super::engines::{Question, Subject, Time};
use super::{Evaluation, Evaluator, failure, finding, micros_since};

impl Evaluator {
    /// Asks every matching binding about a request.
    ///
    /// A failure of one never keeps another from being asked; past the deadline the rest fail with
    /// [`model::Code::DeadlineExceeded`].
    pub fn validate(&mut self, request: &Request, deadline: Instant) -> Evaluation {
        let start = Instant::now();
        let mut labels = RequestLabels::default();
        let (places, failures) = self.matching(request, &mut labels, deadline);
        let mut evaluation =
            Evaluation { failures, matching_micros: micros_since(start), ..Evaluation::default() };
        evaluation.note_match_failures();
        let start = Instant::now();
        let set = Arc::clone(&self.set);
        let mut subject = Subject::new(request.raw.clone());
        for compiled in places.iter().filter_map(|place| set.bindings.get(*place)) {
            self.validate_one(compiled, &mut subject, deadline, &mut evaluation);
        }
        evaluation.evaluate_micros = micros_since(start);
        evaluation
    }

    fn validate_one(
        &mut self,
        compiled: &CompiledBinding,
        subject: &mut Subject,
        deadline: Instant,
        evaluation: &mut Evaluation,
    ) {
        let policy = match &compiled.target {
            Target::Ready(policy) => policy,
            Target::Broken(fault) => {
                let error = EvaluationError::new(fault.code, fault.message.clone());
                evaluation.failed(compiled, None, &error, 0);
                return;
            }
        };
        let time = Time { now: Instant::now(), deadline };
        let answer = self.engines.ask(Question::Validate, compiled, policy, subject, &self.objects, time);
        let micros = micros_since(time.now);
        match answer {
            Ok(answer) => {
                let catalogue = &policy.policy.messages;
                let found =
                    answer.observations.iter().map(|observation| finding(compiled, observation, catalogue));
                evaluation.findings.extend(found);
                evaluation.policies.push(policy_use(compiled, Some(policy), micros));
            }
            Err(error) => evaluation.failed(compiled, Some(policy), &error, micros),
        }
    }
}

impl Evaluation {
    /// Keeps the bindings whose rules failed among those that were asked.
    pub(super) fn note_match_failures(&mut self) {
        self.policies.extend(self.failures.iter().map(|failure| PolicyUse {
            binding: failure.binding.as_str().into(),
            policy: failure.policy.as_str().into(),
            version: Arc::default(),
            micros: 0,
            failure: Some(failure.code.as_str().to_owned()),
            failure_message: Some(failure.message.clone()),
        }));
    }

    /// Notes that a binding could not answer.
    pub(super) fn failed(
        &mut self,
        compiled: &CompiledBinding,
        policy: Option<&Arc<CompiledPolicy>>,
        error: &EvaluationError,
        micros: u32,
    ) {
        self.failures.push(failure(compiled, error));
        let mut used = policy_use(compiled, policy, micros);
        used.failure = Some(error.code.as_str().to_owned());
        used.failure_message = Some(error.message.clone());
        self.policies.push(used);
    }
}

pub(super) fn policy_use(
    compiled: &CompiledBinding,
    policy: Option<&Arc<CompiledPolicy>>,
    micros: u32,
) -> PolicyUse {
    let [binding, name] = &compiled.names;
    PolicyUse {
        binding: Arc::clone(binding),
        policy: Arc::clone(name),
        version: policy.map(|policy| Arc::clone(&policy.version)).unwrap_or_default(),
        micros,
        failure: None,
        failure_message: None,
    }
}
