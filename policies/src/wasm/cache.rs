use std::fs::{self, DirBuilder, File, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use model::Digest;
use sha2::{Digest as _, Sha256};
use wasmtime::component::Component;
use wasmtime::{Engine, Module};

use super::precompiled;

/// Beyond this many entries the oldest go.
const MOST_ENTRIES: usize = 512;

/// Bytes of the checksum before an entry's content.
const CHECKSUM: usize = 32;

/// Compiled modules on disk, so that a start needs no compiler.
///
/// It guarantees: what comes out is what was put in for the same bytes and the same engine, or nothing.
/// Every fault is a miss; the module is then compiled again.
#[derive(Debug)]
pub(super) struct ModuleCache {
    directory: PathBuf,
    /// Of wasmtime's version and settings and of this processor's features.
    engine_key: u64,
    /// The user that we are.
    owner: u32,
}

impl ModuleCache {
    /// Opens `wasm` below a directory, which is made where it is missing.
    ///
    /// # Errors
    /// When it cannot be made, is not a plain directory of our own user, or is open to others.
    pub(super) fn open(parent: &Path, engine: &Engine) -> io::Result<Self> {
        let directory = parent.join("wasm");
        fs::create_dir_all(parent)?;
        match DirBuilder::new().mode(0o700).create(&directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let found = fs::symlink_metadata(&directory)?;
        if !found.is_dir() || found.mode() & 0o077 != 0 {
            return Err(io::Error::other("the directory must be a plain one with mode 0700"));
        }
        // A file that we make is ours: its owner says who we are.
        let probe = directory.join(format!("probe-{}", std::process::id()));
        let owner = exclusive(&probe)?.metadata()?.uid();
        fs::remove_file(&probe)?;
        if found.uid() != owner {
            return Err(io::Error::other(format!(
                "the directory belongs to user {}, not to {owner}",
                found.uid()
            )));
        }
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        Ok(Self { directory, engine_key: hasher.finish(), owner })
    }

    pub(super) fn component(&self, engine: &Engine, digest: &Digest) -> Option<Component> {
        self.load(digest, |bytes| precompiled::component(engine, bytes))
    }

    pub(super) fn module(&self, engine: &Engine, digest: &Digest) -> Option<Module> {
        self.load(digest, |bytes| precompiled::module(engine, bytes))
    }

    /// Keeps a compiled module; a fault is logged, the module works without.
    pub(super) fn store(&self, digest: &Digest, serialized: wasmtime::Result<Vec<u8>>) {
        let kept = serialized.map_err(io::Error::other).and_then(|bytes| self.write(digest, &bytes));
        if let Err(error) = kept {
            tracing::warn!(%digest, %error, "a compiled wasm module cannot be kept");
        }
    }

    fn load<T>(&self, digest: &Digest, decode: impl FnOnce(&[u8]) -> wasmtime::Result<T>) -> Option<T> {
        let path = self.path(digest);
        let loaded = self.read(&path).and_then(|bytes| match bytes {
            Some(bytes) => decode(&bytes).map(Some).map_err(io::Error::other),
            None => Ok(None),
        });
        loaded.unwrap_or_else(|error| {
            tracing::warn!(path = %path.display(), %error, "a kept wasm module is not usable and is compiled again");
            None
        })
    }

    /// An entry's content, checked; `None` when there is no entry.
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let found = file.metadata()?;
        if !found.is_file() || found.uid() != self.owner || found.mode() & 0o022 != 0 {
            return Err(io::Error::other("the file is not a plain one that only our user may write"));
        }
        let mut sum = [0; CHECKSUM];
        file.read_exact(&mut sum)?;
        let mut content = Vec::new();
        file.read_to_end(&mut content)?;
        if <[u8; CHECKSUM]>::from(Sha256::digest(&content)) != sum {
            return Err(io::Error::other("the checksum does not fit"));
        }
        Ok(Some(content))
    }

    fn write(&self, digest: &Digest, content: &[u8]) -> io::Result<()> {
        self.prune()?;
        let path = self.path(digest);
        let partial =
            path.with_extension(format!("{}-{:?}", std::process::id(), std::thread::current().id()));
        // Left by a crash of a process with our id.
        match fs::remove_file(&partial) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = exclusive(&partial)?;
        file.write_all(&Sha256::digest(content))?;
        file.write_all(content)?;
        drop(file);
        fs::rename(&partial, &path)
    }

    fn prune(&self) -> io::Result<()> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            let modified =
                entry.metadata().and_then(|found| found.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
            entries.push((modified, entry.path()));
        }
        entries.sort();
        let surplus = entries.len().saturating_sub(MOST_ENTRIES.saturating_sub(1));
        entries.iter().take(surplus).try_for_each(|(_, path)| fs::remove_file(path))
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        let digest = digest.to_string();
        let digits = digest.strip_prefix("sha256:").unwrap_or(&digest);
        self.directory.join(format!("{digits}-{:016x}.compiled", self.engine_key))
    }
}

fn exclusive(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}
