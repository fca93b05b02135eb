//! Sums over the fields of any kind: what a budget may name that Kubernetes does not count.
//!
//! The name says all there is to know: `sum/clusters.example.com:$.spec.size` adds what a JSONPath (RFC 9535) finds in
//! objects of a kind, `count/clusters.example.com:$.spec.pools[*]` counts how much it finds. So there is nothing else to
//! declare, to change meanwhile or to lose.

use std::borrow::Cow;

use serde_json::{Value, json};
use serde_json_path::JsonPath;
use thiserror::Error;

use super::{Amounts, GroupResource, MeasureError, json, names, number};

/// The longest name, in bytes: it is shown in messages and stored with every share.
const NAME: usize = 317;
/// How deep brackets may be in a path: reading them takes time and stack for each.
const DEPTH: usize = 8;

/// An amount that is read from fields of an object.
#[derive(Debug, Clone)]
pub struct Sum {
    resource_name: String,
    kind: GroupResource,
    path: JsonPath,
    /// Whether what the path finds is added up, and not only counted.
    adds: bool,
}

/// Why there is no such sum.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SumError {
    /// The name is too long.
    #[error("it is longer than 317 bytes")]
    Long,
    /// What is before the path is no kind.
    #[error("`{0}` is no kind: it is written as the plural name, a dot and the group, such as `jobs.batch`")]
    Kind(String),
    /// Objects of the kind are never counted.
    #[error("Kubernetes does not count these objects")]
    Ignored,
    /// There is no path.
    #[error("a sum has a JSONPath after its kind, such as `sum/clusters.example.com:$.spec.size`")]
    NoPath,
    /// The path goes to what is reported, and not asked for.
    #[error(
        "its path leads to the status, which says what is and asks for nothing: no request could be refused"
    )]
    Status,
    /// The path is too deep.
    #[error("its path {0}")]
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
    /// The sum that a resource name means; `None` for one that means none. The path is a JSONPath without `match` and
    /// `search`.
    ///
    /// # Errors
    ///
    /// If the kind or the path is not well written, or the path leads nowhere a request could be held to.
    pub fn named(name: &str) -> Option<Result<Self, SumError>> {
        let adds = name.starts_with("sum/");
        let (kind, path) = match (name.strip_prefix("sum/"), name.strip_prefix("count/")) {
            (Some(rest), _) => rest.split_once(':').unwrap_or((rest, "")),
            (None, rest) => rest?.split_once(':')?,
        };
        Some(Self::read(name, kind, path, adds))
    }

    fn read(name: &str, kind: &str, path: &str, adds: bool) -> Result<Self, SumError> {
        if name.len() > NAME {
            return Err(SumError::Long);
        }
        let (resource, group) = kind.split_once('.').unwrap_or((kind, ""));
        if kind.ends_with('.') || !names::is_kind(resource, group) {
            return Err(SumError::Kind(kind.to_owned()));
        }
        if names::is_ignored(group, resource) {
            return Err(SumError::Ignored);
        }
        if path.is_empty() {
            return Err(SumError::NoPath);
        }
        bounded(path)?;
        let parsed = JsonPath::parse(path)
            .map_err(|error| SumError::Path { path: path.to_owned(), reason: error.to_string() })?;
        // It finds something in an object that has nothing but a status.
        let reported = json!({"status": 1});
        let leads = ["$.status", "$['status']", "$[\"status\"]"];
        if leads.iter().any(|lead| path.starts_with(lead)) || !parsed.query(&reported).is_empty() {
            return Err(SumError::Status);
        }
        let kind = GroupResource::new(group, resource);
        Ok(Self { resource_name: name.to_owned(), kind, path: parsed, adds })
    }

    /// Its resource name.
    pub fn resource_name(&self) -> &str {
        &self.resource_name
    }

    /// The kind of object that it is about.
    pub const fn kind(&self) -> &GroupResource {
        &self.kind
    }

    /// What one object has of it, in billionths. What the path does not find counts nothing.
    ///
    /// # Errors
    ///
    /// If a value that is added is neither a number nor a quantity, or is negative.
    pub fn of(&self, object: &Value) -> Result<i128, MeasureError> {
        let found = self.path.query(object);
        if !self.adds {
            return Ok(number::whole(u64::try_from(found.len()).unwrap_or(u64::MAX)));
        }
        found.iter().try_fold(0_i128, |sum, value| {
            let amount = amount(value)
                .map_err(|reason| MeasureError::Sum { sum: self.resource_name.clone(), reason })?;
            Ok(sum.saturating_add(amount))
        })
    }
}

/// What these sums say of one object of their kind. It is read only where there are some.
///
/// # Errors
///
/// If the object is no JSON, or one of the sums finds what is no amount.
pub fn add_up<'a>(sums: impl IntoIterator<Item = &'a Sum>, object: &[u8]) -> Result<Amounts, MeasureError> {
    let mut sums = sums.into_iter().peekable();
    if sums.peek().is_none() {
        return Ok(Amounts::new());
    }
    let object: Value = json::read(object)?;
    sums.map(|sum| Ok((Cow::Owned(sum.resource_name.clone()), sum.of(&object)?))).collect()
}

