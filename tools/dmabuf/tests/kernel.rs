// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What the crate says of the kernel, on a kernel that has dma-buf direct I/O:
//! elsewhere the tests are ignored. The files are in the current directory's
//! file system.

use dmabuf::{By, Call, CopyReason, Counters, DmaBuf, Errno, Flags, Memfd};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

const SIZE: u64 = 64 << 10;

/// A buffer of zeroes.
fn buffer() -> DmaBuf {
    Memfd::new(SIZE).unwrap().udmabuf().unwrap()
}

/// A file that goes when the test does.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str, bytes: &[u8]) -> Scratch {
        let path = PathBuf::from(format!("dmabuf-{}-{name}", std::process::id()));
        std::fs::write(&path, bytes).unwrap();
        File::open(&path).unwrap().sync_all().unwrap();
        Scratch(path)
    }

    fn bytes(&self) -> Vec<u8> {
        std::fs::read(&self.0).unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn pattern(len: u64) -> Vec<u8> {
    (0..len).map(|i| (i % 251) as u8 + 1).collect()
}

fn counters(buf: &DmaBuf) -> Counters {
    buf.stats().unwrap().io.unwrap()
}

#[test]
#[ignore = "needs a kernel with dma-buf direct I/O"]
fn positions_move_where_no_offset_is_given() {
    let mut buf = buffer();
    let data = pattern(8192);
    let scratch = Scratch::new("positions", &data);
    let file = File::open(&scratch.0).unwrap();

    let none = Flags::NONE;
    assert_eq!(buf.splice_from(&file, None, None, 1000, none), Ok(1000));
    assert_eq!(buf.stats().unwrap().position, 1000);
    assert_eq!(
        buf.copy_file_range_from(&file, None, None, 24, none),
        Ok(24)
    );
    assert_eq!(buf.sendfile_from(&file, None, 76), Ok(76));
    assert_eq!(buf.stats().unwrap().position, 1100);
    // An offset leaves the position alone.
    assert_eq!(buf.splice_from(&file, 1100, 1100, 100, none), Ok(100));
    assert_eq!(buf.stats().unwrap().position, 1100);
    let bytes = buf.cpu_read().unwrap();
    assert_eq!(bytes[..1200], data[..1200]);
    assert!(bytes[1200..].iter().all(|byte| *byte == 0));
}

#[test]
#[ignore = "needs a kernel with dma-buf direct I/O"]
fn every_call_writes_where_it_should() {
    let mut buf = buffer();
    buf.cpu_write().unwrap().copy_from_slice(&pattern(SIZE));
    let data = pattern(SIZE);
    for call in Call::ALL {
        let scratch = Scratch::new(call.name(), &[0xee; 10_000]);
        let file = File::options().write(true).open(&scratch.0).unwrap();
        let by = By {
            call,
            ..By::default()
        };
        assert_eq!(buf.save_by(by, &file, 3000, 500, 2000).unwrap(), 2000);
        let bytes = scratch.bytes();
        assert_eq!(bytes[3000..5000], data[500..2500], "{call}");
        assert_eq!(bytes.len(), 10_000);
        assert!(bytes[..3000].iter().all(|byte| *byte == 0xee), "{call}");
        assert!(bytes[5000..].iter().all(|byte| *byte == 0xee), "{call}");
    }
    let io = counters(&buf);
    assert_eq!((io.dio_write_bytes, io.copy_write_bytes), (0, 6000));
    assert_eq!(io.copy_reason, Some(CopyReason::Buffered));
}

#[test]
#[ignore = "needs a kernel with dma-buf direct I/O"]
fn nocopy_refuses_and_says_why() {
    let mut buf = buffer();
    let scratch = Scratch::new("nocopy", &pattern(8192));
    let file = File::open(&scratch.0).unwrap();
    let no = Flags::NOCOPY;
    let refused = Err(Errno::OPNOTSUPP);
    assert_eq!(buf.splice_from(&file, 0, 0, 4096, no), refused);
    assert_eq!(buf.copy_file_range_from(&file, 0, 0, 4096, no), refused);
    let by = By {
        flags: no,
        ..By::default()
    };
    let error = buf.load_by(by, &file, 0, 0, 4096).unwrap_err().to_string();
    assert!(error.contains("not open for direct I/O"), "{error}");
    assert_eq!(counters(&buf), Counters::default());

    let by = By {
        call: Call::Sendfile,
        flags: no,
    };
    assert!(buf.load_by(by, &file, 0, 0, 4096).is_err());
}

#[test]
#[ignore = "needs a kernel with dma-buf direct I/O"]
fn the_end_of_file_and_buffer() {
    let mut buf = buffer();
    let data = pattern(5000);
    let scratch = Scratch::new("end", &data);
    let file = dmabuf::open(&scratch.0).unwrap();
    assert_eq!(buf.load(&file, 100, 8, SIZE).unwrap(), 4900);
    assert_eq!(buf.cpu_read().unwrap()[8..4908], data[100..]);
    assert_eq!(buf.load(&file, 5000, 0, SIZE).unwrap(), 0);
    let error = buf.load(&file, 0, SIZE, 1).unwrap_err();
    assert_eq!(error.errno(), Errno::NOSPC);
    let null = File::options().write(true).open("/dev/null").unwrap();
    assert_eq!(buf.save(&null, 0, SIZE, 1).unwrap(), 0);
    assert_eq!(buf.save(&null, 0, SIZE - 9, SIZE).unwrap(), 9);
}

#[test]
#[ignore = "needs a kernel with dma-buf direct I/O"]
fn streams_are_moved_at_their_own_position() {
    let mut buf = buffer();
    let (read, write) = std::os::unix::net::UnixStream::pair().unwrap();
    std::io::Write::write_all(&mut &write, b"hello").unwrap();
    let by = By::default();
    assert_eq!(buf.load_by(by, &read, None, 10, 5).unwrap(), 5);
    assert_eq!(buf.cpu_read().unwrap()[9..16], *b"\0hello\0");
    assert_eq!(buf.save_by(by, &read, None, 10, 5).unwrap(), 5);
    let mut back = [0; 5];
    std::io::Read::read_exact(&mut &write, &mut back).unwrap();
    assert_eq!(back, *b"hello");
    let error = buf.load(&read, 0, 0, 5).unwrap_err();
    assert_eq!(error.errno(), Errno::SPIPE);
}

#[test]
#[ignore = "needs a kernel with dma-buf direct I/O"]
fn what_cannot_be() {
    let mut buf = buffer();
    let other = buffer();
    let error = buf.load(&other, 0, 0, SIZE).unwrap_err();
    assert_eq!(error.errno(), Errno::INVAL);
    assert!(
        error.to_string().contains("both ends are dma-bufs"),
        "{error}"
    );

    let dir = File::open(".").unwrap();
    for call in Call::ALL {
        let by = By {
            call,
            ..By::default()
        };
        let error = buf.load_by(by, &dir, 0, 0, SIZE).unwrap_err().to_string();
        assert!(error.contains("it is a directory"), "{error}");
    }

    let scratch = Scratch::new("append", b"");
    let append = File::options().append(true).open(&scratch.0).unwrap();
    for call in Call::ALL {
        let by = By {
            call,
            ..By::default()
        };
        let error = buf.save_by(by, &append, 0, 0, 9).unwrap_err().to_string();
        assert!(error.contains("open for appending"), "{error}");
    }
    let unread = File::options().write(true).open(&scratch.0).unwrap();
    unread.write_all_at(b"x", 0).unwrap();
    let error = buf.load(&unread, 0, 0, 1).unwrap_err();
    assert!(
        error.to_string().contains("not open for reading"),
        "{error}"
    );
}
