// What every fuzz target and the stable runner call. None of it may panic, and none of it may take more than linear time.

use polyarch_builder::dockerfile::{LONGEST_HEREDOC, detect_syntax, expand, expand_heredoc, parse};
use polyarch_builder::lint;
use polyarch_builder::plan::{NodeFacts, PlanInput, plan};
use polyarch_registry::oci::Platform;

/// Reads bytes as a Dockerfile, plans it for two platforms and runs every lint.
pub fn dockerfile(data: &[u8]) {
    detect_syntax(data);
    let Ok(file) = parse(data) else { return };
    assert!(!file.stages.is_empty(), "what is read has a stage");
    let input = input();
    let made = plan(&file, &input);
    assert!(made.problems.iter().all(|problem| problem.span.is_none_or(|span| span.line >= 1 && span.column >= 1)));
    let again = plan(&file, &input);
    assert!(made == again, "the same input gives the same plan");
    for finding in lint::check(&file, &input, &made, &[]) {
        assert!(!finding.message.is_empty() && finding.span.line >= 1);
    }
}

/// Expands bytes as a word and as a heredoc, with either escape character.
pub fn expander(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let lookup = |name: &str| match name {
        "a" => Some("value/with/slashes.tar.gz".to_owned()),
        "e" => Some(String::new()),
        _ => None,
    };
    for escape in ['\\', '`'] {
        let results = [
            (expand(&text, escape, &lookup), 1 << 20),
            (expand_heredoc(&text, escape, &lookup), LONGEST_HEREDOC + (1 << 20)),
        ];
        for (result, most) in results {
            assert!(result.map_or(0, |text| text.len()) <= most, "the result is bounded");
        }
    }
}

/// Reads bytes as a platform; what is read is read again from what it is written as.
pub fn platform(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(platform) = Platform::parse(&text, None) {
        let normal = platform.normalize();
        assert!(normal.to_string().parse::<Platform>().is_ok_and(|again| again == normal), "{text:?}");
        assert!(normal.runs(&platform), "{text:?}");
    }
}

fn input() -> PlanInput {
    let of = |os: &str, arch: &str| Platform::new(os, arch, None);
    let node = NodeFacts {
        name: "node".to_owned(),
        native: vec![of("linux", "amd64")],
        emulated: vec![of("linux", "arm64")],
        build_platform: of("linux", "amd64"),
        tried: Vec::new(),
    };
    PlanInput { platforms: vec![of("linux", "amd64"), of("linux", "arm64")], nodes: vec![node], ..PlanInput::default() }
}
