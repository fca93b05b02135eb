//! Admits Ingress hosts only below domains that the binding names, or that the namespace's annotation
//! `example.com/domains` adds. A Kubewarden policy, written with Kubewarden's own SDK: it runs on
//! Kubewarden's policy server and, unchanged, on Bailey.

use kubewarden_policy_sdk::request::ValidationRequest;
use kubewarden_policy_sdk::settings::Validatable;
use kubewarden_policy_sdk::{accept_request, reject_request};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use wapc_guest::CallResult;

/// The namespace's annotation with more domains, separated by commas.
const ANNOTATION: &str = "/metadata/annotations/example.com~1domains";

/// The binding's parameters.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Settings {
    /// Domains, such as `example.com`; hosts may be these or below them.
    domains: Vec<String>,
    /// Whether the namespace may add domains of its own.
    #[serde(default)]
    from_namespace: bool,
}

impl Validatable for Settings {
    fn validate(&self) -> Result<(), String> {
        match self.domains.iter().find(|domain| !domain.contains('.') || domain.starts_with('.')) {
            Some(domain) => {
                Err(format!("`domains` has `{domain}`, a domain such as `example.com` would pass"))
            }
            None => Ok(()),
        }
    }
}

/// Registers the policy's operations with the host.
#[cfg(target_arch = "wasm32")]
#[unsafe(no_mangle)]
pub extern "C" fn wapc_init() {
    wapc_guest::register_function("validate", validate);
    wapc_guest::register_function("validate_settings", kubewarden_policy_sdk::validate_settings::<Settings>);
    wapc_guest::register_function("protocol_version", kubewarden_policy_sdk::protocol_version_guest);
}

/// Operation `validate`.
///
/// # Errors
/// When the request or the namespace cannot be read.
pub fn validate(payload: &[u8]) -> CallResult {
    let ValidationRequest { settings, request } = ValidationRequest::<Settings>::new(payload)?;
    let mut domains = settings.domains;
    if settings.from_namespace {
        domains.extend(domains_of(&namespace(&request.namespace)?));
    }
    let untrusted: Vec<&str> = hosts(&request.object).filter(|host| !is_trusted(host, &domains)).collect();
    if untrusted.is_empty() {
        return accept_request();
    }
    let (untrusted, domains) = (untrusted.join("`, `"), domains.join("`, `"));
    let message = format!("host `{untrusted}` is not below a trusted domain, which are `{domains}`");
    reject_request(Some(message), Some(403), None, None)
}

fn hosts(ingress: &Value) -> impl Iterator<Item = &str> {
    let rules = ingress.pointer("/spec/rules").and_then(Value::as_array);
    rules.into_iter().flatten().map(|rule| rule.pointer("/host").and_then(Value::as_str).unwrap_or("*"))
}

fn is_trusted(host: &str, domains: &[String]) -> bool {
    domains.iter().any(|domain| {
        host.strip_suffix(domain.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    })
}

fn namespace(name: &str) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
    let request = serde_json::json!({
        "api_version": "v1", "kind": "Namespace", "name": name, "namespace": null, "disable_cache": false,
        "field_masks": ["metadata.annotations"],
    });
    let found =
        wapc_guest::host_call("kubewarden", "kubernetes", "get_resource", request.to_string().as_bytes())?;
    Ok(serde_json::from_slice(&found)?)
}

fn domains_of(namespace: &Value) -> Vec<String> {
    let listed = namespace.pointer(ANNOTATION).and_then(Value::as_str).unwrap_or_default();
    listed.split(',').map(str::trim).filter(|domain| !domain.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_begins_at_a_dot() {
        let domains = ["example.com".to_owned()];
        for (host, trusted) in [
            ("example.com", true),
            ("a.b.example.com", true),
            ("*.example.com", true),
            ("evilexample.com", false),
            ("example.com.evil.io", false),
            ("*", false),
            ("", false),
        ] {
            assert_eq!(is_trusted(host, &domains), trusted, "{host}");
        }
    }

    #[test]
    fn a_rule_without_a_host_is_every_host() {
        let ingress = serde_json::json!({"spec": {"rules": [{"host": "a"}, {}]}});
        assert_eq!(hosts(&ingress).collect::<Vec<_>>(), ["a", "*"]);
    }
}
