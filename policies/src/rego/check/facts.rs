//! What a policy's rules are, call and read, gathered from the syntax trees.

use std::collections::{BTreeMap, BTreeSet};

use model::{Code, LoadFault, Position, RegoModule};
use regorus::unstable::{ArithOp, Expr, Module, Ref, Rule, RuleAssign, RuleBody, RuleHead, Span};

use super::invalid;
use super::paths::{Chain, dotted_tail, place};
use super::walk::{Rewrites, Walk};

/// The most rules, with all their definitions.
const MAX_RULES: usize = 4_000;
/// The deepest nesting of a constant.
const MAX_CONSTANT_DEPTH: usize = 64;

/// All rules of a policy and its libraries.
pub(super) struct Facts {
    /// The package path of each module, `data` first.
    pub(super) packages: Vec<Vec<String>>,
    /// The rules; one entry for all definitions of a path.
    pub(super) rules: Vec<RuleFacts>,
    rewrites: Rewrites,
    policy: Option<Position>,
}

/// One rule or function, with all its definitions.
pub(super) struct RuleFacts {
    /// The path, `data` first, up to the first dynamic part of the head.
    pub(super) path: Vec<String>,
    /// The first definition's head.
    pub(super) place: Position,
    /// How many arguments it takes, if it is a function.
    pub(super) arguments: Option<usize>,
    /// The definitions.
    pub(super) definitions: Vec<Definition>,
}

/// One definition of a rule.
#[derive(Default)]
pub(super) struct Definition {
    /// Array, set and object literals, comprehensions and built-ins that wrap: each nests a value one deeper.
    pub(super) constructors: u32,
    /// Multiplications.
    pub(super) multiplications: u32,
    /// Whether its value is a scalar, whatever goes into it.
    pub(super) scalar: bool,
    /// Calls that are not of built-ins: full path and place.
    pub(super) calls: Vec<Call>,
    /// Rules and packages read: full path and place.
    pub(super) reads: Vec<(Vec<String>, Position)>,
}

/// A call of a function of the policy.
pub(super) struct Call {
    /// The function's full path.
    pub(super) path: Vec<String>,
    /// How many arguments it is given.
    pub(super) given: usize,
    /// Where.
    pub(super) place: Position,
}

/// What names mean inside one module.
pub(super) struct Names<'a> {
    /// The module's package path.
    pub(super) package: &'a [String],
    /// Aliases of imports and their paths.
    pub(super) imports: BTreeMap<String, Vec<String>>,
    /// The first names of the rules of the package, in any module.
    pub(super) rules: &'a BTreeSet<(Vec<String>, String)>,
    /// Whether `data.inventory` may be read.
    pub(super) declares_lookups: bool,
}

impl Names<'_> {
    /// Whether the package has a rule or function whose path starts with this name.
    pub(super) fn is_rule(&self, name: &str) -> bool {
        self.rules.contains(&(self.package.to_vec(), name.to_owned()))
    }
}

/// Gathers the rules of all modules.
pub(super) fn gather(modules: &[Module], declares_lookups: bool) -> Result<Facts, LoadFault> {
    let packages = modules.iter().map(package).collect::<Result<Vec<_>, _>>()?;
    if modules.iter().map(|module| module.policy.len()).fold(0, usize::saturating_add) > MAX_RULES {
        return Err(LoadFault::new(
            Code::PolicyInvalid,
            format!("the policy has more than {MAX_RULES} rules"),
        ));
    }
    let mut rules = BTreeSet::new();
    for (module, package) in modules.iter().zip(&packages) {
        for rule in &module.policy {
            if let Some(name) = head_of(rule).variable() {
                rules.insert((package.clone(), name.to_owned()));
            }
        }
    }
    let policy = modules.first().map(|module| place(&module.package.span));
    let mut facts = Facts { packages: Vec::new(), rules: Vec::new(), rewrites: Rewrites::new(), policy };
    for (index, (module, package)) in modules.iter().zip(&packages).enumerate() {
        let names = Names { package, imports: imports(module)?, rules: &rules, declares_lookups };
        for rule in &module.policy {
            facts.add(index, rule, &names)?;
        }
    }
    facts.packages = packages;
    Ok(facts)
}

