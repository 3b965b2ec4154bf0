//! `polyarch store`: what is in the local content store.

use std::path::Path;

use polyarch_registry::store::LayoutStore;
use polyarch_registry::store::layout::{Root, RootKey, RootSummary};
use serde_json::{Value, json};

use super::listing::Listing;
use super::source::{self, Found};
use super::{Context, table};
use crate::args::store::{LsArgs, RmArgs, StoreCommand};
use crate::args::values::ReportFormat;
use crate::diagnostics::Diagnostic;
use crate::exit_code::ExitCode;
use crate::settings::target::{self, Target};
use crate::settings::{GlobalSettings, Surroundings, near};
use crate::text::bytes;

/// Runs a store command.
///
/// # Errors
/// The store cannot be used, or has no such name.
pub async fn run(
    command: &StoreCommand,
    global: &GlobalSettings,
    context: &Context,
    around: &Surroundings,
) -> Result<ExitCode, Diagnostic> {
    let store = LayoutStore::open(&global.store).await?;
    match command {
        StoreCommand::Ls(args) => list(args, &store, context).await?,
        StoreCommand::Rm(args) => remove(args, &store, (context, &around.cwd)).await?,
        StoreCommand::Gc => collect(&store, context).await?,
    }
    Ok(ExitCode::Done)
}

async fn list(args: &LsArgs, store: &LayoutStore, context: &Context) -> Result<(), Diagnostic> {
    let rows = store.summaries().await?;
    if !args.listing.field.is_empty() {
        let rows = rows.iter().map(fields).collect();
        return Listing { columns: COLUMNS, rows }.show(&args.listing, context);
    }
    let text = match args.listing.format {
        ReportFormat::Json => format!("{}\n", Value::from_iter(rows.iter().map(document))),
        ReportFormat::Table => {
            let cells: Vec<[String; 5]> = rows.iter().map(cells).collect();
            table::render(["NAME", "DIGEST", "SIZE", "CREATED", "PLATFORMS"], &cells, context.console.out)
        }
    };
    context.console.result(text)
}

fn cells(row: &RootSummary) -> [String; 5] {
    let digest = &row.root.descriptor.digest;
    let platforms: Vec<String> = row.platforms.iter().map(ToString::to_string).collect();
    let state = match (&row.problem, row.complete) {
        (Some(problem), _) => format!("unreadable: {problem}"),
        (None, false) => format!("{} (incomplete)", platforms.join(",")),
        (None, true) => platforms.join(","),
    };
    let created = row.created.as_deref().unwrap_or("-");
    [
        row.root.name.clone().unwrap_or_else(|| "-".to_owned()),
        format!("{}:{}", digest.algorithm().as_str(), digest.short()),
        bytes(row.total_size),
        // The date and minute of RFC 3339.
        created.get(..16).unwrap_or(created).replace('T', " "),
        state,
    ]
}

/// What `--field` may name.
const COLUMNS: &[&str] = &["name", "digest", "size", "created", "platforms", "complete"];

fn fields(row: &RootSummary) -> Vec<Value> {
    let platforms: Vec<String> = row.platforms.iter().map(ToString::to_string).collect();
    vec![
        json!(row.root.name),
        json!(row.root.descriptor.digest),
        json!(row.total_size),
        json!(row.created),
        json!(platforms.join(",")),
        json!(row.complete),
    ]
}

fn document(row: &RootSummary) -> Value {
    json!({
        "name": row.root.name,
        "descriptor": row.root.descriptor,
        "platforms": row.platforms.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "size": row.total_size,
        "created": row.created,
        "complete": row.complete,
        "problem": row.problem,
    })
}

async fn remove(args: &RmArgs, store: &LayoutStore, (context, cwd): (&Context, &Path)) -> Result<(), Diagnostic> {
    for text in &args.names {
        let name = match target::parse_local(text, cwd)? {
            Target::Store(name) => name,
            Target::Layout { .. } | Target::Registry(_) => {
                let text = format!("{text:?} is not in the store");
                return Err(Diagnostic::message(ExitCode::Usage, text).hint("`polyarch store ls` lists what is there"));
            }
        };
        let found = source::find_root(store, &name).await?;
        let key = match &found {
            Found::Name(Root { name: Some(name), .. }) => RootKey::Name(name),
            Found::Name(root) | Found::Digest(root) => RootKey::Digest(&root.descriptor.digest),
        };
        for root in store.remove_roots(key).await? {
            let name = root.name.as_deref().unwrap_or("-");
            context.console.say(&format!("forgot {} ({})\n", crate::text::escape(name), root.descriptor.digest));
        }
    }
    Ok(())
}

async fn collect(store: &LayoutStore, context: &Context) -> Result<(), Diagnostic> {
    let removed = store.gc().await?;
    let text = format!(
        "removed {} blobs and {} temporary files, {}\n",
        removed.blobs,
        removed.temporary,
        bytes(removed.bytes)
    );
    context.console.result(text)
}

/// Returns what a name that is not there may have meant.
pub(super) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    near::nearest(name, known)
}
