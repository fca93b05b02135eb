use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::WasmInterface;

use super::guests;
use crate::Limits;
use crate::wasm::{WasmConfig, WasmModule, WasmRuntime};

fn compile(directory: &Path, interface: WasmInterface) -> WasmModule {
    let config = WasmConfig { cache_dir: Some(directory.to_owned()), slots: 2, limits: Limits::default() };
    let bytes = guests::assemble(interface, &guests::read(interface, "good"));
    let runtime = WasmRuntime::new(config).expect("a runtime");
    runtime.compile(interface, &bytes, &guests::digest(&bytes), &Limits::default()).expect("a module")
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    fs::read_dir(directory.join("wasm"))
        .expect("the cache")
        .map(|entry| entry.expect("an entry").path())
        .collect()
}

fn works(module: &WasmModule) {
    let limits = Limits { timeout: Duration::from_secs(5), ..Limits::default() };
    assert_eq!(guests::validate(module, &limits).expect("an answer").observations.len(), 1);
}

#[test]
fn compiled_modules_are_kept_and_used_again() {
    for interface in [WasmInterface::Bailey, WasmInterface::Kubewarden] {
        let directory = tempfile::tempdir().expect("a directory");
        works(&compile(directory.path(), interface));
        let [entry] = entries(directory.path()).try_into().expect("one entry");
        let kept = fs::metadata(&entry).expect("the entry");
        assert_eq!(kept.permissions().mode() & 0o777, 0o600);
        works(&compile(directory.path(), interface));
        let again = fs::metadata(&entry).expect("the entry");
        assert_eq!(kept.modified().ok(), again.modified().ok(), "it was compiled again");
    }
}

#[test]
fn damaged_entries_are_compiled_again() {
    let directory = tempfile::tempdir().expect("a directory");
    works(&compile(directory.path(), WasmInterface::Bailey));
    let [entry] = entries(directory.path()).try_into().expect("one entry");
    let good = fs::read(&entry).expect("the entry");
    let flipped: Vec<u8> =
        good.iter().enumerate().map(|(at, byte)| if at == 5_000 { byte ^ 1 } else { *byte }).collect();
    for bad in [&flipped[..], &good[..good.len() / 2], &good[..10], b""] {
        fs::write(&entry, bad).expect("damage");
        works(&compile(directory.path(), WasmInterface::Bailey));
        assert!(fs::read(&entry).expect("the entry") == good, "the entry was not made anew");
    }
}

#[test]
fn a_directory_open_to_others_is_not_used() {
    let directory = tempfile::tempdir().expect("a directory");
    let cache = directory.path().join("wasm");
    fs::create_dir(&cache).expect("a directory");
    fs::set_permissions(&cache, fs::Permissions::from_mode(0o770)).expect("a mode");
    works(&compile(directory.path(), WasmInterface::Bailey));
    assert_eq!(entries(directory.path()), Vec::<PathBuf>::new());

    let linked = tempfile::tempdir().expect("a directory");
    let target = tempfile::tempdir().expect("a directory");
    fs::set_permissions(target.path(), fs::Permissions::from_mode(0o700)).expect("a mode");
    std::os::unix::fs::symlink(target.path(), linked.path().join("wasm")).expect("a link");
    works(&compile(linked.path(), WasmInterface::Bailey));
    assert_eq!(fs::read_dir(target.path()).expect("the target").count(), 0);
}

#[test]
fn an_entry_that_others_may_write_is_not_used() {
    let directory = tempfile::tempdir().expect("a directory");
    works(&compile(directory.path(), WasmInterface::Bailey));
    let [entry] = entries(directory.path()).try_into().expect("one entry");
    fs::set_permissions(&entry, fs::Permissions::from_mode(0o666)).expect("a mode");
    works(&compile(directory.path(), WasmInterface::Bailey));
    let mode = fs::metadata(&entry).expect("the entry").permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "it was used as it was");
}
