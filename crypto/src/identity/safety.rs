//! Safety numbers: what two people compare to know that nobody stands between them.

use posthouse_spec::{AccountId, PublicKey, labels};
use sha2::{Digest, Sha256, Sha512};

use super::account::Account;

/// The version of the computation, hashed first.
const VERSION: [u8; 2] = [0, 1];
/// How often the hash is applied: it makes the search for a second account with similar digits that much dearer. The
/// number is Signal's.
const ITERATIONS: usize = 5200;
/// Groups of digits for each account.
const GROUPS: usize = 6;
/// Bytes of the hash behind each group.
const GROUP_BYTES: usize = 5;
/// Values of a group: five digits.
const GROUP_VALUES: u64 = 100_000;

/// The 60 digits that two people compare: twelve groups of five, separated by spaces.
///
/// Each account gives 30 digits, and the account with the lower id comes first, so that both people see the same.
/// They depend on the account and on all its recovery keys, so they change when the recovery key is rotated and at
/// no other event. For one account:
///
/// 1. `lineage` = SHA-256 of the recovery keys, 32 bytes each, the first one first.
/// 2. `h` = SHA-512(`version` ‖ label ‖ `account id` ‖ `lineage`), with the version as the two bytes 0, 1 and the label
///    [`SAFETY_NUMBER`](labels::SAFETY_NUMBER) in ASCII.
/// 3. `h` = SHA-512(`h` ‖ `account id` ‖ `lineage`), 5,199 times.
/// 4. Six groups from the first 30 bytes of `h`: each five bytes as a big-endian number, modulo 100,000, in five digits
///    with leading zeros.
#[must_use]
pub fn safety_number(a: &Account, b: &Account) -> String {
    let (first, second) = if a.id() <= b.id() { (a, b) } else { (b, a) };
    let mut groups = half(&first.id(), first.recovery_keys());
    groups.extend(half(&second.id(), second.recovery_keys()));
    groups.join(" ")
}

fn half(id: &AccountId, recovery_keys: &[PublicKey]) -> Vec<String> {
    let lineage = lineage(recovery_keys);
    let mut hash = Sha512::new()
        .chain_update(VERSION)
        .chain_update(labels::SAFETY_NUMBER)
        .chain_update(id.as_bytes())
        .chain_update(lineage)
        .finalize();
    for _ in 1..ITERATIONS {
        hash = Sha512::new().chain_update(hash).chain_update(id.as_bytes()).chain_update(lineage).finalize();
    }
    hash.chunks(GROUP_BYTES).take(GROUPS).map(group).collect()
}

fn lineage(keys: &[PublicKey]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for key in keys {
        hash.update(key.as_bytes());
    }
    hash.finalize().into()
}

fn group(bytes: &[u8]) -> String {
    let number = bytes.iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
    format!("{:05}", number % GROUP_VALUES)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed with Python's hashlib from the definition above.
    #[test]
    fn the_digits_are_those_of_the_definition() {
        let keys = [PublicKey::new([2; 32]), PublicKey::new([3; 32])];
        assert_eq!(half(&AccountId::new([1; 32]), &keys).join(" "), "54938 52725 99621 30938 29862 27695");
    }
}
