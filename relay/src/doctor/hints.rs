//! What an operator can do about a rule that one side says the other has broken.

use posthouse_federation::PeerError;
use posthouse_spec::Domain;
use posthouse_spec::peer::hello::PeerRule;

/// What to do where hello failed.
pub(super) fn hello(own: &Domain, other: &Domain, error: &PeerError) -> String {
    match error {
        PeerError::Refused { rule, .. } => refused(own, other, *rule),
        PeerError::Timeout { .. } => {
            format!(
                "{other} takes connections but answers nothing: its operator should look whether it is overloaded or hangs"
            )
        }
        PeerError::Crowded { .. } => "try again when this relay has less to do".to_owned(),
        PeerError::Unknown { .. } | PeerError::Unreachable { .. } => {
            format!(
                "the connection broke during hello: try again, and ask the operator of {other} what its log says"
            )
        }
    }
}

fn refused(own: &Domain, other: &Domain, rule: PeerRule) -> String {
    match rule {
        PeerRule::NotAllowed => {
            format!(
                "ask the operator of {other} to allow this relay: `posthouse-relay peers allow {own}` there"
            )
        }
        PeerRule::ClockSkew => {
            "set the clock that is wrong, best by NTP; the check `clock` compares them".to_owned()
        }
        PeerRule::Version => {
            "the two relays have no protocol version in common: upgrade the older one".to_owned()
        }
        PeerRule::UnknownDomain => format!(
            "{other} cannot find or check the manifest of this relay: look at https://{own}/.well-known/posthouse/manifest from elsewhere, and ask its operator for `posthouse-relay peers doctor {own}`"
        ),
        PeerRule::ManifestSignature | PeerRule::ManifestChain | PeerRule::Equivocation => format!(
            "one of the two does not follow the other's manifest: if a data folder was lost or copied, tell the other operator, who decides with `posthouse-relay peers repin {own}` (or {other} here)"
        ),
        PeerRule::NotANode => format!(
            "the node that answers is not one that the manifest of {other} names: its operator should look whether an old process or another relay has its port"
        ),
        PeerRule::CutOff | PeerRule::TooFast | PeerRule::TooManyStreams => format!(
            "{other} has had too much of this relay: it talks to it again by itself after a time; its log names the rule that was broken"
        ),
        PeerRule::Unavailable => {
            format!("{other} is overloaded or its store has failed: try again later, and tell its operator")
        }
        _ => format!(
            "this is a fault of one of the two programs: compare their versions, and tell the operator of {other}"
        ),
    }
}

/// What to do where a web server gave no manifest.
pub(super) fn fetch(other: &Domain, by_override: bool, why: &str) -> String {
    let whose = if by_override {
        "the overrides file names this URL: correct it, or start what should answer there".to_owned()
    } else {
        format!("its operator should let HTTPS to {other} on port 443 lead to its relay")
    };
    if why.contains("certificate") {
        return format!(
            "the certificate at {other} is not good: its operator should renew it, for this name"
        );
    }
    whose
}
