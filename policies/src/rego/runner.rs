//! The two ways to evaluate: regorus' virtual machine and its interpreter, with the same guards.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use model::Code;
use regorus::languages::rego::compiler::Compiler;
use regorus::rvm::vm::VmError;
use regorus::rvm::{Program, RegoVM};
use regorus::unstable::{Expr, Ref, Source, Span};
use regorus::utils::limits::ExecutionTimerConfig;
use regorus::{Engine, LimitError, Value};

use super::builtins::{guarded, names};
use super::instrument::instrument;
use super::recursion::refuse_circles;
use crate::EvaluationError;

/// The clock is read once per so many instructions.
const CHECK_INTERVAL: NonZeroU32 = NonZeroU32::new(32).expect("32 is not zero");
/// Instructions per millisecond of the limit: about a third of what the machine does in it.
const INSTRUCTIONS_PER_MS: usize = 10_000;

/// What evaluates one policy on one thread.
pub(super) enum Runner {
    /// The virtual machine.
    Machine(Box<Machine>),
    /// The interpreter.
    Plain(Box<Plain>),
}

impl From<Machine> for Runner {
    fn from(machine: Machine) -> Self {
        Self::Machine(Box::new(machine))
    }
}

impl From<Plain> for Runner {
    fn from(plain: Plain) -> Self {
        Self::Plain(Box::new(plain))
    }
}

impl fmt::Debug for Runner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Machine(_) => "Machine",
            Self::Plain(_) => "Plain",
        })
    }
}

impl Runner {
    /// Gives the documents of one evaluation; without `data` there is none but the policy's own rules.
    pub(super) fn begin(&mut self, input: Value, data: Option<Value>) -> Result<(), EvaluationError> {
        match self {
            Self::Machine(machine) => machine.begin(input, data),
            Self::Plain(plain) => plain.begin(input, data),
        }
    }

    /// Evaluates one entry rule.
    pub(super) fn evaluate(&mut self, entry: usize, time: Time) -> Result<Value, EvaluationError> {
        match self {
            Self::Machine(machine) => machine.evaluate(entry, time),
            Self::Plain(plain) => plain.evaluate(entry, time),
        }
    }

    /// Lets go of the input; `all` also of the data and what was made from it.
    pub(super) fn end(&mut self, all: bool) {
        match self {
            Self::Machine(machine) => machine.end(all),
            Self::Plain(plain) => plain.reset(),
        }
    }

    /// Starts from new: after an error nothing is known of what is left inside.
    pub(super) fn reset(&mut self) {
        match self {
            Self::Machine(machine) => machine.reset(),
            Self::Plain(plain) => plain.reset(),
        }
    }
}

/// The time of one evaluation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Time {
    /// All of it.
    pub(super) budget: Duration,
    /// What is left for the rules not yet asked.
    pub(super) left: Duration,
}

impl Time {
    fn timer(self) -> ExecutionTimerConfig {
        ExecutionTimerConfig { limit: self.left, check_interval: CHECK_INTERVAL }
    }
}

/// The policy used up its time.
pub(super) fn timeout(budget: Duration) -> EvaluationError {
    EvaluationError::new(
        Code::PolicyTimeout,
        format!("the policy took longer than {} ms", budget.as_millis()),
    )
}

fn failed(message: impl Into<String>) -> EvaluationError {
    EvaluationError::new(Code::PolicyError, message)
}

fn limit_error(error: LimitError, time: Time) -> EvaluationError {
    match error {
        LimitError::TimeLimitExceeded { .. } => timeout(time.budget),
        LimitError::MemoryLimitExceeded { .. } => {
            EvaluationError::new(Code::PolicyMemory, "the policy used too much memory")
        }
        LimitError::RegexSizeLimitExceeded { limit } => failed(format!(
            "a regular expression is too large: compiled it has more than {} KiB",
            limit / 1024
        )),
    }
}

