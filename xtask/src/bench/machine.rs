//! The machine that was measured on.

use std::fmt;
use std::fs;

use super::BenchError;
use crate::engine::{self, EngineError};

/// What figures depend on besides the code.
#[derive(Debug)]
pub(crate) struct Machine {
    processor: String,
    cores: i64,
    memory_gib: i64,
    system: String,
    kernel: String,
    engine: String,
    storage: String,
    cgroups: String,
    /// The day, as the engine's clock has it.
    day: String,
}

impl Machine {
    /// Asks the engine, and this machine for the name of its processor.
    pub(crate) async fn ask() -> Result<Self, BenchError> {
        let docker = engine::connect().await?;
        let info = docker.info().await;
        let info = info.map_err(EngineError::on("tell about its machine"))?;
        let told = |value: Option<String>| value.unwrap_or_else(|| "unknown".to_owned());
        let cgroups = info.cgroup_version.map(|version| version.to_string());
        let day = told(info.system_time);
        Ok(Self {
            processor: processor(&fs::read_to_string("/proc/cpuinfo").unwrap_or_default()),
            cores: info.ncpu.unwrap_or(0),
            memory_gib: info.mem_total.unwrap_or(0) >> 30,
            system: told(info.operating_system),
            kernel: told(info.kernel_version),
            engine: told(info.server_version),
            storage: told(info.driver),
            cgroups: told(cgroups),
            day: day.split('T').next().unwrap_or(&day).to_owned(),
        })
    }
}

/// The first processor's name in `/proc/cpuinfo`.
fn processor(cpuinfo: &str) -> String {
    let name = cpuinfo.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == "model name").then(|| value.trim())
    });
    name.unwrap_or("a processor without a name").to_owned()
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}, {} cores, {} GiB; {}, Linux {}; engine {} with {} and cgroup v{}; {}",
            self.processor,
            self.cores,
            self.memory_gib,
            self.system,
            self.kernel,
            self.engine,
            self.storage,
            self.cgroups,
            self.day
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processor_is_called_as_the_kernel_calls_it() {
        let cpuinfo = "processor\t: 0\nmodel\t\t: 85\nmodel name\t: Some Chip @ 2 GHz\n";
        assert_eq!(processor(cpuinfo), "Some Chip @ 2 GHz");
        assert_eq!(processor(""), "a processor without a name");
    }
}
