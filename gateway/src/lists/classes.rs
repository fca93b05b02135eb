//! Classes that a tenant's objects may name: those that its isolation profile allows.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use http::{Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use model::{ClassKind, Code, Tenant, TenantIndex};

use super::membership::Membership;
use super::page::{Page, accept_json, collect};
use super::query::Query;
use super::{Asked, Lists};
use crate::body::Body;
use crate::forward::Asker;
use crate::limits::Place;
use crate::refusal::Refusal;
use crate::target::Verb;

/// Whether objects of a tenant may name a class. A tenant whose walls are at fault may name none.
fn may_name(tenant: &Tenant, kind: ClassKind, name: &str) -> bool {
    let isolation = &tenant.isolation;
    isolation.fault.is_none() && isolation.rules.iter().all(|rules| rules.may_name(kind, name))
}

/// Whether objects of one of these tenants may.
fn may_any(index: &TenantIndex, tenants: &[String], kind: ClassKind, name: &str) -> bool {
    tenants.iter().filter_map(|tenant| index.tenant(tenant)).any(|tenant| may_name(tenant, kind, name))
}

impl Lists {
    /// Answers a list of classes, or a read of one.
    pub(super) async fn classes(
        &self,
        kind: ClassKind,
        asked: Asked<'_>,
        refused: Response<Incoming>,
        place: Place,
    ) -> Result<Response<Body>, Refusal> {
        let index = Arc::clone(&self.floor.tenants.borrow());
        let membership = Membership::of(&index, asked.forward.user)?;
        let passes = |name: &str| may_any(&index, &membership.tenants, kind, name);
        if membership.tenants.is_empty() {
            return Ok(asked.forward.carry(refused, place));
        }
        let query = Query::read(&asked.parts.uri)?;
        match asked.target.verb {
            Verb::Get => {
                let name = asked.parts.uri.path().trim_end_matches('/').rsplit('/').next();
                // As it is written: what is encoded is another name than the rules would see.
                if !name.is_some_and(|name| !name.contains('%') && passes(name)) {
                    return Ok(asked.forward.carry(refused, place));
                }
                asked.count();
                let answer = asked.forward.ask(of_one(&asked, &query), Asker::Gateway).await?;
                Ok(asked.forward.carry(answer, place))
            }
            Verb::List => self.list(query, asked, place, passes).await,
            Verb::Watch | Verb::Write => {
                let message = "classes that your tenants may name can be read and listed, but not watched";
                Err(Refusal::new(Code::GatewayScope, message))
            }
        }
    }

    /// All of them at once: the API server's own pages would name classes that do not pass.
    async fn list(
        &self,
        mut query: Query,
        asked: Asked<'_>,
        place: Place,
        passes: impl Fn(&str) -> bool,
    ) -> Result<Response<Body>, Refusal> {
        if query.get("continue").is_some() {
            let message = "lists of classes come at once, and gave no `continue`: list from the start";
            return Err(Refusal::new(Code::GatewayRequest, message));
        }
        let turn = self.turns.take(asked.tenant)?;
        query.set("limit", None);
        if query.get("includeObject") == Some("None") {
            query.set("includeObject", Some("Metadata"));
        }
        let mut parts = asked.parts.clone();
        accept_json(&mut parts.headers)?;
        parts.uri = query.target(parts.uri.path());
        let answer = asked.forward.ask(parts, Asker::Gateway).await?;
        if answer.status() != StatusCode::OK {
            return Ok(asked.forward.carry(answer, place));
        }
        asked.count();
        let (head, body) = answer.into_parts();
        let mut page = Page::read(&collect(body, &AtomicUsize::new(0)).await?)?;
        page.metadata.rest = None;
        page.retain(passes);
        let response = page.respond(&head.headers);
        let response = response.map(|body| body.map_frame(move |frame| (&turn, frame).1));
        Ok(asked.forward.carry(response, place))
    }
}

/// What is asked for one class: its form, and nothing else of the query.
fn of_one(asked: &Asked<'_>, query: &Query) -> http::request::Parts {
    let mut own = Query::default();
    for name in ["includeObject", "pretty"] {
        own.set(name, query.get(name));
    }
    let mut parts = asked.parts.clone();
    parts.uri = own.target(parts.uri.path());
    parts
}
