//! What the host offers to a policy. Outside a guest, as in unit tests, there is no host: log lines go
//! nowhere, the time is 0 and lookups are errors.

use serde_json::Value;

use crate::Kind;

/// The weight of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// For the policy's author.
    Debug,
    /// Worth knowing.
    Info,
    /// Worth a look.
    Warn,
    /// Something is broken.
    Error,
}

/// Writes a line to the server's log.
pub fn log(level: Level, message: &str) {
    imported::log(level, message);
}

/// One cluster object, of a kind among the policy's `lookups`; the namespace is `None` for
/// cluster-scoped kinds.
///
/// # Errors
/// When the kind is not declared or not yet cached.
pub fn get_object(kind: &Kind, namespace: Option<&str>, name: &str) -> Result<Option<Value>, String> {
    imported::get_object(kind, namespace, name)?.map(|text| read(&text)).transpose()
}

/// The cluster objects of a kind, in a namespace or in all, whose labels match a selector as
/// `kubectl get -l` has it; an empty one matches all.
///
/// # Errors
/// When the kind is not declared or not yet cached, or the selector is not one.
pub fn list_objects(
    kind: &Kind,
    namespace: Option<&str>,
    label_selector: &str,
) -> Result<Vec<Value>, String> {
    imported::list_objects(kind, namespace, label_selector)?.iter().map(|text| read(text)).collect()
}

/// Nanoseconds since 1970.
pub fn now() -> u64 {
    imported::now()
}

fn read(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("an object of the cluster cannot be read: {error}"))
}

#[cfg(target_arch = "wasm32")]
mod imported {
    use super::Level;
    use crate::Kind;
    use crate::bindings::bailey::policy::host;

    pub(super) fn log(level: Level, message: &str) {
        let level = match level {
            Level::Debug => host::Level::Debug,
            Level::Info => host::Level::Info,
            Level::Warn => host::Level::Warn,
            Level::Error => host::Level::Error,
        };
        host::log(level, message);
    }

    pub(super) fn get_object(
        kind: &Kind,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Option<String>, String> {
        host::get_object(&object_kind(kind), namespace, name)
    }

    pub(super) fn list_objects(
        kind: &Kind,
        namespace: Option<&str>,
        label_selector: &str,
    ) -> Result<Vec<String>, String> {
        host::list_objects(&object_kind(kind), namespace, label_selector)
    }

    pub(super) fn now() -> u64 {
        host::now()
    }

    fn object_kind(kind: &Kind) -> host::ObjectKind {
        host::ObjectKind { group: kind.group.clone(), version: kind.version.clone(), kind: kind.kind.clone() }
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod imported {
    use super::Level;
    use crate::Kind;

    const NO_HOST: &str = "there is no host outside a guest";

    pub(super) fn log(_level: Level, _message: &str) {}

    pub(super) fn get_object(_: &Kind, _: Option<&str>, _: &str) -> Result<Option<String>, String> {
        Err(NO_HOST.to_owned())
    }

    pub(super) fn list_objects(_: &Kind, _: Option<&str>, _: &str) -> Result<Vec<String>, String> {
        Err(NO_HOST.to_owned())
    }

    pub(super) fn now() -> u64 {
        0
    }
}
