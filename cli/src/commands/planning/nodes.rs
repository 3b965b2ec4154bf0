//! What is known about the nodes of a plan.

use polyarch_builder::event_sink::EventSink;
use polyarch_builder::limits::Limits;
use polyarch_builder::node::probe::Node;
use polyarch_builder::node::reach::Reach;
use polyarch_builder::plan::NodeFacts;
use polyarch_registry::oci::Platform;

use super::this_machine;
use crate::commands::{Context, reach};
use crate::diagnostics::Diagnostic;
use crate::exit_code::ExitCode;
use crate::settings::plan::{NodeChoice, Subject};

/// Nodes to plan for.
#[derive(Debug)]
pub struct Nodes {
    /// Their facts, in the order of preference.
    pub facts: Vec<NodeFacts>,
    /// What the user must know about them.
    pub note: Option<String>,
    /// Their connections, if programs are to be tried on them; the caller lets go of them.
    pub live: Vec<Node>,
}

/// Asks the builders, or looks at this machine.
///
/// # Errors
/// A builder that must answer does not.
pub async fn find(subject: &Subject, context: &Context) -> Result<Nodes, Diagnostic> {
    match &subject.nodes {
        NodeChoice::ThisMachine => Ok(Nodes::of_facts(vec![this_machine::facts()], None)),
        NodeChoice::Builders(builders) => {
            let asked = ask(builders, subject, context).await;
            asked.map_err(|error| match error.code {
                ExitCode::Plan => error.hint("plan without a daemon: --offline"),
                _ => error,
            })
        }
        NodeChoice::IfReachable(builders) => match ask(builders, subject, context).await {
            Ok(nodes) => Ok(nodes),
            Err(error) if error.code == ExitCode::Cancelled => Err(error),
            Err(_) => {
                let note = format!("{} does not answer; planned for this machine", builders.join(", "));
                Ok(Nodes::of_facts(vec![this_machine::facts()], Some(note)))
            }
        },
    }
}

impl Nodes {
    fn of_facts(facts: Vec<NodeFacts>, note: Option<String>) -> Self {
        Self { facts, note, live: Vec::new() }
    }
}

async fn ask(builders: &[String], subject: &Subject, context: &Context) -> Result<Nodes, Diagnostic> {
    let (events, _told) = EventSink::channel();
    let limits = Limits::default();
    let credentials = &subject.registries.credentials;
    let way = Reach { env: &subject.host_env, limits: &limits, events: &events, credentials };
    let nodes = reach::connect(builders, way, &context.cancel).await?;
    let facts = of(&nodes);
    if subject.probe {
        return Ok(Nodes { facts, note: None, live: nodes });
    }
    reach::shut_down(nodes, &limits, &events).await;
    Ok(Nodes::of_facts(facts, None))
}

/// Lets go of nodes that were kept.
pub async fn release(nodes: Vec<Node>) {
    let (events, _told) = EventSink::channel();
    reach::shut_down(nodes, &Limits::default(), &events).await;
}

/// Returns the facts of nodes, each under a name of its own.
pub fn of(nodes: &[Node]) -> Vec<NodeFacts> {
    let fact = |(name, node): (String, &Node)| NodeFacts {
        name,
        native: node.facts.native.clone(),
        emulated: node.facts.emulated.clone(),
        build_platform: node.facts.native.first().cloned().unwrap_or_else(|| Platform::new("linux", "unknown", None)),
        tried: Vec::new(),
    };
    names(nodes).into_iter().zip(nodes).map(fact).collect()
}

/// The nodes' names; the second node of a name has its position added.
pub fn names(nodes: &[Node]) -> Vec<String> {
    let name = |(position, node): (usize, &Node)| match nodes[..position].iter().any(|other| other.name == node.name) {
        true => format!("{} ({})", node.name, position + 1),
        false => node.name.clone(),
    };
    nodes.iter().enumerate().map(name).collect()
}
