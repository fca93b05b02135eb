//! Lists and watches of the whole cluster, narrowed to what the user belongs to.
//!
//! The API server is asked as the user first: whoever may see the whole gets it as it is. Where it says 403, a member of
//! tenants gets what is theirs; that it said so is believed for a moment, for lists that are at hand.

mod cache;
mod everywhere;
mod floor;
mod forbidden;
mod granted;
mod kinds;
mod membership;
mod namespaces;
mod page;
mod position;
mod query;
mod selection;
mod sight;
mod turns;

use http::request::Parts;
use http::{Response, StatusCode};
use http_body_util::Full;
use model::{TenantIndex, UserInfo};
use std::sync::Arc;
use tokio::sync::watch;

use crate::body::Body;
use crate::forward::{Asker, Forward};
use crate::limits::{Accounts, Place};
use crate::metrics::FilterLabels;
use crate::refusal::Refusal;
use crate::target::{Granted, Scope, Target, Verb};
use crate::upstream::Upstream;
use cache::Caches;
use floor::Floors;
use forbidden::Forbidden;
use granted::json;
use kinds::Kinds;
use namespaces::Written;
use turns::Turns;

/// What makes narrowed lists and watches.
pub(crate) struct Lists {
    floors: Floors,
    caches: Caches,
    kinds: Kinds,
    turns: Turns,
    written: Written,
    forbidden: Forbidden,
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
            Scope::Everywhere => "everywhere",
            Scope::Granted(Granted::Class(_)) => "classes",
            Scope::Granted(Granted::Node) => "nodes",
            Scope::Granted(Granted::Volume) => "volumes",
            Scope::Granted(Granted::Definition) => "definitions",
            Scope::Namespaces | Scope::Granted(Granted::Namespace) => "namespaces",
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
    pub(crate) fn new(tenants: watch::Receiver<Arc<TenantIndex>>, upstream: Upstream) -> Self {
        Self {
            floors: Floors::new(tenants),
            caches: Caches::new(upstream),
            kinds: Kinds::new(),
            turns: Turns::default(),
            written: Written::new(),
            forbidden: Forbidden::new(),
        }
    }

    /// Takes note that a user has changed a Namespace through here.
    pub(crate) async fn wrote(&self, user: &UserInfo) {
        self.written.note(user).await;
    }

    /// Answers it; the place is held until the answer has ended.
    pub(crate) async fn answer(&self, asked: Asked<'_>, place: Place) -> Result<Response<Body>, Refusal> {
        let granted = match asked.scope {
            _ if asked.target.verb != Verb::List => None,
            Scope::Namespaces => Some(Granted::Namespace),
            Scope::Granted(granted) => Some(granted),
            Scope::Everywhere => None,
        };
        if let Some(granted) = granted
            && self.forbidden.has(granted, asked.forward.user)
            && let Some(list) = self.at_hand(granted, &asked).await?
        {
            asked.count();
            return Ok(asked.forward.carry(json(Full::new(list)), place));
        }
        let whole = asked.forward.ask(asked.parts.clone(), Asker::User).await?;
        if whole.status() != StatusCode::FORBIDDEN {
            return Ok(asked.forward.carry(whole, place));
        }
        if let Some(granted) = granted {
            self.forbidden.note(granted, asked.forward.user).await;
        }
        match asked.scope {
            Scope::Namespaces => self.namespaces(asked, whole, place).await,
            Scope::Everywhere => self.everywhere(asked, whole, place).await,
            Scope::Granted(granted) => self.granted(granted, asked, whole, place).await,
        }
    }
}
