//! The `filter` parameter of both arrays' lists: `name='a*' and (space.total_used>0 or not(destroyed))`.
//!
//! Grammar: the section on filtering in both official REST specifications. Knows JSON objects, but no arrays.

use serde_json::Value as Json;

/// A condition on one object.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Filter {
    /// All conditions hold.
    And(Vec<Filter>),
    /// At least one condition holds.
    Or(Vec<Filter>),
    /// The condition does not hold.
    Not(Box<Filter>),
    /// A field compares with one of several values.
    Compare { field: Field, operator: Operator, values: Vec<Literal> },
    /// A text field contains a text, ignoring case.
    Contains { field: Field, text: String },
    /// A boolean field is true.
    IsTrue(Field),
}

/// A field: steps with dots between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Field {
    steps: Vec<String>,
    /// Whether every element of a list must match, instead of at least one.
    all: bool,
}

/// A comparison operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// A value in a filter.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Literal {
    /// A text in which `*` matches any characters. Case is ignored.
    Text(String),
    Number(f64),
    Boolean(bool),
    Null,
}

impl Filter {
    /// Parses a filter. The error is a message of the array.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut parser = Parser { rest: text };
        let filter = parser.any()?;
        parser.skip();
        if parser.rest.is_empty() {
            Ok(filter)
        } else {
            Err(format!("Invalid filter: unexpected {:?}", parser.rest))
        }
    }

    /// Returns whether the filter holds for an object.
    pub(super) fn holds(&self, object: &Json) -> bool {
        match self {
            Self::And(all) => all.iter().all(|filter| filter.holds(object)),
            Self::Or(any) => any.iter().any(|filter| filter.holds(object)),
            Self::Not(inner) => !inner.holds(object),
            Self::IsTrue(field) => field.matches(object, |value| value == &Json::Bool(true)),
            Self::Contains { field, text } => field.matches(object, |value| {
                value
                    .as_str()
                    .is_some_and(|value| value.to_lowercase().contains(&text.to_lowercase()))
            }),
            Self::Compare { field, operator, values } => match operator {
                // For lists too, not equal means that no value is equal.
                Operator::NotEqual => {
                    !field.matches(object, |value| values.iter().any(|l| l.equals(value)))
                }
                Operator::Equal => {
                    field.matches(object, |value| values.iter().any(|l| l.equals(value)))
                }
                _ => field.matches(object, |value| {
                    values.first().is_some_and(|literal| literal.orders(*operator, value))
                }),
            },
        }
    }
}

impl Filter {
    /// Returns a field that must equal one text for the filter to hold, if it is among the given ones: an index can
    /// find it.
    pub(super) fn pinned(&self, among: &[&'static str]) -> Option<(&'static str, &str)> {
        match self {
            Self::And(all) => all.iter().find_map(|filter| filter.pinned(among)),
            Self::Compare { field, operator: Operator::Equal, values } if !field.all => {
                let path = field.steps.join(".");
                let field = among.iter().find(|field| **field == path)?;
                match values.as_slice() {
                    [Literal::Text(text)] if !text.contains('*') => Some((field, text)),
                    _ => None,
                }
            }
            _ => None,
        }
    }
}

impl Field {
    /// Returns whether the field's value, or an element of it, matches. A missing field is null.
    fn matches(&self, object: &Json, matches: impl Fn(&Json) -> bool) -> bool {
        let mut values = vec![object];
        for step in &self.steps {
            values = values
                .into_iter()
                .flat_map(|value| match value {
                    Json::Array(items) => items.iter().map(|item| &item[step]).collect(),
                    other => vec![&other[step]],
                })
                .collect();
        }
        let mut flat = values.into_iter().flat_map(|value| match value {
            Json::Array(items) => items.iter().collect(),
            other => vec![other],
        });
        if self.all { flat.all(matches) } else { flat.any(matches) }
    }
}

impl Literal {
    fn equals(&self, value: &Json) -> bool {
        match (self, value) {
            (Self::Text(pattern), Json::String(text)) => {
                wildcard(&pattern.to_lowercase(), &text.to_lowercase())
            }
            (Self::Number(number), value) => value.as_f64() == Some(*number),
            (Self::Boolean(boolean), value) => value.as_bool() == Some(*boolean),
            (Self::Null, value) => value.is_null(),
            (Self::Text(_), _) => false,
        }
    }

