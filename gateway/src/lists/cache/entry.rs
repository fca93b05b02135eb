//! An object as the API server writes it into a table: what it is, and what a person is shown of it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use model::TENANT_LABEL;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::target::Granted;

/// An object.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) version: u64,
    pub(crate) labels: BTreeMap<String, String>,
    /// What field selectors may ask for besides the name.
    pub(crate) fields: Vec<(&'static str, String)>,
    /// Of a Namespace its tenant, of a PersistentVolume the namespace of its claim.
    pub(crate) owner: Option<String>,
    /// Without `apiVersion` and `kind`, as in lists.
    pub(super) text: String,
    pub(super) cells: Vec<Value>,
    pub(super) created: Option<Timestamp>,
}

/// A table, of which the objects are whole.
#[derive(Deserialize)]
pub(super) struct Table {
    pub(super) metadata: Metadata,
    #[serde(rename = "columnDefinitions")]
    pub(super) columns: Option<Box<RawValue>>,
    rows: Option<Vec<Row>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Metadata {
    #[serde(default)]
    pub(super) resource_version: String,
    #[serde(default, rename = "continue")]
    pub(super) rest: String,
}

#[derive(Deserialize)]
struct Row {
    cells: Vec<Value>,
    object: Map<String, Value>,
}

impl Table {
    /// The objects of its rows; `None` where one of them is none.
    pub(crate) fn entries(self, kind: Granted) -> Option<Vec<Entry>> {
        self.rows.into_iter().flatten().map(|row| Entry::read(kind, row)).collect()
    }
}

impl Entry {
    fn read(kind: Granted, row: Row) -> Option<Self> {
        let mut object = row.object;
        object.remove("apiVersion");
        object.remove("kind");
        let object = Value::Object(object);
        let text = |path: &str| object.pointer(path).and_then(Value::as_str);
        let labels = object.pointer("/metadata/labels").and_then(Value::as_object);
        let labels = labels.into_iter().flatten();
        let labels: BTreeMap<String, String> =
            labels.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect();
        let owner = match kind {
            Granted::Namespace => labels.get(TENANT_LABEL).cloned(),
            // What was released by a claim is no longer theirs: another tenant may have the namespace's name by now.
            Granted::Volume if matches!(text("/status/phase"), Some("Released" | "Failed")) => None,
            Granted::Volume => text("/spec/claimRef/namespace").map(str::to_owned),
            Granted::Class(_) | Granted::Node | Granted::Definition => None,
        };
        let fields = match kind {
            Granted::Namespace => {
                vec![("status.phase", text("/status/phase").unwrap_or_default().to_owned())]
            }
            Granted::Node => {
                let cordoned = object.pointer("/spec/unschedulable").and_then(Value::as_bool);
                vec![("spec.unschedulable", cordoned.unwrap_or_default().to_string())]
            }
            Granted::Class(_) | Granted::Volume | Granted::Definition => Vec::new(),
        };
        Some(Self {
            name: text("/metadata/name")?.to_owned(),
            version: text("/metadata/resourceVersion")?.parse().ok()?,
            created: text("/metadata/creationTimestamp").and_then(|text| text.parse().ok()),
            labels,
            fields,
            owner,
            cells: row.cells,
            text: object.to_string(),
        })
    }

    /// One that says nothing but this.
    #[cfg(test)]
    pub(crate) fn of_test(name: &str, version: u64, owner: Option<String>) -> Self {
        let (labels, fields, cells) = <_>::default();
        let text = format!(r#"{{"metadata":{{"name":"{name}","resourceVersion":"{version}"}}}}"#);
        Self { name: name.to_owned(), version, labels, fields, owner, text, cells, created: None }
    }

    /// How many bytes it is written with.
    pub(crate) const fn length(&self) -> usize {
        self.text.len()
    }

    /// About how many bytes it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.text.len().saturating_mul(2)
    }

