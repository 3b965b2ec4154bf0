//! SVG: lanes from top to bottom, time from left to right. Modes differ by colour, outline and words.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use polyarch_builder::plan::Mode;

use super::{Picture, Stage, xml};

const WIDTH: usize = 216;
const HEIGHT: usize = 62;
const GAP_X: usize = 56;
const GAP_Y: usize = 14;
const LEFT: usize = 24;
/// A lane's name.
const HEAD: usize = 30;
const TOP: usize = 78;
const LEGEND: usize = 56;

const STYLE: &str = "\
text{font-family:'DejaVu Sans',Verdana,sans-serif;font-size:12px;fill:#111}\
.t{font-size:16px;font-weight:bold}.n{font-weight:bold;font-size:13px}.l{font-size:12px;font-weight:bold;fill:#444}\
.lane{fill:#fafafa;stroke:#bbb}.arrow{fill:none;stroke:#666;stroke-width:1.4}\
.files{fill:#eee;stroke:#777;stroke-dasharray:1.5 3}.native{fill:#cfe8cf;stroke:#2b6b2b;stroke-width:1.5}\
.cross{fill:#cfe0f5;stroke:#1f4e8c;stroke-width:1.5}.emulated{fill:#fbe3b5;stroke:#8a5a00;stroke-width:2;stroke-dasharray:7 4}\
.impossible{fill:#f5c6c2;stroke:#a11208;stroke-width:4}";

/// A document of its own, ending in a newline.
pub(in super::super) fn render(picture: &Picture) -> String {
    let layout = Layout::of(picture);
    let (width, height) = (layout.width, layout.height);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         role=\"img\"><title>{0}</title>\n<style>{STYLE}</style>\n\
         <defs><marker id=\"a\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"8\" markerHeight=\"8\" \
         orient=\"auto\"><path d=\"M0 0L8 4L0 8z\" fill=\"#666\"/></marker></defs>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text class=\"t\" x=\"{LEFT}\" y=\"32\">{0}</text><text x=\"{LEFT}\" y=\"54\">{1}</text>\n",
        xml(&picture.title),
        xml(&picture.totals)
    );
    for (lane, (top, tall)) in picture.lanes.iter().zip(&layout.lanes) {
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "<rect class=\"lane\" x=\"{}\" y=\"{top}\" width=\"{}\" height=\"{tall}\" rx=\"6\"/><text class=\"l\" x=\"{}\" y=\"{}\">{}</text>",
            LEFT / 2,
            width - LEFT,
            LEFT,
            top + 19,
            xml(&lane.name)
        );
    }
    for (from, to) in &picture.arrows {
        out.push_str(&arrow(layout.places[*from], layout.places[*to]));
    }
    for (stage, place) in picture.boxes.iter().zip(&layout.places) {
        out.push_str(&draw(stage, *place));
    }
    out.push_str(&legend(height - LEGEND + 14));
    out.push_str("</svg>\n");
    out
}

struct Layout {
    width: usize,
    height: usize,
    /// Top and height.
    lanes: Vec<(usize, usize)>,
    /// Left and top of every box.
    places: Vec<(usize, usize)>,
}

impl Layout {
    fn of(picture: &Picture) -> Self {
        // Boxes of one rank in one lane stand below each other.
        let mut filled: BTreeMap<(usize, usize), usize> = BTreeMap::new();
        let rows: Vec<usize> = picture
            .boxes
            .iter()
            .map(|stage| {
                let count = filled.entry((stage.lane, stage.rank)).or_default();
                *count += 1;
                *count - 1
            })
            .collect();
        let tallest = |lane: usize| filled.iter().filter(|((at, _), _)| *at == lane).map(|(_, count)| *count).max();
        let mut lanes = Vec::new();
        let mut top = TOP;
        for lane in 0..picture.lanes.len() {
            let tall = HEAD + tallest(lane).unwrap_or(0) * (HEIGHT + GAP_Y);
            lanes.push((top, tall));
            top += tall + GAP_Y;
        }
        let place = |(stage, row): (&Stage, &usize)| {
            let top = lanes.get(stage.lane).map_or(TOP, |(top, _)| *top);
            (LEFT + stage.rank * (WIDTH + GAP_X), top + HEAD + row * (HEIGHT + GAP_Y))
        };
        let places = picture.boxes.iter().zip(&rows).map(place).collect();
        let ranks = picture.boxes.iter().map(|stage| stage.rank + 1).max().unwrap_or(1).max(3);
        let width = 2 * LEFT + ranks * (WIDTH + GAP_X) - GAP_X;
        Self { width, height: top + LEGEND, lanes, places }
    }
}

