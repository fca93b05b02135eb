//! Policies that try to stop the server: each must end with its code, in about its time.

use std::time::Instant;

use super::*;
use crate::rego::{EvaluationPath, MAX_VALUE_DEPTH};
use model::Code;

/// The error of a policy whose body must not come to an end.
#[track_caller]
fn stopped(text: &str) -> EvaluationError {
    stopped_within(text, &Limits::default())
}

#[track_caller]
fn stopped_within(text: &str, limits: &Limits) -> EvaluationError {
    let program = load(V1, text).unwrap_or_else(|fault| panic!("{fault}\n{text}"));
    let start = Instant::now();
    let error = ask(&program, "{}", limits).expect_err(text);
    // Unoptimised and on a busy machine; on a server an overrun is a few milliseconds.
    assert!(start.elapsed() < Duration::from_secs(10), "{:?} for {text}", start.elapsed());
    error
}

#[track_caller]
fn stopped_with(code: Code, body: &str) {
    for extra in ["", "\nviolation contains \"x\" if { walk(input, [_, 1]) }"] {
        let text = format!("package p\ndeny contains \"x\" if {{ {body} }}{extra}");
        // Reaching the fault may take longer than the default limit on a busy machine.
        let limits = if code == Code::PolicyTimeout { Limits::default() } else { patient() };
        let error = stopped_within(&text, &limits);
        assert_eq!(error.code, code, "{error}\n{text}");
    }
}

#[test]
fn recursion_is_refused_with_the_circle() {
    let direct = fault(V1, "package p\nf(x) := f(x + 1)\ndeny contains f(1)");
    assert!(direct.contains("policy.rego:2:9:") && direct.contains("`p.f` → `p.f`"), "{direct}");
    let mutual = fault(V1, "package p\nf(x) := g(x)\ng(x) := h(x)\nh(x) := f(x)\ndeny contains f(1)");
    assert!(mutual.contains("`p.f` → `p.g` → `p.h` → `p.f`"), "{mutual}");
    let rules = fault(V1, "package p\na if b\nb if a\ndeny contains \"x\" if a");
    assert!(rules.contains("circle"), "{rules}");
    let through_data = fault(V1, "package p\nf(x) := data.p.f(x)\ndeny contains f(1)");
    assert!(through_data.contains("circle"), "{through_data}");
    let package = fault(V1, "package p\ndeny contains x if { x := data.p[_] }");
    assert!(package.contains("circle"), "{package}");
}

#[test]
fn recursion_across_modules_is_refused() {
    let modules = [
        module("policy.rego", "package p\nimport data.l as lib\nf(x) := lib.g(x)\ndeny contains f(1)"),
        module("lib.rego", "package l\ng(x) := data.p.f(x)"),
    ];
    let fault = RegoProgram::compile(V1, &modules, false, false, &Limits::default()).unwrap_err();
    assert!(fault.message.contains("`p.f` → `l.g` → `p.f`"), "{fault}");
}

#[test]
fn recursion_hidden_by_a_variable_is_refused_or_ends() {
    for rules in [
        "a := x if { y := [a | a := 1]; x := count(y) + a }\ndeny contains sprintf(\"%d\", [a])",
        "a := x if { x := a + 1; a := 2 }\ndeny contains sprintf(\"%d\", [a])",
        "a := x if { y := [b | b := 1]; x := count(y) + b }\nb := a + 1\ndeny contains sprintf(\"%d\", [a])",
        "a contains x if { y := {a | some a in [1]}; some x in a }\ndeny contains sprintf(\"%v\", [a])",
        "a(z) := x if { y := [b | b := 1]; x := b }\nb := a(1)\ndeny contains sprintf(\"%v\", [b])",
        "import data.p.b as c\na := x if { y := [c | c := 1]; x := c }\nb := a\ndeny contains sprintf(\"%v\", [b])",
    ] {
        for extra in ["", "\nviolation contains \"x\" if { walk(input, [_, 1]) }"] {
            match load(V1, &format!("package p\n{rules}{extra}")) {
                Ok(program) => {
                    let _ = ask(&program, "{}", &Limits::default());
                }
                Err(fault) => {
                    assert!(fault.message.contains("recursion") || fault.position.is_some(), "{fault}")
                }
            }
        }
    }
    let hidden = fault(
        V1,
        "package p\na := x if { y := [a | a := 1]; x := count(y) + a }\ndeny contains sprintf(\"%d\", [a])",
    );
    assert!(hidden.contains("`p.a` comes to itself"), "{hidden}");
}

