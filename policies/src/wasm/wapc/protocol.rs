use wasmtime::{Caller, Linker};

use super::{host_call, memory};
use crate::EvaluationError;
use crate::wasm::bounds::{Bounds, Guest};
use crate::wasm::{Call, fault, lookup};

/// The module that waPC's imports come from.
const WAPC: &str = "wapc";

/// The longest log line that is read from a guest, in bytes.
const LOG_LINE: u32 = 4 << 10;

/// The data of a waPC guest's store: what goes in and what came out.
pub(super) struct State {
    pub(super) bounds: Bounds,
    operation: &'static str,
    payload: Vec<u8>,
    response: Vec<u8>,
    error: Vec<u8>,
    host_response: Vec<u8>,
    host_error: Vec<u8>,
}

impl Guest for State {
    fn bounds(&mut self) -> &mut Bounds {
        &mut self.bounds
    }
}

impl State {
    pub(super) fn new(call: &Call<'_>, operation: &'static str, payload: Vec<u8>) -> Self {
        Self {
            bounds: Bounds::new(call.limits, call.budget),
            operation,
            payload,
            response: Vec::new(),
            error: Vec::new(),
            host_response: Vec::new(),
            host_error: Vec::new(),
        }
    }

    /// What the guest left: its response, or its error's text.
    pub(super) fn take_answer(&mut self, done: bool) -> Result<Vec<u8>, String> {
        if done {
            return Ok(std::mem::take(&mut self.response));
        }
        let text = String::from_utf8_lossy(&self.error);
        Err(if text.is_empty() { "it gave no reason".to_owned() } else { text.into_owned() })
    }

    /// Refuses bytes that are longer than a policy's output may be, before they are copied.
    fn check_length(&self, length: u32) -> Result<(), EvaluationError> {
        match usize::try_from(length) {
            Ok(length) if length <= self.bounds.output_limit => Ok(()),
            _ => Err(fault::too_large(&self.bounds)),
        }
    }
}

pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.func_wrap(WAPC, "__guest_request", guest_request)?;
    linker.func_wrap(WAPC, "__guest_response", guest_response)?;
    linker.func_wrap(WAPC, "__guest_error", guest_error)?;
    linker.func_wrap(WAPC, "__console_log", console_log)?;
    linker.func_wrap(WAPC, "__host_call", call_host)?;
    linker.func_wrap(WAPC, "__host_response_len", |caller: Caller<'_, State>| {
        u32::try_from(caller.data().host_response.len()).unwrap_or(u32::MAX)
    })?;
    linker.func_wrap(WAPC, "__host_response", |mut caller: Caller<'_, State>, pointer: u32| {
        let (memory, state) = memory::of(&mut caller)?.data_and_store_mut(&mut caller);
        Ok(memory::write(memory, pointer, &state.host_response)?)
    })?;
    linker.func_wrap(WAPC, "__host_error_len", |caller: Caller<'_, State>| {
        u32::try_from(caller.data().host_error.len()).unwrap_or(u32::MAX)
    })?;
    linker.func_wrap(WAPC, "__host_error", |mut caller: Caller<'_, State>, pointer: u32| {
        let (memory, state) = memory::of(&mut caller)?.data_and_store_mut(&mut caller);
        Ok(memory::write(memory, pointer, &state.host_error)?)
    })?;
    Ok(())
}

fn guest_request(mut caller: Caller<'_, State>, operation: u32, payload: u32) -> wasmtime::Result<()> {
    let (memory, state) = memory::of(&mut caller)?.data_and_store_mut(&mut caller);
    memory::write(memory, operation, state.operation.as_bytes())?;
    memory::write(memory, payload, &state.payload)?;
    Ok(())
}

fn guest_response(mut caller: Caller<'_, State>, pointer: u32, length: u32) -> wasmtime::Result<()> {
    let (memory, state) = memory::of(&mut caller)?.data_and_store_mut(&mut caller);
    state.check_length(length)?;
    state.response = memory::bytes(memory, pointer, length)?.to_vec();
    Ok(())
}

fn guest_error(mut caller: Caller<'_, State>, pointer: u32, length: u32) -> wasmtime::Result<()> {
    let (memory, state) = memory::of(&mut caller)?.data_and_store_mut(&mut caller);
    state.check_length(length)?;
    state.error = memory::bytes(memory, pointer, length)?.to_vec();
    Ok(())
}

fn console_log(mut caller: Caller<'_, State>, pointer: u32, length: u32) -> wasmtime::Result<()> {
    let (memory, state) = memory::of(&mut caller)?.data_and_store_mut(&mut caller);
    state.bounds.count_host_call()?;
    let line = memory::bytes(memory, pointer, length.min(LOG_LINE))?;
    lookup::log("debug", &String::from_utf8_lossy(line));
    Ok(())
}

/// Binding, namespace, operation and payload, each as pointer and length.
#[expect(clippy::too_many_arguments, reason = "waPC has it so")]
fn call_host(
    mut caller: Caller<'_, State>,
    binding: u32,
    binding_length: u32,
    namespace: u32,
    namespace_length: u32,
    operation: u32,
    operation_length: u32,
    payload: u32,
    payload_length: u32,
) -> wasmtime::Result<u32> {
    let (memory, state) = memory::of(&mut caller)?.data_and_store_mut(&mut caller);
    state.bounds.count_host_call()?;
    [binding_length, namespace_length, operation_length, payload_length]
        .into_iter()
        .try_for_each(|length| state.check_length(length))?;
    let request = host_call::HostCall {
        binding: text(memory, binding, binding_length)?,
        namespace: text(memory, namespace, namespace_length)?,
        operation: text(memory, operation, operation_length)?,
        payload: memory::bytes(memory, payload, payload_length)?,
    };
    state.host_response.clear();
    state.host_error.clear();
    match host_call::serve(&request) {
        Ok(response) => {
            state.host_response = response;
            Ok(1)
        }
        Err(host_call::Refusal::Answer(text)) => {
            state.host_error = text.into_bytes();
            Ok(0)
        }
        Err(host_call::Refusal::Fault(fault)) => {
            state.host_error = state.bounds.note(fault).into_bytes();
            Ok(0)
        }
    }
}

fn text(memory: &[u8], pointer: u32, length: u32) -> Result<&str, EvaluationError> {
    let bytes = memory::bytes(memory, pointer, length)?;
    std::str::from_utf8(bytes)
        .map_err(|error| fault::invalid(format_args!("a host call's name is not UTF-8: {error}")))
}
