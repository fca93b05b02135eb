//! Which built-ins a policy may call, and what bounds each of them.
//!
//! Regorus' timer does not interrupt a built-in, and some of them make output without bound, panic or recurse.
//! So every built-in is behind a guard that tells the cost from the arguments, spends it from the evaluation's
//! budget and refuses what is beyond. A refusal ends the evaluation with a code: it is not an undefined value
//! that `not` could turn around. What is not in this table does not run, so that a new regorus brings no
//! unguarded built-in.
//!
//! | built-ins | bound |
//! | --- | --- |
//! | `is_*`, `type_name` | look at the type only |
//! | `count` | the length of a text |
//! | `abs`, `ceil`, `floor`, `round`, `min`, `max`, `sum`, `startswith`, `endswith`, `contains`, `bits.and`, `bits.or`, `bits.xor`, `bits.negate`, `bits.rsh`, `semver.*`, `time.*`, `uuid.parse`, `net.cidr_contains`, `net.cidr_is_valid`, `*.is_valid`, `trace` | the size of all arguments, as work |
//! | `product`, `bits.lsh`, `*` | integers of at most about 300 digits |
//! | `numbers.range`, `numbers.range_step` | the number of elements; a step of 1 or more |
//! | `to_number`, `units.*` | numerals of 64 characters, exponents to 308 |
//! | `sort`, `array.*`, `object.*`, `union`, `intersection`, `\|`, `&` | elements copied and compared |
//! | `json.filter`, `json.remove` | paths of 128 parts |
//! | `concat`, `replace`, `strings.*`, `lower`, `upper`, `substring`, `trim*`, `split`, `indexof*`, `format_int`, `base64*`, `hex.*`, `urlquery.*` | the length of the text or list they make |
//! | `sprintf` | the same, widths to 1,024 |
//! | `json.marshal*`, `yaml.marshal` | the length of the text, shared parts counted each time |
//! | `json.unmarshal`, `yaml.unmarshal` | the length of the text; more for YAML with anchors |
//! | `regex.*`, `glob.*` | length of pattern (4 KiB) × length of text, and matches; compiled size (100 KiB, by regorus) |
//! | `walk`, `graph.reachable` | values and the paths to them |
//! | `net.cidr_expand` | the number of addresses |
//! | `time.now_ns` | allowed: the time of the evaluation, the same at every call |
//! | `object.subset` | Bailey's own: regorus' panics on an empty array |
//! | refused: `rand.intn`, `uuid.rfc4122` | the verdict on a request must not depend on chance |
//! | refused: `opa.runtime` | a policy has no business with the process it runs in |
//! | refused: `graph.reachable_paths` | the number of paths grows without bound |
//! | refused: `regex.template_match` | panics on some texts |
//! | refused: `json.match_schema`, `json.verify_schema` | cost without bound; parameters have a schema of their own |
//! | absent: `http.send`, `crypto.*`, `io.jwt.*`, `net.lookup_ip_addr` | not in this build: no policy reaches the network |
//! | `print` | checked, then taken out: it writes nowhere |

mod budget;
mod costs;
mod own;
mod patterns;
mod weight;

use std::sync::LazyLock;

use regorus::Value;
use regorus::unstable::{BUILTINS, BuiltinFcn, Expr, Ref, Span};

use budget::Refusal;
pub(super) use budget::Scope;
pub(super) use weight::{forget, weigh_up_to};

/// What regorus' built-ins return; named through their own type.
type Outcome = <BuiltinFcn as Function>::Outcome;

/// The error in it.
type Failure = <BuiltinFcn as Function>::Failure;

trait Function {
    type Outcome;
    type Failure;
}

impl<V, E> Function
    for (for<'a, 'b, 'c> fn(&'a Span, &'b [Ref<Expr>], &'c [Value], bool) -> Result<V, E>, u8)
{
    type Outcome = Result<V, E>;
    type Failure = E;
}

type Original = LazyLock<Option<BuiltinFcn>>;

/// Whether a policy may name a built-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Audit {
    /// It runs behind a guard, and takes so many arguments.
    Allowed(u8),
    /// It never runs, for this reason.
    Refused(&'static str),
    /// There is none of this name.
    Unknown,
}

/// Looks a built-in up in the table.
pub(super) fn audit(name: &str) -> Audit {
    match name {
        "rand.intn" | "uuid.rfc4122" => Audit::Refused("the verdict on a request must not depend on chance"),
        "opa.runtime" => Audit::Refused("a policy cannot ask about the server it runs in"),
        "graph.reachable_paths" => Audit::Refused("the number of paths has no bound, use `graph.reachable`"),
        "regex.template_match" => Audit::Refused("it fails on some texts, use `regex.match`"),
        "json.match_schema" | "json.verify_schema" => {
            Audit::Refused("its cost has no bound, describe parameters in `spec.parameters.schema`")
        }
        "http.send" => Audit::Refused("a policy cannot reach the network, use `data.inventory`"),
        _ => guarded(name).map_or(Audit::Unknown, |(_, arity)| Audit::Allowed(arity)),
    }
}