#[test]
fn with_cannot_replace_functions() {
    let text = fault(V1, "package p\nf(x) := x\ng(x) := f(x)\ndeny contains \"x\" if { g(1) with f as g }");
    assert!(text.contains("`with`"), "{text}");
    assert!(fault(V1, "package p\ndeny contains \"x\" if { 1 == 1 with count as sum }").contains("`with`"));
}

#[test]
fn text_that_breaks_parsers_is_refused() {
    let cases = [
        ("brackets", format!("x := {}1{}", "[".repeat(500), "]".repeat(500))),
        ("parentheses over lines", format!("x := {}1{}", "(\n".repeat(20_000), ")\n".repeat(20_000))),
        ("minus signs", format!("x := {}1", "-\n".repeat(50_000))),
        ("a long sum", format!("x := 1{}", " +\n1".repeat(50_000))),
        ("a long union", format!("x := {{1}}{}", " |\n{1}".repeat(40_000))),
        ("a long reference", format!("x := input{}", "\n.a".repeat(50_000))),
        ("a long index", format!("x := input{}", "[0]\n".repeat(50_000))),
        ("nested calls", format!("x := {}1{}", "abs(\n".repeat(20_000), ")\n".repeat(20_000))),
        ("not", format!("x if {{ {}true }}", "not ".repeat(200))),
        ("else", format!("x := 1 if false{}", " else := 2 if false\n".repeat(8_000))),
        ("a long line", format!("x := \"{}\"", "a".repeat(5_000))),
        ("a long number", format!("x := {}", "9".repeat(900))),
        ("a great exponent", "x := 1e999999999".to_owned()),
        ("a great exponent in parts", "x := 1.5E+9_999_999".to_owned()),
        ("a great exponent after a sign", "x := -1e99999".to_owned()),
        ("many statements", format!("x if {{\n{}}}", "true\n".repeat(10_000))),
        ("many rules", "x := 1\n".repeat(30_000)),
        ("some in some", format!("x if {{ {}true }}", "every y in [1] {\n".repeat(5_000))),
    ];
    for (name, rule) in cases {
        let text = format!("package p\ndeny := true\n{rule}");
        let result = load(V1, &text);
        // Long references and `else` chains are walked without recursion: they may pass, or fail tidily.
        if !matches!(name, "a long reference" | "a long index" | "else" | "not" | "minus signs") {
            assert!(result.is_err(), "{name} must be refused");
        }
        if let Ok(program) = result {
            on_evaluation_thread(|| drop(program.instantiate()));
        }
    }
}

#[test]
fn literals_that_the_parser_would_read_for_hours_are_refused() {
    let nested = |open: &str, close: &str, depth: usize| {
        format!("package p\ndeny contains x if {{ x := {}1{} }}", open.repeat(depth), close.repeat(depth))
    };
    let rows = [("[", "]"), ("{", "}"), ("{\"a\": ", "}"), ("{y | y := 1; ", "}"), ("[1, z in[", "]]")];
    for (open, close) in rows {
        let refused = fault(V1, &nested(open, close, 22));
        assert!(refused.contains("nest so deeply"), "{open}: {refused}");
        // Unfinished, as the fuzzer found it.
        let refused = fault(V1, &nested(open, "", 22));
        assert!(refused.contains("nest so deeply"), "{open}: {refused}");
    }
    for (open, close, depth) in [("[", "]", 10), ("{\"a\": ", "}", 10), ("(", ")", 30)] {
        let modules = [module("policy.rego", &nested(open, close, depth))];
        RegoProgram::compile(V1, &modules, false, false, &Limits::default()).unwrap();
    }
    // An index is no literal.
    let modules = [module(
        "policy.rego",
        &format!("package p\ndeny contains 1 if {}1{}", "input.a[".repeat(20), "]".repeat(20)),
    )];
    RegoProgram::compile(V1, &modules, false, false, &Limits::default()).unwrap();
}

