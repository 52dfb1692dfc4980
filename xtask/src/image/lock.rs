//! `cargo xtask lock`: image/hermes.in -> image/hermes.lock, by the image's own Python.

use std::fmt::Write as _;
use std::fs;

use serde::Deserialize;

use super::context::{FileError, Tree};
use super::wheels::{PYTHON, WheelsError, pip_job};
use super::{base, lock_cache};
use crate::digest::{BadSum, Sum};
use crate::engine;
use crate::paths::Checkout;
use crate::progress::Step;

/// Why there is no new lock.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LockError {
    /// pip's report is not what it documents.
    #[error("cannot read pip's report")]
    Report(#[from] serde_json::Error),
    /// A package without a usable sum.
    #[error("pip's report has no SHA-256 sum for {package}")]
    NoSum {
        /// Its name.
        package: String,
        /// What is there instead.
        source: Option<BadSum>,
    },
    /// pip wrote no report.
    #[error("pip wrote no report")]
    NoReport,
}

/// What pip writes with `--report`, as far as it matters here (its version 1).
#[derive(Debug, Deserialize)]
struct Report {
    install: Vec<Install>,
}

#[derive(Debug, Deserialize)]
struct Install {
    metadata: Metadata,
    download_info: DownloadInfo,
}

#[derive(Debug, Deserialize)]
struct Metadata {
    name: String,
    version: String,
}

#[derive(Debug, Deserialize)]
struct DownloadInfo {
    archive_info: ArchiveInfo,
}

#[derive(Debug, Deserialize)]
struct ArchiveInfo {
    hashes: Hashes,
}

#[derive(Debug, Deserialize)]
struct Hashes {
    sha256: Option<String>,
}

/// PyPI's spelling of a name, under which all spellings are one.
fn normalised(name: &str) -> String {
    let lower = name.to_lowercase();
    let parts = lower.split(['-', '_', '.']).filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join("-")
}

/// The first lines of a lock made from `input`.
fn heading(input: &[u8]) -> String {
    format!(
        "# Written by `cargo xtask lock` from hermes.in (SHA-256 {}).\n\
         # CPython {PYTHON}, Linux, {}: one wheel for each package.\n",
        Sum::of(input),
        std::env::consts::ARCH,
    )
}

/// The lock for a report of pip about `input`.
fn render(input: &[u8], report: &str) -> Result<String, LockError> {
    let report: Report = serde_json::from_str(report)?;
    let mut packages = Vec::new();
    for Install {
        metadata,
        download_info,
    } in report.install
    {
        let package = normalised(&metadata.name);
        let sum = download_info.archive_info.hashes.sha256;
        let Some(sum) = sum else {
            return Err(LockError::NoSum {
                package,
                source: None,
            });
        };
        let sum: Sum = sum.parse().map_err(|source| LockError::NoSum {
            package: package.clone(),
            source: Some(source),
        })?;
        packages.push((package, metadata.version, sum));
    }
    packages.sort();
    let mut lock = heading(input);
    for (name, version, sum) in packages {
        // Writing to a string cannot fail.
        writeln!(lock, "{name}=={version} \\\n    --hash=sha256:{sum}").unwrap_or_default();
    }
    Ok(lock)
}

/// Resolves and writes the lock.
pub(crate) async fn refresh(checkout: &Checkout) -> Result<(), super::ImageError> {
    let _turn = lock_cache(checkout)?;
    let docker = engine::connect().await?;
    let base = base::provide(&docker, checkout, false).await?;
    let input_path = checkout.image().join("hermes.in");
    let input = fs::read(&input_path).map_err(FileError::on(&input_path))?;
    let step = Step::begin("resolve image/hermes.in");
    let mut files = Tree::new();
    files.file("hermes.in", input.clone(), false);
    let pip = "python3 -m pip install --disable-pip-version-check --progress-bar=off \
               --break-system-packages --dry-run --ignore-installed --only-binary=:all: \
               --requirement hermes.in --report out/report.json";
    let archive = pip_job(&docker, checkout, &base, files, pip, &step).await?;
    let folder = checkout.cache().join("report");
    fs::create_dir_all(&folder).map_err(FileError::on(&folder))?;
    super::wheels::unpack(&archive, &folder).map_err(WheelsError::from)?;
    let report_path = folder.join("report.json");
    let report = fs::read_to_string(&report_path).map_err(|_| LockError::NoReport)?;
    let lock = render(&input, &report)?;
    let path = checkout.image().join("hermes.lock");
    fs::write(&path, &lock).map_err(FileError::on(&path))?;
    step.done(format!(
        "{} packages in {}",
        super::wheels::locked(&lock),
        path.display()
    ));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUM: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn report(name: &str, hashes: &str) -> String {
        format!(
            r#"{{"version":"1","install":[{{"metadata":{{"name":"{name}","version":"1.0"}},
               "download_info":{{"url":"https://host/x.whl","archive_info":{{"hashes":{hashes}}}}}}}]}}"#
        )
    }

    #[test]
    fn a_report_becomes_pinned_names_with_their_sums() {
        let report = report("Ruamel.Yaml__X", &format!(r#"{{"sha256":"{SUM}"}}"#));
        let lock = render(b"", &report).unwrap();
        let body: Vec<_> = lock.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            body,
            ["ruamel-yaml-x==1.0 \\", &format!("    --hash=sha256:{SUM}")]
        );
    }

    #[test]
    fn a_package_without_a_sum_is_an_error_that_names_it() {
        let error = render(b"", &report("a", "{}")).unwrap_err();
        assert!(matches!(error, LockError::NoSum { package, .. } if package == "a"));
    }

    #[test]
    fn the_lock_belongs_to_the_requirements_beside_it() {
        let input = include_bytes!("../../../image/hermes.in");
        let lock = include_str!("../../../image/hermes.lock");
        let first = heading(input).lines().next().map(str::to_owned);
        assert_eq!(
            lock.lines().next().map(str::to_owned),
            first,
            "run `cargo xtask lock`"
        );
    }
}
