//! Aliases (containerd/platforms `database.go`).

use super::Platform;

impl Platform {
    /// Returns the same platform with aliases replaced (`x86_64` → `amd64`, `arm64/v8` → `arm64`, `arm` → `arm/v7`), its
    /// features sorted and without duplicates.
    #[must_use]
    pub fn normalize(&self) -> Self {
        let mut os_features = self.os_features.clone();
        os_features.sort_unstable();
        os_features.dedup();
        let base = Self::new(&self.os, &self.architecture, self.variant.as_deref());
        Self { os_version: self.os_version.clone(), os_features, ..base }
    }
}

pub(super) fn normalize_os(os: &str) -> String {
    match os.to_ascii_lowercase().as_str() {
        "macos" => "darwin".to_owned(),
        lower => lower.to_owned(),
    }
}

/// `normalizeArch`.
pub(super) fn normalize_arch(arch: &str, variant: &str) -> (String, String) {
    let (arch, variant) = (arch.to_ascii_lowercase(), variant.to_ascii_lowercase());
    let (arch, variant) = match (arch.as_str(), variant.as_str()) {
        ("i386", _) => ("386", ""),
        ("x86_64" | "x86-64" | "amd64", "v1") => ("amd64", ""),
        ("x86_64" | "x86-64" | "amd64", v) => ("amd64", v),
        ("aarch64" | "arm64", "8" | "v8" | "v8.0") => ("arm64", ""),
        ("aarch64" | "arm64", "9" | "9.0" | "v9.0") => ("arm64", "v9"),
        ("aarch64" | "arm64", v) => ("arm64", v),
        ("armhf", _) => ("arm", "v7"),
        ("armel", _) => ("arm", "v6"),
        ("arm", "" | "7") => ("arm", "v7"),
        ("arm", "5") => ("arm", "v5"),
        ("arm", "6") => ("arm", "v6"),
        ("arm", "8") => ("arm", "v8"),
        (a, v) => (a, v),
    };
    (arch.to_owned(), variant.to_owned())
}
