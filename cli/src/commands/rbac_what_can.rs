use std::io::Write;

use model::Subject;
use tenancy::rbac::{Identity, Power, Rule};

use super::rbac::RightsArgs;
use crate::Exit;
use crate::output::{Cell, Table};
use crate::written::Written;

/// Arguments of `bailey rbac what-can`.
#[derive(Debug, clap::Args)]
pub struct WhatCanArgs {
    /// Who: user:NAME, group:NAME or sa:NAMESPACE/NAME
    subject: Subject,
    /// A group that the subject is in; may be given several times. Nobody but the identity provider knows those of a
    /// user. Groups that every user or service account is in are added
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<String>,
    /// Only what holds in this namespace; without it, everywhere
    #[arg(short, long)]
    namespace: Option<String>,
    #[command(flatten)]
    rights: RightsArgs,
}

pub(super) async fn run(args: &WhatCanArgs, out: &mut impl Write, colour: bool) -> anyhow::Result<Exit> {
    let rights = args.rights.read().await?;
    let identity = Identity::of(&args.subject, args.groups.iter().cloned());
    let powers = rights.rbac().what_can(&identity, args.namespace.as_deref());
    let mut names: Vec<_> =
        powers.iter().filter_map(|power| power.through.role()).map(ToString::to_string).collect();
    names.sort();
    names.dedup();
    Written { value: &powers, text: table(powers.clone(), colour), names }.write(args.rights.output, out)?;
    Ok(Exit::Done)
}

fn table(mut powers: Vec<Power>, colour: bool) -> String {
    // By place first: that is what a reader looks for.
    powers.sort_by(|one, other| {
        let place = |power: &Power| (power.through.namespace().map(str::to_owned), power.through.clone());
        place(one).cmp(&place(other)).then_with(|| one.rule.cmp(&other.rule))
    });
    let cells: Vec<_> = powers
        .iter()
        .map(|power| {
            let binding = power.through.binding();
            vec![
                Cell::plain(power.through.namespace().unwrap_or("*")),
                Cell::plain(power.rule.verbs.join(",")),
                Cell::plain(power.subject.to_string()),
                Cell::plain(if binding.is_empty() { "(the API server itself)" } else { &binding }),
                Cell::plain(power.through.role().map(ToString::to_string).unwrap_or_default()),
                // The last column may be as long as it is.
                Cell::plain(what(&power.rule)),
            ]
        })
        .collect();
    Table::new(&["NAMESPACE", "VERBS", "AS", "BINDING", "ROLE", "WHAT"], colour).render(&cells)
}

/// What a rule is about, such as `deployments.apps,jobs.batch` or `secrets named a,b`.
fn what(rule: &Rule) -> String {
    let mut all = rule.non_resource_urls.clone();
    for resource in &rule.resources {
        all.extend(rule.api_groups.iter().map(|group| match (group.as_str(), resource.split_once('/')) {
            ("", _) => resource.clone(),
            (group, Some((resource, sub))) => format!("{resource}.{group}/{sub}"),
            (group, None) => format!("{resource}.{group}"),
        }));
    }
    let names = rule.resource_names.join(",");
    let named = if names.is_empty() { String::new() } else { format!(" named {names}") };
    format!("{}{named}", all.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_said_the_way_a_question_is_asked() {
        let all = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let rule = Rule {
            verbs: all(&["get"]),
            api_groups: all(&["", "apps"]),
            resources: all(&["pods", "deployments/scale"]),
            resource_names: all(&["a", "b"]),
            non_resource_urls: Vec::new(),
        };
        let expected = "pods,pods.apps,deployments/scale,deployments.apps/scale named a,b";
        assert_eq!(what(&rule), expected);
        let paths = Rule { non_resource_urls: all(&["/healthz", "/logs/*"]), ..Rule::default() };
        assert_eq!(what(&paths), "/healthz,/logs/*");
    }
}