#[test]
fn long_chains_of_calls_and_deep_values_are_refused() {
    let chain: String = (0..100).map(|i| format!("f{i}(x) := f{}(x)\n", i + 1)).collect();
    assert!(fault(V1, &format!("package p\n{chain}f100(x) := x\ndeny contains f0(1)")).contains("64 calls"));
    let doubling: String = (1..20).map(|i| format!("f{i}(x) := f{0}(f{0}(x))\n", i - 1)).collect();
    let deep = fault(V1, &format!("package p\nf0(x) := [x]\n{doubling}deny contains f19(1)"));
    assert!(deep.contains(&MAX_VALUE_DEPTH.to_string()), "{deep}");
}

#[test]
fn the_deepest_values_allowed_are_compared_written_and_dropped() {
    // Two values of nine doublings each in one rule: a little below the bound.
    let doubling: String = (1..=9).map(|i| format!("f{i}(x) := f{0}(f{0}(x))\n", i - 1)).collect();
    for body in [
        "f9(1) == f9(1)",
        "x := {f9(1), f9(2)}\ncount(x) == 2",
        "count(json.marshal(f9(1))) > 9",
        "sprintf(\"%v\", [f9(1)]) != \"\"",
        "y := {f9(1): 2}\ny[f9(1)] == 2",
    ] {
        let text = format!("package p\nf0(x) := [x]\n{doubling}deny contains \"x\" if {{ {body} }}");
        let program = load(V1, &text).unwrap();
        let answer = ask(&program, "{}", &patient()).unwrap_or_else(|error| panic!("{error} {body}"));
        assert_eq!(answer.observations.len(), 1, "{body}");
    }
    let interpreted =
        format!("package p\nf0(x) := [x]\n{doubling}deny contains \"x\" if {{ walk(f9(1), [_, 1]) }}");
    let program = load(V1, &interpreted).unwrap();
    assert_eq!(program.path(), EvaluationPath::Interpreter);
    let _ = ask(&program, "{}", &patient());
}

#[test]
fn cross_products_run_out_of_time() {
    let body = "r := numbers.range(1, 1000); some a in r; some b in r; some c in r; a + b + c == 0";
    stopped_with(Code::PolicyTimeout, body);
    let negated =
        "r := numbers.range(1, 1000); not [1 | some a in r; some b in r; some c in r; a + b + c == 0] == [2]";
    stopped_with(Code::PolicyTimeout, negated);
}

#[test]
fn exponential_calls_run_out_of_time() {
    let calls: String = (1..40).map(|i| format!("f{i}(x) := f{0}(x) + f{0}(x)\n", i - 1)).collect();
    let error = stopped(&format!("package p\nf0(x) := x\n{calls}deny contains \"x\" if f39(1) == 1"));
    assert_eq!(error.code, Code::PolicyTimeout, "{error}");
}

