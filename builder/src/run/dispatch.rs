//! All platforms at once, each to its own end.
//!
//! Owns: the task of every platform, fail-fast, and the deadline after a cancellation. A task is told to stop through
//! its token, so that it can remove what it left on a daemon; it is aborted only after the grace period.
//! Never: knows what kind of daemon is behind an executor.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use polyarch_registry::oci::Platform;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::outcome::{Built, PlatformError, PlatformOutcome};
use crate::event::{EventKind, Outcome};
use crate::event_sink::EventSink;
use crate::image::BuiltImage;

/// Builds platforms on one node.
pub trait Executor: Send + Sync {
    /// Builds one platform. When `cancel` fires it stops, cleans up on the daemon and returns [`PlatformError::Cancelled`].
    fn build<'a>(
        &'a self,
        platform: &'a Platform,
        events: &'a EventSink,
        cancel: &'a CancellationToken,
    ) -> BoxFuture<'a, Result<Built, PlatformError>>;
}

/// One platform and where it is built.
pub struct Job {
    /// The platform.
    pub platform: Platform,
    /// Name of the node.
    pub node: String,
    /// The builder as the user wrote it.
    pub builder: String,
    /// The node's executor.
    pub executor: Arc<dyn Executor>,
}

/// What a failed platform means for the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// They go on.
    Finish,
    /// They are cancelled (`--fail-fast`).
    CancelOthers,
}

/// What a dispatch is governed by.
pub struct Control {
    /// What a failed platform means for the others.
    pub on_failure: OnFailure,
    /// Fired by the user.
    pub cancel: CancellationToken,
    /// Time for clean-up after a cancellation.
    pub grace: Duration,
    /// Called with each image as soon as it is verified.
    pub on_built: Arc<dyn Fn(&BuiltImage) + Send + Sync>,
}

/// Builds all jobs concurrently and returns their outcomes in the order of `jobs`.
pub async fn dispatch(jobs: Vec<Job>, control: &Control, events: &EventSink) -> Vec<PlatformOutcome> {
    let cancel = control.cancel.child_token();
    let mut running = Running::default();
    for (position, job) in jobs.into_iter().enumerate() {
        running.start(position, job, events, &cancel);
    }
    let mut outcomes = Vec::new();
    let mut deadline = None;
    while !running.tasks.is_empty() {
        let joined = tokio::select! {
            joined = running.tasks.join_next_with_id() => joined,
            () = cancel.cancelled(), if deadline.is_none() => {
                deadline = Some(Instant::now() + control.grace);
                continue;
            }
            () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                running.tasks.abort_all();
                deadline = Some(Instant::now() + Duration::from_secs(3600));
                continue;
            }
        };
        let Some(joined) = joined else { break };
        let (position, outcome) = running.finish(joined);
        tell(&outcome, events);
        match &outcome.result {
            Ok(built) => built.image().into_iter().for_each(|image| (control.on_built)(image)),
            Err(_) if control.on_failure == OnFailure::CancelOthers => cancel.cancel(),
            Err(_) => {}
        }
        outcomes.push((position, outcome));
    }
    outcomes.sort_by_key(|(position, _)| *position);
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

type TaskResult = (Duration, Result<Built, PlatformError>);

/// What is known of a task without asking it: needed when it panicked or was aborted.
struct Label {
    position: usize,
    platform: Platform,
    node: String,
    builder: String,
    since: Instant,
}

#[derive(Default)]
struct Running {
    tasks: JoinSet<TaskResult>,
    labels: HashMap<Id, Label>,
}

impl Running {
    fn start(&mut self, position: usize, job: Job, events: &EventSink, cancel: &CancellationToken) {
        let Job { platform, node, builder, executor } = job;
        let (events, cancel) = (events.for_platform(&platform), cancel.clone());
        let label = Label { position, platform: platform.clone(), node, builder, since: Instant::now() };
        let handle = self.tasks.spawn(async move {
            let start = Instant::now();
            events.send(EventKind::PlatformStarted);
            let result = match cancel.is_cancelled() {
                true => Err(PlatformError::Cancelled),
                false => executor.build(&platform, &events, &cancel).await,
            };
            (start.elapsed(), result)
        });
        self.labels.insert(handle.id(), label);
    }

    fn finish(&mut self, joined: Result<(Id, TaskResult), JoinError>) -> (usize, PlatformOutcome) {
        let id = joined.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        // Every task was labelled when it was started.
        let label = self.labels.remove(&id).unwrap_or_else(|| unreachable!("task {id} was never started"));
        let (elapsed, result) = match joined {
            Ok((_, result)) => result,
            Err(error) if error.is_cancelled() => (label.since.elapsed(), Err(PlatformError::Cancelled)),
            Err(_) => (label.since.elapsed(), Err(PlatformError::Panicked { platform: label.platform.clone() })),
        };
        let Label { position, platform, node, builder, .. } = label;
        (position, PlatformOutcome { platform, node, builder, elapsed, result })
    }
}

