//! Runs the fuzz targets on a stable compiler, with a generator that mutates the Dockerfiles under testdata.
//!
//! `cargo run --release -p polyarch-builder --example fuzz -- [TARGET] [EXECUTIONS] [SEED]`; TARGET is dockerfile, expander,
//! platform or all. An input that panics or takes longer than a second is printed, and the run fails.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a tool for developers")]

use std::panic::catch_unwind;
use std::path::Path;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

#[path = "../fuzz/entry.rs"]
mod entry;

/// What is run with every input.
type Target = fn(&[u8]);

/// Longest input, in bytes.
const LONGEST: usize = 4096;

/// What Dockerfiles, expansions and platforms are made of.
const WORDS: [&str; 77] = [
    "FROM ",
    "RUN ",
    "COPY ",
    "ADD ",
    "ARG ",
    "ENV ",
    "ONBUILD ",
    "WORKDIR ",
    "LABEL ",
    "USER ",
    "SHELL ",
    "CMD ",
    "HEALTHCHECK ",
    "EXPOSE ",
    "VOLUME ",
    "STOPSIGNAL ",
    " AS ",
    "scratch",
    "a",
    "b",
    "base",
    "--from=",
    "--platform=",
    "--mount=",
    "--chmod=",
    "--checksum=",
    "u=rwX,",
    "sha256:",
    "https://",
    "type=cache,",
    "target=/x",
    "from=a",
    "id=$A",
    "$BUILDPLATFORM",
    "$TARGETARCH",
    "${TARGETARCH}",
    "${A:-",
    "${A:+",
    "${A#",
    "${A%%",
    "${A/",
    "${A//",
    "${A:?",
    "}",
    "\"",
    "'",
    "\\",
    "`",
    "$",
    "$$",
    "=",
    "<<EOF",
    "<<-\"E\"",
    "\nEOF\n",
    "\nE\n",
    "\n",
    "\\\n",
    " ",
    "\t",
    "#",
    "# escape=`\n",
    "# syntax=x\n",
    "# check=skip=all\n",
    "[\"a\", \"b\"]",
    "[",
    "]",
    ",",
    "linux/",
    "arm64",
    "amd64",
    "/v8",
    "windows(10.0.1+x)",
    "*",
    "?",
    "\u{feff}",
    "é",
    "0",
];

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let target = args.first().map_or("all", String::as_str).to_owned();
    let executions: u64 = args.get(1).map_or(100_000, |text| text.parse().unwrap());
    let seed: u64 = args.get(2).map_or(1, |text| text.parse().unwrap());
    let targets: [(&str, Target); 3] =
        [("dockerfile", entry::dockerfile), ("expander", entry::expander), ("platform", entry::platform)];
    let mut chosen = targets.into_iter().filter(|(name, _)| target == "all" || *name == target).peekable();
    assert!(chosen.peek().is_some(), "{target} is no target: dockerfile, expander, platform or all");
    let corpus = corpus();
    for (name, run) in chosen {
        let slowest = fuzz(name, run, executions, seed, &corpus);
        println!("{name}: {executions} executions from seed {seed}, the slowest took {slowest:?}");
    }
}

fn fuzz(name: &str, run: Target, executions: u64, seed: u64, corpus: &[Vec<u8>]) -> Duration {
    let mut random = StdRng::seed_from_u64(seed);
    let (mut slowest, mut worst) = (Duration::ZERO, Vec::new());
    for at in 0..executions {
        let input = mutated(&mut random, corpus);
        let start = Instant::now();
        let outcome = catch_unwind(|| run(&input));
        let took = start.elapsed();
        if took > slowest {
            (slowest, worst) = (took, input.clone());
        }
        if outcome.is_err() || took > Duration::from_secs(1) {
            println!("{name}: execution {at} of seed {seed} took {took:?}:\n{:?}", String::from_utf8_lossy(&input));
            std::process::abort();
        }
    }
    if slowest > Duration::from_millis(100) {
        println!("{name}: this took {slowest:?}:\n{:?}", String::from_utf8_lossy(&worst));
    }
    slowest
}

fn corpus() -> Vec<Vec<u8>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/dockerfiles");
    let mut paths: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let mut corpus: Vec<Vec<u8>> = paths.iter().map(|path| std::fs::read(path).unwrap()).collect();
    corpus.push(b"linux/arm64/v8".to_vec());
    corpus.push(b"${A:-${B/x/y}}'q'\"$A\"".to_vec());
    corpus
}

/// A seed with a few changes: words put in, pieces taken out, doubled or taken from another seed, bytes flipped.
fn mutated(random: &mut StdRng, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut input = corpus[random.random_range(0..corpus.len())].clone();
    for _ in 0..random.random_range(1..8) {
        let at = random.random_range(0..=input.len());
        let end = (at + random.random_range(0..24)).min(input.len());
        match random.random_range(0..6) {
            0 | 1 => drop(input.splice(at..at, WORDS[random.random_range(0..WORDS.len())].bytes())),
            2 => drop(input.drain(at..end)),
            3 => {
                let piece = input[at..end].to_vec();
                for _ in 0..random.random_range(1..40) {
                    input.splice(at..at, piece.iter().copied());
                }
            }
            4 => {
                let other = &corpus[random.random_range(0..corpus.len())];
                let from = random.random_range(0..=other.len());
                let to = (from + random.random_range(0..64)).min(other.len());
                input.splice(at..at, other[from..to].iter().copied());
            }
            _ if at < input.len() => input[at] = random.random(),
            _ => {}
        }
        input.truncate(LONGEST);
    }
    input
}