// The machine -------------------------------------------------------------------------------------------

/// Why there is no program for the machine.
#[derive(Debug)]
pub(super) enum NotCompiled {
    /// The compiler does not take it; the interpreter may.
    Unsupported(String),
    /// A rule comes to itself; nothing may run it.
    Recursive(String),
}

impl fmt::Display for NotCompiled {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsupported(reason) | Self::Recursive(reason) => formatter.write_str(reason),
        }
    }
}

/// The virtual machine with the program it runs.
pub(super) struct Machine {
    program: Arc<Program>,
    machine: RegoVM,
}

impl Machine {
    /// Compiles the rules at these paths; says why not, where the compiler does not take them.
    pub(super) fn new(mut engine: Engine, paths: &[String]) -> Result<Self, NotCompiled> {
        let unsupported = |error: &dyn fmt::Display| NotCompiled::Unsupported(error.to_string());
        let first = paths.first().ok_or_else(|| unsupported(&"no entry rule"))?;
        let compiled =
            engine.compile_with_entrypoint(&first.as_str().into()).map_err(|error| unsupported(&error))?;
        let entries: Vec<&str> = paths.iter().map(String::as_str).collect();
        let program =
            Compiler::compile_from_policy(&compiled, &entries).map_err(|error| unsupported(&error))?;
        let mut program = Arc::unwrap_or_clone(program);
        refuse_circles(&program).map_err(NotCompiled::Recursive)?;
        instrument(&mut program).map_err(NotCompiled::Unsupported)?;
        let program = Arc::new(program);
        let machine = Self::fresh(&program);
        Ok(Self { program, machine })
    }

    fn fresh(program: &Arc<Program>) -> RegoVM {
        let mut machine = RegoVM::new();
        machine.load_program(program.clone());
        // An empty document is in the way of no rule.
        let _ = machine.set_data(Value::new_object());
        machine
    }

    fn reset(&mut self) {
        self.machine = Self::fresh(&self.program);
    }

    fn begin(&mut self, input: Value, data: Option<Value>) -> Result<(), EvaluationError> {
        self.machine.set_input(input);
        let Some(data) = data else { return Ok(()) };
        self.machine
            .set_data(data)
            .map_err(|_| failed("the policy's package is in the way of `data.inventory`"))
    }

    fn evaluate(&mut self, entry: usize, time: Time) -> Result<Value, EvaluationError> {
        let millis = usize::try_from(time.left.as_millis()).unwrap_or(usize::MAX).max(10);
        self.machine.set_max_instructions(millis.saturating_mul(INSTRUCTIONS_PER_MS));
        self.machine.set_execution_timer_config(Some(time.timer()));
        self.machine.execute_entry_point_by_index(entry).map_err(|error| self.error(&error, time))
    }

    fn end(&mut self, all: bool) {
        self.machine.set_input(Value::Undefined);
        if all {
            self.reset();
        }
    }

    /// An error of the machine, without the values in it: they may be larger than any message.
    fn error(&self, error: &VmError, time: Time) -> EvaluationError {
        let text = match error {
            VmError::TimeLimitExceeded { .. } => return timeout(time.budget),
            VmError::InstructionLimitExceeded { limit, .. } => {
                let message = format!("the policy took more than {limit} steps, which its time limit allows");
                return EvaluationError::new(Code::PolicyTimeout, message);
            }
            VmError::MemoryLimitExceeded { .. } | VmError::MemoryBudgetExceeded { .. } => {
                return limit_error(LimitError::MemoryLimitExceeded { usage: 0, limit: 0 }, time);
            }
            VmError::RegexSizeLimitExceeded { limit, .. } => {
                return limit_error(LimitError::RegexSizeLimitExceeded { limit: *limit }, time);
            }
            VmError::InvalidAddition { .. } => "these values cannot be added".to_owned(),
            VmError::InvalidSubtraction { .. } => "these values cannot be subtracted".to_owned(),
            VmError::InvalidMultiplication { .. } => "these values cannot be multiplied".to_owned(),
            VmError::InvalidDivision { .. } => "these values cannot be divided".to_owned(),
            VmError::InvalidModulo { .. } | VmError::ModuloOnFloat { .. } => {
                "these values have no remainder".to_owned()
            }
            VmError::NumericOverflow { operation, .. } => {
                format!("the result of the {operation} is too large")
            }
            VmError::ArithmeticError { message, .. } | VmError::Internal { message, .. } => one_line(message),
            _ => "two definitions of a rule disagree, or it used a value of the wrong type".to_owned(),
        };
        failed(match self.place() {
            Some(place) => format!("{place}: {text}"),
            None => text,
        })
    }

