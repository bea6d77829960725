//! Content: texts, ids and padding.

use posthouse_spec::content::{MimiContent, message_id_input, pad, padded_len, unpad};
use posthouse_spec::limits::{MAX_BODY, MAX_TEXT};
use posthouse_spec::{AccountId, Cbor, RoomId};
use proptest::prelude::*;

use crate::samples::fill;

#[test]
fn a_text_is_a_text_again() {
    let content = MimiContent::text(fill(0), "hello").unwrap();
    let read = MimiContent::from_cbor(&content.to_cbor()).unwrap();
    assert_eq!(read.as_text(), Some("hello"));
}

#[test]
fn the_longest_text_fits_a_submit_and_one_byte_more_is_refused() {
    let longest = "x".repeat(MAX_TEXT);
    let content = MimiContent::text(fill(0), &longest).unwrap().to_cbor();
    // MLS adds some 200 bytes around the padded content.
    assert!(pad(&content).len() + 1024 < MAX_BODY);
    assert_eq!(MimiContent::text(fill(0), &format!("{longest}x")).unwrap_err().rule(), "too-long");
}

#[test]
fn the_message_id_is_over_both_uris_with_their_lengths_the_content_and_its_salt() {
    let content = MimiContent::text(fill(0xc0), "hello").unwrap().to_cbor();
    let input = message_id_input(&AccountId::new(fill(0xa0)), &RoomId::new(fill(0x40)), &content);
    let sender = format!("posthouse:account/{}", hex::encode(fill::<32>(0xa0)));
    let room = format!("posthouse:room/{}", hex::encode(fill::<32>(0x40)));
    assert_eq!((sender.len(), room.len()), (82, 79));
    let expected =
        [&[0, 82], sender.as_bytes(), &[0, 79], room.as_bytes(), &content, &fill::<16>(0xc0)].concat();
    assert_eq!(input, expected);
}

#[test]
fn padded_sizes_are_those_of_the_chapter() {
    let sizes =
        [(1, 256), (256, 256), (257, 512), (4096, 4096), (4097, 4352), (9000, 9216), (49_408, 51_200)];
    for (len, padded) in sizes {
        assert_eq!(padded_len(len), padded, "{len} bytes");
    }
}

proptest! {
    #[test]
    fn padding_comes_off_as_it_went_on(content in prop::collection::vec(any::<u8>(), 0..6000)) {
        let padded = pad(&content);
        prop_assert_eq!(padded.len(), padded_len(content.len() + 1));
        prop_assert_eq!(unpad(&padded).unwrap(), &content[..]);
    }

    #[test]
    fn padding_costs_an_eighth_at_most_above_the_buckets(len in 4097_usize..1_000_000) {
        let padded = padded_len(len);
        prop_assert!(padded >= len && (padded - len) * 8 <= len);
    }

    #[test]
    fn unpadding_any_bytes_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = unpad(&bytes);
    }
}
