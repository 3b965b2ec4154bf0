//! Looking for words in the text of instructions.

use crate::dockerfile::{Instruction, Keyword};

/// Returns everything a shell or an expansion may see of an instruction: its text and its heredocs. A file that is copied from a
/// quoted heredoc is left as it is; a shell has the variables of its environment in any heredoc.
pub(super) fn texts(instruction: &Instruction) -> impl Iterator<Item = &str> {
    let is_run = instruction.keyword == Keyword::Run;
    let seen = instruction.heredocs.iter().filter(move |heredoc| is_run || heredoc.expand);
    let heredocs = seen.map(|heredoc| heredoc.content.as_str());
    std::iter::once(instruction.source.text()).chain(heredocs)
}

/// Returns whether a text uses `$name` or `${name…}`, not escaped.
pub(super) fn uses_variable(text: &str, name: &str) -> bool {
    text.match_indices(name).any(|(at, _)| {
        let before = &text[..at];
        let after = text[at + name.len()..].chars().next();
        let ends = !after.is_some_and(|c| c.is_alphanumeric() || c == '_');
        let head = before.strip_suffix("${").or_else(|| before.strip_suffix('$'));
        ends && head.is_some_and(|head| !head.ends_with('\\'))
    })
}

/// Returns the byte offset of a word that stands alone: no letter or digit beside it.
pub(super) fn find_word(text: &str, word: &str) -> Option<usize> {
    text.match_indices(word).map(|(at, _)| at).find(|at| {
        let before = text[..*at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_alphanumeric)
    })
}

/// Returns an instruction's own keyword, under ONBUILD the trigger's.
pub(super) fn effective(instruction: &Instruction) -> &Instruction {
    match instruction.keyword {
        Keyword::Onbuild => instruction.trigger.as_deref().unwrap_or(instruction),
        _ => instruction,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_whole_words_only() {
        for (text, uses) in [
            ("x $TARGETARCH", true),
            ("${TARGETARCH:-x}", true),
            ("$TARGETARCHX", false),
            ("\\$TARGETARCH", false),
            ("TARGETARCH", false),
        ] {
            assert_eq!(uses_variable(text, "TARGETARCH"), uses, "{text}");
        }
        assert_eq!(find_word("a-linux-amd64.tar", "amd64"), Some(8));
        assert_eq!(find_word("amd64p32", "amd64"), None);
    }
}
