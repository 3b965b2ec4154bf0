//! Platforms × checks of one image.
//!
//! Owns: rows, columns and what a cell says. Pure. Never: words or colours.

use polyarch_registry::audit::{
    Group, ImageReport, PlatformReport, PlatformState, Report, Severity, Unchecked, rule, rules,
};

/// The table of one image.
pub struct Matrix<'a> {
    /// The image as a whole, then its platforms.
    pub rows: Vec<Row<'a>>,
}

/// A line of it.
pub struct Row<'a> {
    /// Platform; none of the image as a whole.
    pub platform: Option<&'a str>,
    /// One for each group.
    pub cells: Vec<Cell>,
}

/// What is known of one platform and group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cell {
    /// There was nothing to judge.
    NotRead,
    /// Something needed could not be asked.
    Unchecked,
    /// Judged, and nothing found that is not waived.
    Ok,
    /// The worst that was found.
    Found(Severity),
}

/// Returns the columns of a report: the groups that were judged. What the policy asks for is one only if something is found.
pub fn groups(report: &Report) -> Vec<Group> {
    let mut groups = report.scope.groups();
    let has_policy = report.findings().any(|one| group_of(&one.rule) == Some(Group::Policy));
    groups.retain(|group| *group != Group::Policy || has_policy);
    groups
}

/// Returns the group of a rule; none of one that is not known.
pub fn group_of(id: &str) -> Option<Group> {
    rule(id).map(|rule| rule.group)
}

impl<'a> Matrix<'a> {
    /// Returns the table of an image; none if nothing of it was read.
    pub fn of(image: &'a ImageReport, groups: &[Group]) -> Option<Self> {
        let mut names: Vec<Option<&str>> = vec![None];
        let named = image.platforms.iter().map(|one| one.platform.as_str());
        for name in named.chain(image.findings.iter().filter_map(|one| one.platform.as_deref())) {
            if !names.contains(&Some(name)) {
                names.push(Some(name));
            }
        }
        let is_read = !image.platforms.is_empty() || !image.findings.is_empty();
        let row =
            |platform| Row { platform, cells: groups.iter().map(|group| cell(image, platform, *group)).collect() };
        is_read.then(|| Self { rows: names.into_iter().map(row).collect() })
    }

    /// Returns whether a cell is of a kind.
    pub fn has(&self, cell: Cell) -> bool {
        self.rows.iter().any(|row| row.cells.contains(&cell))
    }
}

fn cell(image: &ImageReport, platform: Option<&str>, group: Group) -> Cell {
    let here = image.findings.iter().filter(|one| one.platform.as_deref() == platform && one.waived.is_none());
    if let Some(worst) = here.filter(|one| group_of(&one.rule) == Some(group)).map(|one| one.severity).max() {
        return Cell::Found(worst);
    }
    let child = image.platforms.iter().find(|one| platform == Some(one.platform.as_str()));
    match (child, platform) {
        (Some(child), _) => of_platform(child, group),
        (None, Some(_)) => Cell::NotRead,
        (None, None) => of_image(image, group),
    }
}

fn of_platform(child: &PlatformReport, group: Group) -> Cell {
    match child.state {
        PlatformState::Unchecked => Cell::Unchecked,
        PlatformState::Missing | PlatformState::Unusable if group != Group::Complete => Cell::NotRead,
        _ if child.unchecked.iter().any(|what| misses(group, what)) => Cell::Unchecked,
        _ => Cell::Ok,
    }
}

/// What belongs to a platform is in that platform's row. Of a blob the report does not say whose it is, but what of it the
/// platforms lack.
fn of_image(image: &ImageReport, group: Group) -> Cell {
    let is_platforms = |what: &String| image.platforms.iter().any(|one| one.unchecked.contains(what));
    let is_own = |one: &Unchecked| one.digest.is_none() || one.digest == image.digest || !is_platforms(&one.what);
    let mut own = image.unchecked.iter().filter(|one| is_own(one));
    if own.any(|one| misses(group, &one.what)) { Cell::Unchecked } else { Cell::Ok }
}

fn misses(group: Group, what: &str) -> bool {
    rules().iter().any(|rule| rule.group == group && rule.misses(what))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn cells(image: serde_json::Value, groups: &[Group]) -> Vec<(String, Vec<Cell>)> {
        let image: ImageReport = serde_json::from_value(image).unwrap();
        let rows = Matrix::of(&image, groups).map(|matrix| matrix.rows).unwrap_or_default();
        rows.into_iter().map(|row| (row.platform.unwrap_or("image").to_owned(), row.cells)).collect()
    }

    fn image(platforms: serde_json::Value, unchecked: serde_json::Value) -> serde_json::Value {
        let digest = format!("sha256:{}", "a".repeat(64));
        json!({"repository": "r", "tag": "1", "digest": digest, "platforms": platforms, "attestations": 0, "findings": [],
            "unchecked": unchecked})
    }

    fn platform(name: &str, more: serde_json::Value) -> serde_json::Value {
        let mut platform =
            json!({"platform": name, "digest": format!("sha256:{}", "b".repeat(64)), "size": 1, "layers": 1});
        platform.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        platform
    }

    #[test]
    fn what_was_not_read_is_not_ok() {
        let groups = [Group::Complete, Group::Platforms];
        for (state, want) in [
            (json!({}), [Cell::Ok, Cell::Ok]),
            (json!({"state": "missing"}), [Cell::Ok, Cell::NotRead]),
            (json!({"state": "unusable"}), [Cell::Ok, Cell::NotRead]),
            (json!({"state": "unchecked"}), [Cell::Unchecked, Cell::Unchecked]),
        ] {
            let rows = cells(image(json!([platform("linux/amd64", state)]), json!([])), &groups);
            assert_eq!(rows[1], ("linux/amd64".to_owned(), want.to_vec()));
        }
        assert_eq!(cells(image(json!([]), json!([{"what": "image", "reason": "401"}])), &groups), []);
    }

    #[test]
    fn what_could_not_be_asked_is_in_the_row_it_belongs_to() {
        let groups = [Group::Platforms];
        let own = json!([{"what": "configuration", "digest": format!("sha256:{}", "c".repeat(64)), "reason": "503"}]);
        let platforms = json!([
            platform("linux/amd64", json!({})),
            platform("linux/arm64", json!({"unchecked": ["configuration"]}))
        ]);
        let rows = cells(image(platforms.clone(), own), &groups);
        let cells_of = |rows: Vec<(String, Vec<Cell>)>| rows.into_iter().map(|row| row.1[0]).collect::<Vec<_>>();
        assert_eq!(cells_of(rows), [Cell::Ok, Cell::Ok, Cell::Unchecked]);
        let root = json!([{"what": "configuration", "digest": format!("sha256:{}", "a".repeat(64)), "reason": "503"}]);
        assert_eq!(cells_of(cells(image(platforms, root), &groups)), [Cell::Unchecked, Cell::Ok, Cell::Unchecked]);
    }
}
