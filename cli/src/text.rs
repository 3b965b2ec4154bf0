//! Text for terminals and logs: escaping what others wrote, sizes, durations, cutting to a width. Pure.

use std::time::Duration;

/// Returns untrusted text with everything that could move a cursor, hide text or reorder it escaped.
/// Line feeds stay; tabs become spaces.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => out.push(c),
            '\t' => out.push_str("    "),
            c if c.is_control() || is_invisible(c) => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    out
}

/// Bidirectional overrides and isolates (UAX #9), and line separators.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}')
}

/// Returns a build's output line without ANSI sequences, as a terminal would have left it:
/// after a carriage return only what was written last (progress bars). The rest is escaped.
pub fn log_line(line: &str) -> String {
    let line = line.trim_end_matches('\r');
    let last = line.rsplit('\r').find(|part| !part.is_empty()).unwrap_or_default();
    escape(&console::strip_ansi_codes(last))
}

/// Breaks a GitHub workflow command (`::error::…`, `##[…]`) so that a build's output cannot give orders.
pub fn neutralise_ci(line: &str) -> String {
    let start = line.trim_start();
    if start.starts_with("::") || start.starts_with("##[") {
        let indent = line.len() - start.len();
        // A zero-width space keeps the text readable and the runner deaf.
        return format!("{}\u{200b}{start}", &line[..indent]);
    }
    line.to_owned()
}

/// Returns bytes as `999 B`, `12.3 kB`, `4.56 GB` (powers of 1000, as docker prints image sizes).
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if count < 1000 {
        return format!("{count} B");
    }
    let mut value = count as f64;
    let mut unit = "B";
    for next in UNITS {
        // 999.95 would print as 1000.0.
        if value < 999.95 {
            break;
        }
        (value, unit) = (value / 1000.0, next);
    }
    format!("{value:.1} {unit}")
}

/// Returns a duration as `0.3s`, `12.3s`, `2m05s`, `1h02m`.
pub fn duration(time: Duration) -> String {
    let tenths = (time.as_millis() + 50) / 100;
    let seconds = tenths / 10;
    match seconds {
        0..60 => format!("{seconds}.{}s", tenths % 10),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

/// Returns text cut to `width` columns, `…` in place of what is missing.
pub fn fit(text: &str, width: usize) -> String {
    console::truncate_str(text, width, "…").into_owned()
}

/// Returns text in lines of at most `width` columns, broken at spaces; a longer word stays whole, for a digest or a
/// URL is no use in pieces.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if console::measure_text_width(line) + 1 + console::measure_text_width(word) <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Returns text cut and filled with spaces to exactly `width` columns.
pub fn cell(text: &str, width: usize) -> String {
    console::pad_str(text, width, console::Alignment::Left, Some("…")).into_owned()
}

/// Returns text filled with spaces on the left to at least `width` columns.
pub fn right(text: &str, width: usize) -> String {
    console::pad_str(text, width, console::Alignment::Right, None).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_control_and_direction() {
        assert_eq!(escape("a\x1b[31m\tb\u{202e}c\u{9b}\n"), "a\\u{1b}[31m    b\\u{202e}c\\u{9b}\n");
    }

    #[test]
    fn log_lines_read_as_a_terminal_left_them() {
        for (line, want) in [
            ("\x1b[31mred\x1b[0m", "red"),
            ("10%\r50%\r100%\r", "100%"),
            ("\x1b[2J\x1b[1;1Hhome", "home"),
            ("\x1b]0;title\x07text", "text"),
            ("bell\x07", "bell\\u{7}"),
            ("", ""),
        ] {
            assert_eq!(log_line(line), want, "{line:?}");
        }
    }

    #[test]
    fn workflow_commands_are_broken() {
        for line in ["::error::x", "  ::set-output name=a::b", "##[error]x"] {
            assert!(neutralise_ci(line).contains('\u{200b}'), "{line}");
        }
        assert_eq!(neutralise_ci("std::vec"), "std::vec");
    }

    #[test]
    fn sizes_and_durations() {
        for (count, want) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (999_949, "999.9 kB"),
            (999_999, "1.0 MB"),
            (4_560_000_000, "4.6 GB"),
        ] {
            assert_eq!(bytes(count), want);
        }
        for (millis, want) in
            [(0, "0.0s"), (349, "0.3s"), (59_940, "59.9s"), (59_960, "1m00s"), (125_000, "2m05s"), (3_720_000, "1h02m")]
        {
            assert_eq!(duration(Duration::from_millis(millis)), want);
        }
    }

    #[test]
    fn cells_have_their_width() {
        assert_eq!(cell("abc", 5), "abc  ");
        assert_eq!(cell("abcdef", 5), "abcd…");
        assert_eq!(fit("abcdef", 10), "abcdef");
        assert_eq!(wrap("a bb ccc dddddd e", 4), ["a bb", "ccc", "dddddd", "e"]);
    }
}
