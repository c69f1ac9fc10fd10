//! Splits a long text into parts that a provider accepts, in the units that the provider counts.

use std::ops::Range;

use unicode_segmentation::GraphemeCursor;

use super::MessageText;
use crate::domain::{string_enum::string_enum, unicode::is_blank};

string_enum! {
    /// Unit in which a provider measures a text.
    TextUnit {
        /// UTF-16 code units, as in an SMS of any script; most emoji take two or more.
        Utf16 = "utf16_code_units",
        /// Unicode code points.
        Characters = "characters",
    }
}

impl TextUnit {
    fn of(self, c: char) -> usize {
        match self {
            Self::Utf16 => c.len_utf16(),
            Self::Characters => 1,
        }
    }

    /// Returns the length of a text in this unit.
    pub fn count(self, text: &str) -> usize {
        text.chars().map(|c| self.of(c)).sum()
    }
}

/// Maximum length of the text in one send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextLimit {
    pub max: usize,
    pub unit: TextUnit,
}

impl TextLimit {
    pub const fn utf16(max: usize) -> Self {
        Self { max, unit: TextUnit::Utf16 }
    }

    pub const fn characters(max: usize) -> Self {
        Self { max, unit: TextUnit::Characters }
    }

    /// Checks whether a text fits into one send.
    pub fn fits(self, text: &str) -> bool {
        self.unit.count(text) <= self.max
    }

    /// Returns the position up to which the text fits, and the length up to there. At least one character is taken, so
    /// that splitting ends.
    fn end(self, text: &str) -> (usize, usize) {
        let mut taken = 0;
        for (at, c) in text.char_indices() {
            if taken + self.unit.of(c) > self.max && at > 0 {
                return (at, taken);
            }
            taken += self.unit.of(c);
        }
        (text.len(), taken)
    }

    /// Returns where to cut a text that does not fit: at the end of a word, if there is one in the last tenth of what
    /// fits, otherwise before the visible character that would be cut through. A visible character that fits nowhere is
    /// cut.
    fn cut(self, text: &str) -> usize {
        let (end, mut taken) = self.end(text);
        let is_between_words = |at: usize| {
            let (before, behind) = (text[..at].chars().next_back(), text[at..].chars().next());
            before.is_some_and(is_space) || behind.is_some_and(is_space)
        };
        let whole = if is_boundary(text, end) { end } else { boundary_before(text, end) };
        if whole == 0 {
            return end;
        }
        let least = self.max - self.max / 10;
        taken -= self.unit.count(&text[whole..end]);
        let mut at = whole;
        while at > 0 && taken >= least {
            if is_between_words(at) {
                return at;
            }
            let before = boundary_before(text, at);
            taken -= self.unit.count(&text[before..at]);
            at = before;
        }
        whole
    }
}

/// Checks for white space at which a line may break.
fn is_space(c: char) -> bool {
    c.is_whitespace() && !matches!(c, '\u{a0}' | '\u{2007}' | '\u{202f}')
}

/// Checks whether a visible character (an extended grapheme cluster) ends here.
fn is_boundary(text: &str, at: usize) -> bool {
    // The cursor has the whole text, so it never asks for more.
    GraphemeCursor::new(at, text.len(), true).is_boundary(text, 0).unwrap_or(true)
}

/// Returns the start of the visible character that ends here or extends across this position.
fn boundary_before(text: &str, at: usize) -> usize {
    GraphemeCursor::new(at, text.len(), true).prev_boundary(text, 0).ok().flatten().unwrap_or(0)
}

/// Part of a text, with some of its pictures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Byte range in the text.
    pub words: Range<usize>,
    pub pictures: Range<usize>,
}

/// Splits a text with pictures into parts that a provider accepts: at most `limit` of the text and `media_limit`
/// pictures each, in order, with the first pictures in the first parts. With a `media_limit` of 0, pictures are left
/// out. Blank pieces are left out too: nobody would see them, and some providers refuse them.
pub fn parts(body: &MessageText, pictures: usize, limit: TextLimit, media_limit: usize) -> Vec<Part> {
    let pictures = if media_limit == 0 { 0 } else { pictures };
    let text = body.expose();
    let pieces = pieces(text, limit).into_iter().filter(|piece| !is_blank(&text[piece.clone()]));
    let mut pieces: Vec<_> = pieces.collect();
    if pieces.is_empty() && pictures == 0 {
        pieces.push(0..0);
    }
    beside(pieces, pictures, media_limit)
}

