//! Text to syntax tree, with regorus' own parser, and its errors to positions.

use model::{Code, LoadFault, Position, RegoModule, RegoVersion};
use regorus::unstable::{Module, Parser};
use regorus::{PolicyLengthConfig, Source};

/// Parses one module.
pub(super) fn parse(version: RegoVersion, module: &RegoModule) -> Result<Module, LoadFault> {
    let fault = |error: &dyn std::fmt::Display| fault_of(&error.to_string(), std::slice::from_ref(module));
    let bounds = PolicyLengthConfig::default();
    let source = Source::from_contents_with_limits(
        module.name.clone(),
        module.text.clone(),
        bounds.max_file_bytes,
        bounds.max_lines,
    )
    .map_err(|error| fault(&error))?;
    let mut parser = Parser::new(&source).map_err(|error| fault(&error))?;
    parser.set_max_col(bounds.max_col);
    if version == RegoVersion::V1 {
        parser.enable_rego_v1().map_err(|error| fault(&error))?;
    }
    parser.parse().map_err(|error| fault(&error))
}

/// A fault of regorus' report: its first position and its last message.
///
/// The report has `--> module:line:column`, an excerpt of the source, then `error: message`.
pub(in crate::rego) fn fault_of(report: &str, modules: &[RegoModule]) -> LoadFault {
    let position = report
        .lines()
        .find_map(|line| line.trim_start().strip_prefix("--> "))
        .and_then(|place| position_of(place.trim()))
        .filter(|position| modules.iter().any(|module| module.name == position.module));
    let message = report.lines().find_map(|line| line.split_once("error: ")).map_or_else(
        || report.lines().find(|line| !line.trim().is_empty()).unwrap_or("it does not compile"),
        |(_, m)| m,
    );
    let message: String = message.trim().trim_end_matches('.').chars().take(400).collect();
    LoadFault { code: Code::PolicyInvalid, message, position }
}

fn position_of(place: &str) -> Option<Position> {
    let mut parts = place.rsplitn(3, ':');
    let column = parts.next()?.parse().ok()?;
    let line = parts.next()?.parse().ok()?;
    Some(Position { module: parts.next()?.to_owned(), line, column })
}
