//! Result of a command.

/// What a command returns; the error is printed as it is.
pub(super) type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;
