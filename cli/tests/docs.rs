//! What the book says is what the program does: codes, flags, metrics, and links that lead somewhere.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail"
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::CommandFactory;

fn book() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").canonicalize().unwrap()
}

fn page(name: &str) -> String {
    std::fs::read_to_string(book().join(name)).unwrap()
}

/// The texts in backticks in the first column of every table.
fn first_column(text: &str) -> BTreeSet<String> {
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
    let cells = rows.filter_map(|row| row.split(" | ").next());
    cells.flat_map(|cell| cell.split("`, `").map(|name| name.trim_end_matches('`').to_owned())).collect()
}

#[test]
fn every_code_is_explained_and_no_other() {
    let documented = first_column(&page("operations/codes.md"));
    let codes: BTreeSet<_> = model::Code::ALL.iter().map(|code| code.as_str().to_owned()).collect();
    assert_eq!(documented, codes);
}

#[test]
fn every_flag_of_the_daemon_is_explained_with_its_variable() {
    let text = page("operations/daemon.md");
    let documented: BTreeSet<_> = first_column(&text)
        .into_iter()
        .filter_map(|name| Some(name.strip_prefix("--")?.to_owned()))
        .collect();
    let command = cli::Cli::command();
    let serve = command.find_subcommand("serve").unwrap();
    let flags: Vec<_> = serve.get_arguments().filter(|flag| flag.get_env().is_some()).collect();
    for flag in &flags {
        let variable = flag.get_env().unwrap().to_str().unwrap();
        assert!(text.contains(&format!("`{variable}`")), "{variable} is not explained");
    }
    let flags: BTreeSet<_> = flags.iter().map(|flag| flag.get_long().unwrap().to_owned()).collect();
    assert_eq!(documented, flags);
}

/// The commands that do something, by their names behind each other, with their own flags.
fn leaves(command: &clap::Command, path: &str) -> Vec<(String, Vec<String>)> {
    let path = if path.is_empty() {
        command.get_name().to_owned()
    } else {
        format!("{path} {}", command.get_name())
    };
    let flags = command.get_arguments().filter_map(|flag| Some(flag.get_long()?.to_owned()));
    let flags = flags.filter(|flag| flag != "help" && flag != "version").collect();
    let own = std::iter::once((path.clone(), flags));
    own.chain(command.get_subcommands().flat_map(|command| leaves(command, &path))).collect()
}

#[test]
fn every_command_about_tenants_and_rights_is_explained_with_its_flags() {
    let command = cli::Cli::command();
    let of_bailey = |name: &str| leaves(command.find_subcommand(name).unwrap(), "bailey");
    let forecasts = ["forecast", "recommend", "sample"].map(|name| {
        let quota = command.find_subcommand("quota").unwrap();
        leaves(quota.find_subcommand(name).unwrap(), "bailey quota")
    });
    let foresees = |path: &str| ["forecast", "recommend", "sample"].iter().any(|name| path.ends_with(name));
    let decisions = of_bailey("quota").into_iter().filter(|(path, _)| !foresees(path)).collect();
    let pages = [
        ("tenant-guide.md", leaves(&cli::TenantCli::command().name("tenant"), "kubectl")),
        ("operations/tenants-admin.md", [of_bailey("tenant"), of_bailey("rbac"), decisions].concat()),
        ("operations/exceptions.md", of_bailey("exception")),
        ("operations/forecast.md", forecasts.concat()),
        ("fairness.md", [of_bailey("fairness"), of_bailey("top")].concat()),
    ];
    for (name, commands) in pages {
        let text = page(name);
        assert!(commands.len() > 1);
        for (path, flags) in commands {
            assert!(text.contains(&path), "{name} does not explain `{path}`");
            for flag in flags {
                assert!(text.contains(&format!("--{flag}")), "{name} does not explain --{flag} of `{path}`");
            }
        }
    }
}

#[test]
fn every_metric_of_the_record_is_explained() {
    let mut registry = prometheus_client::registry::Registry::default();
    let _metrics = audit::AuditMetrics::register(&mut registry);
    let mut exposition = String::new();
    prometheus_client::encoding::text::encode(&mut exposition, &registry).unwrap();
    let documented = first_column(&page("telemetry.md"));
    let kinds = exposition.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let names: Vec<_> = kinds
        .map(|(name, kind)| if kind == "counter" { format!("{name}_total") } else { name.to_owned() })
        .collect();
    assert!(names.len() >= 8, "{names:?}");
    for name in names {
        assert!(documented.contains(&name), "{name} is not explained");
    }
}

/// The code blocks of a language on a page.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    let ends = page.split(&fence).skip(1).filter_map(|rest| rest.split_once("```"));
    ends.map(|(block, _)| block.to_owned()).collect()
}

#[test]
fn every_rego_example_may_run() {
    let examples = blocks(&page("authoring/rego.md"), "rego");
    assert!(examples.len() >= 2);
    for text in examples {
        let mutates = text.contains("\npatch ");
        let module = model::RegoModule { name: "policy.rego".into(), text };
        let limits = policies::Limits::default();
        let outcome = policies::rego::RegoProgram::compile(
            model::RegoVersion::V1,
            std::slice::from_ref(&module),
            false,
            mutates,
            &limits,
        );
        assert!(outcome.is_ok(), "{outcome:?}: {}", module.text);
    }
}

