// SPDX-License-Identifier: GPL-2.0
/* Files and disks to read from. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <linux/mman.h>

#include "dio.h"

#ifndef __NR_cachestat
#define __NR_cachestat 451
#endif

const struct dio_backing dio_ext4 = { "ext4", "DIO_EXT4", true };
const struct dio_backing dio_xfs = { "xfs", "DIO_XFS", true };
const struct dio_backing dio_f2fs = { "f2fs", "DIO_F2FS", true };
const struct dio_backing dio_raw = { "raw", "DIO_RAW" };
const struct dio_backing dio_raw_prp = { "raw PRP", "DIO_RAW_PRP", .no_sgl = true };
const struct dio_backing dio_raw_4k = { "raw 4k", "DIO_RAW_4K" };
const struct dio_backing dio_pmem = { "pmem", "DIO_PMEM" };

const struct dio_backing *const dio_backings[] = {
	&dio_ext4, &dio_xfs, &dio_raw, &dio_raw_prp, &dio_raw_4k, NULL
};

#define SGL_THRESHOLD	"/sys/module/nvme/parameters/sgl_threshold"

static long sgl_threshold;	/* as it was when the program began */
static pid_t program;

static void restore_sgls(void)
{
	if (dio_write_file(SGL_THRESHOLD, "%ld", sgl_threshold))
		dio_log("%s stays 0", SGL_THRESHOLD);
}

static void __attribute__((constructor)) note_sgls(void)
{
	program = getpid();
	sgl_threshold = dio_number(SGL_THRESHOLD, "");
}

/* A test that was killed has left it as it was then. */
static void __attribute__((destructor)) check_sgls(void)
{
	if (getpid() == program && sgl_threshold > 0 &&
	    dio_number(SGL_THRESHOLD, "") != sgl_threshold)
		restore_sgls();
}

/* From this average size of a segment on; 0 is never. */
static int use_sgls_from(struct dio_src *src, int threshold)
{
	if (sgl_threshold < 0)
		return dio_skip("no %s", SGL_THRESHOLD);
	src->sgls_set = true;
	return dio_write_file(SGL_THRESHOLD, "%d", threshold);
}

