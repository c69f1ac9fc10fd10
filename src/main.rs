//! Entry point of the service.

use std::process::ExitCode;

fn main() -> ExitCode {
    maskline::cli::main()
}
