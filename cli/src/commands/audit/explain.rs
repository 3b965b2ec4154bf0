//! `polyarch audit rules` and `polyarch audit explain`.

use std::fmt::Write as _;

use polyarch_registry::audit::{Rule, rule, rules};

use crate::args::audit_output::RulesFormat;
use crate::commands::{Context, table};
use crate::diagnostics::Diagnostic;
use crate::exit_code::ExitCode;
use crate::report::audit;
use crate::style::Style;
use crate::text::wrap;

const WIDTH: usize = 80;

/// Lists the rules.
///
/// # Errors
/// stdout cannot be written.
pub fn list(format: RulesFormat, context: &Context) -> Result<ExitCode, Diagnostic> {
    match format {
        RulesFormat::Text => {}
        RulesFormat::Json => return context.console.result(audit::rules::json()?).map(|()| ExitCode::Done),
        RulesFormat::Markdown => return context.console.result(audit::rules::page()).map(|()| ExitCode::Done),
    }
    let rows: Vec<[String; 3]> = rules()
        .iter()
        .map(|rule| [rule.id.to_owned(), rule.severity.name().to_owned(), rule.title.to_owned()])
        .collect();
    context.console.result(table::render(["RULE", "SEVERITY", "FINDS"], &rows, context.console.out))?;
    Ok(ExitCode::Done)
}

/// Explains one rule.
///
/// # Errors
/// There is none of that id.
pub fn one(id: &str, context: &Context) -> Result<ExitCode, Diagnostic> {
    let Some(found) = rule(id) else {
        let ids = rules().iter().map(|rule| rule.id);
        let error = Diagnostic::message(ExitCode::Usage, format!("there is no rule {id:?}"));
        return Err(match crate::commands::store::nearest(id, ids) {
            Some(near) => error.hint(format!("did you mean `{near}`?")),
            None => error.hint("`polyarch audit rules` lists them"),
        });
    };
    context.console.result(text(found, context.console.out))?;
    Ok(ExitCode::Done)
}

fn text(rule: &Rule, style: Style) -> String {
    let mut out = format!("{}: {}\n\n", style.bold(rule.id), rule.title);
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{}  {}", style.bold("severity"), rule.severity.name());
    let _ = writeln!(out, "{}     {}", style.bold("reads"), rule.cost.name());
    for (number, line) in wrap(rule.fix, WIDTH - 10).iter().enumerate() {
        let head = if number == 0 { style.bold("fix") } else { "   ".to_owned() };
        let _ = writeln!(out, "{head}       {line}");
    }
    out.push('\n');
    for line in wrap(rule.explanation, WIDTH) {
        let _ = writeln!(out, "{line}");
    }
    if !rule.evidence.is_empty() {
        let _ = writeln!(out, "\n{}", style.bold("seen in"));
        for line in wrap(&rule.evidence.join(", "), WIDTH - 2) {
            let _ = writeln!(out, "  {line}");
        }
    }
    out
}
