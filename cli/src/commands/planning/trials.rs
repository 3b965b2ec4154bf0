//! Trying on nodes what their lists do not tell.
//!
//! Owns: which platforms are tried where, and what is told of those that could not be. Never: tries what no command of the
//! Dockerfile needs.

use futures::future::join_all;
use polyarch_builder::dockerfile::Dockerfile;
use polyarch_builder::node::probe::Node;
use polyarch_builder::node::trial::try_all;
use polyarch_builder::plan::{PlanInput, doubtful};
use tokio_util::sync::CancellationToken;

use crate::diagnostics::Diagnostic;
use crate::exit_code::ExitCode;

/// Tries on every node the foreign platforms of the Dockerfile's commands, with `all` also those the node lists, and puts
/// what came of it into the input. `nodes` are those of the input, in order. Returns a line for each that could not be tried.
///
/// # Errors
/// It was cancelled.
pub async fn run(
    nodes: &[Node],
    file: &Dockerfile,
    input: &mut PlanInput,
    all: bool,
    cancel: &CancellationToken,
) -> Result<Vec<String>, Diagnostic> {
    let wanted: Vec<_> = input.nodes.iter().map(|facts| doubtful(file, input, facts, all)).collect();
    let one =
        async |node, wanted: &Vec<_>| if wanted.is_empty() { Default::default() } else { try_all(node, wanted).await };
    let trying = join_all(nodes.iter().zip(&wanted).map(|(node, wanted)| one(node, wanted)));
    let tried = tokio::select! {
        tried = trying => tried,
        () = cancel.cancelled() => return Err(Diagnostic::cancelled()),
    };
    let mut notes = Vec::new();
    for (facts, found) in input.nodes.iter_mut().zip(tried) {
        facts.tried.extend(found.trials);
        for (platform, why) in found.unknown {
            let why = Diagnostic::new(ExitCode::CouldNotCheck, &why).chain.join(": ");
            notes.push(format!("could not tell whether {} runs {platform}: {why}", facts.name));
        }
    }
    Ok(notes)
}
