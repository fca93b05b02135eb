use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write;

use clap::ValueEnum;
use tenancy::self_service::Graph;

use crate::Exit;
use crate::connection::ConnectArgs;
use crate::output::one_line;

/// Arguments of `bailey tenant graph`.
#[derive(Debug, clap::Args)]
pub struct GraphArgs {
    /// The tenant
    name: String,
    /// The form of the output
    #[arg(short, long, value_enum, default_value = "dot")]
    output: GraphForm,
    #[command(flatten)]
    connect: ConnectArgs,
}

/// The forms of a graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum GraphForm {
    /// Graphviz, for `dot -Tsvg`
    Dot,
    /// One JSON value, with the rules of each role
    Json,
}

pub(super) async fn run(args: &GraphArgs, out: &mut impl Write) -> anyhow::Result<Exit> {
    let graph = args.connect.open(None).await?.graph(&args.name).await?;
    match args.output {
        GraphForm::Dot => out.write_all(dot(&graph)?.as_bytes())?,
        GraphForm::Json => writeln!(out, "{}", serde_json::to_string_pretty(&graph)?)?,
    }
    Ok(Exit::Done)
}

/// Subjects on the left, namespaces on the right, an edge for each role. Subjects that are no members are red.
fn dot(graph: &Graph) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    writeln!(text, "digraph {} {{", quoted(&graph.tenant))?;
    writeln!(text, "  rankdir=LR;")?;
    writeln!(text, "  node [shape=box, fontname=\"sans-serif\"];")?;
    writeln!(text, "  edge [fontname=\"sans-serif\"];")?;
    let subjects: BTreeSet<_> = graph.edges.iter().map(|edge| (&edge.subject, edge.member)).collect();
    for (subject, member) in subjects {
        let stranger = if member { "" } else { " [color=red, tooltip=\"no member of the tenant\"]" };
        writeln!(text, "  {}{stranger};", quoted(subject))?;
    }
    writeln!(text, "  subgraph {} {{", quoted(&format!("cluster {}", graph.tenant)))?;
    writeln!(text, "    label={};", quoted(&format!("tenant {}", graph.tenant)))?;
    for namespace in &graph.namespaces {
        let node = quoted(&format!("namespace {namespace}"));
        writeln!(text, "    {node} [label={}, shape=folder];", quoted(namespace))?;
    }
    writeln!(text, "  }}")?;
    if graph.edges.iter().any(|edge| edge.namespace.is_none()) {
        writeln!(text, "  \"the whole cluster\" [shape=house];")?;
    }
    // One edge between two nodes, with all roles.
    let mut edges: BTreeMap<(&str, String), BTreeSet<&str>> = BTreeMap::new();
    for edge in &graph.edges {
        let to = edge
            .namespace
            .as_ref()
            .map_or("the whole cluster".to_owned(), |name| format!("namespace {name}"));
        edges.entry((&edge.subject, to)).or_default().insert(&edge.role);
    }
    for ((from, to), roles) in edges {
        let roles: Vec<_> = roles.into_iter().collect();
        writeln!(text, "  {} -> {} [label={}];", quoted(from), quoted(&to), quoted(&roles.join("\n")))?;
    }
    writeln!(text, "}}")?;
    Ok(text)
}

/// A text as Graphviz has it. Of control characters only the end of a line stays.
fn quoted(text: &str) -> String {
    let lines: Vec<_> =
        text.split('\n').map(|line| one_line(line).replace('\\', "\\\\").replace('"', "\\\"")).collect();
    format!("\"{}\"", lines.join("\\n"))
}

#[cfg(test)]
mod tests {
    use tenancy::self_service::Edge;

    use super::*;

    #[test]
    fn the_drawing_has_an_edge_with_all_roles_and_marks_strangers() {
        let edge = |subject: &str, role: &str, namespace: Option<&str>, member| Edge {
            subject: subject.into(),
            role: role.into(),
            binding: "b".into(),
            namespace: namespace.map(str::to_owned),
            member,
        };
        let graph = Graph {
            tenant: "physics".into(),
            namespaces: vec!["physics-web".into()],
            edges: vec![
                edge("user:alice", "ClusterRole/admin", Some("physics-web"), true),
                edge("user:alice", "ClusterRole/owner", Some("physics-web"), true),
                edge("user:alice", "ClusterRole/creator", None, true),
                edge("user:m\"\u{1b}", "Role/physics-web/x", Some("physics-web"), false),
            ],
            roles: BTreeMap::new(),
        };
        let expected = r#"digraph "physics" {
  rankdir=LR;
  node [shape=box, fontname="sans-serif"];
  edge [fontname="sans-serif"];
  "user:alice";
  "user:m\"\\u{1b}" [color=red, tooltip="no member of the tenant"];
  subgraph "cluster physics" {
    label="tenant physics";
    "namespace physics-web" [label="physics-web", shape=folder];
  }
  "the whole cluster" [shape=house];
  "user:alice" -> "namespace physics-web" [label="ClusterRole/admin\nClusterRole/owner"];
  "user:alice" -> "the whole cluster" [label="ClusterRole/creator"];
  "user:m\"\\u{1b}" -> "namespace physics-web" [label="Role/physics-web/x"];
}
"#;
        assert_eq!(dot(&graph).unwrap(), expected);
    }
}