fn package(module: &Module) -> Result<Vec<String>, LoadFault> {
    let chain = Chain::of(&module.package.refr);
    let mut path = vec!["data".to_owned()];
    path.extend(chain.path().unwrap_or_default());
    if path.get(1).is_some_and(|name| name == "inventory") {
        return Err(invalid(&place(&module.package.span), "the package `inventory` is reserved for lookups"));
    }
    Ok(path)
}

fn imports(module: &Module) -> Result<BTreeMap<String, Vec<String>>, LoadFault> {
    let mut imports = BTreeMap::new();
    for import in &module.imports {
        let Some(path) = Chain::of(&import.refr).path() else { continue };
        match path.first().map(String::as_str) {
            Some("rego" | "future") => {}
            Some("data" | "input") => {
                let last = path.last().cloned().unwrap_or_default();
                let alias = import.r#as.as_ref().map_or(last, |span| span.text().to_owned());
                imports.insert(alias, path);
            }
            _ => {
                return Err(invalid(
                    &place(&import.span),
                    "only `data.…`, `input.…` and `rego.v1` can be imported",
                ));
            }
        }
    }
    Ok(imports)
}

fn head_of(rule: &Ref<Rule>) -> Chain<'_> {
    match rule.as_ref() {
        Rule::Default { refr, .. } => Chain::of(refr),
        Rule::Spec { head, .. } => match head {
            RuleHead::Compr { refr, .. } | RuleHead::Set { refr, .. } | RuleHead::Func { refr, .. } => {
                Chain::of(refr)
            }
        },
    }
}

impl Facts {
    /// The module's text as it is compiled, all positions kept: with `true` in place of every `print`, and
    /// `_ =` in place of `_ :=`.
    pub(super) fn rewritten(&self, index: usize, module: &RegoModule) -> String {
        let mut text = module.text.clone();
        for (_, range, new) in self.rewrites.iter().filter(|(module, ..)| *module == index) {
            let Some(old) = text.get(range.clone()) else { continue };
            let mut filler = String::from(*new);
            // Every byte but a line break becomes a space, so that lengths and lines stay as they are.
            filler.extend(old.bytes().skip(new.len()).map(|byte| if byte == b'\n' { '\n' } else { ' ' }));
            text.replace_range(range.clone(), &filler);
        }
        text
    }

    /// Where the policy's package is declared.
    pub(super) fn place_of_policy(&self) -> Option<Position> {
        self.policy.clone()
    }

    fn add(&mut self, module: usize, rule: &Ref<Rule>, names: &Names<'_>) -> Result<(), LoadFault> {
        let head = head_of(rule);
        let at = place(rule.span());
        let mut path = names.package.to_vec();
        path.extend(head.path().ok_or_else(|| invalid(&at, "the rule has no name"))?);
        let arguments = arguments(rule);
        let definitions = self.definitions(module, rule, &head, names)?;
        match self.rules.iter_mut().find(|known| known.path == path) {
            Some(known) => {
                known.arguments = known.arguments.or(arguments);
                known.definitions.extend(definitions);
            }
            None => self.rules.push(RuleFacts { path, place: at, arguments, definitions }),
        }
        Ok(())
    }

    fn definitions(
        &mut self,
        module: usize,
        rule: &Ref<Rule>,
        head: &Chain<'_>,
        names: &Names<'_>,
    ) -> Result<Vec<Definition>, LoadFault> {
        let mut walk = Walk::new(module, names);
        walk.declare_rule(rule);
        // A partial rule's value is a collection, one deeper for each dynamic part of its head.
        walk.construct(u32::try_from(head.indexes.len()).unwrap_or(u32::MAX));
        head.indexes.iter().try_for_each(|index| walk.expression(index, 0))?;
        match rule.as_ref() {
            Rule::Default { args, value, .. } => {
                if !is_constant(value, 0) {
                    return Err(invalid(&place(value.span()), "the value of a `default` must be constant"));
                }
                walk.expressions(args, 0)?;
                walk.expression(value, 0)?;
            }
            Rule::Spec { head, bodies, .. } => {
                walk.definition.scalar = gives_scalar(head, bodies);
                walk_head(&mut walk, head)?;
                bodies.iter().try_for_each(|body| walk_body(&mut walk, body))?;
            }
        }
        let (definition, mut rewrites) = walk.finish()?;
        self.rewrites.append(&mut rewrites);
        Ok(vec![definition])
    }
}

