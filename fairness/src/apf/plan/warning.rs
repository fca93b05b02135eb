//! What somebody should look at.

use std::fmt;

/// What somebody should look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warning {
    /// A tenant names a class that is not there, and is in the default one.
    UnknownClass {
        /// The tenant.
        tenant: String,
        /// The class.
        class: String,
    },
    /// A tenant names a subject that stands for the cluster's own or for everybody; it is left out.
    ReservedSubject {
        /// The tenant.
        tenant: String,
        /// The subject's name.
        subject: String,
    },
    /// A tenant names a service account that cannot be; it is left out.
    InvalidAccount {
        /// The tenant.
        tenant: String,
        /// The account's namespace and name.
        account: String,
    },
    /// A tenant has more subjects than one FlowSchema holds, so it has several flows.
    Split {
        /// The tenant.
        tenant: String,
        /// How many parts.
        parts: usize,
    },
    /// A tenant is one flow with others, since there are too many of several namespaces.
    Pooled {
        /// The tenant.
        tenant: String,
    },
    /// Tenants whose subjects would be too many are told apart by namespace alone.
    Open {
        /// How many.
        tenants: usize,
    },
    /// Nobody is named as Bailey itself: its requests wait among the tenants'.
    NoOwnSubject,
    /// One flow of widest requests can hold every seat of a level (kubernetes#115409).
    Narrow {
        /// The level.
        level: String,
        /// Its nominal seats.
        nominal: u32,
        /// The hand times the seats of the widest list.
        held: u32,
    },
    /// The tenants' levels leave another one less than half of what it had.
    Starved {
        /// The level.
        level: String,
        /// Its nominal seats without the tenants' levels.
        before: u32,
        /// With them.
        after: u32,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownClass { tenant, class } => {
                write!(
                    f,
                    "tenant `{tenant}` names class `{class}`, which is not there: it is in the default one"
                )
            }
            Self::ReservedSubject { tenant, subject } => {
                write!(f, "tenant `{tenant}` names `{subject}`, which is not a tenant's: it is left out")
            }
            Self::InvalidAccount { tenant, account } => {
                write!(
                    f,
                    "tenant `{tenant}` names the service account `{account}`, which cannot be: it is left out"
                )
            }
            Self::Split { tenant, parts } => {
                write!(
                    f,
                    "tenant `{tenant}` has so many subjects that it is {parts} flows: name a group instead"
                )
            }
            Self::Pooled { tenant } => {
                write!(
                    f,
                    "tenant `{tenant}` is one flow with others: there are too many tenants of several namespaces"
                )
            }
            Self::Open { tenants } => write!(
                f,
                "{tenants} tenants are told apart by namespace only, since all subjects were too many: name groups, not users"
            ),
            Self::NoOwnSubject => {
                f.write_str("nobody is named as Bailey: its requests wait among the tenants'")
            }
            Self::Narrow { level, nominal, held } => write!(
                f,
                "wide lists of one flow can hold {held} seats, all {nominal} of level `{level}`: give it more shares"
            ),
            Self::Starved { level, before, after } => {
                write!(f, "level `{level}` has {after} seats instead of {before}: give tenants fewer shares")
            }
        }
    }
}
