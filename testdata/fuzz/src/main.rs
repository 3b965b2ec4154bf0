//! `polyarch-fuzz TARGET|all [--executions N] [--seed N]`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a tool of developers")]

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use polyarch_fuzz::{Fuzzer, TARGETS, Target, Verdict, corpus};

const EXECUTIONS: u64 = 10_000_000;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |name: &str, default| match args.iter().position(|arg| arg == name) {
        None => Some(default),
        Some(at) => args.get(at + 1).and_then(|text| text.parse().ok()),
    };
    let chosen: Vec<&'static Target> =
        TARGETS.iter().filter(|target| args.first().is_some_and(|arg| arg == target.name || arg == "all")).collect();
    let (Some(executions), Some(seed), false) =
        (number("--executions", EXECUTIONS), number("--seed", 0), chosen.is_empty())
    else {
        let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
        eprintln!("usage: polyarch-fuzz TARGET|all [--executions N] [--seed N]\ntargets: {}", names.join(", "));
        return ExitCode::from(2);
    };
    // A found panic is told once, with its input.
    std::panic::set_hook(Box::new(|info| eprintln!("{info}")));
    let sound = chosen.into_iter().all(|target| run(target, executions, seed));
    ExitCode::from(u8::from(!sound))
}

fn run(target: &'static Target, executions: u64, seed: u64) -> bool {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let corpus = corpus(root, target.name).unwrap_or_else(|error| {
        eprintln!("{}: the corpus cannot be read: {error}", target.name);
        Vec::new()
    });
    let start = Instant::now();
    match Fuzzer::new(target, corpus, seed).run(executions) {
        Verdict::Sound { executions, outcomes } => {
            let seconds = start.elapsed().as_secs_f64();
            println!("{:<10} {executions} executions in {seconds:.1} s, {outcomes} kinds of outcome", target.name);
            true
        }
        Verdict::Panicked(input) => {
            let dir = root.join("findings");
            let path = dir.join(format!("{}-{seed}", target.name));
            let written = std::fs::create_dir_all(&dir).and_then(|()| std::fs::write(&path, &input));
            let place = written.map_or_else(|error| error.to_string(), |()| path.display().to_string());
            println!("{:<10} PANICKED: {place}", target.name);
            false
        }
    }
}
