use std::io::Write;

use serde::Serialize;
use tenancy::rbac::{Grant, Question};

use super::rbac::{Rights, RightsArgs};
use crate::Exit;
use crate::output::{Cell, Table, note};
use crate::written::Written;

/// Arguments of `bailey rbac who-can`.
#[derive(Debug, clap::Args)]
pub struct WhoCanArgs {
    /// The verb, such as get, list, create, delete, bind or impersonate
    verb: String,
    /// The resource, such as pods, pods/exec, deployments.apps, or a path such as /healthz
    resource: String,
    /// One object; without it, all of them
    name: Option<String>,
    /// In this namespace; without it, in the whole cluster
    #[arg(short, long, conflicts_with = "tenant")]
    namespace: Option<String>,
    /// In every namespace of this tenant
    #[arg(long)]
    tenant: Option<String>,
    #[command(flatten)]
    rights: RightsArgs,
}

/// Somebody who may, and where it was asked.
#[derive(Debug, Serialize)]
struct Row {
    /// Empty for the whole cluster.
    #[serde(skip_serializing_if = "String::is_empty")]
    namespace: String,
    #[serde(flatten)]
    grant: Grant,
}

pub(super) async fn run(args: &WhoCanArgs, out: &mut impl Write, colour: bool) -> anyhow::Result<Exit> {
    // What makes no sense is said before anything is read.
    let question = Question::parse(&args.verb, &args.resource, args.name.as_deref())?;
    let rights = args.rights.read().await?;
    let question = match named(&rights, &args.resource).await? {
        Some(resource) => Question::parse(&args.verb, &resource, args.name.as_deref())?,
        None => question,
    };
    let question = if question.may_name_an_object() || args.name.is_none() {
        question
    } else {
        let verb = question.verb();
        note(&format!("a request to {verb} does not name its object, so that RBAC cannot tell them apart"));
        question.of_all()
    };
    let namespaces = match (&args.namespace, &args.tenant) {
        (Some(namespace), _) => vec![namespace.clone()],
        (None, Some(tenant)) => rights.namespaces_of(tenant).await?,
        (None, None) => vec![own_namespace(&question)],
    };
    let rows: Vec<_> = namespaces
        .into_iter()
        .flat_map(|namespace| {
            let grants = rights.rbac().who_can(&namespace, &question);
            grants.into_iter().map(move |grant| Row { namespace: namespace.clone(), grant })
        })
        .collect();
    let mut names: Vec<_> = rows.iter().map(|row| row.grant.subject.to_string()).collect();
    names.sort();
    names.dedup();
    Written { value: &rows, text: table(&rows, colour), names }.write(args.rights.output, out)?;
    Ok(Exit::Done)
}

/// The resource with its group, as the cluster serves it, where none was given.
async fn named(rights: &Rights, resource: &str) -> anyhow::Result<Option<String>> {
    let (whole, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    let Rights::Live(session, _) = rights else { return Ok(None) };
    if whole.is_empty() || whole.contains('.') || whole == "*" {
        return Ok(None);
    }
    let Some(found) = session.resource_named(whole).await? else {
        note(&format!("the cluster serves no `{whole}`: taken as a resource of its well-known group"));
        return Ok(None);
    };
    Ok(Some(if subresource.is_empty() { found } else { format!("{found}/{subresource}") }))
}

/// The namespace that a request has where none is given: a namespace is in itself.
fn own_namespace(question: &Question) -> String {
    match question {
        Question::Resource { group, resource, name, .. } if group.is_empty() && resource == "namespaces" => {
            name.clone()
        }
        _ => String::new(),
    }
}

fn table(rows: &[Row], colour: bool) -> String {
    let cells: Vec<_> = rows
        .iter()
        .map(|row| {
            let Grant { subject, resource_names, through } = &row.grant;
            let place = if row.namespace.is_empty() { "*" } else { &row.namespace };
            let names = if resource_names.is_empty() { "*".to_owned() } else { resource_names.join(",") };
            let binding = through.binding();
            vec![
                Cell::plain(subject.to_string()),
                Cell::plain(place),
                Cell::plain(names),
                Cell::plain(if binding.is_empty() { "(the API server itself)" } else { &binding }),
                Cell::plain(through.role().map(ToString::to_string).unwrap_or_default()),
            ]
        })
        .collect();
    Table::new(&["SUBJECT", "NAMESPACE", "OBJECTS", "BINDING", "ROLE"], colour).render(&cells)
}
