//! The libp2p protocols that this relay speaks, and their negotiation.

use std::convert::Infallible;
use std::future::{Ready, ready};

use libp2p::core::{InboundUpgrade, OutboundUpgrade, UpgradeInfo};
use libp2p::{Stream, StreamProtocol};
use posthouse_spec::peer;

/// What a stream is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Hello,
    Deliver,
    Room,
    Keys,
    Mailbag,
}

impl Protocol {
    const ALL: [Self; 5] = [Self::Hello, Self::Deliver, Self::Room, Self::Keys, Self::Mailbag];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Hello => peer::hello::PROTOCOL,
            Self::Deliver => peer::deliver::PROTOCOL,
            Self::Room => peer::room::PROTOCOL,
            Self::Keys => peer::keys::PROTOCOL,
            Self::Mailbag => peer::mailbag::PROTOCOL,
        }
    }

    fn of(name: &StreamProtocol) -> Option<Self> {
        Self::ALL.into_iter().find(|protocol| protocol.name() == name.as_ref())
    }
}

/// Negotiates one of some protocols and hands out the bare stream.
#[derive(Debug, Clone)]
pub(crate) struct Negotiate(Vec<StreamProtocol>);

impl Negotiate {
    pub(super) fn any() -> Self {
        Self(Protocol::ALL.map(|protocol| StreamProtocol::new(protocol.name())).to_vec())
    }

    pub(super) fn one(protocol: Protocol) -> Self {
        Self(vec![StreamProtocol::new(protocol.name())])
    }
}

impl UpgradeInfo for Negotiate {
    type Info = StreamProtocol;
    type InfoIter = std::vec::IntoIter<StreamProtocol>;

    fn protocol_info(&self) -> Self::InfoIter {
        self.0.clone().into_iter()
    }
}

impl InboundUpgrade<Stream> for Negotiate {
    type Output = (Stream, Option<Protocol>);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Infallible>>;

    fn upgrade_inbound(self, stream: Stream, name: StreamProtocol) -> Self::Future {
        ready(Ok((stream, Protocol::of(&name))))
    }
}

impl OutboundUpgrade<Stream> for Negotiate {
    type Output = Stream;
    type Error = Infallible;
    type Future = Ready<Result<Stream, Infallible>>;

    fn upgrade_outbound(self, stream: Stream, _: StreamProtocol) -> Self::Future {
        ready(Ok(stream))
    }
}