fn tell(outcome: &PlatformOutcome, events: &EventSink) {
    let told = match &outcome.result {
        Ok(Built::Image(image)) => Outcome::Built {
            manifest: Box::new(image.manifest.descriptor()),
            layers: image.layers.len(),
            cached: image.steps.cached(),
            executed: image.steps.executed(),
        },
        Ok(Built::InCache(steps)) => Outcome::Ready { cached: steps.cached(), executed: steps.executed() },
        Err(PlatformError::Cancelled) => Outcome::Cancelled,
        Err(error) => Outcome::Failed { reason: error.reason() },
    };
    let events = events.for_platform(&outcome.platform);
    events.send(EventKind::PlatformFinished { outcome: told, elapsed: outcome.elapsed });
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use polyarch_registry::oci::{Descriptor, Digest, RawManifest, media_type};

    use super::*;
    use crate::steps::Steps;

    /// What a fake does with a platform.
    enum Script {
        Succeed,
        Fail,
        UntilCancelled,
        Panic,
        IgnoreCancel,
    }

    struct Fake {
        scripts: HashMap<String, Script>,
        cleaned: Mutex<Vec<String>>,
    }

    impl Executor for Fake {
        fn build<'a>(
            &'a self,
            platform: &'a Platform,
            _events: &'a EventSink,
            cancel: &'a CancellationToken,
        ) -> BoxFuture<'a, Result<Built, PlatformError>> {
            Box::pin(async move {
                match &self.scripts[&platform.architecture] {
                    Script::Succeed => Ok(image(platform).into()),
                    Script::Fail => {
                        Err(PlatformError::Verification { platform: platform.clone(), problems: vec!["wrong".into()] })
                    }
                    Script::UntilCancelled => {
                        cancel.cancelled().await;
                        self.cleaned.lock().unwrap().push(platform.to_string());
                        Err(PlatformError::Cancelled)
                    }
                    Script::Panic => panic!("on purpose"),
                    Script::IgnoreCancel => std::future::pending().await,
                }
            })
        }
    }

    fn image(platform: &Platform) -> BuiltImage {
        BuiltImage {
            platform: platform.clone(),
            config_platform: platform.clone(),
            manifest: RawManifest::new(media_type::OCI_MANIFEST, "{}"),
            config: Descriptor::new(media_type::OCI_CONFIG, Digest::sha256(b""), 0),
            layers: Vec::new(),
            attestations: Vec::new(),
            steps: Steps::default(),
        }
    }

    async fn run(scripts: [(&str, Script); 2], on_failure: OnFailure, cancelled: bool) -> (Vec<String>, Vec<String>) {
        let names = scripts.iter().map(|(name, _)| (*name).to_owned()).collect::<Vec<_>>();
        let fake = Arc::new(Fake {
            scripts: scripts.into_iter().map(|(name, script)| (name.to_owned(), script)).collect(),
            cleaned: Mutex::default(),
        });
        let jobs = names.iter().map(|name| Job {
            platform: Platform::new("linux", name, None),
            node: "n".into(),
            builder: "b".into(),
            executor: fake.clone(),
        });
        let control = Control {
            on_failure,
            cancel: CancellationToken::new(),
            grace: Duration::from_secs(5),
            on_built: Arc::new(|_| {}),
        };
        if cancelled {
            let cancel = control.cancel.clone();
            tokio::task::spawn(async move { cancel.cancel() });
        }
        let (events, _keep) = EventSink::channel();
        let outcomes = dispatch(jobs.collect(), &control, &events).await;
        let text = outcomes.iter().map(|o| match &o.result {
            Ok(_) => format!("{} built", o.platform),
            Err(error) => format!("{} {error}", o.platform),
        });
        let cleaned = fake.cleaned.lock().unwrap().clone();
        (text.collect(), cleaned)
    }

    #[tokio::test(start_paused = true)]
    async fn one_failure_leaves_the_others_alone() {
        let (got, _) = run([("a", Script::Fail), ("b", Script::Succeed)], OnFailure::Finish, false).await;
        assert_eq!(got, ["linux/a result for linux/a failed verification: wrong", "linux/b built"]);
    }

    #[tokio::test(start_paused = true)]
    async fn fail_fast_cancels_the_others_and_lets_them_clean_up() {
        let (got, cleaned) =
            run([("a", Script::UntilCancelled), ("b", Script::Fail)], OnFailure::CancelOthers, false).await;
        assert_eq!(got, ["linux/a cancelled", "linux/b result for linux/b failed verification: wrong"]);
        assert_eq!(cleaned, ["linux/a"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_is_one_platforms_outcome() {
        let (got, _) = run([("a", Script::Panic), ("b", Script::Succeed)], OnFailure::Finish, false).await;
        assert_eq!(got, ["linux/a the build of linux/a panicked", "linux/b built"]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_stop_is_aborted_after_the_grace_period() {
        let (got, _) = run([("a", Script::IgnoreCancel), ("b", Script::UntilCancelled)], OnFailure::Finish, true).await;
        assert_eq!(got, ["linux/a cancelled", "linux/b cancelled"]);
    }
}
