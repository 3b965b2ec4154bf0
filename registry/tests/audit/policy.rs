//! Policies: what a file means, what is wrong with a file, and what waivers silence.

use std::collections::HashSet;

use polyarch_registry::audit::policy::{PolicyError, schema};
use polyarch_registry::audit::{Finding, Policy, Severity};
use polyarch_testkit::Specimen;
use polyarch_testkit::specimen::Lost;
use serde_json::{Value, json};

use crate::{BOTH, brief, run};

const EXAMPLE: &str = include_str!("../../../docs/audit-policy.example.toml");

fn day(text: &str) -> time::Date {
    time::Date::parse(text, time::macros::format_description!("[year]-[month]-[day]")).unwrap()
}

fn parse(text: &str) -> Result<Policy, PolicyError> {
    Policy::parse(text, day("2026-11-20"))
}

/// Line, column, text at fault and message of everything wrong with a text.
fn faults(text: &str) -> Vec<(usize, usize, &str, String)> {
    let error = parse(text).unwrap_err();
    error
        .faults()
        .iter()
        .map(|fault| (fault.line, fault.column, &text[fault.span.clone()], fault.message.clone()))
        .collect()
}

#[test]
fn the_example_means_what_it_says() {
    let policy = parse(EXAMPLE).unwrap();
    let plain = policy.expectations("registry.example.com/other/app");
    assert_eq!(plain.required_platforms.len(), 2);
    assert_eq!((plain.max_image_bytes, plain.max_layers, plain.forbid_root), (Some(500_000_000), Some(40), true));
    assert!(!plain.require_signature);
    assert_eq!(plain.severities["platform-mismatch"], Some(Severity::Error));
    let team = policy.expectations("registry.example.com/team/app");
    assert!(team.require_signature && team.require_provenance && team.profiles.is_empty());
    let lambda = policy.expectations("registry.example.com/team/functions");
    assert_eq!(lambda.required_platforms.iter().map(ToString::to_string).collect::<Vec<_>>(), ["linux/arm64"]);
    assert_eq!(lambda.profiles, ["lambda"]);
    assert!(lambda.require_signature, "what only the earlier one says holds");
    assert_eq!(lambda.severities["platform-mismatch"], Some(Severity::Warning));
    assert_eq!(policy.waivers[0].expires, day("2027-03-31"));
    assert_eq!((policy.waivers.len(), policy.overrides()), (1, 2));
}

#[test]
fn every_mistake_is_told_with_its_place() {
    let text = r#"requird-platforms = ["linux/amd64"]
required-platforms = ["linux", 7]
max-image-size = "500XB"
max-layers = 0
forbid-root = "yes"
profiles = ["lambda", "lamda"]
size-ratio = 0.5
created-spread = "one day"
allowed-bases = ["docker.io/["]

[severity]
dangling-childs = "error"
dangling-child = "eror"

[[repository]]
require-sbom = true
[[repository]]
match = "a/*"
matsch = 1

[[waiver]]
rule = "nothing"
reason = " "
expires = 2026-02-28T00:00:00
"#;
    let told = faults(text);
    let brief: Vec<String> = told.iter().map(|(line, column, at, _)| format!("{line}:{column} {at}")).collect();
    let want = [
        "1:1 requird-platforms",
        "2:23 \"linux\"",
        "2:32 7",
        "3:18 \"500XB\"",
        "4:14 0",
        "5:15 \"yes\"",
        "6:23 \"lamda\"",
        "7:14 0.5",
        "8:18 \"one day\"",
        "9:18 \"docker.io/[\"",
        "12:1 dangling-childs",
        "13:18 \"eror\"",
        "15:1 [[repository]]",
        "19:1 matsch",
        "22:8 \"nothing\"",
        "23:10 \" \"",
    ];
    assert_eq!(brief[..16], want, "{told:#?}");
    assert_eq!(told[0].3, "unknown key `requird-platforms`");
    assert_eq!(told[4].3, "it must be a whole number, at least 1");
    assert_eq!(told.len(), 17, "{told:#?}");
}

#[test]
fn what_may_have_been_meant_is_known() {
    let error = parse("[[waiver]]\nrule = \"dangling-chidl\"\nreason = \"x\"\nexpires = 2027-01-01\n").unwrap_err();
    let (word, known) = error.faults()[0].unknown.clone().unwrap();
    assert!(word == "dangling-chidl" && known.contains(&"dangling-child"));
    assert_eq!(error.to_string(), "line 2, column 8: unknown rule `dangling-chidl`");
}

#[test]
fn broken_toml_and_incomplete_waivers_have_places_too() {
    assert_eq!(faults("a = \n")[0].0, 1);
    assert_eq!(faults("\n[severity\n")[0].0, 2);
    assert_eq!(faults("max-layers = 1\nmax-layers = 2\n")[0].0, 2);
    let told = faults("# ä\n[[waiver]]\nrule = \"dangling-child\"\n");
    let told: Vec<_> = told.iter().map(|one| (one.0, one.3.as_str())).collect();
    assert_eq!(told, [(2, "a [[waiver]] needs `reason`"), (2, "a [[waiver]] needs `expires`")]);
    assert_eq!(faults("[waiver]\nrule = 1\n")[0].3, "`waiver` is written as [[waiver]], once for each");
    assert_eq!(faults("severity = 1")[0].3, "it must be a table of rules: [severity]");
    let late = "[[waiver]]\nrule = \"dangling-child\"\nreason = \"x\"\nexpires = 2026-02-30\n";
    assert_eq!(faults(late)[0].0, 4);
}

