//! One walk over a rule's expressions.

use std::collections::BTreeSet;

use model::{LoadFault, Position};
use regorus::unstable::{ArithOp, AssignOp, Expr, Literal, LiteralStmt, Query, Ref, Rule, RuleHead};

use super::facts::{Call, Definition, Names, range, unknown_data};
use super::invalid;
use super::paths::{Chain, place};
use crate::rego::builtins::{Audit, audit};

/// The deepest nesting of expressions and queries: regorus recurses over them.
const MAX_EXPRESSION_DEPTH: usize = 128;
/// The most statements of one body: regorus' interpreter recurses over those that loop.
const MAX_STATEMENTS: usize = 256;

/// What is written in place of what: module, byte range, and text.
pub(super) type Rewrites = Vec<(usize, std::ops::Range<usize>, &'static str)>;

/// Gathers what one definition calls, reads and builds.
pub(super) struct Walk<'a> {
    /// What was found.
    pub(super) definition: Definition,
    rewrites: Rewrites,
    names: &'a Names<'a>,
    module: usize,
    /// Variables that are declared somewhere in the rule: they hide rules of the same name.
    ///
    /// A recursion hidden by a variable of another scope is not found here but in the compiled program, or by
    /// the interpreter, which watches rules without arguments. Functions are never hidden.
    declared: BTreeSet<String>,
    /// Variables where a value can reach them: in brackets, patterns, equations, output arguments.
    bound: BTreeSet<String>,
    /// Variables that are read, and where.
    used: Vec<(String, Position)>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(module: usize, names: &'a Names<'a>) -> Self {
        Self {
            definition: Definition::default(),
            rewrites: Vec::new(),
            names,
            module,
            declared: BTreeSet::new(),
            bound: BTreeSet::new(),
            used: Vec::new(),
        }
    }

    /// Ends the walk: every variable that is read must be set somewhere in the rule.
    ///
    /// Regorus takes a variable that nothing sets for an undefined value, so that a misspelt name would be no
    /// more than a rule that never holds.
    pub(super) fn finish(self) -> Result<(Definition, Rewrites), LoadFault> {
        let unset =
            |(name, _): &&(String, Position)| !self.declared.contains(name) && !self.bound.contains(name);
        match self.used.iter().find(unset) {
            Some((name, place)) => {
                Err(invalid(place, format!("nothing in the rule gives the variable `{name}` a value")))
            }
            None => Ok((self.definition, self.rewrites)),
        }
    }

    /// Counts literals and other things that nest a value deeper.
    pub(super) fn construct(&mut self, count: u32) {
        self.definition.constructors = self.definition.constructors.saturating_add(count);
    }

    /// Declares the arguments of a function.
    pub(super) fn declare_rule(&mut self, rule: &Ref<Rule>) {
        if let Rule::Spec { head: RuleHead::Func { args, .. }, .. } = rule.as_ref() {
            args.iter().for_each(|argument| self.declare(argument, 0));
        }
        if let Rule::Default { args, .. } = rule.as_ref() {
            args.iter().for_each(|argument| self.declare(argument, 0));
        }
    }

    fn declare(&mut self, pattern: &Expr, depth: usize) {
        variables(pattern, depth, &mut self.declared);
    }

    /// A place where a variable can get its value.
    fn bind(&mut self, pattern: &Expr) {
        variables(pattern, 0, &mut self.bound);
    }

    pub(super) fn expressions(&mut self, all: &[Ref<Expr>], depth: usize) -> Result<(), LoadFault> {
        all.iter().try_for_each(|expression| self.expression(expression, depth))
    }

    pub(super) fn expression(&mut self, expression: &Expr, depth: usize) -> Result<(), LoadFault> {
        let depth = depth.saturating_add(1);
        if depth > MAX_EXPRESSION_DEPTH {
            let text = format!("expressions nest deeper than {MAX_EXPRESSION_DEPTH} levels");
            return Err(invalid(&place(expression.span()), text));
        }
        match expression {
            Expr::String { .. }
            | Expr::RawString { .. }
            | Expr::Number { .. }
            | Expr::Bool { .. }
            | Expr::Null { .. } => Ok(()),
            Expr::Var { .. } | Expr::RefDot { .. } | Expr::RefBrack { .. } => {
                self.reference(expression, depth)
            }
            Expr::Array { items, .. } | Expr::Set { items, .. } => {
                self.construct(1);
                self.expressions(items, depth)
            }
            Expr::Object { fields, .. } => {
                self.construct(1);
                fields.iter().try_for_each(|(_, key, value)| self.pair(key, value, depth))
            }
            Expr::ArrayCompr { term, query, .. } | Expr::SetCompr { term, query, .. } => {
                self.construct(1);
                self.query(query, depth)?;
                self.expression(term, depth)
            }
            Expr::ObjectCompr { key, value, query, .. } => {
                self.construct(1);
                self.query(query, depth)?;
                self.pair(key, value, depth)
            }
            Expr::Call { fcn, params, .. } => {
                self.call(fcn, params)?;
                self.expressions(params, depth)
            }
            _ => self.operator(expression, depth),
        }
    }

    fn operator(&mut self, expression: &Expr, depth: usize) -> Result<(), LoadFault> {
        match expression {
            Expr::UnaryExpr { expr, .. } => self.expression(expr, depth),
            Expr::ArithExpr { op, lhs, rhs, .. } => {
                if *op == ArithOp::Mul {
                    self.definition.multiplications = self.definition.multiplications.saturating_add(1);
                }
                self.pair(lhs, rhs, depth)
            }
            Expr::BinExpr { lhs, rhs, .. } | Expr::BoolExpr { lhs, rhs, .. } => self.pair(lhs, rhs, depth),
            Expr::AssignExpr { op, lhs, rhs, .. } => {
                if *op == AssignOp::ColEq {
                    self.declare(lhs, 0);
                    self.wildcard(lhs, rhs);
                } else {
                    self.bind(lhs);
                    self.bind(rhs);
                }
                self.pair(lhs, rhs, depth)
            }
            Expr::Membership { key, value, collection, .. } => {
                key.iter().try_for_each(|key| self.expression(key, depth))?;
                self.pair(value, collection, depth)
            }
            _ => Ok(()),
        }
    }

    fn pair(&mut self, left: &Expr, right: &Expr, depth: usize) -> Result<(), LoadFault> {
        self.expression(left, depth)?;
        self.expression(right, depth)
    }

    pub(super) fn query(&mut self, query: &Query, depth: usize) -> Result<(), LoadFault> {
        if query.stmts.len() > MAX_STATEMENTS {
            let text = format!("a body has more than {MAX_STATEMENTS} statements, split it into rules");
            return Err(invalid(&place(&query.span), text));
        }
        query.stmts.iter().for_each(|statement| self.declare_statement(statement));
        query.stmts.iter().try_for_each(|statement| self.statement(statement, depth))
    }

    /// Declarations hold for the whole body, so they are gathered before any reference of it is read.
    fn declare_statement(&mut self, statement: &LiteralStmt) {
        match &statement.literal {
            Literal::SomeVars { vars, .. } => {
                self.declared.extend(vars.iter().map(|span| span.text().to_owned()));
            }
            Literal::SomeIn { key, value, .. } => {
                key.iter().for_each(|key| self.declare(key, 0));
                self.declare(value, 0);
            }
            Literal::Every { key, value, .. } => {
                self.declared.extend(key.iter().chain([value]).map(|span| span.text().to_owned()));
            }
            Literal::Expr { expr, .. } | Literal::NotExpr { expr, .. } => {
                if let Expr::AssignExpr { op: AssignOp::ColEq, lhs, .. } = expr.as_ref() {
                    self.declare(lhs, 0);
                }
            }
        }
    }

    fn statement(&mut self, statement: &LiteralStmt, depth: usize) -> Result<(), LoadFault> {
        for with in &statement.with_mods {
            let target = Chain::of(&with.refr).path().unwrap_or_default();
            let plain = matches!(target.first().map(String::as_str), Some("input"))
                || target.get(..2).is_some_and(|head| head == ["data", "inventory"]);
            if !plain {
                let text = "`with` can replace `input` and `data.inventory` only, not functions or rules";
                return Err(invalid(&place(&with.span), text));
            }
            self.expression(&with.refr, depth)?;
            self.expression(&with.r#as, depth)?;
        }
        match &statement.literal {
            Literal::SomeVars { .. } => Ok(()),
            Literal::SomeIn { key, value, collection, .. } => {
                key.iter().try_for_each(|key| self.expression(key, depth))?;
                self.pair(value, collection, depth)
            }
            Literal::Expr { expr, .. } if is_print(expr) => self.print(expr, depth),
            Literal::Expr { expr, .. } | Literal::NotExpr { expr, .. } => self.expression(expr, depth),
            Literal::Every { domain, query, .. } => {
                self.expression(domain, depth)?;
                self.query(query, depth.saturating_add(1))
            }
        }
    }

    /// A `print` statement is checked like any other and then taken out: it would write to the server's log.
    fn print(&mut self, expression: &Expr, depth: usize) -> Result<(), LoadFault> {
        let Expr::Call { span, params, .. } = expression else { return Ok(()) };
        self.expressions(params, depth)?;
        let whole = span.text().starts_with("print") && span.text().ends_with(')');
        match range(span) {
            Some(range) if whole => self.rewrites.push((self.module, range, "true")),
            _ => return Err(invalid(&place(span), "`print` must be a statement of its own")),
        }
        Ok(())
    }

    /// `_ := x` becomes `_ = x`: the machine leaves the former out, whether there is an `x` or not.
    fn wildcard(&mut self, left: &Expr, right: &Expr) {
        let (Expr::Var { span, .. }, right) = (left, right.span()) else { return };
        let (Some(left), Some(right)) = (range(span), range(right)) else { return };
        let between = left.end..right.start;
        let operator = span.source.contents().get(between.clone()).and_then(|text| text.find(":="));
        if let (Some(offset), "_") = (operator, span.text()) {
            let start = between.start.saturating_add(offset);
            self.rewrites.push((self.module, start..start.saturating_add(2), "="));
        }
    }

    fn reference(&mut self, expression: &Expr, depth: usize) -> Result<(), LoadFault> {
        let chain = Chain::of(expression);
        chain.indexes.iter().for_each(|index| self.bind(index));
        chain.indexes.iter().try_for_each(|index| self.expression(index, depth))?;
        let Some(variable) = chain.variable() else { return self.expression(chain.base, depth) };
        if variable == "input" || self.declared.contains(variable) {
            return Ok(());
        }
        let path = if variable == "data" {
            chain.path().unwrap_or_default()
        } else if let Some(import) = self.names.imports.get(variable) {
            let mut path = import.clone();
            path.extend(chain.names.iter().cloned());
            path
        } else if self.names.is_rule(variable) {
            let mut path = self.names.package.to_vec();
            path.extend(chain.path().unwrap_or_default());
            path
        } else {
            if !variable.starts_with('_') {
                self.used.push((variable.to_owned(), place(chain.base.span())));
            }
            return Ok(());
        };
        self.read(expression, path)
    }

    fn read(&mut self, expression: &Expr, path: Vec<String>) -> Result<(), LoadFault> {
        match (path.first().map(String::as_str), path.get(1).map(String::as_str)) {
            (Some("data"), Some("inventory")) if self.names.declares_lookups => Ok(()),
            (Some("data"), Some("inventory")) => {
                let text = "`data.inventory` is empty: declare the kinds the policy reads in `spec.lookups`";
                Err(invalid(&place(expression.span()), text))
            }
            (Some("data"), Some(_)) => {
                self.definition.reads.push((path, place(expression.span())));
                Ok(())
            }
            (Some("data"), None) => Err(unknown_data(expression, &path)),
            _ => Ok(()),
        }
    }

    fn call(&mut self, function: &Expr, arguments: &[Ref<Expr>]) -> Result<(), LoadFault> {
        let at = place(function.span());
        let chain = Chain::of(function);
        let path = chain.path().filter(|_| !chain.dynamic && chain.variable().is_some());
        let Some(path) = path else { return Err(invalid(&at, "a function must be called by its name")) };
        let first = path.first().map(String::as_str).unwrap_or_default();
        let given = arguments.len();
        if first == "data" {
            self.definition.calls.push(Call { path, given, place: at });
        } else if let Some(import) = self.names.imports.get(first) {
            let mut full = import.clone();
            full.extend(path.into_iter().skip(1));
            self.definition.calls.push(Call { path: full, given, place: at });
        } else if self.names.is_rule(first) {
            let mut full = self.names.package.to_vec();
            full.extend(path);
            self.definition.calls.push(Call { path: full, given, place: at });
        } else {
            return self.builtin(&path.join("."), arguments, &at);
        }
        // A call may have one argument more than the function takes: a pattern for its result.
        arguments.last().into_iter().for_each(|last| self.bind(last));
        Ok(())
    }

    fn builtin(&mut self, name: &str, arguments: &[Ref<Expr>], at: &Position) -> Result<(), LoadFault> {
        match audit(name) {
            Audit::Allowed(arity) => {
                check_arguments(name, usize::from(arity), arguments.len(), at)?;
                arguments.get(usize::from(arity)).into_iter().for_each(|result| self.bind(result));
                // No built-in nests its argument deeper than a list of pairs does.
                self.construct(3);
                Ok(())
            }
            Audit::Refused(reason) => {
                Err(invalid(at, format!("the built-in `{name}` is not served: {reason}")))
            }
            Audit::Unknown if name == "print" => Err(invalid(at, "`print` must be a statement of its own")),
            Audit::Unknown => {
                Err(invalid(at, format!("`{name}` is neither a function of the policy nor a built-in")))
            }
        }
    }
}

/// Adds the variables of a pattern.
fn variables(pattern: &Expr, depth: usize, into: &mut BTreeSet<String>) {
    if depth > MAX_EXPRESSION_DEPTH {
        return;
    }
    let deeper = depth.saturating_add(1);
    match pattern {
        Expr::Var { span, .. } => {
            into.insert(span.text().to_owned());
        }
        Expr::Array { items, .. } | Expr::Set { items, .. } => {
            items.iter().for_each(|item| variables(item, deeper, into));
        }
        Expr::Object { fields, .. } => fields.iter().for_each(|(_, _, value)| variables(value, deeper, into)),
        _ => {}
    }
}

/// Checks the number of arguments; one more is a pattern for the result.
pub(super) fn check_arguments(
    name: &str,
    takes: usize,
    given: usize,
    at: &Position,
) -> Result<(), LoadFault> {
    if given == takes || given == takes.saturating_add(1) {
        return Ok(());
    }
    let plural = if takes == 1 { "" } else { "s" };
    let are = if given == 1 { "is" } else { "are" };
    Err(invalid(at, format!("`{name}` takes {takes} argument{plural}, {given} {are} given")))
}

fn is_print(expression: &Expr) -> bool {
    match expression {
        Expr::Call { fcn, .. } => matches!(fcn.as_ref(), Expr::Var { span, .. } if span.text() == "print"),
        _ => false,
    }
}
