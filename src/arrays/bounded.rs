//! Deserializes texts of an array that decisions depend on, such as names, ids and addresses. They are read unchanged,
//! or rejected when an array cannot have such a text. Texts for display only are sanitized elsewhere.

use std::fmt;

use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use serde::{Deserialize, de};

use crate::sanitize;

/// Longest name, id or address, in bytes. The longest one in the vendor's documentation is an IQN with 223 bytes.
const LONGEST: usize = 256;
/// Longest id or serial number, in bytes: UUIDs have 36.
const LONGEST_ID: usize = 64;
/// Longest list in one text, in bytes, such as the export rules of a file system.
const LONGEST_LIST: usize = 64 << 10;
/// Largest number of objects on a page: ten times the requested number.
const MOST: usize = 10_000;

/// A text of at most `BYTES` bytes, without control characters.
struct Bounded<const BYTES: usize>(String);

impl<'de, const BYTES: usize> Deserialize<'de> for Bounded<BYTES> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text<const BYTES: usize>;
        impl<const BYTES: usize> Visitor<'_> for Text<BYTES> {
            type Value = Bounded<BYTES>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                if text.len() > BYTES {
                    let length = text.len();
                    return Err(E::custom(format!("a text of {length} bytes where a name is")));
                }
                // Export rules are parsed word by word, whatever white space separates them.
                let between = |c: char| BYTES == LONGEST_LIST && c.is_ascii_whitespace();
                if text.chars().any(|c| sanitize::steers(c) && !between(c)) {
                    return Err(E::custom("control characters in a name"));
                }
                Ok(Bounded(text.to_owned()))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// Deserializes a name, an id or an address.
pub(super) fn word<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Bounded::<LONGEST>::deserialize(deserializer).map(|text| text.0)
}

/// Deserializes an optional name, id or address. The field needs the attribute `default` too.
pub(super) fn maybe<'de, D: Deserializer<'de>>(d: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<Bounded<LONGEST>>::deserialize(d)?.map(|text| text.0))
}

/// Deserializes an id.
pub(super) fn id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Bounded::<LONGEST_ID>::deserialize(deserializer).map(|text| text.0)
}

/// Deserializes an optional id or serial number. The field needs the attribute `default` too.
pub(super) fn maybe_id<'de, D: Deserializer<'de>>(d: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<Bounded<LONGEST_ID>>::deserialize(d)?.map(|text| text.0))
}

/// Deserializes an optional list of names.
pub(super) fn words<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Vec<String>>, D::Error> {
    let all = Option::<Vec<Bounded<LONGEST>>>::deserialize(d)?;
    Ok(all.map(|all| all.into_iter().map(|text| text.0).collect()))
}

/// Deserializes an optional text that contains a list.
pub(super) fn rules<'de, D: Deserializer<'de>>(d: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<Bounded<LONGEST_LIST>>::deserialize(d)?.map(|text| text.0))
}

/// The objects of one page, limited in number.
pub(super) struct PageItems<T>(pub(super) Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for PageItems<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Items<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Items<T> {
            type Value = PageItems<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<PageItems<T>, A::Error> {
                let mut all = Vec::new();
                while let Some(item) = items.next_element()? {
                    if all.len() == MOST {
                        return Err(de::Error::custom(format!("more than {MOST} items on a page")));
                    }
                    all.push(item);
                }
                Ok(PageItems(all))
            }
        }
        deserializer.deserialize_seq(Items(std::marker::PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_name_is_one_or_refused() {
        let read = |json: serde_json::Value| word(json).map_err(|error| error.to_string());
        assert_eq!(read(json!("prod-pvc-1")).as_deref(), Ok("prod-pvc-1"));
        assert!(read(json!("a".repeat(256))).is_ok());
        let long = read(json!("a".repeat(2 << 20))).expect_err("too long");
        assert_eq!(long, "a text of 2097152 bytes where a name is");
        for odd in ["a\u{1b}[2J", "a\nb", "\u{202e}a", "a\u{9b}"] {
            assert_eq!(read(json!(odd)), Err("control characters in a name".to_owned()), "{odd:?}");
        }
        assert!(id(json!("a".repeat(64))).is_ok() && id(json!("a".repeat(65))).is_err());
        assert!(maybe_id(json!("a".repeat(65))).is_err());
        assert_eq!(maybe(json!(null)).expect("absent"), None);
        assert!(rules(json!("10.0.0.0/8(rw)\n".repeat(100))).is_ok());
        assert!(rules(json!("10.0.0.0/8(rw)\u{1b}")).is_err());
    }

    #[test]
    fn a_page_has_an_end() {
        let page = |items: usize| serde_json::from_value::<PageItems<u8>>(json!(vec![0; items]));
        assert_eq!(page(MOST).map(|few| few.0.len()).expect("a page"), MOST);
        assert!(page(MOST + 1).is_err());
    }
}