/// What the sums say of so many replicas alone: of a request to the subresource `scale`, whose object has nothing else of
/// the one it changes.
///
/// # Errors
///
/// If the object is no JSON, or its replicas are no amount.
pub fn add_up_scale<'a>(
    sums: impl IntoIterator<Item = &'a Sum>,
    object: &[u8],
) -> Result<Amounts, MeasureError> {
    let scale: Value = json::read(object)?;
    let replicas = scale.pointer("/spec/replicas").cloned().unwrap_or_else(|| json!(0));
    let scaled = json!({"spec": {"replicas": replicas}});
    let amounts = sums.into_iter().map(|sum| Ok((Cow::Owned(sum.resource_name.clone()), sum.of(&scaled)?)));
    amounts.collect()
}

/// Refuses what could take long by mistake: to go to every depth twice takes the square of the object's size.
fn bounded(path: &str) -> Result<(), SumError> {
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
        Sum::named(&format!("sum/clusters.example.com:{path}")).unwrap().unwrap()
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
            assert_eq!(error.to_string(), format!("`sum/clusters.example.com:$.size`: {reason}"));
        }
    }

    #[test]
    fn sums_saturate() {
        let cluster = json!({"a": [1e300, "1e300", 1, u64::MAX]});
        assert_eq!(sum("$.a[*]").of(&cluster), Ok(i128::MAX));
    }

    #[test]
    fn what_is_found_is_counted_where_a_count_is_asked() {
        let pools = Sum::named("count/clusters.example.com:$.spec.pools[?@.gpu]").unwrap().unwrap();
        let cluster = json!({"spec": {"pools": [{"gpu": "a"}, {}, {"gpu": null}]}});
        assert_eq!(pools.of(&cluster), Ok(2 * ONE));
        assert_eq!(pools.of(&json!({})), Ok(0));
    }

    #[test]
    fn the_name_says_all() {
        let size = sum("$.size");
        let name = "sum/clusters.example.com:$.size";
        assert_eq!((size.resource_name(), size.kind().to_string()), (name, "clusters.example.com".into()));
        let one = add_up([&size], br#"{"size": 1}"#).unwrap();
        assert_eq!(one, Amounts::from([(Cow::Borrowed(name), ONE)]));
        assert_eq!(add_up([], b"never read"), Ok(Amounts::new()));
        assert!(matches!(add_up([&size], b"{"), Err(MeasureError::Json(_))));
        let core = Sum::named("sum/services:$.spec.ports[*].port").unwrap().unwrap();
        assert_eq!(core.kind(), &GroupResource::new("", "services"));
        for name in ["count/jobs.batch", "pods", "requests.cpu", "a:b"] {
            assert!(Sum::named(name).is_none(), "{name}");
        }
    }

    #[test]
    fn of_a_scale_only_the_replicas_are_known() {
        let scale = br#"{"metadata": {"name": "web"}, "spec": {"replicas": 4}, "status": {"replicas": 9}}"#;
        let all = |path: &str| add_up_scale(&[sum(path)], scale).map(|all| all.into_values().sum::<i128>());
        assert_eq!(all("$.spec.replicas"), Ok(4 * ONE));
        assert_eq!(all("$.spec.template.cpu"), Ok(0));
        assert_eq!(add_up_scale(&[sum("$.spec.replicas")], b"{}").unwrap().into_values().sum::<i128>(), 0);
        assert!(add_up_scale(&[sum("$.spec.replicas")], b"?").is_err());
    }

    #[test]
    fn bad_definitions_are_refused() {
        let new = |kind: &str, path: &str| Sum::named(&format!("sum/{kind}:{path}")).unwrap().map(|_| ());
        for kind in ["", "-a", "Pods", "a/b", "é", "jobs.", ".batch", "jobs.Batch", "a b"] {
            assert_eq!(new(kind, "$"), Err(SumError::Kind(kind.to_owned())));
        }
        assert_eq!(new("events", "$.count"), Err(SumError::Ignored));
        assert_eq!(new("a", &"$".repeat(313)), Err(SumError::Long));
        for path in ["spec", "$.spec[", "$.a..", "$[?match(@.a, 'b')]", "$[?search(@.a, 'b')]"] {
            assert!(matches!(new("pods", path), Err(SumError::Path { .. })), "{path}");
        }
        assert_eq!(Sum::named("sum/pods").unwrap().map(|_| ()), Err(SumError::NoPath));
        assert_eq!(new("pods", ""), Err(SumError::NoPath));
        for path in ["$.status", "$.status.size", "$['status'].size", "$.*", "$..*", "$[?@ > 0]"] {
            assert_eq!(new("pods", path), Err(SumError::Status), "{path}");
        }
        for path in ["$..a..b".to_owned(), format!("$[?{}@.a{}]", "(".repeat(8), ")".repeat(8))] {
            assert!(matches!(new("pods", &path), Err(SumError::Bound(_))), "{path}");
        }
    }
}
