//! Which files differ: every layer of both images is read once, applied in memory, and compared path by path.

use std::collections::{BTreeSet, HashMap};

use polyarch_registry::oci::Digest;
use polyarch_registry::verify::{FileLimits, Files, FilesError, LayerFiles, layer_files};

use super::{Difference, Image};
use crate::commands::source::Opened;
use crate::diagnostics::Diagnostic;
use crate::exit_code::ExitCode;

/// Most files of one platform that are told.
const MOST: usize = 10_000;

/// Compares the files of two images.
///
/// # Errors
/// A layer cannot be read, or is not what its digest says.
pub(super) async fn compare(
    platform: &str,
    (left, a): (&Opened, &Image),
    (right, b): (&Opened, &Image),
) -> Result<Vec<Difference>, Diagnostic> {
    let digests = |image: &Image| image.manifest.layers.iter().map(|layer| layer.digest.clone()).collect::<Vec<_>>();
    if digests(a) == digests(b) {
        return Ok(Vec::new());
    }
    // What both have is read once.
    let mut read = HashMap::new();
    let a = files(left, a, &mut read).await?;
    let b = files(right, b, &mut read).await?;
    Ok(between(platform, &a, &b))
}

async fn files(opened: &Opened, image: &Image, read: &mut HashMap<Digest, LayerFiles>) -> Result<Files, Diagnostic> {
    let mut files = Files::default();
    for layer in &image.manifest.layers {
        if !read.contains_key(&layer.digest) {
            let found = layer_files(&*opened.source, layer, FileLimits::default()).await;
            read.insert(layer.digest.clone(), found.map_err(|error| unread(opened, error))?);
        }
        if let Some(layer) = read.get(&layer.digest) {
            files.apply(layer);
        }
    }
    Ok(files)
}

fn unread(opened: &Opened, error: FilesError) -> Diagnostic {
    let diagnostic = match error {
        FilesError::Source(error) => Diagnostic::from(error),
        FilesError::NotALayer { .. } => Diagnostic::new(ExitCode::CouldNotCheck, &error),
        FilesError::Layer { .. } => Diagnostic::new(ExitCode::Verification, &error),
    };
    diagnostic.context(format!("the files of {} cannot be compared", opened.name))
}

fn between(platform: &str, left: &Files, right: &Files) -> Vec<Difference> {
    let (left, right) = (&left.0, &right.0);
    let paths: BTreeSet<&Vec<u8>> = left.keys().chain(right.keys()).collect();
    let mut differ = paths.into_iter().filter(|path| left.get(*path) != right.get(*path));
    let one = |what: String, left: Option<String>, right: Option<String>| Difference {
        platform: platform.to_owned(),
        what,
        left,
        right,
    };
    let told = |path: &Vec<u8>| {
        let value = |files: &std::collections::BTreeMap<Vec<u8>, _>| files.get(path).map(ToString::to_string);
        one(format!("/{}", String::from_utf8_lossy(path)), value(left), value(right))
    };
    let mut found: Vec<Difference> = differ.by_ref().take(MOST).map(told).collect();
    let more = differ.count();
    if more > 0 {
        found.push(one(format!("and {more} more files"), None, None));
    }
    found
}

#[cfg(test)]
mod tests {
    use polyarch_registry::verify::{File, FileKind};

    use super::*;

    #[test]
    fn the_list_ends_somewhere() {
        let file = File { kind: FileKind::Directory, mode: 0o755, uid: 0, gid: 0 };
        let many = Files((0..MOST + 5).map(|at| (format!("{at:06}").into_bytes(), file.clone())).collect());
        let found = between("linux/amd64", &many, &Files::default());
        assert_eq!(found.len(), MOST + 1);
        assert_eq!((found[0].what.as_str(), found[0].left.as_deref()), ("/000000", Some("0755 directory")));
        assert_eq!(found[MOST].what, "and 5 more files");
        assert!(between("linux/amd64", &many, &many).is_empty());
    }
}
