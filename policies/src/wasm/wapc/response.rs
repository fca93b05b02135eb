use model::Observation;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::wasm::fault;
use crate::{Answer, EvaluationError, Mutation};

/// What a guest answers to `validate`.
#[derive(Deserialize)]
struct ValidationResponse {
    accepted: bool,
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    code: Option<u16>,
    #[serde(default)]
    mutated_object: Option<Map<String, Value>>,
    #[serde(default)]
    audit_annotations: Option<Map<String, Value>>,
    #[serde(default)]
    warnings: Option<Vec<String>>,
}

/// What a guest answers to `validate_settings`.
#[derive(Deserialize)]
struct SettingsResponse {
    valid: bool,
    #[serde(default)]
    message: Option<String>,
}

/// A guest's answer: one finding when it refuses, one more per warning.
pub(super) fn answer(response: &[u8], most: usize, mutates: bool) -> Result<Answer, EvaluationError> {
    let response: ValidationResponse = serde_json::from_slice(response).map_err(fault::invalid)?;
    let warnings = response.warnings.unwrap_or_default();
    if warnings.len() >= most {
        return Err(EvaluationError::new(
            model::Code::PolicyOutputTooLarge,
            format!("the policy returned {} warnings, the limit is {most} findings", warnings.len()),
        ));
    }
    let mutation = response.mutated_object.filter(|_| mutates && response.accepted);
    let refusal = (!response.accepted).then(|| {
        let mut details = Map::new();
        if let Some(code) = response.code {
            details.insert("code".to_owned(), code.into());
        }
        if let Some(annotations) = response.audit_annotations {
            details.insert("audit_annotations".to_owned(), Value::Object(annotations));
        }
        Observation { message: response.message.unwrap_or_default(), details, ..Observation::default() }
    });
    let warnings = warnings.into_iter().map(|message| Observation {
        message,
        warn_only: true,
        ..Observation::default()
    });
    Ok(Answer {
        observations: refusal.into_iter().chain(warnings).collect(),
        mutation: mutation.map(|object| Mutation::Object(Value::Object(object))),
    })
}

/// Whether the guest takes the settings, or why not.
pub(super) fn settings_verdict(response: &[u8]) -> Result<Result<(), String>, EvaluationError> {
    let response: SettingsResponse = serde_json::from_slice(response).map_err(fault::invalid)?;
    if response.valid {
        return Ok(Ok(()));
    }
    let message = response.message.unwrap_or_else(|| "the policy refuses them without a reason".to_owned());
    Ok(Err(fault::one_line(&message)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(response: Value, mutates: bool) -> Result<Answer, EvaluationError> {
        answer(response.to_string().as_bytes(), 3, mutates)
    }

    #[test]
    fn refusals_and_warnings_become_findings_and_changes_only_where_asked() {
        let refused = read(json!({"accepted": false, "message": "no", "code": 401, "warnings": ["w"]}), true);
        let observations = refused.expect("an answer").observations;
        assert_eq!(observations.len(), 2);
        assert_eq!((observations[0].message.as_str(), observations[0].warn_only), ("no", false));
        assert_eq!(observations[0].details.get("code"), Some(&json!(401)));
        assert_eq!((observations[1].message.as_str(), observations[1].warn_only), ("w", true));

        let changed = json!({"accepted": true, "mutated_object": {"a": 1}, "warnings": null});
        assert_eq!(read(changed.clone(), false).expect("an answer"), Answer::default());
        assert_eq!(read(changed, true).expect("an answer").mutation, Some(Mutation::Object(json!({"a": 1}))));
        let refused = read(json!({"accepted": false, "mutated_object": {"a": 1}}), true);
        assert_eq!(refused.expect("an answer").mutation, None);
    }

    #[test]
    fn nonsense_is_not_an_answer() {
        for bad in [
            json!({}),
            json!(null),
            json!({"accepted": "yes"}),
            json!({"accepted": true, "mutated_object": 3}),
        ] {
            assert_eq!(read(bad, true).expect_err("no answer").code, model::Code::PolicyOutputInvalid);
        }
        let many = json!({"accepted": true, "warnings": ["1", "2", "3"]});
        assert_eq!(read(many, true).expect_err("too many").code, model::Code::PolicyOutputTooLarge);
    }
}
