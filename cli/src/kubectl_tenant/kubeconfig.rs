use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use tenancy::self_service::TokenTerms;

use super::Asked;
use crate::Exit;
use crate::output::note;
use crate::written::{Form, yaml};

/// Arguments of `kubectl tenant kubeconfig`.
#[derive(Debug, clap::Args)]
pub(super) struct KubeconfigArgs {
    /// With a new token of this service account of the namespace, instead of your own credentials
    #[arg(long, value_name = "NAME")]
    service_account: Option<String>,
    /// How long the token is good for, such as 30m, 12h or 7d
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = duration, requires = "service_account")]
    duration: Duration,
    /// Write it into this file, which nobody else can read, instead of printing it
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) async fn run(args: &KubeconfigArgs, asked: &mut Asked<'_, impl Write>) -> anyhow::Result<Exit> {
    let terms = args
        .service_account
        .as_ref()
        .map(|name| TokenTerms { service_account: name.clone(), duration: args.duration });
    let kubeconfig = asked.session.kubeconfig(terms.as_ref()).await?;
    let text = match asked.form {
        Form::Json => format!("{}\n", serde_json::to_string_pretty(&kubeconfig)?),
        _ => yaml(&kubeconfig)?,
    };
    match &args.out {
        Some(file) => {
            write_private(file, &text).with_context(|| format!("cannot write `{}`", file.display()))?;
            note(&format!("wrote `{}`: who has it, can act as it says", file.display()));
        }
        None => asked.out.write_all(text.as_bytes())?,
    }
    Ok(Exit::Done)
}

/// Writes a new file that only its owner can read; one that is there is not touched.
fn write_private(file: &Path, text: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    file.write_all(text.as_bytes())
}

/// A time such as `90s`, `30m`, `12h` or `7d`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let fault = || format!("`{text}` is no time: write it like `30m`, `12h` or `7d`");
    let end = text.len().checked_sub(1).ok_or_else(fault)?;
    let (number, unit) = text.split_at_checked(end).ok_or_else(fault)?;
    let seconds: u64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(fault()),
    };
    let count = number.parse::<u64>().ok().filter(|count| *count > 0).ok_or_else(fault)?;
    count.checked_mul(seconds).map(Duration::from_secs).ok_or_else(fault)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn times_are_read() {
        assert_eq!(duration("30m"), Ok(Duration::from_secs(1_800)));
        assert_eq!(duration("7d"), Ok(Duration::from_secs(604_800)));
        for bad in ["", "1", "0h", "-1h", "1w", "h", "1é", "99999999999999999999d"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_file_is_the_users_alone_and_none_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config");
        write_private(&file, "secret").unwrap();
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(write_private(&file, "other").is_err());
    }
}
