use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::guests::Guest;
use crate::sources::sha256;

/// JSON, but not named so: a server that reads the directory takes every `.json` for a policy.
const FILE: &str = "guests.manifest";

/// What is in the directory, and of which sources it was made.
#[derive(Serialize, Deserialize)]
pub struct Manifest {
    sources: String,
    guests: BTreeMap<String, Entry>,
    /// Guests that could not be built here.
    skipped: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    file: String,
    interface: String,
    /// As a policy pins it.
    digest: String,
    bytes: usize,
}

impl Manifest {
    /// An empty one.
    pub fn new(sources: String) -> Self {
        Self { sources, guests: BTreeMap::new(), skipped: Vec::new() }
    }

    /// Whether a directory has everything that these sources give, unchanged.
    pub fn is_current(out: &Path, sources: &str) -> bool {
        let Ok(text) = fs::read_to_string(out.join(FILE)) else { return false };
        let Ok(manifest) = serde_json::from_str::<Self>(&text) else { return false };
        manifest.sources == sources
            && manifest.guests.iter().all(|(name, entry)| {
                let module = fs::read(out.join(&entry.file));
                module.is_ok_and(|module| sha256(&module) == entry.digest)
                    && out.join(format!("{name}.yaml")).is_file()
            })
    }

    /// Writes a guest and its policy, and notes its digest.
    pub fn add(&mut self, out: &Path, root: &Path, guest: &Guest, module: &[u8]) -> anyhow::Result<()> {
        let file = format!("{}.wasm", guest.name);
        replace(&out.join(&file), module)?;
        let policy = root.join(guest.name).join("policy.yaml");
        let policy = fs::read(&policy).with_context(|| format!("`{}` cannot be read", policy.display()))?;
        replace(&out.join(format!("{}.yaml", guest.name)), &policy)?;
        let (digest, interface) = (sha256(module), guest.interface.name().to_owned());
        println!("{:>20} {:>8} bytes  {digest}", guest.name, module.len());
        self.guests.insert(guest.name.to_owned(), Entry { file, interface, digest, bytes: module.len() });
        Ok(())
    }

    /// Notes a guest that could not be built.
    pub fn skip(&mut self, guest: &Guest) {
        self.skipped.push(guest.name.to_owned());
    }

    /// Writes the manifest, last of all: a build that was cut short is done again.
    pub fn write(&self, out: &Path) -> anyhow::Result<()> {
        replace(&out.join(FILE), serde_json::to_string_pretty(self)?.as_bytes())
    }
}

/// Whole or not at all, as a server may be reading.
fn replace(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let partial = path.with_extension("partial");
    fs::write(&partial, bytes)
        .and_then(|()| fs::rename(&partial, path))
        .with_context(|| format!("`{}` cannot be written", path.display()))
}
