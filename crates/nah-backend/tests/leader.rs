//! The example of a leader election as a test. It begins its own program again, so it has no harness.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program of its own, without libtest")]

use std::process::ExitCode;

#[path = "../examples/leader/main.rs"]
mod leader;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let filters = arguments.iter().filter(|argument| !argument.starts_with('-'));
    let is_replica = arguments.first().is_some_and(|role| role == "--replica");
    let is_meant = filters.clone().count() == 0 || filters.clone().any(|filter| "leader".contains(&**filter));
    if arguments.iter().any(|argument| argument == "--list") || !is_replica && !is_meant {
        println!("0 passed, 0 failed");
        return ExitCode::SUCCESS;
    }
    let ended = leader::main();
    if !is_replica {
        let failed = u8::from(ended != ExitCode::SUCCESS);
        println!("{} passed, {failed} failed", 1 - failed);
    }
    ended
}
