//! Every fixture of `k8s.io/pod-security-admission` at the version of the control plane's own modules.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use xtask::workspace;

use super::judge::{Judge, LEVELS, NEWEST, codes};

const MODULE: &str = "k8s.io/pod-security-admission@v0.36.3";
const FILES: usize = 4_241;
/// The newest version with fixtures; nothing changed in the versions after it.
const NEWEST_WITH_FIXTURES: &str = "v1.35";

/// Which finding a fixture is about, by the beginning of its name.
const CHECKS: [(&str, &str); 19] = [
    ("allowprivilegeescalation", "allow_privilege_escalation"),
    ("apparmorprofile", "app_armor"),
    ("capabilities_baseline", "capabilities"),
    ("capabilities_restricted", "capabilities"),
    ("hostnamespaces", "host_namespaces"),
    ("hostpathvolumes", "host_path"),
    ("hostports", "host_ports"),
    ("hostprobesandhostlifecycle", "host_probes"),
    ("privileged", "privileged"),
    ("procmount", "proc_mount"),
    ("procmount_restricted", "proc_mount"),
    ("restrictedvolumes", "restricted_volumes"),
    ("runasnonroot", "run_as_non_root"),
    ("runasuser", "run_as_user"),
    ("seccompprofile_baseline", "seccomp"),
    ("seccompprofile_restricted", "seccomp"),
    ("selinuxoptions", "selinux"),
    ("sysctls", "sysctls"),
    ("windowshostprocess", "windows_host_process"),
];

/// One file of the module.
struct Fixture {
    level: String,
    version: String,
    passes: bool,
    /// The file's name without its number and ending.
    check: String,
    file: PathBuf,
    pod: Value,
}

impl Fixture {
    fn read(root: &Path, file: PathBuf) -> Self {
        let parts: Vec<_> =
            file.strip_prefix(root).unwrap().iter().map(|part| part.to_str().unwrap()).collect();
        let [level, version, verdict, name] = parts[..] else { panic!("{}", file.display()) };
        assert!(LEVELS.contains(&level) && matches!(verdict, "pass" | "fail"), "{}", file.display());
        let check = name.trim_end_matches(".yaml").trim_end_matches(|c: char| c.is_ascii_digit());
        let (level, version, check) = (level.to_owned(), version.to_owned(), check.to_owned());
        let text = std::fs::read_to_string(&file).unwrap();
        let pod = serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        Self { level, version, passes: verdict == "pass", check, file, pod }
    }

    /// The code of the finding that refuses it.
    fn code(&self) -> &'static str {
        let found = CHECKS.iter().find(|(check, _)| *check == self.check);
        found.map(|(_, code)| *code).unwrap_or_else(|| panic!("`{}` is of no check", self.file.display()))
    }
}

/// The module's folder, fetched where it is not in the module cache.
fn module() -> PathBuf {
    let folder = workspace::root().join("tests/control-plane");
    let mut command = Command::new("go");
    command.args(["mod", "download", "-json", MODULE]).current_dir(folder);
    let output = command.output().expect("Go is installed");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    PathBuf::from(answer["Dir"].as_str().unwrap_or_else(|| panic!("{answer}")))
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            found.push(path);
        }
    }
}

fn fixtures() -> Vec<Fixture> {
    let root = module().join("test/testdata");
    let mut found = Vec::new();
    files(&root, &mut found);
    found.sort();
    assert_eq!(found.len(), FILES);
    found.into_iter().map(|file| Fixture::read(&root, file)).collect()
}

#[test]
fn every_fixture_of_kubernetes_is_judged_as_kubernetes_does() {
    let mut judge = Judge::new();
    let (mut wrong, mut refused) = (Vec::new(), BTreeMap::new());
    for fixture in fixtures() {
        let findings = judge.create(&fixture.level, &fixture.version, &fixture.pod);
        let found = codes(&findings);
        let right = if fixture.passes { found.is_empty() } else { found.contains(&fixture.code()) };
        if !right {
            wrong.push(format!("{}: {found:?}", fixture.file.display()));
        }
        if !fixture.passes {
            *refused.entry(fixture.code()).or_insert(0) += 1;
        }
        if !fixture.passes && fixture.level == "baseline" {
            let stricter = judge.create("restricted", &fixture.version, &fixture.pod);
            let codes: BTreeSet<_> = codes(&stricter).into_iter().collect();
            if !found.iter().all(|code| codes.contains(code)) {
                wrong.push(format!(
                    "{}: restricted has {codes:?}, baseline {found:?}",
                    fixture.file.display()
                ));
            }
        }
        if fixture.version == NEWEST_WITH_FIXTURES {
            for version in ["latest", &format!("v1.{NEWEST}")] {
                let latest = judge.create(&fixture.level, version, &fixture.pod);
                if codes(&latest) != found {
                    wrong.push(format!("{} at {version}: {:?}", fixture.file.display(), codes(&latest)));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} are judged otherwise:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(refused.len(), 16, "not every check has fixtures: {refused:?}");
    let each = judge.took / judge.asked;
    println!("{} evaluations, {each:?} each; refused by check: {refused:?}", judge.asked);
}
