// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What a stretch of work cost: CPU, time, page cache, and the disk's own count.

use crate::{Result, about};
use dmabuf::{Errno, Error};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::FileType;
use sha2::{Digest, Sha256};
use std::os::unix::thread::JoinHandleExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// CPU time of this process, user and kernel side. Not in it: interrupts and
/// other threads, see [`Idler`].
pub fn cpu_time() -> Duration {
    clock(libc::CLOCK_PROCESS_CPUTIME_ID)
}

fn clock(clock: libc::clockid_t) -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the kernel fills the structure, or leaves it alone.
    let ret = unsafe { libc::clock_gettime(clock, &raw mut time) };
    assert_eq!(ret, 0, "clock_gettime({clock}) fails");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Pages of a file in the page cache, by cachestat(2).
pub fn cached_pages(file: BorrowedFd<'_>) -> std::result::Result<u64, Errno> {
    #[repr(C)]
    struct Range {
        off: u64,
        /// 0: to the end
        len: u64,
    }
    #[repr(C)]
    #[derive(Default)]
    struct Stat {
        cache: u64,
        dirty: u64,
        writeback: u64,
        evicted: u64,
        recently_evicted: u64,
    }
    const SYS_CACHESTAT: libc::c_long = 451;
    let range = Range { off: 0, len: 0 };
    let mut stat = Stat::default();
    // SAFETY: both structures are those of <linux/mman.h>.
    let ret = unsafe {
        libc::syscall(
            SYS_CACHESTAT,
            file.as_raw_fd(),
            &raw const range,
            &raw mut stat,
            0,
        )
    };
    match ret {
        0 => Ok(stat.cache),
        _ => Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)),
    }
}

/// Bytes of a file in the page cache.
pub fn cached_bytes(file: impl AsFd) -> Result<u64> {
    let pages = cached_pages(file.as_fd()).map_err(|e| Error::new("cachestat(2)", e))?;
    Ok(pages * rustix::param::page_size() as u64)
}

/// Gets a file out of the page cache, and says so if it stays.
pub fn drop_cache(file: impl AsFd) -> Result<()> {
    rustix::fs::fsync(&file)?;
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
    if cached_bytes(&file)? > 0 {
        // Pages still on their way between lists: the big hammer.
        std::fs::write("/proc/sys/vm/drop_caches", "1")?;
    }
    match cached_bytes(&file)? {
        0 => Ok(()),
        left => Err(format!("{left} bytes of the file stay in the page cache").into()),
    }
}

/// Lets every way find free memory in pieces as large as there can be, since
/// mapping many small ones for the disk costs several times as much.
pub fn compact_memory() {
    // Not every kernel has it, and not everybody may.
    let _ = std::fs::write("/proc/sys/vm/compact_memory", "1");
}

/// Bytes the disk under a file has delivered and taken so far, from its own
/// statistics. `None` where there is no such disk.
pub fn disk_bytes(file: impl AsFd) -> Option<(u64, u64)> {
    let stat = rustix::fs::fstat(file).ok()?;
    let dev = match FileType::from_raw_mode(stat.st_mode) {
        FileType::BlockDevice => stat.st_rdev,
        _ => stat.st_dev,
    };
    let (major, minor) = (rustix::fs::major(dev), rustix::fs::minor(dev));
    let stat = std::fs::read_to_string(format!("/sys/dev/block/{major}:{minor}/stat")).ok()?;
    let (read, written) = sectors(&stat)?;
    Some((read * 512, written * 512))
}

/// Third and seventh number of Documentation/block/stat.rst.
fn sectors(stat: &str) -> Option<(u64, u64)> {
    let number = |n| stat.split_whitespace().nth(n)?.parse().ok();
    Some((number(2)?, number(6)?))
}

/// What a disk is asked to read, by two that know nothing of who asks: its own
/// statistics, and the trace event of the block layer.
pub struct Reads {
    file: OwnedFd,
    before: u64,
    trace: PathBuf,
}