fn walk_head(walk: &mut Walk<'_>, head: &RuleHead) -> Result<(), LoadFault> {
    match head {
        RuleHead::Compr { assign, .. } => walk_assign(walk, assign.as_ref()),
        RuleHead::Set { key, .. } => {
            walk.construct(1);
            key.iter().try_for_each(|key| walk.expression(key, 0))
        }
        RuleHead::Func { args, assign, .. } => {
            walk.expressions(args, 0)?;
            walk_assign(walk, assign.as_ref())
        }
    }
}

fn walk_assign(walk: &mut Walk<'_>, assign: Option<&RuleAssign>) -> Result<(), LoadFault> {
    assign.map_or(Ok(()), |assign| walk.expression(&assign.value, 0))
}

fn walk_body(walk: &mut Walk<'_>, body: &RuleBody) -> Result<(), LoadFault> {
    walk_assign(walk, body.assign.as_ref())?;
    walk.query(&body.query, 0)
}

/// Whether a rule is a test, true or undefined, or its value is a number or text however it comes about.
fn gives_scalar(head: &RuleHead, bodies: &[RuleBody]) -> bool {
    let assign = match head {
        RuleHead::Set { .. } => return false,
        RuleHead::Compr { refr, .. } if !Chain::of(refr).indexes.is_empty() => return false,
        RuleHead::Compr { assign, .. } | RuleHead::Func { assign, .. } => assign,
    };
    let scalar = |assign: &RuleAssign| match assign.value.as_ref() {
        // A difference may be one of sets.
        Expr::ArithExpr { op, .. } => *op != ArithOp::Sub,
        Expr::BoolExpr { .. } | Expr::Membership { .. } => true,
        Expr::Array { .. } | Expr::Set { .. } | Expr::Object { .. } => false,
        other => is_constant(other, 0),
    };
    assign.iter().chain(bodies.iter().filter_map(|body| body.assign.as_ref())).all(scalar)
}

fn arguments(rule: &Ref<Rule>) -> Option<usize> {
    match rule.as_ref() {
        Rule::Default { args, .. } if args.is_empty() => None,
        Rule::Default { args, .. } => Some(args.len()),
        Rule::Spec { head: RuleHead::Func { args, .. }, .. } => Some(args.len()),
        Rule::Spec { .. } => None,
    }
}

/// Whether an expression is written out: regorus evaluates default values while it compiles.
fn is_constant(expression: &Expr, depth: usize) -> bool {
    let inner = |inner: &Ref<Expr>| depth < MAX_CONSTANT_DEPTH && is_constant(inner, depth.saturating_add(1));
    match expression {
        Expr::String { .. }
        | Expr::RawString { .. }
        | Expr::Number { .. }
        | Expr::Bool { .. }
        | Expr::Null { .. } => true,
        Expr::Array { items, .. } | Expr::Set { items, .. } => items.iter().all(inner),
        Expr::Object { fields, .. } => fields.iter().all(|(_, key, value)| inner(key) && inner(value)),
        Expr::UnaryExpr { expr, .. } => inner(expr),
        _ => false,
    }
}

/// The byte range of a span.
pub(super) fn range(span: &Span) -> Option<std::ops::Range<usize>> {
    Some(usize::try_from(span.start).ok()?..usize::try_from(span.end).ok()?)
}

/// Where a path may not be read, and what would pass.
pub(super) fn unknown_data(expression: &Expr, path: &[String]) -> LoadFault {
    let shown = if path.len() > 1 { format!("data.{}", dotted_tail(path)) } else { "data".to_owned() };
    let text =
        format!("`{shown}` is not there: only the policy's own packages and `data.inventory` can be read");
    LoadFault { position: Some(place(expression.span())), ..LoadFault::new(Code::PolicyInvalid, text) }
}
