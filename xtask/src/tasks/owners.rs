//! One owner per heavy dependency: who may name it in a manifest.

use super::arrows::Package;

/// Heavy dependencies and the crates that may use them directly.
const OWNERS: [(&str, &[&str]); 6] = [
    ("kube", &["tenancy", "server", "tests"]),
    ("regorus", &["policies"]),
    ("wasmtime", &["policies"]),
    ("sqlx", &["audit"]),
    ("axum", &["admission", "server"]),
    ("opentelemetry", &["server"]),
];

/// Every heavy dependency in a crate that does not own it, as one line each.
pub(super) fn violations(packages: &[Package]) -> Vec<String> {
    let mut found = Vec::new();
    for package in packages {
        for (name, owners) in OWNERS {
            // A development dependency reaches nobody's binary.
            let mut normal =
                package.dependencies.iter().filter(|dependency| dependency.kind.as_deref() != Some("dev"));
            if normal.any(|dependency| dependency.name == name) && !owners.contains(&package.name.as_str()) {
                found.push(format!(
                    "`{}` depends on `{name}`, which belongs to {}",
                    package.name,
                    owners.join(", ")
                ));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::arrows::packages;
    use super::*;

    #[test]
    fn an_owner_may() {
        let json = r#"{"packages": [{"name": "audit", "dependencies": [{"name": "sqlx", "kind": null}]}]}"#;
        assert_eq!(violations(&packages(json).unwrap()), Vec::<String>::new());
    }

    #[test]
    fn others_may_not() {
        let json = r#"{"packages": [{"name": "cli", "dependencies": [{"name": "sqlx", "kind": null}]}]}"#;
        assert_eq!(violations(&packages(json).unwrap()), ["`cli` depends on `sqlx`, which belongs to audit"]);
    }

    #[test]
    fn tests_of_others_may() {
        let json = r#"{"packages": [{"name": "cli", "dependencies": [{"name": "sqlx", "kind": "dev"}]}]}"#;
        assert_eq!(violations(&packages(json).unwrap()), Vec::<String>::new());
    }
}
