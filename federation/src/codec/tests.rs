use super::*;
use posthouse_spec::peer::deliver::{Busy, DeliverFrame, ReceiptFrame};
use posthouse_spec::peer::{KeysRequest, RoomRequest, hello::HelloResponse};
use proptest::prelude::*;

fn varint(mut n: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while n >= 0x80 {
        out.push((n & 0x7f) as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
    out
}

#[test]
fn a_gibibyte_prefix_is_refused_before_anything_is_allocated() {
    let mut buffer = FrameBuffer::new(1024);
    buffer.extend(&varint(1 << 30));
    let fault = buffer.next_frame().expect_err("too long");
    assert_eq!(fault.rule(), Some(PeerRule::FrameTooLong));
    assert!(buffer.bytes.capacity() < 1024);
}

#[test]
fn a_promised_frame_costs_only_what_has_come() {
    let mut buffer = FrameBuffer::new(9 << 20);
    buffer.extend(&varint(9 << 20));
    assert!(buffer.next_frame().expect("within the limit").is_none());
    assert!(buffer.bytes.capacity() < 1024);
}

#[test]
fn a_length_has_one_form() {
    for bad in [&[0x80, 0x00][..], &[0x81, 0x80, 0x00], &[0xff; 10]] {
        let mut buffer = FrameBuffer::new(1024);
        buffer.extend(bad);
        assert!(matches!(buffer.next_frame(), Err(FrameError::Length)), "{bad:?}");
    }
}

#[test]
fn the_limit_itself_passes() {
    let mut buffer = FrameBuffer::new(300);
    let mut bytes = Vec::new();
    put_frame(&mut bytes, &[7; 300]);
    buffer.extend(&bytes);
    assert_eq!(buffer.next_frame().expect("a frame").expect("whole").len(), 300);
    put_frame(&mut bytes, &[7; 301]);
    buffer.extend(&bytes[302..]);
    assert!(matches!(buffer.next_frame(), Err(FrameError::TooLong { len: 301, limit: 300 })));
}

#[tokio::test]
async fn a_writer_gathers_and_a_reader_finds_the_same_frames() {
    let mut written = Vec::new();
    let mut writer = FrameWriter::new(&mut written);
    for n in 0..100 {
        writer.feed(&ReceiptFrame::Busy(Busy { retry_after_ms: n })).await.expect("memory takes it");
    }
    assert!(!writer.buffer.is_empty(), "small frames wait for company");
    writer.close().await.expect("memory takes it");
    let mut reader = FrameReader::new(&written[..], 1024);
    for n in 0..100 {
        let frame: ReceiptFrame = reader.value().await.expect("a frame");
        assert_eq!(frame, ReceiptFrame::Busy(Busy { retry_after_ms: n }));
    }
    assert!(reader.next().await.expect("the end").is_none());
}

#[tokio::test]
async fn a_stream_that_ends_inside_a_frame_is_an_error() {
    let mut reader = FrameReader::new(&[5_u8, 1, 2][..], 1024);
    assert!(matches!(reader.next().await, Err(FrameError::Ended)));
}

proptest! {
    #[test]
    fn frames_come_out_as_they_went_in_however_they_are_cut(
        frames in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..400), 0..20),
        cut in 1_usize..50,
    ) {
        let mut bytes = Vec::new();
        for frame in &frames {
            put_frame(&mut bytes, frame);
        }
        let mut buffer = FrameBuffer::new(400);
        let mut found = Vec::new();
        for piece in bytes.chunks(cut) {
            buffer.extend(piece);
            while let Some(frame) = buffer.next_frame().expect("within the limit") {
                found.push(frame.to_vec());
            }
        }
        prop_assert_eq!(found, frames);
        prop_assert!(buffer.is_empty());
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut buffer = FrameBuffer::new(256);
        buffer.extend(&bytes);
        while let Ok(Some(frame)) = buffer.next_frame() {
            let _ = DeliverFrame::from_cbor(&frame);
            let _ = ReceiptFrame::from_cbor(&frame);
            let _ = HelloResponse::from_cbor(&frame);
            let _ = KeysRequest::from_cbor(&frame);
            let _ = RoomRequest::from_cbor(&frame);
        }
    }
}

#[tokio::test]
async fn streams_that_share_a_room_have_so_many_large_frames_at_once() {
    let mut written = Vec::new();
    put_frame(&mut written, &vec![7; 2 * SMALL_FRAME]);
    put_frame(&mut written, &[1, 2]);
    let room = Arc::new(Semaphore::new(1));
    let reader =
        |room: &Arc<Semaphore>| FrameReader::new(&written[..], 4 * SMALL_FRAME).with_room(Arc::clone(room));
    let (mut first, mut second) = (reader(&room), reader(&room));
    assert_eq!(first.next().await.unwrap().unwrap().len(), 2 * SMALL_FRAME);
    assert!(futures::poll!(Box::pin(second.next())).is_pending(), "the place is taken");
    assert_eq!(first.next().await.unwrap().unwrap().len(), 2, "a small one needs none");
    assert_eq!(second.next().await.unwrap().unwrap().len(), 2 * SMALL_FRAME);
    drop(second);
    assert_eq!(room.available_permits(), 1);
}
