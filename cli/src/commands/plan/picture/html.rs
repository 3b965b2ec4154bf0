//! One HTML file that needs nothing else: the picture, and the same in words for those who cannot see it.

use std::fmt::Write as _;

use super::{Picture, svg, xml};

const STYLE: &str = "body{font-family:'DejaVu Sans',Verdana,sans-serif;font-size:13px;margin:1.5em;color:#111;background:#fff}\
figure{margin:0;overflow-x:auto}table{border-collapse:collapse;margin-top:1.5em}\
th,td{border:1px solid #bbb;padding:.35em .6em;text-align:left;vertical-align:top}th{background:#f0f0f0}\
td pre{margin:0;font:inherit;white-space:pre-wrap}";

/// Returns the page. Nothing in it may be fetched or run.
pub(in super::super) fn render(picture: &Picture) -> String {
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{}</title>\n<style>{STYLE}</style>\n</head>\n\
         <body>\n<figure>\n{}</figure>\n",
        xml(&picture.title),
        svg::render(picture)
    );
    out.push_str("<table>\n<tr><th>lane</th><th>stage</th><th>begins with</th><th>how</th><th>details</th></tr>\n");
    for stage in &picture.boxes {
        let lane = picture.lanes.get(stage.lane).map_or("", |lane| lane.name.as_str());
        let details =
            stage.hover.get(2..).unwrap_or_default().iter().map(|line| xml(line)).collect::<Vec<_>>().join("\n");
        let cells = [lane, &stage.name, &stage.base, &stage.how].map(|cell| format!("<td>{}</td>", xml(cell)));
        // Writing to a String cannot fail.
        let _ = writeln!(out, "<tr>{}<td><pre>{details}</pre></td></tr>", cells.concat());
    }
    out.push_str("</table>\n</body>\n</html>\n");
    out
}
