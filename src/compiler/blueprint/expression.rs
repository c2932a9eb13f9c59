//! Expressions between `{{` and `}}`: minijinja, evaluated to values that keep their type.
//!
//! Results are never rendered as text into YAML, and expressions see only the app's own values. Fuel limits the
//! cost of one expression, so that a blueprint cannot block the run.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, Value, value::ValueKind};

use super::scope::Variables;
use crate::compiler::diagnostic::Place;
use crate::compiler::yaml::ReadError;
use crate::contract::Quantity;

/// Largest number of instructions for one expression.
const FUEL: u64 = 50_000;

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(50);
    environment.add_filter("quantity", quantity);
    environment.add_filter("name", name);
    environment
});

/// `536870912 | quantity` is `512Mi`.
fn quantity(bytes: &Value) -> Result<String, Error> {
    let bytes = bytes.as_i64().and_then(|bytes| u64::try_from(bytes).ok()).ok_or_else(|| {
        Error::new(ErrorKind::InvalidOperation, format!("{bytes} is not a number of bytes"))
    })?;
    Ok(Quantity::of_bytes(bytes).text().to_owned())
}

/// `"INC 4711" | name` is `inc-4711`: a valid Kubernetes name.
fn name(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.to_lowercase().chars() {
        let character = if character.is_ascii_alphanumeric() { character } else { '-' };
        if character != '-' || !out.ends_with('-') {
            out.push(character);
        }
    }
    out.trim_matches('-').to_owned()
}

/// One expression and its place.
#[derive(Debug)]
pub(super) struct Expression {
    compiled: Compiled,
    source: String,
    place: Place,
}

#[derive(Debug)]
enum Compiled {
    /// A name and fields of it, such as `component.db.address`. Most expressions have this form, and a lookup
    /// takes a tenth of the time of starting the interpreter.
    Path(Vec<String>),
    /// Any other expression.
    Code(minijinja::Expression<'static, 'static>),
}

impl Expression {
    /// Parses the text between `{{` and `}}`.
    pub(super) fn parse(source: &str, place: Place) -> Result<Self, ReadError> {
        let source = source.trim().to_owned();
        let compiled = match path(&source) {
            Some(path) => Compiled::Path(path),
            None => Compiled::Code(
                ENVIRONMENT
                    .compile_expression_owned(source.clone())
                    .map_err(|error| failure(&source, &error, place))?,
            ),
        };
        Ok(Self { compiled, source, place })
    }

    /// Evaluates the expression. A name that does not exist is an error.
    pub(super) fn evaluate(&self, scope: &Variables) -> Result<Value, ReadError> {
        let fail = |error: Error| failure(&self.source, &error, self.place);
        let value = match &self.compiled {
            Compiled::Path(steps) => {
                let mut value = scope.value().clone();
                for step in steps {
                    value = value.get_attr(step).map_err(fail)?;
                }
                value
            }
            Compiled::Code(code) => code.eval(scope.value().clone()).map_err(fail)?,
        };
        if value.kind() == ValueKind::Undefined {
            return Err(ReadError {
                message: format!("`{{{{ {} }}}}` is not defined", self.source),
                place: Some(self.place),
            });
        }
        Ok(value)
    }

    /// Returns the names that the expression uses.
    pub(super) fn names(&self) -> Vec<String> {
        match &self.compiled {
            Compiled::Path(steps) => steps.first().cloned().into_iter().collect(),
            Compiled::Code(code) => code.undeclared_variables(false).into_iter().collect(),
        }
    }

    /// Returns the names that the expression uses, with the fields of each, such as `database.host`.
    pub(super) fn fields(&self) -> BTreeSet<String> {
        match &self.compiled {
            Compiled::Path(steps) => [steps.join(".")].into(),
            Compiled::Code(code) => code.undeclared_variables(true).into_iter().collect(),
        }
    }

    /// Returns the name or field that is the whole expression, such as `database.host`.
    pub(super) fn field(&self) -> Option<String> {
        match &self.compiled {
            Compiled::Path(steps) => Some(steps.join(".")),
            Compiled::Code(_) => None,
        }
    }

    /// Returns the place of the expression.
    pub(super) fn place(&self) -> Place {
        self.place
    }
}

/// Words of the expression language, which cannot be names.
const WORDS: [&str; 13] = [
    "true", "false", "none", "True", "False", "None", "not", "and", "or", "in", "is", "if", "else",
];

/// Returns why expressions cannot use a name, and a name that they can use.
pub(super) fn unusable(name: &str) -> Option<String> {
    if WORDS.contains(&name) {
        return Some(format!("`{name}` is a word of expressions and cannot be a name"));
    }
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let starts = |name: &str| name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if starts(name) && name.chars().all(fits) {
        return None;
    }
    let mut usable = String::new();
    for part in name.split(|c| !fits(c)).filter(|part| !part.is_empty()) {
        let (first, rest) = part.split_at(1);
        let first = if usable.is_empty() { first.to_owned() } else { first.to_uppercase() };
        usable.push_str(&first);
        usable.push_str(rest);
    }
    let how = if starts(&usable) { format!(": write `{usable}`") } else { String::new() };
    let name = crate::sanitize::quoted(name);
    Some(format!(
        "expressions cannot use the name {name}: it needs letters, digits and `_`, and no digit first{how}"
    ))
}

/// Returns the steps of an expression that consists only of a name and fields of it.
fn path(source: &str) -> Option<Vec<String>> {
    let is_name = |step: &str| {
        step.starts_with(|c: char| c.is_ascii_alphabetic())
            && step.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && !WORDS.contains(&step)
    };
    source.split('.').map(|step| is_name(step).then(|| step.to_owned())).collect()
}

fn failure(source: &str, error: &Error, place: Place) -> ReadError {
    let detail = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    ReadError { message: format!("`{{{{ {source} }}}}`: {detail}"), place: Some(place) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compiler::diagnostic::Sources;

    fn evaluate(source: &str) -> Result<Value, String> {
        let sources = Sources::default();
        let place = Place::start_of(sources.add("t", ""));
        let scope = Variables::new([("host", Value::from("a.example.com")), ("n", Value::from(3))]);
        Expression::parse(source, place)
            .and_then(|expression| expression.evaluate(&scope))
            .map_err(|error| error.message)
    }

    #[test]
    fn values_keep_their_type() {
        assert_eq!(evaluate("n + 1").expect("evaluates"), Value::from(4));
        assert_eq!(evaluate("host == 'x'").expect("evaluates"), Value::from(false));
        assert_eq!(evaluate("536870912 | quantity").expect("evaluates"), Value::from("512Mi"));
        assert_eq!(evaluate("'INC 4711!' | name").expect("evaluates"), Value::from("inc-4711"));
    }

    #[test]
    fn what_does_not_exist_is_an_error() {
        assert!(evaluate("hots").expect_err("undefined").contains("hots"));
        assert!(evaluate("host.port.x").is_err());
        assert!(evaluate("n +").is_err());
    }

    #[test]
    fn endless_work_runs_out_of_fuel() {
        assert!(evaluate("range(10000)|map('string')|join|list|sort|unique|join|length").is_err());
    }
}
