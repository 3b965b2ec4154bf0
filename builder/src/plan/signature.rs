//! What a stage's file systems depend on, as a hash: two platforms share a step if its hash is equal.
//!
//! This imitates BuildKit, which runs equal vertices once: everything a step's outcome can depend on goes in (base,
//! platform, variables a RUN can see, expanded paths of a COPY, other stages), and nothing that cannot matter.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use super::args::{Env, expand_in};
use super::graph::Graph;
use super::resolve::{Resolved, ResolvedBase};
use crate::dockerfile::{Assignment, Instruction, Keyword};

/// The hash of everything up to some step.
pub(super) type Signature = [u8; 32];

/// A stage after its last instruction.
#[derive(Debug, Clone)]
pub(super) struct StageState {
    env: Env,
    /// Of the stage's final file system.
    pub(super) end: Signature,
    /// Of each of its own RUN steps.
    pub(super) runs: Vec<Signature>,
}

/// States by stage index.
pub(super) type States = BTreeMap<usize, StageState>;

/// Computes the states of the reached stages of one platform.
pub(super) struct Signer<'a> {
    pub(super) graph: &'a Graph<'a>,
    pub(super) globals: &'a Env,
    pub(super) build_args: &'a BTreeMap<String, String>,
    pub(super) proxies: &'a Env,
    /// The target platform, which images named by COPY and mounts are of.
    pub(super) target: &'a str,
}

impl Signer<'_> {
    /// Returns states by stage index; `reached` must be ascending, so that what a stage needs comes before it.
    pub(super) fn run(&self, reached: &[usize]) -> States {
        let mut states = States::new();
        for &stage in reached {
            if let Some(resolved) = &self.graph.resolved[stage] {
                let state = self.stage(stage, resolved, &states);
                states.insert(stage, state);
            }
        }
        states
    }

    fn stage(&self, stage: usize, resolved: &Resolved, states: &States) -> StageState {
        let platform = resolved.platform.to_string();
        let fresh = |parts: &[&str]| StageState { env: self.proxies.clone(), end: hash(&[], parts), runs: Vec::new() };
        let mut state = match &resolved.base {
            ResolvedBase::Stage(base) => states.get(base).cloned().unwrap_or_else(|| fresh(&["unresolved"])),
            ResolvedBase::Scratch => fresh(&["scratch"]),
            ResolvedBase::Image(name) => fresh(&["image", name, &platform]),
            ResolvedBase::Context(name) => fresh(&["context", name, &platform]),
        };
        state.runs.clear();
        for instruction in self.graph.instructions(stage) {
            self.step(instruction, &platform, &mut state, states);
        }
        state
    }

    fn step(&self, instruction: &Instruction, platform: &str, state: &mut StageState, states: &States) {
        let escape = self.graph.file.directives.escape();
        match instruction.keyword {
            Keyword::Arg => {
                for arg in Assignment::of_arg(instruction, escape).unwrap_or_default() {
                    self.declare(&arg, &mut state.env);
                }
            }
            Keyword::Env => {
                let before = state.env.clone();
                for env in Assignment::of_env(instruction, escape).unwrap_or_default() {
                    let value = self.expand(env.value.as_deref().unwrap_or(""), &before);
                    state.env.insert(env.name, value);
                }
            }
            Keyword::Run => {
                let env: Vec<_> = state.env.iter().flat_map(|(name, value)| [name.as_str(), value.as_str()]).collect();
                let inputs = self.inputs(instruction, states);
                let parts = raw_parts(instruction);
                let inputs = inputs.iter().map(String::as_str);
                let parts = [platform].into_iter().chain(parts.iter().map(String::as_str)).chain(env).chain(inputs);
                state.end = hash(&[&state.end], &parts.collect::<Vec<_>>());
                state.runs.push(state.end);
            }
            Keyword::Copy | Keyword::Add | Keyword::Workdir | Keyword::User | Keyword::Shell => {
                let expanded = raw_parts(instruction).into_iter().map(|part| self.expand(&part, &state.env));
                let parts: Vec<_> = expanded.chain(self.inputs(instruction, states)).collect();
                state.end = hash(&[&state.end], &parts.iter().map(String::as_str).collect::<Vec<_>>());
            }
            _ => {}
        }
    }

    /// ARG: the build argument, else the default, else the global value; else it stays unset.
    fn declare(&self, arg: &Assignment, env: &mut Env) {
        let default = arg.value.as_deref().map(|word| self.expand(word, env));
        let value = self.build_args.get(&arg.name).cloned().or(default);
        if let Some(value) = value.or_else(|| self.globals.get(&arg.name).cloned()) {
            env.insert(arg.name.clone(), value);
        }
    }

    /// What cannot be expanded here may be expandable with the image's own ENV: it counts as it is written.
    fn expand(&self, word: &str, env: &Env) -> String {
        expand_in(word, self.graph.file, env).unwrap_or_else(|_| word.to_owned())
    }

    fn inputs(&self, instruction: &Instruction, states: &States) -> Vec<String> {
        let input = |reference: &crate::dockerfile::Reference| match self.graph.lookup(reference) {
            Ok(Some(stage)) => states.get(&stage).map_or_else(String::new, |state| hex::encode(state.end)),
            _ => format!("{} {}", reference.name, self.target),
        };
        instruction.references().iter().map(input).collect()
    }
}

fn raw_parts(instruction: &Instruction) -> Vec<String> {
    let mut parts = vec![instruction.keyword.name().to_owned(), instruction.arguments.clone()];
    let flags = instruction.flags.iter().filter(|flag| flag.name != "from");
    parts.extend(flags.map(|flag| format!("--{}={}", flag.name, flag.value)));
    parts.extend(instruction.heredocs.iter().map(|heredoc| heredoc.content.clone()));
    parts
}

/// Hashes parts unambiguously: each with its length.
fn hash(before: &[&Signature], parts: &[&str]) -> Signature {
    let mut hasher = Sha256::new();
    for signature in before {
        hasher.update(signature);
    }
    for part in parts {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().into()
}
