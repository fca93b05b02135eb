use std::sync::Arc;
use std::time::Duration;

use model::{Code, LoadFault, LookupKind};

use super::scope::NoLookups;
use super::{ModuleMetadata, WasmRuntime, component, scope, wapc};
use crate::{Answer, EvaluationError, Limits, Lookups};

/// Time to start a guest when its policy is loaded: more than a request gives, as nothing is warm yet.
const START_BUDGET: Duration = Duration::from_secs(1);

/// A compiled module, linked and ready to be instantiated; cheap to clone, shared by all threads.
#[derive(Clone)]
pub struct WasmModule(Arc<Inner>);

struct Inner {
    runtime: WasmRuntime,
    kind: Kind,
    metadata: ModuleMetadata,
}

pub(super) enum Kind {
    Component(component::Module),
    Wapc(wapc::Module),
}

/// One question to a guest.
#[derive(Clone, Copy)]
pub struct Call<'a> {
    /// The AdmissionRequest as JSON.
    pub request: &'a [u8],
    /// The binding's parameters as JSON; empty is an empty object.
    pub settings: &'a str,
    /// Where the guest's lookups are served from.
    pub lookups: &'a dyn Lookups,
    /// The kinds that the policy declared; others are refused.
    pub declared: &'a [LookupKind],
    /// The bounds on this guest.
    pub limits: &'a Limits,
    /// What is left of the request's time; the guest gets at most its own limit.
    pub budget: Duration,
}

impl Call<'_> {
    /// The settings, never empty.
    pub(super) fn settings_json(&self) -> &str {
        if self.settings.trim().is_empty() { "{}" } else { self.settings }
    }

    fn check_size(&self) -> Result<(), EvaluationError> {
        let needed = self.request.len().saturating_add(self.settings.len());
        if needed <= self.limits.memory_bytes {
            return Ok(());
        }
        let limit = self.limits.memory_bytes;
        let message = format!("the request has {needed} bytes, more than the {limit} of the policy's memory");
        Err(EvaluationError::new(Code::PolicyMemory, message))
    }
}

impl std::fmt::Debug for WasmModule {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match self.0.kind {
            Kind::Component(_) => "component",
            Kind::Wapc(_) => "wapc",
        };
        formatter.debug_struct("WasmModule").field("kind", &kind).field("metadata", &self.0.metadata).finish()
    }
}

impl WasmModule {
    pub(super) fn new(runtime: WasmRuntime, kind: Kind, metadata: ModuleMetadata) -> Self {
        Self(Arc::new(Inner { runtime, kind, metadata }))
    }

    /// Asks whether a request is fine, in a fresh instance.
    ///
    /// Runs on the caller's thread, whose stack must hold the guest's (`Limits::stack_bytes`) beside its own.
    ///
    /// # Errors
    /// A code per cause: [`Code::PolicyTimeout`], [`Code::PolicyMemory`] (also the stack),
    /// [`Code::PolicyTrapped`], [`Code::PolicyOutputTooLarge`], [`Code::PolicyOutputInvalid`],
    /// [`Code::PolicyError`] when the guest says that it failed, and the code of the first host call
    /// that could not be served when the guest failed after it.
    pub fn validate(&self, call: &Call<'_>) -> Result<Answer, EvaluationError> {
        self.ask(call, |inner| match &inner.kind {
            Kind::Component(module) => module.validate(&inner.runtime.0.engine, call),
            Kind::Wapc(module) => module.validate(&inner.runtime.0.engine, call),
        })
    }

    /// Asks how a request's object should change, in a fresh instance. A waPC policy that refuses the
    /// request says so here too.
    ///
    /// # Errors
    /// As [`WasmModule::validate`].
    pub fn mutate(&self, call: &Call<'_>) -> Result<Answer, EvaluationError> {
        self.ask(call, |inner| match &inner.kind {
            Kind::Component(module) => module.mutate(&inner.runtime.0.engine, call),
            Kind::Wapc(module) => module.mutate(&inner.runtime.0.engine, call),
        })
    }

    /// Asks whether the policy could work with these parameters; the inner error is its own text.
    ///
    /// # Errors
    /// As [`WasmModule::validate`].
    pub fn validate_settings(
        &self,
        settings: &str,
        limits: &Limits,
    ) -> Result<Result<(), String>, EvaluationError> {
        let call = Call { settings, ..idle_call(limits, limits.timeout) };
        self.ask(&call, |inner| match &inner.kind {
            Kind::Component(module) => module.validate_settings(&inner.runtime.0.engine, &call),
            Kind::Wapc(module) => module.validate_settings(&inner.runtime.0.engine, &call),
        })
    }

    /// What the module says of itself.
    pub fn metadata(&self) -> &ModuleMetadata {
        &self.0.metadata
    }

    /// Starts the guest once: signatures, initial memory and start functions are checked.
    pub(super) fn start_once(&self, limits: &Limits) -> Result<(), LoadFault> {
        let limits = Limits { timeout: limits.timeout.max(START_BUDGET), ..*limits };
        let call = idle_call(&limits, START_BUDGET);
        let started = self.ask(&call, |inner| match &inner.kind {
            Kind::Component(module) => module.start(&inner.runtime.0.engine, &call),
            Kind::Wapc(module) => module.start(&inner.runtime.0.engine, &call),
        });
        started.map_err(|error| {
            LoadFault::new(Code::PolicyInvalid, format!("the policy cannot start: {}", error.message))
        })
    }

    fn ask<R>(
        &self,
        call: &Call<'_>,
        ask: impl FnOnce(&Inner) -> Result<R, EvaluationError>,
    ) -> Result<R, EvaluationError> {
        call.check_size()?;
        let _running = self.0.runtime.0.ticker.enter();
        scope::within(call, || ask(&self.0))
    }
}

fn idle_call(limits: &Limits, budget: Duration) -> Call<'_> {
    Call { request: &[], settings: "", lookups: &NoLookups, declared: &[], limits, budget }
}
