//! The demo's output: paragraphs, requests and phones, in 80 columns, with colours on a terminal.

use std::io::{self, IsTerminal as _, Write as _};

use http::{Method, StatusCode};

/// Columns of a line: two panels with a gap between them fit in it, and everything else.
const WIDTH: usize = 78;
const PANEL: usize = 38;
/// Columns for text between the borders of a panel.
const INNER: usize = PANEL - 4;
const INDENT: usize = 2;
const PATH: usize = 48;

/// Text style, as the parameter of an escape sequence.
#[derive(Clone, Copy)]
pub(super) enum Ink {
    Plain,
    Bold,
    Faint,
    Good,
    Bad,
    Number,
}

impl Ink {
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "0",
            Self::Bold => "1",
            Self::Faint => "2",
            Self::Good => "32",
            Self::Bad => "31",
            Self::Number => "36",
        }
    }
}

/// Screen of a phone, drawn as a box.
pub(super) struct Panel {
    pub(super) title: String,
    pub(super) entries: Vec<Entry>,
}

/// Entry on a phone's screen.
pub(super) struct Entry {
    pub(super) heading: String,
    pub(super) words: String,
}

/// Standard output.
#[derive(Clone, Copy)]
pub(super) struct Terminal {
    colours: bool,
}

impl Terminal {
    /// Uses colours on a terminal, unless `NO_COLOR` turns them off (<https://no-color.org>).
    pub(super) fn of_process() -> Self {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { colours: io::stdout().is_terminal() && !unwanted }
    }

    /// Prints a line. `println!` would panic when the reader of a pipe closes it.
    fn line(self, text: &str) -> io::Result<()> {
        writeln!(io::stdout(), "{}", text.trim_end())
    }

    pub(super) fn paint(self, ink: Ink, text: &str) -> String {
        match ink {
            Ink::Plain => text.to_owned(),
            _ if !self.colours || text.is_empty() => text.to_owned(),
            _ => format!("\x1b[{}m{text}\x1b[0m", ink.code()),
        }
    }

    pub(super) fn gap(self) -> io::Result<()> {
        self.line("")
    }

    pub(super) fn title(self, text: &str) -> io::Result<()> {
        self.gap()?;
        self.line(&self.paint(Ink::Bold, text))?;
        self.line(&self.paint(Ink::Faint, &"─".repeat(WIDTH)))
    }

    pub(super) fn step(self, number: usize, text: &str) -> io::Result<()> {
        self.gap()?;
        self.line(&self.paint(Ink::Bold, &format!("{number}. {text}")))
    }

    /// Prints a paragraph.
    pub(super) fn say(self, ink: Ink, text: &str) -> io::Result<()> {
        let margin = " ".repeat(INDENT);
        wrap(text, WIDTH - INDENT).iter().try_for_each(|line| self.line(&format!("{margin}{}", self.paint(ink, line))))
    }

    /// Prints a row of a table: cells with their widths.
    pub(super) fn row(self, cells: &[(Ink, usize, &str)]) -> io::Result<()> {
        let mut line = " ".repeat(INDENT);
        for (ink, width, text) in cells {
            line += &self.paint(*ink, &fit(text, *width));
            line.push(' ');
        }
        self.line(&line)
    }

    pub(super) fn request(self, method: &Method, path: &str, status: StatusCode) -> io::Result<()> {
        let verdict = if status.is_success() { Ink::Good } else { Ink::Bad };
        self.row(&[
            (Ink::Faint, 1, "→"),
            (Ink::Bold, 5, method.as_str()),
            (Ink::Plain, PATH, path),
            (verdict, WIDTH - INDENT - PATH - 9, &status.to_string()),
        ])
    }

    /// Prints two phones side by side.
    pub(super) fn panels(self, panels: [&Panel; 2]) -> io::Result<()> {
        let height = panels.iter().map(|panel| lines(panel).len()).max().unwrap_or_default();
        let [left, right] = panels.map(|panel| self.drawn(panel, height));
        left.iter().zip(right).try_for_each(|(left, right)| self.line(&format!("{left}  {right}")))
    }

    fn drawn(self, panel: &Panel, height: usize) -> Vec<String> {
        let faint = |text: &str| self.paint(Ink::Faint, text);
        let rest = "─".repeat((PANEL - 5).saturating_sub(width(&panel.title)));
        let top = format!("{} {} {}", faint("┌─"), self.paint(Ink::Bold, &panel.title), faint(&format!("{rest}┐")));
        let mut lines = lines(panel);
        lines.resize(height, (Ink::Plain, String::new()));
        let middle = lines.iter().map(|(ink, text)| {
            let room = " ".repeat(INNER.saturating_sub(width(text)));
            format!("{} {}{room} {}", faint("│"), self.paint(*ink, text), faint("│"))
        });
        let bottom = faint(&format!("└{}┘", "─".repeat(PANEL - 2)));
        std::iter::once(top).chain(middle).chain([bottom]).collect()
    }
}

fn lines(panel: &Panel) -> Vec<(Ink, String)> {
    if panel.entries.is_empty() {
        return vec![(Ink::Faint, "(nothing new)".to_owned())];
    }
    let entry = |entry: &Entry| {
        let words = wrap(&entry.words, INNER).into_iter().map(|line| (Ink::Plain, line));
        [(Ink::Number, entry.heading.clone())].into_iter().chain(words).collect::<Vec<_>>()
    };
    panel.entries.iter().flat_map(entry).collect()
}

/// Wraps a text between words. A word that is longer than the line stays whole.
fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if width(line) + 1 + width(word) <= columns => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Fits a text into exactly `columns` columns: padded, or cut with an ellipsis.
fn fit(text: &str, columns: usize) -> String {
    let mut fitted = text.to_owned();
    if width(text) > columns {
        while width(&fitted) >= columns && fitted.pop().is_some() {}
        fitted.push('…');
    }
    let room = columns.saturating_sub(width(&fitted));
    fitted + &" ".repeat(room)
}

/// Returns the number of columns of a text. An emoji takes two; the demo has no other wide characters.
fn width(text: &str) -> usize {
    text.chars().map(|c| if ('\u{1F000}'..='\u{1FAFF}').contains(&c) { 2 } else { 1 }).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Terminal = Terminal { colours: false };

    #[test]
    fn breaks_and_fits_by_columns_not_characters() {
        assert_eq!(wrap("red coat 🧥 here", 11), ["red coat 🧥", "here"]);
        assert_eq!(fit("red coat 🧥", 10), "red coat …");
        assert_eq!(fit("coat", 6), "coat  ");
        assert_eq!(wrap("", 10), [""; 0]);
    }

    #[test]
    fn panels_are_as_wide_as_they_say() {
        let entry = Entry { heading: "Text from +3197010200001".to_owned(), words: "On my way 🚗 ".repeat(9) };
        let panel = Panel { title: "Anna +31612345678".to_owned(), entries: vec![entry] };
        let drawn = PLAIN.drawn(&panel, 8);
        assert_eq!(drawn.len(), 10);
        assert!(drawn.iter().all(|line| width(line) == PANEL), "{drawn:#?}");
    }

    #[test]
    fn colours_only_where_wanted() {
        assert_eq!(PLAIN.paint(Ink::Good, "yes"), "yes");
        assert_eq!(Terminal { colours: true }.paint(Ink::Good, "yes"), "\x1b[32myes\x1b[0m");
    }
}