/// An image without two of its children, audited with a policy.
async fn judged(policy: &str, today: &str) -> Vec<Finding> {
    let specimen =
        Specimen::healthy(&BOTH).part(0, |part| part.lose(Lost::Manifest)).part(1, |part| part.lose(Lost::Manifest));
    let policy = Policy::parse(policy, day(today)).unwrap();
    run(&specimen.build().await, policy, polyarch_registry::audit::Scope::default()).await.findings
}

fn waiver(more: &str) -> String {
    format!("[[waiver]]\nrule = \"dangling-child\"\nreason = \"known\"\nexpires = 2026-11-20\n{more}")
}

#[tokio::test]
async fn a_waiver_silences_what_it_is_about_until_its_day() {
    let both = [("dangling-child", "error", "linux/amd64"), ("dangling-child", "error", "linux/arm64")];
    for (more, waived) in [
        ("", [true, true]),
        ("platform = \"linux/arm64/v8\"\n", [false, true]),
        ("repository = \"oci:*\"\ntag = \"1\"\n", [true, true]),
        ("repository = \"registry.example.com/**\"\n", [false, false]),
        ("tag = \"2*\"\n", [false, false]),
    ] {
        let found = judged(&waiver(more), "2026-11-20").await;
        assert_eq!(brief(&found), both, "{more}");
        assert_eq!(found.iter().map(|one| one.waived.is_some()).collect::<Vec<_>>(), waived, "{more}");
    }
    let found = judged(&waiver("platform = \"linux/arm64\"\n"), "2026-11-21").await;
    let told = ("expired-waiver", "warning", "linux/arm64");
    assert_eq!(brief(&found), [both[0], both[1], told]);
    assert!(found.iter().all(|one| one.waived.is_none()));
    assert_eq!(found[2].message, "the waiver of dangling-child ended on 2026-11-20: known");
    let off = format!("[severity]\nexpired-waiver = \"off\"\n{}", waiver(""));
    assert_eq!(brief(&judged(&off, "2027-01-01").await), both);
    let again = format!("{}{}", waiver(""), waiver("").replace("2026-11-20", "2027-12-31"));
    assert_eq!(brief(&judged(&again, "2027-01-01").await), both, "one that counts outweighs one that is over");
}

#[tokio::test]
async fn severities_are_the_policys() {
    let found = judged("[severity]\ndangling-child = \"info\"\n", "2026-11-20").await;
    assert_eq!(brief(&found).iter().map(|one| one.1).collect::<HashSet<_>>(), HashSet::from(["info"]));
    assert_eq!(brief(&judged("[severity]\ndangling-child = \"off\"\n", "2026-11-20").await), []);
    let elsewhere =
        "[[repository]]\nmatch = \"registry.example.com/**\"\n[repository.severity]\ndangling-child = \"off\"\n";
    assert_eq!(judged(elsewhere, "2026-11-20").await.len(), 2);
}

fn as_json(text: &str) -> Value {
    fn convert(value: toml::Value) -> Value {
        match value {
            toml::Value::Datetime(date) => json!(date.to_string()),
            toml::Value::Array(list) => list.into_iter().map(convert).collect(),
            toml::Value::Table(table) => table.into_iter().map(|(key, value)| (key, convert(value))).collect(),
            other => serde_json::to_value(other).unwrap(),
        }
    }
    convert(toml::from_str(text).unwrap())
}

#[test]
fn the_schema_takes_what_is_a_policy_and_nothing_else() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let errors: Vec<String> = validator.iter_errors(&as_json(EXAMPLE)).map(|error| error.to_string()).collect();
    assert_eq!(errors, Vec::<String>::new());
    assert!(validator.is_valid(&json!({})));
    for bad in [
        "requird-platforms = []",
        "required-platforms = [\"linux\"]",
        "max-image-size = \"500\"",
        "max-layers = 0",
        "forbid-root = \"yes\"",
        "profiles = [\"lamda\"]",
        "created-spread = \"one day\"",
        "severity.dangling-child = \"eror\"",
        "[[repository]]\nforbid-root = true",
        "[[repository]]\nmatch = \"a\"\nmatsch = 1",
        "[[waiver]]\nrule = \"dangling-child\"\nreason = \"x\"",
        "[[waiver]]\nrule = \"dangling-child\"\nreason = \" \"\nexpires = 2027-01-01",
        "[waiver]\nrule = \"dangling-child\"",
    ] {
        assert!(!validator.is_valid(&as_json(bad)), "{bad}");
        assert!(parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn the_schema_that_is_shipped_is_this_one() {
    let shipped: Value = serde_json::from_str(include_str!("../../../docs/audit-policy.schema.json")).unwrap();
    assert_eq!(shipped, schema(), "polyarch audit policy schema > docs/audit-policy.schema.json");
}
