//! Frontends other than the built-in one.

/// Returns whether a `# syntax=` reference is Docker's own Dockerfile frontend, whose rules this module knows.
pub fn is_docker_frontend(syntax: &str) -> bool {
    let name = syntax.split('@').next().unwrap_or_default();
    let name = name.strip_prefix("docker.io/").unwrap_or(name);
    let repository = name.rsplit_once(':').map_or(name, |(repository, _)| repository);
    matches!(repository, "docker/dockerfile" | "docker/dockerfile-upstream")
}

#[cfg(test)]
mod tests {
    use super::is_docker_frontend;

    #[test]
    fn knows_its_own() {
        for (syntax, own) in [
            ("docker/dockerfile:1", true),
            ("docker.io/docker/dockerfile:1.7-labs@sha256:00", true),
            ("docker/dockerfile-upstream:master", true),
            ("docker/dockerfile", true),
            ("tonistiigi/xx:1", false),
            ("localhost:5000/docker/dockerfile:1", false),
        ] {
            assert_eq!(is_docker_frontend(syntax), own, "{syntax}");
        }
    }
}