// Guards that `instrument` puts into a program; no policy can name them, for none is a Rego identifier.

/// Multiplies two numbers that may not grow without bound.
pub(super) const MULTIPLY: &str = "*";
/// Weighs a value and gives it back.
pub(super) const BOUND: &str = "=";
/// Compares what the definitions of a rule came to.
pub(super) const RESULT: &str = ":=";
/// Compares the values of a field of a partial object.
pub(super) const FIELD: &str = "[]:=";

fn run(
    name: &str,
    cost: fn(&[Value]) -> costs::Cost,
    original: &Original,
    call: (&Span, &[Ref<Expr>], &[Value], bool),
) -> Outcome {
    let (span, parameters, arguments, strict) = call;
    cost(arguments).map_err(|refusal| budget::refuse(name, refusal))?;
    match original.as_ref() {
        Some((function, _)) => function(span, parameters, arguments, strict),
        None => Err(budget::refuse(name, Refusal::of("is not in this build")).into()),
    }
}

macro_rules! table {
    ($($cost:expr => $($name:literal)+;)+) => {
        /// The guarded form of a built-in.
        pub(super) fn guarded(name: &str) -> Option<BuiltinFcn> {
            match name {
                MULTIPLY => Some((own::multiply, 2)),
                BOUND => Some((own::bound, 1)),
                RESULT => Some((own::result, 2)),
                FIELD => Some((own::field, 3)),
                "object.subset" => Some((own::subset, 2)),
                $($($name => {
                    static ORIGINAL: Original = LazyLock::new(|| BUILTINS.get($name).copied());
                    fn call(span: &Span, parameters: &[Ref<Expr>], arguments: &[Value], strict: bool) -> Outcome {
                        run($name, $cost, &ORIGINAL, (span, parameters, arguments, strict))
                    }
                    ORIGINAL.as_ref().map(|(_, arity)| (call as _, *arity))
                })+)+
                _ => None,
            }
        }

        /// Every name in the table that regorus has in this build.
        pub(super) fn names() -> impl Iterator<Item = &'static str> {
            [$($($name,)+)+ "object.subset"].into_iter().filter(|name| BUILTINS.contains_key(name))
        }
    };
}

table! {
    costs::free => "is_array" "is_boolean" "is_null" "is_number" "is_object" "is_set" "is_string" "type_name" "time.now_ns";
    costs::counting => "count";
    costs::scan => "abs" "ceil" "floor" "round" "sum" "startswith" "endswith" "contains" "bits.and" "bits.negate"
        "bits.or" "bits.rsh" "bits.xor" "semver.compare" "semver.is_valid" "uuid.parse" "net.cidr_is_valid"
        "net.cidr_contains" "time.add_date" "time.clock" "time.date" "time.diff" "time.format"
        "time.parse_duration_ns" "time.parse_ns" "time.parse_rfc3339_ns" "time.weekday" "base64.is_valid" "trace";
    costs::order => "sort" "min" "max";
    costs::product => "product";
    costs::shift => "bits.lsh";
    costs::range => "numbers.range" "numbers.range_step";
    costs::numeral => "to_number" "units.parse" "units.parse_bytes";
    costs::copy => "array.concat" "array.reverse" "array.slice" "object.keys";
    costs::merge => "object.union" "object.filter" "object.remove" "intersection" "__builtin_sets.union"
        "__builtin_sets.intersection";
    costs::merge_all => "object.union_n" "union";
    costs::lookup => "object.get";
    costs::filter => "json.filter" "json.remove";
    costs::join => "concat";
    costs::replace => "replace";
    costs::replace_all => "strings.replace_n";
    costs::split => "split";
    costs::format => "sprintf";
    costs::search => "indexof";
    costs::search_all => "indexof_n";
    costs::occurrences => "strings.count";
    costs::each_with_each => "strings.any_prefix_match" "strings.any_suffix_match";
    costs::cut => "substring" "trim_space" "trim_prefix" "trim_suffix" "strings.reverse";
    costs::trim => "trim" "trim_left" "trim_right";
    costs::rewrite => "lower" "upper" "format_int" "base64.encode" "base64.decode" "base64url.encode"
        "base64url.encode_no_pad" "base64url.decode" "hex.encode" "hex.decode";
    costs::url => "urlquery.encode" "urlquery.decode" "urlquery.encode_object" "urlquery.decode_object";
    costs::marshal => "json.marshal";
    costs::marshal_lines => "json.marshal_with_options" "yaml.marshal";
    costs::unmarshal => "json.unmarshal" "json.is_valid";
    costs::unmarshal_yaml => "yaml.unmarshal" "yaml.is_valid";
    patterns::pattern::<0, 1> => "regex.match" "regex.is_valid";
    patterns::pattern_all => "regex.find_n" "regex.split" "regex.find_all_string_submatch_n";
    patterns::pattern_replace => "regex.replace";
    patterns::glob => "glob.match" "glob.quote_meta";
    costs::reachable => "graph.reachable";
    costs::walk => "walk";
    costs::addresses => "net.cidr_expand";
}
