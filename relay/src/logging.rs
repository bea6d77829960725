//! The log: to standard error, in lines for people or as JSON. Tokens, keys and bodies are never logged.

use std::sync::OnceLock;

use tracing_subscriber::EnvFilter;

use crate::config::LogFormat;

/// Says from now on something else of what is logged.
type SetLevel = Box<dyn Fn(EnvFilter) -> Result<(), String> + Send + Sync>;

static LEVEL: OnceLock<SetLevel> = OnceLock::new();

/// Starts logging. A second call in one process changes nothing.
pub fn start(format: LogFormat, level: &str) {
    // The level was checked with the rest of the configuration.
    let filter = level.parse().unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let (result, set): (_, SetLevel) = match format {
        LogFormat::Text => {
            let ansi = std::io::IsTerminal::is_terminal(&std::io::stderr());
            let builder = builder.with_ansi(ansi).with_filter_reloading();
            let handle = builder.reload_handle();
            let set = move |filter| handle.reload(filter).map_err(|error| error.to_string());
            (builder.try_init(), Box::new(set))
        }
        LogFormat::Json => {
            let builder = builder.json().with_filter_reloading();
            let handle = builder.reload_handle();
            let set = move |filter| handle.reload(filter).map_err(|error| error.to_string());
            (builder.try_init(), Box::new(set))
        }
    };
    match result {
        Ok(()) => drop(LEVEL.set(set)),
        Err(error) => tracing::debug!(%error, "the log was started before"),
    }
}

/// From now on this is logged; a log that somebody else started stays as it is.
///
/// # Errors
/// The level is no filter.
pub fn set_level(level: &str) -> Result<(), String> {
    let filter = level.parse::<EnvFilter>().map_err(|error| error.to_string())?;
    LEVEL.get().map_or(Ok(()), |set| set(filter))
}
