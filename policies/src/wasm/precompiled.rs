use wasmtime::component::Component;
use wasmtime::{Engine, Module};

// SAFETY (of both functions): wasmtime runs what it deserializes as native code, so the bytes must be
// what `serialize` made, unchanged. Callers are in `cache.rs` only, which
// - reads from a directory that belongs to this process's user and that nobody else may enter (0700,
//   checked at each start), from regular files of that user,
// - wrote those files itself, from `serialize`, whole or not at all (rename),
// - has compared a SHA-256 sum kept beside the bytes with the very bytes in memory, so that no damage on
//   disk and no change after the check gets here,
// - keys them by the SHA-256 of the module and by the engine's version and settings;
//   wasmtime itself checks the latter again, and whether it is a module or a component.
// An attacker who can write there already runs code as this user.

/// A core module from its own serialized form.
#[expect(unsafe_code, reason = "wasmtime trusts precompiled code; see SAFETY above")]
pub(super) fn module(engine: &Engine, verified: &[u8]) -> wasmtime::Result<Module> {
    // SAFETY: see above.
    unsafe { Module::deserialize(engine, verified) }
}

/// A component from its own serialized form.
#[expect(unsafe_code, reason = "wasmtime trusts precompiled code; see SAFETY above")]
pub(super) fn component(engine: &Engine, verified: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: see above.
    unsafe { Component::deserialize(engine, verified) }
}
