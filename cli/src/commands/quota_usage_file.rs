//! A file of what containers used: CSV with a line of headings, or JSON lines.
//!
//! Lines that cannot be read are counted and left out. A line is read to 64 KiB, a file may tell of 100,000 containers.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read as _};

use anyhow::{Context as _, bail};
use quota::rightsize::{Options, Sample, Usage};
use serde::Deserialize;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

const LINE: u64 = 64 << 10;
const CONTAINERS: usize = 100_000;
const COLUMNS: [&str; 8] =
    ["time", "namespace", "workload", "container", "cpu", "memory", "cpu_request", "memory_request"];

/// A container of a workload.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name {
    pub(super) namespace: String,
    pub(super) workload: String,
    pub(super) container: String,
}

/// What a container used, and what it last asked for.
#[derive(Debug)]
pub(super) struct Container {
    pub(super) usage: Usage,
    /// In cores.
    pub(super) cpu_request: Option<f64>,
    /// In bytes.
    pub(super) memory_request: Option<f64>,
    asked_at: i64,
}

/// What a file tells.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) containers: BTreeMap<Name, Container>,
    /// Lines that could be read.
    pub(super) read: u64,
    /// Lines that could not.
    pub(super) unread: u64,
    /// The first of them, and why.
    pub(super) fault: Option<String>,
}

/// A line; amounts are texts or numbers.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Fields {
    time: Value,
    namespace: String,
    workload: String,
    container: String,
    cpu: Value,
    memory: Value,
    cpu_request: Value,
    memory_request: Value,
}

/// Reads a file to its end; what lies after `now` is counted as ignored.
pub(super) fn read(file: &mut impl BufRead, options: Options, now: i64) -> anyhow::Result<Told> {
    let mut told = Told::default();
    let (mut number, mut headings): (u64, Option<Vec<Option<&str>>>) = (0, None);
    while let Some(line) = next(file).context("the usage file cannot be read")? {
        number = number.saturating_add(1);
        let line = line.trim().trim_start_matches('\u{feff}');
        if line.is_empty() {
            continue;
        }
        let fields = match (&headings, line.starts_with('{')) {
            (_, true) => serde_json::from_str(line).map_err(|error| error.to_string()),
            (Some(headings), false) => Ok(by_heading(headings, line)),
            (None, false) => {
                headings = Some(columns(line)?);
                continue;
            }
        };
        match fields.and_then(|fields| told.take(&fields, options, now)) {
            Ok(()) => told.read = told.read.saturating_add(1),
            Err(why) => {
                told.unread = told.unread.saturating_add(1);
                told.fault.get_or_insert_with(|| format!("line {number}: {why}"));
            }
        }
        if told.containers.len() > CONTAINERS {
            bail!("the usage file tells of more than {CONTAINERS} containers: give one of fewer namespaces");
        }
    }
    Ok(told)
}

/// The next line, or what there is of one that is too long, which is then no line that can be read.
fn next(file: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    file.by_ref().take(LINE).read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    if !line.ends_with(b"\n") {
        // The rest of it goes in pieces, so that memory stays what it is.
        let mut piece = Vec::new();
        while file.by_ref().take(LINE).read_until(b'\n', &mut piece)? > 0 && !piece.ends_with(b"\n") {
            piece.clear();
        }
    }
    Ok(Some(String::from_utf8_lossy(&line).into_owned()))
}

/// Which column each field of a line is; `None` for one of another name.
fn columns(line: &str) -> anyhow::Result<Vec<Option<&'static str>>> {
    let cells = line.split(',').map(|cell| cell.trim().trim_matches('"').to_ascii_lowercase());
    let found: Vec<_> = cells.map(|cell| COLUMNS.into_iter().find(|column| *column == cell)).collect();
    for column in ["time", "namespace", "workload", "container"] {
        if !found.contains(&Some(column)) {
            bail!(
                "the usage file has no column `{column}`: its first line must name the columns, such as \
                 `time,namespace,workload,container,cpu,memory`, or each line must be a JSON object"
            );
        }
    }
    Ok(found)
}