static void *alloc_memory(size_t size)
{
	void *mem = mmap(NULL, size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return mem == MAP_FAILED ? NULL : mem;
}

int dio_reopen(int fd, int flags)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	fd = open(path, flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int dio_src_reopen(const struct dio_src *src, int flags)
{
	return dio_reopen(src->wr, flags);
}

static int disk_limit(int fd, const char *name, unsigned int *value)
{
	char disk[64], path[PATH_MAX];
	long number;
	int ret;

	ret = dio_disk(fd, disk, sizeof(disk));
	if (ret)
		return ret;
	snprintf(path, sizeof(path), "/sys/class/block/%s/queue/%s", disk, name);
	/* A partition has none of its own. */
	if (access(path, R_OK))
		snprintf(path, sizeof(path), "/sys/class/block/%s/../queue/%s",
			 disk, name);
	number = dio_number(path, "");
	if (number < 0)
		return -ENODATA;
	*value = number;
	return 0;
}

/* What a file has to say of itself, going by its disk and its file system. */
static int true_alignment(int fd, const struct statx *stx, unsigned int *block,
			  unsigned int *mem_align)
{
	struct statfs fs;
	int ret;

	ret = disk_limit(fd, "logical_block_size", block) ?:
	      disk_limit(fd, "dma_alignment", mem_align);
	if (ret || fstatfs(fd, &fs))
		return ret ?: -errno;
	++*mem_align;
	if (S_ISREG(stx->stx_mode) &&
	    (fs.f_type == F2FS_SUPER_MAGIC ||
	     stx->stx_attributes & STATX_ATTR_ENCRYPTED)) {
		*block = fs.f_bsize;
		*mem_align = fs.f_bsize;
	}
	return 0;
}

int dio_alignment(int fd, unsigned int *block, unsigned int *mem_align)
{
	unsigned int true_block, true_mem_align;
	struct statx stx;
	struct statfs fs;
	int ret;

	*block = 0;
	*mem_align = 0;
	if (statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_DIOALIGN, &stx) ||
	    fstatfs(fd, &fs))
		return -errno;
	if (!(stx.stx_mask & STATX_DIOALIGN) || !stx.stx_dio_offset_align)
		return 0;
	*block = stx.stx_dio_offset_align;
	*mem_align = stx.stx_dio_mem_align;
	if (S_ISREG(stx.stx_mode) && fs.f_type != EXT4_SUPER_MAGIC &&
	    fs.f_type != XFS_SUPER_MAGIC && fs.f_type != F2FS_SUPER_MAGIC)
		return 0;

	ret = true_alignment(fd, &stx, &true_block, &true_mem_align);
	if (!ret && (*block != true_block || *mem_align != true_mem_align)) {
		dio_log("direct I/O wants %u and %u, by statx, not %u and %u",
			*block, *mem_align, true_block, true_mem_align);
		ret = -EBADMSG;
	}
	return ret;
}

static int find_alignment(struct dio_src *src)
{
	int ret = dio_alignment(src->wr, &src->block, &src->mem_align);

	if (!ret && !src->block)
		return dio_skip("no direct I/O on %s", src->where);
	if (!ret && src->backing == &dio_raw_4k && src->block != DIO_ALIGNED)
		return dio_skip("no blocks of 4 KiB on %s", src->where);
	return ret;
}

static int check_device(const struct dio_src *src)
{
	__u64 bytes;

	if (src->backing->is_fs)
		return 0;
	if (ioctl(src->wr, BLKGETSIZE64, &bytes))
		return -errno;
	if (bytes < src->base + src->size)
		return dio_skip("%s ends before %#llx", src->where,
				(unsigned long long)src->base + src->size);
	return 0;
}

int dio_src_create(struct dio_src *src, const struct dio_backing *backing,
		   loff_t base, size_t size)
{
	int ret;

	*src = (struct dio_src){
		.backing = backing,
		.where = getenv(backing->env),
		.fd = -1,
		.wr = -1,
		.base = base,
		.size = size,
		/* A direct read asks for the last block as a whole. */
		.memory = (size / DIO_ALIGNED + 1) * DIO_ALIGNED,
		/* Not the poison's seed, and never 0. */
		.seed = 1 + dio_random() % 0x7fff,
	};
	if (!src->where || !*src->where)
		return dio_skip("%s is not set", backing->env);

	src->wr = open(src->where,
		       O_RDWR | O_CLOEXEC | (backing->is_fs ? O_TMPFILE : 0),
		       0600);
	ret = src->wr < 0 ? -errno : find_alignment(src);
	if (!ret && (backing->no_sgl || backing->all_sgl))
		ret = use_sgls_from(src, backing->all_sgl);
	if (!ret)
		ret = check_device(src);
	if (!ret) {
		src->image = alloc_memory(src->memory);
		src->oracle = alloc_memory(src->memory);
		if (!src->image || !src->oracle)
			ret = -ENOMEM;
	}
	if (ret)
		dio_src_close(src);
	return ret;
}

/* @off is a file offset inside the pattern's range. */
int dio_src_write(struct dio_src *src, loff_t off, size_t len)
{
	unsigned char *from = src->image + (off - src->base);
	ssize_t n;

	dio_pattern(from, src->seed, off, len);
	while (len) {
		n = pwrite(src->wr, from, len, off);
		if (n <= 0)
			return n ? -errno : -ENOSPC;
		from += n;
		off += n;
		len -= n;
	}
	return 0;
}

int dio_src_read(struct dio_src *src, void *mem)
{
	size_t done = 0;
	ssize_t n;

	if (fsync(src->wr))
		return -errno;
	/* What was written may be in the page cache; it shall be on the disk. */
	posix_fadvise(src->wr, 0, 0, POSIX_FADV_DONTNEED);
	if (!src->backing->is_fs && ioctl(src->wr, BLKFLSBUF))
		return -errno;

	while (done < src->size) {
		n = pread(src->fd, mem + done, src->memory - done,
			  src->base + done);
		if (n <= 0)
			return n ? -errno : -ENODATA;
		done += n;
	}
	/* Behind the end of a file there is nothing but zeros. */
	memset(mem + src->size, 0, src->memory - src->size);
	return 0;
}

int dio_src_ready(struct dio_src *src)
{
	int ret;

	if (src->fd < 0) {
		src->fd = dio_src_reopen(src, O_RDONLY | O_DIRECT);
		if (src->fd < 0)
			return src->fd;
	}
	ret = dio_src_read(src, src->oracle);
	if (ret)
		return ret;
	if (memcmp(src->oracle, src->image, src->size)) {
		dio_log("%s does not return what was written", src->where);
		return -EIO;
	}
	return 0;
}

/* All at once and past the page cache: this is most of what the tests do. */
static int write_direct(struct dio_src *src)
{
	size_t whole = (src->size + DIO_ALIGNED - 1) / DIO_ALIGNED * DIO_ALIGNED;
	int fd, ret = 0;

	fd = dio_src_reopen(src, O_WRONLY | O_DIRECT);
	if (fd < 0)
		return fd;
	dio_pattern(src->image, src->seed, src->base, src->size);
	if (pwrite(fd, src->image, whole, src->base) != (ssize_t)whole)
		ret = -EIO;
	close(fd);
	if (!ret && src->backing->is_fs &&
	    ftruncate(src->wr, src->base + src->size))
		ret = -errno;
	return ret;
}

int dio_src_open(struct dio_src *src, const struct dio_backing *backing,
		 loff_t base, size_t size)
{
	int ret;

	ret = dio_src_create(src, backing, base, size);
	if (ret)
		return ret;
	ret = write_direct(src) ?: dio_src_ready(src);
	if (ret)
		dio_src_close(src);
	return ret;
}

int dio_src_again(struct dio_src *src)
{
	close(src->fd);
	close(src->wr);
	src->where = getenv(src->backing->env);
	src->fd = -1;
	src->wr = open(src->where, O_RDWR | O_CLOEXEC);
	if (src->wr < 0)
		return -errno;
	src->fd = dio_src_reopen(src, O_RDONLY | O_DIRECT);
	return src->fd < 0 ? src->fd : 0;
}

void dio_src_close(struct dio_src *src)
{
	if (src->fd >= 0)
		close(src->fd);
	if (src->wr >= 0)
		close(src->wr);
	if (src->image)
		munmap(src->image, src->memory);
	if (src->oracle)
		munmap(src->oracle, src->memory);
	if (src->sgls_set)
		restore_sgls();
	src->sgls_set = false;
	src->fd = -1;
	src->wr = -1;
	src->image = NULL;
	src->oracle = NULL;
}

/* In /sys, the disk below a file or a partition of it; 64 bytes. */
static int disk_dir(int fd, char *dir)
{
	struct stat st;
	dev_t dev;

	if (fstat(fd, &st))
		return -errno;
	dev = S_ISBLK(st.st_mode) ? st.st_rdev : st.st_dev;
	return sprintf(dir, "/sys/dev/block/%u:%u", major(dev), minor(dev));
}

int dio_disk(int fd, char *name, size_t size)
{
	char link[64], path[PATH_MAX];
	int ret = disk_dir(fd, link);

	if (ret < 0)
		return ret;
	if (!realpath(link, path))
		return -errno;
	snprintf(name, size, "%s", strrchr(path, '/') + 1);
	return 0;
}

int dio_src_disk(const struct dio_src *src, char *name, size_t size)
{
	return dio_disk(src->wr, name, size);
}

int dio_look_below(int fd, loff_t off, size_t len, struct dio_below *below)
{
	struct cachestat_range range = { off, len };
	struct cachestat cache;
	struct dio_stat stat;
	char path[80];
	int at, ret;

	if (syscall(__NR_cachestat, fd, &range, &cache, 0))
		return -errno;
	at = disk_dir(fd, path);
	if (at < 0)
		return at;
	/* A disk with several paths does not count for its partitions. */
	strcpy(path + at, "/partition");
	strcpy(path + at, access(path, F_OK) ? "/stat" : "/../stat");
	ret = dio_stat(path, &stat);
	below->cached = cache.nr_cache;
	below->read = stat.bytes[0];
	below->written = stat.bytes[1];
	return ret;
}

int dio_extent(int fd, loff_t off, size_t len, unsigned int flags,
	       struct fiemap_extent *extent)
{
	union {
		struct fiemap map;
		char space[sizeof(struct fiemap) +
			   sizeof(struct fiemap_extent)];
	} u = {
		.map = {
			.fm_start = off,
			.fm_length = len,
			.fm_flags = flags,
			.fm_extent_count = 1,
		},
	};

	if (ioctl(fd, FS_IOC_FIEMAP, &u.map))
		return -errno;
	*extent = u.map.fm_extents[0];
	return u.map.fm_mapped_extents ? 0 : -ENODATA;
}

int dio_src_physical(const struct dio_src *src, loff_t off, loff_t *phys)
{
	struct fiemap_extent extent = { .fe_physical = off, .fe_logical = off };
	int ret = 0;

	if (src->backing->is_fs)
		ret = dio_extent(src->wr, off, 1, FIEMAP_FLAG_SYNC, &extent);
	*phys = extent.fe_physical + (off - extent.fe_logical);
	return ret;
}

const struct dio_before dio_befores[] = {
	{ "hole", false, 2 },
	{ "preallocated", true, 2 },
	{ "after the end", false, 0 },
	{ "preallocated after the end", true, 0 },
	{ "across the end", false, 1 },
	{ NULL }
};

int dio_make_before(int fd, const struct dio_before *before, size_t size)
{
	if (ftruncate(fd, 0) || ftruncate(fd, before->halves * (size / 2)))
		return -errno;
	/* Last, as truncation frees what is past the end. */
	if (before->allocated && fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, size))
		return -errno;
	return fsync(fd) ? -errno : 0;
}
