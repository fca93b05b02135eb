//! Lists of what a user sees of a kind.
//!
//! All pages of a list are at one version, which each says. A `continue` says only that and where to go on: whoever makes one
//! up gets nothing that they do not see.

use std::sync::Arc;

use bytes::Bytes;
use model::Code;

use super::{Look, Tenants, expired};
use crate::lists::cache::entry::Entry;
use crate::lists::cache::history::History;
use crate::lists::cache::wire::About;
use crate::lists::position::Position;
use crate::refusal::Refusal;

/// The most bytes of one page, and of a list that takes no turn.
const MAX_BYTES: usize = 16 << 20;
const SMALL: usize = 1 << 20;

/// Which version a list is to be of.
enum At {
    /// The newest that is known, this one or a later one.
    Least(u64),
    Exactly(u64),
}

impl Look {
    /// The list that is asked for, with so many objects at most.
    ///
    /// # Errors
    /// For versions that are not there yet, or not kept any more, and for lists of more than 16 MiB without a limit.
    pub(super) async fn list(&self, limit: Option<u64>) -> Result<Bytes, Refusal> {
        let position = self.query.get("continue").map(Position::read).transpose()?;
        let (at, from) = match position {
            Some(position) => (At::Exactly(number(&position.version)?), position.namespace),
            None => (self.version()?, String::new()),
        };
        let least = match at {
            At::Least(version) => version,
            // Nobody was given a later one than what is there.
            At::Exactly(_) => 0,
        };
        self.cache.at_least(least.max(self.floor)).await?;
        let limit = limit.and_then(|limit| usize::try_from(limit).ok());
        let (version, seen) = self.seen(&self.cache.history(), &at, &from)?;
        let mut shown = seen.get(..limit.unwrap_or(seen.len()).min(seen.len())).unwrap_or_default();
        if let Some(fits) = fitting(shown, MAX_BYTES) {
            if limit.is_none() {
                let message = format!(
                    "the list is longer than the {MAX_BYTES} bytes that are put together at once: give a `limit` \
                     (`kubectl --chunk-size`)"
                );
                return Err(Refusal::new(Code::GatewayTooLarge, message));
            }
            shown = shown.get(..fits).unwrap_or_default();
        }
        let left = seen.len().saturating_sub(shown.len());
        let rest = shown.last().filter(|_| left > 0).map(|last| {
            let (version, namespace) = (version.to_string(), last.name.clone());
            (Position { version, namespace, rest: None }.write(), left)
        });
        Ok(self.cache.shape.list(self.form, shown, &About { version, rest }))
    }

    /// All of what is seen in the newest version, where that is what is asked for, no more than the limit, and up to 1 MiB.
    ///
    /// # Errors
    /// When what is seen has just changed.
    pub(in crate::lists) fn newest(
        &self,
        limit: Option<u64>,
        tenants: &Tenants,
    ) -> Result<Option<Bytes>, Refusal> {
        let narrower = ["continue", "resourceVersionMatch"].iter().any(|name| self.query.get(name).is_some());
        let older = !matches!(self.query.get("resourceVersion"), None | Some("0"));
        if narrower || older || !self.selection.is_all() || self.cache.version() < self.floor {
            return Ok(None);
        }
        let (version, seen) = self.seen(&self.cache.history(), &At::Least(0), "")?;
        if limit.is_some_and(|limit| seen.len() as u64 > limit) || fitting(&seen, SMALL).is_some() {
            return Ok(None);
        }
        self.holds(&tenants.borrow())?;
        Ok(Some(self.cache.shape.list(self.form, &seen, &About { version, rest: None })))
    }

    fn version(&self) -> Result<At, Refusal> {
        let matching = self.query.get("resourceVersionMatch");
        let version = self.query.get("resourceVersion").map(number).transpose()?;
        match (version, matching) {
            (None, None) => Ok(At::Least(0)),
            (Some(version), None | Some("NotOlderThan")) => Ok(At::Least(version)),
            (Some(version), Some("Exact")) if version > 0 => Ok(At::Exactly(version)),
            _ => {
                let message = "`resourceVersionMatch` is `NotOlderThan`, or `Exact` with a `resourceVersion` that is not 0";
                Err(Refusal::new(Code::GatewayRequest, message))
            }
        }
    }

    /// What is seen behind a name, and at which version.
    fn seen(&self, history: &History, at: &At, from: &str) -> Result<(u64, Vec<Arc<Entry>>), Refusal> {
        let passes = |entry: &&Arc<Entry>| entry.name.as_str() > from && self.sees(entry);
        let version = match *at {
            At::Least(_) => history.version(),
            At::Exactly(version) => version,
        };
        if version != history.version() {
            let old = "the version of this list is no longer kept: list from the start";
            let kept = Some(version)
                .filter(|version| *version >= self.floor)
                .and_then(|version| history.at(version));
            let kept = kept.ok_or_else(|| expired(old))?;
            return Ok((version, kept.values().filter(passes).cloned().collect()));
        }
        let seen = match self.sight.owners() {
            Some(owners) => {
                let owned = owners.iter().flat_map(|owner| history.owned_by(owner));
                let mut seen: Vec<Arc<Entry>> = owned.filter(passes).cloned().collect();
                seen.sort_by(|one, other| one.name.cmp(&other.name));
                seen
            }
            None => history.objects().filter(passes).cloned().collect(),
        };
        Ok((version, seen))
    }
}

/// How many of them fit into a page, at least one, where they do not all.
fn fitting(entries: &[Arc<Entry>], most: usize) -> Option<usize> {
    let mut bytes = 0_usize;
    let over = entries.iter().position(|entry| {
        bytes = bytes.saturating_add(entry.length());
        bytes > most
    });
    over.map(|over| over.max(1))
}

pub(super) fn number(version: &str) -> Result<u64, Refusal> {
    version.parse().map_err(|_| {
        let message = format!("`resourceVersion` is {version:?}, which no list ever gave: it is a number");
        Refusal::new(Code::GatewayRequest, message)
    })
}
