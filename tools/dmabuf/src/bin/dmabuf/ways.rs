// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Every way that Linux offers to bring a file into memory, or back.

use crate::Result;
use dmabuf::units::bytes;
use dmabuf::{Call, Counters, DmaBuf, Errno, Flags, Heap, Mapping, Memfd};
use rustix::fd::AsFd;
use rustix::io::retry_on_intr;
use serde::{Deserialize, Serialize};

/// Of the data, seen from the file.
#[derive(Serialize, Deserialize, Default, Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// From the file to memory
    #[default]
    Read,
    /// From memory to the file
    Write,
}

/// What the data is in, and what the system call is told about it.
#[derive(Serialize, Deserialize, Default, Debug, Clone, Copy, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum Memory {
    /// A memfd, mmap()ed. No dma-buf: the standard of comparison.
    Memfd,
    /// The same, while /dev/udmabuf shows it as a dma-buf.
    UdmabufMemfd,
    /// Such a dma-buf, itself mmap()ed.
    UdmabufMmap,
    /// A dma-buf of a heap, mmap()ed.
    HeapMmap,
    /// The descriptor of a udmabuf.
    Udmabuf,
    /// The descriptor of a dma-buf of a heap.
    #[default]
    Heap,
}

#[derive(Serialize, Deserialize, Default, Debug, Clone, Copy, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// read() or write(), by the address of a mapping.
    ReadWrite,
    #[default]
    Splice,
    Sendfile,
    CopyFileRange,
}

/// One way. The default is the one all others are there to be compared with.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq)]
pub struct Kind {
    pub direction: Direction,
    pub memory: Memory,
    pub call: How,
    /// The file is open with O_DIRECT.
    pub direct: bool,
}

impl Default for Kind {
    fn default() -> Self {
        Kind {
            direction: Direction::default(),
            memory: Memory::default(),
            call: How::default(),
            direct: true,
        }
    }
}

impl Kind {
    /// All of one direction; the first is what has always been there.
    pub fn all(direction: Direction) -> Vec<Kind> {
        let mut kinds = Vec::new();
        let mut both = |memory, call| {
            for direct in [false, true] {
                kinds.push(Kind {
                    direction,
                    memory,
                    call,
                    direct,
                });
            }
        };
        for memory in [
            Memory::Memfd,
            Memory::UdmabufMemfd,
            Memory::UdmabufMmap,
            Memory::HeapMmap,
        ] {
            both(memory, How::ReadWrite);
        }
        for memory in [Memory::Udmabuf, Memory::Heap] {
            for call in [How::Sendfile, How::Splice, How::CopyFileRange] {
                both(memory, call);
            }
        }
        kinds
    }

    /// The three that show the point: the new one, the usual one, and the best
    /// of those that exist.
    pub fn short() -> [(Kind, &'static str); 3] {
        let read = |memory, direct| Kind {
            direction: Direction::Read,
            memory,
            call: How::ReadWrite,
            direct,
        };
        [
            (Kind::default(), "splice(2) into a dma-buf"),
            (
                read(Memory::HeapMmap, false),
                "read() into a mmap()ed dma-buf",
            ),
            (
                read(Memory::UdmabufMemfd, true),
                "O_DIRECT read() into a udmabuf's memfd",
            ),
        ]
    }

    pub fn name(self) -> String {
        let memory = match self.memory {
            Memory::Memfd => "memfd",
            Memory::UdmabufMemfd => "udmabuf's memfd",
            Memory::UdmabufMmap => "udmabuf mmap",
            Memory::HeapMmap => "heap mmap",
            Memory::Udmabuf => "udmabuf",
            Memory::Heap => "heap",
        };
        let call = match (self.call, self.direction) {
            (How::ReadWrite, Direction::Read) => "read",
            (How::ReadWrite, Direction::Write) => "write",
            (How::Splice, _) => "splice",
            (How::Sendfile, _) => "sendfile",
            (How::CopyFileRange, _) => "copy_file_range",
        };
        let direct = if self.direct { "O_DIRECT " } else { "" };
        format!("{memory}, {direct}{call}()")
    }

    /// Tells the kernel the buffer, not an address.
    pub fn knows_dma_bufs(self) -> bool {
        self.call != How::ReadWrite
    }
}

/// One buffer of a way.
pub struct Buffer {
    buf: Option<DmaBuf>,
    /// The memory behind it, where it has a name of its own.
    memory: Option<Mapping>,
}

/// Where buffers come from.
pub struct Allocator {
    memory: Memory,
    heap: Option<Heap>,
}

impl Allocator {
    pub fn new(memory: Memory) -> Result<Self> {
        let heap = match memory {
            Memory::Heap | Memory::HeapMmap => Some(Heap::open("system")?),
            _ => None,
        };
        Ok(Allocator { memory, heap })
    }

