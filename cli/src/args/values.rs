//! Options with a fixed list of values.

use clap::ValueEnum;

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Also into a pipe or file
    Always,
    /// Not at all
    Never,
}

/// How progress is shown on stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Progress {
    /// tty on a terminal outside CI, else plain
    Auto,
    /// One row per platform, redrawn in place
    Tty,
    /// Whole lines, each prefixed with its platform
    Plain,
    /// One versioned JSON event a line
    #[value(alias = "rawjson")]
    Json,
    /// Nothing but errors; stdout has the digest alone
    Quiet,
}

/// Media types of what is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// OCI image index and manifests
    Oci,
    /// Docker manifest list and schema 2 manifests
    Docker,
}

/// Which way the result takes to the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Transfer {
    /// Through the local store: every byte is verified here
    Store,
    /// The daemon pushes by digest, polyarch reads back manifests and configs; for builders far away
    Daemon,
}

/// Compression of new layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Compression {
    /// gzip, which every client reads
    Gzip,
    /// zstd, smaller and faster, for clients since 2021
    Zstd,
    /// A plain tar
    Uncompressed,
    /// gzip that can be read lazily
    Estargz,
}

/// A feature that some daemons lack and the user can do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum)]
pub enum Feature {
    /// Provenance and SBOM
    Attestations,
    /// `--build-context`
    NamedContexts,
    /// `--cache-from`
    CacheImport,
    /// `--cache-to`
    CacheExport,
    /// `--compression` and its companions
    Compression,
    /// `--load` of a platform the daemon cannot hold
    Load,
}

/// How a report is written to stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// For people
    Table,
    /// One JSON document
    Json,
}

/// A way of running that a plan may not contain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum)]
pub enum Denied {
    /// RUN steps under an emulator
    Emulated,
}

/// How a plan is written to stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PlanFormat {
    /// A tree for people
    Tree,
    /// One versioned JSON document
    Json,
    /// A graph for Graphviz
    Dot,
    /// A graph for Markdown
    Mermaid,
    /// A picture
    Svg,
    /// A page with the picture, in one file
    Html,
}

/// How findings of a check are written to stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CheckFormat {
    /// For people
    Text,
    /// One versioned JSON document
    Json,
    /// SARIF 2.1.0, for code scanning services
    Sarif,
}
