//! Calls of guards put into a compiled program, where regorus' machine neither bounds nor checks.
//!
//! - A value that goes into a collection is weighed first. So the size of every value, shared parts counted
//!   each time, is paid from the evaluation's budget when it is built, and comparing two values, which nothing
//!   interrupts, ends in short time.
//! - Definitions of one rule that come to different values are an error in Rego. The machine makes the rule
//!   undefined instead, which would let a request pass; the guard makes it an error again.
//! - `*` is the guarded multiplication.
//! - What is undefined is bound to no variable and becomes no member of a collection and no value of a rule:
//!   the body fails, as Rego has it. The machine goes on with it, and `count` would count it.
//! - The body of a comprehension gets a loop of its own, see `comprehensions`.
//!
//! The guards are calls of built-ins that the policy cannot name. As they make the program longer, all
//! positions in it are moved.

use std::collections::BTreeSet;

use regorus::rvm::instructions::{BuiltinCallParams, GuardMode, Instruction};
use regorus::rvm::program::{BuiltinInfo, Program, RuleInfo, RuleType};
use regorus::{Rc, Value};

use super::builtins::{BOUND, FIELD, MULTIPLY, RESULT, guarded};
use super::comprehensions::Bodies;

/// The most arguments a call can have.
const MAX_ARGUMENTS: usize = 8;
/// Registers of our own in the rules that need them: one to compare results, two for loops.
const OWN_REGISTERS: u8 = 3;

/// Puts the guards in; says why not, where the program has no room for them.
pub(super) fn instrument(program: &mut Program) -> Result<(), String> {
    for (info, slot) in program.builtin_info_table.iter().zip(&mut program.resolved_builtins) {
        *slot = guarded(&info.name).ok_or_else(|| format!("the built-in `{}` is not served", info.name))?;
    }
    let guards = Guards::add(program)?;
    let old = std::mem::take(&mut program.instructions);
    let old_spans = std::mem::take(&mut program.instruction_spans);
    let mut moved = Vec::with_capacity(old.len().saturating_add(1));
    let mut rule = None;
    let mut scratched = BTreeSet::new();
    let mut bodies = Bodies::default();
    for (position, instruction) in old.into_iter().enumerate() {
        moved.push(program.instructions.len());
        match instruction {
            Instruction::RuleInit { rule_index, .. } => rule = Some(usize::from(rule_index)),
            Instruction::ComprehensionEnd {} => bodies.end(program)?,
            _ => {}
        }
        guards.before(program, &instruction, rule, &mut scratched)?;
        let instruction = guards.instead(program, instruction);
        program.instructions.push(instruction);
        guards.after(program, &instruction);
        if let Instruction::ComprehensionBegin { .. } = instruction {
            let [_, registers @ ..] = own_registers(program, rule)?;
            bodies.begin(program, registers.into())?;
            scratched.extend(rule);
        }
        let span = old_spans.get(position).cloned().flatten();
        program.instruction_spans.resize(program.instructions.len(), span);
    }
    moved.push(program.instructions.len());
    relocate(program, &moved)?;
    bodies.place(program)?;
    for rule in scratched {
        let Some(info) = program.rule_infos.get_mut(rule) else { continue };
        info.num_registers = info.num_registers.saturating_add(OWN_REGISTERS);
        program.max_rule_window_size = program.max_rule_window_size.max(info.num_registers);
    }
    program.rule_infos.iter_mut().for_each(slim);
    program.validate_limits()
}

/// The registers behind those that the compiler gave a rule.
fn own_registers(program: &Program, rule: Option<usize>) -> Result<[u8; 3], String> {
    let info =
        rule.and_then(|rule| program.rule_infos.get(rule)).ok_or("a comprehension outside of rules")?;
    let first = info.num_registers;
    match first.checked_add(OWN_REGISTERS) {
        Some(_) => Ok([first, first.saturating_add(1), first.saturating_add(2)]),
        None => Err(format!("`{}` has too many variables", info.name)),
    }
}

