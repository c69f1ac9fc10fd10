//! Unicode properties that our checks depend on: which characters are invisible, and which are digits.

use icu_properties::props::{BinaryProperty as _, DefaultIgnorableCodePoint, EnumeratedProperty as _, GeneralCategory};

/// Checks whether a character takes no space: marks that change the direction of the text after them, zero-width spaces
/// and joiners, byte order marks, variation selectors, fillers and the like (Default_Ignorable_Code_Point, which
/// excludes visible format characters), and the marks of interlinear annotation.
pub(super) fn is_invisible(c: char) -> bool {
    DefaultIgnorableCodePoint::for_char(c) || matches!(c, '\u{fff9}'..='\u{fffb}')
}

/// Checks whether nothing in a text is visible: it is empty, or has only white space, control characters, invisible
/// characters, and the Braille pattern without dots.
pub(super) fn is_blank(text: &str) -> bool {
    text.chars().all(|c| c.is_whitespace() || c.is_control() || is_invisible(c) || c == '\u{2800}')
}

/// Converts a decimal digit of any script to ASCII. Unicode keeps the digits of one script together, from zero to nine.
pub(super) fn digit(c: char) -> Option<char> {
    let is_digit = |c: u32| char::from_u32(c).map(GeneralCategory::for_char) == Some(GeneralCategory::DecimalNumber);
    if c.is_ascii_digit() {
        return Some(c);
    }
    if !is_digit(c.into()) {
        return None;
    }
    let before = (1..=u32::from(c)).take_while(|back| is_digit(u32::from(c) - back)).count();
    char::from_digit(u32::try_from(before % 10).ok()?, 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_sees_is_blank() {
        for blank in [
            "",
            " ",
            "\n\r\n\t",
            "\u{a0}\u{2003}\u{3000}\u{2028}\u{85}",
            "\u{200b}\u{200d}\u{feff}\u{2060}",
            "\u{202a}\u{202c}\u{2066}\u{61c}",
            "\u{115f}\u{1160}\u{3164}\u{ffa0}",
            "\u{2800}\u{2800}",
            "\u{fe0f}\u{e0101}\u{34f}\u{ad}\u{180e}",
            "\u{0}\u{7}\u{7f}",
            "\u{fff9}\u{e0020}",
        ] {
            assert!(is_blank(blank), "{}", blank.escape_unicode());
        }
        for seen in [".", " x ", "\u{fffd}", "\u{600}", "\u{1f642}", "\u{301}", "\u{2801}", "\u{200b}0", "\u{fffc}"] {
            assert!(!is_blank(seen), "{}", seen.escape_unicode());
        }
    }

    #[test]
    fn digits_of_any_script_have_their_value() {
        for digits in
            ["0123456789", "٠١٢٣٤٥٦٧٨٩", "۰۱۲۳۴۵۶۷۸۹", "０１２３４５６７８９", "०१२३४५६७८९", "๐๑๒๓๔๕๖๗๘๙", "𝟘𝟙𝟚𝟛𝟜𝟝𝟞𝟟𝟠𝟡"]
        {
            assert_eq!(digits.chars().map(digit).collect::<Option<String>>().as_deref(), Some("0123456789"));
        }
        for other in ['a', '²', '①', 'Ⅷ', '一', '\u{200b}'] {
            assert_eq!(digit(other), None, "{other}");
        }
    }
}
