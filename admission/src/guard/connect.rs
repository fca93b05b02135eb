//! What is let through to running Pods.

use model::Operation;

use super::Question;

/// The ways that the profile closes are closed.
pub(super) fn is_closed(question: &Question<'_>) -> Option<String> {
    let request = question.request;
    let way = request.sub_resource.as_str();
    let connects = request.operation == Operation::Connect || way == "ephemeralcontainers";
    let rules = question.rules().find(|rules| connects && rules.connect.refused.contains(way))?;
    let name = &request.name;
    Some(format!("`{way}` of `{name}` is closed in this tenant ({})", rules.source))
}
