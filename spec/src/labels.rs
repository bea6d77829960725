//! Domain separation: every label under which something is signed, hashed or derived, in one table.
//!
//! A signature's label is the `external_aad` of its COSE_Sign1, so a signature made for one kind of thing is worth
//! nothing for another. A label that was used once is never given another meaning; a new form gets a new number.

macro_rules! labels {
    ($($(#[$meta:meta])* $name:ident = $text:literal;)+) => {
        $($(#[$meta])* pub const $name: &str = $text;)+
        /// Every label; a test holds that no two are the same.
        pub const ALL: &[&str] = &[$($name),+];
    };
}

labels! {
    /// An event of an account's chain, signed by the recovery key or a device key.
    ACCOUNT_EVENT = "posthouse/account-event/1";
    /// An account's wish for an alias, signed by its device key.
    ALIAS_CLAIM = "posthouse/alias-claim/1";
    /// A relay's binding of an alias, signed by its ordering key.
    ALIAS_BINDING = "posthouse/alias-binding/1";
    /// The leaf claim in an MLS credential, signed by the device key.
    LEAF_CLAIM = "posthouse/leaf-claim/1";
    /// A device's answer to a login challenge.
    LOGIN = "posthouse/login/1";
    /// A claim of key packages, signed by the claiming device.
    KEY_CLAIM = "posthouse/key-claim/1";
    /// The upload of a commit: the device's word for the whole commit.
    COMMIT_UPLOAD = "posthouse/commit-upload/1";
    /// A device's word that it rejoins a room, in the authenticated data of its external commit.
    REJOIN = "posthouse/rejoin/1";
    /// A device's word that its account leaves a room, in the authenticated data of the commit that lets it go.
    LEAVE = "posthouse/leave/1";
    /// A hub's decision, signed by its ordering key.
    DECISION = "posthouse/decision/1";
    /// A relay's manifest, signed by its root key.
    MANIFEST = "posthouse/manifest/1";
    /// An envelope, signed by a node key.
    ENVELOPE = "posthouse/envelope/1";
    /// The HPKE seal to one device (the `info` of RFC 9180).
    DEVICE_SEAL = "posthouse/device-seal/1";
    /// The HPKE seal of a mailbag to the relay that it is for.
    MAILBAG_SEAL = "posthouse/mailbag-seal/1";
    /// The key for the marks that a relay puts on its own messages.
    MARK_KEY = "posthouse/mark-key/1";
    /// The safety number's hash.
    SAFETY_NUMBER = "posthouse/safety-number/1";
    /// Derivation of the recovery key from the 24 words' entropy.
    RECOVERY_KEY = "posthouse/recovery-key/1";
    /// Wrapping of the vault's key.
    VAULT_KEY = "posthouse/vault-key/1";
}

#[cfg(test)]
mod tests {
    #[test]
    fn no_two_labels_are_the_same() {
        let mut all = super::ALL.to_vec();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), super::ALL.len());
    }
}
