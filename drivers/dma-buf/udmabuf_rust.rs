// SPDX-License-Identifier: GPL-2.0

//! Dma-bufs of memory that user space has in memfds.
//!
//! C version of this driver: [`drivers/dma-buf/udmabuf.c`](./udmabuf.c)

use kernel::{
    dma::DataDirection,
    dma_buf::{
        DmaBuf,
        Exporter,
        MemfdMemory,
        Mmap, //
    },
    fs::{
        file::flags::{
            O_CLOEXEC,
            O_RDWR, //
        },
        File,
        LocalFile, //
    },
    ioctl::_IOW,
    miscdevice::{
        MiscDevice,
        MiscDeviceOptions,
        MiscDeviceRegistration, //
    },
    mm::memfd::{
        seals,
        Memfd, //
    },
    page::{
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    prelude::*,
    sizes::SZ_1M,
    sync::atomic::{
        Atomic,
        Relaxed, //
    },
    uaccess::{
        UserPtr,
        UserSlice, //
    },
    uapi, //
};

module! {
    type: UdmabufModule,
    name: "udmabuf",
    description: "Dma-bufs of memory that user space has in memfds",
    license: "GPL",
    imports_ns: ["DMA_BUF"],
    params: {
        list_limit: i32 {
            default: 1024,
            perm: 0o644,
            description: "udmabuf_create_list->count limit. Default is 1024.",
        },
        size_limit_mb: i32 {
            default: i32::MAX,
            perm: 0o644,
            description: "Max size of a dmabuf, in megabytes. Default is INT_MAX.",
        },
    },
}

const UDMABUF_CREATE: u32 = _IOW::<uapi::udmabuf_create>('u' as u32, 0x42);
const UDMABUF_CREATE_LIST: u32 = _IOW::<uapi::udmabuf_create_list>('u' as u32, 0x43);

const SEALS_WANTED: u32 = seals::SHRINK;
const SEALS_DENIED: u32 = seals::WRITE | seals::FUTURE_WRITE;

/// `struct udmabuf_create`.
#[repr(C)]
#[derive(FromBytes, IntoBytes, Zeroable)]
struct Create {
    memfd: u32,
    flags: u32,
    offset: u64,
    size: u64,
}

/// `struct udmabuf_create_item`.
#[repr(C)]
#[derive(FromBytes, IntoBytes, Zeroable)]
struct Item {
    memfd: u32,
    pad: u32,
    offset: u64,
    size: u64,
}

/// `struct udmabuf_create_list`, without the list.
#[repr(C)]
#[derive(FromBytes, IntoBytes, Zeroable)]
struct ListHead {
    flags: u32,
    count: u32,
}

/// What is behind a dma-buf.
struct Udmabuf {
    memory: MemfdMemory,
    /// There was a `begin_cpu_access()`.
    begun: Atomic<bool>,
}

#[vtable]
impl Exporter for Udmabuf {
    type Memory = MemfdMemory;
    const NAME: &'static CStr = c"udmabuf";
    const MMAP: Mmap = Mmap::Fault;

    fn memory(&self) -> &MemfdMemory {
        &self.memory
    }

    fn begin_cpu_access(&self, _dir: DataDirection) -> Result {
        self.begun.store(true, Relaxed);
        Ok(())
    }

    fn end_cpu_access(&self, _dir: DataDirection) -> Result {
        if !self.begun.load(Relaxed) {
            return Err(EINVAL);
        }
        Ok(())
    }
}

/// Returns the largest number of pages that fit into `limit_mb`.
fn page_limit(limit_mb: i32) -> u64 {
    // As in C, negative limits are large.
    (i64::from(limit_mb) as u64).wrapping_mul(SZ_1M as u64) >> PAGE_SHIFT
}

/// Creates a dma-buf, and returns its file descriptor.
fn create(items: &[Item], flags: u32) -> Result<i32> {
    let limit = page_limit(module_parameters::size_limit_mb.value());
    let mut pages = 0;

    for item in items {
        if item.offset % PAGE_SIZE as u64 != 0 || item.size % PAGE_SIZE as u64 != 0 {
            return Err(EINVAL);
        }

        // No overflow, as neither the limit nor an item has 2^52 pages.
        pages += item.size >> PAGE_SHIFT;
        if pages > limit {
            return Err(EINVAL);
        }
    }
    if pages == 0 {
        return Err(EINVAL);
    }

    let pages = usize::try_from(pages).map_err(|_| ENOMEM)?;
    let mut memory = MemfdMemory::with_capacity(pages, GFP_KERNEL | __GFP_NOWARN)?;

    for item in items {
        let file = LocalFile::fget(item.memfd).map_err(|_| EBADFD)?;
        // Seals cannot be added until the folios are pinned.
        let memfd = Memfd::from_file(&file).ok_or(EBADFD)?.lock();
        let seals = memfd.seals().map_err(|_| EBADFD)?;

        if seals & SEALS_WANTED != SEALS_WANTED || seals & SEALS_DENIED != 0 {
            return Err(EINVAL);
        }
        memory.pin(&memfd, item.offset, (item.size >> PAGE_SHIFT) as usize)?;
    }

    let size = memory.size();
    let udmabuf = Udmabuf {
        memory,
        begun: Atomic::new(false),
    };
    let buf = DmaBuf::export(Ok(udmabuf), size, O_RDWR)?;
    let fd_flags = if flags & uapi::UDMABUF_FLAGS_CLOEXEC != 0 {
        O_CLOEXEC
    } else {
        0
    };

    DmaBuf::into_fd(buf, fd_flags)
}

/// Copies `dst` from user space.
fn read<T: FromBytes + IntoBytes + ?Sized>(dst: &mut T, src: UserPtr) -> Result {
    let dst = dst.as_mut_bytes();

    UserSlice::new(src, dst.len()).reader().read_slice(dst)
}

fn ioctl_create(arg: UserPtr) -> Result<i32> {
    let mut create: Create = pin_init::zeroed();
    read(&mut create, arg)?;

    let item = Item {
        memfd: create.memfd,
        pad: 0,
        offset: create.offset,
        size: create.size,
    };
    self::create(&[item], create.flags)
}

fn ioctl_create_list(arg: UserPtr) -> Result<i32> {
    let mut head: ListHead = pin_init::zeroed();
    read(&mut head, arg)?;

    // As in C, negative limits are large.
    if head.count > module_parameters::list_limit.value() as u32 {
        return Err(EINVAL);
    }

    let mut items = KVec::<Item>::zeroed(head.count as usize, GFP_KERNEL | __GFP_NOWARN)?;
    read(
        items.as_mut_slice(),
        arg.wrapping_byte_add(size_of::<ListHead>()),
    )?;
    create(&items, head.flags)
}

/// `/dev/udmabuf`, which has no state.
struct UdmabufDevice;

#[vtable]
impl MiscDevice for UdmabufDevice {
    type Ptr = ();

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result {
        Ok(())
    }

    fn ioctl(_device: (), _file: &File, cmd: u32, arg: usize) -> Result<isize> {
        let arg = UserPtr::from_addr(arg);
        let fd = match cmd {
            UDMABUF_CREATE => ioctl_create(arg)?,
            UDMABUF_CREATE_LIST => ioctl_create_list(arg)?,
            _ => return Err(ENOTTY),
        };

        Ok(fd as isize)
    }
}

#[pin_data]
struct UdmabufModule {
    #[pin]
    _misc: MiscDeviceRegistration<UdmabufDevice>,
}

impl kernel::InPlaceModule for UdmabufModule {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            _misc <- MiscDeviceRegistration::register(MiscDeviceOptions { name: c"udmabuf" }),
        })
    }
}

