//! What is listed and compared, in every form; and whose word counts where there is a mirror.

#![allow(clippy::unwrap_used, reason = "a failing helper is a failing test")]

mod support;

use polyarch_registry::oci::Digest;
use polyarch_testkit::proxy::Act;
use polyarch_testkit::{Image, Layer, Proxy, TestRegistry};
use serde_json::{Value, json};
use support::home::{Home, check};

fn wait<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new().unwrap().block_on(work)
}

/// Two images of one base, of which the second has other files on top.
fn two(home: &Home) {
    let base = || Layer::new().dir("etc").file("etc/motd", "one").file("etc/gone", "x").file("etc/same", "s");
    let image = |layer: Layer| Image::new("linux/amd64").layer(base()).layer(layer);
    let top = Layer::new().file("etc/motd", "two!").file("etc/.wh.gone", "").executable("run", "").symlink("l", "run");
    let http = home.registry.http();
    let (a, b) = (image(Layer::new().file("etc/other", "o")).build(), image(top).build());
    wait(async {
        http.push_image("files", "a", &a).await;
        http.push_image("files", "b", &b).await;
    });
}

#[test]
fn files_are_compared_where_asked_for() {
    let home = Home::new();
    two(&home);
    let (a, b) = (home.at("files:a"), home.at("files:b"));
    let (out, _) = check(&home.run(&["diff", &a, &b]), 0);
    assert!(out.contains("layer 001") && !out.contains("/etc"), "{out}");
    let (out, _) = check(&home.run(&["diff", &a, &b, "--files", "--field", "what,left,right", "--exit-code"]), 7);
    let lines: Vec<&str> = out.lines().filter(|line| line.starts_with('/')).collect();
    let (one, two) = (Digest::sha256("one"), Digest::sha256("two!"));
    assert_eq!(
        lines,
        [
            format!("/etc/gone\t0644 1 {}\t", Digest::sha256("x")),
            format!("/etc/motd\t0644 3 {one}\t0644 4 {two}"),
            format!("/etc/other\t0644 1 {}\t", Digest::sha256("o")),
            "/l\t\tlink to run".to_owned(),
            format!("/run\t\t0755 0 {}", Digest::sha256("")),
        ]
    );
    let (out, _) = check(&home.run(&["diff", &a, &b, "--files"]), 0);
    assert!(out.lines().all(|line| line.chars().count() <= 80), "{out}");
    let found = home.json(&["diff", &a, &b, "--files", "--format", "json"]);
    let motd = found.as_array().unwrap().iter().find(|one| one["what"] == "/etc/motd").unwrap();
    assert_eq!((&motd["platform"], &motd["right"]), (&json!("linux/amd64"), &json!(format!("0644 4 {two}"))));
    check(&home.run(&["copy", &b, "oci:b:1"]), 0);
    let (out, _) = check(&home.run(&["diff", &b, "oci:b:1", "--files"]), 0);
    assert_eq!(out, "no difference\n");
    check(&home.run(&["diff", &a, &b, "--field", "nope"]), 2);
}

#[test]
fn a_damaged_layer_is_told_not_compared() {
    let home = Home::new();
    two(&home);
    check(&home.run(&["copy", &home.at("files:a"), "oci:a:1"]), 0);
    let manifest = home.json(&["manifest", "get", &home.at("files:a")]);
    let layer = manifest["layers"][1]["digest"].as_str().unwrap().replace(':', "/");
    let path = home.path("a/blobs").join(layer);
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    // Written anew: the copy may share its file with nobody.
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, bytes).unwrap();
    let (_, err) = check(&home.run(&["diff", "oci:a:1", &home.at("files:b"), "--files"]), 5);
    assert!(err.contains("the files of oci:") && err.contains("it has digest"), "{err}");
}

#[test]
fn every_listing_has_fields() {
    let home = Home::new();
    let (app, digest) = (home.at("app:1"), home.digest("app:1"));
    let (out, _) = check(&home.run(&["inspect", &app, "--field", "platform,layers"]), 0);
    assert_eq!(out, "linux/amd64\t2\nlinux/arm64\t2\nlinux/arm/v7\t2\n");
    let (out, _) = check(&home.run(&["inspect", &app, "--field", "platform", "--resolve-for", "linux/arm64"]), 0);
    assert_eq!(out, "linux/arm64\n");
    let (out, _) = check(&home.run(&["index", "show", &app, "--field", "platform,kind"]), 0);
    assert_eq!(out, "linux/amd64\timage\nlinux/arm64\timage\nlinux/arm/v7\timage\n");
    let (_, err) = check(&home.run(&["inspect", &app, "--field", "platfrm"]), 2);
    assert!(err.contains("there is platform, digest, size"), "{err}");
    check(&home.run(&["inspect", &app, "--field", "digest", "--raw"]), 2);
    let (out, _) = check(&home.run(&["--store", "layout", "store", "ls", "--field", "name,digest,complete"]), 0);
    assert_eq!(out, format!("1\t{digest}\ttrue\n"));
}

