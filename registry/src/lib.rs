//! Everything OCI.
