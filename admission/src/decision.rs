//! The one place that turns what was found into allow or deny.
//!
//! A request is refused when a binding with enforcement `deny` found something, or when one could not
//! answer and its failure policy is `Fail`. Everything else is let through: findings of `warn` bindings
//! and failures that were ignored become warnings, findings of `audit` bindings are kept only, and so is what an
//! approved exception covers.

use std::collections::BTreeSet;

use model::{Code, Decision, Enforcement, Failure, Finding, StageTimes, Verdict};
use policies::Evaluation;

/// The most findings a refusal tells, the rest being counted.
const TOLD: usize = 10;
/// The longest text of one finding, in characters.
const MAX_TEXT: usize = 1_000;
/// The longest warning, in characters: what API servers pass on uncut.
const MAX_WARNING: usize = 250;

/// What a refusal adds for the person refused.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contact(pub Option<String>);

/// Decides on what all bindings said. In a tenant's `namespace` a refusal says how to ask for an exception, where
/// one may be had.
pub fn decide(id: String, evaluation: Evaluation, contact: &Contact, namespace: Option<&str>) -> Decision {
    let verdict = verdict(&id, &evaluation, contact, namespace);
    let warnings = if verdict.is_allowed() { warnings(&evaluation) } else { Vec::new() };
    let patch = if verdict.is_allowed() { evaluation.patch } else { None };
    let times = StageTimes {
        matching: evaluation.matching_micros,
        evaluate: evaluation.evaluate_micros,
        ..StageTimes::default()
    };
    Decision {
        id,
        verdict,
        warnings,
        findings: evaluation.findings,
        failures: evaluation.failures,
        policies: evaluation.policies,
        patch,
        times,
    }
}

/// A refusal for a reason of Bailey's own: no policy was heard.
pub fn refuse(id: String, code: Code, reason: &str, contact: &Contact) -> Decision {
    let message = sign(reason.to_owned(), &id, contact);
    Decision {
        id,
        verdict: Verdict::Denied {
            code,
            status: status(code),
            message,
            retry_after_seconds: retry_after(code),
        },
        warnings: Vec::new(),
        findings: Vec::new(),
        failures: Vec::new(),
        policies: Vec::new(),
        patch: None,
        times: StageTimes::default(),
    }
}

/// A request let through without asking any policy, with warnings.
pub fn allow(id: String, warnings: Vec<String>) -> Decision {
    Decision {
        id,
        verdict: Verdict::Allowed,
        warnings,
        findings: Vec::new(),
        failures: Vec::new(),
        policies: Vec::new(),
        patch: None,
        times: StageTimes::default(),
    }
}

fn verdict(id: &str, evaluation: &Evaluation, contact: &Contact, namespace: Option<&str>) -> Verdict {
    let denied: Vec<&Finding> = evaluation.findings.iter().filter(|finding| finding.refuses()).collect();
    let failed: Vec<&Failure> = evaluation.failures.iter().filter(|failure| failure.refuses()).collect();
    let code = match (denied.is_empty(), failed.first()) {
        (false, _) => Code::PolicyDenied,
        (true, Some(failure)) => failure.code,
        (true, None) => return Verdict::Allowed,
    };
    let way_out = namespace.filter(|_| failed.is_empty()).and_then(|namespace| way_out(&denied, namespace));
    let texts: Vec<String> =
        denied.into_iter().map(told).chain(failed.into_iter().map(failure_told)).collect();
    let mut message = texts.iter().take(TOLD).cloned().collect::<Vec<_>>().join("; ");
    if texts.len() > TOLD {
        message.push_str(&format!("; and {} more", texts.len().saturating_sub(TOLD)));
    }
    message.extend(way_out);
    Verdict::Denied {
        code,
        status: status(code),
        message: sign(message, id, contact),
        retry_after_seconds: retry_after(code),
    }
}

/// How to ask for exceptions from all that refuses, where that may be had.
fn way_out(denied: &[&Finding], namespace: &str) -> Option<String> {
    if !denied.iter().all(|finding| finding.may_be_excepted()) {
        return None;
    }
    let policies: BTreeSet<&str> = denied.iter().map(|finding| finding.policy.as_str()).collect();
    let mut policies = policies.into_iter();
    let first = policies.next()?;
    let command = format!("`kubectl tenant request exception {first} -n {namespace} --reason WHY --for 7d`");
    let others: Vec<String> = policies.take(TOLD).map(|policy| format!("`{policy}`")).collect();
    let others =
        if others.is_empty() { others.concat() } else { format!(", and so for {}", others.join(", ")) };
    Some(format!("; to ask for an exception: {command}{others}"))
}

