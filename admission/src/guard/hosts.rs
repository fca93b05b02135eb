//! Host names under which tenants are reached.

use model::{HostnameAsk, hosts};
use serde_json::Value;

use super::Question;

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
    let stored = names.iter().find(|name| question.holdings.users_of(name).iter().any(is_others));
    stored.map(|name| in_use(name))
}

/// What a name is told that others have.
pub(super) fn in_use(name: &str) -> String {
    let shown =
        if name.is_empty() { "every host name".to_owned() } else { format!("the host name `{name}`") };
    format!(
        "{shown} is in use outside of the tenant, or was a minute ago: use another, or ask its user to give it up"
    )
}

/// The names that a request brings and that no other tenant may have.
pub(super) fn to_claim(question: &Question<'_>) -> Option<HostnameAsk> {
    let tenant = question.tenant()?;
    if question.rules().all(|rules| rules.hosts.shared) {
        return None;
    }
    let mut names = hosts(question.object()?);
    if let Some(old) = &question.request.old_object
        && let Ok(old) = serde_json::from_slice::<Value>(old)
    {
        let had = hosts(&old);
        names.retain(|name| had.binary_search(name).is_err());
    }
    let request = question.request;
    let ask = HostnameAsk {
        tenant: tenant.name.to_string(),
        names,
        request: request.uid.clone(),
        dry_run: request.dry_run,
    };
    Some(ask).filter(|ask| !ask.names.is_empty())
}
