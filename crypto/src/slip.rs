//! Which word of a recovery code was written down or typed wrong.
//!
//! A checksum alone says only that something is wrong. Whoever knows the recovery key's public half can tell where: one
//! replaced word, or two swapped ones, is found by trying. This finds nothing for a thief, who would need the other 23
//! words. The right word is never told, because what is told gets logged; the paper has it.

use bip39::Language;
use posthouse_spec::PublicKey;
use zeroize::Zeroizing;

use crate::hash::sha256;
use crate::secret::{RECOVERY_ENTROPY, RECOVERY_WORDS, RecoveryCode};

/// Bits that a word stands for.
const WORD_BITS: usize = 11;

/// What is wrong with the words; positions are counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slip {
    /// This word is another one.
    Word {
        /// Its place.
        position: usize,
    },
    /// These two stand in each other's place.
    Swapped {
        /// The first one's place.
        first: usize,
        /// The second one's place.
        second: usize,
    },
}

/// Finds the one slip that keeps these words from being the code of the account with this recovery key.
#[must_use]
pub fn find_slip(text: &str, recovery: &PublicKey) -> Option<Slip> {
    let text = Zeroizing::new(text.to_lowercase());
    let mut words: Vec<u16> =
        text.split_whitespace().map(|word| Language::English.find_word(word)).collect::<Option<_>>()?;
    if words.len() != RECOVERY_WORDS {
        return None;
    }
    for first in 0..RECOVERY_WORDS {
        for second in first + 1..RECOVERY_WORDS {
            words.swap(first, second);
            let found = is_code_of(&words, recovery);
            words.swap(first, second);
            if found {
                return Some(Slip::Swapped { first: first + 1, second: second + 1 });
            }
        }
    }
    for position in 0..RECOVERY_WORDS {
        let typed = words[position];
        for other in 0..1 << WORD_BITS {
            words[position] = other;
            if is_code_of(&words, recovery) {
                return Some(Slip::Word { position: position + 1 });
            }
        }
        words[position] = typed;
    }
    None
}

/// Whether these words are the code with this recovery key; the checksum is looked at first, because it is cheap.
fn is_code_of(words: &[u16], recovery: &PublicKey) -> bool {
    let mut bytes = Zeroizing::new([0u8; RECOVERY_ENTROPY + 1]);
    for (place, word) in words.iter().enumerate() {
        for bit in 0..WORD_BITS {
            if word >> (WORD_BITS - 1 - bit) & 1 == 1 {
                let at = place * WORD_BITS + bit;
                bytes[at / 8] |= 0x80 >> (at % 8);
            }
        }
    }
    let mut entropy = Zeroizing::new([0; RECOVERY_ENTROPY]);
    entropy.copy_from_slice(&bytes[..RECOVERY_ENTROPY]);
    sha256(entropy.as_slice())[0] == bytes[RECOVERY_ENTROPY]
        && RecoveryCode::from_entropy(&entropy).signing_key().public() == *recovery
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_found_and_a_foreign_code_is_none() {
        let code = RecoveryCode::from_entropy(&[0x5a; RECOVERY_ENTROPY]);
        let recovery = code.signing_key().public();
        let words = code.words();
        let mut words: Vec<&str> = words.split(' ').collect();
        assert_eq!(find_slip(&words[1..].join(" "), &recovery), None);
        words.swap(2, 9);
        let swapped = words.join(" ");
        if words[2] != words[9] {
            assert_eq!(find_slip(&swapped, &recovery), Some(Slip::Swapped { first: 3, second: 10 }));
        }
        words.swap(2, 9);
        words[6] = if words[6] == "zoo" { "abandon" } else { "zoo" };
        assert_eq!(find_slip(&words.join(" "), &recovery), Some(Slip::Word { position: 7 }));
        words[7] = if words[7] == "zoo" { "abandon" } else { "zoo" };
        assert_eq!(find_slip(&words.join(" "), &recovery), None);
    }
}
