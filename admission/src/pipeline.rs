//! The request path: one function, one line a stage.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use audit::AuditSink;
use bytes::Bytes;
use fairness::seats::{Cause, Seats, Unseated, Until, Wish};
use model::{
    Code, Decision, Exceptions, LoadFault, Operation, Record, Request, ReviewError, Verdict, decode_review,
};
use policies::{Evaluation, EvaluationPool, Evaluator, SubmitError};
use tokio::sync::{Semaphore, oneshot, watch};
use tracing::field::Empty;
use tracing::{Instrument as _, Span};
use uuid::Uuid;

use crate::budget::Budgets;
use crate::decision::{Contact, decide, refuse};
use crate::guard::{Guard, Wall};
use crate::hostnames::{self, GiveBack, HostnameClaims};
use crate::metrics::AdmissionMetrics;
use crate::rates::{TooSoon, WriteRates};

/// The group of Bailey's own objects.
const OWN_GROUP: &str = "bailey.dev";
/// How many of Bailey's own objects are compiled at once for their own admission.
const CHECKS: usize = 2;
/// How long a refusal may take to be written once evaluation overran: kept for the way back.
const GRACE: Duration = Duration::from_millis(5);

/// Which webhook was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// `/mutate`.
    Mutate,
    /// `/validate`.
    Validate,
}

impl Phase {
    /// The phase as it is counted and kept.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mutate => "mutate",
            Self::Validate => "validate",
        }
    }
}

/// Checks one of Bailey's own objects at its own admission: warnings, or what is wrong with it.
pub type ConfigCheck = Arc<dyn Fn(&Request) -> Result<Vec<String>, LoadFault> + Send + Sync>;

/// Everything a review passes through.
pub struct Admission {
    pool: Arc<EvaluationPool>,
    seats: Arc<Seats>,
    audit: AuditSink,
    pub(crate) metrics: AdmissionMetrics,
    pub(crate) guard: Guard,
    budgets: Option<Budgets>,
    hostnames: Option<HostnameClaims>,
    pub(crate) rates: Option<WriteRates>,
    check: ConfigCheck,
    checks: Arc<Semaphore>,
    pub(crate) contact: Contact,
    pub(crate) ready: Arc<AtomicBool>,
    exceptions: watch::Receiver<Arc<Exceptions>>,
}

/// What an admission path is made of.
pub struct Parts {
    /// Where policies are evaluated.
    pub pool: Arc<EvaluationPool>,
    /// Who evaluates next.
    pub seats: Arc<Seats>,
    /// Where decisions are kept.
    pub audit: AuditSink,
    /// Where they are counted.
    pub metrics: AdmissionMetrics,
    /// The walls of tenants.
    pub guard: Guard,
    /// The budgets of tenants; `None` without a cluster.
    pub budgets: Option<Budgets>,
    /// Where host names are claimed; `None` without a cluster.
    pub hostnames: Option<HostnameClaims>,
    /// How often tenants may change things; `None` without a cluster.
    pub rates: Option<WriteRates>,
    /// The newest exceptions of policies.
    pub exceptions: watch::Receiver<Arc<Exceptions>>,
    /// The check of Bailey's own objects.
    pub check: ConfigCheck,
    /// Whom the refused may ask.
    pub contact: Contact,
    /// Reviews are refused with [`Code::NotReady`] until this is true.
    pub ready: Arc<AtomicBool>,
}

/// A review's answer: the decision, and the uid it answers where the review had one.
#[derive(Debug)]
pub struct Answered {
    /// The uid of the review; `None` when it could not be decoded.
    pub uid: Option<String>,
    /// What was decided.
    pub decision: Decision,
}

impl Admission {
    /// An admission path over these parts.
    pub fn new(parts: Parts) -> Self {
        let Parts {
            pool,
            seats,
            audit,
            metrics,
            guard,
            budgets,
            hostnames,
            rates,
            exceptions,
            check,
            contact,
            ready,
        } = parts;
        let checks = Arc::new(Semaphore::new(CHECKS));
        Self {
            pool,
            seats,
            audit,
            metrics,
            guard,
            budgets,
            hostnames,
            rates,
            check,
            checks,
            contact,
            ready,
            exceptions,
        }
    }

    /// Decides on one review: the whole path, from bytes to decision and record, in one trace span.
    pub async fn admit(&self, phase: Phase, body: &Bytes, start: Instant, deadline: Instant) -> Answered {
        let id = Uuid::now_v7().to_string();
        let span = tracing::info_span!(
            "admission_review",
            phase = phase.as_str(),
            decision = id,
            uid = Empty,
            allowed = Empty,
            code = Empty,
            queue_us = Empty,
            matching_us = Empty,
            evaluate_us = Empty,
        );
        let answered = self.admit_as(id, phase, body, start, deadline).instrument(span.clone()).await;
        trace(&span, &answered);
        answered
    }