#[cfg(CONFIG_UDMABUF_RUST_KUNIT_TEST)]
#[kunit_tests(udmabuf_rust)]
mod tests {
    use super::*;
    use kernel::{
        kunit::vm_mmap,
        mm::memfd::testing::{
            self,
            Fd, //
        },
        sync::aref::ARef, //
    };

    const PAGE: u64 = PAGE_SIZE as u64;

    /// A memfd each of whose pages is filled with its number.
    struct Numbered(Fd);

    impl Numbered {
        fn new(pages: usize, seals: u32) -> Result<Self> {
            let file = testing::new(pages * PAGE_SIZE, 0)?;

            for page in 0..pages {
                let data = KVec::from_elem(page as u8, PAGE_SIZE, GFP_KERNEL)?;
                testing::write(&file, &data, page * PAGE_SIZE)?;
            }
            testing::seal(&file, seals)?;
            Ok(Self(Fd::new(file)?))
        }

        fn file(&self) -> Result<ARef<LocalFile>> {
            Ok(LocalFile::fget(self.0.get())?)
        }

        fn item(&self, page: u64, pages: u64) -> Item {
            Item {
                memfd: self.0.get(),
                pad: 0,
                offset: page * PAGE,
                size: pages * PAGE,
            }
        }
    }

    /// Creates a buffer, and returns its file descriptor.
    fn create(items: &[Item]) -> Result<Fd> {
        let fd = super::create(items, 0)?;
        // SAFETY: It is new, and nobody knows it.
        Ok(unsafe { Fd::adopt(fd as u32) })
    }

