//! The programs an image starts.
//!
//! Owns: from the configuration to files: search path, working directory, links of any layer, `#!` lines, the interpreters
//! of dynamic programs. Pure. Never: reads a layer; it says which one it would have to.

use super::command;
use super::header::Program;
use crate::audit::layer::stack::{Seen, Stack, Trust};
use crate::audit::layer::tree::{Body, Node};
use crate::oci::{Platform, RunConfig};

/// Scripts that start scripts that start scripts: Linux follows four (`BINPRM_MAX_RECURSION`).
const MOST_SCRIPTS: usize = 5;
/// Programs of one image that are looked at.
const MOST_PROGRAMS: usize = 16;

/// What a program is to the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// The first word of its command line.
    Entrypoint,
    /// What the first program is given to start.
    Command,
    /// What runs a script.
    ScriptInterpreter,
    /// What loads a dynamic program.
    Loader,
}

/// A program that is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Started {
    /// What it is to the image.
    pub role: Role,
    /// Where it is, links followed. Not escaped.
    pub path: String,
    /// Number of its layer, from the base; none if nothing is there.
    pub layer: Option<usize>,
    /// What it is; none if nothing is there.
    pub program: Option<Program>,
}

/// How far a search came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Search {
    /// A layer has to be read; the search goes on as soon as it has one of the paths, or has ended without.
    Unread {
        /// Its number, from the base.
        layer: usize,
        /// What is asked of it, in the form of a tree's paths.
        paths: Vec<Vec<u8>>,
    },
    /// The end. No programs: there is no command, or it is not in the image, or it is of no known format.
    Done(Vec<Started>),
}

/// Looks for the programs that an image starts.
pub fn started(run: &RunConfig, platform: &Platform, stack: &Stack<'_>) -> Search {
    let is_windows = platform.os == "windows";
    let mut finder = Finder { run, stack, is_windows, started: Vec::new() };
    match finder.command() {
        Ok(()) => Search::Done(finder.started),
        Err(Unread { layer, paths }) => Search::Unread { layer, paths },
    }
}

struct Finder<'a, 's> {
    run: &'a RunConfig,
    stack: &'a Stack<'s>,
    is_windows: bool,
    started: Vec<Started>,
}

struct Unread {
    layer: usize,
    paths: Vec<Vec<u8>>,
}

/// A file, and the layer it is in.
struct File<'s> {
    layer: usize,
    path: Vec<u8>,
    is_executable: bool,
    body: Option<&'s Body>,
}

