//! Lists: a table for people, JSON, or chosen columns for scripts. Pure but for the last step.

use serde_json::{Map, Value};

use super::Context;
use crate::args::tools::ListingArgs;
use crate::args::values::ReportFormat;
use crate::diagnostics::Diagnostic;
use crate::exit_code::ExitCode;
use crate::text::{cell, escape, fit};

/// Columns of a terminal.
const WIDTH: usize = 80;
/// `sha256:` and twelve digits.
const SHORT: usize = 19;

/// Rows of named columns.
#[derive(Debug)]
pub struct Listing {
    /// Names of the columns, as `--field` and JSON have them.
    pub columns: &'static [&'static str],
    /// Cells, in full.
    pub rows: Vec<Vec<Value>>,
}

impl Listing {
    /// Writes the list as it is asked for.
    ///
    /// # Errors
    /// A column that is not there; stdout cannot be written.
    pub fn show(&self, args: &ListingArgs, context: &Context) -> Result<(), Diagnostic> {
        let text = match (args.field.is_empty(), args.format) {
            (false, _) => self.fields(&args.field)?,
            (true, ReportFormat::Table) => self.table(context),
            (true, ReportFormat::Json) => format!("{:#}\n", self.json()),
        };
        context.console.result(text)
    }

    fn json(&self) -> Value {
        let object = |row: &Vec<Value>| {
            let pairs = self.columns.iter().zip(row).map(|(name, cell)| ((*name).to_owned(), cell.clone()));
            Value::Object(pairs.collect::<Map<_, _>>())
        };
        self.rows.iter().map(object).collect()
    }

    fn fields(&self, wanted: &[String]) -> Result<String, Diagnostic> {
        let place = |name: &String| {
            self.columns.iter().position(|column| column == name).ok_or_else(|| {
                let text = format!("`--field {name}` cannot be used: there is no such column");
                Diagnostic::message(ExitCode::Usage, text).hint(format!("there is {}", self.columns.join(", ")))
            })
        };
        let places: Vec<usize> = wanted.iter().map(place).collect::<Result<_, _>>()?;
        let line = |row: &Vec<Value>| places.iter().map(|at| plain(&row[*at])).collect::<Vec<_>>().join("\t") + "\n";
        Ok(self.rows.iter().map(line).collect())
    }

    fn table(&self, context: &Context) -> String {
        let heads = self.columns.iter().map(|name| name.to_uppercase().replace('_', " ")).collect::<Vec<_>>();
        let rows: Vec<Vec<String>> = self.rows.iter().map(|row| row.iter().map(shown).collect()).collect();
        let width = |at: usize| {
            let cells = rows.iter().map(|row| &row[at]).chain([&heads[at]]);
            cells.map(|cell| console::measure_text_width(cell)).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..heads.len()).map(width).collect();
        let line = |cells: &[String]| {
            let padded: Vec<String> = cells.iter().zip(&widths).map(|(text, width)| cell(text, *width)).collect();
            fit(padded.join("  ").trim_end(), WIDTH)
        };
        let head = context.console.out.bold(line(&heads));
        rows.iter().fold(head + "\n", |out, row| out + &line(row) + "\n")
    }
}

fn plain(cell: &Value) -> String {
    match cell {
        Value::String(text) => escape(text).replace('\n', " "),
        Value::Null => String::new(),
        other => escape(&other.to_string()),
    }
}

/// Digests are cut where nobody reads on.
fn shown(cell: &Value) -> String {
    match cell {
        Value::Null => "-".to_owned(),
        Value::Object(fields) if fields.is_empty() => "-".to_owned(),
        Value::String(text) if text.starts_with("sha256:") => text.get(..SHORT).unwrap_or(text).to_owned(),
        other => plain(other),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_are_whole_and_escaped() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let rows = vec![vec![json!("x\u{1b}[2J"), json!(digest), json!(null)]];
        let listing = Listing { columns: &["name", "digest", "size"], rows };
        assert_eq!(listing.fields(&["digest".into(), "name".into()]).unwrap(), format!("{digest}\tx\\u{{1b}}[2J\n"));
        assert!(listing.fields(&["nam".into()]).unwrap_err().hints[0].contains("name, digest, size"));
        assert_eq!(listing.json()[0]["size"], json!(null));
        assert_eq!(shown(&json!(digest)), format!("sha256:{}", "a".repeat(12)));
    }
}
