//! The last words of a build: digest, a row per platform, tags. At most 80 columns.

use std::fmt::Write as _;

use polyarch_registry::oci::media_type;

use super::result::{BuildReport, PlatformRow, RowResult, Verified};
use crate::style::Style;
use crate::text::{bytes, cell, duration, escape, fit, right, wrap};

/// Everyone's terminal has this.
const WIDTH: usize = 80;

/// Returns the summary, ending in a newline.
pub fn render(report: &BuildReport, style: Style) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    if let Some(root) = &report.root {
        // A single manifest is called by what it is.
        let kind = if media_type::is_index(&root.media_type) { "index" } else { "image" };
        let _ = writeln!(out, "{} {}", style.bold(kind), root.digest);
    }
    if !report.platforms.is_empty() {
        if report.root.is_some() {
            out.push('\n');
        }
        out.push_str(&table(report, style));
    }
    for output in &report.outputs {
        let state = match &output.failure {
            None => escape(&output.what),
            Some(failure) => {
                let reason = wrap(&escape(failure).replace('\n', " "), WIDTH - 2).join("\n  ");
                format!("{} {}\n  {reason}", style.error("failed:"), escape(&output.what))
            }
        };
        let _ = writeln!(out, "\n{state}");
        for note in &output.notes {
            let _ = writeln!(out, "  {}", escape(note));
        }
    }
    out.push_str(&tags(report, style));
    out
}

fn table(report: &BuildReport, style: Style) -> String {
    let widest = report.platforms.iter().map(|row| row.platform.to_string().len()).max().unwrap_or(0);
    let width = widest.clamp(8, 14);
    let head = format!(
        "{}  {}  {}  {}  {}  {}  {}",
        cell("PLATFORM", width),
        cell("DIGEST", 19),
        right("SIZE", 8),
        right("LAYERS", 6),
        right("TIME", 6),
        right("CACHED", 6),
        "VERIFIED"
    );
    let mut out = style.bold(fit(&head, WIDTH));
    out.push('\n');
    for row in &report.platforms {
        out.push_str(&line(row, width, style));
        out.push('\n');
    }
    out
}

fn line(row: &PlatformRow, width: usize, style: Style) -> String {
    let platform = cell(&escape(&row.platform.to_string()), width);
    match &row.result {
        RowResult::Built(image) => {
            let verified = match image.verified {
                Verified::Everything => "yes",
                Verified::Manifests => "manifest",
            };
            let text = format!(
                "{}  {}  {}  {}  {}  {}",
                cell(&format!("{}:{}", image.manifest.digest.algorithm().as_str(), image.manifest.digest.short()), 19),
                right(&bytes(image.size), 8),
                right(&image.layers.to_string(), 6),
                right(&duration(row.elapsed), 6),
                right(&format!("{}/{}", row.cached, row.cached + row.executed), 6),
                verified
            );
            fit(&format!("{platform}  {text}"), WIDTH)
        }
        RowResult::Files => {
            let steps = format!("{}/{}", row.cached, row.cached + row.executed);
            let text = format!("{}  {}  {}", cell("files", 37), right(&duration(row.elapsed), 6), right(&steps, 6));
            fit(&format!("{platform}  {text}"), WIDTH)
        }
        RowResult::Failed(failure) => {
            let reason = escape(&failure.message).replace('\n', " ");
            format!("{platform}  {}", style.error(fit(&format!("failed: {reason}"), WIDTH - width - 2)))
        }
        RowResult::Cancelled => format!("{platform}  {}", style.warning("cancelled")),
    }
}

/// Where the result can be had, or how to publish it.
fn tags(report: &BuildReport, style: Style) -> String {
    let mut out = String::new();
    for tag in &report.tags {
        let reference = escape(&tag.reference);
        let _ = match &tag.result {
            Ok(digest) if Some(digest) == report.root.as_ref().map(|root| &root.digest) => {
                writeln!(out, "{} {reference}", style.bold("tag"))
            }
            Ok(digest) => writeln!(out, "{} {reference} -> {digest}", style.bold("tag")),
            Err(reason) => {
                let reason = wrap(&escape(reason).replace('\n', " "), WIDTH - 2).join("\n  ");
                writeln!(out, "{} {reference}\n  {reason}", style.error("tag not moved:"))
            }
        };
    }
    if let (true, true, Some(root)) = (report.tags.is_empty(), report.outputs.is_empty(), &report.root) {
        let digest = || format!("{}:{}", root.digest.algorithm().as_str(), root.digest.short());
        let name = report.stored_as.clone().unwrap_or_else(digest);
        // A name with a registry or a namespace says where it goes.
        let tag = if name.contains('/') { "" } else { " -t REF" };
        let _ = writeln!(out, "in the store; to publish it: polyarch push store:{}{tag}", escape(&name));
    }
    if out.is_empty() { out } else { format!("\n{out}") }
}
