//! Reading JSON that callers wrote. A name that stands twice in an object is found, since parsers differ in which value
//! they take, and a whole number is one however it is spelled (`1.0`, `1e0`).

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::names;
use crate::domain::error::FieldError;

/// Up to here, either side of zero, a floating-point number stands for one whole number only.
const EXACT: f64 = 9_007_199_254_740_991.0;
/// How many names that stand twice are told.
const MOST_REPEATED: usize = 100;

/// Reads a document; with it come the names that stand twice in one object. `None` if it is not JSON.
pub(super) fn parse(bytes: &[u8]) -> Option<(Value, Vec<FieldError>)> {
    let mut reader = Reader { pointer: String::new(), repeated: Vec::new() };
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = Node(&mut reader).deserialize(&mut deserializer).ok()?;
    deserializer.end().ok()?;
    Some((value, reader.repeated))
}

struct Reader {
    /// Where in the document it is.
    pointer: String,
    repeated: Vec<FieldError>,
}

/// One value of the document.
struct Node<'a>(&'a mut Reader);

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        let is_whole = value.fract() == 0.0 && value.abs() <= EXACT;
        #[allow(clippy::cast_possible_truncation, reason = "it is whole and small enough")]
        Ok(if is_whole { Value::from(value as i64) } else { Value::from(value) })
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let Self(reader) = self;
        let outer = reader.pointer.len();
        let mut all = Vec::new();
        loop {
            reader.pointer.push_str(&format!("/{}", all.len()));
            let item = items.next_element_seed(Node(reader))?;
            reader.pointer.truncate(outer);
            match item {
                Some(item) => all.push(item),
                None => return Ok(all.into()),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let Self(reader) = self;
        let outer = reader.pointer.len();
        let mut object = Map::new();
        while let Some(name) = fields.next_key::<String>()? {
            reader.pointer.push_str(&names::pointer(&name));
            let value = fields.next_value_seed(Node(reader))?;
            if object.contains_key(&name) && reader.repeated.len() < MOST_REPEATED {
                reader.repeated.push(FieldError::new(reader.pointer.as_str(), "is given more than once"));
            }
            reader.pointer.truncate(outer);
            object.entry(name).or_insert(value);
        }
        Ok(object.into())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn repeated(text: &str) -> Vec<String> {
        let (_, repeated) = parse(text.as_bytes()).expect("JSON");
        repeated.into_iter().map(|error| error.pointer).collect()
    }

    #[test]
    fn a_name_that_stands_twice_is_found_at_any_depth() {
        assert_eq!(repeated(r#"{"a":1,"b":{"a":1},"c":[{"a":1},{"a":2}]}"#), [""; 0]);
        assert_eq!(repeated(r#"{"a":1,"a":1}"#), ["/a"]);
        assert_eq!(repeated(r#"{"a":1,"\u0061":null,"a":{}}"#), ["/a", "/a"]);
        assert_eq!(repeated(r#"{"b":{"c":[0,{"x/y":1,"x/y":2}]}}"#), ["/b/c/1/x~1y"]);
        assert_eq!(repeated(r#"[{"":1,"":2}]"#), ["/0/"]);
        let many = format!("{{{}\"z\":0}}", "\"a\":1,".repeat(5000));
        assert_eq!(repeated(&many).len(), MOST_REPEATED);
    }

    #[test]
    fn a_whole_number_is_one_in_every_spelling() {
        for (spelled, meant) in [
            ("1.0", json!(1)),
            ("1e0", json!(1)),
            ("-0", json!(0)),
            ("-0.0", json!(0)),
            ("12e2", json!(1200)),
            ("0.5e1", json!(5)),
            ("9007199254740991.0", json!(9_007_199_254_740_991_i64)),
            ("9007199254740993", json!(9_007_199_254_740_993_i64)),
            ("18446744073709551615", json!(u64::MAX)),
            ("1.5", json!(1.5)),
            ("9007199254740992.0", json!(9_007_199_254_740_992.0)),
            ("1e300", json!(1e300)),
        ] {
            assert_eq!(parse(spelled.as_bytes()).expect("JSON").0, meant, "{spelled}");
        }
    }

    #[test]
    fn what_is_not_json_is_none() {
        let deep = "[".repeat(5000);
        for text in ["", "{", "{}{}", "1 2", "{\"a\"}", "{\"a\":1,}", "nul", "01", "1e999", "\u{feff}{}", deep.as_str()]
        {
            assert!(parse(text.as_bytes()).is_none(), "{text}");
        }
        assert!(parse(b"{\"a\":\"\xff\"}").is_none());
    }
}
