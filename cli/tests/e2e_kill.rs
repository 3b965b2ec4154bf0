//! SIGKILL at random moments of a build and push: never a tag on an incomplete image, and the next run succeeds.

#![allow(clippy::unwrap_used, reason = "a failing helper is a failing test")]
#![allow(clippy::print_stdout, reason = "the seed of a failed run must be seen")]

mod support;

use std::time::{Duration, Instant, SystemTime};

use polyarch_testkit::TestRegistry;
use support::project::finish;
use support::{Builder, Cell, Project, Published, Running};

const KILLS: u64 = 20;
/// Repeats a run: the number that it printed.
const SEED: &str = "POLYARCH_KILL_SEED";

/// Numbers that look random and can be had again (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

struct Bench {
    builder: Builder,
    registry: TestRegistry,
    project: Project,
}

impl Bench {
    /// Starts the build and push of content that nobody has seen.
    fn start(&self) -> Running {
        std::fs::write(self.project.path("ctx/noise"), support::noise(256 << 10)).unwrap();
        Running::start(self.command())
    }

    fn command(&self) -> std::process::Command {
        let tags = [self.registry.reference("killed/app:1"), self.registry.reference("killed/app:2")];
        let args = ["--platform", "linux/amd64,linux/arm64", "-t", &tags[0], "-t", &tags[1], "--push"];
        let mut command = self.project.build(&self.builder, &args);
        command.args(["--progress", "json"]);
        command
    }

    #[track_caller]
    fn assert_next_run_succeeds(&self) {
        finish(self.command()).check(0);
    }

    /// Asserts that every tag has a complete image of both platforms behind it.
    fn assert_tags_complete(&self) {
        let published = Published::new(self.registry.addr(), "killed/app");
        for tag in published.tags() {
            assert_eq!(published.images(&tag).len(), 2, "{tag}");
        }
    }
}

fn killing(cell: Cell) {
    let Some(builder) = Builder::of(cell) else { return };
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64;
    let seed = std::env::var(SEED).ok().and_then(|seed| seed.parse().ok()).unwrap_or(now);
    println!("{SEED}={seed}");
    let project = Project::on(&builder, "FROM base\nCOPY noise /noise\nRUN md5sum /noise > /sum\n");
    let bench = Bench { builder, registry: TestRegistry::start(), project };
    let start = Instant::now();
    let whole = bench.start().wait(support::DEADLINE);
    let (micros, lines) = (start.elapsed().as_micros() as u64, whole.check(0).events().len() as u64);
    let mut random = Random(seed);
    for kill in 0..KILLS {
        let mut running = bench.start();
        // By the clock, and by what it has told: the end of a build is short and has much in it.
        match kill % 2 {
            0 => running.let_run(Duration::from_micros(random.below(micros))),
            _ => running.let_tell(random.below(lines)),
        }
        let pid = running.pid();
        drop(running);
        bench.assert_tags_complete();
        bench.assert_next_run_succeeds();
        bench.assert_tags_complete();
        if let Some(docker) = &bench.builder.docker {
            docker.assert_clean(pid, &[]);
        }
    }
    bench.project.assert_store_valid();
}

#[test]
fn content_by_digest() {
    killing(Cell::Docker28);
}

#[test]
fn through_a_classic_store() {
    killing(Cell::Docker20);
}
