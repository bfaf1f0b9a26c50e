// SPDX-License-Identifier: GPL-2.0

//! The exporter's side of dma-bufs.

use super::{
    backing::Backing,
    mapping::{
        Form,
        Mapping,
        Source, //
    },
    AddressMap,
    DmaBuf,
    Locked,
    Memory,
    Mmap, //
};
use crate::{
    bindings,
    device::{
        Bound,
        Device, //
    },
    dma::DataDirection,
    error::{
        from_err_ptr,
        from_result,
        VTABLE_DEFAULT_ERROR, //
    },
    mm::virt::VmaNew,
    module::this_module,
    prelude::*,
    sync::aref::ARef,
    types::ForeignOwnable, //
};
use core::{
    marker::PhantomData,
    ptr::{
        self,
        NonNull, //
    }, //
};

/// An exporter of dma-bufs.
///
/// An object of the type is what is behind one buffer, and is dropped with it.
///
/// Everything but [`memory`](Exporter::memory) is optional.
///
/// # Examples
///
/// A window to the memory of a device, which is at the same address for all others. For ordinary
/// memory, see [Writing an exporter](super#writing-an-exporter).
///
/// ```
/// use kernel::{
///     device::{
///         Bound,
///         Device, //
///     },
///     dma::{
///         DataDirection,
///         DmaAddress, //
///     },
///     dma_buf::{
///         AddressMap,
///         Exporter,
///         Locked,
///         Segment, //
///     }, //
/// };
///
/// struct Window {
///     addr: DmaAddress,
///     len: usize,
/// }
///
/// struct WindowMap([Segment; 1]);
///
/// // SAFETY: The segment is the window, which is there for good.
/// unsafe impl AddressMap for WindowMap {
///     fn segments(&self) -> &[Segment] {
///         &self.0
///     }
/// }
///
/// #[vtable]
/// impl Exporter for Window {
///     type Memory = ();
///
///     const NAME: &'static CStr = c"window";
///
///     fn memory(&self) -> &() {
///         &()
///     }
///
///     fn attach(&self, _dev: &Device<Bound>, peer2peer: bool) -> Result {
///         if peer2peer {
///             Ok(())
///         } else {
///             Err(EOPNOTSUPP)
///         }
///     }
///
///     fn map_segments(
///         &self,
///         _dev: &Device<Bound>,
///         _dir: DataDirection,
///         _lock: &Locked<'_>,
///     ) -> Result<KBox<dyn AddressMap>> {
///         // SAFETY: The window is not empty.
///         let segment = unsafe { Segment::new(self.addr, self.len) };
///
///         Ok(KBox::new(WindowMap([segment]), GFP_KERNEL)?)
///     }
/// }
/// ```
#[vtable]
pub trait Exporter: Sized + Send + Sync + 'static {
    /// What the buffer is made of.
    type Memory: Memory;

    /// The name that debugging facilities show.
    const NAME: &'static CStr;

    /// How user space maps the buffer.
    const MMAP: Mmap = Mmap::Remap;

    /// Returns the memory of the buffer.
    ///
    /// It is asked once, when the buffer is exported.
    fn memory(&self) -> &Self::Memory;

    /// Decides whether `dev` may be attached.
    ///
    /// `peer2peer` says that the importer does without pages, see
    /// [`struct dma_buf_attachment`](srctree/include/linux/dma-buf.h).
    fn attach(&self, _dev: &Device<Bound>, _peer2peer: bool) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Maps the buffer for `dev`, instead of the ranges of [`memory`](Exporter::memory).
    ///
    /// This is for memory that devices do not reach by its physical address. Such mappings are not
    /// synced for access by the CPU, unless the exporter does that.
    fn map_segments(
        &self,
        _dev: &Device<Bound>,
        _dir: DataDirection,
        _lock: &Locked<'_>,
    ) -> Result<KBox<dyn AddressMap>> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Prepares the buffer for access by the CPU.
    ///
    /// Mappings of the ranges of [`memory`](Exporter::memory) are synced afterwards, so there is
    /// nothing to do for ordinary memory.
    fn begin_cpu_access(&self, _dir: DataDirection) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Undoes [`begin_cpu_access`](Exporter::begin_cpu_access).
    ///
    /// Mappings of the ranges of [`memory`](Exporter::memory) were synced before.
    fn end_cpu_access(&self, _dir: DataDirection) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Maps the buffer for user space, instead of what [`MMAP`](Exporter::MMAP) says.
    ///
    /// It is sure that the area is not larger than the rest of the buffer.
    fn mmap(&self, _buf: &DmaBuf, _vma: &VmaNew) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }
}

/// What is behind a dma-buf of a Rust exporter.
#[pin_data]
struct Buffer<T: Exporter> {
    #[pin]
    backing: Backing,
    #[pin]
    data: T,
}

