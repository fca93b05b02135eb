//! Sums over the fields of any kind: what a budget may name that Kubernetes does not count.

use std::borrow::Cow;

use serde_json::Value;
use serde_json_path::JsonPath;
use thiserror::Error;

use super::{Amounts, GroupResource, MeasureError, json, number};

const PATH: usize = 512;
const NAME: usize = 63;
/// How deep brackets may be in a path: reading them takes time and stack for each.
const DEPTH: usize = 8;

/// An amount that is the sum of fields of an object, as resource `sum/<name>`.
#[derive(Debug, Clone)]
pub struct Sum {
    resource_name: String,
    kind: GroupResource,
    path: JsonPath,
}

/// Why a sum cannot be defined.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SumError {
    /// The name is empty, too long, or has other characters.
    #[error(
        "`{0}` cannot name a sum: it takes up to 63 of a-z, 0-9 and `-`, and letters or digits at both ends"
    )]
    Name(String),
    /// The path is too long or too deep.
    #[error("the path {0}")]
    Bound(&'static str),
    /// It is no JSONPath.
    #[error("`{path}` is no JSONPath: {reason}")]
    Path {
        /// The path.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl Sum {
    /// A sum over what a JSONPath finds in objects of a kind: RFC 9535, without `match` and `search`.
    ///
    /// # Errors
    ///
    /// If the name or path is not well written, or the path is longer or deeper than any that is needed.
    pub fn new(name: &str, kind: GroupResource, path: &str) -> Result<Self, SumError> {
        let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let edges = !name.starts_with('-') && !name.ends_with('-');
        if name.is_empty() || name.len() > NAME || !edges || !name.bytes().all(known) {
            return Err(SumError::Name(name.chars().take(NAME).collect()));
        }
        bounded(path)?;
        let parsed = JsonPath::parse(path)
            .map_err(|error| SumError::Path { path: path.to_owned(), reason: error.to_string() })?;
        Ok(Self { resource_name: format!("sum/{name}"), kind, path: parsed })
    }

    /// Its resource name, `sum/<name>`.
    pub fn resource_name(&self) -> &str {
        &self.resource_name
    }

    /// The kind of object that it is about.
    pub const fn kind(&self) -> &GroupResource {
        &self.kind
    }

    /// The sum of one object, in billionths. What the path does not find counts nothing.
    ///
    /// # Errors
    ///
    /// If a value that the path finds is neither a number nor a quantity, or is negative.
    pub fn of(&self, object: &Value) -> Result<i128, MeasureError> {
        self.path.query(object).iter().try_fold(0_i128, |sum, value| {
            let amount = amount(value)
                .map_err(|reason| MeasureError::Sum { sum: self.resource_name.clone(), reason })?;
            Ok(sum.saturating_add(amount))
        })
    }
}

/// The sums of one object, of those that are about its kind.
///
/// # Errors
///
/// If the object is no JSON, or one of the sums finds what is no amount.
pub fn add_up(sums: &[Sum], group: &str, resource: &str, object: &[u8]) -> Result<Amounts, MeasureError> {
    let about = |sum: &&Sum| sum.kind.group == group && sum.kind.resource == resource;
    let mut amounts = Amounts::new();
    let mut sums = sums.iter().filter(about).peekable();
    if sums.peek().is_none() {
        return Ok(amounts);
    }
    let object: Value = json::read(object)?;
    for sum in sums {
        amounts.insert(Cow::Owned(sum.resource_name.clone()), sum.of(&object)?);
    }
    Ok(amounts)
}

/// Refuses what could take long by mistake: to go to every depth twice takes the square of the object's size.
fn bounded(path: &str) -> Result<(), SumError> {
    if path.len() > PATH {
        return Err(SumError::Bound("is longer than 512 bytes"));
    }
    if path.matches("..").count() > 1 {
        return Err(SumError::Bound("has `..` more than once"));
    }
    let mut depth: usize = 0;
    for byte in path.bytes() {
        match byte {
            b'(' | b'[' => depth = depth.saturating_add(1),
            b')' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH {
            return Err(SumError::Bound("has more than 8 brackets in each other"));
        }
    }
    Ok(())
}

fn amount(value: &Value) -> Result<i128, String> {
    let text = match value {
        Value::Number(number) => match (number.as_u64(), number.as_f64()) {
            (Some(whole), _) => return Ok(number::whole(whole)),
            (None, Some(float)) if number.is_f64() => format!("{float:e}"),
            _ => number.to_string(),
        },
        Value::String(text) => text.clone(),
        Value::Null => return Err("null is no amount".to_owned()),
        Value::Bool(_) => return Err("a boolean is no amount".to_owned()),
        Value::Array(_) => return Err("a list is no amount".to_owned()),
        Value::Object(_) => return Err("an object is no amount".to_owned()),
    };
    number::read(&text).map_err(|unread| unread.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::number::ONE;
    use super::*;

    fn sum(path: &str) -> Sum {
        Sum::new("size", GroupResource::new("example.com", "clusters"), path).unwrap()
    }

    #[test]
    fn numbers_and_quantities_are_added() {
        let cluster = json!({"spec": {"replicas": 3, "pools": [
            {"kind": "gpu", "size": "1500m"}, {"kind": "cpu", "size": 2}, {"kind": "gpu", "size": 0.25}, {}]}});
        for (path, expected) in [
            ("$.spec.replicas", 3 * ONE),
            ("$.spec.pools[*].size", 3_750_000_000),
            ("$.spec.pools[0].size", 1_500_000_000),
            ("$.spec.pools[?@.kind == 'gpu'].size", 1_750_000_000),
            ("$..size", 3_750_000_000),
            ("$.spec['replicas', 'replicas']", 6 * ONE),
            ("$.spec.missing[*].size", 0),
        ] {
            assert_eq!(sum(path).of(&cluster), Ok(expected), "{path}");
        }
    }

    #[test]
    fn what_is_no_amount_is_an_error() {
        for (value, reason) in [
            (json!(null), "null is no amount"),
            (json!(true), "a boolean is no amount"),
            (json!([1]), "a list is no amount"),
            (json!({}), "an object is no amount"),
            (json!("many"), "`many` is no quantity"),
            (json!("-1Gi"), "`-1Gi` is negative"),
            (json!(-3), "`-3` is negative"),
            (json!(-0.5), "`-5e-1` is negative"),
        ] {
            let error = sum("$.size").of(&json!({ "size": value })).unwrap_err();
            assert_eq!(error.to_string(), format!("`sum/size`: {reason}"));
        }
    }

    #[test]
    fn sums_saturate() {
        let cluster = json!({"a": [1e300, "1e300", 1, u64::MAX]});
        assert_eq!(sum("$.a[*]").of(&cluster), Ok(i128::MAX));
    }

    #[test]
    fn a_sum_is_of_its_kind_only() {
        let sums = [sum("$.size")];
        let one = add_up(&sums, "example.com", "clusters", br#"{"size": 1}"#).unwrap();
        assert_eq!(one, Amounts::from([(Cow::Borrowed("sum/size"), ONE)]));
        assert_eq!(add_up(&sums, "", "pods", b"never read"), Ok(Amounts::new()));
        assert!(matches!(add_up(&sums, "example.com", "clusters", b"{"), Err(MeasureError::Json(_))));
        assert_eq!(
            (sums[0].resource_name(), sums[0].kind().to_string()),
            ("sum/size", "clusters.example.com".into())
        );
    }

    #[test]
    fn bad_definitions_are_refused() {
        let new = |name: &str, path: &str| Sum::new(name, GroupResource::new("", "pods"), path).map(|_| ());
        for name in ["", "-a", "a-", "A", "a/b", "é"] {
            assert_eq!(new(name, "$"), Err(SumError::Name(name.to_owned())));
        }
        assert!(new(&"a".repeat(64), "$").is_err());
        for path in ["", "spec", "$.spec[", "$.a..", "$[?match(@.a, 'b')]", "$[?search(@.a, 'b')]"] {
            assert!(matches!(new("a", path), Err(SumError::Path { .. })), "{path}");
        }
        for path in
            ["$..a..b".to_owned(), format!("$[?{}@.a{}]", "(".repeat(8), ")".repeat(8)), "$".repeat(513)]
        {
            assert!(matches!(new("a", &path), Err(SumError::Bound(_))), "{path}");
        }
    }
}