    #[test]
    fn errors() -> Result {
        let memfd = Numbered::new(4, seals::SHRINK)?;
        let item = |offset, size| Item {
            offset,
            size,
            ..memfd.item(0, 0)
        };
        let error = |items: &[Item]| create(items).err();

        assert_eq!(error(&[]), Some(EINVAL));
        assert_eq!(error(&[item(0, 0)]), Some(EINVAL));
        assert_eq!(error(&[item(0, PAGE), item(0, 0)]), Some(EINVAL));
        assert_eq!(error(&[item(1, PAGE)]), Some(EINVAL));
        assert_eq!(error(&[item(0, PAGE + 1)]), Some(EINVAL));
        assert_eq!(error(&[item(0, 5 * PAGE)]), Some(EINVAL));
        assert_eq!(error(&[item(4 * PAGE, PAGE)]), Some(EINVAL));
        assert_eq!(error(&[item(0u64.wrapping_sub(PAGE), PAGE)]), Some(EINVAL));
        assert_eq!(
            error(&[item(0u64.wrapping_sub(PAGE), 2 * PAGE)]),
            Some(EINVAL)
        );
        // More pages than there are pointers to them, which comes before the file descriptor.
        assert_eq!(
            error(&[Item {
                memfd: !0,
                ..item(0, PAGE << 30)
            }]),
            Some(ENOMEM)
        );
        assert_eq!(error(&[item(0, 0u64.wrapping_sub(PAGE))]), Some(EINVAL));
        assert_eq!(
            error(&[Item {
                memfd: !0,
                ..item(0, PAGE)
            }]),
            Some(EBADFD)
        );
        Ok(())
    }

    #[test]
    fn files() -> Result {
        for seals in [
            0,
            seals::SHRINK | seals::WRITE,
            seals::SHRINK | seals::FUTURE_WRITE,
        ] {
            let memfd = Numbered::new(1, seals)?;
            assert_eq!(create(&[memfd.item(0, 1)]).err(), Some(EINVAL));
        }

        let memfd = Numbered::new(1, seals::SHRINK | seals::GROW)?;
        let buf = create(&[memfd.item(0, 1)])?;
        let item = Item {
            memfd: buf.get(),
            ..memfd.item(0, 1)
        };
        assert_eq!(create(&[item]).err(), Some(EBADFD));
        Ok(())
    }

    #[test]
    fn limits() {
        assert_eq!(page_limit(0), 0);
        assert_eq!(page_limit(64), (64 << 20) / PAGE);
        assert_eq!(page_limit(i32::MAX), (0x7fff_ffff << 20) / PAGE);
        assert_eq!(page_limit(-1), 0xffff_ffff_fff0_0000 / PAGE);
    }

