//! What users and administrators do with tenants from a command line, with their own rights alone.
//!
//! A [`Session`] is a connection as the user of a kubeconfig. Comes in: plain values. Goes out: plain values that
//! can be written as JSON, or a [`Fault`] that says what was refused, by whom, and what would work. Nothing here
//! has rights of its own: what the API server does not let the user do is not done.

mod administration;
mod answers;
mod budgets;
mod check;
mod credentials;
mod decisions;
mod exceptions;
mod explain;
mod export;
mod fairness;
mod fault;
mod graph;
mod identity;
mod members;
mod namespaces;
mod quotas;
mod rates;
mod requests;
mod rights;
mod samples;
mod session;
mod tenants;
mod top;
mod uses;

pub use administration::{Adoption, NewTenant};
pub use answers::Answer;
pub use budgets::BudgetLine;
pub use check::{Checked, Verdict};
pub use credentials::TokenTerms;
pub use decisions::{DecisionFilter, Decisions};
pub use exceptions::{Asked, Decided, ExceptionSummary, NewException};
pub use explain::{Explained, Part};
pub use fault::{Fault, Refuser};
pub use graph::{Edge, Graph};
pub use identity::Whoami;
pub use members::{Change, MemberFault, MemberRole, change};
pub use namespaces::Created;
pub use quotas::{Limits, NamespaceLimits, QuotaLine, TenantUsage, Usage};
pub use rates::RateLine;
pub use requests::{NewRequest, RequestEntry, Requests};
pub use samples::UsageSample;
pub use session::{Connect, Session};
pub use tenants::{MemberEntry, TenantSummary};
pub use uses::{ClassUse, Uses};
