//! Objects as a client asks for them, written as the API server writes them.

use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use http::header::ACCEPT;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::entry::{Entry, age};
use crate::refusal::Refusal;

/// The kind of an object, and how tables show it.
#[derive(Debug)]
pub(crate) struct Shape {
    pub(super) api_version: String,
    pub(super) kind: &'static str,
    pub(super) columns: Box<RawValue>,
    /// The column that says how old an object is.
    pub(super) age: Option<usize>,
}

/// A form of answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Object,
    Metadata,
    Table(Include),
}

/// What the row of a table has of its object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Include {
    Object,
    Metadata,
    Nothing,
}

impl Form {
    /// The first form that a client accepts and that can be written; `None` where there is none.
    pub(crate) fn asked(headers: &HeaderMap, include: Option<&str>) -> Option<Self> {
        let include = match include {
            None | Some("Metadata") => Include::Metadata,
            Some("Object") => Include::Object,
            Some("None") => Include::Nothing,
            Some(_) => return None,
        };
        let asked = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let mut asked = asked.flat_map(|text| text.split(',')).map(str::trim).peekable();
        if asked.peek().is_none() {
            return Some(Self::Object);
        }
        asked.find_map(|media| Self::of(media, include))
    }

    fn of(media: &str, include: Include) -> Option<Self> {
        let mut parts = media.split(';').map(str::trim);
        if !matches!(parts.next()?, "" | "*/*" | "application/*" | "application/json") {
            return None;
        }
        let (mut form, mut group, mut version) = (None, None, None);
        for (key, value) in parts.filter_map(|part| part.split_once('=')) {
            match key {
                "as" => form = Some(value),
                "g" => group = Some(value),
                "v" => version = Some(value),
                _ => {}
            }
        }
        match (form, group, version) {
            (None, ..) => Some(Self::Object),
            (Some("Table"), Some("meta.k8s.io"), Some("v1")) => Some(Self::Table(include)),
            (
                Some("PartialObjectMetadataList" | "PartialObjectMetadata"),
                Some("meta.k8s.io"),
                Some("v1"),
            ) => Some(Self::Metadata),
            _ => None,
        }
    }
}

/// What a list says of itself.
pub(crate) struct About {
    pub(crate) version: u64,
    /// Where the next page goes on, and how many objects are left.
    pub(crate) rest: Option<(String, usize)>,
}

