//! Which process something in a daemon belongs to: a Docker-in-Docker container, a temporary tag.
//!
//! Owns: the labels and the tag that name the owning process, and the decision whether that process is dead. The decision
//! errs on the side of leaving things alone: a process of another machine or another namespace is never judged.

use std::collections::{BTreeMap, HashMap};
use std::fs;

use polyarch_registry::oci::Digest;
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

/// Marks every container of ours.
pub(crate) const DIND_LABEL: &str = "io.polyarch.dind";
const PID: &str = "io.polyarch.owner.pid";
const STARTED: &str = "io.polyarch.owner.started";
const BOOT: &str = "io.polyarch.owner.boot";
const PID_NAMESPACE: &str = "io.polyarch.owner.pid-namespace";
const HOST: &str = "io.polyarch.owner.host";

/// A process, identified beyond reuse of its number.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Owner {
    /// Process number.
    pub(crate) pid: String,
    /// Start of the process in clock ticks since boot.
    pub(crate) started: String,
    /// The boot it ran in.
    pub(crate) boot: String,
    /// The namespace its number is valid in.
    pub(crate) pid_namespace: String,
    /// Host name and machine id; empty unless both are known.
    pub(crate) host: String,
}

impl Owner {
    /// Returns this process.
    pub(crate) fn this() -> Self {
        let pid = std::process::id().to_string();
        let started = match look(&pid) {
            Seen::Since(started) => started,
            Seen::Gone | Seen::Hidden => String::new(),
        };
        let read = |path: &str| fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default();
        let namespace = fs::read_link("/proc/self/ns/pid").map(|path| path.display().to_string()).unwrap_or_default();
        let (name, machine) = (read("/proc/sys/kernel/hostname"), read("/etc/machine-id"));
        let host = if name.is_empty() || machine.is_empty() { String::new() } else { format!("{name}/{machine}") };
        Self { pid, started, boot: read("/proc/sys/kernel/random/boot_id"), pid_namespace: namespace, host }
    }

    /// Returns the labels that name this owner.
    pub(crate) fn labels(&self) -> HashMap<String, String> {
        [(DIND_LABEL, "1"), (PID, &self.pid), (STARTED, &self.started), (BOOT, &self.boot)]
            .into_iter()
            .chain([(PID_NAMESPACE, self.pid_namespace.as_str()), (HOST, &self.host)])
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect()
    }

    /// Reads an owner from a container's labels.
    pub(crate) fn from_labels(labels: &BTreeMap<String, String>) -> Self {
        let get = |key: &str| labels.get(key).cloned().unwrap_or_default();
        Self {
            pid: get(PID),
            started: get(STARTED),
            boot: get(BOOT),
            pid_namespace: get(PID_NAMESPACE),
            host: get(HOST),
        }
    }

    /// Returns a tag that names this owner and is unique by `random`; for places that have no labels.
    pub(crate) fn tag(&self, random: u32) -> String {
        let Self { pid, started, boot, pid_namespace, host } = self.hashed();
        format!("{pid}-{started}-{boot}-{pid_namespace}-{host}-{random:08x}")
    }

    /// Reads an owner from such a tag; compare it with a [`Owner::hashed`] observer.
    pub(crate) fn from_tag(tag: &str) -> Option<Self> {
        let mut parts = tag.split('-').map(str::to_owned);
        let mut next = || parts.next();
        let owner = Self { pid: next()?, started: next()?, boot: next()?, pid_namespace: next()?, host: next()? };
        (next().is_some() && next().is_none()).then_some(owner)
    }

    /// Returns the owner with its long names shortened to what fits into a tag.
    pub(crate) fn hashed(&self) -> Self {
        let short = |text: &str| match text {
            "" => String::new(),
            text => Digest::sha256(text).short().to_owned(),
        };
        Self {
            pid: self.pid.clone(),
            started: self.started.clone(),
            boot: short(&self.boot),
            pid_namespace: short(&self.pid_namespace),
            host: short(&self.host),
        }
    }

    /// Whether this owner is certainly dead, seen from `observer`. `look` tells what is known of a process number.
    pub(crate) fn is_dead(&self, observer: &Self, look: impl Fn(&str) -> Seen) -> bool {
        let known = [&self.pid, &self.started, &self.boot, &self.pid_namespace].iter().all(|part| !part.is_empty());
        if !known {
            return false;
        }
        if self.boot == observer.boot {
            return self.pid_namespace == observer.pid_namespace
                && match look(&self.pid) {
                    Seen::Gone => true,
                    Seen::Since(started) => started != self.started,
                    Seen::Hidden => false,
                };
        }
        // The same machine, booted again since.
        !observer.boot.is_empty() && !self.host.is_empty() && self.host == observer.host
    }
}

