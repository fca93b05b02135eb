use model::Code;
use wasmtime::{Caller, Extern, Memory};

use super::protocol::State;
use crate::EvaluationError;

/// The guest's memory.
pub(super) fn of(caller: &mut Caller<'_, State>) -> Result<Memory, EvaluationError> {
    caller
        .get_export("memory")
        .and_then(Extern::into_memory)
        .ok_or_else(|| broken("its memory is not exported"))
}

/// The bytes at a guest's pointer.
pub(super) fn bytes(memory: &[u8], pointer: u32, length: u32) -> Result<&[u8], EvaluationError> {
    range(pointer, length)
        .and_then(|(start, end)| memory.get(start..end))
        .ok_or_else(|| outside(pointer, length.into()))
}

/// Writes bytes at a guest's pointer.
pub(super) fn write(memory: &mut [u8], pointer: u32, bytes: &[u8]) -> Result<(), EvaluationError> {
    let target = u32::try_from(bytes.len())
        .ok()
        .and_then(|length| range(pointer, length))
        .and_then(|(start, end)| memory.get_mut(start..end))
        .ok_or_else(|| outside(pointer, u64::try_from(bytes.len()).unwrap_or(u64::MAX)))?;
    target.copy_from_slice(bytes);
    Ok(())
}

fn range(pointer: u32, length: u32) -> Option<(usize, usize)> {
    let start = usize::try_from(pointer).ok()?;
    Some((start, start.checked_add(usize::try_from(length).ok()?)?))
}

fn outside(pointer: u32, length: u64) -> EvaluationError {
    broken(&format!("{length} bytes at {pointer} are outside its memory"))
}

fn broken(what: &str) -> EvaluationError {
    EvaluationError::new(Code::PolicyOutputInvalid, format!("the policy broke its interface: {what}"))
}
