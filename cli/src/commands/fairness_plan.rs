use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use fairness::apf::objects::Subject;
use fairness::apf::plan::{Change, Object, PlaceKind};
use serde::Serialize;
use tenancy::fairness::{Classes, Configuration, Proposal, read_files};

use crate::Exit;
use crate::connection::ConnectArgs;
use crate::output::{Cell, Colour, Table, one_line};
use crate::written::{Form, Written};

/// Arguments of `bailey fairness plan`.
#[derive(Debug, Args)]
pub struct PlanArgs {
    #[command(flatten)]
    connect: ConnectArgs,
    /// Read a file or folder that `kubectl get fairnessclasses,tenants,namespaces,prioritylevelconfigurations,flowschemas
    /// -o yaml` wrote, instead of the cluster
    #[arg(long, value_name = "PATH", conflicts_with_all = ["kubeconfig", "context"])]
    files: Option<PathBuf>,
    /// The seats of one API server: its --max-requests-inflight and --max-mutating-requests-inflight together
    #[arg(long, value_name = "N", default_value_t = 600, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    concurrency: u32,
    /// The service account that Bailey runs as
    #[arg(long, value_name = "NAMESPACE:NAME", default_value = "bailey-system:bailey", value_parser = account)]
    service_account: Subject,
    /// The form of the output
    #[arg(short, long, value_enum, default_value = "table")]
    output: Form,
}

fn account(text: &str) -> Result<Subject, String> {
    match text.split_once(':') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() => {
            Ok(Subject::service_account(namespace, name))
        }
        _ => Err("a service account is NAMESPACE:NAME".to_owned()),
    }
}

/// What is printed.
#[derive(Debug, Serialize)]
struct Planned {
    concurrency: u32,
    changes: Vec<Line>,
    conflicts: Vec<Place>,
    levels: Vec<Level>,
    tenants: Vec<Tenant>,
    warnings: Vec<String>,
}

/// One change.
#[derive(Debug, Serialize)]
struct Line {
    action: &'static str,
    #[serde(flatten)]
    place: Place,
    /// What is written; nothing where it is deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<serde_json::Value>,
}

/// An object of flow control.
#[derive(Debug, Serialize)]
struct Place {
    kind: &'static str,
    name: String,
}

/// The seats of a priority level.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Level {
    name: String,
    /// Whether it is a class's.
    planned: bool,
    shares: u32,
    seats: u32,
    least: u32,
    most: u32,
    widest_list: u32,
}

/// Where a tenant's requests go.
#[derive(Debug, Serialize)]
struct Tenant {
    name: String,
    class: String,
    /// dedicated, shared, pooled, open, or none: in no class, or without a namespace.
    place: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    shard: Option<u32>,
    /// How many subjects its FlowSchemas have for it.
    subjects: usize,
}

pub(super) async fn run(args: &PlanArgs, out: &mut impl Write, colour: bool) -> anyhow::Result<Exit> {
    let found = match &args.files {
        Some(path) => read_files(path)?,
        None => args.connect.open(None).await?.fairness().await?,
    };
    let proposal = found.propose(std::slice::from_ref(&args.service_account), args.concurrency)?;
    let planned = planned(&found, &proposal, args.concurrency)?;
    let names = planned.changes.iter().map(|line| line.place.shown()).collect();
    Written { value: &planned, text: text(&planned, colour), names }.write(args.output, out)?;
    Ok(Exit::Done)
}

fn planned(found: &Configuration, proposal: &Proposal, concurrency: u32) -> anyhow::Result<Planned> {
    let classes = Classes::of(&found.classes);
    let mut warnings = Vec::new();
    let mut tenants = Vec::new();
    for name in found.tenants.keys() {
        let membership = classes.membership(name, &found.tenants);
        if let Some(missing) = membership.missing {
            let instead = membership.class.map_or_else(
                || "and no default one: its requests are not told from others'".to_owned(),
                |class| format!("and is in the default one, `{class}`"),
            );
            warnings.push(format!("tenant `{name}` names class `{missing}`, which is not there, {instead}"));
        }
        let place = proposal.plan.places.get(name);
        tenants.push(Tenant {
            name: name.clone(),
            class: membership.class.unwrap_or_default().to_owned(),
            place: place.map_or("none", |place| kind(place.kind)),
            shard: place
                .filter(|place| matches!(place.kind, PlaceKind::Shared | PlaceKind::Pooled))
                .map(|place| place.shard),
            subjects: place.map_or(0, |place| place.subjects),
        });
    }
    let all = proposal.plan.warnings.iter().chain(&proposal.narrow);
    warnings.extend(all.map(ToString::to_string));
    let changes: Result<Vec<_>, _> = proposal.diff.changes.iter().map(line).collect();
    let levels = proposal.seats.iter().map(|row| Level {
        name: row.level.name.clone(),
        planned: row.planned,
        shares: row.level.shares,
        seats: row.seats.nominal,
        least: row.seats.min,
        most: row.seats.max,
        widest_list: row.width.list,
    });
    Ok(Planned {
        concurrency,
        changes: changes?,
        conflicts: proposal.diff.conflicts.iter().map(place).collect(),
        levels: levels.collect(),
        tenants,
        warnings,
    })
}

