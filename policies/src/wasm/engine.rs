use std::time::Instant;

use model::{Code, LoadFault};
use wasmtime::{Config, Enabled, Engine, OptLevel, PoolingAllocationConfig};

use super::bounds::{INSTANCES, MEMORIES, TABLE_ELEMENTS, TABLES};
use super::fault::error_text;
use crate::Limits;

/// How much of a used memory stays mapped for the next guest; more than that is given back.
///
/// At least a small guest's whole memory: without it each call pays for page faults, and threads wait for
/// each other in the kernel.
const KEEP_RESIDENT: usize = 2 << 20;

/// Address space of one memory and behind it, so that no access needs a bounds check.
const RESERVATION: u64 = 4 << 30;

/// How many memories may keep their pages while unused: each costs up to [`KEEP_RESIDENT`].
const WARM_SLOTS: u32 = 16;

/// The engine of the process: with pooled memories where the address space allows it.
pub(super) fn engine(slots: u32, limits: &Limits) -> Result<Engine, LoadFault> {
    let started = Instant::now();
    let mut config = base(limits);
    config.allocation_strategy(pool(slots.max(1), limits));
    let engine = match Engine::new(&config) {
        Ok(engine) => engine,
        Err(error) => {
            tracing::warn!(error = %error_text(&error), "wasm memories cannot be pooled, each call maps its own");
            Engine::new(&base(limits)).map_err(|error| {
                let message = format!("the WebAssembly engine cannot start: {}", error_text(&error));
                LoadFault::new(Code::Internal, message)
            })?
        }
    };
    tracing::debug!(elapsed = ?started.elapsed(), "wasm engine is ready");
    Ok(engine)
}

fn base(limits: &Limits) -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .max_wasm_stack(limits.stack_bytes)
        .memory_reservation(RESERVATION)
        .cranelift_opt_level(OptLevel::Speed)
        .concurrency_support(false)
        // Only for backtraces, which nobody sees.
        .generate_address_map(false)
        .wasm_memory64(false)
        .wasm_multi_memory(false)
        // The same answer on every machine.
        .relaxed_simd_deterministic(true)
        .cranelift_nan_canonicalization(true);
    config
}

fn pool(slots: u32, limits: &Limits) -> PoolingAllocationConfig {
    let per_slot = |count: usize| slots.saturating_mul(u32::try_from(count).unwrap_or(u32::MAX));
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(slots)
        .total_core_instances(per_slot(INSTANCES))
        .total_memories(per_slot(MEMORIES))
        .total_tables(per_slot(TABLES))
        .max_memory_size(limits.memory_bytes)
        .max_tables_per_module(u32::try_from(TABLES).unwrap_or(u32::MAX))
        .table_elements(TABLE_ELEMENTS)
        .max_unused_warm_slots(WARM_SLOTS)
        .linear_memory_keep_resident(KEEP_RESIDENT)
        .table_keep_resident(64 << 10)
        .pagemap_scan(Enabled::Auto);
    pool
}
