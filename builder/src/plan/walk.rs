//! What each step of a stage sees and depends on: variables, inputs, and a hash by which two platforms' steps are compared.
//!
//! This imitates BuildKit, which runs equal vertices once: everything a step's outcome can depend on goes into the hash (base,
//! platform, variables a RUN can see, expanded paths of a COPY, other stages), and nothing that cannot matter. Beside it goes
//! the taint: which automatic argument about the target a step has used, and where.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::args::{Globals, NOT_IN_ENV};
use super::env::{Env, Var};
use super::graph::Graph;
use super::problem::{Problem, ProblemKind};
use super::resolve::{Resolved, ResolvedBase};
use super::stage::{ArgPlan, Taint};
use super::words::{Before, Words};
use crate::dockerfile::{Assignment, Instruction, Keyword, LONGEST_HEREDOC, Span};

/// The hash of everything up to some step.
pub(super) type Signature = [u8; 32];

/// Most bytes of expanded text in one plan: a file of `ENV A=$B` lines can ask for any amount.
const MOST_EXPANDED: usize = LONGEST_HEREDOC;

/// Most steps in one plan: ONBUILD triggers multiply.
const MOST_STEPS: usize = 5_000_000;

/// Most problems told.
pub(super) const MOST_PROBLEMS: usize = 100;

/// A stage after its last instruction.
#[derive(Debug, Clone)]
pub(super) struct StageState {
    env: Env,
    /// The environment is complete: the base image's is known, or there is none.
    is_complete: bool,
    /// Of the stage's final file system.
    pub(super) end: Signature,
    /// Of each of its own RUN steps, with its place.
    pub(super) runs: Vec<(Signature, Span)>,
    /// Which argument about the target went into the file system, and where first.
    pub(super) taint: Option<Taint>,
    /// Its ARGs with their values.
    pub(super) args: Vec<ArgPlan>,
}

/// States by stage index.
pub(super) type States = BTreeMap<usize, StageState>;

/// Computes the states of the reached stages of one platform.
pub(super) struct Walker<'a> {
    pub(super) graph: &'a Graph<'a>,
    pub(super) globals: &'a Globals,
    pub(super) build_args: &'a BTreeMap<String, String>,
    pub(super) proxies: &'a [(&'a str, Var)],
    /// The target platform, which images named by COPY and mounts are of.
    pub(super) target: &'a str,
    pub(super) told: RefCell<Told>,
}

/// What was found and used on the way.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) problems: Vec<Problem>,
    pub(super) expanded: usize,
    steps: usize,
}

