//! Kinds of the cluster's own, of which a user sees what is their tenants' or what these were granted: from a cache.

mod follow;
mod page;

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use model::{Code, TenantIndex};
use tokio::sync::watch;

use super::cache::Cache;
use super::cache::wire::Form;
use super::query::Query;
use super::selection::Selection;
use super::sight::{Sight, unlike};
use super::{Asked, Lists};
use crate::body::Body;
use crate::limits::Place;
use crate::refusal::Refusal;
use crate::target::{Granted, Verb};

type Tenants = watch::Receiver<Arc<TenantIndex>>;

/// One request for a kind, and all that decides on its answer.
pub(super) struct Look {
    pub(super) cache: Arc<Cache>,
    pub(super) sight: Sight,
    pub(super) selection: Selection,
    pub(super) query: Query,
    pub(super) form: Form,
    /// The first version that was narrowed like this.
    pub(super) floor: u64,
}

impl Lists {
    /// Answers a list or watch of a kind, or a read of one object.
    pub(super) async fn granted(
        &self,
        granted: Granted,
        asked: Asked<'_>,
        refused: Response<Incoming>,
        place: Place,
    ) -> Result<Response<Body>, Refusal> {
        let index = Arc::clone(&self.floors.tenants.borrow());
        // A path has one spelling here: each would have a cache of its own.
        let plain = !asked.parts.uri.path().contains('%');
        let sight = Sight::of(&index, asked.forward.user, granted)?;
        if !plain || sight.is_blind() {
            return Ok(asked.forward.carry(refused, place));
        }
        match asked.target.verb {
            Verb::Get => self.one((granted, &sight), asked, refused, place).await,
            Verb::List => {
                let turn = self.turns.take(asked.tenant)?;
                let look = self.look(granted, &asked).await?;
                let list = look.list(asked.target.page).await?;
                look.holds(&self.floors.tenants.borrow())?;
                asked.count();
                // The turn is the body's: it is held in memory until it was read.
                let body = Full::new(list).map_frame(move |frame| (&turn, frame).1);
                Ok(asked.forward.carry(json(body), place))
            }
            Verb::Watch => {
                let look = self.look(granted, &asked).await?;
                let body = look.watch(self.floors.tenants.clone()).await?;
                asked.count();
                Ok(asked.forward.carry(json(body), place))
            }
            Verb::Write => Ok(asked.forward.carry(refused, place)),
        }
    }

    /// What a list or watch is about.
    pub(super) async fn look(&self, granted: Granted, asked: &Asked<'_>) -> Result<Look, Refusal> {
        let (query, form) = read(asked)?;
        let selection = Selection::read(&query, granted)?;
        let cache = self.caches.get(granted, asked.parts.uri.path()).await?;
        let claimed = |namespace: &str| cache.history().owned_by(namespace).next().is_some();
        let unlike = |one: &TenantIndex, other: &TenantIndex| unlike(granted, one, other, claimed);
        let (index, floor) = self.floors.of(granted).look(asked.forward.upstream, unlike).await?;
        let sight = Sight::of(&index, asked.forward.user, granted)?;
        Ok(Look { cache, sight, selection, query, form, floor })
    }

    /// A whole list from the cache, where that is as good as the API server's own.
    ///
    /// # Errors
    /// When what is seen has just changed.
    pub(super) async fn at_hand(
        &self,
        granted: Granted,
        asked: &Asked<'_>,
    ) -> Result<Option<Bytes>, Refusal> {
        let late = granted == Granted::Namespace && self.written.has(asked.forward.user);
        if late || asked.target.verb != Verb::List || asked.parts.uri.path().contains('%') {
            return Ok(None);
        }
        // What cannot be looked at here is refused where it is asked for in full.
        let Ok(look) = self.look(granted, asked).await else { return Ok(None) };
        if look.sight.is_blind() {
            return Ok(None);
        }
        look.newest(asked.target.page, &self.floors.tenants)
    }

    /// One object, as the API server has it now. What may not be seen is not told from what is not there.
    async fn one(
        &self,
        (granted, sight): (Granted, &Sight),
        asked: Asked<'_>,
        refused: Response<Incoming>,
        place: Place,
    ) -> Result<Response<Body>, Refusal> {
        let form = read(&asked)?.1;
        let path = asked.parts.uri.path().trim_end_matches('/').to_owned();
        let (list, name) = path.rsplit_once('/').unwrap_or_default();
        let by_name = sight.sees_name(name);
        if by_name == Some(false) {
            return Ok(asked.forward.carry(refused, place));
        }
        let cache = self.caches.get(granted, list).await?;
        let entry = match cache.read(name).await? {
            Ok(entry) => Some(entry).filter(|entry| sight.sees(entry)),
            Err(answer) if by_name == Some(true) => {
                let (status, body) = answer;
                let mut response = json(Full::new(body));
                *response.status_mut() = status;
                return Ok(asked.forward.carry(response, place));
            }
            Err((StatusCode::NOT_FOUND, _)) => None,
            Err(_) => {
                let message = "the API server does not answer now";
                return Err(Refusal::unavailable(StatusCode::SERVICE_UNAVAILABLE, message));
            }
        };
        let Some(entry) = entry else { return Ok(asked.forward.carry(refused, place)) };
        asked.count();
        Ok(asked.forward.carry(json(Full::new(cache.shape.one(form, &entry))), place))
    }
}

impl Look {
    /// Holds it against what is known now.
    ///
    /// # Errors
    /// Where something else is seen by that: what was made by this is not given.
    fn holds(&self, index: &TenantIndex) -> Result<(), Refusal> {
        if self.sight.by(index)?.is_like(&self.sight) {
            return Ok(());
        }
        let message = "what your tenants may see has just changed: ask again";
        Err(Refusal::unavailable(StatusCode::SERVICE_UNAVAILABLE, message))
    }

    fn sees(&self, entry: &super::cache::entry::Entry) -> bool {
        self.sight.sees(entry) && self.selection.selects(entry)
    }
}

fn read(asked: &Asked<'_>) -> Result<(Query, Form), Refusal> {
    let query = Query::read(&asked.parts.uri)?;
    let form = Form::asked(&asked.parts.headers, query.get("includeObject")).ok_or_else(|| {
        let message = "what your tenants may see of the cluster is written in `application/json`, also as a Table or as \
                       PartialObjectMetadata, of `meta.k8s.io/v1`: accept that";
        Refusal::new(Code::GatewayRequest, message).with_status(StatusCode::NOT_ACCEPTABLE)
    })?;
    Ok((query, form))
}

pub(super) fn json<B: http_body::Body<Data = Bytes>>(body: B) -> Response<B> {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    response
}

pub(super) fn expired(message: &str) -> Refusal {
    Refusal::new(Code::GatewayExpired, message)
}
