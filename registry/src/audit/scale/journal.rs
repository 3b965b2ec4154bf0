//! A file that only grows, a line at a time, each with a checksum: what a kill or a full disk tears is no line.
//!
//! Owns: writing lines whole, reading back those that are. Never: trusts a file's length, or joins a new line to a torn one.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use flate2::Crc;

/// Longest line that is read, in bytes. An image's report has some hundred; one of the largest index, some hundred thousand.
const LINE_BYTES: u64 = 16 << 20;
/// `0123abcd `.
const PREFIX: usize = 9;

/// A journal that lines are added to.
#[derive(Debug)]
pub(super) struct Journal {
    file: File,
}

impl Journal {
    /// Opens a journal, made if it is not there.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Self::over(OpenOptions::new().read(true).append(true).create(true).open(path)?)
    }

    /// Returns a journal over an open file, whose last line may be torn.
    pub(super) fn over(mut file: File) -> io::Result<Self> {
        if file.seek(SeekFrom::End(0))? > 0 {
            let mut last = [0];
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
            if last != *b"\n" {
                file.write_all(b"\n")?;
            }
        }
        Ok(Self { file })
    }

    /// Adds lines, in one write, so that other processes' do not come between.
    pub(super) fn add<'a>(&mut self, lines: impl IntoIterator<Item = &'a str>) -> io::Result<()> {
        let mut text = String::new();
        for line in lines {
            debug_assert!(!line.contains('\n'), "a line is one line");
            text.push_str(&format!("{:08x} {line}\n", sum(line.as_bytes())));
        }
        self.file.write_all(text.as_bytes())
    }

    /// Returns the file.
    pub(super) fn file(&self) -> &File {
        &self.file
    }
}

/// Hands out the lines of a file from its beginning, at most `limit` bytes of it; `None` for what is no whole line.
pub(super) fn read(file: &File, limit: u64, visit: &mut dyn FnMut(Option<&str>)) -> io::Result<()> {
    let mut from = file;
    from.seek(SeekFrom::Start(0))?;
    let mut reader = BufReader::with_capacity(256 << 10, from.take(limit));
    let mut line = Vec::new();
    loop {
        line.clear();
        if reader.by_ref().take(LINE_BYTES).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        visit(whole(&line));
    }
}

fn whole(line: &[u8]) -> Option<&str> {
    let line = std::str::from_utf8(line.strip_suffix(b"\n")?).ok()?;
    let (sum, text) = line.split_at_checked(PREFIX)?;
    let told = u32::from_str_radix(sum.strip_suffix(' ')?, 16).ok()?;
    (told == self::sum(text.as_bytes())).then_some(text)
}

/// Against tearing, not against forging: the files are the user's own.
fn sum(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(path: &Path) -> Vec<String> {
        let mut all = Vec::new();
        read(&File::open(path).unwrap(), u64::MAX, &mut |line| all.extend(line.map(str::to_owned))).unwrap();
        all
    }

    #[test]
    fn a_torn_line_takes_no_other_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("j");
        Journal::open(&path).unwrap().add(["one", "two", "three"]).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            Journal::open(&path).unwrap().add(["four"]).unwrap();
            let mut want: Vec<&str> = ["one", "two", "three"].into_iter().take(lines_in(&whole[..cut])).collect();
            // A line that lacks nothing but its end is whole once the next one begins.
            if whole[cut] == b'\n' {
                want.push(["one", "two", "three"][want.len()]);
            }
            want.push("four");
            assert_eq!(lines(&path), want, "cut after {cut} bytes");
        }
    }

    fn lines_in(bytes: &[u8]) -> usize {
        bytes.iter().filter(|byte| **byte == b'\n').count()
    }

    proptest! {
        #[test]
        fn whatever_is_in_the_file_only_whole_lines_come_back(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("j");
            std::fs::write(&path, &bytes).unwrap();
            Journal::open(&path).unwrap().add(["good"]).unwrap();
            let got = lines(&path);
            prop_assert_eq!(got.last().map(String::as_str), Some("good"));
        }
    }
}
