//! Whether the API server would admit objects, asked with dry runs: nothing is stored.

use std::collections::HashMap;

use kube::Client;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams, ValidationDirective};
use kube::client::Body;
use kube::core::{GroupVersionKind, Request, Status};
use kube::discovery::{self, Scope};
use kube::{Api, Resource};
use serde::Serialize;
use serde_json::Value;

use super::fault::{Fault, Refuser};
use super::session::Session;
use crate::manifests;

/// The name under which `kubectl apply --server-side` owns fields.
const FIELD_MANAGER: &str = "kubectl";

/// What the API server would do with an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It would store it.
    Admitted,
    /// It would refuse it.
    Refused,
    /// It cannot be told, such as in a namespace that is not there yet.
    Unknown,
}

/// One object and what was found out of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Checked {
    /// The object, such as `apps/v1 Deployment team-a/web`.
    pub object: String,
    /// Whether it would be created or changed.
    pub operation: &'static str,
    /// What would be done with it.
    pub verdict: Verdict,
    /// What the API server warns of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Why it would not be admitted.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Who would refuse it: `RBAC`, `Bailey`, `admission` or `API server`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused_by: Option<&'static str>,
    /// The stable code of Bailey's refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The id of Bailey's decision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<String>,
}

/// The kinds that were looked up, by version and kind.
type Kinds = HashMap<(String, String), (ApiResource, Scope)>;

/// An object as it is asked about.
struct Target {
    resource: ApiResource,
    /// `None` for an object of the cluster.
    namespace: Option<String>,
    /// Empty where the API server makes one up.
    name: String,
    object: Value,
}

impl Session {
    /// Asks of every object in a text whether it would be admitted.
    ///
    /// # Errors
    /// When the text is neither YAML nor JSON, or the API server does not answer.
    pub async fn check(&self, text: &str) -> Result<Vec<Checked>, Fault> {
        let objects = manifests::objects(text).map_err(Fault::Usage)?;
        let mut kinds = Kinds::new();
        let mut all = Vec::new();
        for object in objects {
            all.push(match self.target(object, &mut kinds).await? {
                Ok(target) => self.ask(target).await?,
                Err(checked) => *checked,
            });
        }
        Ok(all)
    }

    /// Where an object belongs, or why it belongs nowhere.
    async fn target(&self, object: Value, kinds: &mut Kinds) -> Result<Result<Target, Box<Checked>>, Fault> {
        let said =
            |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (version, kind) = (said("/apiVersion"), said("/kind"));
        let (name, namespace) = (said("/metadata/name"), said("/metadata/namespace"));
        let shown = shown(&version, &kind, &namespace, &name);
        if version.is_empty() || kind.is_empty() {
            return Ok(Err(refused(shown, "it has no `apiVersion` or no `kind`")));
        }
        let key = (version.clone(), kind.clone());
        if !kinds.contains_key(&key) {
            match look_up(&self.client, &version, &kind).await {
                Ok(found) => _ = kinds.insert(key.clone(), found),
                Err(kube::Error::Api(status)) if status.code != 404 => {
                    return Err(self.fault(&kube::Error::Api(status)));
                }
                Err(kube::Error::Api(_) | kube::Error::Discovery(_)) => {
                    return Ok(Err(refused(
                        shown,
                        &format!("the cluster has no kind `{kind}` of `{version}`"),
                    )));
                }
                Err(error) => return Err(self.fault(&error)),
            }
        }
        let Some((resource, scope)) = kinds.get(&key) else {
            return Ok(Err(refused(shown, "its kind is not known")));
        };
        let namespace = (*scope == Scope::Namespaced)
            .then(|| if namespace.is_empty() { self.namespace().to_owned() } else { namespace });
        Ok(Ok(Target { resource: resource.clone(), namespace, name, object }))
    }

    /// Asks about one object: to create it, or to apply it over the one that is there.
    async fn ask(&self, target: Target) -> Result<Checked, Fault> {
        let Target { resource, namespace, name, .. } = &target;
        let shown =
            shown(&resource.api_version, &resource.kind, namespace.as_deref().unwrap_or_default(), name);
        let api: Api<DynamicObject> = match namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, resource),
            None => Api::all_with(self.client.clone(), resource),
        };
        // Who may not read an object may still create one.
        let exists = !name.is_empty()
            && match api.get_metadata_opt(name).await {
                Ok(found) => found.is_some(),
                Err(kube::Error::Api(_)) => false,
                Err(error) => return Err(self.fault(&error)),
            };
        let operation = if exists { "change" } else { "create" };
        let (status, warnings) = self.send(&target, exists).await?;
        Ok(match status {
            None => Checked { warnings, ..checked(shown, operation, Verdict::Admitted) },
            Some(status) => Checked { warnings, ..of_status(shown, operation, &status) },
        })
    }

    /// Sends the dry run; gives the refusal, if it is one, and the warnings.
    async fn send(&self, target: &Target, exists: bool) -> Result<(Option<Status>, Vec<String>), Fault> {
        let path = DynamicObject::url_path(&target.resource, target.namespace.as_deref());
        let mut object = target.object.clone();
        if let Some(metadata) = object.pointer_mut("/metadata").and_then(Value::as_object_mut) {
            // What `kubectl get -o yaml` prints and an apply may not have.
            metadata.remove("managedFields");
        }
        let unbuilt =
            |error: &dyn std::error::Error| Fault::Failed(format!("the request cannot be made: {error}"));
        let request = if exists {
            let parameters = PatchParams {
                dry_run: true,
                field_validation: Some(ValidationDirective::Strict),
                ..PatchParams::apply(FIELD_MANAGER).force()
            };
            Request::new(path).patch(&target.name, &parameters, &Patch::Apply(&object))
        } else {
            let parameters = PostParams { dry_run: true, field_manager: Some(FIELD_MANAGER.to_owned()) };
            let body = serde_json::to_vec(&object).map_err(|error| unbuilt(&error))?;
            Request::new(path).create(&parameters, body)
        };
        let mut request = request.map_err(|error| unbuilt(&error))?;
        if !exists {
            let strict = format!("{}&fieldValidation=Strict", request.uri());
            *request.uri_mut() =
                strict.parse().map_err(|_| Fault::Failed("the request cannot be made".to_owned()))?;
        }
        let response = self.client.send(request.map(Body::from)).await.map_err(|error| self.fault(&error))?;
        let warnings =
            response.headers().get_all("warning").iter().filter_map(|value| warning(value.to_str().ok()?));
        let warnings = warnings.collect();
        let code = response.status().as_u16();
        if response.status().is_success() {
            return Ok((None, warnings));
        }
        let body = response.into_body().collect_bytes().await.map_err(|error| self.fault(&error))?;
        let status = serde_json::from_slice(&body).unwrap_or_else(|_| {
            let message = String::from_utf8_lossy(&body).into_owned();
            Status { code, message, ..Status::default() }
        });
        if code == 401 {
            return Err(self.fault(&kube::Error::Api(Box::new(status))));
        }
        Ok((Some(status), warnings))
    }
}