#[test]
fn what_refers_to_an_image_is_shown_with_it() {
    let home = Home::new();
    let app = home.at("app:1");
    let entries = home.json(&["index", "show", &app, "--format", "json"]);
    let arm = entries[1].clone();
    let subject = json!({"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": arm["digest"], "size": arm["size"]});
    let note = Image::new("linux/arm64").subject(serde_json::from_value(subject).unwrap()).build();
    let digest = note.manifest.digest().to_string();
    wait(async { home.registry.http().push_image("app", &digest, &note).await });

    let found = home.json(&["inspect", &app, "--format", "json"]);
    assert_eq!(found["referrers"][0]["digest"], digest.as_str());
    assert_eq!(found["referrers"][0]["subject"], arm["digest"]);
    assert_eq!(found["referrers"].as_array().unwrap().len(), 1);
    let (out, _) = check(&home.run(&["inspect", &app]), 0);
    let line = out.lines().find(|line| line.starts_with(&digest[..19])).unwrap();
    assert!(out.contains("REFERRER") && line.contains("linux/arm64"), "{out}");
    let other = home.json(&["inspect", &app, "--format", "json", "--resolve-for", "linux/amd64"]);
    assert_eq!(other["referrers"], json!([]));

    check(&home.run(&["copy", &app, "oci:out:1"]), 0);
    let in_layout = home.json(&["inspect", "oci:out:1", "--format", "json"]);
    assert_eq!(in_layout["referrers"], found["referrers"]);
}

/// A mirror that has an older `app:1`, and everything else too.
fn behind_a_mirror(home: &Home) -> (TestRegistry, Proxy) {
    let mirror = TestRegistry::start_with(|config| config.options.delete = true);
    let proxy = Proxy::start(mirror.addr(), |_| Act::Pass);
    let old = ["index", "create", &mirror.reference("app:1"), &format!("{}@{}", home.at("app"), child(home))];
    check(&home.run(&old), 0);
    check(&home.run(&["tag", &mirror.reference("app:1"), "2", "gone"]), 0);
    let dir = home.path("certs").join(home.registry.addr().to_string());
    std::fs::create_dir_all(&dir).unwrap();
    let text = format!(
        "[host.\"http://{}\"]\n  capabilities = [\"pull\", \"resolve\"]\n",
        proxy.reference("").trim_end_matches('/')
    );
    std::fs::write(dir.join("hosts.toml"), text).unwrap();
    (mirror, proxy)
}

fn child(home: &Home) -> String {
    let entries = home.json(&["index", "show", &home.at("app:1"), "--format", "json"]);
    entries[0]["digest"].as_str().unwrap().to_owned()
}

#[test]
fn a_change_is_the_registry_s_own_whatever_a_mirror_says() {
    let home = Home::new();
    let digest = home.digest("app:1");
    let (_mirror, proxy) = behind_a_mirror(&home);
    let with = |args: &[&str]| home.run(&[args, &["--cert-dir", "certs"]].concat());
    let app = home.at("app:1");
    let (mirrored, _) = check(&with(&["inspect", &app, "--field", "platform"]), 0);
    assert_eq!(mirrored, "linux/amd64\n", "a read is the mirror's");
    let asked = proxy.seen().len();

    check(&with(&["tag", &app, "2"]), 0);
    assert_eq!(home.digest("app:2"), digest, "the registry's image, not the mirror's");
    check(&with(&["index", "annotate", &app, "a=b", "--if-digest", &digest]), 0);
    let index: Value = serde_json::from_slice(&home.run(&["manifest", "get", &app]).stdout).unwrap();
    assert_eq!((index["manifests"].as_array().unwrap().len(), &index["annotations"]["a"]), (3, &json!("b")));
    check(&with(&["index", "rm", &home.at("app:2"), "linux/arm64"]), 0);
    check(&with(&["rm", &home.at("app:gone")]), 8);
    check(&with(&["rm", &home.at("app:2")]), 0);
    std::fs::write(home.path("file"), "hello").unwrap();
    check(&with(&["blob", "put", &home.at("app"), "file"]), 0);
    let seen: Vec<String> = proxy.seen()[asked..].iter().map(|seen| format!("{} {}", seen.method, seen.path)).collect();
    assert_eq!(seen, [""; 0], "nobody asked the mirror");
}
