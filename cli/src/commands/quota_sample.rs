use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use tenancy::self_service::{Fault, Session, UsageSample};
use tokio::time::{MissedTickBehavior, interval};

use crate::Exit;
use crate::connection::ConnectArgs;
use crate::kubectl_tenant::duration;
use crate::output::note;

/// Arguments of `bailey quota sample`.
#[derive(Debug, Args)]
pub struct SampleArgs {
    /// The usage file to add to, `-` for standard output
    #[arg(long, value_name = "FILE", default_value = "-")]
    to: PathBuf,
    /// Only containers in this namespace
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// Again and again, such as every 1m, until it is interrupted
    #[arg(long, value_name = "TIME", value_parser = duration)]
    every: Option<Duration>,
    /// So many times, and then end
    #[arg(long, value_name = "TIMES", requires = "every", value_parser = clap::value_parser!(u64).range(1..))]
    times: Option<u64>,
    #[command(flatten)]
    connect: ConnectArgs,
}

pub(super) async fn run(args: &SampleArgs, out: &mut impl Write) -> anyhow::Result<Exit> {
    let session = args.connect.open(None).await?;
    let mut file = Samples::default();
    let Some(every) = args.every else {
        file.add(sample(&session, args).await?, &args.to, out)?;
        return Ok(Exit::Done);
    };
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut left = args.times;
    while left != Some(0) {
        ticks.tick().await;
        match sample(&session, args).await {
            Ok(samples) => file.add(samples, &args.to, out)?,
            // The API server may be away for a while: the next round tells more.
            Err(fault @ (Fault::Unreachable { .. } | Fault::Failed(_))) => note(&fault.to_string()),
            Err(fault) => return Err(fault.into()),
        }
        left = left.map(|left| left.saturating_sub(1));
    }
    Ok(Exit::Done)
}

async fn sample(session: &Session, args: &SampleArgs) -> Result<Vec<UsageSample>, Fault> {
    session.usage_samples(args.namespace.as_deref()).await
}

/// What was written last, since the metrics API may tell the same moment twice.
#[derive(Default)]
struct Samples(BTreeSet<UsageSample>);

impl Samples {
    fn add(&mut self, samples: Vec<UsageSample>, to: &Path, out: &mut impl Write) -> anyhow::Result<()> {
        let samples: BTreeSet<_> = samples.into_iter().collect();
        let mut text = Vec::new();
        for sample in samples.difference(&self.0) {
            serde_json::to_writer(&mut text, sample)?;
            text.push(b'\n');
        }
        if to.as_os_str() == "-" {
            out.write_all(&text)?;
            out.flush()?;
        } else {
            let file = OpenOptions::new().create(true).append(true).open(to);
            let written = file.and_then(|mut file| {
                file.write_all(&text)?;
                file.sync_data()
            });
            written.with_context(|| format!("`{}` cannot be written", to.display()))?;
        }
        self.0 = samples;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(time: &str) -> UsageSample {
        let text = |text: &str| text.to_owned();
        UsageSample {
            time: text(time),
            namespace: text("lab"),
            workload: text("web"),
            container: text("app"),
            pod: text("web-1"),
            cpu: Some(text("1")),
            memory: None,
            cpu_request: None,
            memory_request: None,
        }
    }

    #[test]
    fn a_moment_is_written_once_and_added_to_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("usage");
        let (mut samples, mut out) = (Samples::default(), Vec::new());
        for round in [vec![sample("one")], vec![sample("one")], vec![sample("two")]] {
            samples.add(round, &path, &mut out).unwrap();
        }
        Samples::default().add(vec![sample("three")], &path, &mut out).unwrap();
        let written = std::fs::read_to_string(&path).unwrap();
        let times: Vec<&str> = written.lines().filter_map(|line| line.split('"').nth(3)).collect();
        assert_eq!((times, out.clone()), (vec!["one", "two", "three"], Vec::new()));
        samples.add(vec![sample("four")], Path::new("-"), &mut out).unwrap();
        assert!(String::from_utf8(out).unwrap().starts_with(r#"{"time":"four","namespace":"lab""#));
        let error = Samples::default().add(vec![sample("x")], directory.path(), &mut Vec::new()).unwrap_err();
        assert!(error.to_string().ends_with("cannot be written"), "{error}");
    }
}
