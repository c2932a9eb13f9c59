//! Tables of the fields in request bodies: they validate values and set them on an object.
//!
//! Knows JSON objects, but no resources. `versions` handles fields of later versions.

use serde_json::{Value as Json, json};

use super::collection::text;
use super::rest::Refusal;

/// A field with its type.
pub(super) type Field = (&'static str, Takes);

/// The type of a field.
#[derive(Debug, Clone, Copy)]
pub(super) enum Takes {
    /// True or false.
    Boolean,
    /// A whole number in a range.
    Number(i64, i64),
    /// A whole number in a range; an empty text removes the field.
    Limit(i64, i64),
    /// The number of a user or group, also as text; an empty text removes the field.
    Id,
    /// A text.
    Text,
    /// One of several texts.
    OneOf(&'static [&'static str]),
    /// A list of texts from a set.
    ListOf(&'static [&'static str]),
    /// An object with its own fields. Fields that are left out stay unchanged.
    Fields(&'static [Field]),
    /// A field that the resource's handler processes.
    Handler,
}

/// A number of bytes without a limit.
pub(super) const BYTES: Takes = Takes::Number(0, i64::MAX);

/// Sets the fields of a body on an object. The first table that contains a field validates it.
pub(super) fn set(object: &mut Json, body: &Json, tables: &[&[Field]]) -> Result<(), Refusal> {
    let name = text(object, "name").to_owned();
    set_at(&name, "", object, body, tables)
}

/// Sets fields of a nested object: messages name the outer object, and put `path` before a field.
pub(super) fn set_at(
    name: &str,
    path: &str,
    object: &mut Json,
    body: &Json,
    tables: &[&[Field]],
) -> Result<(), Refusal> {
    if !body.is_object() && !body.is_null() {
        let kind = if path.is_empty() { "the body" } else { path.trim_end_matches('.') };
        return Err(Refusal::of(name, format!("Invalid value of {kind}: no object.")));
    }
    for (field, value) in body.as_object().into_iter().flatten() {
        let known = tables.iter().copied().flatten().find(|(known, _)| known == field);
        let Some((_, takes)) = known else {
            return Err(Refusal::of(name, format!("Unknown field '{path}{field}'.")));
        };
        match takes {
            Takes::Handler => {}
            Takes::Fields(fields) if value.is_object() => {
                let path = format!("{path}{field}.");
                let inner = &mut object[field.as_str()];
                if inner.is_null() {
                    *inner = json!({});
                }
                set_at(name, &path, inner, value, &[fields])?;
            }
            Takes::Limit(..) | Takes::Id if value == "" => {
                object.as_object_mut().map(|fields| fields.shift_remove(field));
            }
            Takes::Id if number(value).is_some() => {
                object[field.as_str()] = number(value).into();
            }
            takes if takes.takes(value) => object[field.as_str()] = value.clone(),
            _ => return Err(Refusal::of(name, format!("Invalid value of '{path}{field}'."))),
        }
    }
    Ok(())
}

impl Takes {
    fn takes(self, value: &Json) -> bool {
        let among =
            |texts: &[&str], value: &Json| value.as_str().is_some_and(|v| texts.contains(&v));
        match self {
            Self::Boolean => value.is_boolean(),
            Self::Number(least, most) | Self::Limit(least, most) => {
                value.as_i64().is_some_and(|number| (least..=most).contains(&number))
            }
            Self::Text => value.is_string(),
            Self::OneOf(texts) => among(texts, value),
            Self::ListOf(texts) => {
                value.as_array().is_some_and(|items| items.iter().all(|item| among(texts, item)))
            }
            Self::Fields(_) | Self::Handler | Self::Id => false,
        }
    }
}

/// Parses the number of a user or group.
fn number(value: &Json) -> Option<u32> {
    let number = value.as_str().map_or_else(|| value.as_u64(), |text| text.parse().ok());
    number.and_then(|number| u32::try_from(number).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: &[Field] = &[
        ("enabled", Takes::Boolean),
        ("size", BYTES),
        ("access", Takes::OneOf(&["ro", "rw"])),
        ("security", Takes::ListOf(&["sys", "krb5"])),
        ("inner", Takes::Fields(&[("text", Takes::Text)])),
        ("limit", Takes::Limit(1, 9)),
        ("uid", Takes::Id),
        ("source", Takes::Handler),
    ];

    #[test]
    fn good_fields_are_set_and_others_stay() {
        let mut object = json!({"name": "a", "inner": {"text": "old", "other": 1}});
        let body = json!({"enabled": true, "size": 5, "security": ["sys"], "source": {"name": "b"},
            "inner": {"text": "new"}});
        set(&mut object, &body, &[FIELDS]).expect("good");
        let expected = json!({"name": "a", "inner": {"text": "new", "other": 1}, "enabled": true,
            "size": 5, "security": ["sys"]});
        assert_eq!(object, expected);
    }

    #[test]
    fn an_empty_object_is_no_null() {
        let mut object = json!({"name": "a"});
        set(&mut object, &json!({"inner": {}}), &[FIELDS]).expect("good");
        assert_eq!(object, json!({"name": "a", "inner": {}}));
    }

    #[test]
    fn limits_and_ids_are_taken_away_by_an_empty_text() {
        let mut object = json!({"name": "a"});
        set(&mut object, &json!({"limit": 3, "uid": "65534"}), &[FIELDS]).expect("good");
        assert_eq!(object, json!({"name": "a", "limit": 3, "uid": 65534}));
        set(&mut object, &json!({"limit": "", "uid": ""}), &[FIELDS]).expect("good");
        assert_eq!(object, json!({"name": "a"}));
    }

    #[test]
    fn bad_fields_are_reported_by_their_path() {
        for (body, why) in [
            (json!({"enabled": "yes"}), "Invalid value of 'enabled'."),
            (json!({"size": -1}), "Invalid value of 'size'."),
            (json!({"access": "wo"}), "Invalid value of 'access'."),
            (json!({"security": ["sys", "none"]}), "Invalid value of 'security'."),
            (json!({"limit": 10}), "Invalid value of 'limit'."),
            (json!({"uid": "root"}), "Invalid value of 'uid'."),
            (json!({"inner": 1}), "Invalid value of 'inner'."),
            (json!({"inner": {"text": 1}}), "Invalid value of 'inner.text'."),
            (json!({"inner": {"colour": 1}}), "Unknown field 'inner.colour'."),
            (json!({"colour": 1}), "Unknown field 'colour'."),
            (json!([]), "Invalid value of the body: no object."),
        ] {
            let refusal = set(&mut json!({"name": "a"}), &body, &[FIELDS]);
            assert_eq!(refusal, Err(Refusal::of("a", why)));
        }
    }
}
