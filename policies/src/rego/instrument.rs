//! Calls of guards put into a compiled program, where regorus' machine neither bounds nor checks.
//!
//! - A value that goes into a collection is weighed first. So the size of every value, shared parts counted
//!   each time, is paid from the evaluation's budget when it is built, and comparing two values, which nothing
//!   interrupts, ends in short time.
//! - A rule, function or key of an object that comes to different values is an error in Rego. The machine makes
//!   it undefined or takes the last, which would let a request pass; the guard makes it an error again.
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
    let mut around = Around::default();
    for (position, instruction) in old.into_iter().enumerate() {
        moved.push(program.instructions.len());
        around.before(program, &instruction)?;
        guards.before(program, &instruction, &around);
        let instruction = guards.instead(program, instruction);
        program.instructions.push(instruction);
        guards.after(program, &instruction, &mut around)?;
        around.after(program, &instruction)?;
        let span = old_spans.get(position).cloned().flatten();
        program.instruction_spans.resize(program.instructions.len(), span);
    }
    moved.push(program.instructions.len());
    relocate(program, &moved)?;
    around.bodies.place(program)?;
    for rule in around.extended {
        let Some(info) = program.rule_infos.get_mut(rule) else { continue };
        info.num_registers = info.num_registers.saturating_add(OWN_REGISTERS);
        program.max_rule_window_size = program.max_rule_window_size.max(info.num_registers);
    }
    program.rule_infos.iter_mut().for_each(slim);
    program.validate_limits()
}

/// What an instruction stands in.
#[derive(Default)]
struct Around {
    rule: Option<usize>,
    /// How many loops of the rule are open.
    loops: usize,
    bodies: Bodies,
    /// The rules with registers of our own.
    extended: BTreeSet<usize>,
}

impl Around {
    fn before(&mut self, program: &mut Program, instruction: &Instruction) -> Result<(), String> {
        match instruction {
            Instruction::RuleInit { rule_index, .. } => self.rule = Some(usize::from(*rule_index)),
            Instruction::LoopStart { .. } => self.loops = self.loops.saturating_add(1),
            Instruction::LoopNext { .. } => self.loops = self.loops.saturating_sub(1),
            Instruction::ComprehensionEnd {} => self.bodies.end(program)?,
            _ => {}
        }
        Ok(())
    }

    fn after(&mut self, program: &mut Program, instruction: &Instruction) -> Result<(), String> {
        if let Instruction::ComprehensionBegin { params_index } = *instruction {
            let params = program.instruction_data.comprehension_begin_params.get(usize::from(params_index));
            let result = params.map(|params| params.result_reg).ok_or("a comprehension without a result")?;
            let [_, registers @ ..] = self.registers(program)?;
            self.bodies.begin(program, result, registers)?;
        }
        Ok(())
    }

    /// The rule, once its first body has begun.
    fn info<'a>(&self, program: &'a Program) -> Option<&'a RuleInfo> {
        self.rule.and_then(|rule| program.rule_infos.get(rule))
    }

    /// The registers behind those that the compiler gave the rule.
    fn registers(&mut self, program: &Program) -> Result<[u8; 3], String> {
        let info = self.info(program).ok_or("registers are needed outside of rules")?;
        let first = info.num_registers;
        if first.checked_add(OWN_REGISTERS).is_none() {
            return Err(format!("`{}` has too many variables", info.name));
        }
        self.extended.extend(self.rule);
        Ok([first, first.saturating_add(1), first.saturating_add(2)])
    }

    /// Whether the rule may come to a value that is not its first.
    fn may_disagree(&self, info: &RuleInfo) -> bool {
        info.rule_type == RuleType::Complete
            && (info.definitions.len() > 1 || self.loops > 0)
            && !info.early_exit_on_first_success
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

    fn before(&self, program: &mut Program, instruction: &Instruction, around: &Around) {
        match *instruction {
            Instruction::SetAdd { value, .. } | Instruction::ArrayPush { value, .. } => {
                self.bound(program, value);
            }
            Instruction::ComprehensionYield { value_reg, key_reg: None } => {
                defined(program, value_reg);
                self.bound(program, value_reg);
            }
            Instruction::ComprehensionYield { value_reg, key_reg: Some(key) } => {
                self.member(program, around.bodies.result(), key, value_reg);
            }
            Instruction::ObjectSet { obj, key, value } => {
                // The rule's own collection is in register 0.
                let partial = |info: &RuleInfo| obj == 0 && info.rule_type == RuleType::PartialObject;
                if around.info(program).is_some_and(partial) {
                    self.member(program, Some(obj), key, value);
                } else {
                    self.bound(program, key);
                    self.bound(program, value);
                }
            }
            _ => {}
        }
    }

    /// Key and value are defined, bounded, and do not contradict what the object has.
    fn member(&self, program: &mut Program, object: Option<u8>, key: u8, value: u8) {
        defined(program, key);
        defined(program, value);
        self.bound(program, key);
        self.bound(program, value);
        if let Some(object) = object {
            self.call(program, value, self.field, &[object, key, value]);
        }
    }

    fn instead(&self, program: &mut Program, instruction: Instruction) -> Instruction {
        let Instruction::Mul { dest, left, right } = instruction else { return instruction };
        Instruction::BuiltinCall { params_index: add_call(program, dest, self.multiply, &[left, right]) }
    }

    fn after(
        &self,
        program: &mut Program,
        instruction: &Instruction,
        around: &mut Around,
    ) -> Result<(), String> {
        // A variable is bound, or in register 0 the value of a rule.
        if let Instruction::Move { dest, .. } = *instruction {
            defined(program, dest);
            if let Some(info) = around.info(program).filter(|info| dest == 0 && around.may_disagree(info)) {
                self.result(program, &info.clone(), around)?;
            }
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
        Ok(())
    }

    fn bound(&self, program: &mut Program, register: u8) {
        self.call(program, register, self.bound, &[register]);
    }

    /// Compares what the rule came to with what it came to before, for the same arguments.
    fn result(&self, program: &mut Program, info: &RuleInfo, around: &mut Around) -> Result<(), String> {
        let parameters = info.function_info.as_ref().map_or(0, |function| function.param_names.len());
        let [scratch, ..] = around.registers(program)?;
        let arguments: Vec<u8> = [scratch, 0].into_iter().chain((1..).take(parameters)).collect();
        if arguments.len() > MAX_ARGUMENTS {
            return Err(format!("`{}` has too many arguments", info.name));
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