    async fn admit_as(
        &self,
        id: String,
        phase: Phase,
        body: &Bytes,
        start: Instant,
        deadline: Instant,
    ) -> Answered {
        self.metrics.in_flight.inc();
        let decoded = decode_review(body);
        let decode = micros_since(start);
        if let Ok(request) = &decoded {
            self.guard.settle(request, deadline).await;
        }
        let mut decision = match &decoded {
            Err(error) => self.undecodable(id, error),
            Ok(_) if !self.ready.load(Ordering::Acquire) => self.not_ready(id),
            Ok(request) => match self.pace(phase, request) {
                Err(soon) => self.too_soon(id, soon),
                Ok(()) => self.judge(id, phase, request, deadline).await,
            },
        };
        if let Ok(request) = &decoded {
            decision = self.take(phase, request, decision, deadline).await;
        }
        decision.times.decode = decode;
        decision.times.total = micros_since(start);
        self.metrics.count(phase, &decision);
        let request = decoded.ok();
        let mut record = record(phase, request.as_ref(), &decision);
        record.tenant = request.as_ref().and_then(|request| self.guard.tenant_of(request));
        self.audit.record(record);
        self.metrics.in_flight.dec();
        Answered { uid: request.map(|request| request.uid), decision }
    }

    /// First, once for each request: whether its tenant may do something now.
    fn pace(&self, phase: Phase, request: &Request) -> Result<(), TooSoon> {
        let Some(rates) = self.rates.as_ref().filter(|_| phase == Phase::Validate) else { return Ok(()) };
        let Some(tenant) = self.guard.payer_of(request) else { return Ok(()) };
        rates.pass(&tenant, request)
    }

    fn too_soon(&self, id: String, soon: TooSoon) -> Decision {
        let mut decision = refuse(id, Code::RateLimited, &soon.message, &self.contact);
        if let Verdict::Denied { retry_after_seconds, .. } = &mut decision.verdict {
            *retry_after_seconds = soon.seconds();
        }
        decision
    }

    /// Holds a request against the walls, and asks the policies about what they let pass.
    async fn judge(&self, id: String, phase: Phase, request: &Request, deadline: Instant) -> Decision {
        match self.guard.judge(phase, request) {
            Err(wall) => {
                self.metrics.hit(wall.rule);
                refuse(id, wall.code, &wall.message, &self.contact)
            }
            Ok(None) => self.ask(id, phase, request, deadline).await,
            Ok(Some(changed)) => {
                let decision = self.ask(id, phase, &changed.request, deadline).await;
                with_patch(changed.patch, decision)
            }
        }
    }

    /// Last, for what nothing refuses: takes the host names that the object brings, and what it needs from the budgets
    /// of its tenant.
    async fn take(&self, phase: Phase, request: &Request, decision: Decision, deadline: Instant) -> Decision {
        if phase != Phase::Validate || !decision.verdict.is_allowed() {
            return decision;
        }
        let names = match self.claim(request, deadline).await {
            Ok(names) => names,
            Err(wall) => {
                self.metrics.hit(wall.rule);
                return self.refuse_after(decision, wall.code, &wall.message);
            }
        };
        let Some(budgets) = &self.budgets else { return decision };
        match budgets.charge(request, deadline).await {
            Ok(()) => decision,
            Err(refusal) => {
                names.map(tokio::spawn);
                self.refuse_after(decision, refusal.code, &refusal.message)
            }
        }
    }

    /// Claims the host names that a request brings.
    async fn claim(&self, request: &Request, deadline: Instant) -> Result<Option<GiveBack>, Wall> {
        let Some(claims) = &self.hostnames else { return Ok(None) };
        let Some(ask) = self.guard.hostnames_of(request) else { return Ok(None) };
        hostnames::claim(claims, ask, deadline).await.map(Some)
    }

    /// A refusal of what the policies let pass; the record keeps what they said.
    fn refuse_after(&self, decision: Decision, code: Code, message: &str) -> Decision {
        let refused = refuse(decision.id.clone(), code, message, &self.contact);
        Decision { verdict: refused.verdict, warnings: Vec::new(), patch: None, ..decision }
    }

    /// Asks the policies; Bailey's own objects are compiled before.
    async fn ask(&self, id: String, phase: Phase, request: &Request, deadline: Instant) -> Decision {
        if is_own(request) {
            self.check_own(id, phase, request, deadline).await
        } else {
            self.evaluate(id, phase, request, deadline).await
        }
    }

