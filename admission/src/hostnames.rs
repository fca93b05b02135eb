//! The stage of host names: those that are new to a tenant are claimed before the request passes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use model::{Code, HostnameAsk, HostnameFault};

use crate::guard::{Wall, taken};

/// Takes the claims of a request back that was refused after all.
pub type GiveBack = BoxFuture<'static, ()>;

/// Claims host names where all replicas see it, and says how to take that back.
pub type HostnameClaims =
    Arc<dyn Fn(HostnameAsk) -> BoxFuture<'static, Result<GiveBack, HostnameFault>> + Send + Sync>;

/// How long before a request's deadline its answer has to be known.
const MARGIN: Duration = Duration::from_millis(200);

/// Claims what is asked for, within the request's time. What was claimed for one that took too long goes later.
///
/// # Errors
/// A name is another tenant's, or that cannot be known.
pub(crate) async fn claim(
    claims: &HostnameClaims,
    ask: HostnameAsk,
    deadline: Instant,
) -> Result<GiveBack, Wall> {
    let latest = deadline.checked_sub(MARGIN).unwrap_or(deadline);
    match tokio::time::timeout_at(latest.into(), claims(ask)).await {
        Ok(Ok(give_back)) => Ok(give_back),
        Ok(Err(HostnameFault::Taken(name))) => Err(taken(&name)),
        Ok(Err(HostnameFault::Unavailable(why))) => Err(unavailable(&why)),
        Err(_) => Err(unavailable("the API server did not answer in time")),
    }
}

fn unavailable(why: &str) -> Wall {
    let message =
        format!("whether the host names are free is not known now, the same request may pass soon: {why}");
    Wall { rule: "", code: Code::HostnameUnavailable, message }
}
