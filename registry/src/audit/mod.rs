//! Finding what is wrong with published multi-arch images.
//!
//! Owns: the facts that are read of an image, the rules that judge them, what is expected (policy), and the report. Facts are
//! read by [`collect`]; rules are pure functions of facts and expectations, so that each can be tried on an image that does
//! not exist. Never: changes anything in a registry, prints, or calls something missing that it could not ask for.
//!
//! Adding a rule is a file under `rules` and a line in its table.

pub mod baseline;
mod bases;
pub mod binary;
mod children;
mod choose;
pub mod collect;
mod compare;
pub mod elsewhere;
mod evidence;
mod extras;
pub mod facts;
pub mod finding;
pub mod glob;
mod grouping;
pub mod inventory;
mod judged;
pub mod layer;
mod merge;
mod mirror;
mod neutral;
mod places;
pub mod policy;
pub mod profile;
mod referrers;
pub mod report;
mod repository;
mod root;
pub mod rule;
mod rules;
pub mod run;
mod scale;
pub mod select;
pub mod tag_facts;
mod work;

pub use baseline::Comparison;
pub use facts::{ImageFacts, ImageName};
pub use finding::{Finding, Place, Severity, Unchecked};
pub use policy::{Expectations, Policy};
pub use referrers::is_about_another;
pub use report::{ImageReport, PlatformReport, PlatformState, Report, RepositoryReport, Stats};
pub use rule::{Cost, Group, Rule};
pub use rules::{judge, judge_repository, rule, rules};
pub use run::{Auditor, Beyond, Job, Options, Progress, Scope, TRUST};
pub(crate) use scale::SEEN;
pub use scale::{Checkpoint, Shard, ShardError, dirs};
