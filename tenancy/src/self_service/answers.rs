//! What administrators make of requests for more. Pure.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use model::Amount;
use quota::measure::canonical;

use super::fault::Fault;
use super::requests::quantities;
use crate::api::budget::text;
use crate::api::request::{QuotaDecision, QuotaRequest, QuotaVerdict, after, period};

/// What an administrator says to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Whether anything is granted.
    pub approved: bool,
    /// What is granted, instead of all that was asked for.
    pub amounts: Vec<(String, String)>,
    /// For how long, instead of what was asked for.
    pub duration: Option<Duration>,
    /// Why.
    pub reason: Option<String>,
}

/// What an answer makes of a request.
pub(super) fn decide(
    request: &QuotaRequest,
    answer: &Answer,
    now: Timestamp,
) -> Result<QuotaDecision, Fault> {
    let verdict = if answer.approved { QuotaVerdict::Approved } else { QuotaVerdict::Refused };
    let decision = QuotaDecision {
        verdict,
        generation: request.metadata.generation.unwrap_or_default(),
        reason: answer.reason.clone(),
        ..QuotaDecision::default()
    };
    if !answer.approved {
        return Ok(decision);
    }
    let spec = &request.spec;
    let asked_for = spec.duration.as_deref().and_then(period);
    let until = match (answer.duration.or(asked_for), &spec.until) {
        (Some(time), _) => {
            let far = || Fault::Usage("that is too long: give a shorter time with `--for`".to_owned());
            Some(after(now, time).ok_or_else(far)?)
        }
        (None, Some(until)) if until.0 <= now => {
            return Err(Fault::Usage(format!(
                "it was asked for until {}, which is over: give a time with `--for`, or refuse it",
                until.0
            )));
        }
        (None, until) => until.as_ref().map(|until| until.0),
    };
    let granted = if answer.amounts.is_empty() { spec.amounts.clone() } else { quantities(&answer.amounts) };
    for (name, amount) in &granted {
        let same = spec.amounts.iter().find(|(asked, _)| canonical(asked) == canonical(name));
        let Some((_, asked)) = same else {
            let names: Vec<_> = spec.amounts.keys().map(String::as_str).collect();
            return Err(Fault::Usage(format!(
                "`{name}` was not asked for, but `{}`: what nobody asked for is given in spec.quota of the Tenant",
                names.join("`, `")
            )));
        };
        if Amount::parse(&text(amount)) > Amount::parse(&text(asked)) {
            let (amount, asked) = (text(amount), text(asked));
            return Err(Fault::Usage(format!(
                "`{name}` {amount} is more than was asked for, which is {asked}: grant that or less"
            )));
        }
    }
    Ok(QuotaDecision { granted, until: until.map(Time), ..decision })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::super::requests::texts;
    use super::*;

    fn request(spec: &Value) -> QuotaRequest {
        let object = json!({
            "apiVersion": "bailey.dev/v1alpha1", "kind": "QuotaRequest",
            "metadata": {"name": "more", "namespace": "physics-web", "generation": 4}, "spec": spec,
        });
        serde_json::from_value(object).unwrap()
    }

    fn now() -> Timestamp {
        "2026-11-22T10:00:00Z".parse().unwrap()
    }

    fn approve(amounts: &[(&str, &str)], duration: Option<Duration>) -> Answer {
        let amounts = amounts.iter().map(|(name, amount)| ((*name).into(), (*amount).into())).collect();
        Answer { approved: true, amounts, duration, reason: None }
    }

    #[test]
    fn an_approval_grants_what_was_asked_or_less_and_for_as_long() {
        let asked = request(&json!({"amounts": {"cpu": "4", "pods": 10}, "reason": "r", "duration": "1h"}));
        let all = decide(&asked, &approve(&[], None), now()).unwrap();
        assert_eq!((all.verdict, all.generation), (QuotaVerdict::Approved, 4));
        assert_eq!(all.granted, asked.spec.amounts);
        assert_eq!(all.until.map(|until| until.0.to_string()).as_deref(), Some("2026-11-22T11:00:00Z"));
        let less = approve(&[("requests.cpu", "2500m")], Some(Duration::from_secs(60)));
        let less = decide(&asked, &less, now()).unwrap();
        assert_eq!(texts(&less.granted), BTreeMap::from([("requests.cpu".into(), "2500m".into())]));
        assert_eq!(less.until.map(|until| until.0.to_string()).as_deref(), Some("2026-11-22T10:01:00Z"));
        let forever = request(&json!({"amounts": {"pods": 10}, "reason": "r"}));
        assert_eq!(decide(&forever, &approve(&[], None), now()).unwrap().until, None);
    }

    #[test]
    fn what_does_not_fit_the_request_is_said() {
        let asked =
            request(&json!({"amounts": {"pods": 10}, "reason": "r", "until": "2026-11-22T09:00:00Z"}));
        let hour = Some(Duration::from_secs(3_600));
        let cases = [
            (approve(&[], None), "which is over"),
            (approve(&[("pods", "11")], hour), "`pods` 11 is more than was asked for, which is 10"),
            (approve(&[("cpu", "1")], hour), "`cpu` was not asked for, but `pods`"),
            (approve(&[], Some(Duration::MAX)), "too long"),
        ];
        for (answer, part) in cases {
            let fault = decide(&asked, &answer, now()).unwrap_err();
            assert!(fault.to_string().contains(part), "{fault}");
        }
        let refusal = Answer { approved: false, ..approve(&[], None) };
        assert_eq!(decide(&asked, &refusal, now()).unwrap().verdict, QuotaVerdict::Refused);
    }
}
