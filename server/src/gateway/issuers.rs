//! The file that names the issuers of identity tokens.

use std::path::Path;

use anyhow::Context;
use gateway::{Issuer, Issuers};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    issuers: Vec<Issuer>,
}

/// Reads the file; without one there are no issuers.
///
/// # Errors
/// When it cannot be read, or one of them cannot be trusted as it is configured.
pub(super) fn read(file: Option<&Path>) -> anyhow::Result<Issuers> {
    let Some(file) = file else { return Ok(Issuers::default()) };
    let place = || format!("cannot use the issuers in `{}`", file.display());
    let text = std::fs::read_to_string(file).with_context(place)?;
    let found: File = serde_saphyr::from_str(&text).with_context(place)?;
    Issuers::new(found.issuers).with_context(place)
}
