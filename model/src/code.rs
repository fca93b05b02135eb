use std::fmt;

/// The stable code of a refusal or failure: a closed list, used in messages, metrics and records.
///
/// A code never changes its meaning; new ones are added at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Code {
    /// The body is not JSON, or not a whole AdmissionReview.
    ReviewMalformed,
    /// The body is larger than the configured limit.
    ReviewTooLarge,
    /// The JSON nests deeper than [`crate::MAX_DEPTH`].
    ReviewTooDeep,
    /// The review is of a version other than `admission.k8s.io/v1`.
    ReviewVersion,
    /// The object or a rule of the review is of a kind that does not fit.
    ReviewKind,
    /// The deadline passed, or too little of it was left.
    DeadlineExceeded,
    /// All evaluation threads are busy and their queue is full.
    Overloaded,
    /// A policy refused the request.
    PolicyDenied,
    /// A binding names a policy that does not exist.
    PolicyMissing,
    /// A policy exists, but no version of it could be loaded.
    PolicyNotLoaded,
    /// A policy failed while it was evaluated.
    PolicyError,
    /// A policy used more time than its limit.
    PolicyTimeout,
    /// A policy used more memory, stack or table space than its limit.
    PolicyMemory,
    /// A policy returned more than its output limit.
    PolicyOutputTooLarge,
    /// A policy returned something that is not a result.
    PolicyOutputInvalid,
    /// A wasm guest trapped.
    PolicyTrapped,
    /// A guest asked for a host call that is not served.
    HostCallUnsupported,
    /// A policy looked up a kind that it did not declare or that is not cached.
    LookupUnavailable,
    /// A selector or other rule of a binding could not be evaluated.
    MatchError,
    /// Two policies set the same field to different values.
    MutationConflict,
    /// A policy changes its own result when it is run again.
    MutationNotIdempotent,
    /// A policy's patch does not apply to the object.
    MutationInvalid,
    /// A policy's source does not compile.
    PolicyInvalid,
    /// A binding is not valid.
    BindingInvalid,
    /// A binding's parameters do not fit the policy's schema.
    ParametersInvalid,
    /// A wasm module could not be read.
    ModuleUnavailable,
    /// A wasm module's digest is not the pinned one.
    ModuleDigestMismatch,
    /// The server is not ready or is shutting down.
    NotReady,
    /// The client's certificate is missing or not the API server's.
    ClientNotAllowed,
    /// A fault of Bailey's own.
    Internal,
    /// A wall around a tenant refused the request.
    TenantDenied,
    /// The user belongs to several tenants, and did not say for which of them they ask.
    TenantAmbiguous,
    /// The tenant has as many namespaces as it may have.
    NamespaceLimit,
    /// The tenant is suspended: it may not grow.
    TenantSuspended,
    /// The walls of the tenant's namespace do not stand yet.
    TenantNotReady,
    /// A budget of the tenant, or of one above it, would be passed.
    QuotaExceeded,
    /// What is left of a budget is not known now, or could not be taken in time.
    QuotaUnavailable,
    /// The object does not say how much it needs of something that is limited.
    QuotaUnspecified,
    /// A budget is not valid.
    QuotaInvalid,
    /// Whether a host name is free could not be found out in time.
    HostnameUnavailable,
    /// The gateway was asked something that is no ordinary request of Kubernetes' API.
    GatewayRequest,
    /// A request's body is larger than the gateway lets through.
    GatewayTooLarge,
    /// A client of the gateway wants to act as somebody else.
    GatewayImpersonation,
    /// A client of the gateway does not prove who it is.
    GatewayUnauthenticated,
    /// A client of the gateway is somebody as whom it does not act.
    GatewayIdentity,
    /// A client of the gateway belongs to no tenant.
    GatewayTenant,
    /// The tenant or the user sent more requests than its rate allows.
    GatewayRate,
    /// The tenant has as many requests under way as it may have.
    GatewayBusy,
    /// The tenant has as many watches or streams open as it may have.
    GatewayWatches,
    /// A list asks for more at once than it may.
    GatewayPage,
    /// A client of the gateway watches more than one namespace.
    GatewayScope,
    /// What a client of the gateway may see has changed since the version that it names.
    GatewayExpired,
    /// The API server did not answer the gateway.
    GatewayUnavailable,
    /// A fairness class is not valid.
    FairnessInvalid,
    /// A tenant changes things more often than it may.
    RateLimited,
    /// Requests of the tenant wait at the gateway for others of its own.
    GatewayQueue,
    /// Requests of all tenants wait at the gateway, and there is no turn for this one.
    GatewayFull,
}

