//! What was decided on requests of a tenant, read through the API server.

use model::Record;
use serde::Deserialize;
use serde_json::Value;

use super::fault::Fault;
use super::session::Session;

/// Where the decisions of tenants are served.
const PATH: &str = "/apis/decisions.bailey.dev/v1alpha1/decisions";

/// Which decisions are wanted: every part that is set must fit.
#[derive(Debug, Clone, Default)]
pub struct DecisionFilter {
    /// Only the one with this id, or one that begins so.
    pub id: Option<String>,
    /// Only refusals.
    pub denied: bool,
    /// Only this namespace.
    pub namespace: Option<String>,
    /// Only this user.
    pub user: Option<String>,
    /// The most of them, up to 500; 50 where not given.
    pub limit: Option<u32>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Decisions {
    /// The decisions, the oldest first.
    pub records: Vec<Record>,
    /// What to tell the user where decisions are missing, as a replica of Bailey did not answer.
    pub warning: Option<String>,
}

#[derive(Deserialize)]
struct Answer {
    metadata: Metadata,
    items: Vec<Value>,
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(default)]
    warning: Option<String>,
}

impl Session {
    /// The decisions of a tenant, as far as replicas of Bailey answered.
    ///
    /// # Errors
    /// When the user may not read them, there is none with the id, or the cluster does not serve them.
    pub async fn decisions(&self, tenant: &str, filter: &DecisionFilter) -> Result<Decisions, Fault> {
        let path = format!("{PATH}/{tenant}?{}", filter.query());
        let request = http::Request::get(path).body(Vec::new());
        let request =
            request.map_err(|error| Fault::Usage(format!("`{tenant}` names no tenant: {error}")))?;
        let answer: Answer = self.client.request(request).await.map_err(|error| self.not_served(&error))?;
        let records = answer.items.into_iter().map(record).collect::<Result<_, _>>();
        let records =
            records.map_err(|error| Fault::Failed(format!("a decision cannot be read: {error}")))?;
        Ok(Decisions { records, warning: answer.metadata.warning })
    }

    fn not_served(&self, error: &kube::Error) -> Fault {
        match error {
            kube::Error::Api(status)
                if status.code == 503 || status.message.contains("could not find the requested") =>
            {
                let text =
                    "this cluster does not serve the decisions of tenants: ask an administrator, with the id";
                Fault::NotFound(text.to_owned())
            }
            kube::Error::Api(status) if status.code == 404 => Fault::NotFound(status.message.clone()),
            error => self.fault(error),
        }
    }
}

impl DecisionFilter {
    fn query(&self) -> String {
        let mut parts = Vec::new();
        let mut add = |name: &str, value: &str| parts.push(format!("{name}={}", escaped(value)));
        for (name, value) in [("id", &self.id), ("namespace", &self.namespace), ("user", &self.user)] {
            value.iter().for_each(|value| add(name, value));
        }
        if self.denied {
            add("denied", "true");
        }
        if let Some(limit) = self.limit {
            add("limit", &limit.to_string());
        }
        parts.join("&")
    }
}

/// A value as a query may have it.
fn escaped(value: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let each = value.bytes().map(|byte| match plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    });
    each.collect()
}

/// A record; the groups of whoever asked are left out of it.
fn record(mut value: Value) -> Result<Record, serde_json::Error> {
    if let Some(members) = value.as_object_mut() {
        members.entry("groups").or_insert_with(|| Value::Array(Vec::new()));
    }
    serde_json::from_value(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_read_where_there_is_one() {
        let of = |metadata: Value| {
            let answer = serde_json::json!({"metadata": metadata, "items": []});
            serde_json::from_value::<Answer>(answer).unwrap().metadata.warning
        };
        assert_eq!(of(serde_json::json!({"name": "physics"})), None);
        assert_eq!(
            of(serde_json::json!({"incomplete": true, "warning": "one is missing"})),
            Some("one is missing".into())
        );
    }

    #[test]
    fn what_is_asked_cannot_leave_its_place() {
        let filter = DecisionFilter {
            id: Some("a&denied=false".to_owned()),
            denied: true,
            user: Some("system:serviceaccount:a:b".to_owned()),
            limit: Some(7),
            namespace: None,
        };
        assert_eq!(
            filter.query(),
            "id=a%26denied%3Dfalse&user=system%3Aserviceaccount%3Aa%3Ab&denied=true&limit=7"
        );
    }
}
