//! The two streams of the process. stdout is the result; everything else is stderr.
//!
//! Owns: who writes where, and that a broken pipe is success. Never: decides what to say.

use std::io::{self, ErrorKind, IsTerminal, Write};

use crate::diagnostics::Diagnostic;
use crate::exit_code::ExitCode;
use crate::report::Look;
use crate::report::display::Reader;
use crate::settings::{ColorChoice, Env, Terminals, env_vars};
use crate::style::Style;

/// The streams and how they look.
#[derive(Debug, Clone, Copy)]
pub struct Console {
    /// Colours of stdout.
    pub out: Style,
    /// Colours of stderr.
    pub err: Style,
    /// Who else reads stderr.
    pub reader: Reader,
    /// Whether stderr is a terminal.
    is_terminal: bool,
}

impl Console {
    /// Returns the console of the process.
    pub fn new(color: ColorChoice, terminals: Terminals, env: &Env) -> Self {
        let reader = if env.is_on(&env_vars::GITHUB_ACTIONS) { Reader::Github } else { Reader::People };
        Self {
            out: Style::new(color.on(terminals.stdout)),
            err: Style::new(color.on(terminals.stderr)),
            reader,
            is_terminal: terminals.stderr,
        }
    }

    /// Returns how text looks on stderr.
    pub fn look(&self) -> Look {
        Look { style: self.err, reader: self.reader }
    }

    /// Writes the result. A reader that has gone away has what it wanted.
    ///
    /// # Errors
    /// stdout cannot be written for another reason, such as a full disk.
    pub fn result(&self, bytes: impl AsRef<[u8]>) -> Result<(), Diagnostic> {
        let mut out = io::stdout().lock();
        match out.write_all(bytes.as_ref()).and_then(|()| out.flush()) {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => {
                Err(Diagnostic::message(ExitCode::Publish, format!("cannot write the result: {error}")))
            }
            _ => Ok(()),
        }
    }

    /// Writes to stderr. If nobody can read it, nobody can be told either.
    pub fn say(&self, text: &str) {
        let _ = io::stderr().lock().write_all(text.as_bytes());
    }

    /// Goes to the beginning of the line, on which a terminal may have echoed Ctrl-C.
    pub fn fresh_line(&self) {
        if self.is_terminal {
            self.say("\r");
        }
    }

    /// Shows an error.
    pub fn error(&self, diagnostic: &Diagnostic) {
        self.fresh_line();
        self.say(&diagnostic.render(self.err));
    }
}

/// Asks which streams of the process are terminals.
pub fn terminals() -> Terminals {
    Terminals {
        stdin: io::stdin().is_terminal(),
        stdout: io::stdout().is_terminal(),
        stderr: io::stderr().is_terminal(),
    }
}
