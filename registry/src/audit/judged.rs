//! Which rules had what they need.
//!
//! Owns: what a scope reads, and what a rule misses where something could not be read. Pure.

use super::rule::{Cost, Group, Rule};
use super::rules::rules;
use super::run::Scope;

impl Scope {
    /// Returns whether it reads what costs so much.
    pub fn reads(self, cost: Cost) -> bool {
        match cost {
            Cost::Manifests | Cost::Configs => true,
            Cost::Referrers => self.referrers,
            Cost::Blobs => self.blobs,
            Cost::Binaries => self.binaries,
            Cost::Layers => self.layers,
            Cost::Elsewhere => false,
        }
    }

    /// Returns the groups that were judged, in the order of the columns: those of which at least one rule has what it needs.
    /// That programs fit, or that an image is signed, no manifest can say: a rule that only suspects otherwise makes no column.
    pub fn groups(self) -> Vec<Group> {
        let judged = |group| match group {
            Group::Binaries => self.binaries || self.layers,
            Group::Signed => self.referrers,
            _ => rules().iter().any(|rule| rule.group == group && self.reads(rule.cost)),
        };
        Group::ALL.into_iter().filter(|group| judged(*group)).collect()
    }

    /// Returns what both read.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            blobs: self.blobs && other.blobs,
            referrers: self.referrers && other.referrers,
            binaries: self.binaries && other.binaries,
            layers: self.layers && other.layers,
        }
    }
}

impl Rule {
    /// Returns whether it cannot be sure where something could not be read, as
    /// [`Unchecked::what`](super::Unchecked::what) calls it.
    pub fn misses(&self, what: &str) -> bool {
        match what {
            "configuration" => self.cost >= Cost::Configs || self.group == Group::Platforms,
            "layer" | "blob" | "program" => matches!(self.cost, Cost::Blobs | Cost::Binaries | Cost::Layers),
            "referrers" | "tags" => self.cost == Cost::Referrers,
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wider_scope_judges_no_less() {
        let (least, most) = (Scope::default(), Scope { blobs: true, referrers: true, binaries: true, layers: true });
        assert!(least.groups().contains(&Group::Complete));
        assert!(least.groups().iter().all(|group| most.groups().contains(group)));
        assert_eq!((most.and(least), most.and(most)), (least, most));
    }
}
