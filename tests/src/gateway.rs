//! The gateway in front of a world's API server, and who asks through it.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use xtask::daemon::{Policies, Settings};
use xtask::http;
use xtask::process::Component;

use crate::world::fail;
use crate::{User, World, metric};

/// A running gateway.
pub struct Gateway {
    /// How it was started.
    pub settings: Settings,
    /// The port of the tenants' endpoint.
    pub port: u16,
    world: &'static World,
    component: Component,
}

impl Gateway {
    /// Starts one in front of the shared world.
    ///
    /// # Panics
    /// When it does not become ready.
    #[must_use]
    pub fn start(name: &str, flags: &[&str]) -> Self {
        Self::start_in(World::shared(), name, flags)
    }

    /// The same in front of another world.
    ///
    /// # Panics
    /// When it does not become ready.
    #[must_use]
    pub fn start_in(world: &'static World, name: &str, flags: &[&str]) -> Self {
        let access = world.access();
        let [port] = http::free_ports().unwrap_or_else(fail);
        let mut settings = Settings::for_cluster(&world.bailey.settings.binary, access).unwrap_or_else(fail);
        settings.folder = access.folder().join(format!("gateway-{name}"));
        settings.roles = "gateway";
        settings.policies = Policies::Cluster(access.gateway_kubeconfig());
        settings.extra = vec![format!("--gateway-listen=127.0.0.1:{port}")];
        // Each has its rates for itself, but for those that say with whom they share them.
        let given = flags.iter().find_map(|flag| flag.strip_prefix("--gateway-ledger="));
        let ledger = given.map_or_else(|| format!("gateway-{name}"), str::to_owned);
        access.apply(&may_keep(&ledger)).unwrap_or_else(fail);
        if given.is_none() {
            settings.extra.push(format!("--gateway-ledger={ledger}"));
        }
        settings.extra.extend(flags.iter().map(|flag| (*flag).to_owned()));
        let mut component = settings.spawn().unwrap_or_else(fail);
        world.watch(component.pid());
        settings.wait_ready(&mut component).unwrap_or_else(fail);
        Self { settings, port, world, component }
    }

    /// Ends it as a crash would, for good.
    pub fn kill(mut self) {
        self.component.kill();
    }

    /// Waits until it has ended by itself.
    ///
    /// # Panics
    /// When it goes on.
    pub fn wait_for_end(&mut self) {
        let component = &mut self.component;
        let ended = xtask::process::wait_until(crate::SOON, || component.exited().is_some());
        assert!(ended, "the gateway goes on: {}", self.component.log_tail());
    }

    /// The process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.component.pid()
    }

    /// The address of an endpoint's path.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("https://127.0.0.1:{}{path}", self.port)
    }

    /// The token of a user, as the API server knows it.
    ///
    /// # Panics
    /// When the kubeconfig is broken.
    #[must_use]
    pub fn token(&self, user: User) -> String {
        let config = self.kubeconfig_of(user);
        config["users"][0]["user"]["token"].as_str().expect("a user has a token").to_owned()
    }

    /// Runs the stock kubectl as a user through the gateway, whatever comes of it.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn kubectl(&self, user: User, arguments: &[&str]) -> Output {
        self.kubectl_command(user, arguments).output().unwrap()
    }

    /// The same, not started yet.
    ///
    /// # Panics
    /// When the kubeconfig cannot be written.
    pub fn kubectl_command(&self, user: User, arguments: &[&str]) -> Command {
        let mut config = self.kubeconfig_of(user);
        config["clusters"][0]["cluster"]["server"] = self.url("").into();
        self.command(&config, user.name, arguments)
    }

    /// The same with a kubeconfig of its own.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn kubectl_with(&self, config: &Value, name: &str, arguments: &[&str]) -> Output {
        self.command(config, name, arguments).output().unwrap()
    }

    /// kubectl with a kubeconfig, not started yet. Files are discovered anew: nothing is kept between runs.
    ///
    /// # Panics
    /// When the kubeconfig cannot be written.
    pub fn command(&self, config: &Value, name: &str, arguments: &[&str]) -> Command {
        let file = self.settings.folder.join(format!("kubeconfig-{name}"));
        // Whole at once: another kubectl of the same user may be reading it.
        let whole = tempfile::NamedTempFile::new_in(&self.settings.folder).unwrap();
        std::fs::write(whole.path(), config.to_string()).unwrap();
        whole.persist(&file).unwrap();
        let mut command = Command::new(self.world.access().kubectl());
        command
            .arg("--kubeconfig")
            .arg(file)
            .arg("--cache-dir")
            .arg(self.settings.folder.join("cache-of-kubectl"));
        command.args(arguments).stdin(Stdio::null());
        command
    }

    /// The kubeconfig of a user, with the API server's own address.
    ///
    /// # Panics
    /// When it cannot be read.
    #[must_use]
    pub fn kubeconfig_of(&self, user: User) -> Value {
        let file: PathBuf = self.world.access().kubeconfig(user);
        serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
    }

    /// The Prometheus metrics as text.
    ///
    /// # Panics
    /// When it does not answer.
    #[must_use]
    pub fn metrics(&self) -> String {
        let (status, body) = http::get(self.settings.http_port, "/metrics").unwrap_or_else(fail);
        assert_eq!(status, 200, "{body}");
        body
    }

    /// The value of a metric, by the whole beginning of its line.
    ///
    /// # Panics
    /// When it does not answer.
    #[must_use]
    pub fn metric(&self, begin: &str) -> u64 {
        metric(&self.metrics(), begin).unwrap_or(0)
    }
}

/// The right to keep a ledger of another name than the usual one.
fn may_keep(ledger: &str) -> String {
    let name = format!("test-ledger-{ledger}");
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": name},
        "rules": [{
            "apiGroups": ["bailey.dev"], "resources": ["rateledgers"], "resourceNames": [ledger],
            "verbs": ["get", "update"],
        }],
    });
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": "bailey-gateway", "namespace": "bailey-system"}],
    });
    format!("{role}\n---\n{binding}")
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.component.stop();
        self.world.unwatch(self.component.pid());
    }
}
