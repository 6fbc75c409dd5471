//! What a host configures an instance with.

use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::logging::Level;

/// Keys that are missing have the values of [`Config::default`]; unknown ones are ignored.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Whatever the plugin wants to know.
    pub data: Value,
    /// What it wants to know only at its start.
    pub init_params: Value,
    /// For plugins with threads of their own; None: as many as there are cores.
    pub worker_threads: Option<usize>,
    pub log_level: Level,
    /// More calls at once are refused; 0: no limit.
    pub max_concurrent_ops: usize,
    pub shutdown_timeout_ms: u64,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            data: Value::Null,
            init_params: Value::Null,
            worker_threads: None,
            log_level: Level::Info,
            max_concurrent_ops: 1000,
            shutdown_timeout_ms: 5000,
        }
    }
}

impl Config {
    /// Of JSON; of nothing, the default.
    ///
    /// # Errors
    /// It is not an object, or one of its values makes no sense.
    pub fn from_json(bytes: &[u8]) -> Result<Config> {
        let mut config = Config::default();
        if bytes.is_empty() {
            return Ok(config);
        }
        let object: Map<String, Value> =
            serde_json::from_slice(bytes).map_err(|error| Error::config(error.to_string()))?;
        for (key, value) in object {
            let wrong = |wanted| Err(Error::config(format!("{key} is {value}, and not {wanted}")));
            let number = || value.as_u64().and_then(|n| usize::try_from(n).ok());
            match key.as_str() {
                "data" => config.data = value,
                "init_params" => config.init_params = value,
                "worker_threads" if value.is_null() => {}
                "worker_threads" => match number() {
                    Some(n) if n > 0 => config.worker_threads = Some(n),
                    _ => return wrong("at least 1"),
                },
                "log_level" => match value.as_str().and_then(Level::from_name) {
                    Some(level) => config.log_level = level,
                    None => return wrong("a level"),
                },
                "max_concurrent_ops" => match number() {
                    Some(n) => config.max_concurrent_ops = n,
                    None => return wrong("a number"),
                },
                "shutdown_timeout_ms" => match value.as_u64() {
                    Some(n) => config.shutdown_timeout_ms = n,
                    None => return wrong("a number"),
                },
                _ => {}
            }
        }
        Ok(config)
    }
}
