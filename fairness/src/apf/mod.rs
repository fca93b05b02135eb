//! API Priority and Fairness (APF): a model of what the API server does with its configuration.
//!
//! All numbers are of one API server: servers share nothing. The formulas are those of Kubernetes 1.34 (KEP-1040,
//! `apiserver/pkg/util/flowcontrol`); where an older server differs, an argument says so. A *seat* is room for one
//! request at a time; a wide request takes several.
//!
//! - [`seats`]: what each priority level gets ([`Seats`]) of a server.
//! - [`Demand`], [`adjust`]: how levels lend and borrow, every ten seconds.
//! - [`entropy_bits`], [`covered`]: how well shuffle sharding keeps flows apart.
//! - [`Width`], [`max_width`], [`list_width`]: how many seats a request takes.
//! - [`default_levels`], [`default_schemas`]: what every cluster has from the start.
//! - [`objects`]: its configuration as objects, and [`classify`]: which flow a request falls into.
//! - [`plan`](mod@plan): what Bailey writes for tenants.

mod adjust;
mod classify;
mod dealing;
mod defaults;
mod levels;
pub mod objects;
pub mod plan;
mod width;

pub use adjust::{ADJUSTMENT_SECONDS, AllocationFault, Demand, Item, Observation, Period, adjust, allocate};
pub use classify::{About, Flow, Request, classify};
pub use dealing::{MAX_ENTROPY_BITS, covered, entropy_bits};
pub use defaults::{DefaultSchema, Distinguisher, default_levels, default_schemas};
pub use levels::{DEFAULT_SERVER_SEATS, Kind, Level, Queuing, Seats, seats};
pub use width::{ListSize, ServerVersion, Width, list_width, list_width_by_count, max_width, mutating_width};