impl Code {
    /// Every code, in the order of declaration.
    pub const ALL: &[Self] = &[
        Self::ReviewMalformed,
        Self::ReviewTooLarge,
        Self::ReviewTooDeep,
        Self::ReviewVersion,
        Self::ReviewKind,
        Self::DeadlineExceeded,
        Self::Overloaded,
        Self::PolicyDenied,
        Self::PolicyMissing,
        Self::PolicyNotLoaded,
        Self::PolicyError,
        Self::PolicyTimeout,
        Self::PolicyMemory,
        Self::PolicyOutputTooLarge,
        Self::PolicyOutputInvalid,
        Self::PolicyTrapped,
        Self::HostCallUnsupported,
        Self::LookupUnavailable,
        Self::MatchError,
        Self::MutationConflict,
        Self::MutationNotIdempotent,
        Self::MutationInvalid,
        Self::PolicyInvalid,
        Self::BindingInvalid,
        Self::ParametersInvalid,
        Self::ModuleUnavailable,
        Self::ModuleDigestMismatch,
        Self::NotReady,
        Self::ClientNotAllowed,
        Self::Internal,
        Self::TenantDenied,
        Self::TenantAmbiguous,
        Self::NamespaceLimit,
        Self::TenantSuspended,
        Self::TenantNotReady,
        Self::QuotaExceeded,
        Self::QuotaUnavailable,
        Self::QuotaUnspecified,
        Self::QuotaInvalid,
        Self::HostnameUnavailable,
        Self::GatewayRequest,
        Self::GatewayTooLarge,
        Self::GatewayImpersonation,
        Self::GatewayUnauthenticated,
        Self::GatewayIdentity,
        Self::GatewayTenant,
        Self::GatewayRate,
        Self::GatewayBusy,
        Self::GatewayWatches,
        Self::GatewayPage,
        Self::GatewayScope,
        Self::GatewayExpired,
        Self::GatewayUnavailable,
        Self::FairnessInvalid,
        Self::RateLimited,
        Self::GatewayQueue,
        Self::GatewayFull,
    ];

    /// The code as it is shown and counted.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReviewMalformed => "review_malformed",
            Self::ReviewTooLarge => "review_too_large",
            Self::ReviewTooDeep => "review_too_deep",
            Self::ReviewVersion => "review_version",
            Self::ReviewKind => "review_kind",
            Self::DeadlineExceeded => "deadline_exceeded",
            Self::Overloaded => "overloaded",
            Self::PolicyDenied => "policy_denied",
            Self::PolicyMissing => "policy_missing",
            Self::PolicyNotLoaded => "policy_not_loaded",
            Self::PolicyError => "policy_error",
            Self::PolicyTimeout => "policy_timeout",
            Self::PolicyMemory => "policy_memory",
            Self::PolicyOutputTooLarge => "policy_output_too_large",
            Self::PolicyOutputInvalid => "policy_output_invalid",
            Self::PolicyTrapped => "policy_trapped",
            Self::HostCallUnsupported => "host_call_unsupported",
            Self::LookupUnavailable => "lookup_unavailable",
            Self::MatchError => "match_error",
            Self::MutationConflict => "mutation_conflict",
            Self::MutationNotIdempotent => "mutation_not_idempotent",
            Self::MutationInvalid => "mutation_invalid",
            Self::PolicyInvalid => "policy_invalid",
            Self::BindingInvalid => "binding_invalid",
            Self::ParametersInvalid => "parameters_invalid",
            Self::ModuleUnavailable => "module_unavailable",
            Self::ModuleDigestMismatch => "module_digest_mismatch",
            Self::NotReady => "not_ready",
            Self::ClientNotAllowed => "client_not_allowed",
            Self::Internal => "internal",
            Self::TenantDenied => "tenant_denied",
            Self::TenantAmbiguous => "tenant_ambiguous",
            Self::NamespaceLimit => "namespace_limit",
            Self::TenantSuspended => "tenant_suspended",
            Self::TenantNotReady => "tenant_not_ready",
            Self::QuotaExceeded => "quota_exceeded",
            Self::QuotaUnavailable => "quota_unavailable",
            Self::QuotaUnspecified => "quota_unspecified",
            Self::QuotaInvalid => "quota_invalid",
            Self::HostnameUnavailable => "hostname_unavailable",
            Self::GatewayRequest => "gateway_request",
            Self::GatewayTooLarge => "gateway_too_large",
            Self::GatewayImpersonation => "gateway_impersonation",
            Self::GatewayUnauthenticated => "gateway_unauthenticated",
            Self::GatewayIdentity => "gateway_identity",
            Self::GatewayTenant => "gateway_tenant",
            Self::GatewayRate => "gateway_rate",
            Self::GatewayBusy => "gateway_busy",
            Self::GatewayWatches => "gateway_watches",
            Self::GatewayPage => "gateway_page",
            Self::GatewayScope => "gateway_scope",
            Self::GatewayExpired => "gateway_expired",
            Self::GatewayUnavailable => "gateway_unavailable",
            Self::FairnessInvalid => "fairness_invalid",
            Self::RateLimited => "rate_limited",
            Self::GatewayQueue => "gateway_queue",
            Self::GatewayFull => "gateway_full",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_text_of_its_own() {
        let texts: std::collections::BTreeSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(texts.len(), Code::ALL.len());
        assert_eq!(Code::ALL.last(), Some(&Code::GatewayFull), "a new code belongs in ALL");
    }
}
