use model::Code;
use wasmtime::{Error, PoolConcurrencyLimitError, Trap};

use super::bounds::Bounds;
use crate::EvaluationError;

/// The longest part of a guest's own text in a message, in characters.
const GUEST_TEXT: usize = 500;

/// What an error of wasmtime or of a host call means, given what happened in the store before.
pub(super) fn evaluation_error(error: &Error, bounds: &Bounds) -> EvaluationError {
    let trap = error.downcast_ref::<Trap>();
    if trap == Some(&Trap::Interrupt) {
        return late(bounds);
    }
    // What a host function of ours said is the most precise there is.
    if let Some(own) = error.downcast_ref::<EvaluationError>() {
        return own.clone();
    }
    if trap == Some(&Trap::StackOverflow) {
        return EvaluationError::new(
            Code::PolicyMemory,
            "the policy's stack overflowed, it recurses too deeply",
        );
    }
    if error.is::<PoolConcurrencyLimitError>() {
        return EvaluationError::new(
            Code::Overloaded,
            "all slots for WebAssembly guests are in use, try again",
        );
    }
    let text = error_text(error);
    if text.contains("fuel allocated for hostcalls") {
        return too_large(bounds);
    }
    if bounds.refused {
        return out_of_memory(bounds);
    }
    match trap {
        Some(
            Trap::InvalidChar
            | Trap::StringOutOfBounds
            | Trap::ListOutOfBounds
            | Trap::InvalidDiscriminant
            | Trap::UnalignedPointer,
        )
        | None => after_host_fault(
            Code::PolicyOutputInvalid,
            format!("the policy broke its interface: {text}"),
            bounds,
        ),
        Some(trap) => {
            let text = trap.to_string();
            let cause = text.strip_prefix("wasm trap: ").unwrap_or(&text);
            let message = match &bounds.last_words {
                Some(words) => format!("the policy crashed: {cause}; its last words were `{words}`"),
                None => format!("the policy crashed: {cause}"),
            };
            after_host_fault(Code::PolicyTrapped, message, bounds)
        }
    }
}

/// The policy used up its time.
pub(super) fn late(bounds: &Bounds) -> EvaluationError {
    let message = format!("the policy ran longer than its {} ms", bounds.budget.as_millis());
    EvaluationError::new(Code::PolicyTimeout, message)
}

/// The policy was refused memory or tables, and failed.
fn out_of_memory(bounds: &Bounds) -> EvaluationError {
    let limit = match bounds.memory_limit() {
        bytes if bytes < 1 << 20 => format!("{} KiB", bytes >> 10),
        bytes => format!("{} MiB", bytes >> 20),
    };
    let message =
        format!("the policy needs more than its limit of {limit} of memory, or more tables, and failed");
    EvaluationError::new(Code::PolicyMemory, message)
}

/// The policy handed over more than it may.
pub(super) fn too_large(bounds: &Bounds) -> EvaluationError {
    let message = format!("the policy's output is longer than its limit of {} bytes", bounds.output_limit);
    EvaluationError::new(Code::PolicyOutputTooLarge, message)
}

/// The policy's answer is not one.
pub(super) fn invalid(what: impl std::fmt::Display) -> EvaluationError {
    EvaluationError::new(Code::PolicyOutputInvalid, format!("the policy's answer cannot be read: {what}"))
}

/// The policy said itself that it failed.
pub(super) fn guest_error(text: &str, bounds: &Bounds) -> EvaluationError {
    if bounds.refused {
        return out_of_memory(bounds);
    }
    after_host_fault(Code::PolicyError, format!("the policy failed: {}", one_line(text)), bounds)
}

/// A failure, explained by the host call that could not be served before, where there was one.
fn after_host_fault(code: Code, message: String, bounds: &Bounds) -> EvaluationError {
    match &bounds.host_fault {
        Some(fault) => EvaluationError::new(
            fault.code,
            format!("{message}, after a host call failed: {}", fault.message),
        ),
        None => EvaluationError::new(code, message),
    }
}

/// An error and its causes on one line.
pub(super) fn error_text(error: &Error) -> String {
    one_line(&format!("{error:#}"))
}

/// A text of a guest's, cut and without control characters, so that it cannot forge lines.
pub(super) fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len().min(GUEST_TEXT));
    for word in text.split(|letter: char| letter.is_control()).filter(|word| !word.is_empty()) {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        if line.len() > GUEST_TEXT.saturating_mul(4) {
            break;
        }
    }
    match line.char_indices().nth(GUEST_TEXT) {
        Some((end, _)) => {
            line.truncate(end);
            line.push('…');
            line
        }
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guest_text_is_one_bounded_line() {
        assert_eq!(one_line("a\r\n\u{1b}[31mb\0"), "a [31mb");
        assert_eq!(one_line(&"é".repeat(5_000)).chars().count(), GUEST_TEXT + 1);
    }
}
