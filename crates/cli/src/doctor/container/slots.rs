//! Slots and profiles that do not go together, and slots that do not run what they should.

use std::path::Path;

use profile_boot::lifecycle::Site;
use profile_boot::{profile, slot};

use super::super::finding::{Finding, or_good};

pub(super) fn look(site: &Site) -> Vec<Finding> {
    let Ok(found) = profile::discover(site.home()) else {
        // Told by whoever lists the gateways.
        return Vec::new();
    };
    let mut findings = Vec::new();
    for (name, reason) in &found.skipped {
        findings.push(Finding::note(
            "profiles",
            format!("profiles/{}: passed over: {reason}", name.escape_debug()),
            "rename the directory, then docker restart, or create the profile by another name",
        ));
    }
    let scandir = site.scandir().path();
    for profile in &found.profiles {
        let name = slot::name(profile);
        if !scandir.join(&name).is_dir() {
            findings.push(Finding::note(
                "slots",
                format!("profile {profile} has no slot"),
                format!("talaria gateway start -p {profile} makes it, and so does docker restart"),
            ));
        }
    }
    match site.scandir().entries() {
        Ok(entries) => {
            for entry in entries {
                let name = entry.name().to_string_lossy().into_owned();
                findings.extend(slot_finding(scandir, &name, &found.profiles));
            }
        }
        Err(error) => findings.push(Finding::bad(
            "slots",
            error.to_string(),
            "docker restart makes them anew",
        )),
    }
    let detail = format!("as many as profiles: {}", found.profiles.len());
    or_good(findings, "slots", &detail)
}

fn slot_finding(scandir: &Path, name: &str, profiles: &[profile::ProfileName]) -> Option<Finding> {
    let owner = slot::profile(name);
    if owner.is_none() && name != slot::DASHBOARD {
        // Somebody's own service.
        return None;
    }
    if let Some(owner) = owner.filter(|owner| !profiles.contains(owner)) {
        return Some(Finding::note(
            "slots",
            format!("{name} has no profile"),
            format!("talaria profile delete {owner} removes what is left of it"),
        ));
    }
    let strangers = slot::strangers(scandir, name).ok()?;
    (!strangers.is_empty()).then(|| {
        Finding::note(
            "slots",
            format!("{name}: {} not the image's own", strangers.join(", ")),
            "/command/s6-svscanctl -a /run/service mends it, and so does docker restart; \
             programs of its own do not run on a noexec /run",
        )
    })
}
