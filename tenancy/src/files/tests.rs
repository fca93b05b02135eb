use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use model::{Code, LoadFault, Source, Sources};
use tempfile::TempDir;

use super::*;

fn policy(name: &str) -> String {
    format!(
        "apiVersion: bailey.dev/v1alpha1\nkind: Policy\nmetadata: {{name: {name}}}\nspec: {{rego: {{source: package a}}}}\n"
    )
}

fn wasm(name: &str, module: &str) -> String {
    format!(
        "apiVersion: bailey.dev/v1alpha1\nkind: Policy\nmetadata: {{name: {name}}}\nspec: {{wasm: {{module: {module}}}}}\n"
    )
}

fn binding(name: &str) -> String {
    format!(
        "apiVersion: bailey.dev/v1alpha1\nkind: PolicyBinding\nmetadata: {{name: {name}}}\n\
         spec: {{policy: p, match: {{resources: [{{apiGroups: [''], kinds: [Pod]}}]}}}}\n"
    )
}

fn directory(files: &[(&str, &str)]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    directory
}

fn good(sources: &Sources) -> Vec<&str> {
    let policies =
        sources.policies.iter().filter(|loaded| loaded.value.is_ok()).map(|loaded| loaded.name.as_str());
    let bindings =
        sources.bindings.iter().filter(|loaded| loaded.value.is_ok()).map(|loaded| loaded.name.as_str());
    policies.chain(bindings).collect()
}

fn faults(sources: &Sources) -> Vec<(&str, &LoadFault)> {
    let policies =
        sources.policies.iter().filter_map(|one| Some((one.name.as_str(), one.value.as_ref().err()?)));
    let bindings =
        sources.bindings.iter().filter_map(|one| Some((one.name.as_str(), one.value.as_ref().err()?)));
    policies.chain(bindings).collect()
}

#[test]
fn a_fault_never_hides_another_object() {
    let directory = directory(&[
        ("a.yaml", &format!("{}---\n{}---\nbroken: [\n---\n{}", policy("a"), binding("b"), policy("c"))),
        ("sub/d.yml", &policy("d")),
        (
            "e.json",
            r#"{"apiVersion": "bailey.dev/v1alpha1", "kind": "Policy", "metadata": {"name": "e"}, "spec": {"rego": {"sorce": ""}}}"#,
        ),
        ("f.yaml", &format!("{}---\n{}", policy("twice"), policy("twice"))),
        ("g.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: g}\n"),
        ("h.yaml", "just text\n"),
        (".hidden.yaml", &policy("hidden")),
        ("notes.txt", "not read"),
    ]);
    fs::write(directory.path().join("i.yaml"), [0xff, 0xfe]).unwrap();
    let sources = load(directory.path()).unwrap();
    assert_eq!(good(&sources), ["a", "c", "d", "b"]);
    let faults = faults(&sources);
    let names: Vec<_> = faults.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["a.yaml:11", "e", "g.yaml:1", "h.yaml:1", "i.yaml:1", "twice"]);
    let text = |index: usize| faults[index].1.to_string();
    assert!(text(0).starts_with("a.yaml:11:9: the document is not YAML: "), "{}", text(0));
    assert!(!text(0).contains('\n'), "{}", text(0));
    assert!(text(1).starts_with("e.json:1:1: spec.rego.sorce: unknown field `sorce`"), "{}", text(1));
    assert!(text(2).contains("kind: `ConfigMap` is unknown"), "{}", text(2));
    assert!(text(5).contains("used twice, at f.yaml:1:1 and at f.yaml:6:1"), "{}", text(5));
}

#[test]
fn modules_are_read_beside_the_file_and_verified() {
    let digest = crate::digest::digest_of(b"module");
    let directory = directory(&[
        ("p/good.yaml", &wasm("good", &format!("{{file: ../m.wasm, digest: '{digest}'}}"))),
        ("other.yaml", &wasm("other", &format!("{{file: n.wasm, digest: '{digest}'}}"))),
        ("missing.yaml", &wasm("missing", "{file: none.wasm}")),
        (
            "far.yaml",
            &wasm("far", &format!("{{configMap: {{namespace: a, name: b, key: c}}, digest: '{digest}'}}")),
        ),
        ("m.wasm", "module"),
        ("n.wasm", "another"),
    ]);
    let sources = load(directory.path()).unwrap();
    assert_eq!(good(&sources), ["good"]);
    let Ok(policy) = &sources.policies[1].value else { panic!() };
    assert!(matches!(&policy.source, Source::Wasm { digest: found, .. } if *found == digest));
    let codes: Vec<_> = faults(&sources).iter().map(|(name, fault)| (*name, fault.code)).collect();
    let expected = [
        ("far", Code::ModuleUnavailable),
        ("missing", Code::ModuleUnavailable),
        ("other", Code::ModuleDigestMismatch),
    ];
    assert_eq!(codes, expected);
}

