//! A policy, checked and compiled.

use std::thread;

use model::{Code, LoadFault, RegoModule, RegoVersion};

use super::check::{self, Checked, Entry, fault_of};
use super::input::MANAGED_FIELDS;
use super::instance::RegoInstance;
use super::runner::{Machine, NotCompiled, Plain};
use crate::{EvaluationError, Limits};

/// Stack for parsing and compiling: regorus recurses over syntax trees, whose depth is only known afterwards.
const COMPILE_STACK: usize = 256 << 20;
/// The most multiplications in a row where they cannot be guarded: numbers of 2^10 × 64 bits.
const MAX_PLAIN_MULTIPLICATIONS: u32 = 10;

/// What evaluates a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EvaluationPath {
    /// Regorus' virtual machine.
    Rvm,
    /// Regorus' interpreter, for what the machine's compiler does not take: slower, with the same limits.
    Interpreter,
}

/// A Rego policy that was checked and compiles; what a policy set keeps.
///
/// It holds text only. Each evaluation thread makes a [`RegoInstance`] of its own from it.
#[derive(Debug)]
pub struct RegoProgram {
    version: RegoVersion,
    modules: Vec<RegoModule>,
    package: String,
    entries: Vec<Entry>,
    declares_lookups: bool,
    fallback: Option<String>,
}

impl RegoProgram {
    /// Checks and compiles a policy: the first module is the policy, the others are libraries.
    ///
    /// `declares_lookups`: whether the policy may read `data.inventory`. `mutates`: whether `patch` is asked
    /// of it, beside `deny`, `violation` and `warn`.
    ///
    /// # Errors
    /// [`Code::PolicyInvalid`] with the position of the fault.
    pub fn compile(
        version: RegoVersion,
        modules: &[RegoModule],
        declares_lookups: bool,
        mutates: bool,
        limits: &Limits,
    ) -> Result<Self, LoadFault> {
        let internal = |text: &str| LoadFault::new(Code::Internal, text);
        thread::scope(|scope| {
            let work = || Self::compile_here(version, modules, declares_lookups, mutates, limits);
            let handle = thread::Builder::new()
                .name("rego-compile".to_owned())
                .stack_size(COMPILE_STACK)
                .spawn_scoped(scope, work)
                .map_err(|error| internal(&format!("no thread to compile on: {error}")))?;
            handle
                .join()
                .unwrap_or_else(|_| Err(LoadFault::new(Code::PolicyInvalid, "the compiler failed on it")))
        })
    }

    fn compile_here(
        version: RegoVersion,
        modules: &[RegoModule],
        declares_lookups: bool,
        mutates: bool,
        limits: &Limits,
    ) -> Result<Self, LoadFault> {
        let Checked { modules, package, entries, multiplications } =
            check::check(version, modules, declares_lookups, mutates, limits)?;
        let mut program = Self { version, modules, package, entries, declares_lookups, fallback: None };
        let engine = program.engine().map_err(|error| fault_of(&error, &program.modules))?;
        if let Err(reason) = Machine::new(engine, &program.paths()) {
            if let NotCompiled::Recursive(reason) = reason {
                return Err(LoadFault::new(Code::PolicyInvalid, reason));
            }
            let reason = reason.to_string();
            if multiplications > MAX_PLAIN_MULTIPLICATIONS {
                let text = format!(
                    "more than {MAX_PLAIN_MULTIPLICATIONS} multiplications in a row are only served by the virtual \
                     machine, which does not take this policy: {reason}"
                );
                return Err(LoadFault::new(Code::PolicyInvalid, text));
            }
            let engine = program.engine().map_err(|error| fault_of(&error, &program.modules))?;
            Plain::new(engine, &program.paths()).map_err(|error| fault_of(&error, &program.modules))?;
            program.fallback = Some(fault_of(&reason, &[]).message);
        }
        Ok(program)
    }

    /// What evaluates the policy.
    pub const fn path(&self) -> EvaluationPath {
        if self.fallback.is_some() { EvaluationPath::Interpreter } else { EvaluationPath::Rvm }
    }

    /// Why the interpreter evaluates the policy, where it does.
    pub fn fallback_reason(&self) -> Option<&str> {
        self.fallback.as_deref()
    }

    /// Whether the policy may look at `metadata.managedFields`: it names the field, or the interpreter runs
    /// it, which serves `walk`.
    pub fn reads_managed_fields(&self) -> bool {
        self.path() == EvaluationPath::Interpreter
            || self.modules.iter().any(|module| module.text.contains(MANAGED_FIELDS))
    }

    /// Makes an instance for one thread; it shares nothing with any other, so it parses and compiles again.
    ///
    /// # Errors
    /// [`Code::Internal`]: what compiled once compiles again.
    pub fn instantiate(&self) -> Result<RegoInstance, EvaluationError> {
        let internal = |error: String| EvaluationError::new(Code::Internal, error);
        let engine = self.engine().map_err(internal)?;
        let paths = self.paths();
        let entries = self.entries.clone();
        match self.path() {
            EvaluationPath::Rvm => {
                let machine = Machine::new(engine, &paths).map_err(|error| internal(error.to_string()))?;
                Ok(RegoInstance::new(machine.into(), entries, self.declares_lookups))
            }
            EvaluationPath::Interpreter => {
                let plain = Plain::new(engine, &paths).map_err(internal)?;
                Ok(RegoInstance::new(plain.into(), entries, self.declares_lookups))
            }
        }
    }

    /// The paths of the entry rules.
    fn paths(&self) -> Vec<String> {
        self.entries.iter().map(|entry| format!("{}.{}", self.package, entry.name())).collect()
    }

    fn engine(&self) -> Result<regorus::Engine, String> {
        let mut engine = regorus::Engine::new();
        engine.set_rego_v0(self.version == RegoVersion::V0);
        engine.set_strict_builtin_errors(false);
        for module in &self.modules {
            engine.add_policy(module.name.clone(), module.text.clone()).map_err(|error| error.to_string())?;
        }
        Ok(engine)
    }
}
