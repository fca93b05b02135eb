//! The binary as a user meets it: what it prints where, and what it exits with.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail")]

use std::process::{Command, Output, Stdio};

fn bailey(arguments: &[&str]) -> Output {
    // No variable of whoever runs the test may stand in for a flag.
    let mut command = Command::new(env!("CARGO_BIN_EXE_bailey"));
    command.args(arguments).env_clear().current_dir(std::env::temp_dir()).output().unwrap()
}

fn shown(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn each_way_out_has_its_exit_code_and_says_why() {
    let absent = "/nonexistent/audit.db";
    let cases: [(&[&str], i32, &str); 7] = [
        (&["version"], 0, ""),
        (&["audit", "tail", "--audit-db", "/dev/null"], 1, "error: `/dev/null` is not an audit store\n"),
        (&["audit", "tial"], 2, "a similar subcommand exists: 'tail'"),
        (&["serve"], 2, "--tls-cert <FILE>"),
        (
            &["audit", "show", "ffffffff", "--audit-db", absent],
            3,
            "there is no audit store at `/nonexistent/audit.db`",
        ),
        (
            &["audit", "tail", "--audit-db", absent],
            3,
            "start `bailey serve --audit-db /nonexistent/audit.db`",
        ),
        (&["crds", "--check", "/nonexistent"], 4, ""),
    ];
    for (arguments, code, text) in cases {
        let output = bailey(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", shown(&output.stderr));
        assert!(shown(&output.stderr).contains(text), "{arguments:?}: {}", shown(&output.stderr));
    }
}

#[test]
fn version_and_definitions_go_to_standard_output() {
    assert_eq!(shown(&bailey(&["version"]).stdout), format!("bailey {}\n", env!("CARGO_PKG_VERSION")));
    let definitions = bailey(&["crds"]);
    assert!(
        shown(&definitions.stdout).contains("name: policybindings.bailey.dev"),
        "{}",
        shown(&definitions.stdout)
    );
    assert!(shown(&bailey(&["completions", "bash"]).stdout).starts_with("_bailey()"));
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bailey"));
    let mut child = command.arg("crds").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), shown(&output.stderr)), (Some(0), ""));
}
