//! Call flows in XML: a tree of elements that is always well-formed.

use quick_xml::escape::escape;

/// An element: attributes, then children or text. Escapes every value and drops characters that XML cannot hold, so no
/// text becomes markup.
#[derive(Clone, Debug)]
pub(in crate::provider) struct Element {
    name: &'static str,
    attributes: Vec<(&'static str, String)>,
    content: String,
}

impl Element {
    pub(in crate::provider) fn new(name: &'static str) -> Self {
        Self { name, attributes: Vec::new(), content: String::new() }
    }

    pub(in crate::provider) fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.attributes.push((name, clean(&value.to_string())));
        self
    }

    pub(in crate::provider) fn child(mut self, child: &Self) -> Self {
        child.write(&mut self.content);
        self
    }

    /// Adds text.
    pub(in crate::provider) fn text(mut self, text: &str) -> Self {
        self.content.push_str(&clean(text));
        self
    }

    /// Returns the document with this root.
    pub(in crate::provider) fn document(&self) -> String {
        let mut out = String::from(r#"<?xml version="1.0" encoding="UTF-8"?>"#);
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) {
        out.push('<');
        out.push_str(self.name);
        for (name, value) in &self.attributes {
            out.push_str(&format!(" {name}=\"{value}\""));
        }
        if self.content.is_empty() {
            out.push_str("/>");
        } else {
            out.push_str(&format!(">{}</{}>", self.content, self.name));
        }
    }
}

/// Escapes a text, without the characters that XML 1.0 cannot represent (section 2.2 of its specification).
fn clean(text: &str) -> String {
    let kept: String = text
        .chars()
        .filter(|c| !matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}'))
        .collect();
    escape(kept.as_str()).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use quick_xml::{Reader, events::Event};

    use super::*;

    #[test]
    fn writes_a_tree() {
        let tree = Element::new("Response")
            .child(&Element::new("Say").with("language", "en-GB").text("Tom & <Jerry>"))
            .child(&Element::new("Hangup"));
        assert_eq!(
            tree.document(),
            r#"<?xml version="1.0" encoding="UTF-8"?><Response><Say language="en-GB">Tom &amp; &lt;Jerry&gt;</Say><Hangup/></Response>"#
        );
    }

    proptest! {
        #[test]
        fn no_text_becomes_markup(attribute in "([<&>\"'\\]\u{0}-\u{1f}]|\\PC){0,40}", words in "([<&>\"'\\]\u{0}-\u{1f}]|\\PC){1,40}") {
            let document = Element::new("a").with("b", &attribute).text(&words).document();
            let mut reader = Reader::from_str(&document);
            let (mut elements, mut open) = (0, 0);
            loop {
                match reader.read_event().expect("well-formed") {
                    Event::Start(start) => {
                        (elements, open) = (elements + 1, open + 1);
                        prop_assert_eq!(start.attributes().count(), 1);
                    }
                    Event::Empty(start) => {
                        elements += 1;
                        prop_assert_eq!(start.attributes().count(), 1);
                    }
                    Event::End(_) => open -= 1,
                    Event::Eof => break,
                    Event::Decl(_) | Event::Text(_) | Event::GeneralRef(_) => {}
                    other => prop_assert!(false, "{other:?}"),
                }
            }
            prop_assert_eq!((elements, open), (1, 0));
        }
    }
}
