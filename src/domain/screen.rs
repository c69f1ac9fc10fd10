//! Screens of simulated phones.

use super::string_enum::string_enum;

string_enum! {
    /// Kind of entry on a phone's screen.
    EntryKind {
        /// A text came in.
        Text = "text",
        /// The phone rang.
        Call = "call",
        /// The phone called and heard an announcement.
        Announcement = "announcement",
    }
}
