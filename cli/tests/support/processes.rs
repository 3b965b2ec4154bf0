//! Processes of this machine; those of its containers are among them.

use std::fs;

/// Returns whether a process has exactly this command line, whatever emulator runs it.
pub fn runs(command: &str) -> bool {
    let want: Vec<&str> = command.split(' ').collect();
    let is_number = |name: &str| name.bytes().all(|byte| byte.is_ascii_digit());
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries.filter(|entry| entry.file_name().to_str().is_some_and(is_number)).any(|entry| {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).into_owned();
        let words: Vec<&str> = line.trim_end_matches('\0').split('\0').collect();
        words.ends_with(&want)
    })
}