impl<T: Exporter> Buffer<T> {
    fn new(data: impl PinInit<T, Error>, size: usize) -> Result<Pin<KBox<Self>>> {
        let mut buffer = KBox::pin_init(
            try_pin_init!(Self {
                backing <- Backing::empty(),
                data <- data,
            }),
            GFP_KERNEL,
        )?;

        let parts = buffer.as_mut().project();
        let memory = parts.data.memory();
        let (ranges, attrs) = (NonNull::from(memory.ranges()), memory.attrs());
        // SAFETY: `data` lent the ranges for as long as it is not borrowed mutably, which happens
        // only when it is dropped, after `backing`.
        let len = unsafe { parts.backing.set(ranges, attrs)? };

        // What the CPU maps is all there is, and so is what devices get, unless that is elsewhere.
        let elsewhere = T::HAS_MAP_SEGMENTS && !T::Memory::PAGES;
        if size == 0 || (len != size && !elsewhere) {
            return Err(EINVAL);
        }
        Ok(buffer)
    }

    /// Returns what is behind a dma-buf.
    ///
    /// # Safety
    ///
    /// `buf` must be valid for `'a`, and exported by [`DmaBuf::export`] of the same `T`.
    #[inline]
    unsafe fn from_raw<'a>(buf: *mut bindings::dma_buf) -> Pin<&'a Self> {
        // SAFETY: `priv` came from `into_foreign()`, and is taken back only when nobody has the
        // dma-buf any more.
        unsafe { <Pin<KBox<Self>> as ForeignOwnable>::borrow((*buf).priv_) }
    }
}

/// Returns `dev` as a device with a driver, which may be probing it.
///
/// # Errors
///
/// [`ENODEV`] if it has none, as some importers attach devices of a class.
///
/// # Safety
///
/// `dev` must be valid for `'a`. If it has a driver, it must keep that for `'a`.
unsafe fn bound<'a>(dev: *mut bindings::device) -> Result<&'a Device<Bound>> {
    // SAFETY: The device is valid. It may get a driver at any time, hence volatile.
    if unsafe { (&raw const (*dev).driver).read_volatile() }.is_null() {
        return Err(ENODEV);
    }
    // SAFETY: It is bound, and stays so.
    Ok(unsafe { Device::from_raw(dev) })
}

/// The operations of the dma-bufs of an exporter.
struct VTable<T: Exporter>(PhantomData<T>);

impl<T: Exporter> VTable<T> {
    const OPS: bindings::dma_buf_ops = bindings::dma_buf_ops {
        attach: if T::HAS_ATTACH {
            Some(Self::attach)
        } else {
            None
        },
        map_dma_buf: Some(Self::map_dma_buf),
        unmap_dma_buf: Some(Self::unmap_dma_buf),
        map_segments: Some(Self::map_segments),
        unmap_segments: Some(Self::unmap_segments),
        release: Some(Self::release),
        begin_cpu_access: Some(Self::begin_cpu_access),
        end_cpu_access: Some(Self::end_cpu_access),
        mmap: if T::HAS_MMAP || T::Memory::PAGES {
            Some(Self::mmap)
        } else {
            None
        },
        vmap: if T::Memory::PAGES {
            Some(Self::vmap)
        } else {
            None
        },
        vunmap: if T::Memory::PAGES {
            Some(Self::vunmap)
        } else {
            None
        },
        ..pin_init::zeroed()
    };

    /// # Safety
    ///
    /// Only `dma_buf_dynamic_attach()` may call it.
    unsafe extern "C" fn attach(
        buf: *mut bindings::dma_buf,
        attach: *mut bindings::dma_buf_attachment,
    ) -> c_int {
        // SAFETY: It is a dma-buf with these operations.
        let buffer = unsafe { Buffer::<T>::from_raw(buf) };

        // SAFETY: The attachment is valid.
        let (dev, peer2peer) = unsafe { ((*attach).dev, (*attach).peer2peer) };

        from_result(|| {
            // SAFETY: Whoever attaches a device or maps for it must see to it that it is not
            // unbound meanwhile: DMA for a device without a driver is a bug of the importer.
            let dev = unsafe { bound(dev)? };

            buffer.data.attach(dev, peer2peer).map(|()| 0)
        })
    }