fn told(finding: &Finding) -> String {
    let place = match finding.path.as_str() {
        "" => String::new(),
        path if finding.message.contains(path) => String::new(),
        path => format!(" (at {path})"),
    };
    let text = one_line(&finding.message, MAX_TEXT);
    format!("policy `{}` (binding `{}`): {text}{place}", finding.policy, finding.binding)
}

fn failure_told(failure: &Failure) -> String {
    let text = one_line(&failure.message, MAX_TEXT);
    format!(
        "policy `{}` (binding `{}`) could not answer [{}]: {text}",
        failure.policy, failure.binding, failure.code
    )
}

fn sign(mut message: String, id: &str, contact: &Contact) -> String {
    message.push_str("; decision ");
    message.push_str(id);
    match &contact.0 {
        Some(contact) => message.push_str(&format!(", ask {contact}")),
        None => message.push_str(", quote it to your cluster administrator"),
    }
    message
}

fn warnings(evaluation: &Evaluation) -> Vec<String> {
    let findings = evaluation.findings.iter().filter(|finding| finding.exception.is_none());
    let warned = findings.filter(|finding| finding.enforcement == Enforcement::Warn);
    let warned = warned.map(|finding| {
        one_line(
            &format!("{} (policy `{}`)", one_line(&finding.message, MAX_WARNING), finding.policy),
            MAX_WARNING,
        )
    });
    let unheard = evaluation.failures.iter().filter(|failure| failure.enforcement != Enforcement::Audit);
    let unheard = unheard.map(|failure| {
        one_line(&format!("policy `{}` was not heard [{}]", failure.policy, failure.code), MAX_WARNING)
    });
    let mut texts: Vec<String> = warned.chain(unheard).collect();
    let more = texts.len().saturating_sub(TOLD);
    texts.truncate(TOLD);
    if more > 0 {
        texts.push(format!("and {more} more warnings"));
    }
    texts
}

/// Text on one line, without control characters, at most this many characters.
fn one_line(text: &str, most: usize) -> String {
    let mut line: String = text.chars().take(most).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(most).is_some() {
        line.pop();
        line.push('…');
    }
    line
}

/// The HTTP status the user sees.
pub const fn status(code: Code) -> u16 {
    match code {
        Code::PolicyDenied
        | Code::ClientNotAllowed
        | Code::TenantDenied
        | Code::TenantAmbiguous
        | Code::NamespaceLimit
        | Code::QuotaExceeded
        | Code::QuotaUnspecified
        | Code::TenantSuspended => 403,
        Code::ReviewMalformed | Code::ReviewTooDeep | Code::ReviewVersion | Code::ReviewKind => 400,
        Code::ReviewTooLarge => 413,
        Code::PolicyInvalid
        | Code::BindingInvalid
        | Code::ParametersInvalid
        | Code::ModuleUnavailable
        | Code::ModuleDigestMismatch
        | Code::QuotaInvalid
        | Code::FairnessInvalid => 422,
        Code::Overloaded | Code::RateLimited => 429,
        Code::NotReady | Code::LookupUnavailable | Code::TenantNotReady | Code::QuotaUnavailable => 503,
        Code::DeadlineExceeded | Code::PolicyTimeout => 504,
        _ => 500,
    }
}

/// The word Kubernetes uses for a status.
pub(crate) const fn reason(status: u16) -> &'static str {
    match status {
        400 => "BadRequest",
        403 => "Forbidden",
        413 => "RequestEntityTooLarge",
        422 => "Invalid",
        429 => "TooManyRequests",
        503 => "ServiceUnavailable",
        504 => "Timeout",
        _ => "InternalError",
    }
}

