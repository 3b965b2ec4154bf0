//! Which stages a stage needs, and which are reached from the target.

use std::iter::once;

use super::problem::{Problem, ProblemKind};
use super::resolve::{Resolved, ResolvedBase, StageNames};
use crate::dockerfile::{Dockerfile, Instruction, Keyword, Reference};

/// Stages that are needed, and the instructions that say so; FROM says it without one.
type Edges<'a> = Vec<(usize, Option<&'a Instruction>)>;

/// The stages of one platform and how they depend on each other.
pub(super) struct Graph<'a> {
    pub(super) file: &'a Dockerfile,
    pub(super) names: &'a StageNames<'a>,
    pub(super) resolved: &'a [Option<Resolved<'a>>],
}

impl<'a> Graph<'a> {
    /// Returns what runs in a stage: the triggers of what it begins with, then its own instructions.
    pub(super) fn instructions(&self, stage: usize) -> impl Iterator<Item = &'a Instruction> + use<'a> {
        let own = self.resolved[stage].as_ref().filter(|stage| !stage.replaced);
        let instructions = own.map_or(&[][..], |_| &self.file.stages[stage].instructions);
        self.triggers(stage).chain(instructions.iter().filter(|one| one.keyword != Keyword::Onbuild))
    }

    /// Returns the triggers of what a stage begins with.
    pub(super) fn triggers(&self, stage: usize) -> impl Iterator<Item = &'a Instruction> + use<'a> {
        let (file, resolved) = (self.file, self.resolved);
        let own = resolved[stage].as_ref().filter(|stage| !stage.replaced);
        let base = own.and_then(|own| match own.base {
            ResolvedBase::Stage(base) => resolved[base].as_ref().filter(|base| !base.replaced).map(|_| base),
            _ => None,
        });
        let inherited = base.map_or(&[][..], |base| &file.stages[base].instructions);
        let triggers = inherited.iter().filter_map(|instruction| instruction.trigger.as_deref());
        let of_image = own.map_or(&[][..], |own| &own.triggers);
        of_image.iter().chain(triggers)
    }

    /// Returns the stage a reference names, `None` for an image (BuildKit `toCommand`, `detectRunMount`).
    pub(super) fn lookup(&self, reference: &Reference) -> Result<Option<usize>, ProblemKind> {
        if let Some(index) = reference.name.parse::<i64>().ok().filter(|_| reference.by_index) {
            let known = usize::try_from(index).ok().filter(|index| *index < self.file.stages.len());
            return known.map(Some).ok_or(ProblemKind::BadIndex(index));
        }
        Ok(self.names.last(&reference.name))
    }

    /// Returns the stages reached from `target`, in the order of the file, and what is wrong with their references.
    pub(super) fn reached(&self, target: usize) -> (Vec<usize>, Vec<Problem>) {
        let mut problems: Vec<Problem> = self.cycle().into_iter().chain(self.bad_indexes()).collect();
        let is_circular = problems.iter().any(|problem| matches!(problem.kind, ProblemKind::Circular(_)));
        let mut reached = vec![false; self.file.stages.len()];
        let mut waiting = vec![target];
        reached[target] = true;
        while let Some(stage) = waiting.pop() {
            if let Some(Resolved { base: ResolvedBase::Stage(base), .. }) = &self.resolved[stage]
                && !std::mem::replace(&mut reached[*base], true)
            {
                waiting.push(*base);
            }
            for (instruction, reference) in self.references(stage) {
                match self.dependency(stage, &reference) {
                    Ok(Some(needed)) if !std::mem::replace(&mut reached[needed], true) => waiting.push(needed),
                    Ok(_) => {}
                    // A circle is told as one, an index with those of all stages.
                    Err(ProblemKind::UsedBeforeDefined { .. }) if is_circular => {}
                    Err(ProblemKind::BadIndex(_)) => {}
                    Err(kind) => {
                        let span = Some(instruction.point_at(&reference.name));
                        problems.push(Problem { kind, span });
                    }
                }
            }
        }
        problems.sort_by_key(|problem| problem.span);
        ((0..reached.len()).filter(|stage| reached[*stage]).collect(), problems)
    }

