//! Tables for people: columns as wide as they need, the last one open. Pure.

use crate::style::Style;
use crate::text::escape;

/// Returns the table, each line ending in a newline. Cells are escaped.
pub fn render<const N: usize>(head: [&str; N], rows: &[[String; N]], style: Style) -> String {
    let rows: Vec<[String; N]> =
        rows.iter().map(|row| row.each_ref().map(|cell| escape(cell).replace('\n', " "))).collect();
    let mut widths = head.map(console::measure_text_width);
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(console::measure_text_width(cell));
        }
    }
    let mut out = style.bold(line(&head.map(str::to_owned), &widths)) + "\n";
    for row in &rows {
        out.push_str(&line(row, &widths));
        out.push('\n');
    }
    out
}

fn line<const N: usize>(cells: &[String; N], widths: &[usize; N]) -> String {
    let padded: Vec<String> = cells.iter().zip(widths).map(|(cell, width)| crate::text::cell(cell, *width)).collect();
    padded.join("  ").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_fit_and_cells_are_escaped() {
        let rows = [["a".to_owned(), "long\u{1b}".to_owned()], ["bbb".to_owned(), "x\ny".to_owned()]];
        let text = render(["A", "B"], &rows, Style::plain());
        assert_eq!(text, "A    B\na    long\\u{1b}\nbbb  x y\n");
    }
}