fn arrow((from_x, from_y): (usize, usize), (to_x, to_y): (usize, usize)) -> String {
    let (x1, y1, x2, y2) = (from_x + WIDTH, from_y + HEIGHT / 2, to_x, to_y + HEIGHT / 2);
    let bend = GAP_X * 2 / 3;
    format!(
        "<path class=\"arrow\" marker-end=\"url(#a)\" d=\"M{x1} {y1}C{} {y1} {} {y2} {x2} {y2}\"/>\n",
        x1 + bend,
        x2.saturating_sub(bend)
    )
}

fn draw(stage: &Stage, (x, y): (usize, usize)) -> String {
    let hover = stage.hover.iter().map(|line| xml(line)).collect::<Vec<_>>().join("\n");
    let target = if stage.is_target { " ★" } else { "" };
    let middle = x + WIDTH / 2;
    format!(
        "<g><title>{hover}</title>{}<text class=\"n\" text-anchor=\"middle\" x=\"{middle}\" y=\"{}\">{}{target}</text>\
         <text text-anchor=\"middle\" x=\"{middle}\" y=\"{}\">{}</text>\
         <text text-anchor=\"middle\" x=\"{middle}\" y=\"{}\">{}</text></g>\n",
        outline(stage.mode, x, y, WIDTH, HEIGHT),
        y + 20,
        xml(&stage.name),
        y + 37,
        xml(&stage.base),
        y + 53,
        xml(&stage.how)
    )
}

/// The shape of a mode; without colour it is told from the others.
fn outline(mode: Mode, x: usize, y: usize, width: usize, height: usize) -> String {
    let (right, bottom, cut) = (x + width, y + height, height / 4);
    let rect = |rx: usize| {
        format!("<rect class=\"{mode}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"{rx}\"/>")
    };
    let polygon = |points: String| format!("<polygon class=\"{mode}\" points=\"{points}\"/>");
    match mode {
        Mode::Files | Mode::Native => rect(2),
        Mode::Cross => rect(height / 2),
        Mode::Emulated => {
            let middle = y + height / 2;
            let (a, b) = (x + cut, right - cut);
            polygon(format!("{x},{middle} {a},{y} {b},{y} {right},{middle} {b},{bottom} {a},{bottom}"))
        }
        Mode::Impossible => {
            let (a, b, c, d) = (x + cut, right - cut, y + cut, bottom - cut);
            polygon(format!("{a},{y} {b},{y} {right},{c} {right},{d} {b},{bottom} {a},{bottom} {x},{d} {x},{c}"))
        }
    }
}

fn legend(y: usize) -> String {
    let modes = [Mode::Native, Mode::Cross, Mode::Emulated, Mode::Impossible, Mode::Files];
    let mut out = String::new();
    for (at, mode) in modes.into_iter().enumerate() {
        let x = LEFT + at * 128;
        let _ = write!(out, "{}<text x=\"{}\" y=\"{}\">{mode}</text>", outline(mode, x, y, 30, 18), x + 38, y + 14);
    }
    let _ = writeln!(out, "<text x=\"{}\" y=\"{}\">★ target</text>", LEFT + 5 * 128, y + 14);
    out
}