const fn kind(kind: PlaceKind) -> &'static str {
    match kind {
        PlaceKind::Dedicated => "dedicated",
        PlaceKind::Shared => "shared",
        PlaceKind::Pooled => "pooled",
        PlaceKind::Open => "open",
    }
}

fn line(change: &Change) -> anyhow::Result<Line> {
    let (action, object, written) = match change {
        Change::Create(object) => ("create", object, true),
        Change::Update(object) => ("update", object, true),
        Change::Delete(object) => ("delete", object, false),
    };
    let whole = match object {
        Object::Level(level) => serde_json::to_value(level)?,
        Object::Schema(schema) => serde_json::to_value(schema)?,
    };
    Ok(Line { action, place: place(object), object: written.then_some(whole) })
}

fn place(object: &Object) -> Place {
    match object {
        Object::Level(level) => {
            Place { kind: "PriorityLevelConfiguration", name: level.metadata.name.clone() }
        }
        Object::Schema(schema) => Place { kind: "FlowSchema", name: schema.metadata.name.clone() },
    }
}

impl Place {
    /// As kubectl writes it.
    fn shown(&self) -> String {
        format!("{}/{}", self.kind.to_lowercase(), self.name)
    }
}

// --- for people ---

fn text(planned: &Planned, colour: bool) -> String {
    let mut parts = vec![changes(planned, colour), levels(planned, colour)];
    if !planned.tenants.is_empty() {
        parts.push(tenants(planned, colour));
    }
    let warnings: String =
        planned.warnings.iter().map(|warning| format!("warning: {}\n", one_line(warning))).collect();
    if !warnings.is_empty() {
        parts.push(warnings);
    }
    parts.join("\n")
}

fn changes(planned: &Planned, colour: bool) -> String {
    if planned.changes.is_empty() && planned.conflicts.is_empty() {
        return "The API server has what the classes say.\n".to_owned();
    }
    let rows =
        planned.changes.iter().map(|line| vec![Cell::plain(line.action), Cell::plain(line.place.shown())]);
    let taken = planned.conflicts.iter().map(|place| {
        let whose = Cell::coloured("leave alone", Colour::Bad);
        vec![whose, Cell::plain(place.shown()).followed_by(" (somebody else's)")]
    });
    let rows: Vec<_> = rows.chain(taken).collect();
    Table::new(&["ACTION", "OBJECT"], colour).render(&rows)
}

fn levels(planned: &Planned, colour: bool) -> String {
    let rows = planned.levels.iter().map(|level| {
        let numbers = [level.shares, level.seats, level.least, level.most, level.widest_list];
        let whose = if level.planned { "class" } else { "cluster" };
        [Cell::plain(&level.name), Cell::plain(whose)]
            .into_iter()
            .chain(numbers.map(|number| Cell::plain(number.to_string())))
            .collect()
    });
    let rows: Vec<_> = rows.collect();
    Table::new(&["LEVEL", "OF", "SHARES", "SEATS", "LEAST", "MOST", "WIDEST LIST"], colour).render(&rows)
}

