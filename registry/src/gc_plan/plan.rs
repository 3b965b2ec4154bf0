//! What can go, and what stays for which reason. Pure.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::graph::{Graph, Kind, Tag};
use crate::audit::glob::Glob;
use crate::oci::Digest;

/// Version of the shape: raised when a field changes its meaning or goes.
pub const PLAN_VERSION: u32 = 1;

/// What is kept, and with it all it reaches.
#[derive(Debug, Clone, Default)]
pub struct Keep {
    /// Tags.
    pub tags: Vec<Glob>,
    /// So many images, the newest, with all their tags.
    pub last: Option<usize>,
    /// What is not older than this.
    pub older_than: Option<Duration>,
}

/// The plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// [`PLAN_VERSION`].
    pub version: u32,
    /// `host/name`.
    pub repository: String,
    /// Whether everything could be read. If not, nothing is deletable.
    pub complete: bool,
    /// What could not be read.
    pub unchecked: Vec<String>,
    /// Tags that stay.
    pub kept: Vec<Kept>,
    /// Manifests that stay.
    pub kept_manifests: usize,
    /// Tags that can go.
    pub tags: Vec<String>,
    /// Manifests that can go, each before what it lists.
    pub manifests: Vec<Deletable>,
    /// Blobs that nothing of what was read needs then.
    pub blobs: usize,
    /// Their bytes and those of the manifests.
    pub bytes: u64,
}

/// A tag that stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Tag.
    pub tag: String,
    /// Why.
    pub reason: String,
}

/// A manifest that can go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deletable {
    /// Digest.
    pub digest: Digest,
    /// What it is.
    pub kind: Kind,
    /// Platform, as its index says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// A tag that reaches it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// Bytes of blobs that only it and other manifests that can go need; a blob counts for the first.
    pub bytes: u64,
}

/// Makes the plan.
pub fn plan(graph: &Graph, keep: &Keep, now: OffsetDateTime) -> Plan {
    let mut kept = chosen(graph, keep, now);
    let roots = kept.keys().filter_map(|tag| graph.tags.get(*tag)).map(|tag| &tag.digest);
    let reached = graph.reached(roots);
    for (name, tag) in graph.tags.iter().filter(|(_, tag)| tag.about.is_some()) {
        if tag.about.as_ref().is_some_and(|about| reached.contains(about)) {
            kept.insert(name, "it is about what is kept".to_owned());
        }
    }
    let complete = graph.unchecked.is_empty();
    let mut plan = Plan {
        version: PLAN_VERSION,
        repository: graph.repository.clone(),
        complete,
        unchecked: graph.unchecked.clone(),
        kept_manifests: reached.iter().filter(|digest| is_there(graph, digest)).count(),
        tags: Vec::new(),
        manifests: Vec::new(),
        blobs: 0,
        bytes: 0,
        kept: Vec::new(),
    };
    if complete {
        plan.tags = graph.tags.keys().filter(|tag| !kept.contains_key(tag.as_str())).cloned().collect();
        delete(graph, &reached, &mut plan);
    }
    let as_kept = |(tag, reason): (&str, String)| Kept { tag: tag.to_owned(), reason };
    plan.kept = kept.into_iter().map(as_kept).collect();
    plan
}

/// Tags that stay for their own sake, and why.
fn chosen<'a>(graph: &'a Graph, keep: &Keep, now: OffsetDateTime) -> BTreeMap<&'a str, String> {
    let newest = newest(graph, keep.last.unwrap_or(0));
    let by_time = keep.last.is_some() || keep.older_than.is_some();
    let reason = |name: &str, tag: &Tag| -> Option<String> {
        if tag.about.is_some() {
            return tag.is_about_untagged.then(|| "it is about a manifest that is there without a tag".to_owned());
        }
        if let Some(glob) = keep.tags.iter().find(|glob| glob.matches(name)) {
            return Some(format!("--keep-tags {glob}"));
        }
        if newest.contains(&tag.digest) {
            return Some(format!("one of the newest {}", newest.len()));
        }
        match (tag.created, keep.older_than) {
            (None, _) if by_time => Some("nobody knows how old it is".to_owned()),
            (Some(created), Some(limit)) if now - created <= limit => Some("it is not old enough".to_owned()),
            _ => None,
        }
    };
    let tags = graph.tags.iter().map(|(name, tag)| (name.as_str(), reason(name, tag)));
    tags.filter_map(|(name, reason)| Some((name, reason?))).collect()
}