impl Walker<'_> {
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

    fn stage(&self, stage: usize, resolved: &Resolved<'_>, states: &States) -> StageState {
        let platform = resolved.platform.to_string();
        let mut state = match &resolved.base {
            ResolvedBase::Stage(base) => {
                states.get(base).cloned().unwrap_or_else(|| self.fresh(resolved, &["unresolved"]))
            }
            ResolvedBase::Scratch => self.fresh(resolved, &["scratch"]),
            ResolvedBase::Image(name) => self.fresh(resolved, &["image", name, &platform]),
            ResolvedBase::Context(name) => self.fresh(resolved, &["context", name, &platform]),
        };
        state.runs.clear();
        state.args.clear();
        if let (Some(argument), None) = (&resolved.taint, &state.taint) {
            let line = self.graph.file.stages[stage].span.line;
            state.taint = Some(Taint { argument: argument.as_ref().to_owned(), line });
        }
        let triggers = self.graph.triggers(stage).count();
        for (at, instruction) in self.graph.instructions(stage).enumerate() {
            if at == triggers {
                // What a trigger declares stands where it is triggered.
                let line = self.graph.file.stages[stage].span.line;
                state.args.iter_mut().for_each(|arg| arg.line = line);
            }
            let mut told = self.told.borrow_mut();
            told.steps += 1;
            if told.steps > MOST_STEPS || told.expanded > MOST_EXPANDED {
                told.problem(ProblemKind::TooLarge, instruction.span);
                break;
            }
            drop(told);
            self.step(instruction, &platform, &mut state, states);
        }
        state
    }

    fn fresh(&self, resolved: &Resolved<'_>, parts: &[&str]) -> StageState {
        let mut env = Env::default();
        let known = resolved.config.and_then(|config| config.env.as_ref());
        for (name, value) in known.into_iter().flatten() {
            env.insert(name, Var::plain(value));
        }
        for (name, var) in self.proxies {
            env.insert(name, var.clone());
        }
        let is_complete = known.is_some() || resolved.base == ResolvedBase::Scratch;
        StageState { env, is_complete, end: hash(&[], parts), runs: Vec::new(), taint: None, args: Vec::new() }
    }

    fn step(&self, instruction: &Instruction, platform: &str, state: &mut StageState, states: &States) {
        let escape = self.graph.file.directives.escape();
        let words = Words { walker: self, instruction, state: &state.clone_env() };
        match instruction.keyword {
            Keyword::Arg => {
                for arg in Assignment::of_arg(instruction, escape).unwrap_or_default() {
                    self.declare(&arg, instruction, state);
                }
            }
            Keyword::Env => {
                for env in Assignment::of_env(instruction, escape).unwrap_or_default() {
                    let value = words.one(env.value.as_deref().unwrap_or(""));
                    state.env.insert(&words.one(&env.name).value, value);
                }
            }
            Keyword::Label => {
                for label in Assignment::of_env(instruction, escape).unwrap_or_default() {
                    words.one(label.value.as_deref().unwrap_or(""));
                }
            }
            Keyword::Run => self.execute(instruction, platform, state, states, &words),
            Keyword::Copy | Keyword::Add | Keyword::Workdir | Keyword::User | Keyword::Shell => {
                let (parts, taint) = words.parts();
                words.copy_flags();
                let parts: Vec<_> = parts.into_iter().chain(self.inputs(instruction, states)).collect();
                state.end = hash(&[&state.end], &parts.iter().map(String::as_str).collect::<Vec<_>>());
                state.stain(taint, instruction);
                self.stain_by_inputs(instruction, state, states);
            }
            Keyword::Expose | Keyword::Stopsignal => words.check(),
            Keyword::Volume => drop(words.parts()),
            _ => {}
        }
    }

    fn execute(
        &self,
        instruction: &Instruction,
        platform: &str,
        state: &mut StageState,
        states: &States,
        words: &Words<'_>,
    ) {
        let mut taint = state.env.taint().cloned();
        let mut parts = vec![platform.to_owned(), instruction.arguments.clone()];
        for flag in &instruction.flags {
            match flag.name.as_str() {
                "mount" => {
                    let mount = words.one_of(&flag.value);
                    words.mount(&flag.value);
                    parts.push(mount.value.as_ref().to_owned());
                    taint = taint.or(mount.taint);
                }
                _ => parts.push(format!("--{}={}", flag.name, flag.value)),
            }
        }
        parts.extend(instruction.heredocs.iter().map(|heredoc| heredoc.content.clone()));
        parts.extend(self.inputs(instruction, states));
        let parts: Vec<_> = parts.iter().map(String::as_str).collect();
        state.end = hash(&[&state.end, &state.env.digest()], &parts);
        state.runs.push((state.end, instruction.span));
        state.stain(taint, instruction);
        self.stain_by_inputs(instruction, state, states);
    }

    /// ARG: the build argument, else the default, else the global value; else it stays unset.
    fn declare(&self, arg: &Assignment, instruction: &Instruction, state: &mut StageState) {
        let words = Words { walker: self, instruction, state: &state.clone_env() };
        let given = self.build_args.get(&arg.name).map(|value| Var::plain(value));
        let value = given.or_else(|| arg.value.as_deref().map(|word| words.one(word)));
        let value = value.or_else(|| self.globals.get(&arg.name).cloned());
        let text = value.as_ref().map(|var| var.value.as_ref().to_owned());
        state.args.push(ArgPlan { name: arg.name.clone(), value: text, line: instruction.span.line });
        if let Some(var) = value.filter(|_| !NOT_IN_ENV.contains(&arg.name.as_str())) {
            state.env.insert(&arg.name, var);
        }
    }

    fn inputs(&self, instruction: &Instruction, states: &States) -> Vec<String> {
        let input = |reference: &crate::dockerfile::Reference| match self.graph.lookup(reference) {
            Ok(Some(stage)) => states.get(&stage).map_or_else(String::new, |state| hex::encode(state.end)),
            _ => format!("{} {}", reference.name, self.target),
        };
        instruction.references().iter().map(input).collect()
    }

    /// What comes from a stage that depends on the target depends on it too.
    fn stain_by_inputs(&self, instruction: &Instruction, state: &mut StageState, states: &States) {
        for reference in instruction.references() {
            let input = self.graph.lookup(&reference).ok().flatten().and_then(|stage| states.get(&stage));
            if let Some(taint) = input.and_then(|input| input.taint.as_ref()) {
                let argument = Arc::from(taint.argument.as_str());
                state.stain(Some(argument), instruction);
            }
        }
    }
}

impl Told {
    pub(super) fn problem(&mut self, kind: ProblemKind, span: Span) {
        if self.problems.len() < MOST_PROBLEMS {
            self.problems.push(Problem { kind, span: Some(span) });
        }
    }
}

impl StageState {
    fn stain(&mut self, argument: Option<Arc<str>>, instruction: &Instruction) {
        if let (Some(argument), None) = (argument, &self.taint) {
            self.taint = Some(Taint { argument: argument.as_ref().to_owned(), line: instruction.span.line });
        }
    }

    /// The environment before an instruction, which all of its words see.
    fn clone_env(&self) -> Before {
        Before { env: self.env.clone(), is_complete: self.is_complete }
    }
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
