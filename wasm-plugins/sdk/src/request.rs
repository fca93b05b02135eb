use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

/// The request under review; what is not here can be read with [`Request::object`].
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// The request's id.
    #[serde(default)]
    pub uid: String,
    /// The object's kind.
    #[serde(default)]
    pub kind: Kind,
    /// The object's name; empty where the server makes one.
    #[serde(default)]
    pub name: String,
    /// The namespace; empty for cluster-scoped objects.
    #[serde(default)]
    pub namespace: String,
    /// `CREATE`, `UPDATE`, `DELETE` or `CONNECT`.
    #[serde(default)]
    pub operation: String,
    #[serde(default)]
    object: Option<Box<RawValue>>,
    #[serde(default)]
    old_object: Option<Box<RawValue>>,
}

/// A group, version and kind.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
pub struct Kind {
    /// The API group; empty for the core group.
    #[serde(default)]
    pub group: String,
    /// The version.
    #[serde(default)]
    pub version: String,
    /// The kind.
    #[serde(default)]
    pub kind: String,
}

impl Request {
    /// Reads a request from its JSON text.
    ///
    /// # Errors
    /// When it is not an AdmissionRequest.
    pub fn parse(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| format!("the request cannot be read: {error}"))
    }

    /// The object, read into a type that has the fields the policy looks at.
    ///
    /// # Errors
    /// When there is none, as on `DELETE`, or it has another shape.
    pub fn object<T: DeserializeOwned>(&self) -> Result<T, String> {
        read("object", self.object.as_deref())
    }

    /// The object before an update or delete.
    ///
    /// # Errors
    /// When there is none, as on `CREATE`, or it has another shape.
    pub fn old_object<T: DeserializeOwned>(&self) -> Result<T, String> {
        read("old object", self.old_object.as_deref())
    }

    /// Whether there is an object.
    pub fn has_object(&self) -> bool {
        self.object.as_ref().is_some_and(|object| object.get() != "null")
    }
}

fn read<T: DeserializeOwned>(what: &str, text: Option<&RawValue>) -> Result<T, String> {
    let text = text.ok_or_else(|| format!("the request has no {what}"))?;
    serde_json::from_str(text.get()).map_err(|error| format!("the {what} has an unexpected shape: {error}"))
}
