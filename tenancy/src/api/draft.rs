use std::collections::BTreeMap;
use std::path::PathBuf;

use bytes::Bytes;
use model::{Code, Digest, LoadFault, LookupKind, Policy, PolicyLimits, Source, WasmInterface};
use serde_json::Value;

use crate::digest::digest_of;

/// The largest wasm module that is read, in bytes.
pub(crate) const MAX_MODULE_BYTES: usize = 32 << 20;

/// A policy as its object says it, before its wasm module is read.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicyDraft {
    /// The object's name.
    pub name: String,
    /// The object's generation; 0 for files.
    pub generation: i64,
    /// What the policy is made of.
    pub source: DraftSource,
    /// Whether the policy mutates.
    pub mutates: bool,
    /// The JSON Schema of parameters; `None` takes any object.
    pub parameter_schema: Option<Value>,
    /// The message catalogue.
    pub messages: BTreeMap<String, String>,
    /// The kinds the policy may look up.
    pub lookups: Vec<LookupKind>,
    /// Limits of its own.
    pub limits: PolicyLimits,
}

/// What a policy is made of, or where that is.
#[derive(Debug, Clone, PartialEq)]
pub enum DraftSource {
    /// Rego, which the object itself holds.
    Rego(Source),
    /// WebAssembly, which is elsewhere.
    Wasm {
        /// The calling convention.
        interface: WasmInterface,
        /// Where the module is.
        module: ModuleReference,
    },
}

/// Where a wasm module is, and which one it must be.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModuleReference {
    /// The place.
    pub location: ModuleLocation,
    /// The digest it must have; always there for ConfigMaps and Secrets.
    pub digest: Option<Digest>,
}

/// The place of a wasm module.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ModuleLocation {
    /// A file.
    File(PathBuf),
    /// A key of a ConfigMap.
    ConfigMap {
        /// The namespace.
        namespace: String,
        /// The name.
        name: String,
        /// The key.
        key: String,
    },
    /// A key of a Secret.
    Secret {
        /// The namespace.
        namespace: String,
        /// The name.
        name: String,
        /// The key.
        key: String,
    },
}

impl PolicyDraft {
    /// Where the wasm module is; `None` for Rego.
    pub fn module(&self) -> Option<&ModuleReference> {
        match &self.source {
            DraftSource::Rego(_) => None,
            DraftSource::Wasm { module, .. } => Some(module),
        }
    }

    /// The policy; `read` is asked for the module and its digest, and only for wasm.
    ///
    /// # Errors
    /// What `read` says, or [`Code::ModuleDigestMismatch`] when the module is another one than pinned.
    pub fn resolve<F>(&self, read: F) -> Result<Policy, LoadFault>
    where
        F: FnOnce(&ModuleLocation) -> Result<(Bytes, Digest), LoadFault>,
    {
        let source = match &self.source {
            DraftSource::Rego(source) => source.clone(),
            DraftSource::Wasm { interface, module } => {
                let (bytes, digest) = read(&module.location)?;
                module.verify(&digest)?;
                Source::Wasm { interface: *interface, bytes, digest }
            }
        };
        Ok(Policy {
            name: self.name.clone(),
            generation: self.generation,
            source,
            mutates: self.mutates,
            parameter_schema: self.parameter_schema.clone(),
            messages: self.messages.clone(),
            lookups: self.lookups.clone(),
            limits: self.limits,
        })
    }
}

impl ModuleReference {
    fn verify(&self, found: &Digest) -> Result<(), LoadFault> {
        match &self.digest {
            Some(pinned) if pinned != found => Err(LoadFault::new(
                Code::ModuleDigestMismatch,
                format!(
                    "spec.wasm.module: {} has the digest `{found}`, but `{pinned}` is pinned",
                    self.location
                ),
            )),
            _ => Ok(()),
        }
    }
}

impl std::fmt::Display for ModuleLocation {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => write!(formatter, "file `{}`", path.display()),
            Self::ConfigMap { namespace, name, key } => {
                write!(formatter, "key `{key}` of ConfigMap `{namespace}/{name}`")
            }
            Self::Secret { namespace, name, key } => {
                write!(formatter, "key `{key}` of Secret `{namespace}/{name}`")
            }
        }
    }
}

impl ModuleLocation {
    /// That the module cannot be had from here, and why.
    pub(crate) fn unavailable(&self, why: impl std::fmt::Display) -> LoadFault {
        LoadFault::new(Code::ModuleUnavailable, format!("spec.wasm.module: {self} {why}"))
    }

    /// The module with its digest, if it is not too large.
    ///
    /// # Errors
    /// [`Code::ModuleUnavailable`] when it is too large or empty.
    pub(crate) fn accept(&self, bytes: Bytes) -> Result<(Bytes, Digest), LoadFault> {
        match bytes.len() {
            0 => Err(self.unavailable("is empty")),
            length if length > MAX_MODULE_BYTES => {
                Err(self.unavailable(format!("has {length} bytes, at most {MAX_MODULE_BYTES} are read")))
            }
            _ => {
                let digest = digest_of(&bytes);
                Ok((bytes, digest))
            }
        }
    }
}
