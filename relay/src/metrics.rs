//! The names of what is counted, and the recorder that keeps the counts.
//!
//! Every name starts with `posthouse_`; no label holds a user, a device, a room or an address.

use std::sync::OnceLock;

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// Requests answered, by route and status.
pub const REQUESTS: &str = "posthouse_http_requests_total";
/// Seconds that a request took, by route.
pub const REQUEST_SECONDS: &str = "posthouse_http_request_seconds";
/// Connections that were closed unheard because there were too many.
pub const TURNED_AWAY: &str = "posthouse_connections_turned_away_total";
/// Client sockets open now.
pub const SOCKETS: &str = "posthouse_sockets";
/// Submits that were accepted.
pub const ACCEPTED: &str = "posthouse_submits_accepted_total";
/// Submits that were refused, by reason.
pub const REFUSED: &str = "posthouse_submits_refused_total";
/// Mailbox items pushed to devices.
pub const PUSHED: &str = "posthouse_pushes_total";
/// Jobs that shared a transaction of the store.
pub const BATCH_ITEMS: &str = "posthouse_store_batch_items";
/// Seconds that a transaction of the store took, its flush included.
pub const COMMIT_SECONDS: &str = "posthouse_store_commit_seconds";
/// Items that wait for another relay, by relay and class.
pub const LANE_BACKLOG: &str = "posthouse_lane_backlog";
/// How long the oldest item of a lane has waited for another relay, seconds, by relay and class: the relay's lag.
pub const LANE_OLDEST: &str = "posthouse_lane_oldest_seconds";
/// Lanes that had to begin another life, by whose data was restored.
pub const LANE_RESTORES: &str = "posthouse_lane_restores_total";
/// Streams to other relays that send.
pub const LANE_STREAMS_ACTIVE: &str = "posthouse_lane_streams_active";
/// Streams to other relays on which nothing waits.
pub const LANE_STREAMS_IDLE: &str = "posthouse_lane_streams_idle";
/// Lanes that wait for their turn though their relay is connected.
pub const LANES_READY: &str = "posthouse_lanes_ready";
/// Relays that are being dialled.
pub const PEERS_DIALLING: &str = "posthouse_peers_dialling";
/// Whether a relay is connected, by relay.
pub const PEER_CONNECTED: &str = "posthouse_peer_connected";
/// How a relay is treated, by relay: 0 like any other, 1 slowed, 2 cut off.
pub const PEER_TREATMENT: &str = "posthouse_peer_treatment";
/// Connections that were turned away because too many came from their address.
pub const PEER_CONNECTIONS_TURNED_AWAY: &str = "posthouse_peer_connections_turned_away_total";
/// Times that a lane was left unread for a while because it brought too much, by class.
pub const LANE_PAUSES: &str = "posthouse_lane_pauses_total";
/// Items that the retention has ended, by queue.
pub const EXPIRED: &str = "posthouse_expired_total";

/// Mailbags that are held here for other relays.
pub const MAILBAGS_HELD: &str = "posthouse_mailbags_held";
/// Their bytes.
pub const MAILBAG_BYTES_HELD: &str = "posthouse_mailbag_bytes_held";
/// Mailbags that were left with others, by holder.
pub const MAILBAGS_LEFT: &str = "posthouse_mailbags_left_total";
/// Items in mailbags that were left with others, by holder.
pub const MAILBAG_ITEMS_LEFT: &str = "posthouse_mailbag_items_left_total";
/// Mailbags that a holder did not take, by holder.
pub const MAILBAGS_NOT_LEFT: &str = "posthouse_mailbags_not_left_total";
/// Mailbags that were collected at this relay's return.
pub const MAILBAGS_COLLECTED: &str = "posthouse_mailbags_collected_total";
/// Mailbags for this relay that were worth nothing, by rule.
pub const MAILBAGS_REFUSED: &str = "posthouse_mailbags_refused_total";

/// Calls by circuit that became a direct connection, or did not, by result.
pub const HOLES: &str = "posthouse_holes_total";
/// Circuits that this relay has carried for others.
pub const CIRCUITS_CARRIED: &str = "posthouse_circuits_carried_total";
/// Circuits that it has not.
pub const CIRCUITS_DENIED: &str = "posthouse_circuits_denied_total";

