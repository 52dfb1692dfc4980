//! A container in words, before it exists.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use bollard::models::{
    ContainerCreateBody, HealthConfig, HostConfig, Mount, MountType, MountVolumeOptions,
    RestartPolicy, RestartPolicyNameEnum,
};

use crate::tree::Tree;

/// A terminal's size in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Rows.
    pub rows: u16,
    /// Columns.
    pub columns: u16,
}

/// Something mounted into a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mounted {
    /// A named volume of the same lab, see [`crate::Lab::volume`].
    Volume {
        /// The volume's name.
        name: String,
        /// Where it is mounted.
        target: String,
        /// Whether an empty volume is first filled from the image, as the engine does by default.
        fill: bool,
    },
    /// A directory or file of this machine.
    Bind {
        /// The absolute path here.
        source: String,
        /// Where it is mounted.
        target: String,
        /// Whether the container may only read it.
        read_only: bool,
    },
}

/// What `docker run` says on its command line, as a value.
///
/// Start one with [`crate::Lab::container`], which names the image.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct Spec {
    pub(crate) image: String,
    pub(crate) entrypoint: Option<Vec<String>>,
    pub(crate) command: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) raw_env: Vec<(String, Vec<u8>)>,
    pub(crate) user: Option<String>,
    pub(crate) terminal: Option<Size>,
    pub(crate) stdin: bool,
    pub(crate) tmpfs: Vec<(String, String)>,
    pub(crate) read_only: bool,
    pub(crate) cap_drop: Vec<String>,
    pub(crate) cap_add: Vec<String>,
    pub(crate) security_opt: Vec<String>,
    pub(crate) init: bool,
    pub(crate) mounts: Vec<Mounted>,
    pub(crate) group_add: Vec<String>,
    pub(crate) workdir: Option<String>,
    pub(crate) files: Tree,
    pub(crate) restart_on_failure: Option<i64>,
    pub(crate) pids_limit: Option<i64>,
    pub(crate) probed_every: Option<Duration>,
    pub(crate) others: HostConfig,
}

/// The words of a command line.
fn words<S: Into<String>>(words: impl IntoIterator<Item = S>) -> Vec<String> {
    words.into_iter().map(Into::into).collect()
}

impl Spec {
    /// A container of `image`, with nothing said.
    pub fn new(image: &str) -> Self {
        Self {
            image: image.to_owned(),
            ..Self::default()
        }
    }

    /// The words after the image's name.
    pub fn command<S: Into<String>>(self, command: impl IntoIterator<Item = S>) -> Self {
        Self {
            command: words(command),
            ..self
        }
    }

    /// The main program is `sh -c SCRIPT`.
    pub fn shell(self, script: &str) -> Self {
        self.command(["sh", "-c", script])
    }

    /// `--entrypoint`, of any number of words.
    pub fn entrypoint<S: Into<String>>(self, entrypoint: impl IntoIterator<Item = S>) -> Self {
        Self {
            entrypoint: Some(words(entrypoint)),
            ..self
        }
    }

