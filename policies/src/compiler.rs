//! From what was read to what is in force.
//!
//! INVARIANT: one bad policy or binding never keeps another from loading. A policy that does not
//! compile leaves its last good version in force; where there is none, its bindings answer every
//! matching request with a failure, which each binding's failure policy turns into refuse or ignore.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::{Code, Digest, LoadFault, Loaded, LookupKind, Policy, PolicyBinding, Source, Sources};
use sha2::{Digest as _, Sha256};

use crate::Limits;
use crate::matching::Matcher;
use crate::rego::RegoProgram;
use crate::set::{CompiledBinding, CompiledEngine, CompiledPolicy, PolicySet, Target};
use crate::wasm::WasmRuntime;

/// Compiles policies and keeps the last good version of each.
#[derive(Debug)]
pub struct Compiler {
    runtime: WasmRuntime,
    limits: Limits,
    revision: u64,
    policies: BTreeMap<String, Arc<CompiledPolicy>>,
    bindings: BTreeMap<String, PolicyBinding>,
}

/// How one policy or binding stands after a build.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadStatus {
    /// The object's name.
    pub name: String,
    /// The generation that was read.
    pub generation: i64,
    /// The version in force: generation and short digest; `None` when there is none.
    pub version: Option<String>,
    /// What is wrong with the generation that was read.
    pub fault: Option<LoadFault>,
}

/// A build: the new set and how everything stands.
#[derive(Debug)]
pub struct Build {
    /// The set to put in force.
    pub set: Arc<PolicySet>,
    /// Every policy read.
    pub policies: Vec<LoadStatus>,
    /// Every binding read.
    pub bindings: Vec<LoadStatus>,
}

impl Compiler {
    /// A compiler whose policies get at most these limits.
    pub fn new(runtime: WasmRuntime, limits: Limits) -> Self {
        Self { runtime, limits, revision: 0, policies: BTreeMap::new(), bindings: BTreeMap::new() }
    }

    /// Builds a set from everything that was read. Unchanged policies are not compiled again.
    pub fn build(&mut self, sources: &Sources) -> Build {
        let policies: Vec<LoadStatus> =
            sources.policies.iter().map(|loaded| self.load_policy(loaded)).collect();
        let names: BTreeSet<&str> = sources.policies.iter().map(|loaded| loaded.name.as_str()).collect();
        self.policies.retain(|name, _| names.contains(name.as_str()));

        let faults: BTreeMap<&str, &LoadFault> = policies
            .iter()
            .filter_map(|status| Some((status.name.as_str(), status.fault.as_ref()?)))
            .collect();
        let mut compiled = Vec::with_capacity(sources.bindings.len());
        let mut bindings = Vec::with_capacity(sources.bindings.len());
        for loaded in &sources.bindings {
            let (binding, status) = self.load_binding(loaded, &faults);
            compiled.extend(binding);
            bindings.push(status);
        }
        let names: BTreeSet<&str> = sources.bindings.iter().map(|loaded| loaded.name.as_str()).collect();
        self.bindings.retain(|name, _| names.contains(name.as_str()));
        compiled.sort_by(|a, b| order_key(&a.binding).cmp(&order_key(&b.binding)));
        self.revision = self.revision.saturating_add(1);
        let set = Arc::new(PolicySet::new(self.revision, compiled, self.lookups()));
        Build { set, policies, bindings }
    }

