//! Namespaces of a user's tenants.
//!
//! The API server itself is asked for those with the label of their tenants, so that versions, pages, selectors, bookmarks
//! and forms are its own. It compares the labels of all, and in a cluster that is written to it may wait for 100 ms until it
//! knows that its own cache is up to date. So a list that asks for no more than what there is comes from [`super::cache`],
//! but to users who changed a Namespace a moment ago: they see what they did.

use std::time::Duration;

use http::Response;
use http_body_util::Full;
use hyper::body::Incoming;
use model::{TenantIndex, UserInfo};

use super::granted::{expired, json};
use super::membership::Membership;
use super::query::Query;
use super::{Asked, Lists};
use crate::body::Body;
use crate::forward::Asker;
use crate::limits::Place;
use crate::refusal::Refusal;
use crate::target::{Granted, Verb};

const PATH: &str = "/api/v1/namespaces";
/// For how long a user's lists come from the API server after a change: far longer than a watch is behind.
const MOMENT: Duration = Duration::from_secs(5);
/// The most users of whom that is known.
const MAX_USERS: u64 = 100_000;

/// Who changed a Namespace through here a moment ago.
pub(super) struct Written(moka::future::Cache<String, ()>);

impl Written {
    pub(super) fn new() -> Self {
        Self(moka::future::Cache::builder().max_capacity(MAX_USERS).time_to_live(MOMENT).build())
    }

    pub(super) fn has(&self, user: &UserInfo) -> bool {
        self.0.contains_key(&user.username)
    }

    pub(super) async fn note(&self, user: &UserInfo) {
        self.0.insert(user.username.clone(), ()).await;
    }
}

impl Lists {
    /// Answers a list or a watch.
    pub(super) async fn namespaces(
        &self,
        asked: Asked<'_>,
        refused: Response<Incoming>,
        place: Place,
    ) -> Result<Response<Body>, Refusal> {
        let (index, floor) = self
            .floors
            .of(Granted::Namespace)
            .look(asked.forward.upstream, TenantIndex::members_unlike)
            .await?;
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
        if let Some(list) = self.at_hand(Granted::Namespace, &asked).await? {
            return Ok(asked.forward.carry(json(Full::new(list)), place));
        }
        query.within(&membership.tenants);
        let mut parts = asked.parts;
        parts.uri = query.target(PATH);
        let answer = asked.forward.ask(parts, Asker::Gateway).await?;
        membership.holds(&self.floors.tenants)?;
        if !watch {
            return Ok(asked.forward.carry(answer, place));
        }
        let (head, body) = answer.into_parts();
        let body = membership.bound(body, self.floors.tenants.clone());
        Ok(asked.forward.carry(Response::from_parts(head, body), place))
    }
}

/// Refuses a watch that would go on from a version of other memberships.
fn above(floor: u64, query: &Query) -> Result<(), Refusal> {
    if query.goes_on_from()?.is_some_and(|version| version < floor) {
        return Err(expired(
            "members of tenants have changed since this `resourceVersion`: list again, and watch from there",
        ));
    }
    Ok(())
}