/// The newest images, however many tags each has. Of several as old as the last of them all stay: nothing says which is newer.
fn newest(graph: &Graph, count: usize) -> BTreeSet<&Digest> {
    let own = graph.tags.values().filter(|tag| tag.about.is_none());
    let mut dated: Vec<_> = own.filter_map(|tag| Some((Reverse(tag.created?), &tag.digest))).collect();
    dated.sort_unstable();
    dated.dedup();
    let oldest =
        count.checked_sub(1).and_then(|last| dated.get(last.min(dated.len().saturating_sub(1))).map(|one| one.0));
    dated
        .into_iter()
        .take_while(|(created, _)| oldest.is_some_and(|oldest| *created <= oldest))
        .map(|(_, digest)| digest)
        .collect()
}

fn delete(graph: &Graph, kept: &BTreeSet<&Digest>, plan: &mut Plan) {
    let blobs = |digests: &BTreeSet<&Digest>| -> BTreeSet<Digest> {
        let manifests = digests.iter().filter_map(|digest| graph.manifests.get(*digest));
        manifests.flat_map(|one| one.blobs.iter().map(|(digest, _)| digest.clone())).collect()
    };
    let mut counted = blobs(kept);
    let needed = counted.len();
    for (digest, tag) in in_order(graph, kept, &plan.tags) {
        let Some(manifest) = graph.manifests.get(digest).filter(|one| one.kind != Kind::Missing) else { continue };
        let own = manifest.blobs.iter().filter(|(blob, _)| counted.insert(blob.clone()));
        let bytes = own.fold(0_u64, |sum, (_, size)| sum.saturating_add(*size));
        plan.bytes = plan.bytes.saturating_add(bytes).saturating_add(manifest.size);
        plan.manifests.push(Deletable {
            digest: digest.clone(),
            kind: manifest.kind,
            platform: manifest.platform.clone(),
            tag: tag.map(str::to_owned),
            bytes,
        });
    }
    plan.blobs = counted.len() - needed;
}

/// What can go: each index before what it lists, so that no index is left without a child; and a tag that reaches it.
fn in_order<'a>(graph: &'a Graph, kept: &BTreeSet<&Digest>, tags: &'a [String]) -> Vec<(&'a Digest, Option<&'a str>)> {
    let mut named: BTreeMap<&Digest, &str> = BTreeMap::new();
    for tag in tags {
        let Some(root) = graph.tags.get(tag).map(|tag| &tag.digest) else { continue };
        if named.contains_key(root) {
            continue;
        }
        for digest in graph.reached([root]) {
            named.entry(digest).or_insert(tag);
        }
    }
    let going: BTreeSet<&Digest> = graph.manifests.keys().filter(|digest| !kept.contains(digest)).collect();
    let mut depth: BTreeMap<&Digest, usize> = going.iter().map(|digest| (*digest, 0)).collect();
    // As often as indexes can be nested; a circle, which digests do not allow, ends too.
    for _ in 0..crate::transfer::graph::MAX_DEPTH {
        for digest in &going {
            let (own, children) = (depth[digest], &graph.manifests[*digest].children);
            for child in children {
                if let Some(below) = depth.get_mut(child) {
                    *below = (*below).max(own + 1);
                }
            }
        }
    }
    let mut order: Vec<_> = going.into_iter().collect();
    order.sort_by_key(|digest| (depth[digest], named.get(digest).copied(), *digest));
    order.into_iter().map(|digest| (digest, named.get(digest).copied())).collect()
}

