//! Who calls whom: no circles, no long chains, no values that nest without bound.
//!
//! A value nests one level deeper only where a literal, a comprehension or a built-in wraps it. Without
//! recursion each of these runs at most once on the way from one value to the next, so the sum over a rule
//! and the functions it calls bounds how deep its value can be. Regorus compares, prints and drops values by
//! recursion: the bound is what keeps that on the stack.

use std::collections::BTreeMap;

use model::{LoadFault, Position};

use super::facts::{Call, Definition, Facts, RuleFacts};
use super::invalid;
use super::paths::dotted_tail;
use super::walk::check_arguments;

/// The longest chain of calls.
const MAX_CALLS: u32 = 64;
/// How deep a value from outside may be: the input, an object of the inventory, or parsed text.
const OUTSIDE_DEPTH: u32 = 128;
/// How deep a value may become.
pub(in crate::rego) const MAX_VALUE_DEPTH: u32 = 2_048;

/// What a rule can do to the values that go through it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Growth {
    /// Levels of nesting that its value adds to the deepest argument.
    nesting: u32,
    /// Levels of nesting that any value on the way adds.
    inside: u32,
    /// The deepest value it reads that is not an argument.
    outside: u32,
    /// Multiplications in a row.
    pub(super) multiplications: u32,
    /// The longest chain of calls below it.
    calls: u32,
}

/// Checks the graph and returns the greatest growth of any rule.
pub(super) fn check(facts: &Facts) -> Result<Growth, LoadFault> {
    let graph = Graph::new(facts);
    let mut states = vec![State::Unseen; facts.rules.len()];
    let mut worst = Growth::default();
    for index in 0..facts.rules.len() {
        let growth = graph.visit(index, &mut states, &mut Vec::new())?;
        worst.multiplications = worst.multiplications.max(growth.multiplications);
    }
    Ok(worst)
}

#[derive(Clone, Copy)]
enum State {
    Unseen,
    Active,
    Done(Growth),
}

struct Graph<'a> {
    rules: &'a [RuleFacts],
    by_path: BTreeMap<&'a [String], usize>,
}

impl<'a> Graph<'a> {
    fn new(facts: &'a Facts) -> Self {
        let by_path =
            facts.rules.iter().enumerate().map(|(index, rule)| (rule.path.as_slice(), index)).collect();
        Self { rules: &facts.rules, by_path }
    }

    fn visit(&self, index: usize, states: &mut [State], trail: &mut Vec<usize>) -> Result<Growth, LoadFault> {
        match states.get(index) {
            Some(State::Done(growth)) => return Ok(*growth),
            Some(State::Unseen) => {}
            _ => return Ok(Growth::default()),
        }
        let Some(rule) = self.rules.get(index) else { return Ok(Growth::default()) };
        set(states, index, State::Active);
        trail.push(index);
        let mut growth = Growth::default();
        for definition in &rule.definitions {
            let one = self.definition(definition, states, trail)?;
            growth.nesting = growth.nesting.max(if definition.scalar { 0 } else { one.inside });
            growth.inside = growth.inside.max(one.inside);
            growth.outside = growth.outside.max(one.outside);
            growth.multiplications = growth.multiplications.max(one.multiplications);
            growth.calls = growth.calls.max(one.calls);
        }
        growth.calls = growth.calls.saturating_add(1);
        check_growth(rule, growth)?;
        trail.pop();
        set(states, index, State::Done(growth));
        Ok(growth)
    }

    fn definition(
        &self,
        definition: &Definition,
        states: &mut [State],
        trail: &mut Vec<usize>,
    ) -> Result<Growth, LoadFault> {
        let mut growth = Growth {
            nesting: 0,
            inside: definition.constructors,
            outside: OUTSIDE_DEPTH,
            multiplications: definition.multiplications,
            calls: 0,
        };
        for call in &definition.calls {
            let place = &call.place;
            if let Some(callee) = self.called(call)? {
                let below = self.step(callee, place, states, trail)?;
                growth.inside = growth.inside.saturating_add(below.nesting);
                growth.multiplications = growth.multiplications.saturating_add(below.multiplications);
                growth.outside = growth.outside.max(below.outside);
                growth.calls = growth.calls.max(below.calls);
            }
        }
        for (path, place) in &definition.reads {
            for read in self.read(path, place)? {
                let below = self.step(read, place, states, trail)?;
                growth.outside = growth.outside.max(below.outside.saturating_add(below.nesting));
                growth.multiplications = growth.multiplications.saturating_add(below.multiplications);
                growth.calls = growth.calls.max(below.calls);
            }
        }
        Ok(growth)
    }

    fn step(
        &self,
        index: usize,
        place: &Position,
        states: &mut [State],
        trail: &mut Vec<usize>,
    ) -> Result<Growth, LoadFault> {
        if matches!(states.get(index), Some(State::Active)) {
            return Err(self.circle(index, place, trail));
        }
        self.visit(index, states, trail)
    }

    fn called(&self, call: &Call) -> Result<Option<usize>, LoadFault> {
        let index = self.by_path.get(call.path.as_slice()).copied();
        let takes = index.and_then(|index| self.rules.get(index)).and_then(|rule| rule.arguments);
        match takes {
            Some(takes) => {
                let name = call.path.last().map(String::as_str).unwrap_or_default();
                check_arguments(name, takes, call.given, &call.place).map(|()| index)
            }
            None => {
                let text = format!("`{}` is not a function of the policy", dotted_tail(&call.path));
                Err(invalid(&call.place, text))
            }
        }
    }

    /// The rules at, below or above a path that is read.
    fn read(&self, path: &[String], place: &Position) -> Result<Vec<usize>, LoadFault> {
        let mut found: Vec<usize> =
            (1..=path.len()).filter_map(|length| self.by_path.get(path.get(..length)?).copied()).collect();
        let below = self.by_path.range(path..).skip_while(|(known, _)| **known == path);
        found.extend(below.take_while(|(known, _)| known.starts_with(path)).map(|(_, index)| *index));
        if found.is_empty() {
            let text = format!(
                "`data.{}` is not there: only the policy's own rules and `data.inventory` can be read",
                dotted_tail(path)
            );
            return Err(invalid(place, text));
        }
        Ok(found)
    }

    fn circle(&self, index: usize, place: &Position, trail: &[usize]) -> LoadFault {
        let from = trail.iter().position(|known| *known == index).unwrap_or_default();
        let mut names: Vec<String> = trail
            .iter()
            .skip(from)
            .chain([&index])
            .filter_map(|index| self.rules.get(*index))
            .map(|rule| format!("`{}`", dotted_tail(&rule.path)))
            .collect();
        if names.len() > 8 {
            names.splice(4..names.len().saturating_sub(3), ["…".to_owned()]);
        }
        invalid(
            place,
            format!("rules call each other in a circle, Rego has no recursion: {}", names.join(" → ")),
        )
    }
}

fn check_growth(rule: &RuleFacts, growth: Growth) -> Result<(), LoadFault> {
    let name = dotted_tail(&rule.path);
    if growth.calls > MAX_CALLS {
        return Err(invalid(&rule.place, format!("`{name}` starts a chain of more than {MAX_CALLS} calls")));
    }
    if growth.outside.saturating_add(growth.inside) > MAX_VALUE_DEPTH {
        let text = format!("`{name}` can build a value that nests deeper than {MAX_VALUE_DEPTH} levels");
        return Err(invalid(&rule.place, text));
    }
    Ok(())
}

fn set(states: &mut [State], index: usize, state: State) {
    if let Some(slot) = states.get_mut(index) {
        *slot = state;
    }
}