    /// Maps the buffer for the device of `attach`.
    ///
    /// # Safety
    ///
    /// `attach` must be that of a dma-buf with these operations, and its reservation lock held.
    unsafe fn map<'a>(
        attach: *mut bindings::dma_buf_attachment,
        dir: bindings::dma_data_direction,
        form: Form,
    ) -> Result<&'a Mapping> {
        let attach = NonNull::new(attach).ok_or(EINVAL)?;
        // SAFETY: The attachment is valid.
        let (raw, dev) = unsafe { ((*attach.as_ptr()).dmabuf, (*attach.as_ptr()).dev) };
        // SAFETY: The dma-buf is at least as valid as the attachment, and has these operations.
        let (buf, buffer) = unsafe { (DmaBuf::from_raw(raw), Buffer::<T>::from_raw(raw)) };

        let source = if T::HAS_MAP_SEGMENTS {
            // SAFETY: The lock is held until this function returns, and longer.
            let lock = unsafe { Locked::assume(buf) };
            // SAFETY: Whoever attaches a device or maps for it must see to it that it is not
            // unbound meanwhile: DMA for a device without a driver is a bug of the importer.
            let dev = unsafe { bound(dev)? };

            Source::Exporter(buffer.data.map_segments(dev, dir.try_into()?, &lock)?)
        } else {
            // SAFETY: Importers unmap before they detach, with the lock held as now. The memory
            // stays until the dma-buf is released, which is later still.
            unsafe { Source::phys(attach, buffer.backing.ranges(), dir, buffer.backing.attrs())? }
        };

        // SAFETY: The source is for this device, which is valid as long as it is attached.
        let mapping =
            unsafe { Mapping::new(NonNull::new(dev).ok_or(EINVAL)?, source, buf.size(), form)? };
        let ptr: *const Mapping = &*mapping;

        buffer.backing.add(mapping);
        // SAFETY: It is in the list until it is unmapped.
        Ok(unsafe { &*ptr })
    }

    /// Undoes [`Self::map`].
    ///
    /// # Safety
    ///
    /// `attach` and `mapping` must be those of a call to [`Self::map`], which this ends, and the
    /// reservation lock must be held.
    unsafe fn unmap(attach: *mut bindings::dma_buf_attachment, mapping: &Mapping) {
        // SAFETY: The dma-buf is at least as valid as the attachment, and has these operations.
        let buffer = unsafe { Buffer::<T>::from_raw((*attach).dmabuf) };

        // SAFETY: No other buffer has the mapping.
        drop(unsafe { buffer.backing.remove(mapping) });
    }

    /// # Safety
    ///
    /// Only `dma_buf_map_attachment()` may call it.
    unsafe extern "C" fn map_dma_buf(
        attach: *mut bindings::dma_buf_attachment,
        dir: bindings::dma_data_direction,
    ) -> *mut bindings::sg_table {
        // SAFETY: `dma_buf_map_attachment()` asserts that the lock is held.
        match unsafe { Self::map(attach, dir, Form::Table) } {
            Ok(mapping) => mapping.as_table(),
            Err(err) => err.to_ptr(),
        }
    }

    /// # Safety
    ///
    /// Only `dma_buf_map_attachment()` and `dma_buf_unmap_attachment()` may call it.
    unsafe extern "C" fn unmap_dma_buf(
        attach: *mut bindings::dma_buf_attachment,
        table: *mut bindings::sg_table,
        _dir: bindings::dma_data_direction,
    ) {
        // SAFETY: It is what `map_dma_buf()` returned, and the lock is held as it was there.
        unsafe { Self::unmap(attach, Mapping::from_table(table)) };
    }

    /// # Safety
    ///
    /// Only `dma_buf_map_segments()` may call it.
    unsafe extern "C" fn map_segments(
        attach: *mut bindings::dma_buf_attachment,
        dir: bindings::dma_data_direction,
    ) -> *mut bindings::dma_buf_segments {
        // SAFETY: `dma_buf_map_segments()` asserts that the lock is held.
        match unsafe { Self::map(attach, dir, Form::Segments) } {
            Ok(mapping) => mapping.as_segments(),
            Err(err) => err.to_ptr(),
        }
    }

    /// # Safety
    ///
    /// Only `dma_buf_unmap_segments()` may call it.
    unsafe extern "C" fn unmap_segments(
        attach: *mut bindings::dma_buf_attachment,
        segs: *mut bindings::dma_buf_segments,
        _dir: bindings::dma_data_direction,
    ) {
        // SAFETY: It is what `map_segments()` returned, and the lock is held as it was there.
        unsafe { Self::unmap(attach, Mapping::from_segments(segs)) };
    }

    /// # Safety
    ///
    /// Only the release of the file may call it.
    unsafe extern "C" fn release(buf: *mut bindings::dma_buf) {
        // SAFETY: Nobody has the dma-buf any more. `into_foreign()` made the pointer.
        drop(unsafe { <Pin<KBox<Buffer<T>>> as ForeignOwnable>::from_foreign((*buf).priv_) });
    }

    /// # Safety
    ///
    /// Only `dma_buf_begin_cpu_access()` may call it.
    unsafe extern "C" fn begin_cpu_access(
        buf: *mut bindings::dma_buf,
        dir: bindings::dma_data_direction,
    ) -> c_int {
        // SAFETY: It is a dma-buf with these operations.
        let buffer = unsafe { Buffer::<T>::from_raw(buf) };

        from_result(|| {
            let dir = dir.try_into()?;

            if T::HAS_BEGIN_CPU_ACCESS {
                buffer.data.begin_cpu_access(dir)?;
            }
            if T::Memory::PAGES {
                buffer.backing.sync_for_cpu(dir);
            }
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// Only `dma_buf_end_cpu_access()` may call it.
    unsafe extern "C" fn end_cpu_access(
        buf: *mut bindings::dma_buf,
        dir: bindings::dma_data_direction,
    ) -> c_int {
        // SAFETY: It is a dma-buf with these operations.
        let buffer = unsafe { Buffer::<T>::from_raw(buf) };

        from_result(|| {
            let dir = dir.try_into()?;

            if T::Memory::PAGES {
                buffer.backing.sync_for_device(dir);
            }
            if T::HAS_END_CPU_ACCESS {
                buffer.data.end_cpu_access(dir)?;
            }
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// Only the `mmap` of the file and `dma_buf_mmap()` may call it.
    unsafe extern "C" fn mmap(
        buf: *mut bindings::dma_buf,
        vma: *mut bindings::vm_area_struct,
    ) -> c_int {
        // SAFETY: It is a dma-buf with these operations, and the area is undergoing initialisation.
        let (buffer, buf, vma) = unsafe {
            (
                Buffer::<T>::from_raw(buf),
                DmaBuf::from_raw(buf),
                VmaNew::from_raw(vma),
            )
        };

        from_result(|| {
            if T::HAS_MMAP {
                buffer.data.mmap(buf, vma)?;
            } else {
                // SAFETY: The area has a reference to the file, and with it to the dma-buf and its
                // memory. There are pages behind it: `mmap` is not offered otherwise.
                unsafe { buffer.backing.mmap(T::MMAP, vma)? };
            }
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// Only `dma_buf_vmap()` may call it.
    unsafe extern "C" fn vmap(buf: *mut bindings::dma_buf, map: *mut bindings::iosys_map) -> c_int {
        // SAFETY: It is a dma-buf with these operations.
        let buffer = unsafe { Buffer::<T>::from_raw(buf) };

        from_result(|| {
            let vaddr = buffer.backing.vmap()?;

            // SAFETY: The caller has a place for it.
            unsafe {
                *map = bindings::iosys_map {
                    is_iomem: false,
                    __bindgen_anon_1: bindings::iosys_map__bindgen_ty_1 { vaddr },
                }
            };
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// Only `dma_buf_vunmap()` may call it.
    unsafe extern "C" fn vunmap(buf: *mut bindings::dma_buf, _map: *mut bindings::iosys_map) {
        // SAFETY: It is a dma-buf with these operations.
        let buffer = unsafe { Buffer::<T>::from_raw(buf) };

        buffer.backing.vunmap();
    }
}

impl DmaBuf {
    /// Exports `size` bytes that `data` makes a buffer of.
    ///
    /// `data` may be a [`Result`], as that is an initializer, too.
    ///
    /// `flags` is how the file may be accessed: `O_RDONLY`, `O_WRONLY` or `O_RDWR`, and maybe
    /// `O_NONBLOCK`.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if the ranges of the memory do not add up to `size`, or to nothing.
    pub fn export<T: Exporter>(
        data: impl PinInit<T, Error>,
        size: usize,
        flags: u32,
    ) -> Result<ARef<Self>> {
        let buffer = Buffer::new(data, size)?.into_foreign();
        let info = bindings::dma_buf_export_info {
            exp_name: T::NAME.as_char_ptr(),
            owner: this_module::<T::OwnerModule>().as_ptr(),
            ops: &VTable::<T>::OPS,
            size,
            flags: flags as c_int,
            resv: ptr::null_mut(),
            priv_: buffer,
        };

        // SAFETY: All pointers are valid for as long as the dma-buf is, which has a reference to
        // the module of the exporter.
        match from_err_ptr(unsafe { bindings::dma_buf_export(&info) }) {
            // SAFETY: `dma_buf_export()` returned a valid pointer, and a reference with it.
            Ok(buf) => Ok(unsafe { ARef::from_raw(NonNull::new_unchecked(buf.cast())) }),
            Err(err) => {
                // SAFETY: There is no dma-buf that has it. `into_foreign()` made the pointer.
                drop(unsafe { <Pin<KBox<Buffer<T>>> as ForeignOwnable>::from_foreign(buffer) });
                Err(err)
            }
        }
    }
}
