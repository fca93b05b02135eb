//! Objects of any kind from text and from files, as kubectl reads and writes them.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// How deep folders are searched.
const DEPTH: usize = 16;

/// Why what kubectl wrote cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DumpFault {
    /// A file or folder cannot be read.
    #[error("cannot read `{}`: {why}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        why: std::io::Error,
    },
    /// A file is neither YAML nor JSON, or an object in it is not what its kind says.
    #[error("`{}`: {why}", path.display())]
    Malformed {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// There is nothing in it of what was asked for.
    #[error("`{}` has {lacks}: write it with `kubectl get {kinds} -A -o yaml`", path.display())]
    Empty {
        /// What was read.
        path: PathBuf,
        /// What it has.
        lacks: &'static str,
        /// The kinds that it should have.
        kinds: &'static str,
    },
}

/// Gives every object of a file, or of every `.yaml`, `.yml` and `.json` file of a folder and the folders in it.
///
/// # Errors
/// When a file cannot be read, or an object is not what its kind says.
pub(crate) fn each(path: &Path, mut take: impl FnMut(Value) -> Result<(), String>) -> Result<(), DumpFault> {
    let mut files = Vec::new();
    collect(path, DEPTH, &mut files)?;
    for file in files {
        let text = std::fs::read_to_string(&file)
            .map_err(|why| DumpFault::Unreadable { path: file.clone(), why })?;
        let taken = objects(&text).and_then(|objects| objects.into_iter().try_for_each(&mut take));
        taken.map_err(|why| DumpFault::Malformed { path: file, why })?;
    }
    Ok(())
}

/// A file that is named is read whatever its name.
fn collect(path: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), DumpFault> {
    let unreadable = |why| DumpFault::Unreadable { path: path.to_owned(), why };
    if !std::fs::metadata(path).map_err(unreadable)?.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(path).map_err(unreadable)? {
        entries.push(entry.map_err(unreadable)?.path());
    }
    entries.sort();
    for entry in entries {
        let ending = entry.extension().and_then(|ending| ending.to_str());
        let named = matches!(ending, Some("yaml" | "yml" | "json"));
        if named || (entry.is_dir() && depth > 0) {
            collect(&entry, depth.saturating_sub(1), files)?;
        }
    }
    Ok(())
}

/// The objects of a text: JSON values or YAML documents, and of a list its items.
///
/// An item that does not say its kind or version has that of its list.
pub(crate) fn objects(text: &str) -> Result<Vec<Value>, String> {
    let mut objects = Vec::new();
    for value in documents(text)? {
        flatten(value, &mut objects);
    }
    Ok(objects)
}

fn flatten(mut value: Value, objects: &mut Vec<Value>) {
    let said = |field: &str| value.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (version, kind) = (said("apiVersion"), said("kind"));
    let Some(of) = kind.strip_suffix("List").filter(|_| value.get("items").is_some_and(Value::is_array))
    else {
        if !value.is_null() {
            objects.push(value);
        }
        return;
    };
    let items = value.get_mut("items").map(Value::take);
    for mut item in items.and_then(|items| items.as_array().cloned()).unwrap_or_default() {
        if let Value::Object(fields) = &mut item
            && !of.is_empty()
        {
            fields.entry("kind").or_insert_with(|| of.into());
            fields.entry("apiVersion").or_insert_with(|| version.as_str().into());
        }
        objects.push(item);
    }
}

fn documents(text: &str) -> Result<Vec<Value>, String> {
    // Not every text that begins with a brace is JSON; what is one is read several times as fast.
    if text.trim_start().starts_with('{')
        && let Ok(values) = serde_json::Deserializer::from_str(text).into_iter::<Value>().collect()
    {
        return Ok(values);
    }
    // A user's own file may be large; what its aliases make of it is bounded all the same.
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: 64, max_nodes: 20_000_000, max_events: 60_000_000, max_aliases: 1_000, max_anchors: 1_000,
            max_total_scalar_bytes: 1_000_000_000, max_documents: 1_000_000
        },
        strict_booleans: true,
        with_snippet: false,
    };
    serde_saphyr::from_multiple_with_options::<Value>(text, options).map_err(|error| {
        format!("it is neither JSON nor YAML: {}", error.without_snippet()).replace('\n', " ")
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn documents_and_lists_become_objects() {
        let yaml =
            "a: 1\n---\n# nothing\n---\napiVersion: v1\nkind: List\nitems: [{kind: Pod}, {kind: Role}]\n";
        assert_eq!(objects(yaml), Ok(vec![json!({"a": 1}), json!({"kind": "Pod"}), json!({"kind": "Role"})]));
        let typed = r#"{"apiVersion": "x/v1", "kind": "RoleList", "items": [{"a": 1}]} {"b": 2}"#;
        let expected = json!({"apiVersion": "x/v1", "kind": "Role", "a": 1});
        assert_eq!(objects(typed), Ok(vec![expected, json!({"b": 2})]));
        assert_eq!(objects(""), Ok(vec![]));
    }

    #[test]
    fn what_is_neither_says_where() {
        assert_eq!(objects("{a: 1}\n---\n{b: 2}"), Ok(vec![json!({"a": 1}), json!({"b": 2})]));
        let fault = objects("a: 1\nb: [\n").unwrap_err();
        assert!(fault.starts_with("it is neither JSON nor YAML: ") && fault.contains("line"), "{fault}");
    }
}
