//! No circle of calls in the compiled program.
//!
//! The check of the syntax tree gives the better message, but it takes a local variable for what it looks
//! like; the program says what is called in truth.

use regorus::Value;
use regorus::rvm::instructions::{Instruction, LiteralOrRegister};
use regorus::rvm::program::Program;

/// Refuses a program in which a rule comes to itself.
pub(super) fn refuse_circles(program: &Program) -> Result<(), String> {
    let edges = calls(program);
    let mut states = vec![State::Unseen; edges.len()];
    for rule in 0..edges.len() {
        visit(rule, &edges, &mut states).map_err(|rule| {
            let name =
                program.rule_infos.get(rule).map_or("a rule", |info| info.name.trim_start_matches("data."));
            format!("`{name}` comes to itself, Rego has no recursion")
        })?;
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Unseen,
    Active,
    Done,
}

fn visit(rule: usize, edges: &[Vec<usize>], states: &mut [State]) -> Result<(), usize> {
    match states.get_mut(rule) {
        Some(state @ State::Unseen) => *state = State::Active,
        Some(State::Active) => return Err(rule),
        _ => return Ok(()),
    }
    edges.get(rule).into_iter().flatten().try_for_each(|callee| visit(*callee, edges, states))?;
    if let Some(state) = states.get_mut(rule) {
        *state = State::Done;
    }
    Ok(())
}

/// Which rules each rule calls. The code that takes arguments apart stands before a rule's first body.
fn calls(program: &Program) -> Vec<Vec<usize>> {
    let mut edges = vec![Vec::new(); program.rule_infos.len()];
    let mut pending = Vec::new();
    let mut current = None;
    for instruction in &program.instructions {
        match instruction {
            Instruction::RuleInit { rule_index, .. } => current = Some(usize::from(*rule_index)),
            Instruction::CallRule { rule_index, .. } => pending.push(usize::from(*rule_index)),
            Instruction::FunctionCall { params_index } => {
                let params = program.instruction_data.function_call_params.get(usize::from(*params_index));
                pending.extend(params.map(|params| usize::from(params.func_rule_index)));
            }
            Instruction::VirtualDataDocumentLookup { params_index } => {
                looked_up(program, usize::from(*params_index), &mut pending);
            }
            // The entry points are code of no rule.
            Instruction::Return { .. } if current.is_none() => pending.clear(),
            _ => {}
        }
        if let Some(callees) = current.and_then(|rule| edges.get_mut(rule)) {
            callees.append(&mut pending);
        }
        if matches!(instruction, Instruction::RuleReturn {}) {
            current = None;
        }
    }
    edges
}

/// The rules at or below a path of `data`, up to its first dynamic part.
fn looked_up(program: &Program, params: usize, into: &mut Vec<usize>) {
    let Some(params) = program.instruction_data.virtual_data_document_lookup_params.get(params) else {
        return;
    };
    let mut node = &program.rule_tree["data"];
    for component in &params.path_components {
        let LiteralOrRegister::Literal(index) = component else { break };
        let Some(name) = program.literals.get(usize::from(*index)) else { break };
        if !matches!(node, Value::Object(_)) {
            break;
        }
        node = &node[name];
    }
    below(node, into);
}

fn below(node: &Value, into: &mut Vec<usize>) {
    match node {
        Value::Number(rule) => into.extend(rule.as_u64().and_then(|rule| usize::try_from(rule).ok())),
        Value::Object(fields) => fields.values().for_each(|child| below(child, into)),
        _ => {}
    }
}
