//! What is refused before a policy runs: everything that regorus cannot stop once it has started.
//!
//! In this order, each with the position of the fault:
//! 1. [`source`]: the text is too long, nests too deep, or has numerals that take for ever to read;
//! 2. [`parse`](mod@parse): it is not Rego;
//! 3. [`facts`]: it calls built-ins that are not allowed, reads `data` that is not there, nests too deep;
//! 4. [`graph`]: rules call each other in a circle or too deep, or build values that nest too deep.

mod facts;
mod graph;
mod parse;
mod paths;
mod source;
mod walk;

use model::{Code, LoadFault, Position, RegoModule, RegoVersion};

use crate::Limits;

pub(super) use graph::MAX_VALUE_DEPTH;
pub(super) use parse::fault_of;
pub(super) use source::numeral_is_huge;

/// The rules that Bailey asks a policy for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    /// `deny`: findings.
    Deny,
    /// `violation`: findings, under the name Gatekeeper gave them.
    Violation,
    /// `warn`: findings that only warn.
    Warn,
    /// `patch`: JSON Patch operations.
    Patch,
}

impl Entry {
    const VALIDATING: [Self; 3] = [Self::Deny, Self::Violation, Self::Warn];

    /// The rule's name.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Deny => "deny",
            Self::Violation => "violation",
            Self::Warn => "warn",
            Self::Patch => "patch",
        }
    }
}

/// A policy that may run.
#[derive(Debug)]
pub(super) struct Checked {
    /// The modules, with every `print` made a `true` and every `_ :=` a `_ =`.
    pub(super) modules: Vec<RegoModule>,
    /// The path of the policy's package, such as `data.required_labels`.
    pub(super) package: String,
    /// The entry rules that it defines, in the order they are asked.
    pub(super) entries: Vec<Entry>,
    /// The most multiplications that one value can go through.
    pub(super) multiplications: u32,
}

/// Checks all modules of a policy; the first is the policy, the others are libraries.
///
/// Parsing recurses: call it on a thread with a big stack.
pub(super) fn check(
    version: RegoVersion,
    modules: &[RegoModule],
    declares_lookups: bool,
    mutates: bool,
    limits: &Limits,
) -> Result<Checked, LoadFault> {
    source::check(modules, limits)?;
    let parsed = modules.iter().map(|module| parse::parse(version, module)).collect::<Result<Vec<_>, _>>()?;
    let facts = facts::gather(&parsed, declares_lookups)?;
    let growth = graph::check(&facts)?;
    let Some(policy) = facts.packages.first() else {
        return Err(LoadFault::new(Code::PolicyInvalid, "the policy has no module"));
    };
    let entries = entries(&facts, policy, mutates)?;
    let modules = modules
        .iter()
        .enumerate()
        .map(|(index, module)| RegoModule { name: module.name.clone(), text: facts.rewritten(index, module) })
        .collect();
    let package = paths::dotted(policy);
    Ok(Checked { modules, package, entries, multiplications: growth.multiplications })
}

fn entries(facts: &facts::Facts, package: &[String], mutates: bool) -> Result<Vec<Entry>, LoadFault> {
    let mut found = Vec::new();
    for entry in Entry::VALIDATING.iter().chain([&Entry::Patch]) {
        let mut path = package.to_vec();
        path.push(entry.name().to_owned());
        if let Some(rule) = facts.rules.iter().find(|rule| rule.path == path) {
            if rule.arguments.is_some() {
                return Err(invalid(
                    &rule.place,
                    format!("`{}` is a function, it must be a rule", entry.name()),
                ));
            }
            if *entry == Entry::Patch && !mutates {
                let text = "`patch` is only asked of a policy with `mutates: true`";
                return Err(invalid(&rule.place, text));
            }
            found.push(*entry);
        } else if let Some(rule) = facts.rules.iter().find(|rule| rule.path.starts_with(&path)) {
            let text = format!(
                "`{0}` must be one rule, such as `{0} contains …`, not a path of rules",
                entry.name()
            );
            return Err(invalid(&rule.place, text));
        }
    }
    if found.is_empty() || (mutates && !found.contains(&Entry::Patch)) {
        let names = if mutates { "`patch`" } else { "`deny`, `violation` or `warn`" };
        let text = format!("package `{}` defines no rule named {names}", paths::dotted_tail(package));
        return Err(LoadFault {
            position: facts.place_of_policy(),
            ..LoadFault::new(Code::PolicyInvalid, text)
        });
    }
    Ok(found)
}

/// A fault of the policy's text at a place.
fn invalid(place: &Position, message: impl Into<String>) -> LoadFault {
    LoadFault { code: Code::PolicyInvalid, message: message.into(), position: Some(place.clone()) }
}
