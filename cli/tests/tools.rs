//! `polyarch copy`, `index` and the tools over a repository, as a user runs them.

#![allow(clippy::unwrap_used, reason = "a failing helper is a failing test")]

mod support;

use serde_json::Value;
use support::home::{Home, check};

#[test]
fn copies_say_what_is_the_same() {
    let home = Home::new();
    let digest = home.digest("app:1");
    let (out, _) = check(&home.run(&["copy", &home.at("app:1"), &home.at("copy")]), 0);
    assert_eq!(
        out,
        format!("1: {digest} at both ends, 4 manifests\nblobs: 0 sent (0 B), 9 mounted, 0 there already\n")
    );
    let (out, _) = check(&home.run(&["copy", "-q", &home.at("app:1"), &home.at("copy")]), 0);
    assert_eq!(out, format!("{digest}\n"));
    let (out, _) = check(&home.run(&["copy", &home.at("app:1"), "oci:out"]), 0);
    assert!(out.starts_with(&format!("1: {digest} at both ends")), "{out}");
    check(&home.run(&["verify", "--deep", "oci:out:1"]), 0);

    let one = ["copy", "--platform", "linux/arm64", &home.at("app:1"), &home.at("less:1")];
    let (out, _) = check(&home.run(&one), 0);
    assert!(out.contains(&format!("at the source {digest}")), "{out}");
    assert!(out.contains("because it does not list linux/amd64, linux/arm/v7"), "{out}");
    check(&home.run(&["verify", "--deep", &home.at("less:1")]), 0);
    let (_, err) = check(&home.run(&["copy", "--platform", "linux/s390x", &home.at("app:1"), &home.at("no:1")]), 2);
    assert!(err.contains("hint: there is linux/amd64, linux/arm64, linux/arm/v7"), "{err}");

    check(&home.run(&["tag", &home.at("app:1"), "2", "3"]), 0);
    let (out, _) = check(&home.run(&["copy", "--all-tags", &home.at("app"), &home.at("all")]), 0);
    assert_eq!(out.lines().count(), 4, "{out}");
    assert_eq!(check(&home.run(&["tags", &home.at("all"), "--field", "tag"]), 0).0, "1\n2\n3\n");
    check(&home.run(&["copy", &home.at("app:none"), &home.at("x:1")]), 8);
    check(&home.run(&["copy", &home.at("app:1"), &format!("{}@{digest}", home.at("x"))]), 2);
}

#[test]
fn an_archive_has_everything() {
    let home = Home::new();
    check(&home.run(&["copy", &home.at("app:1"), "docker-archive:app.tar"]), 0);
    let mut names = Vec::new();
    let mut tar = tar::Archive::new(std::fs::File::open(home.path("app.tar")).unwrap());
    for entry in tar.entries().unwrap() {
        names.push(entry.unwrap().path().unwrap().display().to_string());
    }
    assert_eq!(names.iter().filter(|name| name.starts_with("blobs/sha256/")).count(), 13, "{names:?}");
    assert!(names.contains(&"index.json".to_owned()) && !names.contains(&"manifest.json".to_owned()));
    let (out, _) = check(&home.run(&["copy", "docker-archive:app.tar", &home.at("back:2")]), 0);
    assert!(out.starts_with(&format!("2: {} at both ends", home.digest("app:1"))), "{out}");
    std::fs::write(home.path("bad.tar"), "no tar").unwrap();
    check(&home.run(&["copy", "docker-archive:bad.tar", &home.at("bad:1")]), 2);
    // A blob that is not what its name says: the last byte of a configuration.
    let mut bytes = std::fs::read(home.path("app.tar")).unwrap();
    let at = bytes.windows(12).position(|window| window == b"\"architectur").unwrap();
    bytes[at + 1] = b'b';
    std::fs::write(home.path("spoilt.tar"), bytes).unwrap();
    check(&home.run(&["copy", "docker-archive:spoilt.tar", &home.at("bad:1")]), 5);
    let left = std::fs::read_dir(home.dir.path()).unwrap().count();
    check(&home.run(&["copy", "--platform", "linux/amd64", &home.at("app:1"), "docker-archive:one.tar"]), 0);
    assert_eq!(std::fs::read_dir(home.dir.path()).unwrap().count(), left + 1);
}

