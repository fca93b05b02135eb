use std::io::Write;
use std::time::Duration;

use clap::Args;
use serde_json::Value;
use tenancy::self_service::{ExceptionSummary, NewException};

use super::kubeconfig::duration;
use super::{Asked, TenantArg};
use crate::Exit;
use crate::output::{Cell, Colour, Table, note};

/// Arguments of `kubectl tenant request exception`.
#[derive(Debug, Args)]
pub(super) struct ExceptionArgs {
    /// The policy, as the refusal names it
    policy: String,
    /// Why it is needed, for whoever approves it
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// For how long, such as 12h or 7d; at most 90d
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    lasts: Duration,
    /// Only what this binding of the policy finds, as the refusal names it
    #[arg(long, value_name = "NAME")]
    binding: Option<String>,
    /// Only findings with this code of the policy's; may be given several times
    #[arg(long = "code", value_name = "CODE")]
    codes: Vec<String>,
    /// Only objects of this kind, such as Pod, deployments.apps or pods/exec; may be given several times
    #[arg(long = "kind", value_name = "KIND")]
    kinds: Vec<String>,
    /// Only objects with this name, where * stands for any text; may be given several times
    #[arg(long = "name", value_name = "NAME")]
    names: Vec<String>,
}

pub(super) async fn request(args: &ExceptionArgs, asked: &mut Asked<'_, impl Write>) -> anyhow::Result<Exit> {
    let wanted = NewException {
        policy: args.policy.clone(),
        binding: args.binding.clone(),
        codes: args.codes.clone(),
        kinds: args.kinds.clone(),
        names: args.names.clone(),
        reason: args.reason.clone(),
        lasts: args.lasts,
    };
    let made = asked.session.request_exception(&wanted).await?;
    let exception = made.exception;
    let text =
        format!("{} requested in {}, until {}\n", name(&exception), exception.namespace, exception.expires);
    let names = vec![name(&exception)];
    let exit = asked.write(&exception, text, names)?;
    made.warnings.iter().for_each(|warning| note(warning));
    note(&format!(
        "an administrator has to approve it, see `kubectl tenant exceptions -n {}`",
        exception.namespace
    ));
    Ok(exit)
}

/// The exceptions of a tenant, or of the namespace that was given.
pub(super) async fn list(
    tenant: &TenantArg,
    namespace: Option<String>,
    asked: &mut Asked<'_, impl Write>,
) -> anyhow::Result<Exit> {
    let namespaces = match namespace {
        Some(namespace) => vec![namespace],
        None => asked.tenant(tenant).await?.namespaces,
    };
    let all = asked.session.exceptions_in(&namespaces).await?;
    let rows: Vec<_> = all
        .iter()
        .map(|one| {
            vec![
                Cell::plain(&one.namespace),
                Cell::plain(&one.name),
                Cell::plain(&one.policy),
                Cell::plain(objects(one)),
                state(one),
                Cell::plain(&one.expires),
                Cell::plain(one.decided_by.as_deref().unwrap_or_default()),
                Cell::plain(one.message.as_deref().unwrap_or_default()),
            ]
        })
        .collect();
    let headings = ["NAMESPACE", "NAME", "POLICY", "OBJECTS", "STATE", "EXPIRES", "DECIDED BY", "MESSAGE"];
    let text = Table::new(&headings, asked.colour).render(&rows);
    asked.write(&all, text, all.iter().map(name).collect())
}

fn name(exception: &ExceptionSummary) -> String {
    format!("policyexception.bailey.dev/{}", exception.name)
}

/// How an exception stands.
pub(crate) fn state(exception: &ExceptionSummary) -> Cell {
    match exception.state.as_str() {
        "Approved" => Cell::coloured("Approved", Colour::Good),
        "Refused" => Cell::coloured("Refused", Colour::Bad),
        other => Cell::coloured(other, Colour::Doubtful),
    }
}

/// Which objects are meant, such as `Pod web-*`.
pub(crate) fn objects(exception: &ExceptionSummary) -> String {
    let list = |path: &str| -> Vec<&str> {
        let items = exception.objects.pointer(path).and_then(Value::as_array).into_iter().flatten();
        items.filter_map(Value::as_str).collect()
    };
    let (kinds, names) = (list("/kinds").join(","), list("/names").join(","));
    let labels = if exception.objects.get("selector").is_some() { "with labels" } else { "" };
    let parts = [kinds.as_str(), names.as_str(), labels];
    let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    if parts.is_empty() { "*".to_owned() } else { parts.join(" ") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_objects_that_are_meant_are_shown_in_short() {
        let shown =
            |objects: Value| super::objects(&ExceptionSummary { objects, ..ExceptionSummary::default() });
        assert_eq!(shown(Value::Null), "*");
        assert_eq!(shown(json!({"kinds": ["Pod", "Job.batch"], "names": ["web-*"]})), "Pod,Job.batch web-*");
        assert_eq!(shown(json!({"selector": {"matchLabels": {"a": "b"}}})), "with labels");
    }
}
