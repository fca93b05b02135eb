//! A compiled, immutable set of policies and bindings; built whole, swapped whole.

use std::sync::Arc;

use model::{Code, Digest, LoadFault, LookupKind, Policy, PolicyBinding};

use crate::Limits;
use crate::matching::{Index, Matcher};
use crate::rego::RegoProgram;
use crate::wasm::WasmModule;

/// All bindings in force, with the compiled policies they name.
#[derive(Debug)]
pub struct PolicySet {
    revision: u64,
    pub(crate) bindings: Vec<CompiledBinding>,
    pub(crate) index: Index,
    lookups: Vec<LookupKind>,
}

/// A binding ready to be matched and asked.
#[derive(Debug)]
pub(crate) struct CompiledBinding {
    pub(crate) binding: PolicyBinding,
    /// Its name and its policy's, as every record has them.
    pub(crate) names: [Arc<str>; 2],
    pub(crate) matcher: Matcher,
    /// The parameters as JSON text, as guests receive them.
    pub(crate) parameters: String,
    pub(crate) target: Target,
}

impl CompiledBinding {
    /// The kinds that the binding's policy may look up, where it is written in Rego.
    pub(crate) fn rego_lookups(&self) -> Option<&[LookupKind]> {
        match &self.target {
            Target::Ready(policy) if matches!(policy.engine, CompiledEngine::Rego(_)) => {
                Some(&policy.policy.lookups)
            }
            _ => None,
        }
    }
}

/// What a binding asks.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    /// A policy that works.
    Ready(Arc<CompiledPolicy>),
    /// None; every request that matches gets this failure.
    Broken(LoadFault),
}

/// A policy ready to be evaluated.
#[derive(Debug)]
pub(crate) struct CompiledPolicy {
    pub(crate) policy: Policy,
    pub(crate) version: Arc<str>,
    pub(crate) digest: Digest,
    pub(crate) limits: Limits,
    pub(crate) schema: Option<jsonschema::Validator>,
    pub(crate) engine: CompiledEngine,
}

/// The engine of a compiled policy.
#[derive(Debug)]
pub(crate) enum CompiledEngine {
    /// Rego.
    Rego(RegoProgram),
    /// WebAssembly.
    Wasm(WasmModule),
}

impl PolicySet {
    /// A set without any binding: revision 0, in force until the first load.
    pub fn empty() -> Self {
        Self::new(0, Vec::new(), Vec::new())
    }

    pub(crate) fn new(revision: u64, bindings: Vec<CompiledBinding>, lookups: Vec<LookupKind>) -> Self {
        let index = Index::new(bindings.iter().map(|binding| &binding.matcher));
        Self { revision, bindings, index, lookups }
    }

    /// The set's number; each build's is greater than the last one's.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The number of bindings in force.
    pub fn len(&self) -> usize {
        self.bindings.len()
    }

    /// Whether there is no binding.
    pub fn is_empty(&self) -> bool {
        self.bindings.is_empty()
    }

    /// The kinds its policies may look up, each once.
    pub fn lookups(&self) -> &[LookupKind] {
        &self.lookups
    }
}

impl CompiledBinding {
    /// Why the binding cannot answer; `None` when it can.
    pub(crate) fn fault(&self) -> Option<&LoadFault> {
        match &self.target {
            Target::Ready(_) => None,
            Target::Broken(fault) => Some(fault),
        }
    }
}

impl CompiledPolicy {
    /// Checks a binding's parameters against the policy's schema.
    pub(crate) fn check_parameters(&self, parameters: &serde_json::Value) -> Result<(), LoadFault> {
        let fault = |message| LoadFault::new(Code::ParametersInvalid, message);
        if !parameters.is_object() {
            return Err(fault("`spec.parameters` must be an object".to_owned()));
        }
        if let Some(schema) = &self.schema {
            schema.validate(parameters).map_err(|error| {
                fault(format!("`spec.parameters{}`: {error}", error.instance_path().as_str()))
            })?;
        }
        let CompiledEngine::Wasm(module) = &self.engine else {
            return Ok(());
        };
        match module.validate_settings(&parameters.to_string(), &self.limits) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(message)) => Err(fault(format!("the policy refuses `spec.parameters`: {message}"))),
            Err(error) => Err(fault(format!("the policy cannot check `spec.parameters`: {error}"))),
        }
    }
}
