use std::path::PathBuf;
use std::sync::Arc;

use model::{Code, Digest, LoadFault, WasmInterface};
use sha2::{Digest as _, Sha256};
use wasmtime::Engine;

use super::cache::ModuleCache;
use super::module::Kind;
use super::ticker::Ticker;
use super::{WasmModule, component, engine, metadata, wapc};
use crate::Limits;

/// How the process runs guests.
#[derive(Debug, Clone)]
pub struct WasmConfig {
    /// Where compiled modules are kept between starts; nowhere when `None`.
    pub cache_dir: Option<PathBuf>,
    /// How many guests may run at the same time.
    pub slots: u32,
    /// The widest limits of any guest.
    pub limits: Limits,
}

/// The engine of all guests and the thread that interrupts them; cheap to clone.
#[derive(Clone, Debug)]
pub struct WasmRuntime(pub(super) Arc<Shared>);

pub(super) struct Shared {
    pub(super) engine: Engine,
    pub(super) ticker: Ticker,
    components: component::Loader,
    wapc: wapc::Loader,
    cache: Option<ModuleCache>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("WasmRuntime").field("cache", &self.cache).finish_non_exhaustive()
    }
}

impl WasmRuntime {
    /// Starts the engine and its ticker.
    ///
    /// A cache directory that cannot be used is logged and done without.
    ///
    /// # Errors
    /// [`Code::Internal`] when the machine can run no guests at all.
    pub fn new(config: WasmConfig) -> Result<Self, LoadFault> {
        let engine = engine::engine(config.slots, &config.limits)?;
        let ticker = Ticker::start(engine.clone()).map_err(|error| {
            LoadFault::new(Code::Internal, format!("the thread that interrupts guests cannot start: {error}"))
        })?;
        let cache = config.cache_dir.and_then(|directory| match ModuleCache::open(&directory, &engine) {
            Ok(cache) => Some(cache),
            Err(error) => {
                tracing::warn!(directory = %directory.display(), %error, "compiled wasm modules are not kept");
                None
            }
        });
        let components = component::Loader::new(&engine)?;
        let wapc = wapc::Loader::new(&engine)?;
        Ok(Self(Arc::new(Shared { engine, ticker, components, wapc, cache })))
    }

    /// Compiles, links and once starts a module, so that no fault of these is left for a request.
    ///
    /// Takes long: up to seconds for large modules, and cannot be interrupted. Not for request threads.
    ///
    /// # Errors
    /// [`Code::ModuleDigestMismatch`] when the bytes are not those of the digest, else
    /// [`Code::PolicyInvalid`]: not a module of this interface, unknown imports, beyond the limits, or
    /// failing at its start.
    pub fn compile(
        &self,
        interface: WasmInterface,
        bytes: &[u8],
        digest: &Digest,
        limits: &Limits,
    ) -> Result<WasmModule, LoadFault> {
        check_bytes(interface, bytes, digest, limits)?;
        let metadata = metadata::read(bytes)?;
        let cache = self.0.cache.as_ref();
        let kind = match interface {
            WasmInterface::Bailey => {
                Kind::Component(self.0.components.load(&self.0.engine, cache, bytes, digest)?)
            }
            WasmInterface::Kubewarden => {
                metadata.check_kubewarden()?;
                Kind::Wapc(self.0.wapc.load(&self.0.engine, cache, bytes, digest)?)
            }
        };
        let module = WasmModule::new(self.clone(), kind, metadata);
        module.start_once(limits)?;
        Ok(module)
    }
}

fn check_bytes(
    interface: WasmInterface,
    bytes: &[u8],
    digest: &Digest,
    limits: &Limits,
) -> Result<(), LoadFault> {
    let invalid = |message: String| Err(LoadFault::new(Code::PolicyInvalid, message));
    if bytes.len() > limits.module_bytes {
        return invalid(format!(
            "the module has {} bytes, the limit is {}",
            bytes.len(),
            limits.module_bytes
        ));
    }
    let found = Digest::new(Sha256::digest(bytes).into());
    if found != *digest {
        let message = format!("the module's digest is `{found}`, the policy pins `{digest}`");
        return Err(LoadFault::new(Code::ModuleDigestMismatch, message));
    }
    let is_component = match bytes.get(..8) {
        Some([0, b'a', b's', b'm', 1, 0, 0, 0]) => false,
        Some([0, b'a', b's', b'm', _, 0, 1, 0]) => true,
        _ => return invalid("the bytes are not a WebAssembly binary, which starts with `\\0asm`".to_owned()),
    };
    match (interface, is_component) {
        (WasmInterface::Bailey, false) => invalid(
            "this is a core module; interface `bailey` takes a component, interface `kubewarden` a core module"
                .to_owned(),
        ),
        (WasmInterface::Kubewarden, true) => invalid(
            "this is a component; interface `kubewarden` takes a core module, interface `bailey` a component"
                .to_owned(),
        ),
        _ => Ok(()),
    }
}
