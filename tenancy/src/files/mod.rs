//! Policies and bindings from a directory: the same objects as in the cluster, without one.
//!
//! All YAML and JSON files below the directory are read, several documents per file. What cannot be read
//! is a fault of that object alone: a broken document never hides another, and never looks like a deletion.

mod documents;
mod read;
mod watch;

use std::io;
use std::path::{Path, PathBuf};

use model::Sources;
use thiserror::Error;

pub(crate) use read::read_module;
pub use watch::{Files, watch};

/// The directory of policies cannot be read.
#[derive(Debug, Error)]
#[error("the directory `{}` of policies cannot be read", path.display())]
pub struct FilesError {
    path: PathBuf,
    source: io::Error,
}

/// Reads a directory once.
///
/// # Errors
/// The directory cannot be read. What is wrong inside is a fault of one object.
pub fn load(directory: &Path) -> Result<Sources, FilesError> {
    let (sources, _, _) = read::read(directory, &read::Known::new())
        .map_err(|source| FilesError { path: directory.to_owned(), source })?;
    Ok(sources)
}

#[cfg(test)]
mod tests;
