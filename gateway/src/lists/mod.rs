//! Lists and watches of the whole cluster, narrowed to what the user belongs to.
//!
//! The API server is asked as the user first: whoever may see the whole gets it as it is. Where it says 403, a member of
//! tenants gets what is theirs.

mod classes;
mod everywhere;
mod floor;
mod kinds;
mod membership;
mod page;
mod position;
mod query;
mod turns;

use http::request::Parts;
use http::{Response, StatusCode};
use hyper::body::Incoming;
use model::Code;
use std::sync::Arc;
use tokio::sync::watch;

use crate::body::Body;
use crate::forward::{Asker, Forward};
use crate::limits::{Accounts, Place};
use crate::metrics::FilterLabels;
use crate::refusal::Refusal;
use crate::target::{Scope, Target, Verb};
use floor::Floor;
use kinds::Kinds;
use membership::Membership;
use query::Query;
use turns::Turns;

/// What makes narrowed lists and watches.
pub(crate) struct Lists {
    floor: Floor,
    kinds: Kinds,
    turns: Turns,
}

/// A list or watch of more than one namespace.
pub(crate) struct Asked<'a> {
    pub(crate) forward: &'a Forward<'a>,
    pub(crate) accounts: &'a Accounts,
    /// At whose cost.
    pub(crate) tenant: &'a str,
    pub(crate) parts: Parts,
    pub(crate) target: &'a Target,
    pub(crate) scope: Scope,
}

impl Asked<'_> {
    fn count(&self) {
        let scope = match self.scope {
            Scope::Namespaces => "namespaces",
            Scope::Everywhere => "everywhere",
            Scope::Classes(_) => "classes",
        };
        let verb = match self.target.verb {
            Verb::Watch => "watch",
            Verb::Get => "get",
            Verb::List | Verb::Write => "list",
        };
        self.forward.metrics.filtered.get_or_create(&FilterLabels { scope, verb }).inc();
    }
}

impl Lists {
    pub(crate) fn new(tenants: watch::Receiver<Arc<model::TenantIndex>>) -> Self {
        Self { floor: Floor::new(tenants), kinds: Kinds::new(), turns: Turns::default() }
    }

    /// Answers it; the place is held until the answer has ended.
    pub(crate) async fn answer(&self, asked: Asked<'_>, place: Place) -> Result<Response<Body>, Refusal> {
        let whole = asked.forward.ask(asked.parts.clone(), Asker::User).await?;
        if whole.status() != StatusCode::FORBIDDEN {
            return Ok(asked.forward.carry(whole, place));
        }
        match asked.scope {
            Scope::Namespaces => self.namespaces(asked, whole, place).await,
            Scope::Everywhere => self.everywhere(asked, whole, place).await,
            Scope::Classes(kind) => self.classes(kind, asked, whole, place).await,
        }
    }

    /// Namespaces by the label of their tenant, from the API server, so that versions, pages, selectors, bookmarks and forms
    /// are its own.
    async fn namespaces(
        &self,
        asked: Asked<'_>,
        refused: Response<Incoming>,
        place: Place,
    ) -> Result<Response<Body>, Refusal> {
        let (index, floor) = self.floor.look(asked.forward.upstream).await?;
        let membership = Membership::of(&index, asked.forward.user)?;
        if membership.tenants.is_empty() {
            return Ok(asked.forward.carry(refused, place));
        }
        asked.count();
        let mut query = Query::read(&asked.parts.uri)?;
        let watch = asked.target.verb == Verb::Watch;
        if watch {
            above(floor, &query)?;
        }
        query.within(&membership.tenants);
        let mut parts = asked.parts;
        parts.uri = query.target("/api/v1/namespaces");
        let answer = asked.forward.ask(parts, Asker::Gateway).await?;
        membership.holds(&self.floor.tenants)?;
        if !watch {
            return Ok(asked.forward.carry(answer, place));
        }
        let (head, body) = answer.into_parts();
        let body = membership.bound(body, self.floor.tenants.clone());
        Ok(asked.forward.carry(Response::from_parts(head, body), place))
    }
}

/// Refuses a watch that would go on from a version of other memberships.
fn above(floor: u64, query: &Query) -> Result<(), Refusal> {
    if query.goes_on_from()?.is_some_and(|version| version < floor) {
        let message =
            "members of tenants have changed since this `resourceVersion`: list again, and watch from there";
        return Err(Refusal::new(Code::GatewayExpired, message));
    }
    Ok(())
}
