//! Results of commands.

/// Result of a command. The error is printed as it is.
pub(super) type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;