const fn retry_after(code: Code) -> Option<u32> {
    match code {
        Code::Overloaded | Code::TenantNotReady | Code::QuotaUnavailable => Some(1),
        Code::NotReady => Some(2),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use model::FailurePolicy;

    use super::*;

    fn finding(enforcement: Enforcement) -> Finding {
        Finding {
            binding: "pods-need-owner".into(),
            policy: "required-labels".into(),
            enforcement,
            code: "missing".into(),
            message: "label `owner`\nis missing".into(),
            path: "metadata.labels".into(),
            details: serde_json::Map::new(),
            exceptions: false,
            exception: None,
        }
    }

    fn failure(enforcement: Enforcement, failure_policy: FailurePolicy) -> Failure {
        Failure {
            binding: "b".into(),
            policy: "p".into(),
            enforcement,
            failure_policy,
            code: Code::PolicyTimeout,
            message: "took longer than 100 ms".into(),
        }
    }

    fn decided(findings: Vec<Finding>, failures: Vec<Failure>) -> Decision {
        let evaluation = Evaluation { findings, failures, ..Evaluation::default() };
        decide("id-1".into(), evaluation, &Contact(Some("platform@example.org".into())), Some("lab"))
    }

    #[test]
    fn only_deny_findings_and_closed_failures_refuse() {
        use Enforcement::*;
        use FailurePolicy::*;
        let cases = [
            (vec![], vec![], None),
            (vec![finding(Deny)], vec![], Some(Code::PolicyDenied)),
            (vec![finding(Warn)], vec![], None),
            (vec![finding(Audit)], vec![], None),
            (vec![], vec![failure(Deny, Fail)], Some(Code::PolicyTimeout)),
            (vec![], vec![failure(Deny, Ignore)], None),
            (vec![], vec![failure(Warn, Fail)], None),
            (vec![], vec![failure(Audit, Fail)], None),
            (vec![finding(Deny)], vec![failure(Deny, Fail)], Some(Code::PolicyDenied)),
            (vec![finding(Warn)], vec![failure(Deny, Fail)], Some(Code::PolicyTimeout)),
        ];
        for (findings, failures, expected) in cases {
            let shown = format!("{findings:?} {failures:?}");
            let code = match decided(findings, failures).verdict {
                Verdict::Allowed => None,
                Verdict::Denied { code, .. } => Some(code),
            };
            assert_eq!(code, expected, "{shown}");
        }
    }

    #[test]
    fn a_refusal_says_which_policy_what_where_and_whom_to_ask() {
        let Verdict::Denied { message, status, .. } =
            decided(vec![finding(Enforcement::Deny)], vec![]).verdict
        else {
            panic!("not refused")
        };
        assert_eq!(status, 403);
        assert_eq!(
            message,
            "policy `required-labels` (binding `pods-need-owner`): label `owner` is missing (at metadata.labels); \
             decision id-1, ask platform@example.org"
        );
    }

    #[test]
    fn what_an_exception_covers_neither_refuses_nor_warns_and_is_kept() {
        let covered = |enforcement| Finding { exception: Some("e".into()), ..finding(enforcement) };
        let decision = decided(vec![covered(Enforcement::Deny), covered(Enforcement::Warn)], vec![]);
        assert_eq!((decision.verdict, decision.warnings.len()), (Verdict::Allowed, 0));
        assert_eq!(decision.findings.iter().filter(|finding| finding.exception.is_some()).count(), 2);
        let more = decided(vec![covered(Enforcement::Deny), finding(Enforcement::Deny)], vec![]);
        assert!(!more.verdict.is_allowed(), "what is not covered refuses");
        let failed = failure(Enforcement::Deny, FailurePolicy::Fail);
        assert!(!decided(vec![covered(Enforcement::Deny)], vec![failed]).verdict.is_allowed());
    }

    #[test]
    fn a_refusal_says_how_to_ask_for_an_exception_where_that_would_help() {
        let may = || Finding { exceptions: true, ..finding(Enforcement::Deny) };
        let message = |findings, failures| match decided(findings, failures).verdict {
            Verdict::Denied { message, .. } => message,
            Verdict::Allowed => String::new(),
        };
        let said = message(vec![may(), Finding { policy: "second".into(), ..may() }], vec![]);
        let expected = "; to ask for an exception: `kubectl tenant request exception required-labels -n lab --reason \
                        WHY --for 7d`, and so for `second`; decision id-1, ask";
        assert!(said.contains(expected), "{said}");
        let failed = failure(Enforcement::Deny, FailurePolicy::Fail);
        for other in
            [message(vec![may(), finding(Enforcement::Deny)], vec![]), message(vec![may()], vec![failed])]
        {
            assert!(!other.contains("exception"), "{other}");
        }
    }

    #[test]
    fn warnings_are_short_and_bounded() {
        let mut long = finding(Enforcement::Warn);
        long.message = "é".repeat(5_000);
        let decision = decided(vec![long; 40], vec![failure(Enforcement::Deny, FailurePolicy::Ignore)]);
        assert_eq!(decision.warnings.len(), TOLD + 1);
        assert_eq!(decision.warnings.last().unwrap(), "and 31 more warnings");
        assert!(decision.warnings.iter().all(|warning| warning.chars().count() <= MAX_WARNING));
    }

    #[test]
    fn a_refusal_never_patches_and_tells_a_bounded_number() {
        let evaluation = Evaluation {
            findings: vec![finding(Enforcement::Deny); 200],
            patch: Some(serde_json::json!([])),
            ..Evaluation::default()
        };
        let decision = decide("id".into(), evaluation, &Contact::default(), None);
        assert_eq!(decision.patch, None);
        let Verdict::Denied { message, .. } = decision.verdict else { panic!("not refused") };
        assert!(message.contains("; and 190 more; decision id, quote it"), "{message}");
    }
}
