//! Nodes for the API server's streams, and the Pod on each.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use xtask::control_plane::NODE_CLIENT;
use xtask::go::Program;
use xtask::process::Component;

use crate::world::fail;
use crate::{ADMIN, Objects, World};

const READY: Duration = Duration::from_secs(30);

/// A node whose end for exec, attach, port-forward and logs is real, with one Pod whose container `main` is a process of
/// this machine.
pub struct Node {
    component: Component,
    world: &'static World,
}

impl Node {
    /// Starts one of this name, with a Pod of the same name whose container runs a command.
    ///
    /// # Panics
    /// When it cannot be built or started, or the API server refuses it.
    pub async fn start(world: &'static World, namespace: &str, name: &str, command: &[&str]) -> Self {
        let (access, program) = (world.access(), Program::node().binary().unwrap_or_else(fail));
        let folder = access.folder().join(format!("node-{name}"));
        fs::create_dir(&folder).unwrap();
        let (address, server) = (folder.join("address"), access.node_server());
        let mut process = Command::new(program);
        process.arg("--certificate").arg(&server.certificate).arg("--key").arg(&server.key);
        process.arg("--client-authority").arg(access.authority()).args(["--client-name", NODE_CLIENT]);
        process.arg("--address-file").arg(&address).arg("--").args(command);
        let mut component =
            Component::spawn("node", &mut process, folder.join("node.log")).unwrap_or_else(fail);
        world.watch(component.pid());
        component.wait_ready(READY, || address.is_file()).unwrap_or_else(fail);
        let address: SocketAddr = fs::read_to_string(&address).unwrap().parse().unwrap();
        announce(world, namespace, name, address.port()).await;
        Self { component, world }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.component.stop();
        self.world.unwatch(self.component.pid());
    }
}

/// Tells the API server of a node at this port of loopback, and of a Pod of the same name that runs there.
///
/// # Panics
/// When the API server refuses it.
pub async fn announce(world: &World, namespace: &str, name: &str, port: u16) {
    let admin = Objects::new(world.client(ADMIN).await);
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}});
    admin.apply(&node).await.unwrap();
    let status = json!({
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
    });
    set_status(world, &["node", name], &status);
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace},
        "spec": {"nodeName": name, "containers": [{"name": "main", "image": "registry.example.com/main:1", "stdin": true,
            "securityContext": {"allowPrivilegeEscalation": false, "runAsNonRoot": true, "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"}}}]},
    });
    admin.apply(&pod).await.unwrap();
    let status = json!({
        "phase": "Running", "podIP": "127.0.0.1", "podIPs": [{"ip": "127.0.0.1"}],
        "conditions": [{"type": "Ready", "status": "True"}],
        "containerStatuses": [{
            "name": "main", "ready": true, "started": true, "restartCount": 0, "image": "registry.example.com/main:1",
            "imageID": "", "containerID": "process://main", "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}},
        }],
    });
    set_status(world, &["pod", name, "--namespace", namespace], &status);
}

fn set_status(world: &World, of: &[&str], status: &Value) {
    let patch = json!({"status": status}).to_string();
    let arguments = ["--subresource=status", "--type=merge", "--patch", &patch];
    world.access().run(&[&["patch"], of, &arguments].concat()).unwrap_or_else(fail);
}
