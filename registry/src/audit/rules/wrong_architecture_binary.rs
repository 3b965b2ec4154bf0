//! A program is for another machine than the platform it is in.

use crate::audit::binary::header::Fit;
use crate::audit::binary::{OtherProgram, ProgramFacts, Role};
use crate::audit::facts::{ImageFacts, PlatformImage};
use crate::audit::finding::{Findings, Severity};
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};
use crate::oci::Platform;

pub(super) const RULE: Rule = Rule {
    id: "wrong-architecture-binary",
    title: "a program is for another machine than the platform it is in",
    severity: Severity::Error,
    cost: Cost::Binaries,
    group: Group::Binaries,
    evidence: &[
        "cloudposse/atmos#2931",
        "utkuozdemir/nvidia_gpu_exporter#418",
        "explodingcamera/liwan#19",
        "kubernetes/node-problem-detector#797",
        "bitnami/minideb#99",
        "planetscale/ghcommit#99",
    ],
    explanation: "A last stage with `FROM --platform=$BUILDPLATFORM`, a download that names one architecture, or a compiler that \
        was not told its target put a program of the build machine into every platform. It ends with `exec format error` for \
        users of the others; on a machine with an emulator it only runs slowly, so that starting it proves nothing. The header \
        of the program the image starts is read, of what that is given to start, of what runs a script, and of the loader of \
        dynamic programs; through links, whiteouts and search path, in the last layer that has them. Deep audits look at all \
        programs in search directories and at libraries, too. 32-bit code in a 64-bit image is no finding, nor is what no \
        header is known of. Emulators, firmware, object files, and what says by its path which machine it is for are only \
        mentioned.",
    fix: "build or download the program for TARGETARCH, and drop --platform=$BUILDPLATFORM from the last stage",
    check: Check::Image(check),
};

fn check(facts: &ImageFacts, _: &Expectations, findings: &mut Findings) {
    let Some(binaries) = &facts.binaries else { return };
    for image in facts.platforms() {
        let Some(found) = binaries.get(&image.descriptor.digest) else { continue };
        let platform = image.platform();
        for one in &found.started {
            started(&image, &platform, one, findings);
        }
        if let Some(others) = &found.others {
            let lists = [
                (Severity::Warning, &others.foreign, others.foreign_count, "not running there", "others"),
                (Severity::Info, &others.legal, others.legal_count, "of other machines, where that is usual", "legal"),
            ];
            for (severity, list, count, what, key) in lists.into_iter().filter(|list| list.2 > 0) {
                let noun = if count == 1 { "program or library" } else { "programs or libraries" };
                let message = format!("{count} {noun} {what}: {}", names(list, count));
                findings.add_as(severity, image.place(), message).key = key.to_owned();
            }
        }
    }
}

fn started(image: &PlatformImage<'_>, platform: &Platform, one: &ProgramFacts, findings: &mut Findings) {
    let (path, role) = (&one.path, words(one.role));
    let Some(program) = &one.program else {
        let message = format!("{path}, {role}, is not in the image");
        let found = findings.add_as(Severity::Warning, image.place(), message);
        found.fix = "install the C library the program was linked with, or link it statically".to_owned();
        found.key = path.clone();
        return;
    };
    let (severity, message) = match program.fits(platform) {
        Fit::Runs | Fit::Unknown => return,
        Fit::Doubtful(why) => (Severity::Warning, format!("{path}, {role}, may not run: {why}")),
        Fit::Foreign => (Severity::Error, format!("{path}, {role}, is for {}", program.describe())),
    };
    findings.add_as(severity, image.place(), message).key = path.clone();
}

fn words(role: Role) -> &'static str {
    match role {
        Role::Entrypoint => "which the image starts",
        Role::Command => "which the image's command starts",
        Role::ScriptInterpreter => "which runs the image's script",
        Role::Loader => "which loads the image's program",
    }
}

fn names(list: &[OtherProgram], count: u64) -> String {
    let names: Vec<String> = list.iter().map(|one| format!("{} ({})", one.path, one.program.describe())).collect();
    match count.saturating_sub(list.len() as u64) {
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}