    /// Indexes that do not exist, also in stages that are not reached.
    fn bad_indexes(&self) -> Vec<Problem> {
        let count = self.file.stages.len();
        let all = (0..count).flat_map(|stage| self.references(stage));
        let bad = all.filter_map(|(instruction, reference)| {
            let kind = self.lookup(&reference).err()?;
            Some(Problem { kind, span: Some(instruction.point_at(&reference.name)) })
        });
        bad.take(100).collect()
    }

    /// Returns a stage's name, or its index.
    pub(super) fn name(&self, stage: usize) -> String {
        self.file.stages[stage].name.clone().unwrap_or_else(|| stage.to_string())
    }

    /// Returns the names of the stages a stage needs, in order, each once.
    pub(super) fn needs(&self, stage: usize) -> Vec<String> {
        let mut needed: Vec<usize> = self.edges(stage).into_iter().map(|(needed, _)| needed).collect();
        needed.sort_unstable();
        needed.dedup();
        needed.into_iter().map(|stage| self.name(stage)).collect()
    }

    fn references(&self, stage: usize) -> impl Iterator<Item = (&'a Instruction, Reference)> + use<'a> {
        self.instructions(stage).flat_map(|one| one.references().into_iter().map(move |reference| (one, reference)))
    }

    fn dependency(&self, stage: usize, reference: &Reference) -> Result<Option<usize>, ProblemKind> {
        match self.lookup(reference)? {
            // Told by `cycle`.
            Some(needed) if needed == stage => Ok(None),
            Some(needed) if needed > stage => {
                Err(ProblemKind::UsedBeforeDefined { used: self.name(needed), by: self.name(stage) })
            }
            found => Ok(found),
        }
    }

    /// What a stage needs, itself included, with the instruction that says so.
    fn edges(&self, stage: usize) -> Edges<'a> {
        let base = match &self.resolved[stage] {
            Some(Resolved { base: ResolvedBase::Stage(base), .. }) => Some((*base, None)),
            _ => None,
        };
        let named = self.references(stage);
        let named = named.filter_map(|(one, reference)| Some((self.lookup(&reference).ok()??, Some(one))));
        base.into_iter().chain(named).collect()
    }

    /// Returns the first circle among all stages, reached or not (BuildKit `hasCircularDependency`).
    fn cycle(&self) -> Option<Problem> {
        // Without a reference to itself or forward there is no circle; most files have none.
        let count = self.file.stages.len();
        if !(0..count).any(|stage| self.edges(stage).iter().any(|(needed, _)| *needed >= stage)) {
            return None;
        }
        let (mut done, mut on_path) = (vec![false; count], vec![false; count]);
        for start in 0..count {
            if done[start] {
                continue;
            }
            let mut path = vec![(start, self.edges(start))];
            on_path[start] = true;
            while let Some((stage, edges)) = path.last_mut() {
                let stage = *stage;
                match edges.pop() {
                    None => {
                        done[stage] = true;
                        on_path[stage] = false;
                        path.pop();
                    }
                    Some((needed, instruction)) if on_path[needed] => {
                        let from = path.iter().position(|(on, _)| *on == needed).unwrap_or(0);
                        let names = path[from..].iter().map(|(on, _)| *on).chain(once(needed));
                        let kind = ProblemKind::Circular(names.map(|stage| self.name(stage)).collect());
                        let own = instruction.map_or(self.file.stages[stage].span, |one| one.span);
                        return Some(Problem { kind, span: Some(own) });
                    }
                    Some((needed, _)) if done[needed] => {}
                    Some((needed, _)) => {
                        on_path[needed] = true;
                        path.push((needed, self.edges(needed)));
                    }
                }
            }
        }
        None
    }
}
