use model::Record;
use serde::Deserialize;

/// The most records of one answer.
const MOST: u32 = 500;
/// The most records that the start of an id finds, in all replicas together.
const CANDIDATES: usize = 10;

/// What is asked of a tenant's decisions.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Question {
    /// Only the one with this id, or one that begins so.
    pub(super) id: Option<String>,
    /// Only refusals.
    pub(super) denied: bool,
    /// Only this namespace.
    pub(super) namespace: Option<String>,
    /// Only this user.
    pub(super) user: Option<String>,
    /// The most records; see [`Question::limit`].
    pub(super) limit: u32,
    /// What the API server's clients add.
    #[serde(rename = "timeout")]
    pub(super) _timeout: Option<String>,
}

impl Default for Question {
    fn default() -> Self {
        Self { id: None, denied: false, namespace: None, user: None, limit: 50, _timeout: None }
    }
}

impl Question {
    /// The most records of an answer that is no look-up by id.
    pub(super) fn limit(&self) -> u32 {
        self.limit.min(MOST)
    }

    /// The most records of an answer.
    pub(super) fn most(&self) -> usize {
        match self.id {
            Some(_) => CANDIDATES,
            None => usize::try_from(self.limit()).unwrap_or(0),
        }
    }

    /// The same question as pairs of a URL.
    pub(super) fn pairs(&self) -> Vec<(&'static str, String)> {
        let texts = [("id", &self.id), ("namespace", &self.namespace), ("user", &self.user)];
        let texts = texts.into_iter().filter_map(|(name, value)| Some((name, value.clone()?)));
        let rest = [("denied", self.denied.to_string()), ("limit", self.limit().to_string())];
        texts.chain(rest).collect()
    }

    /// Whether a record is one that was asked for.
    pub(super) fn asks_for(&self, tenant: &str, record: &Record) -> bool {
        if record.tenant.as_deref() != Some(tenant) {
            return false;
        }
        // A look-up by id knows no other conditions.
        if let Some(id) = &self.id {
            return record.id.starts_with(&id.trim().to_ascii_lowercase());
        }
        let fits = |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|text| text == found);
        !(self.denied && record.allowed)
            && fits(&self.namespace, &record.namespace)
            && fits(&self.user, &record.username)
    }
}
