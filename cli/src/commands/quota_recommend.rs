use std::fs::File;
use std::io::{BufReader, Write};
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Args;
use quota::rightsize::{Advice, Options};
use serde::Serialize;
use time::OffsetDateTime;

use super::quota_forecast::{bytes, duration, span, units};
use super::quota_usage_file::{Container, Name, Told, read};
use crate::Exit;
use crate::output::{Cell, Colour, Table, note};
use crate::written::{Form, Written};

/// Arguments of `bailey quota recommend`.
#[derive(Debug, Args)]
pub struct RecommendArgs {
    /// What containers used: CSV with headings or JSON lines, `-` for standard input
    #[arg(long, value_name = "FILE")]
    usage: PathBuf,
    /// Only containers in this namespace
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// After this time a sample weighs half
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = duration)]
    half_life: i64,
    /// How many of a hundred cpu samples should fit
    #[arg(long, value_name = "PERCENT", default_value_t = 90, value_parser = clap::value_parser!(u8).range(1..=100))]
    cpu_percentile: u8,
    /// How many of a hundred daily peaks of memory should fit
    #[arg(long, value_name = "PERCENT", default_value_t = 95, value_parser = clap::value_parser!(u8).range(1..=100))]
    memory_percentile: u8,
    /// What is added to both, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 15, value_parser = clap::value_parser!(u8).range(0..=200))]
    margin: u8,
    /// The form of the output
    #[arg(short, long, value_enum, default_value = "table")]
    output: Form,
}

/// What is recommended for a container.
#[derive(Debug, Serialize)]
struct Line {
    namespace: String,
    workload: String,
    container: String,
    cpu: Amounts,
    memory: Amounts,
}

/// Of one resource, in cores or bytes.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Amounts {
    request: Option<f64>,
    recommended: Option<f64>,
    /// Negative where more is recommended than it asks for.
    saving: Option<f64>,
    samples: u64,
    ignored: u64,
    span_seconds: i64,
}

pub(super) fn run(args: &RecommendArgs, out: &mut impl Write, colour: bool) -> anyhow::Result<Exit> {
    let now = OffsetDateTime::now_utc().unix_timestamp();
    let told = args.read(now)?;
    if told.unread > 0 {
        let fault = told.fault.as_deref().unwrap_or_default();
        if told.read == 0 {
            bail!("no line of the usage file could be read; {fault}");
        }
        note(&format!("{} lines of the usage file could not be read; the first is {fault}", told.unread));
    }
    let wanted = |name: &Name| args.namespace.as_ref().is_none_or(|namespace| *namespace == name.namespace);
    let found = told.containers.iter().filter(|(name, _)| wanted(name));
    let lines: Vec<Line> = found.map(|(name, container)| line(name, container)).collect();
    let names = lines.iter().map(Line::name).collect();
    Written { value: &lines, text: table(&lines, colour), names }.write(args.output, out)?;
    Ok(Exit::Done)
}

impl RecommendArgs {
    fn options(&self) -> Options {
        let share = |percent: u8| f64::from(percent) / 100.0;
        Options {
            half_life: self.half_life,
            cpu_share: share(self.cpu_percentile),
            memory_share: share(self.memory_percentile),
            margin: share(self.margin),
            ..Options::default()
        }
    }

    fn read(&self, now: i64) -> anyhow::Result<Told> {
        if self.usage.as_os_str() == "-" {
            return read(&mut std::io::stdin().lock(), self.options(), now);
        }
        let path = self.usage.display();
        let file = File::open(&self.usage).with_context(|| format!("`{path}` cannot be read"))?;
        read(&mut BufReader::new(file), self.options(), now)
    }
}

fn line(name: &Name, container: &Container) -> Line {
    let advice = container.usage.recommend();
    let amounts = |advice: Advice, request: Option<f64>| Amounts {
        request,
        recommended: advice.request,
        saving: request.and_then(|request| advice.saving(request)),
        samples: advice.samples,
        ignored: advice.ignored,
        span_seconds: advice.span,
    };
    Line {
        namespace: name.namespace.clone(),
        workload: name.workload.clone(),
        container: name.container.clone(),
        cpu: amounts(advice.cpu, container.cpu_request),
        memory: amounts(advice.memory, container.memory_request),
    }
}

impl Line {
    fn name(&self) -> String {
        [self.namespace.as_str(), &self.workload, &self.container].join("/")
    }
}

