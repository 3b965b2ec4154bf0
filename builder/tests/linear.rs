//! Planning takes time linear in the Dockerfile: files that would take minutes otherwise.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fmt::Write as _;

use polyarch_builder::dockerfile::parse;
use polyarch_builder::lint;
use polyarch_builder::plan::{NodeFacts, Plan, PlanInput, plan};
use polyarch_registry::oci::Platform;

fn planned(text: &str) -> Plan {
    let platforms: Vec<Platform> = ["linux/amd64", "linux/arm64"].map(|text| text.parse().unwrap()).to_vec();
    let node = NodeFacts {
        name: "node".into(),
        native: platforms[..1].to_vec(),
        emulated: platforms[1..].to_vec(),
        build_platform: platforms[0].clone(),
        tried: Vec::new(),
    };
    let input = PlanInput { platforms, nodes: vec![node], ..PlanInput::default() };
    let file = parse(text.as_bytes()).unwrap();
    let plan = plan(&file, &input);
    lint::check(&file, &input, &plan, &[]);
    plan
}

/// Each stage is built upon the one before and adds a variable to all it has: copying or hashing them all would be quadratic.
#[test]
fn ten_thousand_stages_in_a_chain() {
    let mut text = String::from("FROM a AS s0\n");
    for at in 1..10_000 {
        writeln!(text, "FROM s{} AS s{at}\nENV V{at}=x$V{}\nRUN x\nCOPY --from=s0 /a /b", at - 1, at / 2).unwrap();
    }
    let plan = planned(&text);
    assert!(plan.problems.is_empty(), "{:?}", plan.problems.first());
    assert_eq!((plan.platforms[0].stages.len(), plan.totals.run_steps), (10_000, 2 * 9_999));
}

/// A circle over all stages is found without going round it for each.
#[test]
fn ten_thousand_stages_in_a_circle() {
    let mut text = String::new();
    for at in 0..10_000 {
        writeln!(text, "FROM a AS s{at}\nCOPY --from=s{} / /", (at + 1) % 10_000).unwrap();
    }
    let plan = planned(&text);
    assert!(plan.problems[0].to_string().starts_with("circular dependency: s0 → s1 → "));
}

/// One instruction of megabytes, and a file of lines that are all wrong.
#[test]
fn long_instructions_and_wrong_lines() {
    let words = "a=\"b $c\" \\\n ".repeat(200_000);
    let plan = planned(&format!("FROM x\nENV {words}x=1\nRUN {}\n", "\\\n y".repeat(200_000)));
    assert_eq!(plan.totals.run_steps, 2);
    assert_eq!(parse("RNU x\n".repeat(1_000_000).as_bytes()).unwrap_err().len(), 20);
}

/// Variables that double and triggers that multiply end in a doubt, and in no refusal: BuildKit may build it.
#[test]
fn growth_is_bounded() {
    let long = "x".repeat(60_000);
    let plan = planned(&format!("FROM x\nENV A={long}\n{}", "ENV B=$A\n".repeat(5_000)));
    assert_eq!(plan.problems, []);
    assert!(plan.doubts.iter().any(|problem| problem.to_string().contains("more than can be planned")));
}
