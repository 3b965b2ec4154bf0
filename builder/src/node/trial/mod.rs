//! Running something tiny for a foreign platform: whether an emulator is there is not in BuildKit's list.
//!
//! Owns: the program, the solve that runs it, and what its end means. Never: installs an emulator, leaves anything on the
//! node but a step in its build cache, or decides by the text of an error.
//!
//! The step is `FROM scratch`, `COPY`, `RUN ["/program"]`, without cache, network or base image. A kernel that finds neither
//! the right CPU nor an emulator (binfmt_misc) refuses to execute the program, and the step ends with an exit code the
//! program never has. So that a node that can run nothing at all is not taken for one without an emulator, the node's own
//! platform is tried beside.

mod programs;

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::{join, join_all};
use polyarch_registry::oci::Platform;

use self::programs::{UNDER_QEMU, program};
use super::probe::Node;
use crate::buildkit::filesync::LocalDir;
use crate::buildkit::solve::new_ref;
use crate::buildkit::{ConnectError, Export, Session, SessionServices, SolveError, SolveSpec, Worker};
use crate::event_sink::EventSink;
use crate::plan::{Trial, TrialOutcome};

/// Time for one program. An emulator takes milliseconds, a busy daemon seconds.
const PATIENCE: Duration = Duration::from_secs(30);

const DOCKERFILE: &str = "FROM scratch\nCOPY program /program\nRUN [\"/program\"]\n";

/// What trying came to.
#[derive(Debug, Default)]
pub struct Tried {
    /// What was found out.
    pub trials: Vec<Trial>,
    /// Platforms of which nothing was found out, and why.
    pub unknown: Vec<(Platform, Untried)>,
}

/// Why nothing was found out.
#[derive(Debug, thiserror::Error)]
pub enum Untried {
    /// There is no program for the platform.
    #[error("there is no program to try it with")]
    NoProgram,
    /// The daemon took too long.
    #[error("no answer within {} s", .0.as_secs())]
    Slow(Duration),
    /// The node cannot even run a program of its own platform.
    #[error("the node does not run a program of its own platform")]
    NotEvenNative,
    /// No session.
    #[error(transparent)]
    Session(#[from] ConnectError),
    /// The step did not come to its end.
    #[error(transparent)]
    Solve(#[from] SolveError),
}

/// Tries platforms on a node, all at once.
pub async fn try_all(node: &Node, platforms: &[Platform]) -> Tried {
    let Some(own) = node.facts.native.first() else {
        let untried = |platform: &Platform| (platform.clone(), Untried::NotEvenNative);
        return Tried { trials: Vec::new(), unknown: platforms.iter().map(untried).collect() };
    };
    let each = join_all(platforms.iter().map(|platform| exit_code(&node.worker, platform)));
    let (control, codes) = join(exit_code(&node.worker, own), each).await;
    let can_run = matches!(control, Ok(0));
    let mut tried = Tried::default();
    for (platform, code) in platforms.iter().zip(codes) {
        match code {
            Ok(code) => match judge(own, platform, code, can_run) {
                Some(outcome) => tried.trials.push(Trial { platform: platform.clone(), outcome }),
                None => tried.unknown.push((platform.clone(), Untried::NotEvenNative)),
            },
            Err(why) => tried.unknown.push((platform.clone(), why)),
        }
    }
    tried
}

/// What an exit code means on a machine that runs `own`; `can_run` if a program of that ran.
fn judge(own: &Platform, platform: &Platform, code: u32, can_run: bool) -> Option<TrialOutcome> {
    let may_be_native = own.architecture == "arm64" && platform.architecture == "arm";
    match code {
        0 if may_be_native => Some(TrialOutcome::Native),
        0 | UNDER_QEMU => Some(TrialOutcome::Emulated),
        _ => can_run.then_some(TrialOutcome::Fails),
    }
}

async fn exit_code(worker: &Worker, platform: &Platform) -> Result<u32, Untried> {
    let program = program(platform).ok_or(Untried::NoProgram)?;
    let run = tokio::time::timeout(PATIENCE, run(worker, platform, program)).await;
    match run.map_err(|_| Untried::Slow(PATIENCE))? {
        Ok(()) => Ok(0),
        Err(Untried::Solve(SolveError::StepFailed { code, .. })) => Ok(code),
        Err(error) => Err(error),
    }
}

async fn run(worker: &Worker, platform: &Platform, program: Vec<u8>) -> Result<(), Untried> {
    // Nobody listens.
    let (events, _) = EventSink::channel();
    let mut services = SessionServices::new(events.clone());
    services.dirs.insert("dockerfile".to_owned(), LocalDir::single_file("Dockerfile", DOCKERFILE.into()));
    services.dirs.insert("context".to_owned(), LocalDir::program("program", program));
    let session = Session::open(worker, services, "").await?;
    let platform = platform.to_string();
    let attrs =
        [("platform", &*platform), ("filename", "Dockerfile"), ("no-cache", ""), ("force-network-mode", "none")];
    let attrs = attrs.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let spec = SolveSpec {
        reference: new_ref(),
        frontend_attrs: BTreeMap::from(attrs),
        export: Export::CacheOnly,
        cache_exports: Vec::new(),
        entitlements: Vec::new(),
    };
    let solved = worker.solve(&session, spec, &events).await;
    session.close().await;
    solved.map(drop).map_err(Untried::Solve)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_judged_by_its_code_and_the_machine() {
        let of = |own: &str, platform: &str, code, can_run| {
            judge(&own.parse().unwrap(), &platform.parse().unwrap(), code, can_run)
        };
        assert_eq!(of("linux/amd64", "linux/arm64", 0, true), Some(TrialOutcome::Emulated));
        assert_eq!(of("linux/amd64", "linux/arm/v7", UNDER_QEMU, true), Some(TrialOutcome::Emulated));
        assert_eq!(of("linux/amd64", "linux/s390x", 255, true), Some(TrialOutcome::Fails));
        assert_eq!(of("linux/amd64", "linux/s390x", 1, false), None, "it may run nothing at all");
        assert_eq!(of("linux/arm64", "linux/arm/v7", UNDER_QEMU, true), Some(TrialOutcome::Emulated));
        assert_eq!(of("linux/arm64", "linux/arm/v7", 0, true), Some(TrialOutcome::Native));
    }
}
