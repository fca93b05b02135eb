//! The query of a list or watch that is asked in a narrower form: each parameter is known, and is there once.

use form_urlencoded::Serializer;
use http::Uri;
use model::{Code, TENANT_LABEL};

use crate::refusal::Refusal;

/// What a list or watch takes. Others do not pass: what they would mean to the narrowed one is not known.
const KNOWN: [&str; 13] = [
    "allowWatchBookmarks",
    "continue",
    "fieldSelector",
    "includeObject",
    "labelSelector",
    "limit",
    "pretty",
    "resourceVersion",
    "resourceVersionMatch",
    "sendInitialEvents",
    "timeout",
    "timeoutSeconds",
    "watch",
];

/// The parameters of a list or watch, each once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads the query of a target.
    ///
    /// # Errors
    /// [`Code::GatewayRequest`] for a parameter that is none of a list or watch, or is there more than once.
    pub(super) fn read(uri: &Uri) -> Result<Self, Refusal> {
        let mut read: Vec<(String, String)> = Vec::new();
        for (name, value) in form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
            if !KNOWN.contains(&name.as_ref()) {
                let message = format!(
                    "the query has {name:?}, which no list or watch of more than one namespace takes; these pass: {}",
                    KNOWN.join(", ")
                );
                return Err(Refusal::new(Code::GatewayRequest, message));
            }
            if read.iter().any(|(known, _)| *known == name) {
                let message = format!("the query has `{name}` more than once");
                return Err(Refusal::new(Code::GatewayRequest, message));
            }
            read.push((name.into_owned(), value.into_owned()));
        }
        Ok(Self(read))
    }

    /// The value of a parameter; `None` where it is empty too.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// Sets a parameter, or takes it away.
    pub(super) fn set(&mut self, name: &str, value: Option<&str>) {
        self.0.retain(|(known, _)| known != name);
        self.0.extend(value.map(|value| (name.to_owned(), value.to_owned())));
    }

    /// Narrows it to the namespaces of these tenants.
    ///
    /// INVARIANT: all requirements of a label selector hold together, and ours stands before anything of the client's, so
    /// that it is read as it is whatever comes behind it.
    pub(super) fn within(&mut self, tenants: &[String]) {
        let ours = format!("{TENANT_LABEL} in ({})", tenants.join(","));
        let asked = self.get("labelSelector").map(str::trim).filter(|asked| !asked.is_empty());
        let selector = match asked {
            Some(asked) => format!("{ours},{asked}"),
            None => ours,
        };
        self.set("labelSelector", Some(&selector));
    }

    /// The version that a watch goes on from; `None` where it begins with what there is.
    ///
    /// # Errors
    /// [`Code::GatewayRequest`] where it is no number.
    pub(super) fn goes_on_from(&self) -> Result<Option<u64>, Refusal> {
        let initial = self.get("sendInitialEvents").is_some_and(|value| value != "false" && value != "0");
        let version = self.get("resourceVersion").filter(|version| *version != "0" && !initial);
        let number = |version: &str| {
            version.parse().map_err(|_| {
                let message =
                    format!("`resourceVersion` is {version:?}, which no list ever gave: it is a number");
                Refusal::new(Code::GatewayRequest, message)
            })
        };
        version.map(number).transpose()
    }

    /// The target with this query.
    pub(super) fn target(&self, path: &str) -> Uri {
        let mut query = Serializer::new(String::new());
        let query = query.extend_pairs(&self.0).finish();
        // INVARIANT: the path is one that was read, and the query is encoded.
        Uri::try_from(format!("{path}?{query}")).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<Query, Refusal> {
        Query::read(&format!("/api/v1/namespaces?{query}").parse().unwrap())
    }

    fn within(query: &str) -> String {
        let mut query = read(query).unwrap();
        query.within(&["a".to_owned(), "b".to_owned()]);
        query.get("labelSelector").unwrap().to_owned()
    }

    #[test]
    fn ours_stands_first_in_every_selector() {
        let ours = "bailey.dev/tenant in (a,b)";
        assert_eq!([within(""), within("labelSelector=%20"), within("labelSelector=")], [ours; 3]);
        assert_eq!(within("labelSelector=x%3Dy"), format!("{ours},x=y"));
        assert_eq!(
            within("labelSelector=bailey.dev/tenant%20in%20(c)"),
            format!("{ours},bailey.dev/tenant in (c)")
        );
    }

    #[test]
    fn a_parameter_is_known_and_there_once() {
        for query in ["labelSelector=a&labelSelector=b", "labelselector=a", "x=y", "limit=1&limit=1"] {
            assert_eq!(read(query).unwrap_err().code, Code::GatewayRequest, "{query}");
        }
        let target = read("fieldSelector=a%26labelSelector%3Db&limit=5").unwrap().target("/api/v1/pods");
        assert_eq!(target, "/api/v1/pods?fieldSelector=a%26labelSelector%3Db&limit=5");
    }

    #[test]
    fn a_watch_goes_on_from_a_version_or_begins_anew() {
        let from = |query: &str| read(query).unwrap().goes_on_from();
        assert_eq!(from("resourceVersion=7"), Ok(Some(7)));
        for query in ["", "resourceVersion=", "resourceVersion=0", "resourceVersion=7&sendInitialEvents=true"]
        {
            assert_eq!(from(query), Ok(None), "{query}");
        }
        assert_eq!(from("resourceVersion=7&sendInitialEvents=false"), Ok(Some(7)));
        for version in ["x", "-1", "99999999999999999999"] {
            assert_eq!(from(&format!("resourceVersion={version}")).unwrap_err().code, Code::GatewayRequest);
        }
    }
}
