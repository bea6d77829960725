use std::time::Duration;

use super::*;
use futures::{StreamExt as _, TryStreamExt as _};
use posthouse_spec::cbor::Octets;
use posthouse_spec::peer::deliver::{Busy, DeliverFrame, ReceiptFrame};
use posthouse_spec::peer::{KeysRequest, RoomRequest, hello::HelloResponse};
use proptest::prelude::*;
use tokio::io::AsyncReadExt as _;
use tokio_util::compat::TokioAsyncWriteCompatExt as _;

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

/// A stream that brings so many bytes at a time, each some time after the ones before, and then nothing more.
fn trickle(bytes: &[u8], step: usize, every: Duration) -> impl AsyncRead + Unpin + use<> {
    let steps: Vec<Vec<u8>> = bytes.chunks(step).map(<[u8]>::to_vec).collect();
    let coming = futures::stream::iter(steps).then(move |step| async move {
        tokio::time::sleep(every).await;
        Ok::<_, io::Error>(step)
    });
    Box::pin(coming.chain(futures::stream::pending())).into_async_read()
}

fn framed(len: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    put_frame(&mut bytes, &vec![7; len]);
    bytes
}

/// Much longer than [`STEP`]. The clock stands still and jumps from one wait to the next, so no machine is too busy.
const PATIENCE: Duration = Duration::from_secs(4);
const STEP: Duration = Duration::from_millis(500);
/// So many steps take longer than the patience.
const STEPS: usize = 10;

#[tokio::test(start_paused = true)]
async fn a_frame_that_comes_slowly_is_waited_for() {
    let bytes = framed(STEPS * READ_CHUNK);
    let slowly = trickle(&bytes, READ_CHUNK, STEP);
    let mut reader = FrameReader::new(slowly, 1 << 20).with_patience(PATIENCE);
    assert_eq!(reader.next().await.expect("it comes").expect("whole").len(), STEPS * READ_CHUNK);
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_does_not_go_on_is_late() {
    let patience = Duration::from_millis(200);
    let late = async |bytes: &[u8], step, every| {
        let mut reader = FrameReader::new(trickle(bytes, step, every), 1 << 20).with_patience(patience);
        match reader.next().await {
            Err(FrameError::Late { came }) => came,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(late(&[], 1, Duration::ZERO).await, 0);
    let half = &framed(400_000)[..100_000];
    assert_eq!(late(half, READ_CHUNK, Duration::ZERO).await, 100_000);
    // Whoever keeps a place by a byte now and then does not keep it.
    let drops = late(&framed(10_000), 1, Duration::from_millis(1)).await;
    assert!(drops < 10_000, "{drops}");
}

#[tokio::test(start_paused = true)]
async fn the_wait_for_a_place_does_not_make_a_frame_late() {
    let room = Arc::new(Semaphore::new(1));
    let taken = Arc::clone(&room).acquire_owned().await.expect("open");
    let bytes = trickle(&framed(400_000), READ_CHUNK, Duration::ZERO);
    let mut reader = FrameReader::new(bytes, 1 << 20).with_patience(PATIENCE).with_room(Arc::clone(&room));
    let leaving = async {
        tokio::time::sleep(PATIENCE + STEP).await;
        drop(taken);
    };
    let (read, ()) = futures::join!(reader.next(), leaving);
    assert_eq!(read.expect("it came").expect("whole").len(), 400_000);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_takes_little_is_written_on_and_one_that_takes_nothing_is_given_up() {
    let (mut far, near) = tokio::io::duplex(COALESCE);
    let mut writer = FrameWriter::new(near.compat_write()).with_patience(PATIENCE);
    let octets = Octets::new(vec![7; STEPS * COALESCE]).expect("small");
    let frame = DeliverFrame::Envelope(octets);
    let reading = async {
        let mut some = vec![0; COALESCE];
        for _ in 0..STEPS {
            tokio::time::sleep(STEP).await;
            far.read_exact(&mut some).await.expect("it is written");
        }
    };
    let (written, ()) = futures::join!(writer.send(&frame), reading);
    written.expect("it is taken, if slowly");
    let given_up = writer.send(&frame).await.expect_err("nobody reads");
    assert_eq!(given_up.kind(), io::ErrorKind::TimedOut);
}