impl<'s> Finder<'_, 's> {
    fn command(&mut self) -> Result<(), Unread> {
        let mut line = command::line(self.run);
        let mut role = Role::Entrypoint;
        for _ in 0..MOST_SCRIPTS {
            let Some(&word) = line.first() else { return Ok(()) };
            let Some(file) = self.which(word)? else { return Ok(()) };
            let is_script = matches!(file.body, Some(Body::Script(_)));
            self.program(&file, role, MOST_SCRIPTS)?;
            role = Role::Command;
            line = match command::inner(&line) {
                Some(inner) => inner,
                // Entry scripts end in `exec "$@"`.
                None if is_script && !self.run.entrypoint.is_empty() && line.len() > self.run.cmd.len() => {
                    self.run.cmd.iter().map(String::as_str).collect()
                }
                None => return Ok(()),
            };
        }
        Ok(())
    }

    /// Notes a program and everything that is needed to run it.
    fn program(&mut self, file: &File<'s>, role: Role, scripts: usize) -> Result<(), Unread> {
        match file.body {
            None => Ok(()),
            Some(Body::Program(program, interpreter)) => {
                self.note(role, &file.path, Some((file.layer, program.clone())));
                match interpreter {
                    Some(loader) => self.loader(loader),
                    None => Ok(()),
                }
            }
            Some(Body::Script(line)) => {
                let (Some((program, given)), Some(scripts)) = (command::interpreter(line), scripts.checked_sub(1))
                else {
                    return Ok(());
                };
                for word in [Some(program), given].into_iter().flatten() {
                    if let Some(file) = self.which(&word)? {
                        self.program(&file, Role::ScriptInterpreter, scripts)?;
                    }
                }
                Ok(())
            }
        }
    }

    fn loader(&mut self, name: &[u8]) -> Result<(), Unread> {
        match self.file(name)? {
            Some(File { layer, path, body: Some(Body::Program(program, _)), .. }) => {
                self.note(Role::Loader, &path, Some((layer, program.clone())));
            }
            Some(_) => {}
            None => self.note(Role::Loader, name, None),
        }
        Ok(())
    }

    fn note(&mut self, role: Role, path: &[u8], found: Option<(usize, Program)>) {
        let text = String::from_utf8_lossy(path);
        let path = if text.starts_with('/') { text.into_owned() } else { format!("/{text}") };
        let (layer, program) = found.unzip();
        let started = Started { role, path, layer, program };
        // Each is noted once, in the role it was met in first.
        let is_new = self.started.iter().all(|one| one.path != started.path);
        if is_new && self.started.len() < MOST_PROGRAMS {
            self.started.push(started);
        }
    }

    /// Finds what a word of a command line starts.
    fn which(&self, word: &str) -> Result<Option<File<'s>>, Unread> {
        if self.is_windows {
            return self.which_on_windows(word);
        }
        if word.contains('/') {
            return self.file(&self.absolute(word));
        }
        let mut unread: Option<Unread> = None;
        for dir in command::search_path(self.run, ':') {
            match self.file(&self.absolute(&format!("{dir}/{word}"))) {
                Ok(Some(file)) if file.is_executable => return Ok(Some(file)),
                Ok(_) => {}
                // A directory further back may have it; which one comes first only matters if it turns out to be wrong.
                Err(new) if self.stack.trust() == Trust::SoFar => match &mut unread {
                    Some(known) if known.layer == new.layer => known.paths.extend(new.paths),
                    Some(known) if known.layer > new.layer => {}
                    _ => unread = Some(new),
                },
                Err(new) => return Err(new),
            }
        }
        unread.map_or(Ok(None), Err)
    }

    /// Layers of Windows have their files below `Files`, do not tell capitals, and what is in the registry is unknown.
    fn which_on_windows(&self, word: &str) -> Result<Option<File<'s>>, Unread> {
        let forward = |path: &str| path.replace('\\', "/");
        let word = forward(word);
        let dirs = match word.contains('/') || word.contains(':') {
            true => vec![forward(self.run.working_dir.as_deref().unwrap_or_default())],
            false => command::search_path(self.run, ';').iter().map(|dir| forward(dir)).collect(),
        };
        for dir in dirs {
            let is_absolute = word.contains(':') || word.starts_with('/');
            let path = if is_absolute { word.clone() } else { format!("{dir}/{word}") };
            let path = path.split_once(':').map_or(path.as_str(), |(_, rest)| rest).to_owned();
            let whole = format!("Files/{}", path.trim_start_matches('/'));
            let names = if whole.to_ascii_lowercase().ends_with(".exe") {
                vec![whole]
            } else {
                vec![format!("{whole}.exe"), whole]
            };
            for name in names {
                if let Some(file) = self.file_of_any_case(name.as_bytes())? {
                    return Ok(Some(file));
                }
            }
        }
        Ok(None)
    }

    fn file_of_any_case(&self, path: &[u8]) -> Result<Option<File<'s>>, Unread> {
        for (layer, tree) in self.stack.layers().iter().enumerate().rev() {
            let Some(tree) = tree else { return Err(Unread { layer, paths: vec![path.to_vec()] }) };
            let found = tree.nodes().find(|(name, _)| name.eq_ignore_ascii_case(path));
            if let Some((name, Node::File { body, .. })) = found {
                let (path, body) = (name.to_vec(), body.as_deref());
                return Ok(Some(File { layer, path, is_executable: true, body }));
            }
            if !tree.is_whole {
                return Err(Unread { layer, paths: vec![path.to_vec()] });
            }
        }
        Ok(None)
    }

    fn absolute(&self, word: &str) -> Vec<u8> {
        match word.starts_with('/') {
            true => word.as_bytes().to_vec(),
            false => format!("{}/{word}", self.run.working_dir.as_deref().unwrap_or_default()).into_bytes(),
        }
    }

    fn file(&self, path: &[u8]) -> Result<Option<File<'s>>, Unread> {
        match self.stack.resolve(path) {
            Seen::Found { layer, path, node: Node::File { is_executable, body } } => {
                Ok(Some(File { layer, path, is_executable: *is_executable, body: body.as_deref() }))
            }
            Seen::Found { .. } | Seen::Missing => Ok(None),
            Seen::Unread { layer, path } => Err(Unread { layer, paths: vec![path] }),
        }
    }
}

#[cfg(test)]
mod tests;
