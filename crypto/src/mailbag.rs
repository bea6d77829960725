//! Mailbags: a signed envelope sealed to the relay that it is for, so that whoever holds it learns origin, destination,
//! size and time, and nothing else.
//!
//! The associated data is the mailbag's own record with an empty `sealed`: a holder that alters any field of it makes the
//! bag worthless, and cannot pass one relay's bag off as another's.

use bytes::Bytes;
use posthouse_spec::cbor::{Malformed, Octets};
use posthouse_spec::envelope::Envelope;
use posthouse_spec::peer::mailbag::Mailbag;
use posthouse_spec::{Cbor, Millis, SealKey, Signed, labels};

use crate::hash::envelope_id;
use crate::seal::{SealError, open_with_info, seal_with_info};
use crate::secret::SealSecret;

/// Why an envelope cannot be put in a bag.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BagError {
    /// What is to be sealed is no envelope, or the bag becomes too large.
    #[error("the envelope does not fit a mailbag: {0}")]
    Malformed(#[from] Malformed),
    /// It cannot be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
}

/// Why a bag is worth nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BagFault {
    /// It does not open.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// What is inside is no envelope.
    #[error("the envelope inside is malformed: {0}")]
    Malformed(#[from] Malformed),
    /// What is inside is not what stands outside.
    #[error("the {0} of the envelope inside is not the one that stands on the bag")]
    Mismatch(&'static str),
}

/// Seals an envelope to the relay that it is for, whose seal key is `key`.
///
/// # Errors
/// It is malformed or too large, the key is not usable, or the system gives no randomness.
pub fn seal_mailbag(
    key: &SealKey,
    envelope: &Signed<Envelope>,
    expires: Millis,
) -> Result<Mailbag, BagError> {
    let inside = envelope.peek()?;
    let mut bag = Mailbag {
        origin: inside.origin,
        destination: inside.destination,
        envelope: envelope_id(envelope),
        expires,
        sealed: Octets::default(),
    };
    let sealed = seal_with_info(key, labels::MAILBAG_SEAL.as_bytes(), &bag.to_cbor(), envelope.as_bytes())?;
    bag.sealed = Octets::new(sealed)?;
    Ok(bag)
}

/// Opens a mailbag, and checks that what is inside is what stands on it. Its signature is not checked here.
///
/// # Errors
/// It does not open with this key, or holds something else.
pub fn open_mailbag(secret: &SealSecret, bag: &Mailbag) -> Result<Signed<Envelope>, BagFault> {
    let aad = Mailbag { sealed: Octets::default(), ..bag.clone() }.to_cbor();
    let opened = open_with_info(secret, labels::MAILBAG_SEAL.as_bytes(), &aad, &bag.sealed)?;
    let envelope = Signed::<Envelope>::from_bytes(Bytes::copy_from_slice(&opened))?;
    let inside = envelope.peek()?;
    if envelope_id(&envelope) != bag.envelope {
        return Err(BagFault::Mismatch("id"));
    }
    if inside.origin != bag.origin {
        return Err(BagFault::Mismatch("origin"));
    }
    if inside.destination != bag.destination {
        return Err(BagFault::Mismatch("destination"));
    }
    Ok(envelope)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::seal_to;
    use crate::secret::SigningKey;
    use posthouse_spec::cbor::List;
    use posthouse_spec::envelope::{ENVELOPE_VERSION, LaneClass};
    use posthouse_spec::{EnvelopeId, Incarnation, LaneSeq};

    fn envelope() -> Signed<Envelope> {
        SigningKey::from_seed(&[7; 32]).sign(&Envelope {
            version: ENVELOPE_VERSION,
            origin: "a.example".parse().expect("a domain"),
            destination: "b.example".parse().expect("a domain"),
            class: LaneClass::Messages,
            incarnation: Incarnation::new([3; 16]),
            first: LaneSeq(5),
            created: Millis(1_800_000_000_000),
            items: List::new(vec![Octets::new(&b"an item"[..]).expect("it is short")]).expect("one"),
        })
    }

    fn bag(secret: &SealSecret) -> Mailbag {
        seal_mailbag(&secret.public(), &envelope(), Millis(1_800_000_900_000)).expect("it seals")
    }

    #[test]
    fn what_was_sealed_opens_as_the_same_bytes() {
        let secret = SealSecret::from_bytes([9; 32]);
        let bag = bag(&secret);
        assert_eq!(bag.envelope, envelope_id(&envelope()));
        let again = Mailbag::from_cbor(&bag.to_cbor()).expect("a record");
        assert_eq!(open_mailbag(&secret, &again).expect("it opens").as_bytes(), envelope().as_bytes());
    }

    #[test]
    fn nobody_else_opens_it() {
        let bag = bag(&SealSecret::from_bytes([9; 32]));
        let fault = open_mailbag(&SealSecret::from_bytes([10; 32]), &bag).expect_err("another key");
        assert_eq!(fault, BagFault::Seal(SealError::DoesNotOpen));
    }

    #[test]
    fn no_field_and_no_byte_of_it_can_be_altered() {
        let secret = SealSecret::from_bytes([9; 32]);
        let other = "c.example".parse().expect("a domain");
        let whole = bag(&secret);
        let altered = [
            Mailbag { origin: other, ..whole.clone() },
            Mailbag { destination: "c.example".parse().expect("a domain"), ..whole.clone() },
            Mailbag { envelope: EnvelopeId::new([0; 32]), ..whole.clone() },
            Mailbag { expires: Millis(1), ..whole.clone() },
        ];
        for bag in altered {
            assert_eq!(open_mailbag(&secret, &bag), Err(BagFault::Seal(SealError::DoesNotOpen)), "{bag:?}");
        }
        for at in 0..whole.sealed.len() {
            let mut bytes = whole.sealed.to_vec();
            bytes[at] ^= 1;
            let bag = Mailbag { sealed: Octets::new(bytes).expect("as long"), ..whole.clone() };
            assert!(open_mailbag(&secret, &bag).is_err(), "byte {at}");
        }
        let short = Mailbag { sealed: Octets::new(whole.sealed[..20].to_vec()).expect("shorter"), ..whole };
        assert_eq!(open_mailbag(&secret, &short), Err(BagFault::Seal(SealError::TooShort(20))));
    }

    #[test]
    fn a_seal_for_another_use_of_the_key_does_not_open() {
        let secret = SealSecret::from_bytes([9; 32]);
        let whole = bag(&secret);
        let aad = Mailbag { sealed: Octets::default(), ..whole.clone() }.to_cbor();
        let sealed = seal_to(&secret.public(), &aad, envelope().as_bytes()).expect("it seals");
        let bag = Mailbag { sealed: Octets::new(sealed).expect("as long"), ..whole };
        assert_eq!(open_mailbag(&secret, &bag), Err(BagFault::Seal(SealError::DoesNotOpen)));
    }

    #[test]
    fn a_bag_that_says_something_else_than_its_inside_is_refused() {
        // Only the origin itself can make such a bag: the fields are bound to the seal.
        let secret = SealSecret::from_bytes([9; 32]);
        let key = secret.public();
        let lying = |change: fn(&mut Mailbag)| {
            let mut bag = Mailbag { sealed: Octets::default(), ..bag(&secret) };
            change(&mut bag);
            let info = labels::MAILBAG_SEAL.as_bytes();
            let sealed = seal_with_info(&key, info, &bag.to_cbor(), envelope().as_bytes()).expect("it seals");
            bag.sealed = Octets::new(sealed).expect("it fits");
            open_mailbag(&secret, &bag)
        };
        let id = lying(|bag| bag.envelope = EnvelopeId::new([0; 32]));
        assert_eq!(id, Err(BagFault::Mismatch("id")));
        let origin = lying(|bag| bag.origin = "c.example".parse().expect("a domain"));
        assert_eq!(origin, Err(BagFault::Mismatch("origin")));
        let destination = lying(|bag| bag.destination = "c.example".parse().expect("a domain"));
        assert_eq!(destination, Err(BagFault::Mismatch("destination")));
    }
}