    /// Compiles a policy without keeping it: for its own admission.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn check_policy(&self, policy: &Policy) -> Result<(), LoadFault> {
        compile(&self.runtime, &self.limits, policy).map(|_| ())
    }

    /// Checks a binding against the policies in force, without keeping it. A binding whose policy is
    /// not there (yet) is checked alone.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check_binding(&self, binding: &PolicyBinding) -> Result<(), LoadFault> {
        Matcher::new(&binding.rules)?;
        match self.policies.get(&binding.policy) {
            Some(policy) => policy.check_parameters(&binding.parameters),
            None => Ok(()),
        }
    }

    /// Whether a policy of this name is in force.
    pub fn has_policy(&self, name: &str) -> bool {
        self.policies.contains_key(name)
    }

    /// Whether exceptions may cover what a policy finds: by this binding of it, or by any.
    pub fn allows_exceptions(&self, policy: &str, binding: Option<&str>) -> bool {
        let meant =
            |known: &&PolicyBinding| known.policy == policy && binding.is_none_or(|name| known.name == name);
        self.bindings.values().filter(meant).any(|known| known.exceptions)
    }

    fn lookups(&self) -> Vec<LookupKind> {
        let kinds: BTreeSet<&LookupKind> =
            self.policies.values().flat_map(|policy| &policy.policy.lookups).collect();
        kinds.into_iter().cloned().collect()
    }

    fn load_policy(&mut self, loaded: &Loaded<Policy>) -> LoadStatus {
        let result = loaded.value.as_ref().map_err(LoadFault::clone).and_then(|policy| {
            let digest = content_digest(policy, &self.limits);
            match self.policies.get(&loaded.name) {
                Some(known) if known.digest == digest => Ok(Arc::clone(known)),
                _ => compile(&self.runtime, &self.limits, policy).map(Arc::new),
            }
        });
        let fault = match result {
            Ok(policy) => {
                self.policies.insert(loaded.name.clone(), policy);
                None
            }
            Err(fault) => Some(fault),
        };
        let version = self.policies.get(&loaded.name).map(|policy| policy.version.to_string());
        LoadStatus { name: loaded.name.clone(), generation: loaded.generation, version, fault }
    }

    /// A binding that is not good leaves its last good version in force, where that still works.
    fn load_binding(
        &mut self,
        loaded: &Loaded<PolicyBinding>,
        faults: &BTreeMap<&str, &LoadFault>,
    ) -> (Option<CompiledBinding>, LoadStatus) {
        let read = loaded.value.as_ref().map_err(LoadFault::clone);
        let read = read.and_then(|binding| self.compile_binding(binding, faults));
        let fault = match &read {
            Ok(compiled) => compiled.fault().cloned(),
            Err(fault) => Some(fault.clone()),
        };
        let last_good = || {
            let kept = self.bindings.get(&loaded.name)?;
            self.compile_binding(kept, faults).ok().filter(|compiled| compiled.fault().is_none())
        };
        let compiled = match (&fault, read) {
            (None, Ok(compiled)) => Some(compiled),
            (_, read) => last_good().or(read.ok()),
        };
        let good = compiled.as_ref().filter(|compiled| compiled.fault().is_none());
        let version = good.map(|compiled| compiled.binding.generation.to_string());
        if let Some(good) = good {
            self.bindings.insert(loaded.name.clone(), good.binding.clone());
        }
        (compiled, LoadStatus { name: loaded.name.clone(), generation: loaded.generation, version, fault })
    }

    fn compile_binding(
        &self,
        binding: &PolicyBinding,
        faults: &BTreeMap<&str, &LoadFault>,
    ) -> Result<CompiledBinding, LoadFault> {
        Ok(CompiledBinding {
            matcher: Matcher::new(&binding.rules)?,
            parameters: binding.parameters.to_string(),
            target: self.target(binding, faults),
            names: [binding.name.as_str().into(), binding.policy.as_str().into()],
            binding: binding.clone(),
        })
    }

    fn target(&self, binding: &PolicyBinding, faults: &BTreeMap<&str, &LoadFault>) -> Target {
        let name = &binding.policy;
        let Some(policy) = self.policies.get(name) else {
            return Target::Broken(match faults.get(name.as_str()) {
                Some(fault) => LoadFault::new(
                    Code::PolicyNotLoaded,
                    format!("policy `{name}` could not be loaded: {fault}"),
                ),
                None => LoadFault::new(Code::PolicyMissing, format!("there is no policy `{name}`")),
            });
        };
        match policy.check_parameters(&binding.parameters) {
            Ok(()) => Target::Ready(Arc::clone(policy)),
            Err(fault) => Target::Broken(fault),
        }
    }
}

fn order_key(binding: &PolicyBinding) -> (i32, &str) {
    (binding.order, &binding.name)
}

fn compile(runtime: &WasmRuntime, limits: &Limits, policy: &Policy) -> Result<CompiledPolicy, LoadFault> {
    let limits = limits.narrowed(&policy.limits);
    let schema = match &policy.parameter_schema {
        None => None,
        Some(schema) => Some(jsonschema::validator_for(schema).map_err(|error| {
            LoadFault::new(Code::PolicyInvalid, format!("`spec.parameters.schema`: {error}"))
        })?),
    };
    let engine = match &policy.source {
        Source::Rego { version, modules } => CompiledEngine::Rego(RegoProgram::compile(
            *version,
            modules,
            !policy.lookups.is_empty(),
            policy.mutates,
            &limits,
        )?),
        Source::Wasm { interface, bytes, digest } => {
            CompiledEngine::Wasm(runtime.compile(*interface, bytes, digest, &limits)?)
        }
    };
    let digest = content_digest(policy, &limits);
    let version = format!("{}-{}", policy.generation, digest.short()).into();
    Ok(CompiledPolicy { policy: policy.clone(), version, digest, limits, schema, engine })
}

/// What tells versions apart: everything a policy says, and the limits it is compiled under.
fn content_digest(policy: &Policy, limits: &Limits) -> Digest {
    let mut hash = Sha256::new();
    match &policy.source {
        Source::Rego { version, modules } => hash.update(format!("rego {version:?} {modules:?}")),
        Source::Wasm { interface, digest, .. } => hash.update(format!("wasm {interface:?} {digest}")),
    }
    let rest = (&policy.parameter_schema, &policy.messages, &policy.lookups, &policy.limits, policy.mutates);
    hash.update(format!("{} {rest:?} {:?}", policy.generation, limits.narrowed(&policy.limits)));
    Digest::new(hash.finalize().into())
}