    fn orders(&self, operator: Operator, value: &Json) -> bool {
        let order = match (self, value) {
            (Self::Number(number), value) => value.as_f64().and_then(|v| v.partial_cmp(number)),
            (Self::Text(text), Json::String(value)) => Some(value.as_str().cmp(text.as_str())),
            _ => None,
        };
        order.is_some_and(|order| match operator {
            Operator::Less => order.is_lt(),
            Operator::LessOrEqual => order.is_le(),
            Operator::Greater => order.is_gt(),
            Operator::GreaterOrEqual => order.is_ge(),
            Operator::Equal => order.is_eq(),
            Operator::NotEqual => order.is_ne(),
        })
    }
}

/// Returns whether a text matches a pattern in which `*` matches any characters.
fn wildcard(pattern: &str, text: &str) -> bool {
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let Some(last) = pieces.next_back() else {
        return rest.is_empty();
    };
    for piece in pieces {
        match rest.find(piece) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

struct Parser<'t> {
    rest: &'t str,
}

impl Parser<'_> {
    fn skip(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn eat(&mut self, token: &str) -> bool {
        self.skip();
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, token: &str) -> Result<(), String> {
        if self.eat(token) {
            Ok(())
        } else {
            Err(format!("Invalid filter: expected {token:?} at {:?}", self.rest))
        }
    }

    /// Consumes a keyword that is not part of a longer word.
    fn keyword(&mut self, word: &str) -> bool {
        self.skip();
        let Some(start) = self.rest.get(..word.len()) else {
            return false;
        };
        let after = self.rest[word.len()..].chars().next();
        let ends = after.is_none_or(|c| !(c.is_ascii_alphanumeric() || c == '_' || c == '.'));
        if start.eq_ignore_ascii_case(word) && ends {
            self.rest = &self.rest[word.len()..];
            return true;
        }
        false
    }

    fn any(&mut self) -> Result<Filter, String> {
        let mut any = vec![self.all()?];
        while self.keyword("or") || self.eat("|") {
            any.push(self.all()?);
        }
        Ok(if any.len() == 1 { any.remove(0) } else { Filter::Or(any) })
    }

    fn all(&mut self) -> Result<Filter, String> {
        let mut all = vec![self.one()?];
        while self.keyword("and") || self.eat("&") {
            all.push(self.one()?);
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Filter::And(all) })
    }

    fn one(&mut self) -> Result<Filter, String> {
        if self.keyword("not") {
            self.expect("(")?;
            let inner = self.any()?;
            self.expect(")")?;
            return Ok(Filter::Not(Box::new(inner)));
        }
        if self.eat("(") {
            let inner = self.any()?;
            self.expect(")")?;
            return Ok(inner);
        }
        if self.keyword("contains") {
            self.expect("(")?;
            let field = self.field()?;
            self.expect(",")?;
            let Literal::Text(text) = self.literal()? else {
                return Err("Invalid filter: `contains` wants a text".to_owned());
            };
            self.expect(")")?;
            return Ok(Filter::Contains { field, text });
        }
        let field = self.field()?;
        let operators = [
            ("!=", Operator::NotEqual),
            ("<=", Operator::LessOrEqual),
            (">=", Operator::GreaterOrEqual),
            ("=", Operator::Equal),
            ("<", Operator::Less),
            (">", Operator::Greater),
        ];
        for (token, operator) in operators {
            if self.eat(token) {
                let values = self.values()?;
                return Ok(Filter::Compare { field, operator, values });
            }
        }
        Ok(Filter::IsTrue(field))
    }

    fn field(&mut self) -> Result<Field, String> {
        self.skip();
        let inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        let end = self.rest.find(|c| !inside(c)).unwrap_or(self.rest.len());
        if end == 0 {
            return Err(format!("Invalid filter: expected a field at {:?}", self.rest));
        }
        let steps = self.rest[..end].split('.').map(str::to_owned).collect();
        self.rest = &self.rest[end..];
        let all = self.eat("[all]");
        if !all {
            self.eat("[any]");
        }
        Ok(Field { steps, all })
    }

    fn values(&mut self) -> Result<Vec<Literal>, String> {
        if !self.eat("(") {
            return Ok(vec![self.literal()?]);
        }
        let mut values = vec![self.literal()?];
        while self.eat(",") {
            values.push(self.literal()?);
        }
        self.expect(")")?;
        Ok(values)
    }

    fn literal(&mut self) -> Result<Literal, String> {
        self.skip();
        if let Some(inside) = self.rest.strip_prefix('\'') {
            let mut text = String::new();
            let mut characters = inside.char_indices();
            while let Some((at, character)) = characters.next() {
                match character {
                    '\\' => text.extend(characters.next().map(|(_, escaped)| escaped)),
                    '\'' => {
                        self.rest = &inside[at + 1..];
                        return Ok(Literal::Text(text));
                    }
                    other => text.push(other),
                }
            }
            return Err("Invalid filter: a text has no end".to_owned());
        }
        for (word, literal) in [
            ("true", Literal::Boolean(true)),
            ("false", Literal::Boolean(false)),
            ("null", Literal::Null),
        ] {
            if self.keyword(word) {
                return Ok(literal);
            }
        }
        let inside = |c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.' | 'e' | 'E');
        let end = self.rest.find(|c| !inside(c)).unwrap_or(self.rest.len());
        let number = self.rest[..end].parse();
        let number =
            number.map_err(|_| format!("Invalid filter: expected a value at {:?}", self.rest))?;
        self.rest = &self.rest[end..];
        Ok(Literal::Number(number))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Filter;

    #[test]
    fn filters_hold_and_do_not() {
        let object = json!({
            "name": "k8s-pvc-1", "destroyed": false, "provisioned": 1024,
            "space": {"total_used": 5}, "services": ["data", "support"],
            "eth": {"subtype": "vif"}, "note": "it's (a) \\ thing",
        });
        let table = [
            ("name='k8s-pvc-1'", true),
            ("name='K8S-*'", true),
            ("name='*pvc*'", true),
            ("name='pvc*'", false),
            ("name!='k8s-pvc-1'", false),
            ("name=('a','k8s-pvc-1')", true),
            ("destroyed", false),
            ("not(destroyed)", true),
            ("destroyed=false", true),
            ("provisioned>=1024 and provisioned<2048", true),
            ("provisioned>1024", false),
            ("space.total_used=5", true),
            ("services='data'", true),
            ("services[all]='data'", false),
            ("services='mana*' or eth.subtype='vif'", true),
            ("contains(name,'PVC')", true),
            ("missing=null", true),
            ("missing='x'", false),
            ("note='it\\'s (a) \\\\ thing'", true),
            ("(name='x' or name='k8s*') and not(destroyed or provisioned<5)", true),
        ];
        for (text, wanted) in table {
            let filter = Filter::parse(text).expect(text);
            assert_eq!(filter.holds(&object), wanted, "{text}");
        }
    }

    #[test]
    fn slips_are_refused() {
        for text in ["", "name=", "name='a", "name='a' and", "(name='a'", "name ~ 'a'", "not name"]
        {
            assert!(Filter::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_filter_pins_what_an_index_can_find() {
        let pinned = |text: &str| {
            let filter = Filter::parse(text).expect("a filter");
            filter.pinned(&["iqns", "member.name"]).map(|(f, v)| format!("{f}={v}"))
        };
        assert_eq!(pinned("iqns='a'").as_deref(), Some("iqns=a"));
        assert_eq!(pinned("lun>1 and member.name='a'").as_deref(), Some("member.name=a"));
        for text in ["iqns='a*'", "iqns!='a'", "iqns='a' or lun=1", "not(iqns='a')", "name='a'"] {
            assert_eq!(pinned(text), None, "{text}");
        }
        assert_eq!(pinned("iqns=('a','b')"), None);
        assert_eq!(pinned("iqns[all]='a'"), None);
    }
}