impl Shape {
    /// A list.
    pub(crate) fn list(&self, form: Form, entries: &[Arc<Entry>], about: &About) -> Bytes {
        let version = about.version.to_string();
        let metadata = match &about.rest {
            Some((rest, left)) => {
                json!({"resourceVersion": version, "continue": rest, "remainingItemCount": left})
            }
            None => json!({"resourceVersion": version}),
        };
        let (kind, version) = (self.kind, self.api_version.as_str());
        let mut text = match form {
            Form::Object => {
                format!(r#"{{"kind":"{kind}List","apiVersion":"{version}","metadata":{metadata},"items":["#)
            }
            Form::Metadata => format!(
                r#"{{"kind":"PartialObjectMetadataList","apiVersion":"meta.k8s.io/v1","metadata":{metadata},"items":["#
            ),
            Form::Table(_) => self.table(&metadata, true),
        };
        let now = Timestamp::now();
        for (number, entry) in entries.iter().enumerate() {
            if number > 0 {
                text.push(',');
            }
            match form {
                Form::Object => text.push_str(&entry.text),
                Form::Metadata => text.push_str(&partial(entry)),
                Form::Table(include) => self.row(&mut text, entry, include, now),
            }
        }
        text.push_str("]}\n");
        text.into()
    }

    /// One object.
    pub(crate) fn one(&self, form: Form, entry: &Entry) -> Bytes {
        let mut text = self.object(form, entry, true);
        text.push('\n');
        text.into()
    }

    /// What a watch tells of an object; the first table of a watch has the columns.
    pub(crate) fn event(&self, form: Form, what: &str, entry: &Entry, first: bool) -> Bytes {
        let object = self.object(form, entry, first);
        format!("{{\"type\":\"{what}\",\"object\":{object}}}\n").into()
    }

    /// That nothing else has changed up to a version; `initial` where it says so of what was there at first.
    pub(crate) fn bookmark(&self, form: Form, version: u64, initial: bool) -> Bytes {
        let about = if initial { json!({"k8s.io/initial-events-end": "true"}) } else { json!({}) };
        let metadata = json!({
            "resourceVersion": version.to_string(), "creationTimestamp": null, "annotations": about,
        });
        let object = |kind: &str, api: &str| json!({"kind": kind, "apiVersion": api, "metadata": metadata});
        let object = match form {
            Form::Object => object(self.kind, &self.api_version),
            Form::Metadata => object("PartialObjectMetadata", "meta.k8s.io/v1"),
            Form::Table(_) => json!({
                "kind": "Table", "apiVersion": "meta.k8s.io/v1",
                "metadata": {"resourceVersion": version.to_string()}, "columnDefinitions": null,
                "rows": [{"cells": [], "object": object("PartialObjectMetadata", "meta.k8s.io/v1")}],
            }),
        };
        format!("{{\"type\":\"BOOKMARK\",\"object\":{object}}}\n").into()
    }

    fn object(&self, form: Form, entry: &Entry, columns: bool) -> String {
        match form {
            Form::Object => self.whole(entry),
            Form::Metadata => partial(entry),
            Form::Table(include) => {
                let mut text = self.table(&json!({"resourceVersion": entry.version.to_string()}), columns);
                self.row(&mut text, entry, include, Timestamp::now());
                text.push_str("]}");
                text
            }
        }
    }

    fn table(&self, metadata: &Value, columns: bool) -> String {
        let columns = if columns { self.columns.get() } else { "null" };
        format!(
            r#"{{"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":{metadata},"columnDefinitions":{columns},"rows":["#
        )
    }

    fn row(&self, text: &mut String, entry: &Entry, include: Include, now: Timestamp) {
        text.push_str("{\"cells\":[");
        for (number, cell) in entry.cells.iter().enumerate() {
            if number > 0 {
                text.push(',');
            }
            // Writing into a string does not fail.
            let _written = if self.age == Some(number) {
                write!(text, "\"{}\"", age(entry.created, now))
            } else {
                write!(text, "{cell}")
            };
        }
        let object = match include {
            Include::Object => self.whole(entry),
            Include::Metadata => partial(entry),
            Include::Nothing => "null".to_owned(),
        };
        text.push_str("],\"object\":");
        text.push_str(&object);
        text.push('}');
    }

    fn whole(&self, entry: &Entry) -> String {
        let (kind, version) = (self.kind, self.api_version.as_str());
        let rest = entry.text.strip_prefix('{').unwrap_or("}");
        format!(r#"{{"kind":"{kind}","apiVersion":"{version}",{rest}"#)
    }
}

/// How a watch says why it ends.
pub(crate) fn error(refusal: &Refusal) -> Bytes {
    format!("{{\"type\":\"ERROR\",\"object\":{}}}\n", refusal.status_object(None)).into()
}

fn partial(entry: &Entry) -> String {
    #[derive(Deserialize)]
    struct Metadata<'a> {
        #[serde(borrow)]
        metadata: &'a RawValue,
    }
    let metadata = serde_json::from_str::<Metadata<'_>>(&entry.text).map_or("{}", |read| read.metadata.get());
    format!(r#"{{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{metadata}}}"#)
}

/// Which column says how old an object is.
pub(super) fn age_column(columns: &RawValue) -> Option<usize> {
    #[derive(Deserialize)]
    struct Column {
        name: String,
    }
    let columns: Vec<Column> = serde_json::from_str(columns.get()).ok()?;
    columns.iter().position(|column| column.name == "Age")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_form_that_can_be_written_is() {
        let form = |accept: Option<&str>, include: Option<&str>| {
            let mut headers = HeaderMap::new();
            accept.into_iter().for_each(|text| _ = headers.insert(ACCEPT, text.parse().unwrap()));
            Form::asked(&headers, include)
        };
        let table = "application/json;as=Table;v=v1;g=meta.k8s.io";
        let old = "application/json;as=Table;v=v1beta1;g=meta.k8s.io";
        let partial = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
        for (accept, expected) in [
            (None, Some(Form::Object)),
            (Some("*/*"), Some(Form::Object)),
            (Some("application/json;stream=watch"), Some(Form::Object)),
            (Some("application/vnd.kubernetes.protobuf,application/json"), Some(Form::Object)),
            (Some("application/vnd.kubernetes.protobuf"), None),
            (Some("application/yaml"), None),
            (Some(table), Some(Form::Table(Include::Metadata))),
            (Some(old), None),
            (Some(partial), Some(Form::Metadata)),
            (Some("application/json;as=Table;v=v1;g=other"), None),
        ] {
            assert_eq!(form(accept, None), expected, "{accept:?}");
        }
        assert_eq!(
            form(Some(&format!("{old}, {table},application/json")), Some("Object")),
            Some(Form::Table(Include::Object))
        );
        assert_eq!(form(Some(table), Some("None")), Some(Form::Table(Include::Nothing)));
        assert_eq!(form(Some(table), Some("x")), None);
    }
}
