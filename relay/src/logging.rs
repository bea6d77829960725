//! The log: to standard error, in lines for people or as JSON. Tokens, keys and bodies are never logged.

use tracing_subscriber::EnvFilter;

use crate::config::LogFormat;

/// Starts logging. A second call in one process changes nothing.
pub fn start(format: LogFormat, level: &str) {
    // The level was checked with the rest of the configuration.
    let filter = level.parse().unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let result = match format {
        LogFormat::Text => builder.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    if let Err(error) = result {
        tracing::debug!(%error, "the log was started before");
    }
}
