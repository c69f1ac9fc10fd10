//! `maskline demo` as a newcomer starts it: it must work anywhere, and leave nothing behind.

use std::{
    path::Path,
    process::{Command, Output},
};

fn demo(folder: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_maskline"));
    // What is in the environment is for the reader's own server, however wrong.
    command.arg("demo").env("TMPDIR", folder).env("DATABASE_URL", "nonsense").env("HTTP_PROXY", "http://127.0.0.1:1");
    command.output().expect("the demo starts")
}

#[test]
fn plays_a_ride_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    let Output { status, stdout, stderr } = demo(folder.path());
    let (told, complaint) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{complaint}\n{told}");
    assert_eq!(complaint, "");
    for wanted in ["201 Created", "Omar picks you up", "contact_closed", "heard:", "Neither phone ever saw"] {
        assert!(told.contains(wanted), "{wanted} in {told}");
    }
    assert!(!told.contains('\x1b'), "no colours in a pipe");
    assert!(told.lines().all(|line| line.chars().count() <= 80), "{told}");
    assert_eq!(std::fs::read_dir(folder.path()).expect("the folder").count(), 0, "nothing is left");
}

#[test]
fn says_what_it_lacks() {
    let Output { status, stderr, .. } = demo("/nowhere/at/all".as_ref());
    assert_eq!(status.code(), Some(1));
    assert!(String::from_utf8_lossy(&stderr).contains("/nowhere/at/all"));
}