    /// Keeps and counts a refusal of a body that never became a review.
    pub fn refuse_unread(&self, phase: Phase, code: Code, reason: &str, start: Instant) -> Decision {
        let mut decision = refuse(Uuid::now_v7().to_string(), code, reason, &self.contact);
        decision.times.total = micros_since(start);
        self.metrics.count(phase, &decision);
        self.audit.record(record(phase, None, &decision));
        decision
    }

    fn undecodable(&self, id: String, error: &ReviewError) -> Decision {
        let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
        refuse(id, error.code(), &format!("{error}{cause}"), &self.contact)
    }

    fn not_ready(&self, id: String) -> Decision {
        let reason = "bailey has not loaded its policies and caches yet, the same request may pass soon";
        refuse(id, Code::NotReady, reason, &self.contact)
    }

    /// Asks an evaluation thread; refuses in time when none answers.
    async fn evaluate(&self, id: String, phase: Phase, request: &Request, deadline: Instant) -> Decision {
        let (answer, answered) = oneshot::channel();
        let (work, queued) = (request.clone(), Instant::now());
        let flow = self.guard.flow_of(request);
        let tenant = flow.as_ref().map(|(tenant, weight)| (tenant.as_str(), *weight));
        // Threads that were given up and run on keep their seats.
        self.seats.set_more(self.pool.counts().late.load(Ordering::Relaxed));
        let until = Until::Done(to_tokio(deadline).into_std());
        let wish = Wish { asker: tenant, kind: "review", width: NonZeroU32::MIN, until };
        let mut seat = match self.seats.take(&wish).await {
            Ok(seat) => seat,
            Err(unseated) => return self.unseated(id, tenant.map(|(tenant, _)| tenant), unseated),
        };
        let job = Box::new(move |evaluator: &mut Evaluator| {
            let queue = micros_since(queued);
            seat.begin();
            // Nobody waits any more: the refusal was sent at the deadline.
            if answer.is_closed() {
                return;
            }
            let evaluation = match phase {
                Phase::Validate => evaluator.validate(&work, deadline),
                Phase::Mutate => evaluator.mutate(&work, deadline),
            };
            drop(seat);
            // The receiver is gone when the deadline passed meanwhile.
            let _ = answer.send((queue, evaluation));
        });
        if let Err(error) = self.pool.submit(deadline, job) {
            return self.overloaded(id, error);
        }
        let waited = tokio::time::timeout_at(to_tokio(deadline), answered).await;
        self.conclude(id, request, waited)
    }

    fn conclude(
        &self,
        id: String,
        request: &Request,
        waited: Result<Result<(u32, Evaluation), oneshot::error::RecvError>, tokio::time::error::Elapsed>,
    ) -> Decision {
        match waited {
            Ok(Ok((queue, mut evaluation))) => {
                let namespace = self.except(request, &mut evaluation);
                let mut decision = decide(id, evaluation, &self.contact, namespace);
                decision.times.queue = queue;
                decision
            }
            Ok(Err(_)) => refuse(id, Code::Internal, "the evaluation ended without an answer", &self.contact),
            Err(_) => {
                let reason = "the policies did not answer before the API server's deadline";
                refuse(id, Code::DeadlineExceeded, reason, &self.contact)
            }
        }
    }

