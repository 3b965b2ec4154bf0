//! The report as data: platforms, comparing with an earlier one, joining several.

use polyarch_registry::audit::baseline::fingerprint;
use polyarch_registry::audit::{Finding, PlatformState, Report, Scope, Severity};
use polyarch_testkit::Specimen;
use polyarch_testkit::specimen::Lost;

use crate::{BOTH, audit};

/// A report of an image with findings of a rule that nobody has: rule and key stay, the digest in the message changes.
fn report(tag: &str, keys: &[&str]) -> Report {
    let image = serde_json::json!({
        "repository": "r.example/app", "tag": tag, "digest": format!("sha256:{}", "0".repeat(64)),
        "platforms": [], "attestations": 0,
        "findings": keys.iter().map(|key| serde_json::json!({
            "rule": "some-rule", "severity": "error", "platform": "linux/amd64",
            "message": "sha256:… is wrong", "fix": "make it right", "key": key,
        })).collect::<Vec<_>>(),
    });
    let stats = serde_json::json!({"images": 1, "fetched": 2, "cached": 3, "seconds": 1.5});
    serde_json::from_value(serde_json::json!({"version": 1, "images": [image], "stats": stats})).unwrap()
}

fn finding(report: &mut Report) -> &mut Finding {
    &mut report.images[0].findings[0]
}

#[tokio::test]
async fn a_missing_platform_is_listed_as_one() {
    let specimen = Specimen::healthy(&BOTH).attested().part(1, |part| part.lose(Lost::Manifest));
    let report = audit(&specimen).await;
    let states: Vec<_> = report.platforms.iter().map(|one| (one.platform.as_str(), one.state, one.layers)).collect();
    assert_eq!(
        states,
        [("linux/amd64", PlatformState::Read, 2), ("linux/arm64", PlatformState::Missing, 0)],
        "attestations are no platforms"
    );
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!((&json["platforms"][0]["state"], &json["platforms"][1]["state"]), (&().into(), &"missing".into()));
    assert_eq!(serde_json::from_value::<polyarch_registry::audit::ImageReport>(json).unwrap(), report);
}

#[test]
fn what_was_there_before_is_known_and_counts_no_more() {
    let earlier = report("1", &["a", "gone"]);
    let mut now = report("1", &["a", "b"]);
    finding(&mut now).message = "sha256:another digest is wrong".to_owned();
    now.compare(&earlier);
    let known: Vec<_> = now.findings().map(|one| (one.key.as_str(), one.known)).collect();
    assert_eq!(known, [("a", true), ("b", false)]);
    let comparison = now.comparison.clone().unwrap();
    let fixed: Vec<_> = comparison.fixed.iter().map(|one| (one.tag.as_deref(), one.rule.as_str())).collect();
    assert_eq!((comparison.new, comparison.known, fixed), (1, 1, vec![(Some("1"), "some-rule")]));
    assert_eq!(now.worst(), Some(Severity::Error));
    let mut same = report("1", &["a"]);
    same.compare(&report("1", &["a"]));
    assert_eq!(same.worst(), None);
}

#[test]
fn of_findings_that_cannot_be_told_apart_as_many_are_known_as_there_were() {
    let mut now = report("1", &["", "", ""]);
    now.compare(&report("1", &["", ""]));
    assert_eq!(now.findings().filter(|one| one.known).count(), 2);
}

#[test]
fn nothing_is_fixed_that_was_not_looked_at_again() {
    let earlier = report("1", &["a"]);
    let mut other_tag = report("2", &[]);
    other_tag.compare(&earlier);
    assert_eq!(other_tag.comparison.unwrap().fixed, []);
    let mut unsure = report("1", &[]);
    let unchecked = serde_json::json!({"what": "manifest", "reason": "503"});
    unsure.images[0].unchecked.push(serde_json::from_value(unchecked).unwrap());
    unsure.compare(&earlier);
    assert_eq!(unsure.comparison.unwrap().fixed, []);
}

#[test]
fn what_is_waived_is_neither_new_nor_known() {
    let mut now = report("1", &["a"]);
    finding(&mut now).waived = Some("agreed".to_owned());
    now.compare(&report("1", &[]));
    let comparison = now.comparison.unwrap();
    assert_eq!((comparison.new, comparison.known, comparison.fixed.len()), (0, 0, 0));
}

#[test]
fn a_fingerprint_has_every_part_but_digest_and_text() {
    let mut now = report("1", &["a"]);
    let one = finding(&mut now).clone();
    let of = |repository, tag, one: &Finding| fingerprint(repository, tag, one);
    let want = of("r", Some("t"), &one);
    assert_eq!(want, of("r", Some("t"), &Finding { digest: None, message: String::new(), ..one.clone() }));
    let others = [
        of("s", Some("t"), &one),
        of("r", None, &one),
        of("r", Some("t"), &Finding { rule: "x".to_owned(), ..one.clone() }),
        of("r", Some("t"), &Finding { platform: None, ..one.clone() }),
        of("r", Some("t"), &Finding { key: "b".to_owned(), ..one.clone() }),
    ];
    assert!(others.iter().all(|other| *other != want), "{others:?}");
}

#[test]
fn reports_of_shards_become_one() {
    let (mut first, second) = (report("2", &["a"]), report("1", &[]));
    first.scope.blobs = true;
    let merged = Report::merge(vec![first.clone(), second, report("2", &["b"])]);
    let tags: Vec<_> = merged.images.iter().map(|image| image.tag.as_deref()).collect();
    assert_eq!(tags, [Some("1"), Some("2")]);
    assert_eq!(merged.images[1].findings[0].key, "b", "the last report's");
    assert_eq!((merged.scope, merged.stats.images, merged.stats.fetched), (Scope::default(), 2, 6));
    assert_eq!(Report::merge(vec![first.clone()]), first);
    assert_eq!(Report::merge(Vec::new()), Report::default());
}
