use std::ops::ControlFlow;

use model::{Code, LoadFault, LookupKind};
use serde::Deserialize;
use wasmparser::{Parser, Payload};

/// The custom section in which Kubewarden policies describe themselves.
const SECTION: &str = "io.kubewarden.metadata";

/// The execution mode of policies that speak waPC.
const WAPC_MODE: &str = "kubewarden-wapc";

/// What a module says of itself; empty where it says nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ModuleMetadata {
    /// The protocol, such as `v1`.
    pub protocol_version: Option<String>,
    /// How the module wants to be run, such as `kubewarden-wapc`.
    pub execution_mode: Option<String>,
    /// Whether it changes objects.
    pub mutating: Option<bool>,
    /// Whether it may be run over objects that exist already.
    pub background_audit: Option<bool>,
    /// `kubernetes` for admission requests, `raw` for others.
    pub policy_type: Option<String>,
    /// The kinds it wants to look up, as `apiVersion` and `kind`.
    pub context_aware_resources: Vec<ContextAwareResource>,
}

/// A kind that a module wants to look up.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContextAwareResource {
    /// `group/version`, or the version alone in the core group.
    pub api_version: String,
    /// The kind.
    pub kind: String,
}

impl ModuleMetadata {
    /// The kinds it wants to look up.
    pub fn lookup_kinds(&self) -> Vec<LookupKind> {
        self.context_aware_resources
            .iter()
            .map(|resource| {
                let (group, version) =
                    resource.api_version.split_once('/').unwrap_or(("", &resource.api_version));
                LookupKind {
                    group: group.to_owned(),
                    version: version.to_owned(),
                    kind: resource.kind.clone(),
                }
            })
            .collect()
    }

    /// Refuses modules that say they need another host than ours.
    pub(super) fn check_kubewarden(&self) -> Result<(), LoadFault> {
        let refuse = |message: String| Err(LoadFault::new(Code::PolicyInvalid, message));
        match (self.execution_mode.as_deref(), self.protocol_version.as_deref(), self.policy_type.as_deref())
        {
            (Some(mode), _, _) if mode != WAPC_MODE => {
                refuse(format!("the module's execution mode is `{mode}`, only `{WAPC_MODE}` is served"))
            }
            (_, Some(version), _) if !version.eq_ignore_ascii_case("v1") => {
                refuse(format!("the module's protocol version is `{version}`, only `v1` is served"))
            }
            (_, _, Some("raw")) => {
                refuse("the module's policy type is `raw`, only `kubernetes` is served".to_owned())
            }
            _ => Ok(()),
        }
    }
}

/// Reads a module's custom section; a module without one has empty metadata.
pub(super) fn read(bytes: &[u8]) -> Result<ModuleMetadata, LoadFault> {
    let found = Parser::new(0).parse_all(bytes).try_for_each(|payload| match payload {
        Ok(Payload::CustomSection(section)) if section.name() == SECTION => {
            ControlFlow::Break(Ok(section.data()))
        }
        Ok(_) => ControlFlow::Continue(()),
        Err(error) => ControlFlow::Break(Err(LoadFault::new(
            Code::PolicyInvalid,
            format!("the module cannot be read at offset {}: {}", error.offset(), error.message()),
        ))),
    });
    match found {
        ControlFlow::Continue(()) => Ok(ModuleMetadata::default()),
        ControlFlow::Break(Err(fault)) => Err(fault),
        ControlFlow::Break(Ok(json)) => serde_json::from_slice(json).map_err(|error| {
            LoadFault::new(
                Code::PolicyInvalid,
                format!("the module's `{SECTION}` section is not valid: {error}"),
            )
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kubewarden_section_is_read_and_checked() {
        let module = |json: &str| {
            let text = format!("(module (@custom \"{SECTION}\" {json:?}))");
            wat::parse_str(text).expect("a module")
        };
        let good = r#"{"protocolVersion":"v1","mutating":true,"executionMode":"kubewarden-wapc","rules":[],
            "contextAwareResources":[{"apiVersion":"apps/v1","kind":"Deployment"},{"apiVersion":"v1","kind":"Pod"}]}"#;
        let metadata = read(&module(good)).expect("metadata");
        assert_eq!(metadata.mutating, Some(true));
        assert_eq!(metadata.check_kubewarden(), Ok(()));
        let kinds: Vec<_> = metadata.lookup_kinds().iter().map(LookupKind::api_version).collect();
        assert_eq!(kinds, ["apps/v1", "v1"]);
        for bad in [r#"{"executionMode":"wasi"}"#, r#"{"protocolVersion":"v2"}"#, r#"{"policyType":"raw"}"#] {
            let metadata = read(&module(bad)).expect("metadata");
            assert!(metadata.check_kubewarden().is_err(), "{bad}");
        }
        assert!(read(&module("no json")).is_err());
        assert_eq!(read(&module("{}")), Ok(ModuleMetadata::default()));
        assert!(read(b"\0asm\x01\0\0\0\xff\xff").is_err_and(|fault| fault.message.contains("offset")));
    }
}