    fn place(&self) -> Option<String> {
        let span = self.program.get_instruction_span(self.machine.get_pc())?;
        let name = self.program.get_source_name(span.source_index)?;
        (span.line > 0).then(|| format!("{name}:{}:{}", span.line, span.column))
    }
}

fn one_line(message: &str) -> String {
    let text = message.lines().find_map(|line| line.split_once("error: ")).map_or(message, |(_, text)| text);
    text.lines().find(|line| !line.trim().is_empty()).unwrap_or("it failed").chars().take(300).collect()
}

// The interpreter ---------------------------------------------------------------------------------------

/// The interpreter with the policy it runs.
pub(super) struct Plain {
    /// As it was compiled, without documents.
    pristine: Engine,
    engine: Engine,
    paths: Vec<String>,
}

impl Plain {
    /// Prepares an interpreter in which every built-in is shadowed by its guard.
    pub(super) fn new(mut engine: Engine, paths: &[String]) -> Result<Self, String> {
        let first = paths.first().ok_or("no entry rule")?;
        for name in names() {
            shadow(&mut engine, name)?;
        }
        engine.compile_with_entrypoint(&first.as_str().into()).map_err(|error| error.to_string())?;
        Ok(Self { pristine: engine.clone(), engine, paths: paths.to_vec() })
    }

    fn reset(&mut self) {
        self.engine = self.pristine.clone();
    }

    fn begin(&mut self, input: Value, data: Option<Value>) -> Result<(), EvaluationError> {
        self.engine.set_input(input);
        let Some(data) = data else { return Ok(()) };
        self.engine
            .add_data(data)
            .map_err(|_| failed("the policy's package is in the way of `data.inventory`"))
    }

    fn evaluate(&mut self, entry: usize, time: Time) -> Result<Value, EvaluationError> {
        let path = self.paths.get(entry).cloned().ok_or_else(|| failed("no such entry rule"))?;
        self.engine.set_execution_timer_config(time.timer());
        self.engine.eval_rule(path).map_err(|error| match error.downcast_ref::<LimitError>() {
            Some(limit) => limit_error(*limit, time),
            None => failed(one_line(&error.to_string())),
        })
    }
}

fn shadow(engine: &mut Engine, name: &'static str) -> Result<(), String> {
    let (function, arity) = guarded(name).ok_or_else(|| format!("the built-in `{name}` has no guard"))?;
    let source =
        Source::from_contents("<builtin>".to_owned(), String::new()).map_err(|error| error.to_string())?;
    let span = Span { source, line: 1, col: 1, start: 0, end: 0 };
    let parameter = Ref::new(Expr::Null { span: span.clone(), value: Value::Null, eidx: 0 });
    let parameters = vec![parameter; usize::from(arity)];
    let call = move |arguments: Vec<Value>| match function(&span, &parameters, &arguments, false) {
        // As without the guard: a built-in's own error makes the call undefined, a limit ends the evaluation.
        Err(error) if error.downcast_ref::<LimitError>().is_none() => Ok(Value::Undefined),
        result => result,
    };
    engine.add_extension(name.to_owned(), arity, Box::new(call)).map_err(|error| error.to_string())
}
