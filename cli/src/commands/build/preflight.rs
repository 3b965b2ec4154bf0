//! Base images looked up while the builders are reached and the build begins: a missing one ends the build at once, not when
//! its stage is reached.
//!
//! Owns: the race with the build, which never waits for a registry. Never: refuses what a daemon has itself, or what could not
//! be checked: the daemon decides.

use std::path::Path;
use std::time::Duration;

use polyarch_builder::dockerfile::Dockerfile;
use polyarch_builder::lock::Lock;
use polyarch_builder::node::facts::ImageStore;
use polyarch_builder::node::probe::Node;
use polyarch_builder::plan::{PlanInput, Problem, ProblemKind};
use polyarch_builder::preflight::{Depth, Options, look, refusals};
use polyarch_registry::client::Registry;
use polyarch_registry::oci::Platform;
use polyarch_registry::resolve::Resolver;
use tokio::task::JoinSet;

use super::execute::Means;
use super::planning;
use crate::commands::planning::{Asked, errors, images, nodes as facts, this_machine};
use crate::diagnostics::Diagnostic;
use crate::settings::BuildSettings;

/// Time for one image. The build is not held up by it.
const PATIENCE: Duration = Duration::from_secs(15);

/// Looking ahead. Dropping it ends it.
pub(super) struct Ahead {
    resolver: Resolver,
    _warming: JoinSet<()>,
}

impl Ahead {
    /// Begins to ask about the images the Dockerfile names on this machine: most are the same wherever it is built.
    pub(super) fn start(settings: &BuildSettings, registry: &Registry, store: &Path) -> Option<Self> {
        if !settings.resolve {
            return None;
        }
        let asked = Asked::from(&settings.request);
        let file = planning::read(&asked).ok()??;
        let node = this_machine::facts();
        let platforms = match settings.request.platforms.as_slice() {
            [] => vec![node.build_platform.clone()],
            listed => listed.to_vec(),
        };
        let input = asked.input(vec![node], &platforms);
        let resolver = images::resolver(registry, store);
        let (own, lock) = (resolver.clone(), settings.lock.clone());
        let mut warming = JoinSet::new();
        warming.spawn(async move {
            look(&own, &file, &input, options(lock.as_ref())).await;
        });
        Some(Self { resolver, _warming: warming })
    }

    /// Returns what remembers the images' manifests.
    pub(super) fn resolver(&self) -> &Resolver {
        &self.resolver
    }

    /// Returns what must end the build, if anything must.
    pub(super) async fn refusal(
        &self,
        means: &Means<'_>,
        nodes: &[Node],
        platforms: &[Platform],
    ) -> Option<Diagnostic> {
        let asked = Asked::from(&means.settings.request);
        let file = planning::read(&asked).ok()??;
        let input = asked.input(facts::of(nodes), platforms);
        let problem = self.problem(means, nodes, &file, &input).await?;
        let told = errors::of_plan(&problem, &asked.name(), &|line| file.line(line).to_owned());
        Some(told.hint("if the builder knows better, --no-resolve asks no registry before the build"))
    }

    async fn problem(
        &self,
        means: &Means<'_>,
        nodes: &[Node],
        file: &Dockerfile,
        input: &PlanInput,
    ) -> Option<Problem> {
        let found = look(&self.resolver, file, input, options(means.settings.lock.as_ref())).await;
        for (name, why) in &found.unchecked {
            tracing::debug!(%name, %why, "an image is not checked before the build");
        }
        for problem in refusals(file, &found.apply(input)) {
            if !is_at_a_node(&problem, nodes, means.settings.lock.as_ref()).await {
                return Some(problem);
            }
        }
        None
    }
}

fn options(lock: Option<&Lock>) -> Options<'_> {
    Options { depth: Depth::Presence, patience: PATIENCE, lock }
}

/// A daemon builds upon its own images, too, such as one that was never pushed. BuildKit asks the registry first where images are
/// in containerd's store, so only an image that is not there at all is looked for in it; the classic store is asked before the
/// registry.
async fn is_at_a_node(problem: &Problem, nodes: &[Node], lock: Option<&Lock>) -> bool {
    let (name, classic_only) = match &problem.kind {
        ProblemKind::MissingImage { name, .. } => (name, false),
        ProblemKind::LacksPlatform { name, .. } => (name, true),
        _ => return false,
    };
    // What the lock pins is asked for by its digest.
    let pinned = name.parse().ok().and_then(|reference| lock?.pin(&reference)).map(|pinned| pinned.to_string());
    let name = pinned.as_ref().unwrap_or(name);
    let asked = nodes.iter().filter(|node| !classic_only || node.facts.store == ImageStore::Classic);
    for docker in asked.filter_map(|node| node.docker.as_ref()) {
        // One that cannot be asked may have it.
        if !matches!(docker.image(name).await, Ok(None)) {
            return true;
        }
    }
    false
}