/// What is known of a process number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    /// No process has the number.
    Gone,
    /// A process has it that started then, in clock ticks since boot.
    Since(String),
    /// A process may have it, of which nothing can be read.
    Hidden,
}

/// Looks for a process. What `/proc` does not show may be another user's (`hidepid` of `proc(5)`): only the kernel's
/// answer that there is no such process counts as its end.
pub(crate) fn look(pid: &str) -> Seen {
    if !pid.bytes().all(|b| b.is_ascii_digit()) {
        return Seen::Hidden;
    }
    let Some(number) = pid.parse().ok().and_then(Pid::from_raw) else { return Seen::Hidden };
    match fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => parse_stat(&stat).unwrap_or(Seen::Hidden),
        Err(_) if test_kill_process(number) == Err(Errno::SRCH) => Seen::Gone,
        Err(_) => Seen::Hidden,
    }
}

/// Reads the start of a process, in clock ticks since boot (`proc_pid_stat(5)`, field 22).
fn parse_stat(stat: &str) -> Option<Seen> {
    // The command name may hold spaces and brackets; everything after its last bracket is numbers.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    // A zombie has ended; only its parent does not know yet.
    if matches!(fields.next(), Some("Z" | "X")) {
        return Some(Seen::Gone);
    }
    fields.nth(18).map(|started| Seen::Since(started.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(pid: &str, boot: &str, namespace: &str) -> Owner {
        Owner {
            pid: pid.into(),
            started: "77".into(),
            boot: boot.into(),
            pid_namespace: namespace.into(),
            host: "box/m1".into(),
        }
    }

    #[test]
    fn survives_the_labels() {
        let this = Owner::this();
        let labels = this.labels().into_iter().collect();
        assert_eq!(Owner::from_labels(&labels), this);
        assert!(!this.is_dead(&this, look), "this process lives");
    }

    #[test]
    fn survives_a_tag() {
        let this = Owner::this();
        let tag = this.tag(7);
        assert!(tag.len() <= 128, "{tag}");
        assert_eq!(Owner::from_tag(&tag), Some(this.hashed()));
        assert!(!this.hashed().is_dead(&this.hashed(), look));
        assert_eq!(Owner::from_tag("1-2-3"), None);
        assert_eq!(Owner::from_tag("latest"), None);
    }

    #[test]
    fn judges_only_what_it_can_see() {
        let observer = owner("1", "b1", "n1");
        let alive = |_: &str| Seen::Since("77".to_owned());
        let reused = |_: &str| Seen::Since("99".to_owned());
        let gone = |_: &str| Seen::Gone;
        let same = owner("5", "b1", "n1");
        assert!(!same.is_dead(&observer, alive));
        assert!(same.is_dead(&observer, reused));
        assert!(same.is_dead(&observer, gone));
        assert!(!same.is_dead(&observer, |_| Seen::Hidden), "another user's process may be hidden");
        assert!(!owner("5", "b1", "n2").is_dead(&observer, gone), "another namespace's numbers mean nothing here");
        assert!(owner("5", "b0", "n1").is_dead(&observer, alive), "the machine was booted again");
        let elsewhere = Owner { host: "other/m2".into(), ..owner("5", "b0", "n1") };
        assert!(!elsewhere.is_dead(&observer, gone));
        let nameless = Owner { host: String::new(), ..owner("5", "b0", "n1") };
        assert!(!nameless.is_dead(&Owner { host: String::new(), ..observer.clone() }, gone));
        assert!(!Owner::default().is_dead(&observer, gone));
    }

    #[test]
    fn sees_the_end_of_a_process() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id().to_string();
        child.wait().unwrap();
        assert_eq!(look(&pid), Seen::Gone);
        for unusable in ["", "0", "../1", "99999999999"] {
            assert_eq!(look(unusable), Seen::Hidden, "{unusable}");
        }
        let Seen::Since(started) = look(&std::process::id().to_string()) else { panic!("this process lives") };
        assert!(started.parse::<u64>().is_ok());
    }

    #[test]
    fn reads_the_line_of_a_process() {
        let line =
            |state: &str| format!("7 (a) b) {state} {} 4711 9", (4..22).map(|n| format!("{n} ")).collect::<String>());
        assert_eq!(parse_stat(&line("S")), Some(Seen::Since("4711".into())));
        assert_eq!(parse_stat(&line("Z")), Some(Seen::Gone));
        assert_eq!(parse_stat("7 (a) S 1 2"), None);
    }
}
