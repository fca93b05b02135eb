//! What is kept of budgets: how every limit stood, from time to time.

/// Which limit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LimitName {
    /// Whose: a tenant, or `cohort:` and a cohort.
    pub tenant: String,
    /// The band; empty for the budget over all bands.
    pub band: String,
    /// The resource name.
    pub resource: String,
}

/// How a limit stood at a moment.
#[derive(Debug, Clone, PartialEq)]
pub struct UsageRow {
    /// When, in seconds since 1970. Of several rows of one limit and moment the first is kept.
    pub at: i64,
    /// Which limit.
    pub limit: LimitName,
    /// What was used, in units of the resource.
    pub used: f64,
    /// The most that may be used, in the same units.
    pub bound: f64,
}

impl UsageRow {
    /// Whether both amounts are numbers: others cannot be stored.
    pub(crate) fn is_sound(&self) -> bool {
        self.used.is_finite() && self.bound.is_finite()
    }
}

/// How a limit stood at a moment, read back.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UsagePoint {
    /// When, in seconds since 1970.
    pub at: i64,
    /// What was used, in units of the resource.
    pub used: f64,
    /// The most that could be used then.
    pub bound: f64,
}
