use model::Observation;
use serde_json::Value;

/// What an engine says of one request.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Answer {
    /// The faults found; empty when the request is fine.
    pub observations: Vec<Observation>,
    /// How the object should change; only asked of mutating policies.
    pub mutation: Option<Mutation>,
}

/// How a policy wants the object changed.
#[derive(Debug, Clone, PartialEq)]
pub enum Mutation {
    /// JSON Patch operations (RFC 6902), relative to the object.
    Patch(Vec<Value>),
    /// The whole changed object.
    Object(Value),
}