fn table(lines: &[Line], colour: bool) -> String {
    let headings = [
        "NAMESPACE",
        "WORKLOAD",
        "CONTAINER",
        "CPU",
        "RECOMMENDED",
        "SAVING",
        "MEMORY",
        "RECOMMENDED",
        "SAVING",
        "SAMPLES",
        "IGNORED",
    ];
    let rows: Vec<_> = lines
        .iter()
        .map(|line| {
            let seconds = line.cpu.span_seconds.max(line.memory.span_seconds);
            let samples = format!("{} over {}", line.cpu.samples.max(line.memory.samples), span(seconds));
            let ignored = line.cpu.ignored.max(line.memory.ignored).to_string();
            let names = [&line.namespace, &line.workload, &line.container].map(Cell::plain);
            let cpu = cells(&line.cpu, units);
            let memory = cells(&line.memory, bytes);
            let rest = [Cell::plain(samples), Cell::plain(ignored)];
            names.into_iter().chain(cpu).chain(memory).chain(rest).collect()
        })
        .collect();
    Table::new(&headings, colour).render(&rows)
}

fn cells(amounts: &Amounts, shown: impl Fn(f64) -> String) -> [Cell; 3] {
    let cell = |amount: Option<f64>| Cell::plain(amount.map(&shown).unwrap_or_default());
    let recommended = match amounts.recommended {
        Some(amount) => Cell::plain(shown(amount)),
        None => Cell::plain("not enough samples"),
    };
    let saving = match amounts.saving {
        Some(saving) if saving < 0.0 => Cell::coloured(&shown(saving), Colour::Doubtful),
        saving => cell(saving),
    };
    [cell(amounts.request), recommended, saving]
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::Value;

    use super::*;
    use crate::{Cli, Command};

    fn run_with(text: &str, arguments: &[&str]) -> anyhow::Result<String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("usage");
        std::fs::write(&path, text).unwrap();
        let all = ["bailey", "quota", "recommend", "--usage", path.to_str().unwrap()];
        let cli = Cli::parse_from(all.iter().chain(arguments));
        let Command::Quota(super::super::quota::QuotaCommand::Recommend(args)) = cli.command else {
            panic!("another command")
        };
        let mut out = Vec::new();
        run(&args, &mut out, false)?;
        Ok(String::from_utf8(out).unwrap())
    }

    /// A day of samples every half an hour.
    fn usage() -> String {
        let start = OffsetDateTime::now_utc().unix_timestamp().saturating_sub(86_400);
        let lines = (0..48_i64).map(|number| {
            let at = start.saturating_add(number.saturating_mul(1_800));
            let memory = if number == 20 { "2Gi" } else { "1Gi" };
            format!("{at},lab,web,app,500m,{memory},2,4Gi\n{at},shop,db,db,900m,,500m,\n")
        });
        let heading = "time,namespace,workload,container,cpu,memory,cpu_request,memory_request\n".to_owned();
        heading + &lines.collect::<String>() + "1,lab,job,once,1,1Mi,,\n"
    }

    #[test]
    fn what_to_request_is_shown_beside_what_is_requested() {
        let text = run_with(&usage(), &[]).unwrap();
        let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(rows.len(), 4, "{text}");
        assert!(rows[1].starts_with(&["lab", "job", "once", "-", "not", "enough", "samples"]), "{text}");
        let json: Vec<Value> = serde_json::from_str(&run_with(&usage(), &["-o", "json"]).unwrap()).unwrap();
        let near = |value: &Value, wanted: f64| (value.as_f64().unwrap() / wanted - 1.0).abs() < 0.06;
        let (web, db) = (&json[1], &json[2]);
        assert!(near(&web["cpu"]["recommended"], 0.575), "{web}");
        assert!(near(&web["cpu"]["saving"], 1.425), "{web}");
        // The peak of a moment counts.
        assert!(near(&web["memory"]["recommended"], 2.3 * 1_073_741_824.0), "{web}");
        assert!(db["cpu"]["saving"].as_f64().unwrap() < 0.0, "it asks for too little: {db}");
        assert_eq!((&db["memory"]["recommended"], &db["memory"]["samples"]), (&Value::Null, &0.into()));
    }

    #[test]
    fn percentile_margin_and_namespace_are_chosen() {
        let arguments =
            ["-n", "shop", "--margin", "100", "--half-life", "12h", "--cpu-percentile", "50", "-o", "json"];
        let json: Vec<Value> = serde_json::from_str(&run_with(&usage(), &arguments).unwrap()).unwrap();
        assert_eq!(json.len(), 1);
        assert!((json[0]["cpu"]["recommended"].as_f64().unwrap() / 1.8 - 1.0).abs() < 0.06, "{json:?}");
        assert_eq!(run_with(&usage(), &["-n", "shop", "-o", "name"]).unwrap(), "shop/db/db\n");
    }

    #[test]
    fn a_file_of_which_no_line_can_be_read_is_an_error() {
        let error = run_with("time,namespace,workload,container\nx,y,z,a\n", &[]).unwrap_err().to_string();
        assert!(
            error.starts_with("no line of the usage file could be read; line 2: \"x\" is no time"),
            "{error}"
        );
    }
}