fn is_there(graph: &Graph, digest: &Digest) -> bool {
    graph.manifests.get(digest).is_some_and(|manifest| manifest.kind != Kind::Missing)
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::super::graph::Manifest;
    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-11-20 0:00 UTC);

    fn d(name: &str) -> Digest {
        Digest::sha256(name)
    }

    #[derive(Default)]
    struct Builder(Graph);

    impl Builder {
        /// A manifest by name, the names it lists, and its blobs of a hundred bytes each.
        fn manifest(mut self, name: &str, children: &[&str], blobs: &[&str]) -> Self {
            let manifest = Manifest {
                kind: if children.is_empty() { Kind::Image } else { Kind::Index },
                platform: None,
                size: 1,
                children: children.iter().map(|name| d(name)).collect(),
                subject: None,
                referrers: Vec::new(),
                blobs: blobs.iter().map(|name| (d(name), 100)).collect(),
            };
            self.0.manifests.insert(d(name), manifest);
            self
        }

        fn refers(mut self, name: &str, subject: &str) -> Self {
            self.0.manifests.get_mut(&d(name)).unwrap().subject = Some(d(subject));
            self.0.manifests.get_mut(&d(subject)).unwrap().referrers.push(d(name));
            self
        }

        fn tag(mut self, tag: &str, name: &str, days: Option<i64>) -> Self {
            let created = days.map(|days| NOW - time::Duration::days(days));
            let tag_facts = Tag { digest: d(name), created, about: None, is_about_untagged: false };
            self.0.tags.insert(tag.to_owned(), tag_facts);
            self
        }

        fn about(mut self, tag: &str, name: &str, about: &str, is_about_untagged: bool) -> Self {
            let tag_facts = Tag { digest: d(name), created: None, about: Some(d(about)), is_about_untagged };
            self.0.tags.insert(tag.to_owned(), tag_facts);
            self
        }
    }

    /// Two indexes that share a child, a signature of each in every way, and a lone image.
    fn graph() -> Graph {
        Builder::default()
            .manifest("amd", &[], &["base", "amd"])
            .manifest("arm1", &[], &["base", "arm1"])
            .manifest("arm2", &[], &["base", "arm2"])
            .manifest("index1", &["amd", "arm1"], &[])
            .manifest("index2", &["amd", "arm2"], &[])
            .manifest("note1", &[], &["note1"])
            .manifest("note2", &[], &["note2"])
            .manifest("sig1", &[], &["sig1"])
            .manifest("sig2", &[], &["sig2"])
            .manifest("list1", &["listed1"], &[])
            .manifest("listed1", &[], &["listed1"])
            .manifest("orphan", &[], &["orphan"])
            .manifest("other", &[], &["other"])
            .refers("note1", "arm1")
            .refers("note2", "arm2")
            .tag("1", "index1", Some(40))
            .tag("2", "index2", Some(20))
            .tag("latest", "index2", Some(20))
            .tag("odd", "other", None)
            .about("sig-1", "sig1", "index1", false)
            .about("sig-2", "sig2", "index2", false)
            .about("list-1", "list1", "amd", false)
            .about("orphan", "orphan", "nowhere", false)
            .0
    }

    fn names(plan: &Plan) -> Vec<&'static str> {
        let known =
            ["amd", "arm1", "arm2", "index1", "index2", "note1", "note2", "sig1", "sig2", "list1", "listed1", "orphan"];
        let known = known.into_iter().chain(["other"]);
        let mut names: Vec<_> = known.filter(|name| plan.manifests.iter().any(|one| one.digest == d(name))).collect();
        names.sort_unstable();
        names
    }

    fn keep(tags: &[&str], last: Option<usize>, days: Option<u64>) -> Keep {
        Keep {
            tags: tags.iter().map(|glob| Glob::new(glob).unwrap()).collect(),
            last,
            older_than: days.map(|days| Duration::from_secs(days * 86_400)),
        }
    }

    #[test]
    fn what_kept_tags_reach_stays_and_all_that_is_about_it() {
        let plan = plan(&graph(), &keep(&["2", "odd"], None, None), NOW);
        assert_eq!(plan.tags, ["1", "latest", "orphan", "sig-1"]);
        // The list about the shared child stays, and with it what it lists.
        assert_eq!(names(&plan), ["arm1", "index1", "note1", "orphan", "sig1"]);
        assert_eq!((plan.blobs, plan.bytes), (4, 4 * 100 + 5));
        let kept: Vec<_> = plan.kept.iter().map(|one| (one.tag.as_str(), one.reason.as_str())).collect();
        let about = "it is about what is kept";
        let want = [("2", "--keep-tags 2"), ("list-1", about), ("odd", "--keep-tags odd"), ("sig-2", about)];
        assert_eq!(kept, want);
        let position = |name: &str| plan.manifests.iter().position(|one| one.digest == d(name)).unwrap();
        assert!(position("index1") < position("arm1"), "an index before its children");
        assert_eq!(plan.manifests[position("arm1")].tag.as_deref(), Some("1"));
    }

    #[test]
    fn the_newest_and_the_young_stay_and_what_has_no_age() {
        let one = plan(&graph(), &keep(&[], Some(1), None), NOW);
        assert_eq!(one.tags, ["1", "orphan", "sig-1"], "one image has two tags");
        assert_eq!(plan(&graph(), &keep(&[], None, Some(30)), NOW).tags, ["1", "orphan", "sig-1"]);
        assert_eq!(plan(&graph(), &keep(&[], None, Some(40)), NOW).tags, ["orphan"]);
        let young = one.kept.iter().find(|kept| kept.tag == "odd").unwrap();
        assert_eq!(young.reason, "nobody knows how old it is");
        assert_eq!(plan(&graph(), &keep(&["none"], None, None), NOW).tags.len(), 8, "all of them");
    }

    #[test]
    fn of_images_of_one_age_all_stay_or_none() {
        let graph = Builder(graph()).tag("twin", "amd", Some(20)).0;
        let plan = plan(&graph, &keep(&[], Some(1), None), NOW);
        assert_eq!(plan.tags, ["1", "orphan", "sig-1"], "index2 and amd are as old as each other");
    }

    #[test]
    fn what_says_itself_that_it_is_about_something_kept_stays() {
        let mut graph = Builder(graph()).manifest("sbom", &[], &["sbom"]).tag("sbom-1", "sbom", Some(90)).0;
        graph.manifests.get_mut(&d("sbom")).unwrap().subject = Some(d("index2"));
        let plan = plan(&graph, &keep(&["2"], None, None), NOW);
        assert!(!plan.manifests.iter().any(|one| one.digest == d("sbom")), "{:?}", plan.manifests);
    }

    #[test]
    fn what_is_about_an_untagged_manifest_stays() {
        let mut graph = graph();
        graph.tags.get_mut("orphan").unwrap().is_about_untagged = true;
        let plan = plan(&graph, &keep(&["*"], None, None), NOW);
        assert_eq!((plan.tags.len(), plan.manifests.len(), plan.bytes), (0, 0, 0));
    }

    #[test]
    fn nothing_can_go_while_something_could_not_be_read() {
        let mut graph = graph();
        graph.unchecked.push("a manifest".to_owned());
        let plan = plan(&graph, &keep(&["2"], None, None), NOW);
        assert!(!plan.complete && plan.tags.is_empty() && plan.manifests.is_empty() && plan.bytes == 0);
    }

    #[test]
    fn a_missing_child_is_not_deleted_again() {
        let mut graph = graph();
        graph.manifests.get_mut(&d("arm1")).unwrap().kind = Kind::Missing;
        assert!(!names(&plan(&graph, &keep(&["2", "odd"], None, None), NOW)).contains(&"arm1"));
    }
}