    /// `-e NAME=VALUE`.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// An environment variable of any bytes but NUL.
    ///
    /// The engine's API is JSON and its clients replace what is no UTF-8, so such a value cannot
    /// come through `-e`: a `bash` that becomes the image's entrypoint sets it instead (and
    /// passes on names that other shells drop).
    pub fn raw_env(mut self, name: &str, value: &[u8]) -> Self {
        self.raw_env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// `--user`.
    pub fn user(self, user: &str) -> Self {
        Self {
            user: Some(user.to_owned()),
            ..self
        }
    }

    /// `-t`, with a terminal of this size; such a container is started with
    /// [`crate::Lab::terminal`].
    pub fn terminal(self, size: Size) -> Self {
        Self {
            terminal: Some(size),
            stdin: true,
            ..self
        }
    }

    /// `-i`.
    pub fn stdin(self) -> Self {
        Self {
            stdin: true,
            ..self
        }
    }

    /// `--tmpfs TARGET:OPTIONS`.
    pub fn tmpfs(mut self, target: &str, options: &str) -> Self {
        self.tmpfs.push((target.to_owned(), options.to_owned()));
        self
    }

    /// `--read-only`. Files for such a container come through [`Spec::bind`]: the engine
    /// unpacks nothing into a read-only root.
    pub fn read_only(self) -> Self {
        Self {
            read_only: true,
            ..self
        }
    }

    /// `--cap-drop`.
    pub fn cap_drop(mut self, capability: &str) -> Self {
        self.cap_drop.push(capability.to_owned());
        self
    }

    /// `--cap-add`.
    pub fn cap_add(mut self, capability: &str) -> Self {
        self.cap_add.push(capability.to_owned());
        self
    }

    /// `--security-opt`.
    pub fn security_opt(mut self, option: &str) -> Self {
        self.security_opt.push(option.to_owned());
        self
    }

    /// `--pids-limit`.
    pub fn pids_limit(self, limit: i64) -> Self {
        Self {
            pids_limit: Some(limit),
            ..self
        }
    }

    /// `--health-interval EVERY --health-start-period 1ms --health-retries 1`: the image's own
    /// probe, for a test that cannot wait as long as an operator.
    pub fn probed_every(self, every: Duration) -> Self {
        Self {
            probed_every: Some(every),
            ..self
        }
    }

    /// Whatever else the engine's API knows; what has a method here is not taken from it.
    pub fn others(self, others: HostConfig) -> Self {
        Self { others, ..self }
    }

    /// `--init`: the engine's own init is PID 1.
    pub fn init(self) -> Self {
        Self { init: true, ..self }
    }

    /// `-v VOLUME:TARGET`, a volume of the same lab.
    pub fn volume(mut self, name: &str, target: &str) -> Self {
        let (name, target) = (name.to_owned(), target.to_owned());
        self.mounts.push(Mounted::Volume {
            name,
            target,
            fill: true,
        });
        self
    }

    /// `-v VOLUME:TARGET:nocopy`: an empty volume stays empty, and keeps its owner.
    pub fn volume_as_it_is(mut self, name: &str, target: &str) -> Self {
        let (name, target) = (name.to_owned(), target.to_owned());
        self.mounts.push(Mounted::Volume {
            name,
            target,
            fill: false,
        });
        self
    }

    /// `-v SOURCE:TARGET:ro`, a file or directory of this machine.
    pub fn bind(mut self, source: &Path, target: &str) -> Self {
        let (source, target) = (source.display().to_string(), target.to_owned());
        self.mounts.push(Mounted::Bind {
            source,
            target,
            read_only: true,
        });
        self
    }

    /// `-v SOURCE:TARGET`, a file or directory of this machine that the container may change.
    pub fn bind_writable(mut self, source: &Path, target: &str) -> Self {
        let (source, target) = (source.display().to_string(), target.to_owned());
        self.mounts.push(Mounted::Bind {
            source,
            target,
            read_only: false,
        });
        self
    }

    /// `--group-add`.
    pub fn group_add(mut self, group: &str) -> Self {
        self.group_add.push(group.to_owned());
        self
    }

    /// `--workdir`.
    pub fn workdir(self, directory: &str) -> Self {
        Self {
            workdir: Some(directory.to_owned()),
            ..self
        }
    }

    /// Files put into the container before it starts, after those given earlier.
    pub fn files(self, files: Tree) -> Self {
        Self {
            files: self.files.and(files),
            ..self
        }
    }

    /// `--restart on-failure:RETRIES`.
    pub fn restart_on_failure(self, retries: i64) -> Self {
        Self {
            restart_on_failure: Some(retries),
            ..self
        }
    }

    /// Whether the fixture library can start it: no terminal, no stdin, no files, no probes, an
    /// entrypoint of at most one word.
    pub(crate) fn is_detached(&self) -> bool {
        let one_word = self
            .entrypoint
            .as_ref()
            .is_none_or(|words| words.len() == 1);
        self.terminal.is_none()
            && !self.stdin
            && self.files.is_empty()
            && one_word
            && self.probed_every.is_none()
    }

    /// The engine's words for everything but the program and its environment.
    pub(crate) fn host_config(&self, labels: &HashMap<String, String>) -> HostConfig {
        let some = |list: &Vec<String>| (!list.is_empty()).then(|| list.clone());
        HostConfig {
            tmpfs: (!self.tmpfs.is_empty()).then(|| self.tmpfs.iter().cloned().collect()),
            readonly_rootfs: Some(self.read_only),
            cap_drop: some(&self.cap_drop),
            cap_add: some(&self.cap_add),
            security_opt: some(&self.security_opt),
            group_add: some(&self.group_add),
            init: self.init.then_some(true),
            pids_limit: self.pids_limit,
            mounts: Some(
                self.mounts
                    .iter()
                    .map(|mount| mount.render(labels))
                    .collect(),
            ),
            restart_policy: self.restart_on_failure.map(|retries| RestartPolicy {
                name: Some(RestartPolicyNameEnum::ON_FAILURE),
                maximum_retry_count: Some(retries),
            }),
            ..self.others.clone()
        }
    }

    /// The body of the create request.
    pub(crate) fn create_body(&self, labels: HashMap<String, String>) -> ContainerCreateBody {
        ContainerCreateBody {
            image: Some(self.image.clone()),
            entrypoint: self.entrypoint.clone(),
            cmd: (!self.command.is_empty()).then(|| self.command.clone()),
            env: Some(
                self.env
                    .iter()
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect(),
            ),
            user: self.user.clone(),
            tty: Some(self.terminal.is_some()),
            open_stdin: Some(self.stdin),
            stdin_once: Some(self.stdin),
            attach_stdin: Some(self.stdin),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            working_dir: self.workdir.clone(),
            host_config: Some(self.host_config(&labels)),
            labels: Some(labels),
            healthcheck: self.probed_every.map(|every| HealthConfig {
                interval: i64::try_from(every.as_nanos()).ok(),
                start_period: Some(1_000_000),
                retries: Some(1),
                ..HealthConfig::default()
            }),
            ..ContainerCreateBody::default()
        }
    }

    /// Replaces raw variables by an entrypoint that sets them and becomes the image's own.
    pub(crate) fn with_raw_env_set_by_shell(mut self, image_entrypoint: &[String]) -> Self {
        if self.raw_env.is_empty() {
            return self;
        }
        let real = self
            .entrypoint
            .take()
            .unwrap_or_else(|| image_entrypoint.to_vec());
        let mut script = Vec::new();
        for (name, value) in std::mem::take(&mut self.raw_env) {
            let octal = value
                .iter()
                .fold(String::new(), |text, byte| format!("{text}\\{byte:03o}"));
            // The mark keeps trailing newlines, which a substitution drops.
            script.push(format!(
                "{name}=$(printf '{octal}.') {name}=${{{name}%.}}; export {name};"
            ));
        }
        script.push("exec \"$@\"".to_owned());
        let script = script.join(" ");
        let mut entrypoint = words(["/bin/bash", "-c", &script, "bash"]);
        entrypoint.extend(real);
        self.entrypoint = Some(entrypoint);
        self
    }
}

impl Mounted {
    fn render(&self, labels: &HashMap<String, String>) -> Mount {
        match self {
            Self::Volume { name, target, fill } => Mount {
                typ: Some(MountType::VOLUME),
                source: Some(name.clone()),
                target: Some(target.clone()),
                volume_options: Some(MountVolumeOptions {
                    no_copy: Some(!fill),
                    labels: Some(labels.clone()),
                    ..MountVolumeOptions::default()
                }),
                ..Mount::default()
            },
            Self::Bind {
                source,
                target,
                read_only,
            } => Mount {
                typ: Some(MountType::BIND),
                source: Some(source.clone()),
                target: Some(target.clone()),
                read_only: Some(*read_only),
                ..Mount::default()
            },
        }
    }
}