fn by_heading(headings: &[Option<&'static str>], line: &str) -> Fields {
    let mut fields = Fields::default();
    for (heading, cell) in headings.iter().zip(line.split(',')) {
        let cell = cell.trim().trim_matches('"').to_owned();
        match *heading {
            Some("time") => fields.time = cell.into(),
            Some("namespace") => fields.namespace = cell,
            Some("workload") => fields.workload = cell,
            Some("container") => fields.container = cell,
            Some("cpu") => fields.cpu = cell.into(),
            Some("memory") => fields.memory = cell.into(),
            Some("cpu_request") => fields.cpu_request = cell.into(),
            Some("memory_request") => fields.memory_request = cell.into(),
            _ => {}
        }
    }
    fields
}

impl Told {
    fn take(&mut self, fields: &Fields, options: Options, now: i64) -> Result<(), String> {
        let at = time_of(&fields.time)?;
        if fields.workload.is_empty() || fields.container.is_empty() {
            return Err("`workload` or `container` is empty".to_owned());
        }
        let name = Name {
            namespace: fields.namespace.clone(),
            workload: fields.workload.clone(),
            container: fields.container.clone(),
        };
        let sample =
            Sample { at, cpu: amount("cpu", &fields.cpu)?, memory: amount("memory", &fields.memory)? };
        let cpu_request = amount("cpu_request", &fields.cpu_request)?;
        let memory_request = amount("memory_request", &fields.memory_request)?;
        let container = self.containers.entry(name).or_insert_with(|| Container {
            usage: Usage::new(options),
            cpu_request: None,
            memory_request: None,
            asked_at: i64::MIN,
        });
        container.usage.add(sample, now);
        if at >= container.asked_at && at <= now {
            container.asked_at = at;
            container.cpu_request = cpu_request.or(container.cpu_request);
            container.memory_request = memory_request.or(container.memory_request);
        }
        Ok(())
    }
}

/// Seconds since 1970 of an RFC 3339 text or of a number of seconds.
fn time_of(value: &Value) -> Result<i64, String> {
    let found = match value {
        Value::String(text) => match OffsetDateTime::parse(text, &Rfc3339) {
            Ok(time) => Some(time.unix_timestamp()),
            Err(_) => text.parse().ok(),
        },
        number => number.as_i64(),
    };
    let shown = || value.to_string().chars().take(40).collect::<String>();
    found.ok_or_else(|| format!("{} is no time: give RFC 3339 or seconds since 1970", shown()))
}

/// A quantity, in units; `None` where there is none.
fn amount(name: &str, value: &Value) -> Result<Option<f64>, String> {
    let read = match value {
        Value::Null => return Ok(None),
        Value::String(text) if text.is_empty() => return Ok(None),
        Value::String(text) => model::quantity(text).map(in_units),
        number => number.as_f64(),
    };
    let shown = || value.to_string().chars().take(40).collect::<String>();
    read.map(Some).ok_or_else(|| format!("`{name}` is {}, which is no quantity", shown()))
}

fn in_units(billionths: i128) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a percentile is no account")]
    let billionths = billionths as f64;
    billionths / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn told(text: &str) -> anyhow::Result<Told> {
        read(&mut text.as_bytes(), Options::default(), NOW)
    }

    #[test]
    fn csv_and_json_lines_say_the_same() {
        let csv = "\u{feff}Time,namespace,workload,container,node,cpu,memory,cpu_request,memory_request\n\
                   1799990000,lab,web,app,n1,250m,64Mi,1,\n\
                   2027-01-15T05:26:40Z,\"lab\",web,app,n1,0.5,,500m,128Mi\n\n";
        let json = r#"
            {"time": 1799990000, "namespace": "lab", "workload": "web", "container": "app", "cpu": 0.25, "memory": 67108864, "cpu_request": 1}
            {"time": "1799990800", "namespace": "lab", "workload": "web", "container": "app", "cpu": "500000000n", "memory": null, "cpu_request": "0.5", "memory_request": "128Mi", "more": []}"#;
        for text in [csv, json] {
            let told = told(text).unwrap();
            assert_eq!((told.read, told.unread, told.containers.len()), (2, 0, 1), "{:?}", told.fault);
            let container = told.containers.values().next().unwrap();
            assert_eq!((container.cpu_request, container.memory_request), (Some(0.5), Some(134_217_728.0)));
            let found = container.usage.recommend();
            assert_eq!((found.cpu.samples, found.memory.samples), (2, 1));
        }
    }

    #[test]
    fn lines_that_cannot_be_read_are_counted_and_the_first_is_named() {
        let text = "time,namespace,workload,container,cpu,memory\n\
                    1799990000,lab,web,app,1,1\n\
                    yesterday,lab,web,app,1,1\n\
                    1799990000,lab,,app,1,1\n\
                    1799990000,lab,web,app,NaN,1\n\
                    {\"time\": {}}\n\
                    {not json\n";
        let told = told(&format!("{text}{}\n1799990001,lab,web,app,1,1", "x".repeat(200_000))).unwrap();
        assert_eq!((told.read, told.unread), (2, 6));
        assert_eq!(
            told.fault.unwrap(),
            "line 3: \"yesterday\" is no time: give RFC 3339 or seconds since 1970"
        );
    }

    #[test]
    fn what_cannot_be_used_is_ignored_and_counted_by_container() {
        let text = "time,namespace,workload,container,cpu,memory\n\
                    1799990000,lab,web,app,-1,1e15\n1800000001,lab,web,app,1,1\n";
        let told = told(text).unwrap();
        let found = told.containers.values().next().unwrap().usage.recommend();
        assert_eq!((found.cpu.ignored, found.memory.ignored), (2, 2));
    }

    #[test]
    fn a_file_without_headings_says_what_is_missing() {
        let error = told("1799990000,lab,web,app,1,1\n").unwrap_err().to_string();
        assert!(error.contains("no column `time`") && error.contains("JSON object"), "{error}");
        assert!(told("").unwrap().containers.is_empty());
    }

    #[test]
    fn nothing_panics_whatever_the_bytes() {
        for seed in 0..200_u32 {
            let bytes: Vec<u8> =
                (0..500_u32).map(|n| n.wrapping_mul(seed).wrapping_add(n >> 3).to_le_bytes()[0]).collect();
            let mut all = b"time,namespace,workload,container,cpu,memory\n".to_vec();
            all.extend(bytes);
            let told = read(&mut all.as_slice(), Options::default(), NOW).unwrap();
            assert!(told.unread > 0 || told.read > 0 || seed < 2);
        }
    }
}