impl Reads {
    pub fn watch(file: &OwnedFd) -> Result<Reads> {
        let trace = PathBuf::from("/sys/kernel/tracing/instances/dmabuf-cost");
        std::fs::create_dir(&trace).map_err(about(&trace))?;
        let reads = Reads {
            file: file.try_clone()?,
            before: disk_bytes(file).ok_or("the disk has no statistics")?.0,
            trace,
        };
        // Of all disks: a disk with several paths has its requests on those.
        reads.write("events/block/block_rq_issue/filter", "rwbs ~ \"R*\"")?;
        reads.write("events/block/block_rq_issue/enable", "1")?;
        Ok(reads)
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.trace.join(name);
        Ok(std::fs::write(&path, text).map_err(about(&path))?)
    }

    /// The bytes it has read since, and those of each command.
    pub fn end(self) -> Result<(u64, Vec<u64>)> {
        let (read, _) = disk_bytes(&self.file).ok_or("the disk has no statistics")?;
        self.write("events/block/block_rq_issue/enable", "0")?;
        let path = self.trace.join("trace");
        let trace = std::fs::read_to_string(&path).map_err(about(&path))?;
        Ok((
            read - self.before,
            trace.lines().filter_map(issued).collect(),
        ))
    }
}

impl Drop for Reads {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.trace);
    }
}

/// Bytes of "block_rq_issue: MAJOR,MINOR RWBS BYTES () SECTOR + ..."
fn issued(line: &str) -> Option<u64> {
    let (_, event) = line.split_once("block_rq_issue: ")?;
    event.split_whitespace().nth(2)?.parse().ok()
}

/// Whether one nanosecond of this machine's clock is one instruction, as under
/// QEMU with `-icount shift=0`. Found out by running a known number of them.
#[cfg(target_arch = "x86_64")]
pub fn clock_counts_instructions() -> bool {
    const LOOPS: u64 = 5_000_000;
    (0..3).all(|_| {
        let start = cpu_time();
        // SAFETY: counts a register down, two instructions each time.
        unsafe {
            std::arch::asm!(
                "2: dec {n}", "jnz 2b",
                n = inout(reg) LOOPS => _,
                options(nomem, nostack)
            );
        }
        let ns = (cpu_time() - start).as_nanos() as f64;
        (ns / (2 * LOOPS) as f64 - 1.0).abs() < 0.01
    })
}

#[cfg(not(target_arch = "x86_64"))]
pub fn clock_counts_instructions() -> bool {
    false
}

/// Median; of an even number of values, the higher one of the two in the middle.
pub fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values[values.len() / 2]
}

/// SHA-256 over the first `left` bytes of what it is given.
pub struct Sha {
    sha: Sha256,
    left: u64,
}

impl Sha {
    pub fn new(len: u64) -> Self {
        Sha {
            sha: Sha256::new(),
            left: len,
        }
    }

    pub fn update(&mut self, bytes: &[u8]) {
        let len = bytes.len().min(self.left.try_into().unwrap_or(usize::MAX));
        self.sha.update(&bytes[..len]);
        self.left -= len as u64;
    }

