//! Every format of one report, and of one whose texts want to get out.

use polyarch_registry::audit::{Group, ImageReport, Report};
use serde_json::{Value, json};

#[path = "../../../tests/support/sarif.rs"]
mod schema;

use super::*;
use crate::style::Style;

/// What a registry may say to get out of a format.
const HOSTILE: &str = "\u{1b}[31mred\u{7} ]]> </script><img src=x onerror=alert(1)> | `code` **b** [l](javascript:x) \u{202e}evil\u{2066} \
    \u{2028}line\u{0}\u{fffe}\u{9b}1m\n::error::owned\n## heading\n| a | b |\n@team \"q\" 'q' &amp; \u{200b}";

fn digest(digit: char) -> String {
    format!("sha256:{}", digit.to_string().repeat(64))
}

fn platform(name: &str, digit: char) -> Value {
    json!({"platform": name, "digest": digest(digit), "size": 4_560_000, "layers": 3, "created": "2026-01-02T03:04:05Z"})
}

fn finding(rule: &str, severity: &str, platform: Option<&str>, message: &str) -> Value {
    json!({"rule": rule, "severity": severity, "platform": platform, "digest": digest('e'), "message": message,
        "fix": "push the platform again, or copy it from a registry that still has it; exclude children of indexes from cleanup"})
}

fn image(tag: &str, platforms: Value, findings: Value, unchecked: Value) -> Value {
    json!({"repository": "registry.example.com/team/app", "tag": tag, "digest": digest('a'), "platforms": platforms,
        "attestations": 2, "findings": findings, "unchecked": unchecked})
}

/// One image of everything: broken, the same in other tags, not checked, known, waived, clean; and a repository.
fn report() -> Report {
    let both = json!([platform("linux/amd64", 'b'), platform("linux/arm64", 'c')]);
    let mut missing = platform("linux/arm64", 'c');
    missing["state"] = json!("missing");
    let message = format!("{} is not there", digest('c'));
    let dangling = || finding("dangling-child", "error", Some("linux/arm64"), &message);
    let mismatch = |platform| {
        let mut one =
            finding("platform-mismatch", "warning", Some(platform), "the configuration says another platform");
        one["fix"] = json!("build it for the platform it is listed as");
        one
    };
    let (mut known, mut waived) = (mismatch("linux/amd64"), mismatch("linux/arm64"));
    known["known"] = json!(true);
    waived["waived"] = json!("agreed with the team until the end of the year");
    let mut unread = platform("linux/arm64", 'c');
    unread["unchecked"] = json!(["configuration"]);
    let reason = "GET https://registry.example.com/v2/team/app/blobs: 503 Service Unavailable after 5 tries";
    let broken = |tag| image(tag, json!([platform("linux/amd64", 'b'), missing]), json!([dangling()]), json!([]));
    let images = json!([
        broken("1.2"),
        broken("1.3"),
        broken("latest"),
        image("2.0", both.clone(), json!([known, waived]), json!([])),
        image("2.1", both.clone(), json!([]), json!([])),
        image("2.2", both.clone(), json!([]), json!([])),
        image(
            "3.0",
            json!([platform("linux/amd64", 'b'), unread]),
            json!([mismatch("linux/amd64")]),
            json!([{"what": "configuration", "digest": digest('f'), "reason": reason}])
        ),
        image("3.1", both, json!([mismatch("linux/amd64"), mismatch("linux/arm64")]), json!([])),
    ]);
    let repository = json!({"repository": "registry.example.com/team/app",
        "findings": [{"rule": "some-new-rule", "severity": "info", "message": "tags differ only in case: App, app", "fix": "rename one"}]});
    let fixed = json!({"repository": "registry.example.com/team/app", "tag": "2.1", "rule": "dangling-child",
        "severity": "error", "platform": "linux/amd64", "message": "it was not there"});
    let stats = json!({"images": 8, "fetched": 40, "cached": 2, "seconds": 1.25});
    serde_json::from_value(json!({
        "version": 1, "time": "2026-01-02T03:04:05Z", "scope": {"blobs": true}, "images": images,
        "repositories": [repository], "comparison": {"new": 6, "known": 1, "fixed": [fixed]}, "stats": stats,
    }))
    .unwrap()
}

