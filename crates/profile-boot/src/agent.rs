//! The agent that an image was made for: `/etc/talaria/agent.toml`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use crate::profile::ProfileName;

/// Where an image says which agent it holds.
pub const AGENT_TOML: &str = "/etc/talaria/agent.toml";

/// The place of the profile's name in [`Gateway::profile`].
const PROFILE_PLACEHOLDER: &str = "{profile}";

/// Which program is the agent, and how its gateways are run.
///
/// ```
/// let agent = profile_boot::agent::Agent::parse(r#"
///     name = "hermes"
///     program = "/opt/hermes/.venv/bin/hermes"
///     subcommands = ["chat", "gateway"]
///
///     [gateway]
///     default = ["/opt/hermes/.venv/bin/hermes", "gateway", "run"]
///     profile = ["/opt/hermes/.venv/bin/hermes", "-p", "{profile}", "gateway", "run"]
/// "#)?;
/// assert!(agent.has_subcommand("chat"));
/// # Ok::<(), profile_boot::agent::AgentError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// What people call it.
    pub name: String,
    /// Absolute path of its program.
    pub program: PathBuf,
    /// First words of a command line that always mean the agent, even where a
    /// program of that name is on `PATH`.
    pub subcommands: Vec<String>,
    /// Patterns (`*` stands for anything) of variables that are the default
    /// profile's alone: tokens with which only one gateway may speak.
    pub credentials: Vec<String>,
    /// How its gateways are run; `None` for an agent that has none.
    pub gateway: Option<Gateway>,
    /// How its dashboard is run; `None` for an agent that has none.
    pub dashboard: Option<Dashboard>,
    /// What it wants done at every boot, in this order.
    pub boot: Vec<BootCommand>,
}

/// A command that runs at every boot, as the agent's user, once its home is
/// there. A failure is a warning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootCommand {
    /// The command line, program first.
    pub command: Vec<String>,
    /// Whether gateways and the main program wait for its end.
    pub wait: bool,
    /// After how long it is killed.
    pub timeout: Duration,
}

/// The command line of an agent's dashboard, program first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dashboard {
    command: Vec<String>,
}

impl Dashboard {
    /// The command line for a dashboard that listens here.
    #[must_use]
    pub fn command(&self, host: &str, port: &str) -> Vec<String> {
        let filled = |word: &String| word.replace("{host}", host).replace("{port}", port);
        self.command.iter().map(filled).collect()
    }
}

/// The command lines of an agent's gateways, program first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gateway {
    /// The default profile's gateway.
    pub default: Vec<String>,
    /// A named profile's; every `{profile}` in it stands for the name.
    pub profile: Vec<String>,
}

