//! Builds the guests into a directory: `cargo run -p build-plugins -- --out DIR`.
//!
//! The directory then holds `NAME.wasm` for each guest, the guest's `policy.yaml` as `NAME.yaml`, so that
//! `bailey serve --policies DIR` can use it as it is, and `guests.manifest` with the digests. Nothing is
//! built when the sources and the compilers are those of the manifest.

mod guests;
mod manifest;
mod sources;
mod toolchain;

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::guests::{GUESTS, Language};
use crate::manifest::Manifest;
use crate::toolchain::{Go, Rust};

fn main() -> anyhow::Result<()> {
    let out = parse_arguments()?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("this crate has no parent folder")?;
    std::fs::create_dir_all(&out).with_context(|| format!("`{}` cannot be made", out.display()))?;
    let rust = Rust::find()?;
    let go = Go::find();
    let sources = sources::digest(root, &[&rust.version()?, go.as_ref().map_or("no go", Go::version)])?;
    if Manifest::is_current(&out, &sources) {
        println!("guests in {} are up to date", out.display());
        return Ok(());
    }
    let mut manifest = Manifest::new(sources);
    let names = |language| GUESTS.iter().filter(move |guest| guest.language == language);
    let built = rust.build(root, &names(Language::Rust).map(|guest| guest.name).collect::<Vec<_>>())?;
    for guest in names(Language::Rust) {
        let module = built.join(format!("{}.wasm", guest.name.replace('-', "_")));
        let module =
            std::fs::read(&module).with_context(|| format!("`{}` was not built", module.display()))?;
        manifest.add(&out, root, guest, &guest.finish(root, module)?)?;
    }
    for guest in names(Language::Go) {
        match &go {
            Some(go) => manifest.add(
                &out,
                root,
                guest,
                &guest.finish(root, go.build(root, &root.join(guest.name))?)?,
            )?,
            None => {
                println!(
                    "guest `{}` is left out: it needs Go 1.24 or newer, and `go` was not found",
                    guest.name
                );
                manifest.skip(guest);
            }
        }
    }
    manifest.write(&out)?;
    println!("guests are in {}", out.display());
    Ok(())
}

fn parse_arguments() -> anyhow::Result<PathBuf> {
    let mut arguments = std::env::args_os().skip(1);
    match (arguments.next(), arguments.next(), arguments.next()) {
        (Some(flag), Some(out), None) if flag == "--out" => Ok(std::path::absolute(out)?),
        _ => bail!("usage: build-plugins --out DIR"),
    }
}