#[test]
fn built_ins_that_would_allocate_without_bound_are_stopped() {
    let twice = "s0 := concat(\"\", [\"0123456789\" | some _ in numbers.range(1, 1000)])
        s1 := concat(\"\", [s0 | some _ in numbers.range(1, 1000)])";
    for body in [
        "numbers.range(1, 100000000)[_] == 0",
        "numbers.range(1, 9223372036854775807)[_] == 0",
        "numbers.range(-9223372036854775808, 9223372036854775807)[_] == 0",
        "numbers.range_step(1, 100000000, 1)[_] == 0",
        "net.cidr_expand(\"10.0.0.0/4\")[_] == \"\"",
        "net.cidr_expand(\"::/1\")[_] == \"\"",
        &format!("{twice}; s1 == \"x\""),
        "x := replace(concat(\"\", [\"aaaaaaaaaa\" | some _ in numbers.range(1, 10000)]), \"a\", concat(\"\", [\"b\" | some _ in numbers.range(1, 1000)])); x == \"\"",
        "x := strings.replace_n({\"a\": \"bbbbbbbb\", \"b\": \"cccccccc\", \"c\": \"dddddddd\", \"d\": \"eeeeeeee\", \"e\": \"ffffffff\", \"f\": \"gggggggg\", \"g\": \"hhhhhhhh\", \"h\": \"iiiiiiii\"}, \"aaaa\"); x == \"\"",
        "x := regex.replace(concat(\"\", [\"a\" | some _ in numbers.range(1, 10000)]), \"a\", concat(\"\", [\"b\" | some _ in numbers.range(1, 1000)])); x == \"\"",
        "x := array.concat([1], numbers.range(1, 600000)); count(array.concat(x, x)) == 0",
        "x := yaml.unmarshal(concat(\"\", [\"a: &a [x,x]\\nb: [*a]\\n\" | some _ in numbers.range(1, 5000)])); x == 1",
    ] {
        stopped_with(Code::PolicyMemory, body);
    }
}

#[test]
fn built_ins_cannot_be_turned_around_by_not_or_default() {
    let negated = "package p\ndeny contains \"x\" if { not numbers.range(1, 100000000)[0] == 5 }";
    assert_eq!(stopped(negated).code, Code::PolicyMemory);
    let in_function = "package p\nf(x) := numbers.range(1, x)\ndefault g := true\ng if f(1000000000)[0] == 2
        deny contains \"x\" if { not g; walk(input, [_, 1]) }";
    assert_eq!(stopped(in_function).code, Code::PolicyMemory);
}

#[test]
fn built_ins_that_would_panic_or_run_for_ever_are_stopped() {
    for body in [
        "strings.count(\"abc\", \"\") == 1",
        "numbers.range_step(1, 10, 0)[_] == 1",
        "sprintf(\"%999999999d\", [1]) == \"\"",
        "sprintf(\"%99999999999999999999d\", [1]) == \"\"",
        "sprintf(\"%١d\", [1]) == \"\"",
        "sprintf(\"%.70000f\", [1.5]) == \"\"",
        "bits.lsh(1, 4294967295) == 0",
        "units.parse(\"1e999999999\") == 0",
        "units.parse_bytes(\"1e999999999KB\") == 0",
        "product([9999999999 | some _ in numbers.range(1, 1000)]) == 0",
        "regex.match(concat(\"\", [\"a\" | some _ in numbers.range(1, 10000)]), \"a\")",
        "json.filter({\"a\": 1}, [concat(\"/\", [\"a\" | some _ in numbers.range(1, 10000)])]) == {}",
    ] {
        stopped_with(Code::PolicyError, body);
    }
    let passes = "package p\ndeny contains \"x\" if { object.subset({\"a\": [1, 2]}, {\"a\": []}) }";
    assert_eq!(messages(V1, passes, "{}"), ["x"]);
}

#[test]
fn expensive_patterns_run_out_of_time() {
    let text = "t := concat(\"\", [\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\" | some _ in numbers.range(1, 1000)])";
    stopped_with(
        Code::PolicyTimeout,
        &format!(
            "{text}; some i in numbers.range(1, 5000); regex.match(sprintf(\"(a?){{200}}%db\", [i]), t)"
        ),
    );
    stopped_with(Code::PolicyError, "regex.match(\"((a{100}){100}){100}\", \"a\")");
}

#[test]
fn numbers_cannot_grow_without_bound() {
    let squares: String = (1..30).map(|i| format!("x{i} := x{0} * x{0}\n", i - 1)).collect();
    let error =
        stopped(&format!("package p\ndeny contains \"x\" if {{\nx0 := 99999999999\n{squares}x29 == 1 }}"));
    assert_eq!(error.code, Code::PolicyError, "{error}");
    let interpreted =
        format!("package p\ndeny contains \"x\" if {{\nx0 := 99999999999\n{squares}walk(x29, [_, 1]) }}");
    assert!(load(V1, &interpreted).unwrap_err().message.contains("multiplications"));
    let sums =
        "package p\ndeny contains \"x\" if { 3 * 4 == 12; 1.5 * 2 == 3; -3 * 9223372036854775807 < 0 }";
    assert_eq!(messages(V1, sums, "{}"), ["x"]);
}

#[test]
fn default_values_are_constants() {
    let text = fault(V1, "package p\ndefault deny := numbers.range(1, 1000000000)\ndeny := false if true");
    assert!(text.contains("constant"), "{text}");
}

#[test]
fn shared_parts_do_not_make_texts_without_bound() {
    let doubling: String = (1..40).map(|i| format!("x{i} := [x{0}, x{0}]\n", i - 1)).collect();
    for body in ["count(json.marshal(x39)) == 0", "sprintf(\"%v\", [x39]) == \"\"", "abs(x39) == 1"] {
        let text = format!("package p\ndeny contains \"x\" if {{\nx0 := [1]\n{doubling}{body} }}");
        assert!(matches!(stopped(&text).code, Code::PolicyError | Code::PolicyMemory), "{body}");
    }
    let text = format!("package p\nr := x39 if {{\nx0 := [1]\n{doubling} }}\ndeny := r");
    assert_eq!(stopped(&text).code, Code::PolicyMemory);
}

#[test]
fn a_budget_that_is_used_up_is_a_timeout() {
    let program = load(V1, "package p\ndeny := false").unwrap();
    let mut instance = program.instantiate().unwrap();
    let limits = Limits::default();
    let error = instance.validate(review("{}"), Value::new_object(), &limits, Duration::ZERO).unwrap_err();
    assert_eq!(error.code, Code::PolicyTimeout);
}

#[test]
fn an_instance_works_on_after_every_error() {
    let text = "package p\ndeny contains \"x\" if { numbers.range(1, input.review.n)[_] == -1 }\ndeny contains 3 if input.review.bad
        deny contains \"y\" if { 1 == 1 }";
    for extra in ["", "\ndeny contains \"w\" if { walk(input, [_, 77]) }"] {
        let program = load(V1, &format!("{text}{extra}")).unwrap();
        let limits = Limits { timeout: Duration::from_millis(500), ..Limits::default() };
        on_evaluation_thread(|| {
            let mut instance = program.instantiate().unwrap();
            let mut ask =
                |json| instance.validate(review(json), Value::new_object(), &limits, limits.timeout);
            for _ in 0..3 {
                assert_eq!(ask(r#"{"n": 1000000000000}"#).unwrap_err().code, Code::PolicyMemory);
                assert_eq!(ask(r#"{"n": 3, "bad": true}"#).unwrap_err().code, Code::PolicyOutputInvalid);
                assert_eq!(ask(r#"{"n": 3}"#).unwrap().observations.len(), 1);
            }
        });
    }
}

#[test]
fn values_with_shared_parts_cannot_be_built_without_bound() {
    let doubling = |name: &str| {
        (1..40).map(|i| format!("{name}{i} := [{name}{0}, {name}{0}]\n", i - 1)).collect::<String>()
    };
    let array = format!("x0 := [1]\ny0 := [1]\n{}{}x39 == y39", doubling("x"), doubling("y"));
    let comprehensions =
        "r := numbers.range(1, 5000); x := [r | some _ in r]; y := [numbers.range(1, 5000) | some _ in r]
        z := [x | some _ in r]; w := [y | some _ in r]; w == z";
    let sets = "r := numbers.range(1, 2000); x := {[i, r] | some i in r}; y := {[i, x] | some i in r}; count(y) == 0";
    let objects =
        "r := numbers.range(1, 2000); x := {i: r | some i in r}; y := {i: x | some i in r}; count(y) == 0";
    let concatenated: String =
        (1..40).map(|i| format!("x{i} := array.concat(x{0}, x{0})\n", i - 1)).collect();
    for body in [
        array.as_str(),
        comprehensions,
        sets,
        objects,
        &format!("x0 := [numbers.range(1, 100)]\n{concatenated}x39 == []"),
    ] {
        let text = format!("package p\ndeny contains \"x\" if {{\n{body} }}");
        let error = stopped(&text);
        assert!(
            matches!(error.code, Code::PolicyError | Code::PolicyMemory | Code::PolicyTimeout),
            "{error}"
        );
    }
}

#[test]
fn the_longest_chains_of_calls_fit_on_the_stack() {
    let open = "count([y | y := ".repeat(6);
    let close = "])".repeat(6);
    let chain: String =
        (0..60).map(|i| format!("f{i}(x) := {open}[z | z := f{}(x)][0]{close}\n", i + 1)).collect();
    for extra in ["", "\nviolation contains \"x\" if { walk(input, [_, 1]) }"] {
        let text = format!("package p\n{chain}f60(x) := x\ndeny contains \"x\" if f0(1) == 1{extra}");
        let program = load(V1, &text).unwrap();
        assert_eq!(ask(&program, "{}", &patient()).unwrap().observations.len(), 1);
    }
    let loops: String = (0..200).map(|i| format!("some x{i} in [1]\n")).collect();
    for extra in ["", "walk(input, [_, {}])\n"] {
        let text = format!("package p\ndeny contains \"x\" if {{\n{extra}{loops}}}");
        match load(V1, &text) {
            Ok(program) => assert_eq!(ask(&program, "{}", &patient()).unwrap().observations.len(), 1),
            Err(fault) => assert!(!fault.message.is_empty()),
        }
    }
}
