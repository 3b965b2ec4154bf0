//! Fuzz targets, a mutator, and a runner that needs no nightly compiler.
//!
//! Owns: [`targets`] (bytes in, nothing may panic), [`Fuzzer`], which changes inputs and keeps those with a new outcome.
//! Never: instruments code; what is new is seen by a target's outcome alone.

mod mutate;
pub mod targets;

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};

pub use targets::{TARGETS, Target};

/// Longest input, in bytes.
const LENGTH_LIMIT: usize = 4096;
/// Most inputs kept.
const POOL_LIMIT: usize = 4096;

/// What a run found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing panicked; so many kinds of outcomes were seen.
    Sound {
        /// Executions.
        executions: u64,
        /// Distinct outcomes.
        outcomes: usize,
    },
    /// This input panicked.
    Panicked(Vec<u8>),
}

/// One run over a target.
#[derive(Debug)]
pub struct Fuzzer {
    target: &'static Target,
    rng: SmallRng,
    pool: Vec<Vec<u8>>,
    seen: HashSet<u64>,
}

impl Fuzzer {
    /// Returns a run that starts from the target's seeds and `corpus`; the same seed gives the same run.
    pub fn new(target: &'static Target, corpus: Vec<Vec<u8>>, seed: u64) -> Self {
        let seeds = (target.seeds)();
        let pool = seeds.into_iter().chain(corpus).filter(|input| input.len() <= LENGTH_LIMIT).collect();
        Self { target, rng: SmallRng::seed_from_u64(seed), pool, seen: HashSet::new() }
    }

    /// Executes the starting inputs, then changed ones.
    pub fn run(&mut self, executions: u64) -> Verdict {
        for input in self.pool.clone() {
            if self.execute(&input).is_none() {
                return Verdict::Panicked(input);
            }
        }
        let mut input = Vec::with_capacity(LENGTH_LIMIT);
        for _ in 0..executions {
            let at = self.rng.random_range(0..self.pool.len());
            let other = self.rng.random_range(0..self.pool.len());
            input.clear();
            input.extend_from_slice(&self.pool[at]);
            mutate::mutate(&mut input, &self.pool[other], self.target.words, &mut self.rng);
            input.truncate(LENGTH_LIMIT);
            match self.execute(&input) {
                None => return Verdict::Panicked(input),
                Some(outcome) => self.keep(&input, outcome),
            }
        }
        Verdict::Sound { executions, outcomes: self.seen.len() }
    }

    /// `None` if it panicked.
    fn execute(&self, input: &[u8]) -> Option<u64> {
        catch_unwind(AssertUnwindSafe(|| (self.target.run)(input))).ok()
    }

    fn keep(&mut self, input: &[u8], outcome: u64) {
        if !self.seen.insert(outcome) {
            return;
        }
        if self.pool.len() < POOL_LIMIT {
            self.pool.push(input.to_vec());
        } else {
            let at = self.rng.random_range(0..self.pool.len());
            self.pool[at] = input.to_vec();
        }
    }
}

/// Reads the inputs that once panicked.
///
/// # Errors
/// I/O.
pub fn corpus(root: &Path, target: &str) -> std::io::Result<Vec<Vec<u8>>> {
    let dir = root.join("corpus").join(target);
    if !dir.is_dir() {
        return Ok(Vec::new());
    }
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(dir)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    paths.sort();
    paths.into_iter().map(std::fs::read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Enough to keep the targets honest in every test run; the long runs are by hand.
    const EXECUTIONS: u64 = 20_000;

    #[test]
    fn no_target_panics() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        for target in TARGETS {
            let verdict = Fuzzer::new(target, corpus(root, target.name).unwrap(), 1).run(EXECUTIONS);
            match verdict {
                Verdict::Sound { outcomes, .. } => assert!(outcomes > 3, "{}: {outcomes} outcomes", target.name),
                Verdict::Panicked(input) => panic!("{}: {:?}", target.name, String::from_utf8_lossy(&input)),
            }
        }
    }

    #[test]
    fn a_panic_is_found_and_a_seed_repeats_a_run() {
        static BAD: Target = Target {
            name: "bad",
            seeds: || vec![b"aaaa".to_vec()],
            words: &["boom"],
            run: |input| {
                assert!(!input.windows(4).any(|word| word == b"boom"));
                input.len() as u64
            },
        };
        let runs = [5, 5].map(|seed| Fuzzer::new(&BAD, vec![], seed).run(100_000));
        assert!(matches!(&runs[0], Verdict::Panicked(input) if input.windows(4).any(|word| word == b"boom")));
        assert_eq!(runs[0], runs[1]);
    }
}
