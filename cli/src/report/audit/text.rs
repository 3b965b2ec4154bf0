//! The report for people: worst first, grouped by tag.

use std::fmt::Write as _;

use polyarch_registry::audit::{Finding, ImageReport, Report, Severity, Unchecked};

use crate::style::Style;
use crate::text::{bytes, escape};

/// Returns the text.
pub fn render(report: &Report, style: Style) -> String {
    let mut images: Vec<&ImageReport> = report.images.iter().collect();
    images.sort_by_key(|image| std::cmp::Reverse(image.worst()));
    let mut out = String::new();
    for image in &images {
        if image.findings.is_empty() && image.unchecked.is_empty() && images.len() > 1 {
            continue;
        }
        self::image(&mut out, image, style);
    }
    for repository in &report.repositories {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{}", style.bold(escape(&repository.repository)));
        repository.findings.iter().for_each(|finding| self::finding(&mut out, finding, style));
        repository.unchecked.iter().for_each(|one| unchecked(&mut out, one, style));
        out.push('\n');
    }
    out + &summary(report, style)
}

fn image(out: &mut String, image: &ImageReport, style: Style) {
    let platforms: Vec<String> =
        image.platforms.iter().map(|one| format!("{} {}", one.platform, bytes(one.size))).collect();
    let _ = writeln!(out, "{}  {}", style.bold(escape(&image.name())), style.dim(escape(&platforms.join(", "))));
    image.findings.iter().for_each(|one| finding(out, one, style));
    image.unchecked.iter().for_each(|one| unchecked(out, one, style));
    out.push('\n');
}

fn finding(out: &mut String, finding: &Finding, style: Style) {
    let level = match finding.severity {
        Severity::Error => style.error("error  "),
        Severity::Warning => style.warning("warning"),
        Severity::Info => style.dim("info   "),
    };
    let platform = finding.platform.as_ref().map(|platform| format!("{platform}: ")).unwrap_or_default();
    let _ = writeln!(out, "  {level}  {}{} [{}]", escape(&platform), escape(&finding.message), finding.rule);
    let _ = writeln!(out, "           {}", style.dim(escape(&finding.fix)));
}

fn unchecked(out: &mut String, one: &Unchecked, style: Style) {
    let digest = one.digest.as_ref().map(|digest| format!(" {digest}")).unwrap_or_default();
    let text = format!("could not check {}{digest}: {}", one.what, one.reason);
    let _ = writeln!(out, "  {}", style.warning(escape(&text)));
}

fn summary(report: &Report, style: Style) -> String {
    let count = |severity| report.findings().filter(|one| one.severity == severity && one.waived.is_none()).count();
    let counts = [(Severity::Error, "error"), (Severity::Warning, "warning"), (Severity::Info, "note")]
        .map(|(severity, name)| plural(count(severity), name));
    let images = plural(report.images.len(), "image");
    let verdict = match (report.worst(), report.unchecked()) {
        (None, 0) => style.good("nothing found"),
        (None, unchecked) => style.warning(format!("{} could not be checked", plural(unchecked, "thing"))),
        (Some(_), 0) => counts.join(", "),
        (Some(_), unchecked) => format!("{}, {} could not be checked", counts.join(", "), plural(unchecked, "thing")),
    };
    format!("{images}: {verdict}\n")
}

fn plural(count: usize, name: &str) -> String {
    format!("{count} {name}{}", if count == 1 { "" } else { "s" })
}
