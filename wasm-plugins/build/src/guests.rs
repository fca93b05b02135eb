use std::path::Path;

use anyhow::Context;
use wasm_encoder::{CustomSection, Encode, Section};
use wit_component::ComponentEncoder;

/// The custom section in which Kubewarden policies describe themselves.
const KUBEWARDEN_SECTION: &str = "io.kubewarden.metadata";

/// One guest: a folder of this workspace.
pub struct Guest {
    /// The folder's and the policy's name.
    pub name: &'static str,
    /// The calling convention, as `policy.yaml` names it.
    pub interface: Interface,
    /// What it is written in.
    pub language: Language,
}

/// The calling convention.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Interface {
    /// A component.
    Bailey,
    /// A core module that speaks waPC.
    Kubewarden,
}

/// What a guest is written in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// Rust, a member of this workspace.
    Rust,
    /// Go, a module of its own.
    Go,
}

/// All guests.
pub const GUESTS: &[Guest] = &[
    Guest { name: "allowed-registries", interface: Interface::Bailey, language: Language::Rust },
    Guest { name: "cost-center", interface: Interface::Kubewarden, language: Language::Go },
    Guest { name: "default-resources", interface: Interface::Bailey, language: Language::Rust },
    Guest { name: "trusted-hosts", interface: Interface::Kubewarden, language: Language::Rust },
];

impl Guest {
    /// What the server loads: a component around the module, or the module with its description.
    pub fn finish(&self, root: &Path, mut module: Vec<u8>) -> anyhow::Result<Vec<u8>> {
        if self.interface == Interface::Bailey {
            let mut encoder = ComponentEncoder::default();
            let component = encoder.validate(true).module(&module).and_then(|encoder| encoder.encode());
            return component.with_context(|| format!("`{}` does not make a component", self.name));
        }
        let metadata = root.join(self.name).join("metadata.json");
        if metadata.exists() {
            let data = std::fs::read(&metadata)?;
            let section = CustomSection { name: KUBEWARDEN_SECTION.into(), data: data.into() };
            module.push(section.id());
            section.encode(&mut module);
        }
        Ok(module)
    }
}

impl Interface {
    /// As `policy.yaml` has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bailey => "bailey",
            Self::Kubewarden => "kubewarden",
        }
    }
}