#[test]
fn the_example_of_a_policy_and_its_binding_is_read() {
    let example = blocks(&page("authoring/policies-and-bindings.md"), "yaml").remove(0);
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("example.yaml"), example).unwrap();
    let sources = tenancy::files::load(directory.path()).unwrap();
    assert_eq!((sources.policies.len(), sources.bindings.len()), (1, 1));
    assert_eq!(sources.policies[0].value.as_ref().err(), None);
    assert_eq!(sources.bindings[0].value.as_ref().err(), None);
}

#[test]
fn every_page_is_in_the_summary_and_every_link_leads_somewhere() {
    let mut pages = Vec::new();
    let mut folders = vec![book()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.extension().and_then(|extension| extension.to_str()) {
                _ if path.is_dir() => folders.push(path),
                Some("md") => pages.push(path),
                _ => {}
            }
        }
    }
    assert!(pages.len() > 10);
    let summary: BTreeSet<_> = links(&page("SUMMARY.md"))
        .into_iter()
        .map(|link| book().join(link).canonicalize().unwrap())
        .collect();
    for path in pages {
        assert!(path.ends_with("SUMMARY.md") || summary.contains(&path), "{} is not listed", path.display());
        for link in links(&std::fs::read_to_string(&path).unwrap()) {
            check_link(&path, &link);
        }
    }
}

fn check_link(page: &Path, link: &str) {
    if link.starts_with("https://") {
        return;
    }
    let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = if file.is_empty() { page.to_owned() } else { page.parent().unwrap().join(file) };
    let text = std::fs::read_to_string(&target).unwrap_or_else(|_| panic!("{}: `{link}`", page.display()));
    let mut headings = text.lines().filter(|line| line.starts_with('#')).map(anchor_of);
    assert!(anchor.is_empty() || headings.any(|heading| heading == anchor), "{}: `{link}`", page.display());
}

/// The anchor mdBook gives a heading.
fn anchor_of(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    text.chars()
        .filter_map(|c| match c {
            ' ' => Some('-'),
            c if c.is_alphanumeric() || matches!(c, '-' | '_') => Some(c),
            _ => None,
        })
        .collect()
}

fn links(text: &str) -> Vec<String> {
    let ends = text.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    ends.map(|(link, _)| link.to_owned()).collect()
}

#[test]
fn the_deployment_starts_the_daemon_with_flags_that_it_has() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/manifests/deployment.yaml");
    let text = std::fs::read_to_string(file).unwrap();
    let deployment = text.split("\n---\n").find(|part| part.contains("kind: Deployment")).unwrap();
    let object: serde_json::Value = serde_saphyr::from_str(deployment).unwrap();
    let container = &object["spec"]["template"]["spec"]["containers"][0];
    let flags = container["args"].as_array().unwrap().iter().map(|flag| flag.as_str().unwrap().to_owned());
    let command = cli::Cli::command().no_binary_name(true);
    let matches = command.try_get_matches_from(flags).unwrap();
    let serve = matches.subcommand_matches("serve").unwrap();
    // Every port that it listens on has a name, by which Services find it.
    let address = |flag: &str| serve.get_one::<std::net::SocketAddr>(flag).unwrap().port();
    let listening = ["listen", "http_listen", "api_listen", "peers_listen"].map(address);
    let ports = container["ports"].as_array().unwrap().iter();
    let ports: Vec<u64> = ports.map(|port| port["containerPort"].as_u64().unwrap()).collect();
    assert_eq!(ports, listening.map(u64::from));
    let peers: Vec<&server::PeerUrl> = serve.get_many("peers").unwrap().collect();
    assert_eq!((peers[0].host(), peers[0].port()), ("bailey-peers.bailey-system.svc", 8445));
}

#[test]
fn the_gateways_deployment_starts_it_with_flags_that_it_has() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/manifests/gateway-deployment.yaml");
    let text = std::fs::read_to_string(file).unwrap();
    let deployment = text.split("\n---\n").find(|part| part.contains("kind: Deployment")).unwrap();
    let object: serde_json::Value = serde_saphyr::from_str(deployment).unwrap();
    let container = &object["spec"]["template"]["spec"]["containers"][0];
    let flags = container["args"].as_array().unwrap().iter().map(|flag| flag.as_str().unwrap().to_owned());
    let matches = cli::Cli::command().no_binary_name(true).try_get_matches_from(flags).unwrap();
    let serve = matches.subcommand_matches("serve").unwrap();
    let address = |flag: &str| serve.get_one::<std::net::SocketAddr>(flag).unwrap().port();
    let ports = container["ports"].as_array().unwrap().iter();
    let ports: Vec<u64> = ports.map(|port| port["containerPort"].as_u64().unwrap()).collect();
    assert_eq!(ports, ["gateway_listen", "http_listen"].map(address).map(u64::from));
}
