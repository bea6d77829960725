//! The relay's configuration: defaults, then `relay.toml`, then the environment, then flags; the later wins.
//!
//! [`Config`] is what was written, as text. [`Settings`] is what has been checked for form, and the only thing the rest
//! of the program sees. What the machine has to say (files, ports, the clock) is looked at by [`check`].

pub mod check;
mod circuits;
mod mailbags;
mod peer_limits;
mod problem;
mod reload;
mod settings;
mod sources;
mod template;
mod tls;
mod written;

pub use circuits::CircuitsConfig;
pub use mailbags::{MailbagSettings, MailbagsConfig};
pub use peer_limits::PeerLimitsConfig;
pub use problem::{Problem, Problems};
pub use reload::{Differences, differences};
pub use settings::{HttpSettings, LogFormat, PeerSettings, Rates, Registration, Settings, TlsFiles};
pub use sources::load;
pub use template::{NotInitialised, init};
pub use tls::{TlsFault, load_tls};
pub use written::{Config, HttpConfig, LimitsConfig, LogConfig, PeersConfig};
