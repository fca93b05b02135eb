//! The nouns of Bailey: the request under review, the policies and bindings that concern it, what an
//! engine found, what was decided and what is kept of it.
//!
//! Comes in: bytes and plain values from the edges. Goes out: values every other crate shares. It does
//! no I/O, reads no clock, holds no lock, and knows no engine.
//!
//! - [`Request`]: one admission request, decoded once by [`decode_review`].
//! - [`Policy`], [`PolicyBinding`]: what is asked, of which requests, and how strictly.
//! - [`Finding`], [`Failure`]: what an engine reports.
//! - [`Exception`], [`Exceptions`]: which findings refuse nothing, for a time.
//! - [`Tenant`], [`TenantIndex`]: who shares the cluster, and whose each namespace is.
//! - [`Decision`], [`Record`]: what was answered, and what is remembered.

#![forbid(unsafe_code)]

mod amount;
mod code;
mod decision;
mod exception;
mod finding;
mod glob;
mod loaded;
mod object;
mod policy;
mod quantity;
mod record;
mod request;
mod review;
mod selector;
mod subject;
mod tenant;

pub use amount::{Amount, is_bytes};
pub use code::Code;
pub use decision::{Decision, StageTimes, Verdict};
pub use exception::{EXCEPTION_DAYS, Exception, Exceptions, KindPattern};
pub use finding::{Failure, Finding, Observation};
pub use glob::Globs;
pub use loaded::{LoadFault, Loaded, Position, Sources};
pub use object::{ObjectEvent, ObjectKey, StoredObject};
pub use policy::{
    Digest, Enforcement, FailurePolicy, LookupKind, MatchRules, Policy, PolicyBinding, PolicyLimits,
    RegoModule, RegoVersion, ResourceRule, Scope, Source, Subjects, WasmInterface,
};
pub use quantity::quantity;
pub use record::{PolicyUse, Record};
pub use request::{GroupVersionKind, GroupVersionResource, ObjectMeta, Operation, Request, UserInfo};
pub use review::{MAX_DEPTH, ReviewError, decode_review};
pub use selector::{LabelSelector, Requirement, SelectorOperator};
pub use subject::SubjectFault;
pub use tenant::{
    Band, Budget, ClassKind, ClassRule, ConnectRules, Contents, Enforced, Holder, Holdings, HostRules,
    HostnameAsk, HostnameFault, ImageRules, Isolation, MANAGED_LABEL, Member, MetadataRules,
    NAMESPACE_NAME_LABEL, NamespaceRules, NamespaceState, Network, POD_SECURITY_LABELS, ResourceRules, Rules,
    SchedulingRules, ServiceRules, Subject, TENANT_FINALIZER, TENANT_LABEL, Tenant, TenantFault, TenantIndex,
    TenantRole, WALLS_LABEL, WALLS_STANDING, covers, hosts, wildcards_above,
};
