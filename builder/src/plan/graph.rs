//! Which stages a stage needs, and which are reached from the target.

use super::problem::{Problem, ProblemKind};
use super::resolve::{Resolved, ResolvedBase};
use crate::dockerfile::{Dockerfile, Instruction, Reference};

/// The stages of one platform and how they depend on each other.
pub(super) struct Graph<'a> {
    pub(super) file: &'a Dockerfile,
    pub(super) resolved: &'a [Option<Resolved>],
}

impl<'a> Graph<'a> {
    /// Returns what runs in a stage: the triggers of the stage it begins with, then its own instructions.
    pub(super) fn instructions(&self, stage: usize) -> Vec<&'a Instruction> {
        let own = self.file.stages[stage].instructions.iter().filter(|instruction| instruction.trigger.is_none());
        let triggers = |base: usize| self.file.stages[base].instructions.iter().filter_map(|i| i.trigger.as_deref());
        match &self.resolved[stage] {
            Some(Resolved { replaced: true, .. }) | None => Vec::new(),
            Some(Resolved { base: ResolvedBase::Stage(base), .. }) if !self.is_replaced(*base) => {
                triggers(*base).chain(own).collect()
            }
            Some(_) => own.collect(),
        }
    }

    /// Returns the stage a reference names, `None` for an image (BuildKit `toCommand`, `detectRunMount`).
    pub(super) fn lookup(&self, reference: &Reference) -> Result<Option<usize>, ProblemKind> {
        if let Some(index) = reference.name.parse::<usize>().ok().filter(|_| reference.by_index) {
            let exists = index < self.file.stages.len();
            return if exists { Ok(Some(index)) } else { Err(ProblemKind::BadIndex(index)) };
        }
        let name = reference.name.to_lowercase();
        Ok(self.file.stages.iter().rposition(|stage| stage.name.as_deref() == Some(name.as_str())))
    }

    /// Returns the stages reached from `target`, in the order of the file, and what is wrong with their references.
    pub(super) fn reached(&self, target: usize) -> (Vec<usize>, Vec<Problem>) {
        let mut reached = vec![false; target + 1];
        reached[target] = true;
        let mut problems = Vec::new();
        // Every dependency has a smaller index, so one pass backwards sees each stage after all that need it.
        for stage in (0..=target).rev() {
            if !reached[stage] {
                continue;
            }
            if let Some(Resolved { base: ResolvedBase::Stage(base), .. }) = &self.resolved[stage] {
                reached[*base] = true;
            }
            for instruction in self.instructions(stage) {
                for reference in instruction.references() {
                    match self.dependency(stage, &reference) {
                        Ok(Some(needed)) => reached[needed] = true,
                        Ok(None) => {}
                        Err(kind) => problems.push(Problem { kind, span: Some(instruction.span) }),
                    }
                }
            }
        }
        problems.sort_by_key(|problem| problem.span);
        ((0..=target).filter(|stage| reached[*stage]).collect(), problems)
    }

    /// Returns a stage's name, or its index.
    pub(super) fn name(&self, stage: usize) -> String {
        self.file.stages[stage].name.clone().unwrap_or_else(|| stage.to_string())
    }

    fn dependency(&self, stage: usize, reference: &Reference) -> Result<Option<usize>, ProblemKind> {
        match self.lookup(reference)? {
            Some(needed) if needed == stage => Err(ProblemKind::Circular(self.name(stage))),
            Some(needed) if needed > stage => {
                Err(ProblemKind::UsedBeforeDefined { used: self.name(needed), by: self.name(stage) })
            }
            found => Ok(found),
        }
    }

    fn is_replaced(&self, stage: usize) -> bool {
        self.resolved[stage].as_ref().is_some_and(|stage| stage.replaced)
    }
}
