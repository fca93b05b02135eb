use model::Code;
use serde::Deserialize;

use super::kubernetes;
use crate::EvaluationError;
use crate::wasm::{fault, lookup};

/// What a guest asks of the host.
pub(super) struct HostCall<'a> {
    pub(super) binding: &'a str,
    pub(super) namespace: &'a str,
    pub(super) operation: &'a str,
    pub(super) payload: &'a [u8],
}

/// Why a host call gives an error.
pub(super) enum Refusal {
    /// A proper answer, such as "not found": the policy has to cope.
    Answer(String),
    /// The host could not serve it: if the policy fails afterwards, this is why.
    Fault(EvaluationError),
}

impl From<EvaluationError> for Refusal {
    fn from(fault: EvaluationError) -> Self {
        Self::Fault(fault)
    }
}

/// Serves a host call, or says why not.
pub(super) fn serve(call: &HostCall<'_>) -> Result<Vec<u8>, Refusal> {
    match (call.binding, call.namespace, call.operation) {
        ("kubewarden", "tracing", "log") => {
            log(call.payload);
            Ok(Vec::new())
        }
        ("kubewarden", "kubernetes", "get_resource") => kubernetes::get_resource(call.payload),
        ("kubewarden", "kubernetes", "list_resources_by_namespace") => {
            kubernetes::list_resources(call.payload, true)
        }
        ("kubewarden", "kubernetes", "list_resources_all") => kubernetes::list_resources(call.payload, false),
        (binding, namespace, operation) => Err(unsupported(&format!("{binding}/{namespace}/{operation}"))),
    }
}

/// A host call, or a part of one, that is not served.
pub(super) fn unsupported(what: &str) -> Refusal {
    let message = format!(
        "host call `{}` is not served; served are `kubewarden/tracing/log` and, in `kubewarden/kubernetes`, \
         `get_resource`, `list_resources_by_namespace` and `list_resources_all`",
        fault::one_line(what)
    );
    Refusal::Fault(EvaluationError::new(Code::HostCallUnsupported, message))
}

/// A log event of Kubewarden's SDKs; what is not one is logged as it is.
fn log(payload: &[u8]) {
    #[derive(Deserialize)]
    struct Event {
        level: Option<String>,
        message: Option<String>,
    }
    match serde_json::from_slice(payload) {
        Ok(Event { level, message: Some(message) }) => {
            lookup::log(&level.unwrap_or_default().to_ascii_lowercase(), &message);
        }
        _ => lookup::log("debug", &String::from_utf8_lossy(payload)),
    }
}
