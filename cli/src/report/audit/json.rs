//! The report as it is, see docs/audit.md; and JSON that is safe to show.

use polyarch_registry::audit::Report;

use crate::diagnostics::Diagnostic;

/// Returns the document.
///
/// # Errors
/// None that a report can cause.
pub fn render(report: &Report) -> Result<String, Diagnostic> {
    let json = serde_json::to_string_pretty(report).map_err(|error| Diagnostic::bug(&error))?;
    Ok(visible(&json) + "\n")
}

/// Returns JSON whose strings have nothing a terminal or a reader could be misled by: other controls than those of C0, which
/// JSON escapes itself, and what reorders or hides text. Outside of strings JSON has no such characters.
pub fn visible(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if matches!(c, '\n' | ' '..='~') || !is_misleading(c) {
            out.push(c);
        } else {
            let mut units = [0; 2];
            c.encode_utf16(&mut units).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
        }
    }
    out
}

fn is_misleading(c: char) -> bool {
    !crate::text::escape(c.encode_utf8(&mut [0; 4])).chars().eq([c])
}