    /// The same at another version: as it is told of when it is no longer to be seen.
    pub(crate) fn at_version(&self, version: u64) -> Self {
        let mut object: Value = serde_json::from_str(&self.text).unwrap_or_default();
        if let Some(place) = object.pointer_mut("/metadata/resourceVersion") {
            *place = version.to_string().into();
        }
        Self {
            name: self.name.clone(),
            version,
            labels: self.labels.clone(),
            fields: self.fields.clone(),
            owner: self.owner.clone(),
            text: object.to_string(),
            cells: self.cells.clone(),
            created: self.created,
        }
    }
}

/// How long ago something was, as the API server writes it into the column `Age`.
pub(super) fn age(created: Option<Timestamp>, now: Timestamp) -> String {
    let Some(created) = created else { return "<unknown>".to_owned() };
    let seconds = now.as_second().saturating_sub(created.as_second());
    let (minutes, hours, days, years) =
        (seconds / 60, seconds / 3_600, seconds / 86_400, seconds / (86_400 * 365));
    let two = |major: i64, unit: &str, minor: i64, less: &str| match minor {
        0 => format!("{major}{unit}"),
        _ => format!("{major}{unit}{minor}{less}"),
    };
    match seconds {
        ..-1 => "<invalid>".to_owned(),
        -1..0 => "0s".to_owned(),
        0..120 => format!("{seconds}s"),
        120..600 => two(minutes, "m", seconds % 60, "s"),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => two(hours, "h", minutes % 60, "m"),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => two(days, "d", hours % 24, "h"),
        691_200..63_072_000 => format!("{days}d"),
        63_072_000..252_288_000 => two(years, "y", days % 365, "d"),
        _ => format!("{years}y"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_written_as_the_api_server_writes_it() {
        let now = Timestamp::UNIX_EPOCH;
        let of = |seconds: i64| age(Some(Timestamp::new(-seconds, 0).unwrap()), now);
        for (seconds, expected) in [
            (-5, "<invalid>"),
            (-1, "0s"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (125, "2m5s"),
            (601, "10m"),
            (10_799, "179m"),
            (10_860, "3h1m"),
            (28_800, "8h"),
            (172_799, "47h"),
            (176_400, "2d1h"),
            (691_200, "8d"),
            (63_072_000, "2y"),
            (63_158_400, "2y1d"),
            (252_288_000, "8y"),
        ] {
            assert_eq!(of(seconds), expected, "{seconds}");
        }
        assert_eq!(age(None, now), "<unknown>");
    }

    #[test]
    fn what_is_told_of_an_object_is_read_from_its_row() {
        let text = r#"{"kind":"Table","metadata":{"resourceVersion":"9"},"columnDefinitions":null,"rows":[{"cells":["pv-1",3],
            "object":{"kind":"PersistentVolume","apiVersion":"v1","metadata":{"name":"pv-1","resourceVersion":"7",
            "labels":{"a":"b"},"creationTimestamp":"2026-01-01T00:00:00Z"},"spec":{"claimRef":{"namespace":"web"}}}}]}"#;
        let table: Table = serde_json::from_str(text).unwrap();
        let [entry] = &table.entries(Granted::Volume).unwrap()[..] else { panic!("one") };
        assert_eq!((entry.name.as_str(), entry.version, entry.owner.as_deref()), ("pv-1", 7, Some("web")));
        assert!(entry.created.is_some() && entry.labels["a"] == "b");
        assert!(!entry.text.contains("PersistentVolume") && entry.text.contains("claimRef"));
        let released = text.replace(r#""spec":"#, r#""status":{"phase":"Released"},"spec":"#);
        let released: Table = serde_json::from_str(&released).unwrap();
        assert_eq!(released.entries(Granted::Volume).unwrap()[0].owner, None);
        let later = entry.at_version(12);
        assert!(later.text.contains(r#""resourceVersion":"12""#), "{}", later.text);
    }
}
