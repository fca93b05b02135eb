//! Label and field selectors, as a query has them.

use std::collections::BTreeSet;

use model::{Code, LabelSelector, Requirement, SelectorOperator};

use super::cache::entry::Entry;
use super::query::Query;
use crate::refusal::Refusal;
use crate::target::Granted;

/// What a client asks for of what it may see.
#[derive(Debug, Clone, Default)]
pub(super) struct Selection {
    labels: LabelSelector,
    /// Field, whether it has to be, and its value.
    fields: Vec<(String, bool, String)>,
}

impl Selection {
    /// Reads both selectors of a query.
    ///
    /// # Errors
    /// [`Code::GatewayRequest`] for a selector that is none.
    pub(super) fn read(query: &Query, granted: Granted) -> Result<Self, Refusal> {
        let refuse = |what: &str, text: &str, why: String| {
            let message = format!("`{what}` is {text:?}, which cannot be read: {why}");
            Refusal::new(Code::GatewayRequest, message)
        };
        let labels = query.get("labelSelector").unwrap_or_default();
        let fields = query.get("fieldSelector").unwrap_or_default();
        Ok(Self {
            labels: read_labels(labels).map_err(|why| refuse("labelSelector", labels, why))?,
            fields: read_fields(fields, granted).map_err(|why| refuse("fieldSelector", fields, why))?,
        })
    }

    /// Whether it selects everything.
    pub(super) fn is_all(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// Whether an object is selected.
    pub(super) fn selects(&self, entry: &Entry) -> bool {
        self.labels.matches(&entry.labels)
            && self.fields.iter().all(|(field, is, value)| {
                let found = match field.as_str() {
                    "metadata.name" => Some(entry.name.as_str()),
                    field => entry
                        .fields
                        .iter()
                        .find(|(known, _)| *known == field)
                        .map(|(_, value)| value.as_str()),
                };
                found.is_some_and(|found| (found == value) == *is)
            })
    }
}

fn read_fields(text: &str, granted: Granted) -> Result<Vec<(String, bool, String)>, String> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let one = |part: &str| {
        let (field, is, value) = if let Some((field, value)) = part.split_once("!=") {
            (field, false, value)
        } else if let Some((field, value)) = part.split_once("==") {
            (field, true, value)
        } else if let Some((field, value)) = part.split_once('=') {
            (field, true, value)
        } else {
            return Err(format!("{part:?} has no `=`"));
        };
        if field != "metadata.name" && !granted.fields().contains(&field) {
            return Err(format!("field label not supported: {field}"));
        }
        Ok((field.to_owned(), is, value.to_owned()))
    };
    parts.map(one).collect()
}

/// Reads `a=b,c!=d,e in (f,g),h notin (i),j,!k`.
fn read_labels(text: &str) -> Result<LabelSelector, String> {
    let mut selector = LabelSelector::default();
    for part in requirements(text)? {
        selector.match_expressions.push(read_label(part)?);
    }
    Ok(selector)
}

/// The requirements of a label selector: commas within parentheses do not part them.
fn requirements(text: &str) -> Result<Vec<&str>, String> {
    let (mut parts, mut begin, mut inside) = (Vec::new(), 0, false);
    for (at, letter) in text.char_indices() {
        match (letter, inside) {
            ('(', false) => inside = true,
            (')', true) => inside = false,
            ('(' | ')', _) => return Err("its parentheses do not match".to_owned()),
            (',', false) => {
                parts.push(text.get(begin..at).unwrap_or_default().trim());
                begin = at.saturating_add(1);
            }
            _ => {}
        }
    }
    if inside {
        return Err("its parentheses do not match".to_owned());
    }
    parts.push(text.get(begin..).unwrap_or_default().trim());
    if parts.len() == 1 && parts.iter().all(|part| part.is_empty()) {
        return Ok(Vec::new());
    }
    Ok(parts)
}

fn read_label(part: &str) -> Result<Requirement, String> {
    use SelectorOperator::{DoesNotExist, Exists, In, NotIn};
    let of = |key: &str, operator, values: Vec<&str>| {
        let key = key.trim();
        let plain =
            |text: &str| text.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_./".contains(letter));
        if key.is_empty() || !plain(key) || !values.iter().all(|value| plain(value)) {
            return Err(format!("{part:?} is no requirement"));
        }
        let values: BTreeSet<String> = values.into_iter().map(str::to_owned).collect();
        Ok(Requirement { key: key.to_owned(), operator, values })
    };
    if let Some(open) = part.strip_suffix(')') {
        let (head, values) = open.split_once('(').ok_or_else(|| format!("{part:?} is no requirement"))?;
        let values = values.split(',').map(str::trim).collect();
        let mut words = head.split_whitespace();
        return match (words.next(), words.next(), words.next()) {
            (Some(key), Some("in"), None) => of(key, In, values),
            (Some(key), Some("notin"), None) => of(key, NotIn, values),
            _ => Err(format!("{part:?} is no requirement")),
        };
    }
    if let Some(key) = part.strip_prefix('!') {
        return of(key, DoesNotExist, Vec::new());
    }
    if let Some((key, value)) = part.split_once("!=") {
        return of(key, NotIn, vec![value.trim()]);
    }
    if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
        return of(key, In, vec![value.trim()]);
    }
    of(part, Exists, Vec::new())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn label_selectors_are_read_as_kubernetes_reads_them() {
        let labels: BTreeMap<String, String> = [("a", "b"), ("tier", "gold"), ("empty", "")]
            .map(|(key, value)| (key.into(), value.into()))
            .into();
        for (text, expected) in [
            ("", true),
            (" ", true),
            ("a=b", true),
            ("a==b , tier = gold", true),
            ("a=c", false),
            ("a!=b", false),
            ("x!=b", true),
            ("a", true),
            ("!a", false),
            ("! x", true),
            ("a in (c, b)", true),
            ("a in (c),tier", false),
            ("a notin (c,d),tier in (gold)", true),
            ("empty=", true),
            ("empty in ()", true),
            ("example.com/x.y_z-0 notin (v1.0)", true),
        ] {
            assert_eq!(read_labels(text).unwrap().matches(&labels), expected, "{text:?}");
        }
        for text in [
            "a in (b",
            "a in b)",
            "a)(",
            "a b",
            "=b",
            "a>1",
            ",a",
            "a,",
            "a in (b))",
            "((a)",
            "in (a)",
            "a~b",
        ] {
            assert!(read_labels(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn field_selectors_are_those_that_kinds_have() {
        let read = |text| read_fields(text, Granted::Namespace);
        assert_eq!(read("metadata.name!=x,status.phase==Active").unwrap().len(), 2);
        for text in ["metadata.name", "spec.unschedulable=true", "=x"] {
            assert!(read(text).is_err(), "{text:?}");
        }
    }
}
