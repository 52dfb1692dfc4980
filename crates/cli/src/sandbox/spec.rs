//! A spec from a file and from options.

use std::env;
use std::fs;

use sandbox_core::{
    Draft, EnvFile, FromName, MountFile, SandboxSpec, Scalar, Secret, SecretValue, SpecFile,
};
use sandbox_engine::Pull;

use super::args::{PullArg, Spec};
use super::caller;
use super::failure::{Failure, Result};

impl Spec {
    pub(super) fn pull(&self) -> Pull {
        match self.pull {
            None | Some(PullArg::Missing) => Pull::Missing,
            Some(PullArg::Never) => Pull::Never,
            Some(PullArg::Always) => Pull::Always,
        }
    }

    pub(super) fn read(self) -> Result<SandboxSpec> {
        let base = match &self.spec {
            None => Draft::default(),
            Some(path) => {
                let text = fs::read_to_string(path).map_err(|source| Failure::File {
                    path: path.clone(),
                    source,
                })?;
                let is_json = path
                    .extension()
                    .is_some_and(|extension| extension == "json");
                let parsed = if is_json {
                    Draft::from_json(&text)
                } else {
                    Draft::from_toml(&text)
                };
                parsed.map_err(Failure::Spec)?
            }
        };
        let spec = base.merge(self.options());
        spec.check(&caller::caller()?).map_err(Failure::Spec)
    }

    fn options(self) -> SpecFile {
        let scalar = |text: Option<String>| text.map(Scalar::Text);
        let yes = |flag: bool| flag.then_some(true);
        SpecFile {
            image: self.image,
            task: self.task,
            profile: self.profile,
            cwd: self.cwd,
            cpus: scalar(self.cpus),
            memory: scalar(self.memory),
            disk: scalar(self.disk),
            pids: scalar(self.pids),
            shm: scalar(self.shm),
            network: self.network,
            user: scalar(self.user),
            mounts: self.mounts.into_iter().map(MountFile::Text).collect(),
            mount_cwd: yes(self.mount_cwd),
            env: self.env.iter().map(|one| variable(one)).collect(),
            labels: self.labels.iter().map(|one| label(one)).collect(),
            extra_args: self.extra_arg,
            persistent_filesystem: yes(self.persistent_filesystem),
            persist: yes(self.persist),
            entrypoint: self.entrypoint,
            runtime: self.runtime,
            lease: scalar(self.lease),
            on_drift: self.on_drift,
            allow_unenforced: yes(self.allow_unenforced),
            ..SpecFile::default()
        }
    }
}

pub(super) fn variable(text: &str) -> (String, EnvFile) {
    if let Some((name, value)) = text.split_once('=') {
        // What is on a command line is no secret any more, but need not be shown again.
        let secret = Secret::new(value);
        (name.to_owned(), EnvFile::Secret(SecretValue { secret }))
    } else {
        let from = text.to_owned();
        (text.to_owned(), EnvFile::From(FromName { from }))
    }
}

/// A label; the name alone is one with an empty value, as docker has it.
pub(super) fn label(text: &str) -> (String, String) {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    (name.to_owned(), value.to_owned())
}

/// Variables for one command.
pub(super) fn variables(texts: &[String]) -> Result<Vec<(String, String)>> {
    let one = |text: &String| match text.split_once('=') {
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
        None => match env::var(text) {
            Ok(value) => Ok((text.clone(), value)),
            Err(_) => Err(Failure::NoVariable { name: text.clone() }),
        },
    };
    texts.iter().map(one).collect()
}
