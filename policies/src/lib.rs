//! What is allowed: matching, compiling and evaluating policies.

mod answer;
mod error;
mod limits;
mod lookups;

pub use answer::{Answer, Mutation};
pub use error::EvaluationError;
pub use limits::Limits;
pub use lookups::Lookups;