    #[test]
    fn contents() -> Result {
        let memfd = Numbered::new(8, seals::SHRINK)?;
        let other = Numbered::new(2, seals::SHRINK)?;
        // Overlapping, repeated, out of order, and of two files.
        let fd = create(&[
            memfd.item(2, 3),
            memfd.item(1, 3),
            other.item(1, 1),
            memfd.item(7, 1),
            memfd.item(7, 1),
        ])?;
        let expected = [2, 3, 4, 1, 2, 3, 1, 7, 7];
        let size = expected.len() * PAGE_SIZE;

        assert_eq!(DmaBuf::get(fd.get() as i32)?.size(), size);
        let file = LocalFile::fget(fd.get())?;
        let addr = vm_mmap(&file, size, true)?;

        for (index, number) in expected.iter().enumerate() {
            let mut data = KVec::from_elem(0xffu8, PAGE_SIZE, GFP_KERNEL)?;
            read(
                data.as_mut_slice(),
                addr.wrapping_byte_add(index * PAGE_SIZE),
            )?;
            assert!(data.iter().all(|byte| byte == number));
        }

        // What is written to page 3 of the first file is in two places of the buffer.
        let first = UserSlice::new(addr.wrapping_byte_add(PAGE_SIZE), 4);
        first.writer().write_slice(b"page")?;
        let mut data = [0; 4];
        read(&mut data, addr.wrapping_byte_add(5 * PAGE_SIZE))?;
        assert_eq!(&data, b"page");
        testing::read(&*memfd.file()?, &mut data, 3 * PAGE_SIZE)?;
        assert_eq!(&data, b"page");
        Ok(())
    }

    #[test]
    fn mappings() -> Result {
        let memfd = Numbered::new(4, seals::SHRINK)?;
        let fd = create(&[memfd.item(0, 2)])?;
        let file = LocalFile::fget(fd.get())?;

        assert_eq!(vm_mmap(&file, PAGE_SIZE, false).err(), Some(EINVAL));
        assert_eq!(vm_mmap(&file, 3 * PAGE_SIZE, true).err(), Some(EINVAL));
        // Mappings outlive the file descriptor, and the memfd.
        let addr = vm_mmap(&file, 2 * PAGE_SIZE, true)?;
        drop((memfd, fd, file));
        let mut data = [0u8];
        read(&mut data, addr.wrapping_byte_add(PAGE_SIZE))?;
        assert_eq!(data, [1]);
        Ok(())
    }

    #[test]
    fn any_page_may_be_accessed_first() -> Result {
        const PAGES: usize = 4;
        let memfd = Numbered::new(PAGES, seals::SHRINK)?;
        let fd = create(&[memfd.item(0, PAGES as u64)])?;
        let file = LocalFile::fget(fd.get())?;

        for first in 0..PAGES {
            // In a new area, nothing is mapped yet.
            let addr = vm_mmap(&file, PAGES * PAGE_SIZE, true)?;

            for page in (first..first + PAGES).map(|page| page % PAGES) {
                let mut data = [0xffu8];
                read(&mut data, addr.wrapping_byte_add(page * PAGE_SIZE))?;
                assert_eq!(data, [page as u8]);
            }
        }
        Ok(())
    }

    #[test]
    fn cpu_access() -> Result {
        let memfd = Numbered::new(1, seals::SHRINK)?;
        let fd = create(&[memfd.item(0, 1)])?;
        let buf = DmaBuf::get(fd.get() as i32)?;

        buf.begin_cpu_access(DataDirection::FromDevice)?.end()?;

        let memory = MemfdMemory::with_capacity(0, GFP_KERNEL)?;
        let udmabuf = Udmabuf {
            memory,
            begun: Atomic::new(false),
        };
        let dir = DataDirection::ToDevice;
        assert_eq!(udmabuf.end_cpu_access(dir), Err(EINVAL));
        udmabuf.begin_cpu_access(dir)?;
        assert_eq!(udmabuf.end_cpu_access(dir), Ok(()));
        assert_eq!(udmabuf.end_cpu_access(dir), Ok(()));
        Ok(())
    }
}
