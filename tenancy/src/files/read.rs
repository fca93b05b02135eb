//! One pass over a directory: which objects its files hold, good or not.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use model::{Code, Digest, LoadFault, Loaded, Policy, PolicyBinding, Position, Sources};
use serde_json::Value;

use super::documents::documents;
use crate::api::{ConfigKind, ConfigObject, MAX_MODULE_BYTES, ModuleLocation, Place, decode_value};

/// The largest file of policies and bindings, in bytes.
const MAX_FILE_BYTES: u64 = 16 << 20;
/// How deep folders are read.
const MAX_DEPTH: usize = 8;
/// The most files that are read.
const MAX_FILES: usize = 10_000;

/// An object's kind and name.
pub(super) type Key = (ConfigKind, String);
/// Which objects each file held when it was last read without a fault, by its path.
pub(super) type Known = BTreeMap<PathBuf, BTreeSet<Key>>;

type Entry = Result<ConfigObject, LoadFault>;

/// Everything found in one pass, before it is sorted into [`Sources`].
#[derive(Default)]
pub(super) struct Pass {
    objects: BTreeMap<Key, Vec<(Position, Entry)>>,
    known: Known,
    /// The files read, modules too.
    pub(super) files: BTreeSet<PathBuf>,
}

/// Reads a directory.
///
/// # Errors
/// The directory itself cannot be read.
pub(super) fn read(directory: &Path, known: &Known) -> io::Result<(Sources, Known, BTreeSet<PathBuf>)> {
    let mut pass = Pass::default();
    for path in files(directory)? {
        pass.file(directory, &path, known);
    }
    let sources = pass.sources();
    Ok((sources, pass.known, pass.files))
}

/// The YAML and JSON files, sorted. What starts with a dot is left out: editors' files, and the folders
/// behind the links of a mounted ConfigMap, which would be seen twice.
pub(super) fn files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = BTreeMap::new();
    collect(directory, MAX_DEPTH, &mut found)?;
    let mut paths: Vec<_> = found.into_values().collect();
    paths.sort();
    Ok(paths)
}

fn collect(directory: &Path, depth: usize, found: &mut BTreeMap<PathBuf, PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_name().to_string_lossy().starts_with('.') || found.len() >= MAX_FILES {
            continue;
        }
        let extension = path.extension().and_then(|extension| extension.to_str());
        if path.is_dir() {
            if let Some(depth) = depth.checked_sub(1) {
                collect(&path, depth, found)?;
            }
        } else if matches!(extension, Some("yaml" | "yml" | "json")) {
            // A file reached by two links is one file.
            let target = fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
            found.entry(target).or_insert(path);
        }
    }
    Ok(())
}

impl Pass {
    fn file(&mut self, directory: &Path, path: &Path, known: &Known) {
        let shown = path.strip_prefix(directory).unwrap_or(path).display().to_string();
        self.files.insert(path.to_owned());
        let mut whole = true;
        let mut names = BTreeSet::new();
        match read_text(path) {
            Ok(text) => {
                for document in documents(&shown, &text) {
                    let place = Position { module: shown.clone(), line: document.line, column: 1 };
                    match document.value {
                        Ok(value) => names.extend(self.object(path, place, value)),
                        Err((position, why)) => {
                            whole = false;
                            self.nameless(position, why);
                        }
                    }
                }
            }
            Err(error) => {
                whole = false;
                let why = format!("the file cannot be read: {error}");
                self.nameless(Position { module: shown.clone(), line: 1, column: 1 }, why);
            }
        }
        // A document that lost its name must not look deleted: what the file held stays known, as faulty.
        if let (false, Some(before)) = (whole, known.get(path)) {
            for key in before.difference(&names) {
                let place = Position { module: shown.clone(), line: 1, column: 1 };
                let fault = LoadFault {
                    code: key.0.code(),
                    message: "the file that held it cannot be read whole, see the fault of the file"
                        .to_owned(),
                    position: Some(place.clone()),
                };
                self.objects.entry(key.clone()).or_default().push((place, Err(fault)));
            }
            names.extend(before.iter().cloned());
        }
        self.known.insert(path.to_owned(), names);
    }

