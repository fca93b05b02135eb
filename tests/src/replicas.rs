//! More replicas of Bailey beside the first of a world.

use xtask::daemon::Settings;
use xtask::install;
use xtask::process::Component;

use crate::World;
use crate::world::fail;

/// Further replicas, which the API server asks about the namespaces that have their number as a label.
pub struct Replicas<'a> {
    world: &'a World,
    running: Vec<(Settings, Component)>,
}

impl<'a> Replicas<'a> {
    /// Starts so many in all: one fewer than that beside the first.
    ///
    /// # Panics
    /// When one does not become ready.
    pub fn start(world: &'a World, all: usize) -> Self {
        Self::start_with(world, all, |_, _| ())
    }

    /// The same with more settings for each of the further ones, by its number.
    ///
    /// # Panics
    /// When one does not become ready.
    pub fn start_with(world: &'a World, all: usize, configure: impl Fn(usize, &mut Settings)) -> Self {
        let mut replicas = Self { world, running: Vec::new() };
        for number in 1..all {
            let mut settings =
                Settings::for_cluster(&world.bailey.settings.binary, world.access()).unwrap_or_else(fail);
            settings.folder = world.access().folder().join(format!("bailey-{number}"));
            settings.roles = "admission";
            configure(number, &mut settings);
            let mut component = settings.spawn().unwrap_or_else(fail);
            world.watch(component.pid());
            settings.wait_ready(&mut component).unwrap_or_else(fail);
            replicas.running.push((settings, component));
        }
        let first = world.bailey.settings.webhook_port;
        let others = replicas.running.iter().map(|(settings, _)| settings.webhook_port);
        let ports: Vec<u16> = std::iter::once(first).chain(others).collect();
        install::replicas(world.access(), &ports).unwrap_or_else(fail);
        replicas
    }

    /// The label of a namespace that this replica is asked about; the first one is asked about those without.
    #[must_use]
    pub fn label(number: usize) -> serde_json::Value {
        match number {
            0 => serde_json::json!({}),
            _ => serde_json::json!({install::REPLICA_LABEL: number.to_string()}),
        }
    }

    /// Ends one of the further replicas as a crash would, and starts it again.
    ///
    /// # Panics
    /// When it does not become ready again, or there is none of this number.
    pub fn crash(&mut self, number: usize) {
        let (settings, component) = &mut self.running[number - 1];
        self.world.unwatch(component.pid());
        component.kill();
        *component = settings.spawn().unwrap_or_else(fail);
        self.world.watch(component.pid());
        settings.wait_ready(component).unwrap_or_else(fail);
    }

    /// Ends one of the further replicas as a crash would, for good.
    ///
    /// # Panics
    /// When there is none of this number.
    pub fn kill(&mut self, number: usize) {
        let (_, component) = &mut self.running[number - 1];
        self.world.unwatch(component.pid());
        component.kill();
    }

    /// The settings of one of the further replicas.
    ///
    /// # Panics
    /// When there is none of this number.
    #[must_use]
    pub fn settings(&self, number: usize) -> &Settings {
        &self.running[number - 1].0
    }

    /// The process of one of the further replicas.
    ///
    /// # Panics
    /// When there is none of this number.
    #[must_use]
    pub fn pid(&self, number: usize) -> u32 {
        self.running[number - 1].1.pid()
    }

    /// The ports of plain HTTP of all replicas, the first one's first.
    #[must_use]
    pub fn http_ports(&self) -> Vec<u16> {
        let others = self.running.iter().map(|(settings, _)| settings.http_port);
        std::iter::once(self.world.bailey.settings.http_port).chain(others).collect()
    }
}

impl Drop for Replicas<'_> {
    fn drop(&mut self) {
        for (_, component) in &mut self.running {
            component.stop();
            self.world.unwatch(component.pid());
        }
    }
}
