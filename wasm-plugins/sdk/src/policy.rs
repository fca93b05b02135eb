use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::Request;

/// A policy: functions of a request and of a binding's parameters. An error means that the policy could
/// not answer; the binding's failure policy then decides.
pub trait Policy {
    /// The binding's parameters. `()` takes none.
    type Settings: DeserializeOwned;

    /// The faults of a request; none admits it.
    ///
    /// # Errors
    /// When the policy cannot tell.
    fn validate(request: &Request, settings: &Self::Settings) -> Result<Vec<Finding>, String>;

    /// The change of the request's object; asked only of policies with `mutates: true`. Asked again of
    /// the changed object, it must have nothing to change.
    ///
    /// # Errors
    /// When the policy cannot tell.
    fn mutate(request: &Request, settings: &Self::Settings) -> Result<Option<Mutation>, String> {
        let _unused = (request, settings);
        Ok(None)
    }

    /// Refuses settings that have the right shape but make no sense.
    ///
    /// # Errors
    /// Says what is wrong with them and what would pass.
    fn validate_settings(settings: &Self::Settings) -> Result<(), String> {
        let _unused = settings;
        Ok(())
    }
}

/// One fault.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Finding {
    /// The message, unless the policy's catalogue has a text for the code.
    pub message: String,
    /// A key of the policy's message catalogue.
    pub code: String,
    /// The field at fault, such as `spec.containers[0].image`.
    pub path: String,
    /// Values for the catalogue's placeholders.
    pub details: Map<String, Value>,
    /// Whether this is only a warning, whatever the binding's enforcement.
    pub warn_only: bool,
}

impl Finding {
    /// A fault with this message.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::default() }
    }

    /// With a code.
    #[must_use]
    pub fn code(self, code: impl Into<String>) -> Self {
        Self { code: code.into(), ..self }
    }

    /// At this field.
    #[must_use]
    pub fn at(self, path: impl Into<String>) -> Self {
        Self { path: path.into(), ..self }
    }

    /// With a value for the message.
    #[must_use]
    pub fn detail(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.details.insert(name.into(), value.into());
        self
    }
}

/// How an object should change.
#[derive(Debug, Clone, PartialEq)]
pub enum Mutation {
    /// JSON Patch operations (RFC 6902), relative to the object.
    Patch(Vec<Value>),
    /// The whole changed object.
    Object(Value),
}