    /// A document whose object is not known: it is kept under its place, which is no object's name.
    fn nameless(&mut self, position: Position, message: String) {
        let name = format!("{}:{}", position.module, position.line);
        let fault = LoadFault { code: Code::PolicyInvalid, message, position: Some(position.clone()) };
        self.objects.entry((ConfigKind::Policy, name)).or_default().push((position, Err(fault)));
    }

    fn object(&mut self, path: &Path, place: Position, value: Value) -> Option<Key> {
        let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let kind = match text("/kind").as_deref() {
            Some("Policy") => Some(ConfigKind::Policy),
            Some("PolicyBinding") => Some(ConfigKind::Binding),
            _ => None,
        };
        let name = text("/metadata/name").filter(|name| !name.is_empty());
        let folder = path.parent().unwrap_or(Path::new(".")).to_owned();
        let mut entry = decode_value(value, &Place::Directory(folder));
        if let Err(fault) = &mut entry {
            fault.position.get_or_insert_with(|| place.clone());
        }
        let key = match (kind, name, &entry) {
            (Some(kind), Some(name), _) => (kind, name),
            (_, _, Err(fault)) => {
                self.nameless(place, fault.message.clone());
                return None;
            }
            // INVARIANT: what was decoded has a kind and a name.
            (_, _, Ok(_)) => return None,
        };
        self.objects.entry(key.clone()).or_default().push((place, entry));
        Some(key)
    }

    fn sources(&mut self) -> Sources {
        let mut sources = Sources::default();
        for ((kind, name), found) in std::mem::take(&mut self.objects) {
            let entry = only_one(kind, found);
            match kind {
                ConfigKind::Policy => {
                    let value = entry.and_then(|object| self.policy(object));
                    sources.policies.push(Loaded { name, generation: 0, value });
                }
                ConfigKind::Binding => {
                    let value = entry.and_then(binding);
                    sources.bindings.push(Loaded { name, generation: 0, value });
                }
            }
        }
        sources
    }

    fn policy(&mut self, object: ConfigObject) -> Result<Policy, LoadFault> {
        let ConfigObject::Policy(draft) = object else {
            return Err(LoadFault::new(Code::Internal, "a binding was kept as a policy"));
        };
        if let Some(ModuleLocation::File(path)) = draft.module().map(|module| &module.location) {
            self.files.insert(path.clone());
        }
        draft.resolve(read_module)
    }
}

fn binding(object: ConfigObject) -> Result<PolicyBinding, LoadFault> {
    match object {
        ConfigObject::Binding(binding) => Ok(PolicyBinding { generation: 0, ..*binding }),
        ConfigObject::Policy(_) => Err(LoadFault::new(Code::Internal, "a policy was kept as a binding")),
    }
}

/// Of two objects of one name neither is taken: which one was meant is not known.
fn only_one(kind: ConfigKind, mut found: Vec<(Position, Entry)>) -> Entry {
    match (found.pop(), found.first()) {
        (Some((_, entry)), None) => entry,
        (Some((second, _)), Some((first, _))) => Err(LoadFault {
            code: kind.code(),
            message: format!("the name is used twice, at {first} and at {second}; names are used once"),
            position: Some(second),
        }),
        (None, _) => Err(LoadFault::new(Code::Internal, "an object without an entry")),
    }
}

fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    fs::File::open(path)?.take(MAX_FILE_BYTES.saturating_add(1)).read_to_string(&mut text)?;
    match u64::try_from(text.len()) {
        Ok(length) if length <= MAX_FILE_BYTES => Ok(text),
        _ => Err(io::Error::other(format!("it has more than {MAX_FILE_BYTES} bytes"))),
    }
}

/// Reads a wasm module from a file; other places need a cluster.
///
/// # Errors
/// [`Code::ModuleUnavailable`].
pub(crate) fn read_module(location: &ModuleLocation) -> Result<(Bytes, Digest), LoadFault> {
    let ModuleLocation::File(path) = location else {
        return Err(location.unavailable("is only read in a cluster; use `file`"));
    };
    let limit = u64::try_from(MAX_MODULE_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    fs::File::open(path)
        .and_then(|file| file.take(limit).read_to_end(&mut bytes))
        .map_err(|error| location.unavailable(format!("cannot be read: {error}")))?;
    location.accept(bytes.into())
}
