//! `GET /v1/devices`: the devices of the session's account.

use axum::Json;
use axum::extract::State;
use posthouse_spec::client::http::{DeviceInfo, DevicesResponse, ErrorBody};

use super::auth::Caller;
use crate::accounts::Accounts;
use crate::error::ApiResult;
use crate::mailbox::MailboxKey;
use crate::sessions::Context;

/// Lists the active devices, whether they are connected, and their stock of key packages.
#[utoipa::path(
    get, path = "/v1/devices", operation_id = "devices", security(("session" = [])),
    responses((status = 200, body = DevicesResponse), (status = "default", body = ErrorBody))
)]
pub(super) async fn devices(
    State(accounts): State<Accounts>,
    State(sockets): State<Context>,
    caller: Caller,
) -> ApiResult<Json<DevicesResponse>> {
    let mut devices = Vec::new();
    for device in accounts.devices(&caller.account).await? {
        let who = MailboxKey { account: caller.account, device };
        let stock = accounts.stock(who).await?;
        devices.push(DeviceInfo {
            device,
            online: sockets.sessions.is_online(&who),
            key_packages_classic: stock.classic,
            key_packages_post_quantum: stock.post_quantum,
        });
    }
    Ok(Json(DevicesResponse { devices }))
}