/// Takes out of a rule's description what only names it: the machine copies all of it at every call.
fn slim(info: &mut RuleInfo) {
    info.name = String::new();
    if let Some(function) = &mut info.function_info {
        function.param_names = Vec::new();
    }
    if info.destructuring_blocks.iter().all(Option::is_none) {
        info.destructuring_blocks = Vec::new();
    }
    if info.else_bodies.iter().flatten().all(|is_else| !is_else) {
        info.else_bodies = Vec::new();
    }
}

/// Indexes of the guards in the program's table of built-ins.
struct Guards {
    bound: u16,
    result: u16,
    field: u16,
    multiply: u16,
}

impl Guards {
    fn add(program: &mut Program) -> Result<Self, String> {
        let mut add = |name: &str, arguments: u16| {
            let function = guarded(name).ok_or_else(|| format!("the guard `{name}` is missing"))?;
            let index = program.add_builtin_info(BuiltinInfo { name: name.to_owned(), num_args: arguments });
            program.resolved_builtins.push(function);
            if program.resolved_builtins.len() == program.builtin_info_table.len() {
                Ok(index)
            } else {
                Err("the table of built-ins has gaps".to_owned())
            }
        };
        let guards = Self {
            bound: add(BOUND, 1)?,
            field: add(FIELD, 3)?,
            multiply: add(MULTIPLY, 2)?,
            // One for each number of arguments: the machine checks it.
            result: add(RESULT, 2)?,
        };
        for arguments in 3_u16..=8 {
            add(RESULT, arguments)?;
        }
        Ok(guards)
    }

