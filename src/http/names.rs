//! Names that callers gave to fields and parameters. Unlike values they are not personal, so an error may repeat them,
//! cut and without what cannot be printed.

/// Longest name that is repeated, in characters.
const LONGEST: usize = 40;

/// A name as an error shows it.
pub(super) fn shown(name: &str) -> String {
    name.chars().take(LONGEST).map(|c| if is_printable(c) { c } else { char::REPLACEMENT_CHARACTER }).collect()
}

/// A name as a segment of a JSON pointer (RFC 6901), with the slash before it.
pub(super) fn pointer(name: &str) -> String {
    format!("/{}", shown(name).replace('~', "~0").replace('/', "~1"))
}

/// What is wrong with an unknown name: it is not one of `kind`, and perhaps this one was meant.
pub(super) fn unknown<'a>(name: &str, kind: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    match nearest(name, known) {
        Some(nearest) => format!("is not {kind}: did you mean {nearest}?"),
        None => format!("is not {kind}"),
    }
}

/// The standard library escapes whatever cannot be printed, and three characters that can.
fn is_printable(c: char) -> bool {
    matches!(c, '\\' | '"' | '\'') || c.escape_debug().len() == 1
}

/// The known name that a caller most likely meant: the same in another case (`phoneNumber`, `phone-number`), or one
/// that differs in a few letters.
fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if name.chars().nth(LONGEST).is_some() {
        return None;
    }
    let given = letters(name);
    let distances = known.into_iter().map(|known| {
        let meant = letters(known);
        let allowed = (meant.chars().count().max(given.chars().count()) / 3).clamp(1, 3);
        (strsim::osa_distance(&given, &meant), allowed, known)
    });
    let near = distances.filter(|(distance, allowed, _)| distance <= allowed);
    near.min_by_key(|(distance, ..)| *distance).map(|(.., known)| known)
}

fn letters(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 6] = ["phone_number", "name", "customer_id", "driver_id", "from", "to"];

    #[test]
    fn the_nearest_name_is_suggested() {
        for (given, meant) in [
            ("phoneNumber", Some("phone_number")),
            ("PhoneNumber", Some("phone_number")),
            ("phone-number", Some("phone_number")),
            ("PHONE_NUMBER", Some("phone_number")),
            ("phonenumber", Some("phone_number")),
            ("phone_numbr", Some("phone_number")),
            ("customer", Some("customer_id")),
            ("customerId", Some("customer_id")),
            ("form", Some("from")),
            ("nmae", Some("name")),
            ("colour", None),
            ("", None),
            ("x", None),
        ] {
            assert_eq!(nearest(given, KNOWN), meant, "{given}");
        }
        assert_eq!(nearest(&"phone_number".repeat(10), KNOWN), None);
    }

    #[test]
    fn a_name_is_cut_and_printable() {
        assert_eq!(shown(&"é".repeat(60)), "é".repeat(40));
        assert_eq!(shown("a\u{0}b\u{202e}c\u{200b}d\u{e000}"), "a\u{fffd}b\u{fffd}c\u{fffd}d\u{fffd}");
        assert_eq!(shown("\"quoted\" 'name' \\ größe 名前 😀"), "\"quoted\" 'name' \\ größe 名前 😀");
        assert_eq!(pointer("a/b~c"), "/a~1b~0c");
        assert_eq!(pointer(""), "/");
    }
}