/// A report every text of which is hostile.
fn hostile() -> Report {
    let mut image = image(HOSTILE, json!([platform(HOSTILE, 'b')]), json!([]), json!([]));
    image["repository"] = json!(format!("registry.example.com/{HOSTILE}"));
    let (mut one, mut waived) =
        (finding("dangling-child", "error", Some(HOSTILE), HOSTILE), finding(HOSTILE, "info", None, HOSTILE));
    one["fix"] = json!(HOSTILE);
    waived["waived"] = json!(HOSTILE);
    waived["key"] = json!(HOSTILE);
    let mut unwaived = finding(HOSTILE, "warning", None, HOSTILE);
    unwaived["known"] = json!(true);
    image["findings"] = json!([one, waived, unwaived]);
    image["unchecked"] = json!([{"what": HOSTILE, "reason": HOSTILE}]);
    let fixed =
        json!({"repository": HOSTILE, "tag": HOSTILE, "rule": HOSTILE, "severity": "error", "message": HOSTILE});
    let stats = json!({"images": 1, "fetched": 1, "cached": 0, "seconds": 0.5});
    let repository = json!({"repository": HOSTILE, "findings": [finding(HOSTILE, "info", None, HOSTILE)],
        "unchecked": [{"what": HOSTILE, "reason": HOSTILE}]});
    serde_json::from_value(json!({
        "version": 1, "time": HOSTILE, "images": [image], "repositories": [repository],
        "comparison": {"new": 1, "known": 1, "fixed": [fixed]}, "stats": stats,
    }))
    .unwrap()
}

/// No control but line feeds, nothing that reorders, and no line a runner takes for a command.
#[track_caller]
fn assert_tame(text: &str) {
    for line in text.lines() {
        let wild = line.chars().find(|c| c.is_control() || ('\u{202a}'..='\u{202e}').contains(c) || *c == '\u{2066}');
        assert_eq!(wild, None, "{line:?}");
        assert!(!line.trim_start().starts_with("::") && !line.trim_start().starts_with("##["), "{line:?}");
    }
    assert!(!text.contains('\u{2028}'));
}

#[test]
fn text() {
    let columns = [Group::Complete, Group::Platforms];
    let plain = text::render_columns(&report(), &columns, Style::plain());
    insta::assert_snapshot!("text", plain);
    let long: Vec<&str> = plain.lines().filter(|line| line.chars().count() > 80).collect();
    assert_eq!(long, [""; 0]);
    let colored = text::render_columns(&report(), &columns, Style::new(true));
    let uncolored = console::strip_ansi_codes(&colored);
    assert!(uncolored.lines().map(str::trim_end).eq(plain.lines()), "colour adds nothing");
    assert_tame(&text::render(&hostile(), Style::plain()));
}

#[test]
fn text_fits_with_every_column() {
    let mut report = report();
    report.images[0].platforms[0].platform = "linux/riscv64".to_owned();
    let text = text::render_columns(&report, &Group::ALL, Style::plain());
    let long: Vec<&str> = text.lines().filter(|line| line.chars().count() > 80).collect();
    assert_eq!(long, [""; 0]);
    assert!(text.contains("complete platforms binaries drift format signed policy layers\n"), "{text}");
}

#[test]
fn text_of_one_clean_image_has_its_table() {
    let mut report = report();
    report.images.retain(|image| image.tag.as_deref() == Some("2.1"));
    (report.repositories, report.comparison) = (Vec::new(), None);
    let columns = [Group::Complete, Group::Platforms];
    insta::assert_snapshot!("text_clean", text::render_columns(&report, &columns, Style::plain()));
}

#[test]
fn text_names_some_of_many_tags() {
    let mut report = report();
    let first = report.images.remove(0);
    report.images = (0..50).map(|n| ImageReport { tag: Some(format!("1.{n}")), ..first.clone() }).collect();
    let text = text::render(&report, Style::plain());
    assert!(text.contains("and 49 more tags: 1.1, 1.2, 1.3"), "{text}");
    assert_eq!(text.matches("[dangling-child]").count(), 1);
}

#[test]
fn json() {
    let text = json::render(&report()).unwrap();
    insta::assert_snapshot!("json", text);
    assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report());
    let wild = json::render(&hostile()).unwrap();
    assert_tame(&wild);
    assert_eq!(serde_json::from_str::<Report>(&wild).unwrap(), hostile(), "nothing is lost by escaping");
}

#[test]
fn sarif() {
    let text = sarif::render(&report());
    let log: Value = serde_json::from_str(&text).unwrap();
    schema::assert_valid(&log);
    let run = &log["runs"][0];
    // Every rule is in the log: the snapshot would change with each new one.
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    let has =
        |id: &str| rules.iter().any(|rule| rule["id"] == id && !rule["help"]["text"].as_str().unwrap().is_empty());
    assert!(has("dangling-child") && has("platform-mismatch") && has("some-new-rule"));
    let results = run["results"].as_array().unwrap();
    let is_its_own = |one: &&Value| one["suppressions"].is_array() || one["baselineState"] != "new";
    let shown: Vec<&Value> = results.iter().take(1).chain(results.iter().filter(is_its_own)).collect();
    insta::assert_snapshot!("sarif", format!("{:#}\n{:#}\n", json!(shown), run["invocations"]));
}