    fn before(
        &self,
        program: &mut Program,
        instruction: &Instruction,
        rule: Option<usize>,
        scratched: &mut BTreeSet<usize>,
    ) -> Result<(), String> {
        let info = rule.and_then(|rule| program.rule_infos.get(rule)).cloned();
        match *instruction {
            Instruction::SetAdd { value, .. } | Instruction::ArrayPush { value, .. } => {
                self.bound(program, value)
            }
            Instruction::ComprehensionYield { value_reg, key_reg } => {
                key_reg.into_iter().chain([value_reg]).for_each(|register| defined(program, register));
                key_reg.into_iter().for_each(|key| self.bound(program, key));
                self.bound(program, value_reg);
            }
            Instruction::ObjectSet { obj, key, value } => {
                // The rule's own collection is in register 0.
                let own = obj == 0 && info.is_some_and(|info| info.rule_type == RuleType::PartialObject);
                if own {
                    defined(program, key);
                    defined(program, value);
                }
                self.bound(program, key);
                self.bound(program, value);
                if own {
                    self.call(program, value, self.field, &[obj, key, value]);
                }
            }
            Instruction::RuleReturn {} => {
                if let (Some(rule), Some(info)) = (rule, info)
                    && may_disagree(&info)
                {
                    self.result(program, &info)?;
                    scratched.insert(rule);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn instead(&self, program: &mut Program, instruction: Instruction) -> Instruction {
        let Instruction::Mul { dest, left, right } = instruction else { return instruction };
        Instruction::BuiltinCall { params_index: add_call(program, dest, self.multiply, &[left, right]) }
    }

    fn after(&self, program: &mut Program, instruction: &Instruction) {
        // A variable is bound, or the value of a rule is.
        if let Instruction::Move { dest, .. } = *instruction {
            defined(program, dest);
        }
        let data = &program.instruction_data;
        let dest = match *instruction {
            Instruction::ArrayCreate { params_index } => {
                data.array_create_params.get(usize::from(params_index)).map(|params| params.dest)
            }
            Instruction::SetCreate { params_index } => {
                data.set_create_params.get(usize::from(params_index)).map(|params| params.dest)
            }
            Instruction::ObjectCreate { params_index } => {
                data.object_create_params.get(usize::from(params_index)).map(|params| params.dest)
            }
            _ => None,
        };
        if let Some(dest) = dest {
            self.bound(program, dest);
        }
    }

    fn bound(&self, program: &mut Program, register: u8) {
        self.call(program, register, self.bound, &[register]);
    }

    /// Compares what this definition came to with what another gave for the same arguments.
    fn result(&self, program: &mut Program, info: &RuleInfo) -> Result<(), String> {
        let parameters = info.function_info.as_ref().map_or(0, |function| function.param_names.len());
        let scratch = info.num_registers;
        let arguments: Vec<u8> = [scratch, 0].into_iter().chain((1..).take(parameters)).collect();
        if arguments.len() > MAX_ARGUMENTS || scratch.checked_add(OWN_REGISTERS).is_none() {
            return Err(format!("`{}` has too many arguments or variables", info.name));
        }
        let literal = program.add_literal(Value::from(info.name.as_str()));
        let literal_idx =
            u16::try_from(literal).map_err(|_| "the program has too many literals".to_owned())?;
        program.instructions.push(Instruction::Load { dest: scratch, literal_idx });
        let variant = u16::try_from(parameters).unwrap_or(u16::MAX);
        self.call(program, scratch, self.result.saturating_add(variant), &arguments);
        Ok(())
    }

    fn call(&self, program: &mut Program, dest: u8, builtin: u16, arguments: &[u8]) {
        let params_index = add_call(program, dest, builtin, arguments);
        program.instructions.push(Instruction::BuiltinCall { params_index });
    }
}

/// Ends the body where a register holds nothing.
fn defined(program: &mut Program, register: u8) {
    program.instructions.push(Instruction::Guard { register, mode: GuardMode::NotUndefined });
}

fn add_call(program: &mut Program, dest: u8, builtin_index: u16, arguments: &[u8]) -> u16 {
    let mut args = [0; MAX_ARGUMENTS];
    for (to, from) in args.iter_mut().zip(arguments) {
        *to = *from;
    }
    let num_args = u8::try_from(arguments.len()).unwrap_or(u8::MAX);
    program.add_builtin_call_params(BuiltinCallParams { dest, builtin_index, num_args, args })
}

/// Whether definitions of a rule can come to different values.
fn may_disagree(info: &RuleInfo) -> bool {
    info.rule_type == RuleType::Complete && info.definitions.len() > 1 && !info.early_exit_on_first_success
}

/// Moves every position in the program to where its instruction is now.
fn relocate(program: &mut Program, moved: &[usize]) -> Result<(), String> {
    let long = || "the program is too long".to_owned();
    let to = |position: usize| {
        moved.get(position).copied().ok_or_else(|| "a position is out of the program".to_owned())
    };
    let short = |position: u16| to(position.into()).and_then(|new| u16::try_from(new).map_err(|_| long()));
    let wide = |position: u32| {
        let position = usize::try_from(position).map_err(|_| long())?;
        to(position).and_then(|new| u32::try_from(new).map_err(|_| long()))
    };
    for params in &mut program.instruction_data.loop_params {
        (params.body_start, params.loop_end) = (short(params.body_start)?, short(params.loop_end)?);
    }
    for params in &mut program.instruction_data.comprehension_begin_params {
        params.body_start = short(params.body_start)?;
        params.comprehension_end = short(params.comprehension_end)?;
    }
    for instruction in &mut program.instructions {
        if let Instruction::LoopNext { body_start, loop_end } = instruction {
            (*body_start, *loop_end) = (short(*body_start)?, short(*loop_end)?);
        }
    }
    for info in &mut program.rule_infos {
        let mut definitions = info.definitions.as_ref().clone();
        for position in definitions.iter_mut().flatten() {
            *position = wide(*position)?;
        }
        info.definitions = Rc::new(definitions);
        for position in info.destructuring_blocks.iter_mut().flatten() {
            *position = wide(*position)?;
        }
    }
    for position in program.entry_points.values_mut() {
        *position = to(*position)?;
    }
    program.main_entry_point = wide(program.main_entry_point)?;
    Ok(())
}
