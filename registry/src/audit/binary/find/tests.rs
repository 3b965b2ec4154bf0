use polyarch_testkit::program::{elf, pe};

use super::*;
use crate::audit::binary::header::Fit;
use crate::audit::layer::tree::Tree;

fn program(architecture: &str, interpreter: Option<&str>) -> Node {
    let program = Program::parse(&elf(architecture)).unwrap();
    let interpreter = interpreter.map(|name| name.as_bytes().into());
    Node::File { is_executable: true, body: Some(Box::new(Body::Program(program, interpreter))) }
}

fn script(line: &str) -> Node {
    Node::File { is_executable: true, body: Some(Box::new(Body::Script(line.as_bytes().into()))) }
}

fn link(target: &str) -> Node {
    Node::Symlink(target.as_bytes().into())
}

fn tree(nodes: Vec<(&str, Node)>) -> Tree {
    let mut tree = Tree::default();
    tree.is_whole = true;
    nodes.into_iter().for_each(|(path, node)| tree.insert(path.as_bytes(), node));
    tree
}

fn run(entrypoint: &[&str], cmd: &[&str]) -> RunConfig {
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
    RunConfig {
        entrypoint: words(entrypoint),
        cmd: words(cmd),
        env: vec!["PATH=/usr/local/bin:/usr/bin:/bin".to_owned()],
        working_dir: Some("/srv".to_owned()),
        ..RunConfig::default()
    }
}

fn search(run: &RunConfig, layers: &[Option<&Tree>]) -> Search {
    started(run, &"linux/amd64".parse().unwrap(), &Stack::new(layers, Trust::SoFar))
}

/// Role, path and whether it runs on amd64, of each.
fn found(run: &RunConfig, layers: &[Option<&Tree>]) -> Vec<(Role, String, Option<bool>)> {
    let Search::Done(started) = search(run, layers) else { panic!("{:?}", search(run, layers)) };
    let platform = "linux/amd64".parse().unwrap();
    let runs = |one: &Program| one.fits(&platform) == Fit::Runs;
    started.iter().map(|one| (one.role, one.path.clone(), one.program.as_ref().map(runs))).collect()
}

fn expect(list: &[(Role, &str, Option<bool>)]) -> Vec<(Role, String, Option<bool>)> {
    list.iter().map(|(role, path, runs)| (*role, (*path).to_owned(), *runs)).collect()
}

const YES: Option<bool> = Some(true);

fn debian() -> Tree {
    tree(vec![
        ("bin", link("usr/bin")),
        ("lib64", link("usr/lib64")),
        ("usr/lib64/ld-linux-x86-64.so.2", link("../lib/x86_64-linux-gnu/ld-linux-x86-64.so.2")),
        ("usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", program("amd64", None)),
        ("usr/bin/sh", link("dash")),
        ("usr/bin/dash", program("amd64", Some("/lib64/ld-linux-x86-64.so.2"))),
        ("usr/bin/env", program("amd64", Some("/lib64/ld-linux-x86-64.so.2"))),
    ])
}

#[test]
fn a_shell_its_loader_and_its_command_are_started() {
    let own = tree(vec![("usr/local/bin/app", program("arm64", None))]);
    let base = debian();
    let list = found(&run(&[], &["/bin/sh", "-c", "exec app --flag"]), &[Some(&base), Some(&own)]);
    let want = [
        (Role::Entrypoint, "/usr/bin/dash", YES),
        (Role::Loader, "/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", YES),
        (Role::Command, "/usr/local/bin/app", Some(false)),
    ];
    assert_eq!(list, expect(&want));
}

#[test]
fn scripts_lead_to_their_interpreter_and_to_the_command() {
    let own = tree(vec![
        ("entry.sh", script("/bin/sh -e")),
        ("srv/tool", script("/usr/bin/env app")),
        ("usr/bin/app", program("386", None)),
    ]);
    let base = debian();
    let layers = [Some(&base), Some(&own)];
    let loader = (Role::Loader, "/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", YES);
    let list = found(&run(&["/entry.sh"], &["app", "serve"]), &layers);
    let want = [(Role::ScriptInterpreter, "/usr/bin/dash", YES), loader, (Role::Command, "/usr/bin/app", YES)];
    assert_eq!(list, expect(&want));
    let list = found(&run(&["./tool"], &[]), &layers);
    let want = [(Role::ScriptInterpreter, "/usr/bin/env", YES), loader, (Role::ScriptInterpreter, "/usr/bin/app", YES)];
    assert_eq!(list, expect(&want));
}

#[test]
fn nothing_is_found_where_nothing_is() {
    let own = tree(vec![("data", Node::File { is_executable: false, body: None }), ("loop.sh", script("/loop.sh"))]);
    for line in [&[][..], &["/absent"], &["absent"], &["/data"], &["/loop.sh"], &["/"]] {
        assert_eq!(found(&run(line, &[]), &[Some(&own)]), vec![], "{line:?}");
    }
}

#[test]
fn a_missing_loader_is_told() {
    let own = tree(vec![("srv/app", program("amd64", Some("/lib/ld-musl-x86_64.so.1")))]);
    let list = found(&run(&["./app"], &[]), &[Some(&own)]);
    assert_eq!(list, expect(&[(Role::Entrypoint, "/srv/app", YES), (Role::Loader, "/lib/ld-musl-x86_64.so.1", None)]));
}

#[test]
fn lower_layers_are_not_asked_for_a_static_program() {
    let own = tree(vec![("srv/app", program("amd64", None)), ("usr/bin/tool", program("amd64", None))]);
    let layers = [None, Some(&own)];
    assert_eq!(found(&run(&["/srv/app"], &[]), &layers), expect(&[(Role::Entrypoint, "/srv/app", YES)]));
    assert_eq!(found(&run(&["tool"], &[]), &layers), expect(&[(Role::Entrypoint, "/usr/bin/tool", YES)]));
    let asked = search(&run(&["/bin/sh"], &[]), &layers);
    assert_eq!(asked, Search::Unread { layer: 0, paths: vec![b"bin".to_vec()] });
    let strict = started(&run(&["tool"], &[]), &"linux/amd64".parse().unwrap(), &Stack::new(&layers, Trust::WholeOnly));
    assert_eq!(strict, Search::Unread { layer: 0, paths: vec![b"usr".to_vec()] });
}

#[test]
fn programs_of_windows_are_found_without_regard_to_case() {
    let file = |machine| {
        let body = Body::Program(Program::parse(&pe(machine)).unwrap(), None);
        Node::File { is_executable: false, body: Some(Box::new(body)) }
    };
    let own = tree(vec![("Files/App/Run.exe", file(0x8664))]);
    let windows: Platform = "windows/amd64".parse().unwrap();
    let at = |word: &str| match started(&run(&[word], &[]), &windows, &Stack::new(&[Some(&own)], Trust::SoFar)) {
        Search::Done(list) => list.into_iter().map(|one| one.path).collect::<Vec<_>>(),
        Search::Unread { .. } => panic!(),
    };
    assert_eq!(at("C:\\app\\run.exe"), ["/Files/App/Run.exe"]);
    assert_eq!(at("c:/app/run"), ["/Files/App/Run.exe"]);
    assert_eq!(at("cmd"), [""; 0]);
}
