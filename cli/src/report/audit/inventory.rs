//! An inventory for people: what is not current first, within 80 columns.

use std::fmt::Write as _;

use polyarch_registry::audit::inventory::{Base, Inventory, State};

use crate::style::Style;
use crate::text::{cell, escape, fit, right, wrap};

const WIDTH: usize = 80;
/// Columns of a name, a digest and an age.
const NAME: usize = 38;
const DIGEST: usize = 12;
const AGE: usize = 7;
/// Images that are named one by one.
const IMAGES: usize = 4;

/// Returns the text.
pub fn render(inventory: &Inventory, style: Style) -> String {
    let mut bases: Vec<&Base> = inventory.bases.iter().collect();
    bases.sort_by_key(|base| rank(&base.state));
    let mut out = String::new();
    if !bases.is_empty() {
        let head = format!("{}  {}  {}  STATE", cell("BASE", NAME), cell("DIGEST", DIGEST), right("AGE", AGE));
        out = style.bold(head) + "\n";
    }
    for base in bases {
        self::base(&mut out, base, style);
    }
    if let Some(text) = list("no base is known of", &inventory.unknown) {
        wrap(&escape(&text).replace('\n', " "), WIDTH).iter().for_each(|line| out.extend([line, "\n"]));
    }
    for one in &inventory.unchecked {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{}", style.warning(escape(&format!("could not check {one}"))));
    }
    out + &summary(inventory, style)
}

fn base(out: &mut String, base: &Base, style: Style) {
    let digest = base.digest.as_ref().map_or("-", |digest| digest.short());
    let age = base
        .age_days
        .map_or_else(|| "-".to_owned(), |days| if days == 1 { "1 day".to_owned() } else { format!("{days} days") });
    let name = base.state.name();
    let state = match &base.state {
        State::Current => style.good(name),
        State::Behind { .. } | State::Gone => style.error(name),
        State::Unknown => style.dim(name),
        State::Unchecked { .. } => style.warning(name),
    };
    // A name that is cut says nothing: it has a line of its own.
    let full = escape(&base.name);
    let short = if console::measure_text_width(&full) <= NAME { full } else { full + "\n" };
    let first = match short.strip_suffix('\n') {
        Some(long) => format!("{long}\n{}", cell("", NAME)),
        None => cell(&short, NAME),
    };
    let digest = cell(&escape(digest), DIGEST);
    let _ = writeln!(out, "{first}  {digest}  {}  {state}", right(&fit(&age, AGE + 2), AGE));
    match &base.state {
        State::Behind { current } => line(out, &format!("now {current}")),
        State::Unchecked { reason } => line(out, reason),
        _ => {}
    }
    let platforms: Vec<&str> = base.platforms.iter().map(String::as_str).collect();
    let known_by: Vec<&str> = base.known_by.iter().map(|one| one.name()).collect();
    line(out, &format!("{}; known by {}", platforms.join(", "), known_by.join(", ")));
    let images: Vec<String> = base.used_by.iter().cloned().collect();
    if let Some(text) = list("used by", &images) {
        line(out, &text);
    }
}

/// Some of a list, and how many more there are.
fn list(what: &str, names: &[String]) -> Option<String> {
    let first = names.get(..names.len().min(IMAGES)).filter(|first| !first.is_empty())?;
    let more = match names.len() - first.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Some(format!("{what} {}{more}", first.join(", ")))
}

fn line(out: &mut String, text: &str) {
    for line in wrap(&escape(text).replace('\n', " "), WIDTH - 4) {
        let _ = writeln!(out, "    {}", crate::text::neutralise_ci(&line));
    }
}

fn rank(state: &State) -> u8 {
    match state {
        State::Gone => 0,
        State::Behind { .. } => 1,
        State::Unchecked { .. } => 2,
        State::Unknown => 3,
        State::Current => 4,
    }
}

fn summary(inventory: &Inventory, style: Style) -> String {
    let count = |wanted: &[u8]| inventory.bases.iter().filter(|base| wanted.contains(&rank(&base.state))).count();
    let bases = inventory.bases.len();
    let text = format!(
        "{bases} base{}: {} current, {} behind, {} without a tag, {} unknown, {} could not be checked\n",
        if bases == 1 { "" } else { "s" },
        count(&[4]),
        count(&[1]),
        count(&[0]),
        count(&[3]),
        count(&[2]),
    );
    if count(&[0, 1]) > 0 { style.bold(text.trim_end()) + "\n" } else { text }
}

#[cfg(test)]
mod tests {
    use polyarch_registry::audit::inventory::KnownBy;
    use polyarch_registry::oci::Digest;

    use super::*;

    fn base(name: &str, state: State) -> Base {
        let used_by = (1..=6).map(|number| format!("registry.example.com/team/app:{number}")).collect();
        Base {
            name: name.to_owned(),
            digest: Some(Digest::sha256(name)),
            platforms: ["linux/amd64".to_owned(), "linux/arm64".to_owned()].into(),
            known_by: [KnownBy::Provenance].into(),
            used_by,
            created: None,
            age_days: Some(31),
            state,
        }
    }

    #[test]
    fn what_is_not_current_comes_first() {
        let long = "registry.example.com/a-rather-long-name-of-a-team/base:12.1-slim";
        let current = Digest::sha256("new");
        let inventory = Inventory {
            version: 1,
            bases: vec![
                base("docker.io/library/a\u{1b}:1", State::Current),
                base(long, State::Behind { current: current.clone() }),
            ],
            unknown: vec!["registry.example.com/odd:1".to_owned()],
            unchecked: vec!["provenance x".to_owned()],
        };
        let text = render(&inventory, Style::plain());
        let want = format!(
            "BASE                                    DIGEST            AGE  STATE
{long}
                                        {}  31 days  behind
    now {current}
    linux/amd64, linux/arm64; known by provenance
    used by registry.example.com/team/app:1, registry.example.com/team/app:2,
    registry.example.com/team/app:3, registry.example.com/team/app:4 and 2 more
docker.io/library/a\\u{{1b}}:1             {}  31 days  current
    linux/amd64, linux/arm64; known by provenance
    used by registry.example.com/team/app:1, registry.example.com/team/app:2,
    registry.example.com/team/app:3, registry.example.com/team/app:4 and 2 more
no base is known of registry.example.com/odd:1
could not check provenance x
2 bases: 1 current, 1 behind, 0 without a tag, 0 unknown, 0 could not be checked
",
            Digest::sha256(long).short(),
            Digest::sha256("docker.io/library/a\u{1b}:1").short(),
        );
        assert_eq!(text, want);
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
    }
}