/// Why an `agent.toml` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The file cannot be read.
    #[error("cannot read {path}", path = .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The file is not TOML, or not of this shape.
    #[error("line {line}: {message}")]
    Syntax {
        /// Where, counted from 1.
        line: usize,
        /// What is wrong there.
        message: String,
    },
    /// A program has to be named by its absolute path.
    #[error("{field}: {program:?} is not an absolute path")]
    RelativeProgram {
        /// The key in the file.
        field: &'static str,
        /// What it says.
        program: String,
    },
    /// A command line is empty.
    #[error("{field} is empty")]
    EmptyCommand {
        /// The key in the file.
        field: &'static str,
    },
    /// The command of named profiles never says which profile.
    #[error(
        "gateway.profile has no \"{{profile}}\" in it: every profile would run the same gateway"
    )]
    NoPlaceholder,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AgentFile {
    name: String,
    program: String,
    #[serde(default)]
    subcommands: Vec<String>,
    #[serde(default)]
    credentials: Vec<String>,
    gateway: Option<GatewayTable>,
    dashboard: Option<DashboardTable>,
    #[serde(default)]
    boot: Vec<BootTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BootTable {
    command: Vec<String>,
    #[serde(default)]
    wait: bool,
    /// In seconds.
    #[serde(default = "default_timeout")]
    timeout: u32,
}

/// In seconds: longer than any boot should take.
fn default_timeout() -> u32 {
    60
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DashboardTable {
    command: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GatewayTable {
    default: Vec<String>,
    profile: Vec<String>,
}

impl Agent {
    /// Reads and checks the file at `path`.
    ///
    /// # Errors
    /// [`AgentError`], where the file is missing, is not TOML of this shape, or
    /// names a program by a relative path.
    pub fn load(path: &Path) -> Result<Self, AgentError> {
        let text = std::fs::read_to_string(path).map_err(|source| AgentError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(&text)
    }

    /// Checks the text of an `agent.toml`.
    ///
    /// # Errors
    /// As [`Agent::load`], but for reading.
    pub fn parse(text: &str) -> Result<Self, AgentError> {
        let file: AgentFile = toml::from_str(text).map_err(|error| AgentError::Syntax {
            line: error
                .span()
                .map_or(1, |span| 1 + text[..span.start].matches('\n').count()),
            message: error.message().lines().collect::<Vec<_>>().join(", "),
        })?;
        let gateway = file.gateway.map(Gateway::try_from).transpose()?;
        let dashboard = file.dashboard.map(Dashboard::try_from).transpose()?;
        let boot = file.boot.into_iter().map(BootCommand::try_from);
        let boot = boot.collect::<Result<_, _>>()?;
        let program = absolute("program", &file.program)?;
        Ok(Self {
            name: file.name,
            program,
            subcommands: file.subcommands,
            credentials: file.credentials,
            gateway,
            dashboard,
            boot,
        })
    }

    /// Whether a command line that begins with `word` is always the agent's.
    #[must_use]
    pub fn has_subcommand(&self, word: &str) -> bool {
        self.subcommands.iter().any(|subcommand| subcommand == word)
    }
}

impl TryFrom<GatewayTable> for Gateway {
    type Error = AgentError;

    fn try_from(table: GatewayTable) -> Result<Self, AgentError> {
        for (field, command) in [
            ("gateway.default", &table.default),
            ("gateway.profile", &table.profile),
        ] {
            let program = command.first().ok_or(AgentError::EmptyCommand { field })?;
            absolute(field, program)?;
        }
        if !table
            .profile
            .iter()
            .any(|word| word.contains(PROFILE_PLACEHOLDER))
        {
            return Err(AgentError::NoPlaceholder);
        }
        Ok(Self {
            default: table.default,
            profile: table.profile,
        })
    }
}

impl TryFrom<DashboardTable> for Dashboard {
    type Error = AgentError;

    fn try_from(table: DashboardTable) -> Result<Self, AgentError> {
        let field = "dashboard.command";
        let program = table
            .command
            .first()
            .ok_or(AgentError::EmptyCommand { field })?;
        absolute(field, program)?;
        Ok(Self {
            command: table.command,
        })
    }
}

impl TryFrom<BootTable> for BootCommand {
    type Error = AgentError;

    fn try_from(table: BootTable) -> Result<Self, AgentError> {
        let field = "boot.command";
        let program = table.command.first();
        absolute(field, program.ok_or(AgentError::EmptyCommand { field })?)?;
        Ok(Self {
            command: table.command,
            wait: table.wait,
            timeout: Duration::from_secs(table.timeout.into()),
        })
    }
}

impl Gateway {
    /// The command line of one profile's gateway, program first.
    #[must_use]
    pub fn command(&self, profile: &ProfileName) -> Vec<String> {
        if profile.is_default() {
            return self.default.clone();
        }
        self.profile
            .iter()
            .map(|word| word.replace(PROFILE_PLACEHOLDER, profile.as_str()))
            .collect()
    }
}

fn absolute(field: &'static str, program: &str) -> Result<PathBuf, AgentError> {
    if program.starts_with('/') {
        Ok(PathBuf::from(program))
    } else {
        Err(AgentError::RelativeProgram {
            field,
            program: program.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("name = \"a\"", "line 1: missing field `program`")]
    #[case(
        "name = \"a\"\nprogram = \"a\"",
        "program: \"a\" is not an absolute path"
    )]
    #[case(
        "name = \"a\"\nprogram = \"/a\"\nsubcommand = []",
        "line 3: unknown field `subcommand`, expected one of `name`, `program`, `subcommands`, `credentials`, `gateway`, `dashboard`, `boot`"
    )]
    #[case(
        "name = \"a\"\nprogram = \"/a\"\n[gateway]\ndefault = []\nprofile = [\"/a\"]",
        "gateway.default is empty"
    )]
    #[case(
        "name = \"a\"\nprogram = \"/a\"\n[gateway]\ndefault = [\"/a\"]\nprofile = [\"/a\"]",
        "gateway.profile has no \"{profile}\" in it: every profile would run the same gateway"
    )]
    #[case(
        "name = \"a\"\nprogram = \"/a\"\n[[boot]]\ncommand = [\"sync\"]",
        "boot.command: \"sync\" is not an absolute path"
    )]
    fn a_wrong_file_is_refused_in_one_line(#[case] text: &str, #[case] message: &str) {
        assert_eq!(Agent::parse(text).unwrap_err().to_string(), message);
    }

    #[test]
    fn a_boot_command_runs_in_the_background_for_a_minute_unless_told_otherwise() {
        let text = "name = \"a\"\nprogram = \"/a\"\n[[boot]]\ncommand = [\"/s\"]\n\
                    [[boot]]\ncommand = [\"/t\", \"x\"]\nwait = true\ntimeout = 5";
        let command = |words: &[&str], wait, seconds| BootCommand {
            command: words.iter().map(|&word| word.to_owned()).collect(),
            wait,
            timeout: Duration::from_secs(seconds),
        };
        assert_eq!(
            Agent::parse(text).unwrap().boot,
            [command(&["/s"], false, 60), command(&["/t", "x"], true, 5)]
        );
    }

    #[test]
    fn the_default_profile_has_a_command_of_its_own() {
        let gateway = Gateway {
            default: vec!["/a".into(), "run".into()],
            profile: vec!["/a".into(), "-p={profile}".into()],
        };
        assert_eq!(
            gateway.command(&ProfileName::default_profile()),
            ["/a", "run"]
        );
        assert_eq!(
            gateway.command(&"coder".parse().unwrap()),
            ["/a", "-p=coder"]
        );
    }
}
