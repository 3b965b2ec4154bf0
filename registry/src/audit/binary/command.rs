//! What an image's configuration starts, as words.
//!
//! Owns: reading command lines, `#!` lines and search paths. Pure. Never: looks at files.

use crate::oci::RunConfig;

/// What Docker sets where the configuration says nothing (`DefaultPathEnv` in moby's `oci/defaults.go`).
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Programs that run the program they are given.
const WRAPPERS: [&str; 6] = ["tini", "tini-static", "dumb-init", "catatonit", "docker-init", "env"];
const SHELLS: [&str; 6] = ["sh", "bash", "ash", "dash", "busybox", "zsh"];
/// What means more to a shell than itself.
const SPECIAL: [char; 19] =
    ['$', '`', '"', '\'', '(', ')', '{', '}', '|', ';', '&', '<', '>', '*', '?', '[', ']', '\\', '\n'];
/// Directories of a search path that are looked into; real ones have some ten.
const MOST_DIRS: usize = 64;
/// Longest path of Linux, in bytes.
const PATH_MAX: usize = 4096;

/// Words of the shell's own.
const BUILTINS: [&str; 14] =
    ["cd", "set", "export", "echo", "exit", "if", "for", "while", "until", "case", "trap", "umask", "true", ":"];

/// Returns the command line: the entrypoint, and the command as its arguments.
pub fn line(run: &RunConfig) -> Vec<&str> {
    run.entrypoint.iter().chain(&run.cmd).map(String::as_str).collect()
}

/// Returns the directories programs are looked for in.
pub fn search_path(run: &RunConfig, separator: char) -> Vec<String> {
    let path = run.env.iter().rev().find_map(|variable| {
        let (name, value) = variable.split_once('=')?;
        // Windows does not tell `Path` from `PATH`.
        (name == "PATH" || separator == ';' && name.eq_ignore_ascii_case("PATH")).then_some(value)
    });
    let mut dirs: Vec<String> = Vec::new();
    for dir in path.unwrap_or(DEFAULT_PATH).split(separator).filter(|dir| !dir.is_empty() && dir.len() <= PATH_MAX) {
        if dirs.len() < MOST_DIRS && !dirs.iter().any(|known| known == dir) {
            dirs.push(dir.to_owned());
        }
    }
    dirs
}

/// Returns what a command line starts after its first program: what a shell is given to run or a wrapper is given to start.
pub fn inner<'a>(line: &[&'a str]) -> Option<Vec<&'a str>> {
    let (program, arguments) = line.split_first()?;
    let name = program.rsplit('/').next().unwrap_or(program);
    if SHELLS.contains(&name) {
        let (_, script) = arguments.split_at_checked(arguments.iter().position(|word| is_command_flag(word))? + 1)?;
        return simple(script.first()?);
    }
    WRAPPERS.contains(&name).then(|| wrapped(arguments)).flatten()
}

/// `-c`, alone or after other letters; also busybox's `sh -c`.
fn is_command_flag(word: &str) -> bool {
    word.starts_with('-') && !word.starts_with("--") && word.ends_with('c')
}

/// Skips options and assignments. An option's value cannot be told from a program, so what looks like neither is taken.
fn wrapped<'a>(arguments: &[&'a str]) -> Option<Vec<&'a str>> {
    let start = match arguments.iter().position(|word| *word == "--") {
        Some(end) => end + 1,
        None => arguments.iter().position(|word| !word.starts_with('-') && !is_assignment(word))?,
    };
    Some(arguments.get(start..)?.to_vec()).filter(|rest| !rest.is_empty())
}

/// Reads a script of one plain command: `exec app --flag`. None if a shell would make more of it.
fn simple(script: &str) -> Option<Vec<&str>> {
    // The program is known even if its arguments are not.
    let words: Vec<&str> = script.split_ascii_whitespace().collect();
    let start = words.iter().position(|word| *word != "exec" && !is_assignment(word))?;
    let is_plain = |word: &str| !word.contains(SPECIAL) && !BUILTINS.contains(&word);
    let before = words[..start].iter().all(|word| !word.contains(SPECIAL));
    (before && is_plain(words[start])).then(|| vec![words[start]])
}

fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| !name.is_empty() && !name.contains('/'))
}

/// Reads what follows `#!`: the interpreter, and what `env` is to find. The kernel gives all that follows the interpreter to
/// it as one argument, which `env -S` splits.
pub fn interpreter(line: &[u8]) -> Option<(String, Option<String>)> {
    let text = String::from_utf8_lossy(line);
    let mut words = text.lines().next()?.split_ascii_whitespace();
    let program = words.next()?.to_owned();
    let is_env = program.rsplit('/').next() == Some("env");
    let given = is_env.then(|| words.find(|word| !word.starts_with('-') && !is_assignment(word))).flatten();
    Some((program, given.map(str::to_owned)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shells_and_wrappers_start_something_else() {
        let cases: [(&[&str], Option<&[&str]>); 13] = [
            (&["/bin/sh", "-c", "exec app --flag \"$X\""], Some(&["app"])),
            (&["/bin/sh", "-c", "A=b /srv/app"], Some(&["/srv/app"])),
            (&["bash", "-ec", "app"], Some(&["app"])),
            (&["/bin/sh", "-c", "$APP run"], None),
            (&["/bin/sh", "-c", "cd /srv && ./app"], None),
            (&["/bin/sh", "-c", "echo hello"], None),
            (&["/bin/sh", "-c", "A=$(b) app"], None),
            (&["/bin/sh", "start.sh"], None),
            (&["/bin/sh", "-c"], None),
            (&["/sbin/tini", "-g", "--", "app", "-x"], Some(&["app", "-x"])),
            (&["tini", "app"], Some(&["app"])),
            (&["/usr/bin/env", "-i", "A=b", "app"], Some(&["app"])),
            (&["/srv/app", "-c", "x"], None),
        ];
        for (line, want) in cases {
            assert_eq!(inner(line).as_deref(), want, "{line:?}");
        }
    }

    #[test]
    fn interpreters_are_read_as_the_kernel_does() {
        let read = |line: &str| interpreter(line.as_bytes());
        let named = |program: &str, given: Option<&str>| Some((program.to_owned(), given.map(str::to_owned)));
        assert_eq!(read("/bin/sh\necho"), named("/bin/sh", None));
        assert_eq!(read("  /bin/sh -e"), named("/bin/sh", None));
        assert_eq!(read("/usr/bin/env python3"), named("/usr/bin/env", Some("python3")));
        assert_eq!(read("/usr/bin/env -S A=b node --x"), named("/usr/bin/env", Some("node")));
        assert_eq!((read(""), read("\n/bin/sh")), (None, None));
    }

    #[test]
    fn the_last_search_path_counts() {
        let run = |env: &[&str]| RunConfig { env: env.iter().map(|&one| one.into()).collect(), ..RunConfig::default() };
        assert_eq!(search_path(&run(&["PATH=/a", "X=y", "PATH=/b::/c"]), ':'), ["/b", "/c"]);
        assert_eq!(search_path(&run(&[]), ':').len(), 6);
        assert_eq!(search_path(&run(&["Path=C:\\a;C:\\b"]), ';'), ["C:\\a", "C:\\b"]);
    }
}
