use std::hash::{BuildHasher, RandomState};

use thiserror::Error;
use wasmtime::{Caller, FuncType, Linker, Val, ValType};

use super::memory;
use super::protocol::State;
use crate::EvaluationError;
use crate::wasm::{fault, lookup};

/// The module that WASI preview 1 imports come from.
const WASI: &str = "wasi_snapshot_preview1";

/// The most of one write to standard output or error that is logged, in bytes.
const LOG_LINE: usize = 4 << 10;

/// The most pieces of one write, and events of one poll, that are looked at.
const MOST_PIECES: u32 = 64;

const SUCCESS: i32 = 0;
const BAD_FILE: i32 = 8;
const INVALID: i32 = 28;
const NOT_SUPPORTED: u16 = 58;
const NO_SUCH_FUNCTION: i32 = 52;

/// A guest ended itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the policy ended itself with status {0}")]
pub(super) struct Exit(pub(super) i32);

/// Functions that need authority a policy does not have: they only answer that there is no such function.
/// Beside each its parameters, `i` for i32 and `I` for i64.
const REFUSED: &[(&str, &str)] = &[
    ("fd_advise", "iIIi"),
    ("fd_allocate", "iII"),
    ("fd_datasync", "i"),
    ("fd_fdstat_set_rights", "iII"),
    ("fd_filestat_get", "ii"),
    ("fd_filestat_set_size", "iI"),
    ("fd_filestat_set_times", "iIIi"),
    ("fd_pread", "iiiIi"),
    ("fd_pwrite", "iiiIi"),
    ("fd_readdir", "iiiIi"),
    ("fd_renumber", "ii"),
    ("fd_seek", "iIii"),
    ("fd_sync", "i"),
    ("fd_tell", "ii"),
    ("path_create_directory", "iii"),
    ("path_filestat_get", "iiiii"),
    ("path_filestat_set_times", "iiiiIIi"),
    ("path_link", "iiiiiii"),
    ("path_open", "iiiiiIIii"),
    ("path_readlink", "iiiiii"),
    ("path_remove_directory", "iii"),
    ("path_rename", "iiiiii"),
    ("path_symlink", "iiiii"),
    ("path_unlink_file", "iii"),
    ("proc_raise", "i"),
    ("sock_accept", "iii"),
    ("sock_recv", "iiiiii"),
    ("sock_send", "iiiii"),
    ("sock_shutdown", "ii"),
];

/// Standard output goes to the log; time and random numbers are real; everything else is empty or refused.
pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    for (name, parameters) in REFUSED {
        let parameters = parameters.chars().map(|kind| if kind == 'I' { ValType::I64 } else { ValType::I32 });
        let kind = FuncType::new(linker.engine(), parameters, [ValType::I32]);
        linker.func_new(WASI, name, kind, |_, _, results| {
            results.fill(Val::I32(NO_SUCH_FUNCTION));
            Ok(())
        })?;
    }
    for name in ["args_get", "environ_get"] {
        linker.func_wrap(WASI, name, |_: i32, _: i32| SUCCESS)?;
    }
    for name in ["args_sizes_get", "environ_sizes_get"] {
        linker.func_wrap(WASI, name, |caller: Caller<'_, State>, count: u32, size: u32| {
            put(caller, &[(count, &[0; 4]), (size, &[0; 4])])
        })?;
    }
    linker.func_wrap(WASI, "sched_yield", || SUCCESS)?;
    linker.func_wrap(WASI, "proc_exit", |status: i32| -> wasmtime::Result<()> { Err(exit(status)) })?;
    linker.func_wrap(WASI, "random_get", random_get)?;
    linker.func_wrap(WASI, "clock_res_get", |caller: Caller<'_, State>, _: i32, pointer: u32| {
        put(caller, &[(pointer, &1_000_u64.to_le_bytes())])
    })?;
    linker.func_wrap(WASI, "clock_time_get", |caller: Caller<'_, State>, _: i32, _: i64, pointer: u32| {
        put(caller, &[(pointer, &lookup::now().to_le_bytes())])
    })?;
    linker.func_wrap(WASI, "poll_oneoff", poll_oneoff)?;
    linker.func_wrap(WASI, "fd_close", |file: u32| if is_standard(file) { SUCCESS } else { BAD_FILE })?;
    linker.func_wrap(WASI, "fd_fdstat_get", fd_fdstat_get)?;
    linker.func_wrap(
        WASI,
        "fd_fdstat_set_flags",
        |file: u32, _: i32| if is_standard(file) { SUCCESS } else { BAD_FILE },
    )?;
    linker.func_wrap(WASI, "fd_prestat_get", |_: i32, _: i32| BAD_FILE)?;
    linker.func_wrap(WASI, "fd_prestat_dir_name", |_: i32, _: i32, _: i32| BAD_FILE)?;
    linker.func_wrap(
        WASI,
        "fd_read",
        |caller: Caller<'_, State>, file: u32, _: i32, _: i32, read: u32| {
            if file == 0 { put(caller, &[(read, &[0; 4])]) } else { Ok(BAD_FILE) }
        },
    )?;
    linker.func_wrap(WASI, "fd_write", fd_write)?;
    Ok(())
}

