//! Which crate may depend on which: the table of `docs/architecture.md`, held against `cargo metadata`.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use serde::Deserialize;

/// The allowed arrows between our crates; `*` is every crate.
const ALLOWED: [(&str, &[&str]); 12] = [
    ("model", &[]),
    ("policies", &["model"]),
    ("quota", &["model"]),
    ("fairness", &["model"]),
    ("tenancy", &["model", "quota", "fairness"]),
    ("audit", &["model"]),
    ("admission", &["model", "policies", "quota", "fairness", "audit"]),
    ("gateway", &["model", "fairness"]),
    ("server", &["model", "policies", "quota", "fairness", "tenancy", "audit", "admission", "gateway"]),
    ("cli", &["model", "policies", "quota", "fairness", "tenancy", "audit", "server"]),
    ("tests", &["*"]),
    ("xtask", &[]),
];

/// A package as `cargo metadata --no-deps` describes it.
#[derive(Debug, Deserialize)]
pub(super) struct Package {
    pub(super) name: String,
    pub(super) dependencies: Vec<Dependency>,
}

/// One line of a package's dependency tables.
#[derive(Debug, Deserialize)]
pub(super) struct Dependency {
    pub(super) name: String,
    /// `None` for a normal dependency, else `dev` or `build`.
    pub(super) kind: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

/// The packages of the workspace from the JSON of `cargo metadata`.
pub(super) fn packages(metadata: &str) -> Result<Vec<Package>> {
    let metadata: Metadata =
        serde_json::from_str(metadata).context("`cargo metadata` printed something else")?;
    Ok(metadata.packages)
}

/// Every dependency between our crates that the table does not allow, as one line each.
pub(super) fn violations(packages: &[Package]) -> Vec<String> {
    let ours: BTreeSet<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    let allowed: BTreeMap<&str, &[&str]> = ALLOWED.into_iter().collect();
    let mut found = Vec::new();
    for package in packages {
        let Some(targets) = allowed.get(package.name.as_str()) else {
            found.push(format!("crate `{}` is not in the table of allowed arrows", package.name));
            continue;
        };
        // Development dependencies too: a test that needs a sibling belongs into `tests`.
        let names: BTreeSet<&str> =
            package.dependencies.iter().map(|dependency| dependency.name.as_str()).collect();
        let forbidden =
            names.intersection(&ours).filter(|name| !targets.contains(*name) && !targets.contains(&"*"));
        found.extend(
            forbidden.map(|name| format!("`{}` depends on `{name}`; {}", package.name, may(targets))),
        );
    }
    found
}

fn may(targets: &[&str]) -> String {
    if targets.is_empty() {
        "it may depend on none of ours".to_owned()
    } else {
        format!("it may depend on {}", targets.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn package(name: &str, dependencies: &[&str]) -> Package {
        let dependency = |name: &&str| Dependency { name: (*name).to_owned(), kind: None };
        Package { name: name.to_owned(), dependencies: dependencies.iter().map(dependency).collect() }
    }

    #[test]
    fn allowed_arrows_pass() {
        let packages = [
            package("model", &["serde"]),
            package("audit", &["model", "sqlx"]),
            package("tests", &["model", "audit", "xtask"]),
            package("xtask", &["clap"]),
        ];
        assert_eq!(violations(&packages), Vec::<String>::new());
    }

    #[test]
    fn an_arrow_between_siblings_is_found() {
        let packages =
            [package("model", &[]), package("audit", &["model", "tenancy"]), package("tenancy", &["model"])];
        assert_eq!(violations(&packages), ["`audit` depends on `tenancy`; it may depend on model"]);
    }

    #[test]
    fn the_root_of_the_tree_depends_on_nothing() {
        let packages = [package("model", &["audit"]), package("audit", &[])];
        assert_eq!(violations(&packages), ["`model` depends on `audit`; it may depend on none of ours"]);
    }

    #[test]
    fn a_crate_outside_of_the_table_is_found() {
        assert_eq!(
            violations(&[package("utils", &[])]),
            ["crate `utils` is not in the table of allowed arrows"]
        );
    }

    #[test]
    fn development_dependencies_count() {
        let json = r#"{"packages": [
            {"name": "model", "dependencies": [{"name": "audit", "kind": "dev"}]},
            {"name": "audit", "dependencies": []}]}"#;
        assert_eq!(violations(&packages(json).unwrap()).len(), 1);
    }
}