#[test]
fn a_file_that_breaks_does_not_delete_its_objects() {
    let directory = directory(&[("a.yaml", &format!("{}---\n{}", policy("a"), policy("b")))]);
    let path = directory.path().join("a.yaml");
    let (_, known, _) = read::read(directory.path(), &read::Known::new()).unwrap();
    fs::write(&path, format!("{}---\nkind: [\n", policy("a"))).unwrap();
    let (sources, known, _) = read::read(directory.path(), &known).unwrap();
    assert_eq!(good(&sources), ["a"]);
    let names: Vec<_> = faults(&sources).iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names, ["a.yaml:6", "b"]);
    // A whole file without the object deletes it.
    fs::write(&path, policy("a")).unwrap();
    let (sources, _, _) = read::read(directory.path(), &known).unwrap();
    assert_eq!((good(&sources), faults(&sources).len()), (vec!["a"], 0));
}

#[test]
fn a_directory_that_is_not_there_is_an_error() {
    let error = load(Path::new("/nonexistent/policies")).unwrap_err();
    assert_eq!(error.to_string(), "the directory `/nonexistent/policies` of policies cannot be read");
}

async fn until(files: &mut Files, expected: &[&str]) -> Arc<Sources> {
    let wait = files.sources.wait_for(|sources| good(sources) == expected);
    let sources = tokio::time::timeout(Duration::from_secs(20), wait).await;
    Arc::clone(&sources.expect("the change was not seen").unwrap())
}

#[tokio::test]
async fn changes_are_seen() {
    let directory = directory(&[("a.yaml", &policy("a"))]);
    let path = |name: &str| directory.path().join(name);
    let mut files = watch(directory.path()).unwrap();
    until(&mut files, &["a"]).await;
    // An editor writes beside the file and renames over it.
    fs::write(path(".a.yaml.swp"), policy("b")).unwrap();
    fs::rename(path(".a.yaml.swp"), path("a.yaml")).unwrap();
    until(&mut files, &["b"]).await;
    fs::create_dir(path("new")).unwrap();
    fs::write(path("new/c.yaml"), policy("c")).unwrap();
    until(&mut files, &["b", "c"]).await;
    fs::write(path("a.yaml"), "broken: [").unwrap();
    let sources = until(&mut files, &["c"]).await;
    assert_eq!(faults(&sources).iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["a.yaml:1", "b"]);
    fs::remove_file(path("a.yaml")).unwrap();
    let sources = until(&mut files, &["c"]).await;
    assert_eq!(good(&sources), ["c"]);
}

#[tokio::test]
async fn the_links_of_a_mounted_config_map_are_followed() {
    let directory = directory(&[("..1/a.yaml", &policy("a")), ("..2/a.yaml", &policy("b"))]);
    let path = |name: &str| directory.path().join(name);
    symlink("..1", path("..data")).unwrap();
    symlink("..data/a.yaml", path("a.yaml")).unwrap();
    let mut files = watch(directory.path()).unwrap();
    until(&mut files, &["a"]).await;
    symlink("..2", path("..data_tmp")).unwrap();
    fs::rename(path("..data_tmp"), path("..data")).unwrap();
    until(&mut files, &["b"]).await;
}

#[tokio::test]
async fn a_directory_that_vanishes_keeps_the_last_state() {
    let outer = tempfile::tempdir().unwrap();
    let inner = outer.path().join("policies");
    fs::create_dir(&inner).unwrap();
    fs::write(inner.join("a.yaml"), policy("a")).unwrap();
    let mut files = watch(&inner).unwrap();
    fs::rename(&inner, outer.path().join("away")).unwrap();
    let fault = files.fault.wait_for(Option::is_some);
    tokio::time::timeout(Duration::from_secs(20), fault).await.expect("no fault was reported").unwrap();
    until(&mut files, &["a"]).await;
    fs::create_dir(&inner).unwrap();
    fs::write(inner.join("b.yaml"), policy("b")).unwrap();
    until(&mut files, &["b"]).await;
    assert_eq!(*files.fault.borrow(), None);
}
