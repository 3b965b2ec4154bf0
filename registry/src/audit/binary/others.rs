//! Programs and libraries an image has besides those it starts.
//!
//! Owns: which of them are looked at, and the places where code of other machines is rightly kept. Pure. Never: looks inside
//! archives.

use super::command;
use super::facts::{OtherProgram, Others};
use super::header::{Elf, Fit, Program};
use crate::audit::layer::stack::{Seen, Stack, Trust};
use crate::audit::layer::tree::{Body, Node, Tree, base_name, parents};
use crate::oci::{Platform, RunConfig};

/// Programs of other machines that are looked at in one layer.
const MOST_FOREIGN: usize = 10_000;
/// Programs listed of each kind.
const LISTED: usize = 5;

/// Words in a path that name the machine the file is for, and the machine (`e_machine`).
const NAMES: [(&str, u16); 23] = [
    ("x86_64", 62),
    ("x86-64", 62),
    ("amd64", 62),
    ("x64", 62),
    ("aarch64", 183),
    ("arm64", 183),
    ("i386", 3),
    ("i486", 3),
    ("i586", 3),
    ("i686", 3),
    ("ia32", 3),
    ("x86", 3),
    ("386", 3),
    ("arm", 40),
    ("riscv", 243),
    ("powerpc", 21),
    ("ppc", 21),
    ("powerpc", 20),
    ("ppc", 20),
    ("s390", 22),
    ("mips", 8),
    ("loong", 258),
    ("sparc", 43),
];

/// Looks at programs in search directories and at libraries, in all layers.
pub(super) fn others(run: &RunConfig, platform: &Platform, layers: &[Option<&Tree>]) -> Others {
    let stack = Stack::new(layers, Trust::SoFar);
    let dirs = search_dirs(run, &stack);
    let mut found = Others::default();
    let (mut foreign, mut legal) = (Vec::new(), Vec::new());
    for (number, tree) in layers.iter().enumerate() {
        let mut looked = 0;
        for (path, node) in tree.iter().flat_map(|tree| tree.nodes()) {
            let Node::File { body: Some(body), is_executable } = node else { continue };
            let Body::Program(program @ Program::Elf(elf), _) = &**body else { continue };
            if program.fits(platform) != Fit::Foreign {
                continue;
            }
            let in_path = *is_executable && parents(path).next().is_some_and(|dir| dirs.iter().any(|one| one == dir));
            if !in_path && !is_library(path) && elf.kind != Elf::RELOCATABLE {
                continue;
            }
            looked += 1;
            if looked > MOST_FOREIGN {
                break;
            }
            // What an upper layer replaced or deleted is not there any more.
            if !matches!(stack.at(path), Seen::Found { layer, .. } if layer == number) {
                continue;
            }
            let list = if is_legal(path, elf) { &mut legal } else { &mut foreign };
            list.push(OtherProgram { path: format!("/{}", String::from_utf8_lossy(path)), program: program.clone() });
        }
    }
    foreign.sort_unstable();
    legal.sort_unstable();
    (found.foreign_count, found.legal_count) = (foreign.len() as u64, legal.len() as u64);
    foreign.truncate(LISTED);
    legal.truncate(LISTED);
    Others { foreign, legal, ..found }
}

/// Returns the search path's directories as they really are.
fn search_dirs(run: &RunConfig, stack: &Stack<'_>) -> Vec<Vec<u8>> {
    let real = |dir: String| match stack.resolve(dir.as_bytes()) {
        Seen::Found { path, .. } => Some(path),
        _ => None,
    };
    command::search_path(run, ':').into_iter().filter_map(real).collect()
}

pub(super) fn is_library(path: &[u8]) -> bool {
    let name = String::from_utf8_lossy(base_name(path)).into_owned();
    name.ends_with(".so") || name.contains(".so.")
}

/// Whether code of another machine may be there: emulators, firmware, object files and kernel modules, and whatever says by
/// its path for which machine it is (cross toolchains, foreign libraries of Debian's, prebuilt modules, wheels).
pub(super) fn is_legal(path: &[u8], elf: &Elf) -> bool {
    let text = String::from_utf8_lossy(path).to_ascii_lowercase();
    let name = text.rsplit('/').next().unwrap_or(&text);
    let is_place = text.contains("lib/firmware/") || text.contains("lib/modules/") || text.contains("/testdata/");
    is_place || elf.kind == Elf::RELOCATABLE || name.starts_with("qemu-") || names_machine(&text, elf.machine)
}

