//! The process.

use std::process::ExitCode;

fn main() -> ExitCode {
    maskline::cli::main()
}
