//! Debian's docker-registry on a free loopback port, with a temporary root.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use polyarch_registry::client::HostSettings;
use polyarch_registry::oci::Reference;

pub struct RealRegistry {
    child: Child,
    pub dir: tempfile::TempDir,
    pub port: u16,
    /// The name clients use.
    pub name: &'static str,
}

#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    pub users: bool,
    pub tls: bool,
    /// Clients must show a certificate; the server's own is accepted.
    pub client_certs: bool,
}

/// `ada` with password `secret`, bcrypt.
const USERS: &str = "ada:$2y$04$EGxkvoJY4LXHv/rQwT03ku/T3gSdR5kkZmlAOZlEMSHuzoZXbFFTy\n";

impl RealRegistry {
    /// Starts a registry, or says why not. With `POLYARCH_BED_REQUIRED=1` not starting is a failure.
    pub fn start(options: Options) -> Option<Self> {
        let found = Command::new("docker-registry").arg("--version").stdout(Stdio::null()).status();
        if found.is_err() {
            let required = std::env::var("POLYARCH_BED_REQUIRED").is_ok_and(|value| value == "1");
            assert!(!required, "docker-registry is not installed, and POLYARCH_BED_REQUIRED=1");
            eprintln!("skipped: docker-registry is not installed");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("config.yml"), configuration(&dir, options)).unwrap();
        let mut child = Command::new("docker-registry")
            .arg("serve")
            .arg(dir.path().join("config.yml"))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let port = listening_port(&mut log);
        // The log must be read on, or the registry blocks when the pipe is full.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Some(Self { child, dir, port, name: "localhost" })
    }

    pub fn host(&self) -> String {
        format!("{}:{}", self.name, self.port)
    }

    pub fn reference(&self, rest: &str) -> Reference {
        format!("{}/{rest}", self.host()).parse().unwrap()
    }

    pub fn ca(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    pub fn key(&self) -> PathBuf {
        self.dir.path().join("key.pem")
    }

    #[allow(dead_code, reason = "not every test that shares this file takes a registry away")]
    pub fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub fn trusted(&self) -> HostSettings {
        HostSettings { ca_files: vec![self.ca()], ..HostSettings::default() }
    }
}

impl Drop for RealRegistry {
    fn drop(&mut self) {
        self.stop();
    }
}

fn configuration(dir: &tempfile::TempDir, options: Options) -> String {
    let root = dir.path().join("data");
    let mut text = format!(
        "version: 0.1\nlog: {{level: info}}\nstorage:\n  filesystem: {{rootdirectory: {}}}\n  delete: {{enabled: true}}\n",
        root.display()
    );
    if options.users {
        let path = dir.path().join("htpasswd");
        std::fs::write(&path, USERS).unwrap();
        text += &format!("auth:\n  htpasswd: {{realm: test, path: {}}}\n", path.display());
    }
    text += "http:\n  addr: 127.0.0.1:0\n";
    if options.tls {
        let certified = rcgen::generate_simple_self_signed(vec!["localhost".into(), "127.0.0.1".into()]).unwrap();
        let (cert, key) = (dir.path().join("ca.pem"), dir.path().join("key.pem"));
        std::fs::write(&cert, certified.cert.pem()).unwrap();
        std::fs::write(&key, certified.signing_key.serialize_pem()).unwrap();
        let clients = if options.client_certs { format!(", clientcas: [{}]", cert.display()) } else { String::new() };
        text += &format!("  tls: {{certificate: {}, key: {}{clients}}}\n", cert.display(), key.display());
    }
    text
}

/// `… msg="listening on 127.0.0.1:41235" …`, with `, tls` after the port.
fn listening_port(log: &mut impl BufRead) -> u16 {
    let mut all = String::new();
    for line in log.lines() {
        let line = line.unwrap();
        if let Some((_, rest)) = line.split_once("listening on 127.0.0.1:") {
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            return digits.parse().unwrap();
        }
        all += &line;
    }
    panic!("docker-registry did not start: {all}");
}
