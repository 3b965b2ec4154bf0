//! "Did you mean": the nearest of some names.

/// Returns the name nearest to `word`, if it is near enough to be a slip of the fingers.
pub fn nearest<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_ascii_lowercase();
    // A third of the letters, at least one: `amd46`, `regsitry`, but not `foo` for `oci`.
    let limit = (word.chars().count() / 3).clamp(1, 3);
    names
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&lower, &name.to_ascii_lowercase()), name))
        .filter(|(distance, _)| *distance <= limit)
        // Swapped letters are likelier than a wrong one: `amr64` is arm64, not amd64.
        .min_by_key(|(distance, name)| (*distance, letters(name) != letters(&lower)))
        .map(|(_, name)| name)
}

fn letters(word: &str) -> Vec<char> {
    let mut letters: Vec<char> = word.to_ascii_lowercase().chars().collect();
    letters.sort_unstable();
    letters
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_slips_only() {
        let names = ["registry", "oci", "docker", "local", "tar"];
        for (word, want) in [
            ("regsitry", Some("registry")),
            ("Docker", Some("docker")),
            ("loacl", Some("local")),
            ("tra", Some("tar")),
            ("frobnicate", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, names), want, "{word}");
        }
    }
}
