//! The waPC protocol of Kubewarden policies: a core module that is called through one export and fetches
//! its input and leaves its output through imports.

mod host_call;
mod kubernetes;
mod memory;
mod protocol;
mod response;
mod wasi;

use model::{Code, Digest, LoadFault};
use wasmtime::{Engine, ExternType, Instance, InstancePre, Linker, Module as CoreModule, Store};

use self::protocol::State;
use super::bounds::{self, Bounds};
use super::cache::ModuleCache;
use super::{Call, fault};
use crate::{Answer, EvaluationError};

/// Reads any bytes as a guest's answers: the entry of the fuzz target.
#[cfg(fuzzing)]
pub(in crate::wasm) fn fuzz_answer(response: &[u8]) {
    let _ = response::answer(response, 100, true);
    let _ = response::settings_verdict(response);
    let _ = response::answer(response, 1, false);
}

/// Functions that set a guest up, in this order, where it has them: of WASI reactors, of WASI commands
/// (TinyGo), of waPC.
const INITIALISERS: [&str; 3] = ["_initialize", "_start", "wapc_init"];

/// The export through which a guest is called.
const GUEST_CALL: &str = "__guest_call";

/// Links core modules against waPC and the part of WASI that has no authority.
pub(in crate::wasm) struct Loader(Linker<State>);

/// A waPC module ready to be instantiated.
pub(in crate::wasm) struct Module(InstancePre<State>);

impl Loader {
    pub(in crate::wasm) fn new(engine: &Engine) -> Result<Self, LoadFault> {
        let mut linker = Linker::new(engine);
        protocol::add_to_linker(&mut linker)
            .and_then(|()| wasi::add_to_linker(&mut linker))
            .map_err(|error| LoadFault::new(Code::Internal, fault::error_text(&error)))?;
        Ok(Self(linker))
    }

    pub(in crate::wasm) fn load(
        &self,
        engine: &Engine,
        cache: Option<&ModuleCache>,
        bytes: &[u8],
        digest: &Digest,
    ) -> Result<Module, LoadFault> {
        let invalid = |what: &str, error: wasmtime::Error| {
            LoadFault::new(Code::PolicyInvalid, format!("the module {what}: {}", fault::error_text(&error)))
        };
        let module = match cache.and_then(|cache| cache.module(engine, digest)) {
            Some(module) => module,
            None => {
                let module =
                    CoreModule::new(engine, bytes).map_err(|error| invalid("does not compile", error))?;
                if let Some(cache) = cache {
                    cache.store(digest, module.serialize());
                }
                module
            }
        };
        check_exports(&module)?;
        self.0.instantiate_pre(&module).map(Module).map_err(|error| {
            invalid(
                "imports what neither `wapc` nor the served part of `wasi_snapshot_preview1` offers",
                error,
            )
        })
    }
}

fn check_exports(module: &CoreModule) -> Result<(), LoadFault> {
    let missing =
        |what: &str| Err(LoadFault::new(Code::PolicyInvalid, format!("the module does not export {what}")));
    match module.get_export("memory") {
        Some(ExternType::Memory(_)) => {}
        _ => return missing("a memory named `memory`"),
    }
    match module.get_export(GUEST_CALL) {
        Some(ExternType::Func(function))
            if function.params().map(|kind| kind.is_i32()).eq([true, true])
                && function.results().map(|kind| kind.is_i32()).eq([true]) => {}
        _ => return missing("`__guest_call(i32, i32) -> i32`"),
    }
    for name in INITIALISERS {
        match module.get_export(name) {
            Some(ExternType::Func(function))
                if function.params().len() == 0 && function.results().len() == 0 => {}
            None => {}
            Some(_) => return missing(&format!("`{name}` as a function without parameters and results")),
        }
    }
    Ok(())
}

impl Module {
    pub(in crate::wasm) fn validate(
        &self,
        engine: &Engine,
        call: &Call<'_>,
    ) -> Result<Answer, EvaluationError> {
        let response = self.ask(engine, call, "validate", payload(call))?;
        response::answer(&response, call.limits.findings, false)
    }

    pub(in crate::wasm) fn mutate(
        &self,
        engine: &Engine,
        call: &Call<'_>,
    ) -> Result<Answer, EvaluationError> {
        let response = self.ask(engine, call, "validate", payload(call))?;
        response::answer(&response, call.limits.findings, true)
    }

    pub(in crate::wasm) fn validate_settings(
        &self,
        engine: &Engine,
        call: &Call<'_>,
    ) -> Result<Result<(), String>, EvaluationError> {
        let response = self.ask(engine, call, "validate_settings", call.settings_json().into())?;
        response::settings_verdict(&response)
    }

    pub(in crate::wasm) fn start(&self, engine: &Engine, call: &Call<'_>) -> Result<(), EvaluationError> {
        self.run(engine, State::new(call, "", Vec::new()), |_, _| Ok(Ok(())))
    }

    fn ask(
        &self,
        engine: &Engine,
        call: &Call<'_>,
        operation: &'static str,
        payload: Vec<u8>,
    ) -> Result<Vec<u8>, EvaluationError> {
        let lengths = (length(operation.len())?, length(payload.len())?);
        self.run(engine, State::new(call, operation, payload), |instance, store| {
            let guest_call = instance.get_typed_func::<(u32, u32), u32>(&mut *store, GUEST_CALL)?;
            let done = guest_call.call(&mut *store, lengths)?;
            Ok(store.data_mut().take_answer(done == 1))
        })
    }

    /// Instantiates the module, sets it up, calls it and explains what went wrong.
    fn run<R>(
        &self,
        engine: &Engine,
        state: State,
        ask: impl FnOnce(&Instance, &mut Store<State>) -> wasmtime::Result<Result<R, String>>,
    ) -> Result<R, EvaluationError> {
        let mut store = bounds::store(engine, state);
        let answer = self.set_up(&mut store).and_then(|instance| ask(&instance, &mut store));
        let bounds: &Bounds = &store.data().bounds;
        match answer {
            Ok(_) if bounds.is_late() => Err(fault::late(bounds)),
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(text)) => Err(fault::guest_error(&text, bounds)),
            Err(error) => Err(fault::evaluation_error(&error, bounds)),
        }
    }

    fn set_up(&self, store: &mut Store<State>) -> wasmtime::Result<Instance> {
        let instance = self.0.instantiate(&mut *store)?;
        for name in INITIALISERS {
            let Some(function) = instance.get_func(&mut *store, name) else { continue };
            match function.typed::<(), ()>(&*store)?.call(&mut *store, ()) {
                // A command's `_start` may end with a good exit; its memory stays as it is.
                Err(error) if error.downcast_ref::<wasi::Exit>() == Some(&wasi::Exit(0)) => {}
                ended => ended?,
            }
        }
        Ok(instance)
    }
}

/// `{"request": …, "settings": …}`.
fn payload(call: &Call<'_>) -> Vec<u8> {
    let settings = call.settings_json();
    let mut payload =
        Vec::with_capacity(call.request.len().saturating_add(settings.len()).saturating_add(32));
    payload.extend_from_slice(b"{\"request\":");
    payload.extend_from_slice(call.request);
    payload.extend_from_slice(b",\"settings\":");
    payload.extend_from_slice(settings.as_bytes());
    payload.push(b'}');
    payload
}

fn length(bytes: usize) -> Result<u32, EvaluationError> {
    u32::try_from(bytes).map_err(|_| {
        EvaluationError::new(Code::PolicyMemory, format!("a request of {bytes} bytes does not fit any guest"))
    })
}
