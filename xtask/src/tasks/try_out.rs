//! What `up` prints in the end: how to use what runs.

use xtask::control_plane::{ALICE, Access, BOB};

/// The namespace of the examples.
pub(super) const NAMESPACE: &str = "team-a";

pub(super) fn print_cluster(access: &Access) {
    let run = format!("kubectl --namespace {NAMESPACE} run");
    println!(
        "
Kubernetes runs with Bailey as its admission webhook. You are alice, the owner of the tenant {NAMESPACE}:

  export PATH={bin}:$PATH
  export KUBECONFIG={kubeconfig}

Allowed, and gets the label bailey.dev/team:
  {run} good --image=registry.example.com/web:1 --labels=owner=alice

Refused by a Rego policy:
  {run} nobodys --image=registry.example.com/web:1

Refused by a WebAssembly plugin:
  {run} elsewhere --image=docker.io/library/nginx --labels=owner=alice

A namespace of your own, and one that a wall keeps you from:
  kubectl create namespace team-a-web
  kubectl create namespace web

Ask for an exception from the Rego policy, and approve it as the administrator:
  kubectl tenant request exception required-labels -n {NAMESPACE} --reason 'to try it' --for 1h --name nobodys
  {bailey} exception list --kubeconfig {admin}
  {bailey} exception approve NAME -n {NAMESPACE} --kubeconfig {admin}

Your tenant, its members and limits, and what would be admitted: kubectl tenant whoami (and --help)

What each tenant gets of the API server, as the administrator:
  {bailey} fairness plan --kubeconfig {admin}

To be bob, the owner of the tenant team-b, who may do nothing here:
  export KUBECONFIG={bob}

Every decision: {bailey} audit tail --audit-db {audit}
The administrator's kubeconfig: {admin}
Stop: cargo xtask down{dir}",
        bin = access.folder().join("bin").display(),
        kubeconfig = access.kubeconfig(ALICE).display(),
        bob = access.kubeconfig(BOB).display(),
        bailey = super::up::release_binary().display(),
        audit = access.folder().join("bailey/audit.db").display(),
        admin = access.kubeconfig(xtask::control_plane::ADMIN).display(),
        dir = dir_flag(access.folder()),
    );
}

/// ` --dir …` where the folder is not the one that tasks take by themselves.
pub(super) fn dir_flag(folder: &std::path::Path) -> String {
    let usual = xtask::workspace::target().join("up");
    if usual.canonicalize().is_ok_and(|usual| usual == folder) {
        return String::new();
    }
    format!(" --dir {}", folder.display())
}