/// A tar as `docker save` wrote it before Docker 25: a directory for each layer, no layout.
fn legacy(path: &std::path::Path, images: usize) -> String {
    let mut inner = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(5);
    inner.append_data(&mut header, "etc/motd", &b"hello"[..]).unwrap();
    let layer = inner.into_inner().unwrap();
    let diff_id = polyarch_registry::oci::Digest::sha256(&layer);
    // Spaces that a parser would lose.
    let config = format!(
        r#"{{ "architecture":"amd64",  "os":"linux", "rootfs":{{"type":"layers","diff_ids":["{diff_id}"]}} }}"#
    );
    let digest = polyarch_registry::oci::Digest::sha256(&config);
    let name = format!("{}.json", digest.encoded());
    let image = serde_json::json!({"Config": name, "RepoTags": ["old:1"], "Layers": ["abc/layer.tar"]});
    let list = serde_json::to_string(&vec![image; images]).unwrap();
    let mut outer = tar::Builder::new(std::fs::File::create(path).unwrap());
    for (name, bytes) in [("abc/VERSION", b"1.0" as &[u8]), ("abc/layer.tar", &layer), (&name, config.as_bytes())] {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        outer.append_data(&mut header, name, bytes).unwrap();
    }
    let mut header = tar::Header::new_ustar();
    header.set_size(list.len() as u64);
    outer.append_data(&mut header, "manifest.json", list.as_bytes()).unwrap();
    outer.into_inner().unwrap();
    digest.to_string()
}

#[test]
fn an_archive_of_an_old_docker_keeps_its_configuration() {
    let home = Home::new();
    let config = legacy(&home.path("old.tar"), 1);
    let (out, _) = check(&home.run(&["copy", "docker-archive:old.tar", &home.at("old")]), 0);
    assert!(out.starts_with("1: sha256:"), "a destination without a tag gets the source's: {out}");
    assert!(out.contains(&format!("one was made around its configuration {config}")), "{out}");
    assert_eq!(home.json(&["manifest", "get", &home.at("old:1")])["config"]["digest"], config.as_str());
    check(&home.run(&["verify", "--deep", &home.at("old:1")]), 0);
    let digest = home.digest("old:1");
    check(&home.run(&["copy", "docker-archive:old.tar", "oci:again:1"]), 0);
    let (out, _) = check(&home.run(&["copy", "-q", "oci:again:1", &home.at("old:2")]), 0);
    assert_eq!(out.trim(), digest, "the same archive gives the same manifest");
    check(&home.run(&["copy", "docker-archive:old.tar", "docker-archive:new.tar"]), 0);
    let tar = String::from_utf8_lossy(&std::fs::read(home.path("new.tar")).unwrap()).into_owned();
    assert!(tar.contains(r#""RepoTags":["docker.io/library/old:1"]"#), "its name goes along");
    legacy(&home.path("two.tar"), 2);
    let (_, err) = check(&home.run(&["copy", "docker-archive:two.tar", &home.at("old:3")]), 2);
    assert!(err.contains("2 images instead of one"), "{err}");
}

#[test]
fn names_are_listed_given_and_taken() {
    let home = Home::new();
    check(&home.run(&["tag", &home.at("app:1"), "2"]), 0);
    assert_eq!(check(&home.run(&["tags", &home.at("app")]), 0).0, "TAG\n1\n2\n");
    assert_eq!(home.json(&["tags", &home.at("app"), "--format", "json"])[1]["tag"], "2");
    let host = home.registry.addr().to_string();
    assert_eq!(check(&home.run(&["repos", &host]), 0).0, "REPOSITORY\napp\n");
    check(&home.run(&["repos", "a/b"]), 2);
    check(&home.run(&["rm", &home.at("app:2")]), 0);
    assert_eq!(check(&home.run(&["tags", &home.at("app"), "--field", "tag"]), 0).0, "1\n");
    check(&home.run(&["rm", &home.at("app:2")]), 8);
    check(&home.run(&["rm", &home.at("app")]), 2);
    let by_digest = format!("{}@{}", home.at("app"), home.digest("app:1"));
    check(&home.run(&["rm", &by_digest]), 2);
    check(&home.run(&["rm", "--digest", &home.at("app:1")]), 0);
    check(&home.run(&["manifest", "get", &by_digest]), 8);
}

#[test]
fn content_comes_and_goes_byte_for_byte() {
    let home = Home::new();
    std::fs::write(home.path("file"), "hello").unwrap();
    let (digest, _) = check(&home.run(&["blob", "put", &home.at("app"), "file"]), 0);
    let at = format!("{}@{}", home.at("app"), digest.trim());
    assert_eq!(home.run(&["blob", "get", &at]).stdout, b"hello");
    check(&home.run(&["blob", "get", &at, "-o", "again"]), 0);
    assert_eq!(std::fs::read(home.path("again")).unwrap(), b"hello");
    let absent = at.replace(digest.trim(), &polyarch_registry::oci::Digest::sha256("no").to_string());
    check(&home.run(&["blob", "get", &absent, "-o", "absent"]), 8);
    assert!(!home.path("absent").exists());

    let index = home.run(&["manifest", "get", &home.at("app:1")]).stdout;
    std::fs::write(home.path("index"), &index).unwrap();
    check(&home.run(&["manifest", "put", &home.at("app:again"), "index"]), 0);
    assert_eq!(home.run(&["manifest", "get", &home.at("app:again")]).stdout, index);
    check(&home.run(&["manifest", "put", &absent, "index"]), 2);
    check(&home.run(&["manifest", "put", &home.at("app:bad"), "file"]), 2);

    let note = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","artifactType":"text/x-note",
        "config":{{"mediaType":"application/vnd.oci.empty.v1+json","digest":"{0}","size":5}},"layers":[],
        "subject":{{"mediaType":"application/vnd.oci.image.index.v1+json","digest":"{1}","size":{2}}}}}"#,
        digest.trim(),
        home.digest("app:1"),
        index.len()
    );
    std::fs::write(home.path("note"), note).unwrap();
    let (note, _) = check(&home.run(&["manifest", "put", &home.at("app"), "note"]), 0);
    let (listed, _) = check(&home.run(&["referrers", &home.at("app:1"), "--field", "digest,type"]), 0);
    assert_eq!(listed, format!("{}\ttext/x-note\n", note.trim()));
    let (out, _) = check(&home.run(&["copy", &home.at("app:1"), &home.at("signed:1")]), 0);
    assert!(out.contains("4 manifests, 1 referrer\n"), "{out}");
}