async fn look_up(client: &Client, version: &str, kind: &str) -> kube::Result<(ApiResource, Scope)> {
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    let kind = GroupVersionKind::gvk(group, version, kind);
    let (resource, capabilities) = discovery::pinned_kind(client, &kind).await?;
    Ok((resource, capabilities.scope))
}

fn checked(object: String, operation: &'static str, verdict: Verdict) -> Checked {
    Checked {
        object,
        operation,
        verdict,
        warnings: Vec::new(),
        message: String::new(),
        refused_by: None,
        code: None,
        decision: None,
    }
}

fn refused(object: String, message: &str) -> Box<Checked> {
    let refused_by = Some("API server");
    Box::new(Checked {
        message: message.to_owned(),
        refused_by,
        ..checked(object, "create", Verdict::Refused)
    })
}

/// What an answer that is no success says of an object.
fn of_status(object: String, operation: &'static str, status: &Status) -> Checked {
    let missing_namespace = status.code == 404 && status.message.starts_with("namespaces ");
    let fault = Fault::of_status(status);
    if missing_namespace || (status.code >= 500 && !matches!(fault, Fault::Refused { .. })) {
        return Checked { message: fault.to_string(), ..checked(object, operation, Verdict::Unknown) };
    }
    let refused = checked(object, operation, Verdict::Refused);
    match fault {
        Fault::Refused { by: Refuser::Bailey { code, decision }, message, .. } => Checked {
            message,
            refused_by: Some("Bailey"),
            code: Some(code),
            decision: Some(decision),
            ..refused
        },
        Fault::Refused { by: Refuser::Rbac, message, .. } => {
            Checked { message, refused_by: Some("RBAC"), ..refused }
        }
        Fault::Refused { by: Refuser::Admission, message, .. } => {
            Checked { message, refused_by: Some("admission"), ..refused }
        }
        other => Checked { message: other.to_string(), refused_by: Some("API server"), ..refused },
    }
}

fn shown(version: &str, kind: &str, namespace: &str, name: &str) -> String {
    let name = if name.is_empty() { "(no name yet)" } else { name };
    let place = if namespace.is_empty() { String::new() } else { format!("{namespace}/") };
    format!("{version} {kind} {place}{name}")
}

/// The text of a `Warning` header such as `299 - "text"`.
fn warning(header: &str) -> Option<String> {
    let (_, text) = header.split_once('"')?;
    let (text, _) = text.rsplit_once('"')?;
    Some(text.replace("\\\"", "\"").replace("\\\\", "\\"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_text_of_a_warning_is_without_its_envelope() {
        assert_eq!(warning(r#"299 - "would violate \"x\"""#).as_deref(), Some(r#"would violate "x""#));
        assert_eq!(warning("299 - nothing"), None);
    }

    fn verdict(status: Value) -> Checked {
        of_status("v1 Pod a/b".to_owned(), "create", &serde_json::from_value(status).unwrap())
    }

    #[test]
    fn a_refusal_says_by_whom_and_what_is_not_known_is_not_called_refused() {
        let bailey = verdict(json!({
            "code": 403, "message": "admission webhook \"v\" denied the request: no owner",
            "details": {"causes": [{"reason": "policy_denied", "message": "decision 0190"}]},
        }));
        assert_eq!((bailey.refused_by, bailey.decision.as_deref()), (Some("Bailey"), Some("0190")));
        assert_eq!((bailey.message.as_str(), bailey.code.as_deref()), ("no owner", Some("policy_denied")));
        let invalid =
            verdict(json!({"code": 422, "message": "Pod \"b\" is invalid: spec.containers: Required value"}));
        assert_eq!((invalid.refused_by, invalid.verdict), (Some("API server"), Verdict::Refused));
        let missing = verdict(json!({"code": 404, "message": "namespaces \"a\" not found"}));
        assert_eq!(missing.verdict, Verdict::Unknown);
        let down = verdict(json!({"code": 500, "message": "failed calling webhook \"validate.bailey.dev\""}));
        assert_eq!(down.verdict, Verdict::Unknown);
    }
}
