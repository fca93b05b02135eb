//! The control plane by itself: users, controllers, and that nothing of it is left behind.

use std::process::Command;
use std::time::Duration;

use tests::{ADMIN, ALICE};
use xtask::control_plane::{ControlPlane, Lifetime, build};
use xtask::process::{runs, wait_until};

#[test]
fn starts_knows_its_users_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap().keep();
    let plane = ControlPlane::start(&build::binary().unwrap(), &folder, Lifetime::Owner).unwrap();
    let access = plane.access().clone();
    assert!(access.run(&["version"]).unwrap().contains("Server Version: v1.36."));

    // The administrator may do everything, alice nothing until she is given a right.
    assert!(access.run_as(ADMIN, &["get", "secrets", "--all-namespaces"]).is_ok());
    let refused = access.run_as(ALICE, &["get", "pods"]).unwrap_err().to_string();
    assert!(refused.contains(r#"User "alice" cannot list resource "pods""#), "{refused}");

    // Only the controller manager fills a quota's status in.
    access.run(&["create", "quota", "q", "--hard=pods=3"]).unwrap();
    let arguments = ["wait", "--for=jsonpath={.status.hard.pods}=3", "--timeout=30s", "resourcequota/q"];
    access.run(&arguments).unwrap();

    let pids: Vec<u32> = plane.processes().into_iter().map(|(_, pid)| pid).collect();
    let mark = folder.to_string_lossy().into_owned();
    assert!(pids.iter().all(|pid| runs(*pid, &mark)), "{pids:?}");
    drop(plane);
    assert!(!pids.iter().any(|pid| runs(*pid, &mark)), "{pids:?}");
    assert!(!folder.exists());
}

/// A test process that is killed cannot clean up: this runs one as a child and kills it.
#[test]
fn a_killed_owner_leaves_nothing_behind() {
    const FOLDER: &str = "BAILEY_TEST_ABANDONED_FOLDER";
    if let Ok(folder) = std::env::var(FOLDER) {
        let _plane =
            ControlPlane::start(&build::binary().unwrap(), folder.as_ref(), Lifetime::Owner).unwrap();
        std::fs::write(format!("{folder}/started"), "").unwrap();
        loop {
            std::thread::park();
        }
    }
    let folder = tempfile::tempdir().unwrap().keep();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "a_killed_owner_leaves_nothing_behind"]).env(FOLDER, &folder);
    let mut child = command.spawn().unwrap();
    assert!(
        wait_until(Duration::from_secs(180), || folder.join("started").exists()),
        "the child did not start"
    );
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(
        wait_until(Duration::from_secs(30), || !folder.exists()),
        "`{}` is still there",
        folder.display()
    );
}
