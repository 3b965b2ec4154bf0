//! Who a Docker-in-Docker container belongs to.
//!
//! Owns: the labels that name the owning process and the decision whether that process is dead. The decision errs on
//! the side of leaving a container alone: one of another machine or another process namespace is never judged.

use std::collections::{BTreeMap, HashMap};
use std::fs;

/// Marks every container of ours.
pub(super) const LABEL: &str = "io.polyarch.dind";
const PID: &str = "io.polyarch.owner.pid";
const STARTED: &str = "io.polyarch.owner.started";
const BOOT: &str = "io.polyarch.owner.boot";
const PID_NAMESPACE: &str = "io.polyarch.owner.pid-namespace";
const HOST: &str = "io.polyarch.owner.host";

/// A process, identified beyond reuse of its number.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Owner {
    /// Process number.
    pub(super) pid: String,
    /// Start of the process in clock ticks since boot.
    pub(super) started: String,
    /// The boot it ran in.
    pub(super) boot: String,
    /// The namespace its number is valid in.
    pub(super) pid_namespace: String,
    /// Host name and machine id.
    pub(super) host: String,
}

impl Owner {
    /// Returns this process.
    pub(super) fn this() -> Self {
        let pid = std::process::id().to_string();
        let started = started(&pid).unwrap_or_default();
        let read = |path: &str| fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default();
        let namespace = fs::read_link("/proc/self/ns/pid").map(|path| path.display().to_string()).unwrap_or_default();
        let host = format!("{}/{}", read("/proc/sys/kernel/hostname"), read("/etc/machine-id"));
        Self { pid, started, boot: read("/proc/sys/kernel/random/boot_id"), pid_namespace: namespace, host }
    }

    /// Returns the labels that name this owner.
    pub(super) fn labels(&self) -> HashMap<String, String> {
        [(LABEL, "1"), (PID, &self.pid), (STARTED, &self.started), (BOOT, &self.boot)]
            .into_iter()
            .chain([(PID_NAMESPACE, self.pid_namespace.as_str()), (HOST, &self.host)])
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect()
    }

    /// Reads an owner from a container's labels.
    pub(super) fn from_labels(labels: &BTreeMap<String, String>) -> Self {
        let get = |key: &str| labels.get(key).cloned().unwrap_or_default();
        Self {
            pid: get(PID),
            started: get(STARTED),
            boot: get(BOOT),
            pid_namespace: get(PID_NAMESPACE),
            host: get(HOST),
        }
    }

    /// Whether this owner is certainly dead, seen from `observer`. `started` tells when a process of that number started.
    pub(super) fn is_dead(&self, observer: &Self, started: impl Fn(&str) -> Option<String>) -> bool {
        let known = [&self.pid, &self.started, &self.boot, &self.pid_namespace].iter().all(|part| !part.is_empty());
        if !known {
            return false;
        }
        if self.boot == observer.boot {
            return self.pid_namespace == observer.pid_namespace && started(&self.pid).as_ref() != Some(&self.started);
        }
        // The same machine, booted again since.
        !observer.boot.is_empty()
            && self.host == observer.host
            && !self.host.ends_with('/')
            && !self.host.starts_with('/')
    }
}

/// Returns when a process started, in clock ticks since boot (`proc_pid_stat(5)`, field 22).
pub(super) fn started(pid: &str) -> Option<String> {
    if !pid.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command name may hold spaces and brackets; everything after its last bracket is numbers.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    // A zombie has ended; only its parent does not know yet.
    if matches!(fields.next(), Some("Z" | "X")) {
        return None;
    }
    fields.nth(18).map(str::to_owned)
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
        assert!(!this.is_dead(&this, started), "this process lives");
    }

    #[test]
    fn judges_only_what_it_can_see() {
        let observer = owner("1", "b1", "n1");
        let alive = |_: &str| Some("77".to_owned());
        let reused = |_: &str| Some("99".to_owned());
        let gone = |_: &str| None;
        let same = owner("5", "b1", "n1");
        assert!(!same.is_dead(&observer, alive));
        assert!(same.is_dead(&observer, reused));
        assert!(same.is_dead(&observer, gone));
        assert!(!owner("5", "b1", "n2").is_dead(&observer, gone), "another namespace's numbers mean nothing here");
        assert!(owner("5", "b0", "n1").is_dead(&observer, alive), "the machine was booted again");
        let elsewhere = Owner { host: "other/m2".into(), ..owner("5", "b0", "n1") };
        assert!(!elsewhere.is_dead(&observer, gone));
        let nameless = Owner { host: "box/".into(), ..owner("5", "b0", "n1") };
        assert!(!nameless.is_dead(&Owner { host: "box/".into(), ..observer.clone() }, gone));
        assert!(!Owner::default().is_dead(&observer, gone));
    }

    #[test]
    fn sees_the_end_of_a_process() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id().to_string();
        child.wait().unwrap();
        assert_eq!(started(&pid), None);
        assert_eq!(started("../1"), None);
        assert!(started(&std::process::id().to_string()).unwrap().parse::<u64>().is_ok());
    }
}