fn tenants(planned: &Planned, colour: bool) -> String {
    let rows = planned.tenants.iter().map(|tenant| {
        let place = match tenant.place {
            "dedicated" | "shared" => Cell::plain(tenant.place),
            other => Cell::coloured(other, Colour::Doubtful),
        };
        let shard = tenant.shard.map(|shard| shard.to_string()).unwrap_or_default();
        let subjects = Cell::plain(tenant.subjects.to_string());
        vec![Cell::plain(&tenant.name), Cell::plain(&tenant.class), place, Cell::plain(shard), subjects]
    });
    let rows: Vec<_> = rows.collect();
    Table::new(&["TENANT", "CLASS", "PLACE", "SHARD", "SUBJECTS"], colour).render(&rows)
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::{Value, json};

    use super::*;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        plan: PlanArgs,
    }

    const FILE: &str = "
apiVersion: v1
kind: List
items:
- apiVersion: bailey.dev/v1alpha1
  kind: FairnessClass
  metadata: {name: gold}
  spec: {priorityLevel: {shares: 60}}
- apiVersion: bailey.dev/v1alpha1
  kind: Tenant
  metadata: {name: shop}
  spec: {fairnessClass: gold, members: [{kind: User, name: sue}]}
- apiVersion: bailey.dev/v1alpha1
  kind: Tenant
  metadata: {name: lost}
  spec: {fairnessClass: platinum}
- apiVersion: v1
  kind: Namespace
  metadata: {name: shop-web, labels: {bailey.dev/tenant: shop}}
";

    async fn run_with(file: &str, arguments: &[&str]) -> anyhow::Result<String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("all.yaml");
        std::fs::write(&path, file).unwrap();
        let files = ["plan", "--files", path.to_str().unwrap()];
        let command = Command::try_parse_from([&files[..], arguments].concat())?;
        let mut out = Vec::new();
        run(&command.plan, &mut out, false).await?;
        Ok(String::from_utf8(out)?)
    }

    #[tokio::test]
    async fn changes_seats_and_places_are_shown() {
        let text = run_with(FILE, &[]).await.unwrap();
        let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert!(rows.contains(&vec!["create", "flowschema/bailey.tenant.shop"]), "{text}");
        assert!(rows.contains(&vec!["tenants-gold", "class", "60", "113", "56", "226", "17"]), "{text}");
        assert!(rows.contains(&vec!["shop", "gold", "dedicated", "-", "4"]), "{text}");
        assert!(rows.contains(&vec!["lost", "-", "none", "-", "0"]), "{text}");
        assert!(
            text.contains(
                "warning: tenant `lost` names class `platinum`, which is not there, and no default"
            )
        );
        let names = run_with(FILE, &["-o", "name"]).await.unwrap();
        assert_eq!(names.lines().count(), 5, "{names}");
    }

    #[tokio::test]
    async fn programs_have_the_objects_and_another_server_has_other_seats() {
        let arguments = ["-o", "json", "--concurrency", "6000", "--service-account", "ops:gate"];
        let found: Value = serde_json::from_str(&run_with(FILE, &arguments).await.unwrap()).unwrap();
        let changes = found["changes"].as_array().unwrap();
        let change = |name: &str| changes.iter().find(|line| line["name"] == name).unwrap();
        let subject = &change("bailey.own")["object"]["spec"]["rules"][0]["subjects"][0];
        assert_eq!(subject["serviceAccount"], json!({"namespace": "ops", "name": "gate"}));
        let gold = found["levels"].as_array().unwrap().iter().find(|level| level["name"] == "tenants-gold");
        assert_eq!(gold.unwrap()["seats"], 1_125);
        let shop = json!({"name": "shop", "class": "gold", "place": "dedicated", "subjects": 4});
        assert_eq!(found["tenants"][1], shop);
        // Whom the tenant names counts in its namespaces, and its service accounts everywhere.
        let rules = &change("bailey.tenant.shop")["object"]["spec"]["rules"];
        let (named, accounts) = (&rules[0]["resourceRules"][0], &rules[1]["resourceRules"][0]);
        assert_eq!((&named["namespaces"], &named["clusterScope"]), (&json!(["shop-web"]), &Value::Null));
        assert_eq!((&accounts["namespaces"], &accounts["clusterScope"]), (&json!(["*"]), &json!(true)));
    }

    #[tokio::test]
    async fn what_makes_no_sense_is_refused() {
        assert!(run_with(FILE, &["--concurrency", "0"]).await.is_err());
        assert!(run_with(FILE, &["--service-account", "bailey"]).await.is_err());
        let error = run_with("{kind: Nothing}", &[]).await.unwrap_err().to_string();
        assert!(error.contains("neither FairnessClasses nor Tenants"), "{error}");
    }
}
