use std::time::Duration;

use model::PolicyLimits;

/// Every bound on one evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Wall-clock time of one evaluation.
    pub timeout: Duration,
    /// Linear memory of one wasm guest, in bytes.
    pub memory_bytes: usize,
    /// Stack of one wasm guest, in bytes.
    pub stack_bytes: usize,
    /// The longest answer of a policy, as JSON, in bytes; also the longest string a Rego built-in may make.
    pub output_bytes: usize,
    /// The most findings or patch operations of one evaluation.
    pub findings: usize,
    /// The most host calls (lookups, log lines) of one evaluation.
    pub host_calls: u32,
    /// All Rego modules of one policy together, in bytes.
    pub source_bytes: usize,
    /// One wasm module, in bytes.
    pub module_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            timeout: Duration::from_millis(100),
            memory_bytes: 64 << 20,
            stack_bytes: 512 << 10,
            output_bytes: 1 << 20,
            findings: 100,
            host_calls: 1_000,
            source_bytes: 256 << 10,
            module_bytes: 32 << 20,
        }
    }
}

impl Limits {
    /// These limits, narrowed by what a policy asks for itself; never widened.
    pub fn narrowed(self, own: &PolicyLimits) -> Self {
        let timeout = own.timeout_ms.map_or(self.timeout, |ms| Duration::from_millis(ms.into()));
        let memory = own.memory_mib.and_then(|mib| usize::try_from(mib).ok()?.checked_mul(1 << 20));
        Self {
            timeout: self.timeout.min(timeout),
            memory_bytes: self.memory_bytes.min(memory.unwrap_or(self.memory_bytes)),
            ..self
        }
    }
}