/// Returns whether a path says for which machine it is, or is that of a loader.
pub(in crate::audit) fn names_any_machine(path: &[u8]) -> bool {
    let text = String::from_utf8_lossy(path).to_ascii_lowercase();
    NAMES.iter().any(|(_, machine)| names_machine(&text, *machine)) || text.contains("ld-") || text.contains("lib64")
}

fn names_machine(path: &str, machine: u16) -> bool {
    let begins_word = |at: usize| !path[..at].ends_with(|c: char| c.is_ascii_alphanumeric());
    let is_named = |name: &str| path.match_indices(name).any(|(at, _)| begins_word(at));
    // "x86" is part of "x86_64".
    let is_other = machine == 3 && (is_named("x86_64") || is_named("x86-64"));
    NAMES.iter().any(|(name, of)| *of == machine && is_named(name)) && !is_other
        || machine == 40 && is_named("arm") && !is_named("arm64")
}

#[cfg(test)]
mod tests {
    use polyarch_testkit::program::elf;

    use super::*;

    fn node(architecture: &str) -> Node {
        let body = Body::Program(Program::parse(&elf(architecture)).unwrap(), None);
        Node::File { is_executable: true, body: Some(Box::new(body)) }
    }

    fn look(layers: &[&[(&str, &str)]]) -> (Vec<String>, Vec<String>) {
        let trees: Vec<Tree> = layers
            .iter()
            .map(|layer| {
                let mut tree = Tree::default();
                tree.is_whole = true;
                layer.iter().for_each(|(path, architecture)| tree.insert(path.as_bytes(), node(architecture)));
                tree
            })
            .collect();
        let trees: Vec<Option<&Tree>> = trees.iter().map(Some).collect();
        let found = others(&RunConfig::default(), &"linux/arm64".parse().unwrap(), &trees);
        let paths = |list: Vec<OtherProgram>| list.into_iter().map(|one| one.path).collect();
        (paths(found.foreign), paths(found.legal))
    }

    #[test]
    fn programs_and_libraries_of_another_machine_are_found() {
        let (foreign, legal) = look(&[&[
            ("usr/bin/tool", "amd64"),
            ("usr/bin/own", "arm64"),
            ("usr/bin/old", "arm"),
            ("usr/lib/libfoo.so.1", "amd64"),
            ("srv/data.bin", "amd64"),
        ]]);
        assert_eq!(foreign, ["/usr/bin/tool", "/usr/lib/libfoo.so.1"]);
        assert_eq!(legal, [""; 0]);
    }

    #[test]
    fn code_of_other_machines_may_be_where_it_says_so() {
        let places = [
            ("usr/bin/qemu-x86_64-static", "amd64"),
            ("usr/bin/qemu-riscv64", "arm"),
            ("usr/bin/x86_64-linux-gnu-gcc", "amd64"),
            ("usr/x86_64-linux-gnu/lib/libc.so.6", "amd64"),
            ("usr/lib/firmware/dsp.so", "riscv64"),
            ("app/node_modules/x/prebuilds/linux-x64/node.so", "amd64"),
            ("app/node_modules/x/prebuilds/linux-ia32/node.so", "386"),
            ("lib/python3/a.cpython-311-x86_64-linux-gnu.so", "amd64"),
            ("native/Linux/riscv64/libjni.so", "riscv64"),
        ];
        let (foreign, legal) = look(&[&places]);
        assert_eq!((foreign, legal.len()), (vec![], 5), "listed are five");
        let (foreign, legal) =
            look(&[&[("opt/x86_64/lib32.so", "386"), ("opt/alarm/a.so", "ppc64le"), ("opt/arm64/b.so", "riscv64")]]);
        assert_eq!((foreign.len(), legal.len()), (3, 0));
    }

    #[test]
    fn what_was_replaced_counts_no_more() {
        let (foreign, _) = look(&[&[("usr/bin/tool", "amd64")], &[("usr/bin/tool", "arm64")]]);
        assert_eq!(foreign, [""; 0]);
    }
}
