//! Random rules, which the virtual machine and the interpreter must take for the same.

#![allow(clippy::arithmetic_side_effects, reason = "a test may panic")]

use std::fmt::Write as _;

use super::semantics::both;

const SEED: u64 = 0x5eed;
const POLICIES: usize = 400;
const DOCUMENT: &str = r#"d := {"l": [{"n": "a", "m": 1, "k": [1, 2]}, {"n": "b"}, {"n": "c", "m": null, "k": []}], "e": [], "o": {"x": 1, "y": {"z": false}}}"#;
const VALUES: [&str; 9] =
    ["d.l[0].m", "d.l[1].m", "d.l[2].m", "d.o.x", "d.o.y.z", "d.nope.x", "1", "2", "\"a\""];
const COLLECTIONS: [&str; 7] = ["d.l", "d.e", "d.o", "d.l[0].k", "d.l[1].k", "d.nope", "[1, 2, 3]"];

/// Writes rules; every choice comes from the seed.
struct Writer {
    state: u64,
    variables: usize,
    /// Whether the other rules may be named: in `deny` only, as there is no recursion.
    names: bool,
}

impl Writer {
    fn below(&mut self, end: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        usize::try_from(self.state % 1_000_003).unwrap() % end
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }

    fn variable(&mut self) -> String {
        self.variables += 1;
        format!("v{}", self.variables)
    }

    /// A value that is there or not.
    fn value(&mut self, scope: &[String]) -> String {
        if scope.is_empty() || self.below(3) == 0 {
            return self.one(&VALUES).to_owned();
        }
        let variable = &scope[self.below(scope.len())];
        format!("{variable}{}", self.one(&["", "", ".m", ".n", ".k"]))
    }

    fn collection(&mut self, scope: &[String], depth: usize) -> String {
        match self.below(4) {
            0 if depth > 0 => self.comprehension(scope, depth - 1),
            1 if !scope.is_empty() => format!("{}.k", scope[self.below(scope.len())]),
            _ => self.one(&COLLECTIONS).to_owned(),
        }
    }

    fn comprehension(&mut self, scope: &[String], depth: usize) -> String {
        let mut scope = scope.to_vec();
        let body = self.body(&mut scope, depth);
        let head = self.term(&scope, 0);
        match self.below(4) {
            0 => format!("{{{head} | {body}}}"),
            1 => format!("{{sprintf(\"%v\", [{}]): {head} | {body}}}", self.value(&scope)),
            _ => format!("[{head} | {body}]"),
        }
    }

    fn term(&mut self, scope: &[String], depth: usize) -> String {
        match self.below(10) {
            0 | 1 if depth > 0 => self.comprehension(scope, depth - 1),
            2 if depth > 0 => format!("count({})", self.collection(scope, depth)),
            3 if self.names => format!("f({})", self.value(scope)),
            4 if self.names => self.one(&["p", "q"]).to_owned(),
            5 => format!("[{}, {}]", self.value(scope), self.value(scope)),
            6 => format!("object.get(d.l[0], \"m\", {})", self.value(scope)),
            _ => self.value(scope),
        }
    }

    fn condition(&mut self, scope: &[String], depth: usize) -> String {
        match self.below(6) {
            0 => format!("{} in {}", self.term(scope, 0), self.collection(scope, depth)),
            1 => format!("count({}) == {}", self.collection(scope, depth), self.below(3)),
            2 if self.names => format!("g({})", self.value(scope)),
            3 => self.value(scope),
            _ => {
                let operator = self.one(&["==", "!=", "<", ">="]);
                format!("{} {operator} {}", self.term(scope, depth), self.term(scope, 0))
            }
        }
    }

    fn body(&mut self, scope: &mut Vec<String>, depth: usize) -> String {
        let statements = 1 + self.below(3);
        (0..statements).map(|_| self.statement(scope, depth)).collect::<Vec<_>>().join("; ")
    }

    fn statement(&mut self, scope: &mut Vec<String>, depth: usize) -> String {
        let kind = self.below(12);
        match kind {
            0..3 => {
                let collection = self.collection(scope, depth);
                scope.push(self.variable());
                format!("some {} in {collection}", scope[scope.len() - 1])
            }
            3..6 => {
                let term = self.term(scope, depth);
                scope.push(self.variable());
                format!("{} := {term}", scope[scope.len() - 1])
            }
            6..8 => self.condition(scope, depth),
            8..10 => format!("not {}", self.condition(scope, depth)),
            10 if depth > 0 => {
                let (collection, variable) = (self.collection(scope, depth), self.variable());
                let mut inner = scope.clone();
                inner.push(variable.clone());
                format!("every {variable} in {collection} {{ {} }}", self.body(&mut inner, depth - 1))
            }
            _ => format!("_ = {}", self.term(scope, 0)),
        }
    }

    fn policy(&mut self) -> String {
        let mut text = DOCUMENT.to_owned();
        (self.variables, self.names) = (0, true);
        let mut scope = Vec::new();
        let body = self.body(&mut scope, 2);
        write!(text, "\ndeny contains [\"x\", {}] if {{ {body} }}", scope.join(", ")).unwrap();
        self.names = false;
        for (head, argument) in [("p", None), ("f(x)", Some("x")), ("g(x)", Some("x")), ("q", None)] {
            let mut scope: Vec<String> = argument.into_iter().map(str::to_owned).collect();
            let body = self.body(&mut scope, 1);
            let value = if head == "g(x)" { String::new() } else { format!(" := {}", self.value(&scope)) };
            write!(text, "\n{head}{value} if {{ {body} }}").unwrap();
        }
        text
    }
}

#[test]
fn random_rules_come_to_the_same_in_both() {
    let mut writer = Writer { state: SEED, variables: 0, names: true };
    let mut found = 0;
    for _ in 0..POLICIES {
        let rules = writer.policy();
        let [machine, interpreter] = both(&rules);
        assert_eq!(machine, interpreter, "\n{rules}");
        found += usize::from(machine != "[]" && !machine.starts_with("policy"));
    }
    assert!(found > POLICIES / 10, "too few of the rules hold for anything: {found}");
}
