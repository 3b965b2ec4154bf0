//! The files of each platform, in folders or a tar.

use std::path::{Path, PathBuf};

use futures::future::join_all;
use polyarch_builder::node::probe::Node;
use polyarch_builder::run::files::{FilesError, FilesSource, TarJoiner};

use super::{Made, Origin};
use crate::commands::build::auth;
use crate::commands::build::destination::{self, Destination};
use crate::commands::build::execute::Means;
use crate::commands::build::nodes::request_for;
use crate::commands::build::planning::Place;
use crate::diagnostics::Diagnostic;
use crate::exit_code::ExitCode;
use crate::settings::export::Dest;

/// Writes the files below a directory. What else is there stays.
pub(super) async fn local(
    means: &Means<'_>,
    origin: &Origin<'_>,
    dest: &Path,
    split: Option<bool>,
) -> Result<Made, Diagnostic> {
    let places = origin.places;
    if split.unwrap_or(places.len() > 1) {
        let folder = |place: &Place| dest.join(place.platform.folder_name());
        let each = places.iter().map(|place| source(means, origin.nodes, place, folder(place)));
        join_all(each).await.into_iter().collect::<Result<Vec<()>, _>>().map_err(|error| failed(dest, &error))?;
        let folders: Vec<String> = places.iter().map(|place| place.platform.folder_name()).collect();
        return Ok(Made::of(format!("files in {}: {}", dest.display(), folders.join(", "))));
    }
    // One after the other: where several platforms have the same file, the last one's stays.
    for place in places {
        source(means, origin.nodes, place, dest.to_owned()).await.map_err(|error| failed(dest, &error))?;
    }
    Ok(Made::of(format!("files in {}", dest.display())))
}

async fn source(means: &Means<'_>, nodes: &[Node], place: &Place, dir: PathBuf) -> Result<(), FilesError> {
    files_of(means, nodes, place).into_dir(dir).await
}

/// Writes the files as one tar: of one platform as they are, of several each below its folder.
pub(super) async fn tar(means: &Means<'_>, origin: &Origin<'_>, dest: &Dest) -> Result<Made, Diagnostic> {
    let destination = Destination::open(dest)?;
    let fail = |error: &(dyn std::error::Error + 'static)| destination::failed(dest, error);
    let mut joiner = TarJoiner::new(destination.writer()?);
    for place in origin.places {
        let folder = (origin.places.len() > 1).then(|| place.platform.folder_name());
        let files = files_of(means, origin.nodes, place);
        joiner = files.into_tar(joiner, folder).await.map_err(|error| fail(&error))?;
    }
    joiner.finish().map_err(|error| fail(&error))?;
    destination.commit()?;
    Ok(Made::of(format!("files in {}", destination::name(dest))))
}

fn files_of<'a>(means: &'a Means<'_>, nodes: &'a [Node], place: &'a Place) -> FilesSource<'a> {
    let node = &nodes[place.node];
    FilesSource {
        worker: &node.worker,
        auth: auth::of(means.settings),
        request: request_for(means, node),
        platform: &place.platform,
    }
}

fn failed(dest: &Path, error: &FilesError) -> Diagnostic {
    Diagnostic::new(ExitCode::Publish, error).context(format!("cannot write files to {}", dest.display()))
}
