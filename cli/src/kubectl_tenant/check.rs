use std::io::{Read as _, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tenancy::self_service::{Checked, Fault, Verdict};

use super::Asked;
use crate::Exit;
use crate::output::{Cell, Colour, fields};

/// Arguments of `kubectl tenant check`.
#[derive(Debug, clap::Args)]
pub(super) struct CheckArgs {
    /// A file of objects as YAML or JSON, or - for standard input; may be given several times
    #[arg(short = 'f', long = "filename", value_name = "FILE", required = true, num_args = 1..)]
    files: Vec<PathBuf>,
}

pub(super) async fn run(args: &CheckArgs, asked: &mut Asked<'_, impl Write>) -> anyhow::Result<Exit> {
    let mut all: Vec<Checked> = Vec::new();
    for file in &args.files {
        let text = read(file)?;
        let checked = asked.session.check(&text).await.map_err(|fault| match fault {
            Fault::Usage(why) => Fault::Usage(format!("`{}`: {why}", file.display())),
            other => other,
        })?;
        all.extend(checked);
    }
    if all.is_empty() {
        return Err(Fault::Usage("there is no object in what was given".to_owned()).into());
    }
    let text: String = all.iter().map(|checked| text(checked, asked.colour)).collect();
    let passes = |checked: &&Checked| checked.verdict == Verdict::Admitted;
    let names = all.iter().filter(|checked| !passes(checked)).map(|checked| checked.object.clone()).collect();
    asked.write(&all, text, names)?;
    Ok(if all.iter().all(|checked| passes(&checked)) { Exit::Done } else { Exit::Differs })
}

fn read(file: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    if file == Path::new("-") {
        std::io::stdin().read_to_string(&mut text).context("cannot read standard input")?;
        return Ok(text);
    }
    let missing = |error: &std::io::Error| error.kind() == std::io::ErrorKind::NotFound;
    match std::fs::read_to_string(file) {
        Err(error) if missing(&error) => {
            Err(Fault::NotFound(format!("there is no file `{}`", file.display())).into())
        }
        read => read.with_context(|| format!("cannot read `{}`", file.display())),
    }
}

/// One object as people see it.
fn text(checked: &Checked, colour: bool) -> String {
    let (verdict, shade) = match checked.verdict {
        Verdict::Admitted if checked.warnings.is_empty() => ("admitted", Colour::Good),
        Verdict::Admitted => ("admitted, with warnings", Colour::Doubtful),
        Verdict::Refused => ("refused", Colour::Bad),
        Verdict::Unknown => ("not known", Colour::Doubtful),
    };
    let mut rows = vec![
        ("Object", Cell::plain(format!("{} ({})", checked.object, checked.operation))),
        ("Verdict", Cell::coloured(verdict, shade)),
    ];
    rows.extend(checked.warnings.iter().map(|warning| ("Warning", Cell::plain(warning))));
    if let Some(by) = checked.refused_by {
        let code = checked.code.as_ref().map(|code| format!(" ({code})")).unwrap_or_default();
        rows.push(("By", Cell::plain(by).followed_by(&code)));
    }
    if !checked.message.is_empty() {
        rows.push(("Why", Cell::plain(&checked.message)));
    }
    rows.extend(checked.decision.as_ref().map(|decision| ("Decision", Cell::plain(decision))));
    format!("{}\n", fields(&rows, colour))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_by_whom_why_and_under_which_id() {
        let checked = Checked {
            object: "v1 Pod a/web".into(),
            operation: "create",
            verdict: Verdict::Refused,
            warnings: vec!["old\nimage".into()],
            message: "label `owner` is missing".into(),
            refused_by: Some("Bailey"),
            code: Some("policy_denied".into()),
            decision: Some("0190".into()),
        };
        let expected = "Object    v1 Pod a/web (create)
Verdict   refused
Warning   old\\nimage
By        Bailey (policy_denied)
Why       label `owner` is missing
Decision  0190

";
        let shown: Vec<_> = text(&checked, false).lines().map(|line| line.trim_end().to_owned()).collect();
        assert_eq!(shown, expected.lines().collect::<Vec<_>>());
    }
}
