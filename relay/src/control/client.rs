//! The commands' end of the control socket.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::{Method, RequestBuilder};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::place::{Place, SOCKET};
use super::reply::Trouble;
use super::status::Status;

/// How long a command waits for its answer; the doctor's patience is the longest.
const PATIENCE: Duration = Duration::from_secs(180);

/// Why a command did not get through to a running relay.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// No relay runs on the folder.
    #[error(
        "no relay runs on {}: start it with `posthouse-relay serve`, or name the folder of the one that runs with --data or --config",
        .0.display()
    )]
    NotRunning(PathBuf),
    /// The socket is another user's.
    #[error("the control socket {} is not for this user: run the command as the user that runs the relay", .0.display())]
    NotPermitted(PathBuf),
    /// The relay would not do it.
    #[error(transparent)]
    Refused(#[from] Trouble),
    /// Something answered, but not as a relay does.
    #[error("asking the running relay at {}: {why}", .path.display())]
    Broken {
        /// The socket.
        path: PathBuf,
        /// What happened.
        why: String,
    },
}

/// A relay that runs on a data folder.
#[derive(Debug)]
pub struct Running {
    path: PathBuf,
    client: reqwest::Client,
    _place: Place,
}

impl Running {
    /// Finds the relay that runs on a data folder.
    ///
    /// # Errors
    /// None runs there, or it is not this user's.
    pub async fn on(data: &Path) -> Result<Self, ControlError> {
        let path = data.join(SOCKET);
        let refused = |error: &io::Error| match error.kind() {
            io::ErrorKind::PermissionDenied => ControlError::NotPermitted(path.clone()),
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                ControlError::NotRunning(data.to_owned())
            }
            _ => ControlError::Broken { path: path.clone(), why: error.to_string() },
        };
        let place = Place::of(data).map_err(|error| refused(&error))?;
        // A plain connection says best why none can be had.
        tokio::net::UnixStream::connect(place.path()).await.map_err(|error| refused(&error))?;
        let client = reqwest::Client::builder()
            .unix_socket(place.path())
            // Nothing of it leaves the machine, and a machine without any roots has control sockets too.
            .tls_certs_only([])
            .no_proxy()
            .timeout(PATIENCE)
            .build()
            .map_err(|error| ControlError::Broken { path: path.clone(), why: error.to_string() })?;
        Ok(Self { path, client, _place: place })
    }

    /// The relay that runs, or nothing where none does.
    ///
    /// # Errors
    /// One may run, but it cannot be asked.
    pub async fn if_any(data: &Path) -> Result<Option<Self>, ControlError> {
        match Self::on(data).await {
            Ok(running) => Ok(Some(running)),
            Err(ControlError::NotRunning(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Which relay it is.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub async fn status(&self) -> Result<Status, ControlError> {
        self.get("/status").await
    }

    /// Asks something.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ControlError> {
        self.send(self.request(Method::GET, path)).await
    }

    /// Has something done; `path` begins with a slash.
    ///
    /// # Errors
    /// The relay has gone meanwhile, would not do it, or is of another version.
    pub async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &(impl Serialize + Sync),
    ) -> Result<T, ControlError> {
        self.send(self.request(method, path).json(body)).await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("http://relay{path}"))
    }

    async fn send<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, ControlError> {
        let broken = |error: reqwest::Error| {
            let mut cause: &dyn std::error::Error = &error;
            while let Some(inner) = cause.source() {
                cause = inner;
            }
            let mut why = cause.to_string();
            if error.is_decode() {
                why.push_str("; it may be of another version than this program: restart it after an upgrade");
            }
            ControlError::Broken { path: self.path.clone(), why }
        };
        let response = request.send().await.map_err(broken)?;
        if response.status().is_success() {
            return response.json().await.map_err(broken);
        }
        Err(response.json::<Trouble>().await.map_err(broken)?.into())
    }
}