#[test]
fn sarif_is_valid_whatever_a_registry_says() {
    let text = sarif::render(&hostile());
    assert_tame(&text);
    let log: Value = serde_json::from_str(&text).unwrap();
    // The time is ours and no registry's, but a report may be anybody's.
    schema::assert_valid(&log);
    let results = log["runs"][0]["results"].as_array().unwrap();
    let uri = results[0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].as_str().unwrap();
    assert!(uri.starts_with("registry.example.com/%1B%5B31mred"), "{uri}");
}

#[test]
fn sarif_stays_within_what_code_scanning_takes() {
    let mut report = report();
    let mut finding = report.images[0].findings[0].clone();
    finding.severity = polyarch_registry::audit::Severity::Info;
    report.images[7].findings.extend(std::iter::repeat_n(finding, 100));
    let log: Value = serde_json::from_str(&sarif::render_at_most(&report, 50)).unwrap();
    let run = &log["runs"][0];
    let results = run["results"].as_array().unwrap();
    let prints: std::collections::HashSet<_> =
        results.iter().map(|one| one["partialFingerprints"]["primaryLocationLineHash"].as_str()).collect();
    assert_eq!((results.len(), prints.len(), &results[0]["level"]), (50, 50, &"error".into()));
    let notes = run["invocations"][0]["toolExecutionNotifications"].as_array().unwrap();
    let last = notes.last().unwrap()["message"]["text"].as_str().unwrap();
    assert!(last.starts_with("59 results are left out"), "{last}");
}

#[test]
fn junit() {
    let text = junit::render(&report());
    // Without what passes, and the number of tests, which change with each new rule.
    let is_stable = |line: &&str| !(line.contains("<testcase") && line.ends_with("/>"));
    let stable = text.lines().filter(is_stable).map(|line| match line.split_once(" tests=\"") {
        Some((start, rest)) => format!("{start}{}", rest.split_once('"').unwrap().1),
        None => line.to_owned(),
    });
    insta::assert_snapshot!("junit", stable.collect::<Vec<_>>().join("\n"));
    let document = roxmltree::Document::parse(&text).unwrap();
    let root = document.root_element();
    let count = |name: &str| root.descendants().filter(|node| node.has_tag_name(name)).count().to_string();
    for (attribute, element) in [("tests", "testcase"), ("failures", "failure"), ("errors", "error")] {
        assert_eq!(root.attribute(attribute), Some(count(element).as_str()), "{attribute}");
    }
    for suite in root.children().filter(|node| node.has_tag_name("testsuite")) {
        let count = suite.descendants().filter(|node| node.has_tag_name("skipped")).count().to_string();
        assert_eq!(suite.attribute("skipped"), Some(count.as_str()));
        let mut names: Vec<_> = suite.children().filter_map(|case| case.attribute("name")).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all, "a case is its name");
    }
}

#[test]
fn junit_is_well_formed_whatever_a_registry_says() {
    let text = junit::render(&hostile());
    assert_tame(&text);
    let document = roxmltree::Document::parse(&text).unwrap();
    let known = ["testsuites", "testsuite", "testcase", "failure", "error", "skipped", "system-out"];
    let names: Vec<_> =
        document.descendants().filter(|node| node.is_element()).map(|node| node.tag_name().name()).collect();
    assert!(names.iter().all(|name| known.contains(name)), "{names:?}");
}

#[test]
fn junit_of_very_many_images_lists_no_rule_that_found_nothing() {
    let mut report = report();
    let clean = report.images[4].clone();
    report.images.extend((0..2000).map(|n| ImageReport { tag: Some(format!("n{n}")), ..clean.clone() }));
    let text = junit::render(&report);
    assert_eq!(text.matches("<testcase").count(), 2000 + 3 + 2 + 2 + 2 + 2 + 1, "{text:.500}");
}

#[test]
fn markdown() {
    let text = markdown::render_columns(&report(), &[Group::Complete, Group::Platforms], 1_000_000);
    insta::assert_snapshot!("markdown", text);
    assert_eq!(text.matches("<details").count(), text.matches("</details>").count());
}

