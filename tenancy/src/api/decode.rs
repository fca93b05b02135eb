use std::path::PathBuf;

use model::{Code, LoadFault, PolicyBinding};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;

use super::{GROUP, PolicyDraft, VERSION, bounds, convert};

/// A configuration object, read and checked, but not compiled.
#[derive(Debug, Clone, PartialEq)]
pub enum ConfigObject {
    /// A policy; its wasm module, if any, is not read yet.
    Policy(Box<PolicyDraft>),
    /// A binding.
    Binding(Box<PolicyBinding>),
}

/// The kinds of configuration objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum ConfigKind {
    Policy,
    Binding,
}

/// Where an object comes from: what its module may be depends on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// The cluster: files are absolute paths.
    Cluster,
    /// A file in this directory: other files are relative to it, and there is no cluster.
    Directory(PathBuf),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope {
    #[serde(rename = "apiVersion")]
    _api_version: String,
    #[serde(rename = "kind")]
    _kind: String,
    metadata: Metadata,
    spec: Value,
    #[serde(rename = "status")]
    _status: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    #[serde(default)]
    name: String,
    #[serde(default)]
    generate_name: String,
    #[serde(default)]
    generation: i64,
}

/// Reads a Policy or PolicyBinding as the API server sends it, for the check at its own admission.
///
/// # Errors
/// [`Code::PolicyInvalid`], [`Code::BindingInvalid`] or [`Code::ParametersInvalid`], with the field's path.
pub fn decode(json: &[u8]) -> Result<ConfigObject, LoadFault> {
    let value = serde_json::from_slice(json)
        .map_err(|error| LoadFault::new(Code::PolicyInvalid, format!("the object is not JSON: {error}")))?;
    decode_value(value, &Place::Cluster)
}

/// Reads an object whose text is already parsed.
///
/// # Errors
/// See [`decode`].
pub(crate) fn decode_value(value: Value, place: &Place) -> Result<ConfigObject, LoadFault> {
    let code = match value.get("kind").and_then(Value::as_str) {
        Some("PolicyBinding") => Code::BindingInvalid,
        _ => Code::PolicyInvalid,
    };
    // The kind comes first: what is no object of Bailey's is called that, and not a bad Policy.
    let text = |field: &str| value.get(field).and_then(Value::as_str).unwrap_or_default();
    let kind = ConfigKind::from_name(text("kind")).ok_or_else(|| {
        let found = text("kind");
        LoadFault::new(code, format!("kind: `{found}` is unknown, use `Policy` or `PolicyBinding`"))
    })?;
    let (found, expected) = (text("apiVersion"), format!("{GROUP}/{VERSION}"));
    if found != expected {
        return Err(LoadFault::new(code, format!("apiVersion: `{found}` is not served, use `{expected}`")));
    }
    let envelope: Envelope = typed(value, "", code)?;
    let Metadata { name, generate_name, generation } = envelope.metadata;
    let name = if name.is_empty() { generate_name } else { name };
    check_name(&name).map_err(|message| LoadFault::new(code, message))?;
    spec(kind, name, generation, envelope.spec, place)
}

fn spec(
    kind: ConfigKind,
    name: String,
    generation: i64,
    value: Value,
    place: &Place,
) -> Result<ConfigObject, LoadFault> {
    let code = kind.code();
    // The types come first, so that a wrong one is called that and not a wrong bound.
    match kind {
        ConfigKind::Policy => {
            let spec = typed(value.clone(), "spec", code)?;
            bounds::check(kind, &value)?;
            convert::policy(name, generation, spec, place)
                .map(|policy| ConfigObject::Policy(Box::new(policy)))
        }
        ConfigKind::Binding => {
            let spec = typed(value.clone(), "spec", code)?;
            bounds::check(kind, &value)?;
            convert::binding(name, generation, spec).map(|binding| ConfigObject::Binding(Box::new(binding)))
        }
    }
}

fn typed<T: DeserializeOwned>(value: Value, root: &str, code: Code) -> Result<T, LoadFault> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let path = match (root, path.as_str()) {
            ("", ".") => "the object".to_owned(),
            ("", _) => path,
            (_, ".") => root.to_owned(),
            (_, _) => format!("{root}.{path}"),
        };
        LoadFault::new(code, format!("{path}: {}", error.inner()))
    })
}

/// Names follow Kubernetes (RFC 1123 subdomains), so that a file's object could move to the cluster.
fn check_name(name: &str) -> Result<(), String> {
    let end = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = name.as_bytes();
    let fits = bytes.len() <= 253
        && bytes.iter().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.'))
        && end(bytes.first())
        // A generated name's prefix may end with a dash.
        && (end(bytes.last()) || name.ends_with('-'));
    match (name.is_empty(), fits) {
        (true, _) => Err("metadata.name: a name is needed".to_owned()),
        (_, true) => Ok(()),
        _ => Err(format!(
            "metadata.name: `{name}` is not a name: use lower-case letters, digits, `-` and `.`, at most 253"
        )),
    }
}

impl ConfigKind {
    fn from_name(name: &str) -> Option<Self> {
        match name {
            "Policy" => Some(Self::Policy),
            "PolicyBinding" => Some(Self::Binding),
            _ => None,
        }
    }

    /// The code of an object of this kind that is not valid.
    pub(crate) const fn code(self) -> Code {
        match self {
            Self::Policy => Code::PolicyInvalid,
            Self::Binding => Code::BindingInvalid,
        }
    }

    /// The kind as Kubernetes writes it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Policy => "Policy",
            Self::Binding => "PolicyBinding",
        }
    }
}
