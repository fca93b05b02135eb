use serde_json::Value;

use crate::guard::Question;

/// Pods have volumes of the kinds that the profile knows: none that leads to the node, or to a store that other
/// tenants use too.
pub(in crate::guard) fn are_not_allowed(question: &Question<'_>) -> Option<String> {
    let pod = question.pod()?;
    question.rules().find_map(|rules| {
        let (name, kind) = pod.volumes.iter().find_map(|volume| {
            let name = volume.get("name").and_then(Value::as_str).unwrap_or_default();
            let mut kinds = volume.iter().filter(|(kind, value)| kind.as_str() != "name" && !value.is_null());
            let foreign = kinds.find(|(kind, _)| !rules.volumes.matches(kind))?;
            Some((name, foreign.0))
        })?;
        let shown = rules.volumes.shown();
        Some(format!("the volume `{name}` is a `{kind}`: allowed are {shown} ({})", rules.source))
    })
}