    /// Notes which findings an exception covers. Gives the namespace where it is a tenant's, whose members may ask for
    /// others. Where nothing was found there is nothing to do.
    fn except<'a>(&self, request: &'a Request, evaluation: &mut Evaluation) -> Option<&'a str> {
        if evaluation.findings.is_empty() {
            return None;
        }
        let exceptions = Arc::clone(&self.exceptions.borrow());
        exceptions.cover(request, &mut evaluation.findings, micros_since_epoch() / 1_000_000);
        self.guard.is_inside(request).then_some(request.namespace.as_str())
    }

    /// No turn at the evaluation threads.
    fn unseated(&self, id: String, tenant: Option<&str>, unseated: Unseated) -> Decision {
        let whose = tenant.map_or_else(String::new, |tenant| format!(" of the tenant `{tenant}`"));
        match unseated.cause {
            Cause::Full => {
                let seconds = unseated.retry_after.as_secs().saturating_add(1);
                let reason =
                    format!("too many requests{whose} wait to be decided on, try again in {seconds} s");
                refuse(id, Code::Overloaded, &reason, &self.contact)
            }
            Cause::Late => {
                let reason = format!(
                    "it did not come to its turn among the requests{whose} before the API server's deadline"
                );
                refuse(id, Code::DeadlineExceeded, &reason, &self.contact)
            }
        }
    }

    fn overloaded(&self, id: String, error: SubmitError) -> Decision {
        let code = match error {
            SubmitError::Full { .. } => Code::Overloaded,
            SubmitError::Closed => Code::NotReady,
        };
        refuse(id, code, &format!("{error}, try again in a moment"), &self.contact)
    }

    /// Bailey's own objects: checked by compiling them, off the request threads and few at a time.
    async fn check_own(&self, id: String, phase: Phase, request: &Request, deadline: Instant) -> Decision {
        let writes = matches!(request.operation, Operation::Create | Operation::Update);
        if phase == Phase::Mutate || !writes || !request.sub_resource.is_empty() {
            return self.evaluate(id, phase, request, deadline).await;
        }
        let (check, checks, work) = (Arc::clone(&self.check), Arc::clone(&self.checks), request.clone());
        let checked = async move {
            let permit = checks.acquire_owned().await.ok()?;
            let checked = tokio::task::spawn_blocking(move || {
                let checked = check(&work);
                drop(permit);
                checked
            });
            checked.await.ok()
        };
        match tokio::time::timeout_at(to_tokio(deadline), checked).await {
            Ok(Some(Ok(warnings))) => {
                let mut decision = self.evaluate(id, phase, request, deadline).await;
                if decision.verdict.is_allowed() {
                    decision.warnings.extend(warnings);
                }
                decision
            }
            Ok(Some(Err(fault))) => refuse(id, fault.code, &fault.to_string(), &self.contact),
            Ok(None) => {
                refuse(id, Code::Internal, "the object's check ended without an answer", &self.contact)
            }
            Err(_) => refuse(id, Code::DeadlineExceeded, "the object was not checked in time", &self.contact),
        }
    }
}

/// Puts the guard's changes before those of policies, which saw the object with them.
fn with_patch(mut operations: Vec<serde_json::Value>, mut decision: Decision) -> Decision {
    if decision.verdict.is_allowed() {
        if let Some(serde_json::Value::Array(more)) = decision.patch.take() {
            operations.extend(more);
        }
        decision.patch = Some(serde_json::Value::Array(operations));
    }
    decision
}

/// Puts what was decided into the review's span.
fn trace(span: &Span, answered: &Answered) {
    let decision = &answered.decision;
    if let Some(uid) = &answered.uid {
        span.record("uid", uid.as_str());
    }
    span.record("allowed", decision.verdict.is_allowed());
    if let Verdict::Denied { code, .. } = &decision.verdict {
        span.record("code", code.as_str());
    }
    span.record("queue_us", decision.times.queue);
    span.record("matching_us", decision.times.matching);
    span.record("evaluate_us", decision.times.evaluate);
    tracing::debug!(parent: span, total_us = decision.times.total, "review decided");
}

fn is_own(request: &Request) -> bool {
    request.resource.group == OWN_GROUP
}

fn record(phase: Phase, request: Option<&Request>, decision: &Decision) -> Record {
    let (allowed, code, message) = match &decision.verdict {
        Verdict::Allowed => (true, "", String::new()),
        Verdict::Denied { code, message, .. } => (false, code.as_str(), message.clone()),
    };
    Record {
        id: decision.id.clone(),
        time_micros: micros_since_epoch(),
        phase: phase.as_str().to_owned(),
        uid: request.map(|request| request.uid.clone()).unwrap_or_default(),
        username: request.map(|request| request.user.username.clone()).unwrap_or_default(),
        groups: request.map(|request| request.user.groups.clone()).unwrap_or_default(),
        tenant: None,
        operation: request.map(|request| request.operation),
        kind: request.map(|request| request.kind.clone()).unwrap_or_default(),
        sub_resource: request.map(|request| request.sub_resource.clone()).unwrap_or_default(),
        namespace: request.map(|request| request.namespace.clone()).unwrap_or_default(),
        name: request.map(|request| request.name.clone()).unwrap_or_default(),
        dry_run: request.is_some_and(|request| request.dry_run),
        allowed,
        code: code.to_owned(),
        message,
        patched: decision.patch.is_some(),
        policies: decision.policies.clone(),
        findings: decision.findings.clone(),
        times: decision.times,
    }
}

fn to_tokio(deadline: Instant) -> tokio::time::Instant {
    tokio::time::Instant::from_std(deadline.checked_sub(GRACE).unwrap_or(deadline))
}

fn micros_since_epoch() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

fn micros_since(start: Instant) -> u32 {
    u32::try_from(start.elapsed().as_micros()).unwrap_or(u32::MAX)
}