/// Combines the pieces of a text with its pictures.
fn beside(pieces: Vec<Range<usize>>, pictures: usize, media_limit: usize) -> Vec<Part> {
    (0..pieces.len().max(pictures.div_ceil(media_limit.max(1))))
        .map(|at| Part {
            words: pieces.get(at).cloned().unwrap_or_default(),
            pictures: pictures_of_part(at, pictures, media_limit),
        })
        .collect()
}

/// Returns the pictures that go with the part at index `at`.
pub fn pictures_of_part(at: usize, pictures: usize, media_limit: usize) -> Range<usize> {
    (at * media_limit).min(pictures)..((at + 1) * media_limit).min(pictures)
}

/// Splits a text into consecutive pieces that fit.
fn pieces(text: &str, limit: TextLimit) -> Vec<Range<usize>> {
    let (mut pieces, mut from) = (Vec::new(), 0);
    while !limit.fits(&text[from..]) {
        let end = from + limit.cut(&text[from..]);
        if end == text.len() {
            break;
        }
        pieces.push(from..end);
        from = end;
    }
    pieces.push(from..text.len());
    pieces
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use unicode_segmentation::UnicodeSegmentation as _;

    use super::*;

    const FAMILY: &str = "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}\u{200d}\u{1f466}";

    fn split(text: &str, limit: TextLimit) -> Vec<&str> {
        pieces(text, limit).into_iter().map(|piece| &text[piece]).collect()
    }

    #[test]
    fn emoji_count_as_what_they_are_made_of() {
        let emoji = "\u{1f697}".repeat(1100);
        let lengths = |limit| split(&emoji, limit).iter().map(|piece| piece.chars().count()).collect::<Vec<_>>();
        assert_eq!(lengths(TextLimit::utf16(550)), [275, 275, 275, 275]);
        assert_eq!(lengths(TextLimit::characters(550)), [550, 550]);
        assert_eq!(split("ab\u{1f697}", TextLimit::utf16(3)), ["ab", "\u{1f697}"], "no pair is cut");
    }

    #[test]
    fn a_visible_character_stays_whole() {
        let limit = TextLimit::utf16(330);
        let x = "x".repeat(329);
        assert_eq!(split(&format!("{x}{FAMILY}"), limit), [&x, FAMILY]);
        for cluster in [
            "e\u{301}",
            "\r\n",
            "\u{1f1f3}\u{1f1f1}",
            "\u{1f44b}\u{1f3fd}",
            "\u{ac00}\u{11a8}",
            "क्षि",
            "2\u{fe0f}\u{20e3}",
        ] {
            assert_eq!(split(&format!("{x}{cluster}"), limit), [&x, cluster], "{}", cluster.escape_unicode());
        }
        let flags = "\u{1f1f3}\u{1f1f1}".repeat(200);
        assert!(split(&flags, TextLimit::utf16(330)).iter().all(|piece| piece.chars().count() % 2 == 0));
    }

    #[test]
    fn a_visible_character_that_fits_nowhere_is_cut() {
        let zalgo = format!("a{}b", "\u{301}".repeat(40));
        assert_eq!(split(&zalgo, TextLimit::utf16(10)).concat(), zalgo);
        let crowd = vec!["\u{1f468}"; 50].join("\u{200d}");
        let pieces = split(&crowd, TextLimit::utf16(25));
        assert!(pieces.len() < 10 && pieces.iter().all(|piece| TextLimit::utf16(25).fits(piece)));
        assert_eq!(split("\u{1f697}\u{1f697}", TextLimit::utf16(1)), ["\u{1f697}", "\u{1f697}"], "less than one");
    }

    #[test]
    fn words_stay_whole_where_one_ends_in_the_last_tenth() {
        let limit = TextLimit::utf16(100);
        for (words, first) in [
            (format!("{} {}", "x".repeat(94), "y".repeat(30)), 95),
            (format!("{} {}", "x".repeat(89), "y".repeat(30)), 90),
            (format!("{} {}", "x".repeat(88), "y".repeat(30)), 100),
            (format!("{} {}", "x".repeat(100), "y".repeat(30)), 100),
            (format!("{}\n{}", "x".repeat(94), "y".repeat(30)), 95),
            (format!("{}\u{a0}{}", "x".repeat(94), "y".repeat(30)), 100),
            (format!("a {} b {}", "x".repeat(90), "y".repeat(30)), 95),
        ] {
            assert_eq!(split(&words, limit)[0].chars().count(), first, "{words}");
        }
    }

    #[test]
    fn what_is_blank_is_in_no_part() {
        let limit = TextLimit::utf16(10);
        let words = |text: &str, pictures| {
            let parts = parts(&MessageText::from_wire(text), pictures, limit, 2);
            parts.into_iter().map(|part| (text[part.words].to_owned(), part.pictures)).collect::<Vec<_>>()
        };
        let part = |text: &str, pictures: Range<usize>| (text.to_owned(), pictures);
        assert_eq!(words("x", 0), [part("x", 0..0)]);
        assert_eq!(words("", 0), [part("", 0..0)]);
        assert_eq!(words(" ", 1), [part("", 0..1)]);
        assert_eq!(words("\u{200b}\n", 3), [part("", 0..2), part("", 2..3)]);
        assert_eq!(
            words(&format!("x{}y", " ".repeat(30)), 3),
            [part(&format!("x{}", " ".repeat(9)), 0..2), part(" y", 2..3)]
        );
        assert_eq!(words("0123456789   ", 0), [part("0123456789", 0..0)]);
        assert_eq!(words("x", 5), [part("x", 0..2), part("", 2..4), part("", 4..5)]);
    }

    fn any_text() -> impl Strategy<Value = String> {
        let bits = [
            "a",
            "word",
            " ",
            "\n",
            "e\u{301}",
            FAMILY,
            "\u{1f1f3}\u{1f1f1}",
            "\u{301}",
            "\u{200d}",
            "\u{1f697}",
            "字",
            "\u{1f1f3}",
            "\r\n",
        ];
        proptest::collection::vec(proptest::sample::select(bits.to_vec()), 0..60).prop_map(|bits| bits.concat())
    }

    proptest! {
        #[test]
        fn pieces_join_to_the_text_and_fit(text in any_text(), max in 1_usize..90, by_units in any::<bool>()) {
            let limit = if by_units { TextLimit::utf16(max) } else { TextLimit::characters(max) };
            let pieces = split(&text, limit);
            prop_assert_eq!(pieces.concat(), text.as_str());
            prop_assert!(pieces.len() == 1 || pieces.iter().all(|piece| !piece.is_empty()));
            for piece in &pieces {
                prop_assert!(limit.fits(piece) || piece.chars().count() == 1);
            }
        }

        #[test]
        fn no_piece_ends_inside_a_character_that_fits(text in any_text(), max in 30_usize..90) {
            let limit = TextLimit::utf16(max);
            // Makes sure that no visible character is longer than the limit.
            prop_assume!(text.graphemes(true).all(|cluster| limit.fits(cluster)));
            let longest = text.graphemes(true).map(|cluster| limit.unit.count(cluster)).max().unwrap_or(0);
            let ends: Vec<_> = text.grapheme_indices(true).map(|(at, cluster)| at + cluster.len()).collect();
            let all = pieces(&text, limit);
            for piece in &all[..all.len() - 1] {
                prop_assert!(ends.contains(&piece.end));
                // As much as fits, or up to the end of a word in the last tenth of it.
                prop_assert!(limit.unit.count(&text[piece.clone()]) + longest >= max - max / 10);
            }
        }

        #[test]
        fn every_character_that_is_seen_is_in_a_part(text in any_text(), max in 1_usize..40, pictures in 0_usize..6, media_limit in 0_usize..4) {
            let parts = parts(&MessageText::from_wire(&text), pictures, TextLimit::utf16(max), media_limit);
            let joined: String = parts.iter().map(|part| &text[part.words.clone()]).collect();
            let seen = |text: &str| text.chars().filter(|c| !is_blank(&c.to_string())).collect::<String>();
            prop_assert_eq!(seen(&joined), seen(&text));
            let carried: Vec<_> = parts.iter().flat_map(|part| part.pictures.clone()).collect();
            prop_assert_eq!(carried, (0..if media_limit == 0 { 0 } else { pictures }).collect::<Vec<_>>());
            prop_assert!(parts.iter().all(|part| part.pictures.len() <= media_limit));
        }
    }
}