    pub fn finish(self) -> String {
        let digest = self.sha.finalize();
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// SHA-256 of all bytes.
pub fn sha_of(bytes: &[u8]) -> String {
    let mut sha = Sha::new(bytes.len() as u64);
    sha.update(bytes);
    sha.finish()
}

/// SHA-256 of the first `len` bytes of a file, read plainly.
pub fn sha_of_file(file: &std::fs::File, len: u64) -> Result<String> {
    use std::os::unix::fs::FileExt;
    let mut sha = Sha::new(len);
    let mut block = vec![0; 1 << 20];
    let mut off = 0;
    while off < len {
        match file.read_at(&mut block, off)? {
            0 => return Err("the file became shorter while it was read".into()),
            n => {
                sha.update(&block[..n]);
                off += n as u64;
            }
        }
    }
    Ok(sha.finish())
}

/// Wall clock and CPU time of a stretch of work.
pub fn timed(work: impl FnOnce() -> Result<()>) -> Result<(Duration, Duration)> {
    let (wall, cpu) = (Instant::now(), cpu_time());
    work()?;
    Ok((wall.elapsed(), cpu_time() - cpu))
}

/// Measures what everything on a machine with one CPU does, interrupts and
/// kernel threads included, finer than the ticks of /proc/stat: a thread that
/// runs only when nothing else wants to uses up all idle time, and what it did
/// not get was used by somebody.
pub struct Idler {
    thread: Option<std::thread::JoinHandle<()>>,
    stop: Arc<AtomicBool>,
    clock: libc::clockid_t,
    /// Part of the time that goes to timer ticks and the like anyway.
    background: f64,
}

impl Idler {
    /// `None` on a machine with several CPUs, or where it is not allowed.
    pub fn start() -> Option<Idler> {
        // SAFETY: asks for a number.
        if unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) } != 1 {
            return None;
        }
        let stop = Arc::new(AtomicBool::new(false));
        let told = stop.clone();
        let (ready, started) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let param = libc::sched_param { sched_priority: 0 };
            // SAFETY: for the calling thread, with a structure that is alive.
            let ok = unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const param) };
            let _ = ready.send(ok == 0);
            while !told.load(Ordering::Relaxed) {
                // Not spin_loop(): its pause would tell an emulator to rest.
                std::hint::black_box(());
            }
        });
        let mut clock = 0;
        // SAFETY: the thread has not been joined.
        let ret = unsafe { libc::pthread_getcpuclockid(thread.as_pthread_t(), &raw mut clock) };
        let mut idler = Idler {
            thread: Some(thread),
            stop,
            clock,
            background: 0.0,
        };
        if ret != 0 || !started.recv().unwrap_or(false) {
            return None;
        }
        let nap = Duration::from_millis(300);
        let busy = idler
            .busy(|| {
                std::thread::sleep(nap);
                Ok(())
            })
            .ok()?;
        idler.background = busy.as_secs_f64() / nap.as_secs_f64();
        Some(idler)
    }

    /// CPU time the whole machine needed for `work`.
    pub fn busy(&self, work: impl FnOnce() -> Result<()>) -> Result<Duration> {
        let (wall, idle) = (Instant::now(), self.idle());
        work()?;
        let (wall, idle) = (wall.elapsed(), self.idle() - idle);
        Ok(wall
            .saturating_sub(idle)
            .saturating_sub(wall.mul_f64(self.background)))
    }

    fn idle(&self) -> Duration {
        clock(self.clock)
    }
}

impl Drop for Idler {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_grows_with_work() {
        let (start, begun) = (cpu_time(), Instant::now());
        while cpu_time() - start < Duration::from_millis(5) {
            assert!(begun.elapsed() < Duration::from_secs(30), "it stands still");
        }
    }

    #[test]
    fn sectors_of_a_disk() {
        let stat = "     107        0     4280       41        3        0       24 0 0 33 41\n";
        assert_eq!(sectors(stat), Some((4280, 24)));
        assert_eq!(sectors(""), None);
    }

    #[test]
    fn bytes_of_a_command() {
        let line = " dmabuf-12 [000] d..1. 9.8: block_rq_issue: 259,1 R 2097152 () 8 + 4096 none,0,0 [dmabuf]";
        assert_eq!(issued(line), Some(2 << 20));
        assert_eq!(issued("# tracer: nop"), None);
    }

    #[test]
    fn sha_stops_at_the_length() {
        let mut sha = Sha::new(3);
        sha.update(b"ab");
        sha.update(b"cd");
        sha.update(b"e");
        assert_eq!(
            sha.finish(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn the_middle_value() {
        assert_eq!(median(vec![9, 1, 5]), 5);
        assert_eq!(median(vec![7]), 7);
    }
}
