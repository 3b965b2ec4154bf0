//! Which ignore file applies to a build context (BuildKit `dockerui/config.go`, `DockerIgnorePatterns`).

use std::path::{Path, PathBuf};

/// Returns the ignore files of a local context, the one that wins first: `NAME.dockerignore` beside the Dockerfile, then
/// `.dockerignore` in the context. Contexts that the daemon fetches have none.
pub fn candidates(dockerfile: Option<&Path>, context: &Path) -> Vec<PathBuf> {
    let beside = dockerfile.and_then(|file| {
        let mut name = file.file_name()?.to_owned();
        name.push(".dockerignore");
        Some(file.with_file_name(name))
    });
    beside.into_iter().chain([context.join(".dockerignore")]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dockerfiles_own_comes_first() {
        let of = |file: Option<&str>| candidates(file.map(Path::new), Path::new("/ctx"));
        let paths = |list: &[&str]| list.iter().map(PathBuf::from).collect::<Vec<_>>();
        assert_eq!(
            of(Some("/else/prod.Dockerfile")),
            paths(&["/else/prod.Dockerfile.dockerignore", "/ctx/.dockerignore"])
        );
        assert_eq!(of(None), paths(&["/ctx/.dockerignore"]));
    }
}