/// Bounds of the buckets of what takes time, seconds.
const SECONDS: &[f64] = &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
/// Bounds of the buckets of what comes in batches, items.
const ITEMS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

static RECORDER: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

/// Starts counting, once in a process, and gives the handle that renders the counts.
pub fn start() -> Option<PrometheusHandle> {
    RECORDER
        .get_or_init(|| {
            let builder = PrometheusBuilder::new()
                .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), SECONDS)
                .and_then(|builder| builder.set_buckets_for_metric(Matcher::Suffix("_items".into()), ITEMS));
            match builder.and_then(PrometheusBuilder::install_recorder) {
                Ok(handle) => {
                    describe();
                    Some(handle)
                }
                Err(error) => {
                    tracing::warn!(%error, "nothing is counted: another recorder is installed");
                    None
                }
            }
        })
        .clone()
}

fn describe() {
    describe_counter!(REQUESTS, Unit::Count, "Requests answered, by route and status.");
    describe_histogram!(REQUEST_SECONDS, Unit::Seconds, "Time that a request took, by route.");
    describe_counter!(TURNED_AWAY, Unit::Count, "Connections closed unheard because there were too many.");
    describe_gauge!(SOCKETS, Unit::Count, "Client sockets open now.");
    describe_counter!(ACCEPTED, Unit::Count, "Submits that were accepted.");
    describe_counter!(REFUSED, Unit::Count, "Submits that were refused, by reason.");
    describe_counter!(PUSHED, Unit::Count, "Mailbox items pushed to devices.");
    describe_histogram!(BATCH_ITEMS, Unit::Count, "Jobs that shared a transaction of the store.");
    describe_histogram!(COMMIT_SECONDS, Unit::Seconds, "Time that a transaction of the store took.");
    describe_gauge!(LANE_BACKLOG, Unit::Count, "Items that wait for another relay, by relay and class.");
    describe_gauge!(LANE_OLDEST, Unit::Seconds, "Time that the oldest item has waited for another relay.");
    describe_counter!(
        LANE_RESTORES,
        Unit::Count,
        "Lanes begun anew because a relay was restored from a copy, by whose it was (here, there)."
    );
    describe_gauge!(LANE_STREAMS_ACTIVE, Unit::Count, "Streams to other relays that send.");
    describe_gauge!(LANE_STREAMS_IDLE, Unit::Count, "Streams to other relays on which nothing waits.");
    describe_gauge!(
        LANES_READY,
        Unit::Count,
        "Lanes that wait for their turn though their relay is connected."
    );
    describe_gauge!(PEERS_DIALLING, Unit::Count, "Relays that are being dialled.");
    describe_gauge!(PEER_CONNECTED, "1 where another relay is connected, 0 where it is not.");
    describe_gauge!(PEER_TREATMENT, "How a relay is treated: 0 like any other, 1 slowed, 2 cut off.");
    describe_counter!(
        PEER_CONNECTIONS_TURNED_AWAY,
        Unit::Count,
        "Connections that came too often from one address."
    );
    describe_counter!(LANE_PAUSES, Unit::Count, "Times that a lane brought too much and was read later.");
    describe_counter!(EXPIRED, Unit::Count, "Items that the retention has ended.");
    describe_gauge!(MAILBAGS_HELD, Unit::Count, "Mailbags held here for other relays.");
    describe_gauge!(MAILBAG_BYTES_HELD, Unit::Bytes, "Bytes of the mailbags held here for other relays.");
    describe_counter!(MAILBAGS_LEFT, Unit::Count, "Mailbags left with others, by holder.");
    describe_counter!(MAILBAG_ITEMS_LEFT, Unit::Count, "Items in mailbags left with others, by holder.");
    describe_counter!(MAILBAGS_NOT_LEFT, Unit::Count, "Mailbags that a holder did not take, by holder.");
    describe_counter!(MAILBAGS_COLLECTED, Unit::Count, "Mailbags collected at this relay's return.");
    describe_counter!(
        MAILBAGS_REFUSED,
        Unit::Count,
        "Mailbags for this relay that were worth nothing, by rule."
    );
    describe_counter!(HOLES, Unit::Count, "Circuits that became a direct connection, or did not, by result.");
    describe_counter!(CIRCUITS_CARRIED, Unit::Count, "Circuits carried for other relays.");
    describe_counter!(CIRCUITS_DENIED, Unit::Count, "Circuits of other relays that were denied.");
}
