//! WebAssembly policies: guests run by wasmtime, each request in an instance of its own.
//!
//! Two calling conventions are served: Bailey's own component interface
//! (`wasm-plugins/wit/policy.wit`) and the waPC protocol of Kubewarden policies. A guest has no
//! authority but what its convention names: logging, lookups of the kinds its policy declared, and
//! the time.
//!
//! Lifetimes: one engine per process ([`WasmRuntime`]), one compiled and linked module per policy
//! version ([`WasmModule`]), one store per call. Nothing of a request survives its store.
//!
//! What a guest may use is bounded by [`crate::Limits`]: time by epoch interruption, also while it
//! starts; memory, tables and instances by a resource limiter; the stack by the engine; what it hands
//! to the host by its length, before the host copies it.

mod bounds;
mod cache;
mod component;
mod engine;
mod fault;
mod lookup;
mod metadata;
mod module;
mod precompiled;
mod runtime;
mod scope;
mod selector;
mod ticker;
mod wapc;

#[cfg(test)]
mod tests;

/// Reads any bytes as a guest's answers: the entry of the fuzz target.
#[cfg(fuzzing)]
pub fn fuzz_answer(response: &[u8]) {
    wapc::fuzz_answer(response);
}

pub use metadata::ModuleMetadata;
pub use module::{Call, WasmModule};
pub use runtime::{WasmConfig, WasmRuntime};
