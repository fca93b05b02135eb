//! Host names under which tenants are reached.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use model::{Request, hosts};

use super::Question;

/// How long a name that was let in counts without having been seen.
const PATIENCE: Duration = Duration::from_secs(30);

/// Names that were let in and that the watch has not brought yet, with the tenant that has them.
///
/// Guarantee: of the requests that one process judges, no two tenants get the same name, in whatever order
/// they and the watch arrive.
#[derive(Debug, Default)]
pub(super) struct Reserved(Mutex<BTreeMap<(String, String), (String, Instant)>>);

impl Reserved {
    /// Reserves names for a tenant; the first one that another tenant has, if there is one.
    fn take(&self, tenant: &str, request: &Request, names: &[String], now: Instant) -> Option<String> {
        let mut reserved = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        reserved.retain(|_, (_, until)| *until > now);
        let meets = |one: &str, other: &str| one == other || covers(one, other) || covers(other, one);
        let taken = names.iter().find(|name| {
            reserved.iter().any(|((known, _), (holder, _))| holder != tenant && meets(known, name))
        });
        if let Some(name) = taken {
            return Some(name.clone());
        }
        if !request.dry_run {
            let until = now.checked_add(PATIENCE).unwrap_or(now);
            for name in names {
                reserved.insert((name.clone(), request.uid.clone()), (tenant.to_owned(), until));
            }
        }
        None
    }

    /// Gives back what a review reserved.
    pub(super) fn give_back(&self, request: &Request) {
        let mut reserved = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        reserved.retain(|(_, uid), _| *uid != request.uid);
    }
}

/// Whether a name such as `*.example.com` means another too, at any depth as with Gateways; the empty one means all.
fn covers(wide: &str, name: &str) -> bool {
    let below = |end: &str| name.strip_suffix(end).is_some_and(|first| !first.is_empty());
    wide.is_empty() || wide.strip_prefix('*').is_some_and(below)
}

/// Host names are the tenant's, and no other tenant uses them.
pub(super) fn are_not_the_tenants(question: &Question<'_>) -> Option<String> {
    let tenant = question.tenant()?;
    let names = hosts(question.object()?);
    let wrong = question.rules().find_map(|rules| {
        let rule = &rules.hosts;
        let wide = names.iter().find(|name| !rule.wildcards && (name.is_empty() || name.starts_with('*')));
        if let Some(name) = wide {
            let found =
                if name.is_empty() { "a rule without a host name".to_owned() } else { format!("`{name}`") };
            return Some(format!("{found} means names of others too: name each host ({})", rules.source));
        }
        let allowed = rule.allowed.as_ref()?;
        let name = names.iter().find(|name| !allowed.matches(name))?;
        let shown = allowed.shown();
        Some(format!("the host name `{name}` is not allowed, use {shown} ({})", rules.source))
    });
    if wrong.is_some() || question.rules().all(|rules| rules.hosts.shared) {
        return wrong;
    }
    let is_others = |namespace: &&str| question.tenants.name_for(namespace) != Some(tenant.name.as_str());
    let stored = names.iter().find(|name| question.holdings.users_of(name).iter().any(is_others)).cloned();
    let taken =
        stored.or_else(|| question.reserved.take(&tenant.name, question.request, &names, question.now))?;
    let shown =
        if taken.is_empty() { "every host name".to_owned() } else { format!("the host name `{taken}`") };
    Some(format!("{shown} is in use outside of the tenant: use another, or ask its user to give it up"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_covers_what_is_below_and_no_name_covers_all() {
        assert!(covers("*.example.com", "a.b.example.com") && covers("", "x"));
        assert!(!covers("*.example.com", "example.com"));
        assert!(!covers("a.example.com", "a.example.com"));
    }
}
