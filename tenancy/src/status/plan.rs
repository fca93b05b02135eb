use model::Code;
use serde_json::{Value, json};

use crate::api::ConfigKind;
use crate::cluster::Observed;

/// The longest message of a condition, in characters.
const MAX_MESSAGE: usize = 4096;

/// Whose status a report speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ReportKind {
    /// A Policy.
    Policy,
    /// A PolicyBinding.
    Binding,
}

/// How one policy or binding stands.
#[derive(Debug, Clone, PartialEq)]
pub struct StatusReport {
    /// Its kind.
    pub kind: ReportKind,
    /// Its name.
    pub name: String,
    /// The generation this speaks of; nothing is written when the cluster has another one by now.
    pub generation: i64,
    /// Whether that generation is in force.
    pub ready: bool,
    /// Why it is not; `None` when it is.
    pub code: Option<Code>,
    /// What is wrong, or a word on what is in force; for people.
    pub message: String,
    /// Where the source is wrong, as `module:line:column`.
    pub position: Option<String>,
    /// The version in force, which may be an older one.
    pub revision: Option<String>,
}

/// A status to write.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Change {
    pub(super) kind: ConfigKind,
    pub(super) name: String,
    pub(super) uid: String,
    /// The whole status, as this writer owns it.
    pub(super) status: Value,
    /// The status that this is to replace.
    pub(super) base: Value,
    /// The reason and message of the event to send, where that of `Ready` changes.
    pub(super) event: Option<(bool, String, String)>,
}

impl StatusReport {
    pub(crate) fn key(&self) -> (ConfigKind, String) {
        let kind = match self.kind {
            ReportKind::Policy => ConfigKind::Policy,
            ReportKind::Binding => ConfigKind::Binding,
        };
        (kind, self.name.clone())
    }

    /// Whether the object itself is valid, whatever else keeps it from being in force.
    fn accepted(&self) -> bool {
        self.ready
            || !matches!(
                self.code,
                Some(Code::PolicyInvalid | Code::BindingInvalid | Code::ParametersInvalid) | None
            )
    }
}

/// What to write so that the cluster says what the report says; `None` when it does already.
pub(super) fn plan(report: &StatusReport, observed: &Observed, now: &str) -> Option<Change> {
    if report.generation != observed.generation {
        return None;
    }
    let reason = report.code.map_or_else(|| "Unknown".to_owned(), reason);
    let message: String = report.message.chars().take(MAX_MESSAGE).collect();
    let condition = |name: &str, holds: bool, good: &str| {
        let status = if holds { "True" } else { "False" };
        let last = previous(&observed.status, name);
        let kept = last.filter(|last| last.get("status").and_then(Value::as_str) == Some(status));
        let since =
            kept.and_then(|last| last.get("lastTransitionTime")).and_then(Value::as_str).unwrap_or(now);
        json!({
            "type": name, "status": status, "observedGeneration": report.generation,
            "lastTransitionTime": since, "reason": if holds { good } else { &reason }, "message": message,
        })
    };
    let mut status = json!({
        "observedGeneration": report.generation,
        "conditions": [
            condition("Accepted", report.accepted(), "Valid"),
            condition("Ready", report.ready, "InForce"),
        ],
    });
    if let Some(status) = status.as_object_mut() {
        let position = report.position.clone().filter(|_| report.kind == ReportKind::Policy);
        let texts = [
            ("engine", observed.engine.map(str::to_owned)),
            ("revision", report.revision.clone()),
            ("position", position),
        ];
        status.extend(texts.into_iter().filter_map(|(key, text)| Some((key.to_owned(), text?.into()))));
    }
    if says(&observed.status, &status) {
        return None;
    }
    let was =
        previous(&observed.status, "Ready").and_then(|ready| ready.get("reason")).and_then(Value::as_str);
    let reason = if report.ready { "InForce".to_owned() } else { reason };
    let event = (was != Some(&reason)).then_some((report.ready, reason, message));
    let (kind, name) = report.key();
    Some(Change { kind, name, uid: observed.uid.clone(), status, base: observed.status.clone(), event })
}