#[test]
fn indexes_are_changed_without_touching_the_rest() {
    let home = Home::new();
    let before = home.digest("app:1");
    let rows = home.json(&["index", "show", &home.at("app:1"), "--format", "json"]);
    let arm = rows[1]["digest"].as_str().unwrap().to_owned();
    check(&home.run(&["index", "rm", &home.at("app:1"), "linux/arm64", "--if-digest", &before]), 0);
    let (_, err) = check(&home.run(&["index", "rm", &home.at("app:1"), "linux/amd64", "--if-digest", &before]), 6);
    assert!(err.contains("it was not changed"), "{err}");
    check(&home.run(&["index", "rm", &home.at("app:1"), "linux/arm64"]), 2);
    let arm_image = format!("{}@{arm}", home.at("app"));
    check(&home.run(&["index", "add", &home.at("app:1"), &arm_image]), 0);
    let (_, err) = check(&home.run(&["index", "add", &home.at("app:1"), &arm_image]), 2);
    assert!(err.contains("is in the index already"), "{err}");
    check(&home.run(&["index", "annotate", &home.at("app:1"), "n=w", "k-"]), 0);
    check(&home.run(&["index", "annotate", &home.at("app:1"), "--entry", "linux/amd64", "e=f"]), 0);
    let index: Value = serde_json::from_slice(&home.run(&["manifest", "get", &home.at("app:1")]).stdout).unwrap();
    assert_eq!(index["annotations"], serde_json::json!({"n": "w"}));
    assert_eq!(index["manifests"][0]["annotations"]["e"], "f");

    // From another repository: the image comes along.
    check(&home.run(&["index", "create", &home.at("new:1"), &arm_image, "--annotation", "a=b"]), 0);
    check(&home.run(&["verify", "--deep", &home.at("new:1")]), 0);
    let docker = ["index", "create", "--format", "docker", &home.at("new:2"), &arm_image];
    let (_, err) = check(&home.run(&docker), 2);
    assert!(err.contains("cannot be in an index of type"), "{err}");
    assert_eq!(check(&home.run(&["tags", &home.at("new"), "--field", "tag"]), 0).0, "1\n");
}

#[test]
fn differences_are_named() {
    let home = Home::new();
    let (out, _) = check(&home.run(&["diff", &home.at("app:1"), "oci:layout:1"]), 0);
    assert_eq!(out, "no difference\n");
    let two = ["diff", &home.at("app:1"), "--platform", "linux/amd64,linux/arm64", "--exit-code"];
    let (out, _) = check(&home.run(&two), 7);
    assert!(out.contains("architecture  amd64") && out.contains("layer 000"), "{out}");
    assert!(out.lines().all(|line| line.chars().count() <= 80), "{out}");
    check(&home.run(&["diff", &home.at("app:1")]), 2);

    let resolved =
        |wanted: &str| home.run(&["inspect", &home.at("app:1"), "--format", "json", "--resolve-for", wanted]);
    for (wanted, got) in
        [("linux/arm64", "linux/arm64"), ("linux/arm/v8", "linux/arm/v7"), ("linux/amd64/v3", "linux/amd64")]
    {
        let found: Value = serde_json::from_str(&check(&resolved(wanted), 0).0).unwrap();
        assert_eq!(found["platforms"].as_array().unwrap().len(), 1);
        assert_eq!(found["platforms"][0]["platform"], got, "{wanted}");
    }
    check(&resolved("linux/s390x"), 2);
}

#[test]
fn an_unknown_destination_is_told_once() {
    let home = Home::new();
    let start = std::time::Instant::now();
    let (_, err) = check(&home.run(&["copy", &home.at("app:1"), "127.0.0.1:1/x:1"]), 6);
    assert!(err.contains("its tag was not moved") && err.matches("error:").count() == 1, "{err}");
    assert!(start.elapsed().as_secs() < 60);
}
