use super::manifests::{Found, ReferrersPage};
use super::*;
use crate::oci::Descriptor;

struct Fixture {
    disk: Disk,
    dir: tempfile::TempDir,
}

fn fixture() -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    Fixture { disk: Disk::open(dir.path()).unwrap(), dir }
}

fn name(text: &str) -> RepoName {
    RepoName::parse(text).unwrap()
}

fn tag(text: &str) -> Tag {
    Tag::parse(text).unwrap()
}

fn manifest(text: &str, tags: &[&str]) -> NewManifest {
    NewManifest {
        digest: Digest::sha256(text),
        media_type: "m".into(),
        size: text.len() as u64,
        references: Vec::new(),
        referrer: None,
        tags: tags.iter().map(|text| tag(text)).collect(),
        condition: None,
    }
}

fn referrer(text: &str, subject: &Digest, artifact_type: &str) -> NewManifest {
    let mut new = manifest(text, &[]);
    let mut entry = Descriptor::new("m", new.digest.clone(), new.size);
    entry.artifact_type = Some(artifact_type.into());
    new.referrer = Some(Referrer { subject: subject.clone(), entry });
    new
}

#[test]
fn blobs_belong_to_repositories() {
    let Fixture { disk, dir: _dir } = fixture();
    let digest = Digest::sha256("x");
    disk.link_blob(&name("a"), &digest).unwrap();
    disk.link_blob(&name("a"), &digest).unwrap();
    assert!(disk.has_blob(&name("a"), &digest));
    assert!(!disk.has_blob(&name("a/b"), &digest));
    assert_eq!(disk.unlink_blob(&name("a"), &digest).ok(), Some(true));
    assert_eq!(disk.unlink_blob(&name("a"), &digest).ok(), Some(false));
    assert_eq!(disk.tags(&name("a")).unwrap(), Some(vec![]), "known, but without tags");
    assert_eq!(disk.tags(&name("b")).unwrap(), None);
}

#[test]
fn a_manifest_with_missing_references_changes_nothing() {
    let Fixture { disk, dir: _dir } = fixture();
    let (repo, here, gone) = (name("a"), Digest::sha256("here"), Digest::sha256("gone"));
    disk.link_blob(&repo, &here).unwrap();
    let mut new = manifest("m", &["v1"]);
    new.references = vec![gone.clone(), here.clone(), gone.clone()];
    assert!(matches!(disk.put_manifest(&repo, &new), Err(MetaError::Missing(missing)) if missing == [gone.clone()]));
    assert_eq!(disk.manifest(&repo, &new.digest).unwrap(), None);
    assert_eq!(disk.resolve(&repo, &tag("v1")).unwrap(), None);

    disk.put_manifest(&repo, &NewManifest { digest: gone, ..manifest("child", &[]) }).unwrap();
    disk.put_manifest(&repo, &new).unwrap();
    assert_eq!(disk.resolve(&repo, &tag("v1")).unwrap(), Some(new.digest));
}

#[test]
fn survives_reopening() {
    let Fixture { disk, dir } = fixture();
    let new = manifest("m", &["b", "A", "a"]);
    disk.put_manifest(&name("x/y"), &new).unwrap();
    std::fs::write(dir.path().join("tmp/left"), "half").unwrap();
    drop(disk);
    let disk = Disk::open(dir.path()).unwrap();
    assert_eq!(disk.tags(&name("x/y")).unwrap().unwrap(), ["A", "a", "b"]);
    let record = disk.manifest(&name("x/y"), &new.digest).unwrap().unwrap();
    assert_eq!(record, Record { media_type: "m".into(), size: 1, subject: None });
    assert!(!dir.path().join("tmp/left").exists());
}

#[test]
fn deleting_a_manifest_takes_its_tags_and_referrers_entry() {
    let Fixture { disk, dir: _dir } = fixture();
    let (repo, subject) = (name("a"), Digest::sha256("s"));
    let mut new = referrer("m", &subject, "t");
    new.tags = vec![tag("v1"), tag("v2")];
    disk.put_manifest(&repo, &new).unwrap();
    disk.put_manifest(&repo, &manifest("other", &["v3"])).unwrap();
    assert_eq!(disk.delete_manifest(&repo, &new.digest).ok(), Some(true));
    assert_eq!(disk.delete_manifest(&repo, &new.digest).ok(), Some(false));
    assert_eq!(disk.tags(&repo).unwrap().unwrap(), ["v3"]);
    let page = ReferrersPage { artifact_type: None, last: None, limit: None, budget: 1000 };
    assert_eq!(disk.referrers(&repo, &subject, page).unwrap(), Found::default());
}

#[test]
fn lists_referrers_in_pages_and_by_type() {
    let Fixture { disk, dir } = fixture();
    let (repo, subject) = (name("a"), Digest::sha256("s"));
    for (text, kind) in [("1", "sig"), ("2", "sbom"), ("3", "sig")] {
        disk.put_manifest(&repo, &referrer(text, &subject, kind)).unwrap();
    }
    // An entry without a record is what a kill between the two leaves.
    let orphan =
        disk.root.join("a/_referrers/sha256").join(subject.encoded()).join(format!("sha256-{}", "0".repeat(64)));
    std::fs::write(orphan, "{").unwrap();

    let page = |artifact_type, last, budget| {
        disk.referrers(&repo, &subject, ReferrersPage { artifact_type, last, limit: None, budget }).unwrap()
    };
    let all = page(None, None, 10_000);
    assert_eq!((all.entries.len(), all.more), (3, false));
    assert_eq!(page(Some("sig"), None, 10_000).entries.len(), 2);
    let first = page(None, None, 1);
    assert_eq!((first.entries.len(), first.more), (1, true));
    let rest = page(None, Some(&first.entries[0].digest), 10_000);
    assert_eq!([first.entries, rest.entries].concat(), all.entries);
    drop(dir);
}

#[test]
fn lists_repositories_in_byte_order() {
    let Fixture { disk, dir: _dir } = fixture();
    for repo in ["a/b", "a-b", "a", "z/y/x"] {
        disk.put_manifest(&name(repo), &manifest("m", &[])).unwrap();
    }
    disk.link_blob(&name("only/blobs"), &Digest::sha256("x")).unwrap();
    assert_eq!(disk.repositories().unwrap(), ["a", "a-b", "a/b", "z/y/x"]);
    disk.delete_manifest(&name("a"), &manifest("m", &[]).digest).unwrap();
    assert_eq!(disk.repositories().unwrap(), ["a-b", "a/b", "z/y/x"]);
}

#[test]
fn damage_is_reported_with_its_path() {
    let Fixture { disk, dir } = fixture();
    disk.put_manifest(&name("a"), &manifest("m", &["v1"])).unwrap();
    let path = dir.path().join("repositories/a/_tags/v1");
    std::fs::write(&path, "not a digest").unwrap();
    assert!(matches!(disk.resolve(&name("a"), &tag("v1")), Err(MetaError::Damaged { path: p }) if p == path));
}
