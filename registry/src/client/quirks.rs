//! How registries differ from the specification, as data; pure.
//!
//! Owns: the table, and which row a host has. A user's [`HostSettings`] go before it. What the others do differently is
//! met by rules that hold for all and need no row: a mount always names its source (Quay refuses it without); a
//! referrers tag is written over only if it is an index (GitLab answers with the subject itself); a missing API may be
//! 404 or 405 (ECR); what was pushed is read back, children included (Harbor's proxy, and those that are late: GHCR,
//! Docker Hub, Nexus); a HEAD goes before a GET that counts (Docker Hub), and what is left is shown.
//! Never: code for one registry: what a row says is a rule that any other may need too.

use super::settings::HostSettings;

/// How a blob is uploaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UploadStyle {
    /// One PUT. One that breaks off is sent again from its start: the registry loses, or mixes up, what it had.
    Whole,
    /// One PUT. One that breaks off goes on where the registry says it stands.
    Resume,
    /// Blobs larger than this many bytes in pieces of at most as many.
    Pieces(u64),
}

/// What is known of a registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quirks {
    /// How blobs are uploaded.
    pub upload: UploadStyle,
    /// Requests a minute that it bears from one user.
    pub per_minute: Option<u32>,
}

/// A registry that is as the specification says.
const PLAIN: Quirks = Quirks { upload: UploadStyle::Resume, per_minute: None };

/// Whole host, or the end of one where it starts with a dot. The first row counts.
const TABLE: [(&str, Quirks); 7] = [
    // Each PATCH overwrites the one before; about 2,000 requests a minute for one user, as its users measured.
    ("ghcr.io", Quirks { upload: UploadStyle::Whole, per_minute: Some(1800) }),
    // No upload in pieces; one quota for all operations of a project.
    (".pkg.dev", Quirks { upload: UploadStyle::Whole, ..PLAIN }),
    ("gcr.io", Quirks { upload: UploadStyle::Whole, ..PLAIN }),
    (".gcr.io", Quirks { upload: UploadStyle::Whole, ..PLAIN }),
    // Breaks off a PUT of more than about 20 MB.
    (".azurecr.io", Quirks { upload: UploadStyle::Pieces(20_000_000), ..PLAIN }),
    // UploadLayerPart takes parts of 5 MiB and more in order, at a few hundred calls a second; nothing of it is needed
    // for one PUT, but the session is gone after a failed one.
    (".amazonaws.com", Quirks { upload: UploadStyle::Whole, ..PLAIN }),
    ("public.ecr.aws", Quirks { upload: UploadStyle::Whole, ..PLAIN }),
];

impl Quirks {
    /// Returns what is known of a host.
    pub fn of(host: &str, settings: Option<&HostSettings>) -> Self {
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name).to_ascii_lowercase();
        let is_row = |row: &str| if row.starts_with('.') { name.ends_with(row) } else { name == row };
        let known = TABLE.iter().find(|(row, _)| is_row(row)).map_or(PLAIN, |(_, quirks)| *quirks);
        Self {
            upload: settings.and_then(|settings| settings.upload).unwrap_or(known.upload),
            per_minute: settings.and_then(|settings| settings.per_minute).or(known.per_minute),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_found_by_whole_name_or_domain() {
        for (host, upload) in [
            ("ghcr.io", UploadStyle::Whole),
            ("ghcr.io:443", UploadStyle::Whole),
            ("GHCR.io", UploadStyle::Whole),
            ("ghcr.io.evil.com", UploadStyle::Resume),
            ("eu.gcr.io", UploadStyle::Whole),
            ("notgcr.io", UploadStyle::Resume),
            ("europe-docker.pkg.dev", UploadStyle::Whole),
            ("me.azurecr.io", UploadStyle::Pieces(20_000_000)),
            ("1.dkr.ecr.eu-west-1.amazonaws.com", UploadStyle::Whole),
            ("docker.io", UploadStyle::Resume),
            ("[::1]:5000", UploadStyle::Resume),
        ] {
            assert_eq!(Quirks::of(host, None).upload, upload, "{host}");
        }
    }

    #[test]
    fn the_user_knows_better() {
        let settings =
            HostSettings { upload: Some(UploadStyle::Resume), per_minute: Some(5), ..HostSettings::default() };
        let quirks = Quirks::of("ghcr.io", Some(&settings));
        assert_eq!(quirks, Quirks { upload: UploadStyle::Resume, per_minute: Some(5) });
    }
}