    /// A buffer as the way needs it: mapped and touched if it goes by address.
    pub fn allocate(&self, size: u64) -> Result<Buffer> {
        let mut buffer = Buffer {
            buf: None,
            memory: None,
        };
        match &self.heap {
            Some(heap) => buffer.buf = Some(heap.allocate(size)?),
            None => {
                let memfd = Memfd::new(size)?;
                if self.memory != Memory::Memfd {
                    buffer.buf = Some(memfd.udmabuf()?);
                }
                if matches!(self.memory, Memory::Memfd | Memory::UdmabufMemfd) {
                    buffer.memory = Some(memfd.map()?);
                }
            }
        }
        if !matches!(self.memory, Memory::Heap | Memory::Udmabuf) {
            let page = rustix::param::page_size();
            buffer.edit(|bytes| {
                for byte in bytes.iter_mut().step_by(page) {
                    *byte = std::hint::black_box(1);
                }
            })?;
        }
        Ok(buffer)
    }
}

impl Buffer {
    /// The bytes by the mapping that the way goes by.
    pub fn edit(&mut self, work: impl FnOnce(&mut [u8])) -> Result<()> {
        match (&mut self.memory, &mut self.buf) {
            (Some(memory), _) => work(memory),
            (None, Some(buf)) => work(&mut buf.cpu_write()?),
            (None, None) => unreachable!("a buffer is one or the other"),
        }
        Ok(())
    }

    /// The bytes as the users of the buffer see them: of a dma-buf, those of
    /// the dma-buf.
    pub fn look(&self, work: impl FnOnce(&[u8]) -> Result<()>) -> Result<()> {
        match (&self.buf, &self.memory) {
            (Some(buf), _) => work(&buf.cpu_read()?),
            (None, Some(memory)) => work(memory),
            (None, None) => unreachable!("a buffer is one or the other"),
        }
    }

    /// Forgets a mapping that the way does not need, so that closing does not
    /// have to undo it.
    pub fn unmap_if_only_looked_at(&mut self, memory: Memory) {
        match &mut self.buf {
            Some(buf) if !matches!(memory, Memory::UdmabufMmap | Memory::HeapMmap) => buf.unmap(),
            _ => {}
        }
    }

    /// The kernel's counters, of a dma-buf.
    pub fn counters(&self) -> Result<Option<Counters>> {
        match &self.buf {
            Some(buf) => Ok(buf.stats()?.io),
            None => Ok(None),
        }
    }

