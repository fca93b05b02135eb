//! The binaries as users run them: `kubectl tenant` and `bailey`.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::{User, World, until_some};

/// What a command said.
#[derive(Debug, Clone)]
pub struct Said {
    /// The exit code.
    pub code: i32,
    /// Standard output.
    pub text: String,
    /// Standard error.
    pub error: String,
}

impl Said {
    /// What a process said.
    ///
    /// # Panics
    /// When a signal ended it.
    pub fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code: output.status.code().unwrap(), text: text(&output.stdout), error: text(&output.stderr) }
    }

    /// Runs the command until what it says is as wanted: rights follow a moment later than tenants.
    ///
    /// # Panics
    /// When it does not say so soon.
    pub async fn until(command: impl Fn() -> Self, wanted: impl Fn(&Self) -> bool) -> Self {
        let mut last = None;
        until_some("the command says what is wanted", async || {
            let said = command();
            if wanted(&said) {
                return Some(said);
            }
            // The last word is in the test's output where it is waited in vain.
            let text = format!("{said:?}");
            if last.as_ref() != Some(&text) {
                println!("{text}");
                last = Some(text);
            }
            None
        })
        .await
    }

    /// Standard output as JSON; null where it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }
}

/// Runs `kubectl tenant …` as a user.
///
/// # Panics
/// When it cannot be started.
pub fn tenant(user: User, arguments: &[&str]) -> Said {
    tenant_stdin(user, arguments, "")
}

/// Runs `kubectl tenant …` as a user who types this.
///
/// # Panics
/// As [`tenant`].
pub fn tenant_stdin(user: User, arguments: &[&str], input: &str) -> Said {
    run(user, "kubectl-tenant", arguments, input)
}

/// Runs `bailey …` as a user.
///
/// # Panics
/// As [`tenant`].
pub fn bailey(user: User, arguments: &[&str]) -> Said {
    run(user, "bailey", arguments, "")
}

fn run(user: User, binary: &str, arguments: &[&str], input: &str) -> Said {
    let world = World::shared();
    let mut command = Command::new(world.bailey.settings.binary.with_file_name(binary));
    command.env("KUBECONFIG", world.access().kubeconfig(user)).args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A command that reads nothing may have ended.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    Said::of(&child.wait_with_output().unwrap())
}