fn previous<'a>(status: &'a Value, name: &str) -> Option<&'a Value> {
    let conditions = status.get("conditions")?.as_array()?;
    conditions.iter().find(|condition| condition.get("type").and_then(Value::as_str) == Some(name))
}

/// Whether the cluster's status says all of this; what others wrote beside it does not count.
fn says(observed: &Value, wanted: &Value) -> bool {
    ["observedGeneration", "engine", "revision", "position"]
        .iter()
        .all(|key| observed.get(key) == wanted.get(key))
        && ["Accepted", "Ready"].iter().all(|name| previous(observed, name) == previous(wanted, name))
}

/// A code as a reason: `policy_invalid` is `PolicyInvalid`.
fn reason(code: Code) -> String {
    let word = |word: &str| {
        let mut letters = word.chars();
        letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect::<String>()
    };
    code.as_str().split('_').map(word).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-01-02T03:04:05Z";
    const THEN: &str = "2026-01-01T00:00:00Z";

    fn report(ready: bool, code: Option<Code>) -> StatusReport {
        StatusReport {
            kind: ReportKind::Policy,
            name: "a".into(),
            generation: 2,
            ready,
            code,
            message: "m".into(),
            position: None,
            revision: Some("r".into()),
        }
    }

    fn observed(status: Value) -> Observed {
        Observed { uid: "u".into(), generation: 2, engine: Some("rego"), status }
    }

    #[test]
    fn a_status_is_written_once() {
        let change = plan(&report(true, None), &observed(Value::Null), NOW).unwrap();
        assert_eq!(change.status["engine"], "rego");
        assert_eq!(change.event, Some((true, "InForce".into(), "m".into())));
        let mut written = change.status;
        assert_eq!(plan(&report(true, None), &observed(written.clone()), "2027-01-01T00:00:00Z"), None);
        // What another writer adds beside it does not matter.
        written["conditions"].as_array_mut().unwrap().insert(0, json!({"type": "Seen", "status": "True"}));
        written["other"] = json!(1);
        assert_eq!(plan(&report(true, None), &observed(written), NOW), None);
    }

    #[test]
    fn the_time_of_a_condition_changes_only_when_it_flips() {
        let first = plan(&report(true, None), &observed(Value::Null), THEN).unwrap().status;
        let mut other = report(true, None);
        other.revision = Some("s".into());
        let changed = plan(&other, &observed(first.clone()), NOW).unwrap();
        assert_eq!(changed.status["conditions"][1]["lastTransitionTime"], THEN);
        assert_eq!(changed.event, None);
        let broken = plan(&report(false, Some(Code::ModuleUnavailable)), &observed(first), NOW).unwrap();
        let [accepted, ready] = broken.status["conditions"].as_array().unwrap().as_slice() else { panic!() };
        assert_eq!((&accepted["status"], &accepted["lastTransitionTime"]), (&json!("True"), &json!(THEN)));
        assert_eq!((&ready["status"], &ready["lastTransitionTime"]), (&json!("False"), &json!(NOW)));
        assert_eq!(ready["reason"], "ModuleUnavailable");
        assert_eq!(broken.event, Some((false, "ModuleUnavailable".into(), "m".into())));
    }

    #[test]
    fn an_invalid_object_is_not_accepted() {
        let change = plan(&report(false, Some(Code::PolicyInvalid)), &observed(Value::Null), NOW).unwrap();
        assert_eq!(change.status["conditions"][0]["status"], "False");
        assert_eq!(change.status["conditions"][0]["reason"], "PolicyInvalid");
    }

    #[test]
    fn a_report_on_another_generation_writes_nothing() {
        let newer = Observed { generation: 3, ..observed(Value::Null) };
        assert_eq!(plan(&report(true, None), &newer, NOW), None);
    }

    #[test]
    fn every_code_makes_a_reason_that_kubernetes_takes() {
        for code in Code::ALL {
            let reason = reason(*code);
            assert!(reason.chars().all(|letter| letter.is_ascii_alphanumeric()), "{reason}");
            assert!(reason.starts_with(|first: char| first.is_ascii_uppercase()), "{reason}");
        }
    }
}
