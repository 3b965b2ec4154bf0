//! The bases of what is audited: what is said of them, what is recognised, and what their tags are now.

use std::sync::Arc;

use polyarch_registry::audit::inventory::{Gatherer, Inventory, State};
use polyarch_registry::audit::{Auditor, Job, Policy, Scope};
use polyarch_registry::client::Registry;
use polyarch_testkit::proxy::Act;
use polyarch_testkit::script::quick;
use polyarch_testkit::{Proxy, Specimen, TestRegistry};
use serde_json::json;
use time::OffsetDateTime;

use crate::BOTH;
use crate::published::push;

async fn inventory(repositories: &[String]) -> Inventory {
    let registry = Registry::new(quick());
    let gatherer = Arc::new(Gatherer::default());
    let auditor = Auditor::new(registry.clone(), None, Policy::default(), Scope::default());
    let jobs = repositories.iter().map(|name| Job::Repository { repository: name.parse().unwrap(), tags: None });
    auditor.with_inventory(Arc::clone(&gatherer)).run(jobs.collect(), &|_| ()).await;
    let mut found = gatherer.inventory();
    let now = OffsetDateTime::from_unix_timestamp(1_768_000_000).unwrap();
    found.look(&registry, None, now).await;
    found
}

/// An image that is the first layer of a healthy one.
fn base() -> Specimen {
    let cut = |mut part: polyarch_testkit::specimen::Part| {
        part.layers.truncate(1);
        part
    };
    Specimen::healthy(&BOTH).part(0, cut).part(1, cut)
}

/// Name, digest, state, age and images of each base.
fn rows(found: &Inventory) -> Vec<(&str, &str, &str, Option<i64>, usize)> {
    let row = |base: &'_ polyarch_registry::audit::inventory::Base| (base.age_days, base.used_by.len());
    found
        .bases
        .iter()
        .map(|base| {
            let (age, images) = row(base);
            (
                base.name.split_once('/').unwrap().1,
                base.digest.as_ref().map_or("", |digest| digest.short()),
                base.state.name(),
                age,
                images,
            )
        })
        .collect()
}

#[tokio::test]
async fn a_base_is_named_recognised_or_listed_by_the_build() {
    let registry = TestRegistry::start();
    let http = registry.http();
    let (old, new) = (base().build().await, base().index(|index| index["annotations"]["n"] = "2".into()).build().await);
    let (old_digest, new_digest) = (old.root.digest().clone(), new.root.digest().clone());
    push(&http, "base/os", "1.0", &old).await;
    push(&http, "base/os", "1", &old).await;
    push(&http, "base/os", "1", &new).await;
    push(&http, "base/gone", "1", &old).await;
    http.delete("/v2/base/gone/manifests/1").await;
    let host = registry.addr().to_string();

    let name = format!("{host}/base/os:1");
    let named = |digest: String| {
        let name = name.clone();
        Specimen::healthy(&BOTH).index(move |index| {
            index["annotations"] = json!({
                "org.opencontainers.image.base.name": name, "org.opencontainers.image.base.digest": digest,
            });
        })
    };
    push(&http, "team/named", "behind", &named(old_digest.to_string()).build().await).await;
    push(&http, "team/named", "current", &named(new_digest.to_string()).build().await).await;
    // The digest of one platform's image in the index that the tag points at.
    push(&http, "team/named", "child", &named(new.parts[0].digest().to_string()).build().await).await;
    let material =
        |repository: &str| format!("pkg:docker/{}/{repository}?platform=linux%2Famd64", host.replace(':', "%3A"));
    let predicate = json!({"materials": [
        {"uri": material("base/gone@1"), "digest": {"sha256": old_digest.encoded()}},
        {"uri": "https://git.example.com/x", "digest": {"sha1": "x"}},
    ]});
    let built = Specimen::healthy(&["linux/amd64"]).attested_with(&predicate);
    push(&http, "team/built", "1", &built.build().await).await;

    let names = ["base/os", "team/named", "team/built"].map(|name| format!("{host}/{name}"));
    let found = inventory(&names).await;
    let (old, new, child) = (old_digest.short(), new_digest.short(), new.parts[0].digest().short());
    // Created on the second of January 2026, a week before.
    let age = Some(7);
    let mut want = vec![
        ("base/gone:1", old, "tag gone", age, 1),
        // Recognised in what is built, for its layers are those of the latest tag that has them.
        ("base/os:1", old, "behind", age, 1),
        ("base/os:1", new, "current", age, 1),
        ("base/os:1", child, "current", age, 1),
        ("base/os:1.0", old, "current", age, 1),
    ];
    want.sort_unstable();
    let mut got = rows(&found);
    got.sort_unstable();
    assert_eq!(got, want, "{found:#?}");
    let behind = found.bases.iter().find(|base| base.state.name() == "behind").unwrap();
    assert_eq!(behind.state, State::Behind { current: new_digest });
    assert_eq!(behind.platforms.iter().collect::<Vec<_>>(), BOTH);
    assert_eq!(found.unknown, ["base/os:1", "base/os:1.0"].map(|name| format!("{host}/{name}")));
    assert_eq!(found.unchecked, Vec::<String>::new());
}

#[tokio::test]
async fn a_name_is_asked_for_once_and_a_silent_registry_is_no_gone_tag() {
    let registry = TestRegistry::start();
    let proxy =
        Proxy::start(
            registry.addr(),
            |seen| if seen.path.contains("/secret/") { Act::Answer(403, &[]) } else { Act::Pass },
        );
    let http = registry.http();
    let digest = base().build().await.root.digest().to_string();
    for (tag, repository) in [("1", "base"), ("2", "base"), ("3", "secret")] {
        let (name, digest) = (proxy.reference(&format!("{repository}/os:1")), digest.clone());
        let image = Specimen::healthy(&BOTH).index(move |index| {
            index["annotations"] = json!({
                "org.opencontainers.image.base.name": name, "org.opencontainers.image.base.digest": digest,
            });
        });
        push(&http, "team/app", tag, &image.build().await).await;
    }
    push(&http, "base/os", "1", &base().build().await).await;
    let found = inventory(&[proxy.reference("team/app")]).await;
    let states: Vec<_> = rows(&found).iter().map(|row| (row.0, row.2, row.4)).collect();
    assert_eq!(states, [("base/os:1", "current", 2), ("secret/os:1", "could not check", 1)]);
    let heads =
        proxy.seen().iter().filter(|seen| seen.method == "HEAD" && seen.path == "/v2/base/os/manifests/1").count();
    assert_eq!(heads, 1);
}
