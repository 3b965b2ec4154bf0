//! A Docker daemon through its own client: what a run left in it.

use std::process::Command;

/// A daemon.
#[derive(Debug, Clone)]
pub struct Docker {
    /// Its address, as `docker -H` takes it.
    pub host: String,
}

impl Docker {
    /// Runs a Docker command and returns its output; empty if it failed.
    pub fn run(&self, args: &[&str]) -> String {
        let output = Command::new("docker").args(["-H", &self.host]).args(args).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Returns the Docker-in-Docker containers of a process.
    pub fn containers_of(&self, pid: u32) -> Vec<String> {
        let label = format!("label=io.polyarch.owner.pid={pid}");
        self.run(&["ps", "-aq", "--no-trunc", "--filter", &label]).lines().map(str::to_owned).collect()
    }

    /// Returns the volumes a container uses.
    pub fn volumes_of(&self, container: &str) -> Vec<String> {
        let format = "{{range .Mounts}}{{if eq .Type \"volume\"}}{{.Name}} {{end}}{{end}}";
        self.run(&["inspect", "-f", format, container]).split_whitespace().map(str::to_owned).collect()
    }

    /// Returns whether a volume exists.
    pub fn has_volume(&self, name: &str) -> bool {
        self.run(&["volume", "ls", "-q"]).lines().any(|line| line == name)
    }

    /// Returns the temporary tags of a process.
    pub fn temporary_tags_of(&self, pid: u32) -> Vec<String> {
        let tags = self.run(&["images", "--format", "{{.Repository}}:{{.Tag}}", "polyarch.invalid/tmp"]);
        let own = format!("polyarch.invalid/tmp:{pid}-");
        tags.lines().filter(|tag| tag.starts_with(&own)).map(str::to_owned).collect()
    }

    /// Asserts that a process that has ended left nothing.
    #[track_caller]
    pub fn assert_clean(&self, pid: u32, volumes: &[String]) {
        assert_eq!(self.containers_of(pid), [""; 0], "containers");
        assert_eq!(self.temporary_tags_of(pid), [""; 0], "temporary tags");
        let left: Vec<&String> = volumes.iter().filter(|volume| self.has_volume(volume)).collect();
        assert!(left.is_empty(), "volumes: {left:?}");
    }
}