#[test]
fn markdown_of_a_registry_stays_in_its_cell() {
    let text = markdown::render(&hostile());
    assert_tame(&text);
    // What is ours: table borders at both ends of a line, tags of four names, headings, code of tags.
    for line in text.lines() {
        let is_ours = ["## Image audit", "| ", "|---", "<details", "</details>", ""];
        assert!(is_ours.iter().any(|start| line.starts_with(start)) && !line.contains('`'), "{line}");
        let tags = line.split('<').skip(1).map(|rest| rest.split(['>', ' ']).next().unwrap_or_default());
        let ours = ["details", "/details", "summary", "/summary", "code", "/code"];
        assert!(tags.clone().all(|tag| ours.contains(&tag)), "{line}");
        for foreign in ["::", "://", "@team", "**b**", "[l]", "&amp;"] {
            assert!(!line.contains(foreign), "{foreign} in {line}");
        }
    }
    let rows: Vec<usize> =
        text.lines().filter(|line| line.starts_with('|')).map(|line| line.matches('|').count()).collect();
    assert!(rows.iter().all(|borders| [5, 6, columns_of_matrix() + 3].contains(borders)), "{rows:?}");
}

fn columns_of_matrix() -> usize {
    matrix::groups(&hostile()).len()
}

#[test]
fn markdown_fits_into_a_summary() {
    let mut report = report();
    let clean = report.images[7].clone();
    let tag = |n| Some(format!("n{n}"));
    let differs = |n: usize| {
        let mut image = ImageReport { tag: tag(n), ..clean.clone() };
        image.findings[0].message = format!("finding number {n}");
        image
    };
    report.images.extend((0..100).map(differs));
    let text = markdown::render_at_most(&report, 8_000);
    assert!(text.len() < 8_200, "{}", text.len());
    assert!(text.starts_with("## Image audit: 3 errors"), "{text}");
    let shown = text.matches("<details").count();
    // Of three tags one is shown for all; two are clean.
    let left_out = 4 + 1 + 100 - shown;
    assert!(
        text.ends_with(&format!(
            "**{left_out} sections left out**, for a summary has at most 1 MiB. The JSON report has all.\n"
        )),
        "{}",
        &text[text.len() - 200..]
    );
}

/// The JSON in a page.
fn embedded(page: &str) -> (&str, Value) {
    let start = page.find(r#"<script type="application/json" id="data">"#).unwrap();
    let rest = &page[start + 42..];
    let data = &rest[..rest.find("</script>").unwrap()];
    (data, serde_json::from_str(data).unwrap())
}

#[test]
fn html_draws_itself_from_its_data() {
    let page = html::render(&report());
    let (_, data) = embedded(&page);
    assert_eq!(
        (data["images"].as_array().unwrap().len(), &data["repos"]),
        (8, &json!(["registry.example.com/team/app"]))
    );
    let first = &data["images"][0];
    assert_eq!((&first["tag"], &first["platforms"][1]["state"]), (&"1.2".into(), &"missing".into()));
    assert_eq!(first["findings"][0]["fix"], Value::Null, "a rule's own fix is there once");
    assert_eq!(data["rules"]["dangling-child"]["fix"], polyarch_registry::audit::rule("dangling-child").unwrap().fix);
    assert_eq!(data["images"][3]["findings"][1]["waived"], "agreed with the team until the end of the year");
    let matrix = first["matrix"].as_array().unwrap();
    assert_eq!((matrix.len(), &matrix[2][0]), (3, &"linux/arm64".into()));
    assert!(matrix[2][1].as_str().unwrap().starts_with("e-"), "{matrix:?}");
    assert!(page.contains(
        "<h1>Image audit: 3 errors, 3 warnings, 1 note</h1>\n<p class=\"sub\">8 images, 2026-01-02 03:04 UTC, 1.2 s</p>"
    ));
}

#[test]
fn html_asks_nobody_and_runs_only_its_own() {
    let page = html::render(&report());
    let policy = page.lines().find(|line| line.contains("Content-Security-Policy")).unwrap();
    assert!(policy.contains("default-src 'none'; script-src 'sha256-") && !policy.contains("unsafe"), "{policy}");
    // But for the data, which is text.
    let own = page.replace(embedded(&page).0, "");
    for foreign in
        ["http://", "https://", " src=", " href=", " style=", " onclick=", "innerHTML", "eval(", "@import", "url("]
    {
        assert!(!own.contains(foreign), "{foreign}");
    }
}

#[test]
fn nothing_gets_out_of_the_data_of_a_page() {
    let page = html::render(&hostile());
    assert_tame(&page);
    let (text, data) = embedded(&page);
    assert!(!text.contains(['<', '>', '&', '\u{2028}']), "{text}");
    let message = data["images"][0]["findings"][0]["message"].as_str().unwrap();
    assert!(message.starts_with("\\u{1b}[31mred\\u{7} ]]> </script><img src=x onerror=alert(1)>"), "{message}");
    assert_eq!(page.matches("</script>").count(), 2);
    assert!(!page.contains("<img"));
}