/// Kept as an error of its own only for status 0; any other is a crash with a reason.
fn exit(status: i32) -> wasmtime::Error {
    let exit = Exit(status);
    if status == 0 {
        exit.into()
    } else {
        EvaluationError::new(model::Code::PolicyTrapped, exit.to_string()).into()
    }
}

fn is_standard(file: u32) -> bool {
    file <= 2
}

/// Writes results at a guest's pointers.
fn put(mut caller: Caller<'_, State>, values: &[(u32, &[u8])]) -> wasmtime::Result<i32> {
    let (memory, _) = memory::of(&mut caller)?.data_and_store_mut(&mut caller);
    values.iter().try_for_each(|(pointer, bytes)| memory::write(memory, *pointer, bytes))?;
    Ok(SUCCESS)
}

/// Unpredictable, but not fit for keys: enough for hash maps and identifiers.
fn random_get(mut caller: Caller<'_, State>, pointer: u32, length: u32) -> wasmtime::Result<i32> {
    let (memory, _) = memory::of(&mut caller)?.data_and_store_mut(&mut caller);
    // Checks the whole range before anything is written.
    memory::bytes(memory, pointer, length)?;
    let keys = RandomState::new();
    let mut at = pointer;
    let mut left = length;
    while left > 0 {
        let word = keys.hash_one(at).to_le_bytes();
        let piece = left.min(8);
        let bytes = word.get(..usize::try_from(piece)?).unwrap_or(&word);
        memory::write(memory, at, bytes)?;
        at = at.saturating_add(piece);
        left = left.saturating_sub(piece);
    }
    Ok(SUCCESS)
}

/// A character device that may be written.
fn fd_fdstat_get(caller: Caller<'_, State>, file: u32, pointer: u32) -> wasmtime::Result<i32> {
    const STAT: [u8; 24] = {
        let mut stat = [0; 24];
        stat[0] = 2;
        stat[8] = 0x40;
        stat
    };
    if is_standard(file) { put(caller, &[(pointer, &STAT)]) } else { Ok(BAD_FILE) }
}

/// Takes all pieces (at most 64 at a time) and logs the beginning of them.
fn fd_write(
    mut caller: Caller<'_, State>,
    file: u32,
    pieces: u32,
    count: u32,
    written: u32,
) -> wasmtime::Result<i32> {
    if !matches!(file, 1 | 2) {
        return Ok(BAD_FILE);
    }
    let (memory, state) = memory::of(&mut caller)?.data_and_store_mut(&mut caller);
    state.bounds.count_host_call()?;
    let mut line = Vec::new();
    let mut total = 0_u32;
    for index in 0..count.min(MOST_PIECES) {
        let piece = pieces.saturating_add(index.saturating_mul(8));
        let (pointer, length) = (word(memory, piece)?, word(memory, piece.saturating_add(4))?);
        let bytes = memory::bytes(memory, pointer, length)?;
        let room = LOG_LINE.saturating_sub(line.len());
        line.extend(bytes.iter().take(room));
        total = total.saturating_add(length);
    }
    memory::write(memory, written, &total.to_le_bytes())?;
    let line = String::from_utf8_lossy(&line);
    if file == 2 {
        state.bounds.last_words = Some(fault::one_line(&line));
    }
    lookup::log("debug", &line);
    Ok(SUCCESS)
}

/// Every timer has rung already: a policy does not sleep. Files are never ready.
fn poll_oneoff(
    mut caller: Caller<'_, State>,
    subscriptions: u32,
    events: u32,
    count: u32,
    ready: u32,
) -> wasmtime::Result<i32> {
    if count == 0 || count > MOST_PIECES {
        return Ok(INVALID);
    }
    let (memory, _) = memory::of(&mut caller)?.data_and_store_mut(&mut caller);
    for index in 0..count {
        let subscription = memory::bytes(memory, subscriptions.saturating_add(index.saturating_mul(48)), 9)?;
        let mut event = [0; 32];
        let is_timer = subscription.last() == Some(&0);
        let error = if is_timer { 0 } else { NOT_SUPPORTED };
        let head = subscription.iter().take(8).copied();
        let tail = error.to_le_bytes().into_iter().chain(subscription.last().copied());
        event.iter_mut().zip(head.chain(tail)).for_each(|(to, from)| *to = from);
        memory::write(memory, events.saturating_add(index.saturating_mul(32)), &event)?;
    }
    memory::write(memory, ready, &count.to_le_bytes())?;
    Ok(SUCCESS)
}

fn word(memory: &[u8], pointer: u32) -> Result<u32, EvaluationError> {
    let bytes = memory::bytes(memory, pointer, 4)?;
    Ok(bytes.iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte)))
}