    /// The whole buffer to or from `file` at `off`, and nothing else: this is
    /// what is measured. An error number is the kernel's refusal.
    pub fn transfer(&mut self, kind: Kind, file: impl AsFd, off: u64, len: u64) -> Result<()> {
        let file = file.as_fd();
        if kind.call == How::ReadWrite {
            return match (&mut self.memory, &mut self.buf) {
                (Some(memory), _) => read_write(kind.direction, file, off, memory),
                (None, Some(buf)) => match kind.direction {
                    Direction::Read => read_write(kind.direction, file, off, &mut buf.cpu_write()?),
                    Direction::Write => write(file, off, &buf.cpu_read()?),
                },
                (None, None) => unreachable!("a buffer is one or the other"),
            };
        }
        let buf = self.buf.as_mut().ok_or("not a dma-buf")?;
        let call = match kind.call {
            How::Splice => Call::Splice,
            How::CopyFileRange => Call::CopyFileRange,
            How::Sendfile | How::ReadWrite => Call::Sendfile,
        };
        if kind.direction == Direction::Write && call == Call::Sendfile {
            rustix::fs::seek(file, rustix::fs::SeekFrom::Start(off))?;
        }
        let none = Flags::NONE;
        whole(len, |done| {
            let (off, left) = (off + done, len - done);
            match (kind.direction, call) {
                (Direction::Read, Call::Splice) => buf.splice_from(file, off, done, left, none),
                (Direction::Write, Call::Splice) => buf.splice_to(file, off, done, left, none),
                (Direction::Read, Call::CopyFileRange) => {
                    buf.copy_file_range_from(file, off, done, left, none)
                }
                (Direction::Write, Call::CopyFileRange) => {
                    buf.copy_file_range_to(file, off, done, left, none)
                }
                (Direction::Read, Call::Sendfile) => buf.sendfile_from(file, off, left),
                (Direction::Write, Call::Sendfile) => buf.sendfile_to(file, done, left),
            }
        })
    }
}

fn read_write(direction: Direction, file: impl AsFd, off: u64, memory: &mut [u8]) -> Result<()> {
    match direction {
        Direction::Read => read(file, off, memory),
        Direction::Write => write(file, off, memory),
    }
}

/// pread(2) until the memory is full.
pub fn read(file: impl AsFd, off: u64, memory: &mut [u8]) -> Result<()> {
    whole(memory.len() as u64, |done| {
        let n = rustix::io::pread(&file, &mut memory[done as usize..], off + done)?;
        Ok(n as u64)
    })
}

/// pwrite(2) until all of the memory is written.
pub fn write(file: impl AsFd, off: u64, memory: &[u8]) -> Result<()> {
    whole(memory.len() as u64, |done| {
        let n = rustix::io::pwrite(&file, &memory[done as usize..], off + done)?;
        Ok(n as u64)
    })
}

/// Calls until `len` bytes are moved.
fn whole(len: u64, mut call: impl FnMut(u64) -> std::result::Result<u64, Errno>) -> Result<()> {
    let mut done = 0;
    while done < len {
        match retry_on_intr(|| call(done))? {
            0 => return Err(format!("only {} of {} moved", bytes(done), bytes(len)).into()),
            n => done += n,
        }
    }
    Ok(())
}

/// That both are the same, or where they differ.
pub fn equal(got: &[u8], expected: &[u8], off: u64) -> Result<()> {
    if got == expected {
        return Ok(());
    }
    let at = got.iter().zip(expected).position(|(a, b)| a != b);
    Err(match at {
        Some(at) => format!(
            "WRONG DATA: byte {} is {:#04x} and should be {:#04x}",
            off + at as u64,
            got[at],
            expected[at]
        ),
        None => format!("WRONG DATA: {} and not {} bytes", got.len(), expected.len()),
    }
    .into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_ways_in_their_order() {
        let names: Vec<String> = Kind::all(Direction::Read)
            .into_iter()
            .map(Kind::name)
            .collect();
        assert_eq!(names.len(), 20);
        assert_eq!(names[0], "memfd, read()");
        assert_eq!(names[5], "udmabuf mmap, O_DIRECT read()");
        assert_eq!(names[8], "udmabuf, sendfile()");
        assert_eq!(names[19], "heap, O_DIRECT copy_file_range()");
        let mut unique = names.clone();
        unique.sort();
        unique.dedup();
        assert_eq!(unique.len(), names.len());
        assert_eq!(
            Kind::all(Direction::Write)[3].name(),
            "udmabuf's memfd, O_DIRECT write()"
        );
    }

    #[test]
    fn the_short_ones_are_among_all() {
        let all = Kind::all(Direction::Read);
        assert!(Kind::short().iter().all(|(kind, _)| all.contains(kind)));
    }

    #[test]
    fn short_calls_are_continued_the_end_is_told() {
        let mut answers = vec![Ok(3), Err(Errno::INTR), Ok(5)].into_iter();
        assert!(whole(8, |_| answers.next().unwrap()).is_ok());
        let error = whole(8, |done| Ok(if done == 0 { 3 } else { 0 })).unwrap_err();
        assert_eq!(error.to_string(), "only 3 bytes of 8 bytes moved");
        let error = whole(8, |_| Err(Errno::FAULT)).unwrap_err();
        assert_eq!(error.downcast_ref(), Some(&Errno::FAULT));
    }

    #[test]
    fn a_difference_is_found() {
        assert!(equal(b"abc", b"abc", 0).is_ok());
        let error = equal(b"abd", b"abc", 4096).unwrap_err().to_string();
        assert!(
            error.contains("byte 4098 is 0x64 and should be 0x63"),
            "{error}"
        );
        assert!(equal(b"ab", b"abc", 0).is_err());
    }

    /// The ways that need no special kernel, there and back.
    #[test]
    fn memfds_are_read_and_written() {
        let path = std::env::temp_dir().join(format!("dmabuf-ways-{}", std::process::id()));
        let file = std::fs::File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
            .unwrap();
        let _ = std::fs::remove_file(&path);
        let data = [7; 8192];
        write(&file, 4096, &data).unwrap();
        let mut kind = Kind::all(Direction::Read)[0];
        let mut buffer = Allocator::new(kind.memory).unwrap().allocate(8192).unwrap();
        buffer.transfer(kind, &file, 4096, 8192).unwrap();
        buffer.look(|bytes| equal(bytes, &data, 0)).unwrap();
        assert!(buffer.transfer(kind, &file, 8192, 8192).is_err());

        buffer.edit(|bytes| bytes.fill(9)).unwrap();
        kind.direction = Direction::Write;
        buffer.transfer(kind, &file, 0, 8192).unwrap();
        let mut back = [0; 8192];
        read(&file, 0, &mut back).unwrap();
        assert!(equal(&back, &[9; 8192], 0).is_ok());
    }
}
