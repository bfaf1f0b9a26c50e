/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the dma-buf direct I/O tests share: buffers, files, and the comparison.
 *
 * Every test follows one order. Data whose words encode their position in the
 * file is written and read back into ordinary memory, the oracle. The buffer
 * is poisoned through its mmap, with words that encode their position in the
 * buffer. Then comes the system call, and then each byte of the destination is
 * compared with the oracle and each byte of the guard areas with the poison.
 */
#ifndef DIO_H
#define DIO_H

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>
#include <linux/fiemap.h>
#include <linux/types.h>

#include "../../kselftest.h"

#define DIO_KIB		1024UL
#define DIO_MIB		(1024UL * DIO_KIB)
#define DIO_GIB		(1024UL * DIO_MIB)

/* Bytes on both sides of a transfer that must keep their poison. */
#define DIO_GUARD	(64 * DIO_KIB)

/* Multiple of every logical block size in use, hence aligned everywhere. */
#define DIO_ALIGNED	4096UL

/*
 * What moves in one go: a transfer that breaks off does so between two of them,
 * and a hole makes copies of no more than the second.
 */
#define DIO_CHUNK	(32 * DIO_MIB)
#define DIO_COPY_CHUNK	DIO_MIB

#ifndef SPLICE_F_NOCOPY
#define SPLICE_F_NOCOPY	0x10
#endif

/*
 * Functions returning int give 0, -errno, or DIO_SKIP when the machine lacks
 * what the test needs; dio_reason() then says what.
 */
#define DIO_SKIP	1

const char *dio_reason(void);
__printf(1, 2) int dio_skip(const char *fmt, ...);

/* Is it DIO_SKIP? Then the first reason of the test is kept: "" if there was none. */
bool dio_is_missing(int ret);
const char *dio_missing(void);
__printf(1, 2) void dio_log(const char *fmt, ...);

#ifdef __KSELFTEST_HARNESS_H
/*
 * For what hangs. However slow a machine is, or a kernel with all its checks on:
 * no test that works comes near, and none waits for this time to pass.
 */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT	1200

/* Inside a test: false means "return", the test is skipped or has failed. */
static inline bool dio_ready(struct __test_metadata *_metadata, int ret)
{
	if (ret == DIO_SKIP)
		SKIP(return false, "%s", dio_reason());
	EXPECT_EQ(0, ret)
		TH_LOG("cannot set up the test: %s", strerror(-ret));
	return !ret;
}

/*
 * A test of several places or disks is done with those that are there. Then it
 * is skipped all the same if one was not: unless it has failed.
 */
static inline void dio_tell_missing(struct __test_metadata *_metadata)
{
	if (*dio_missing() && !_metadata->exit_code)
		SKIP(return, "%s", dio_missing());
}
#endif

/*
 * Wait for something that comes by itself; true if it came. The limit is for
 * what never comes: so many looks take minutes, and more of them where the
 * machine is slow.
 */
#define DIO_LOOKS	300000

#define dio_wait_for(condition) ({					\
	int looks;							\
									\
	for (looks = 0; !(condition) && looks < DIO_LOOKS; looks++)	\
		usleep(1000);						\
	looks < DIO_LOOKS;						\
})

/* ---- buffer.c: dma-bufs ---- */

struct dio_buf {
	int fd;
	int memfd;		/* behind a udmabuf, else -1 */
	size_t size;		/* may be more than was asked for */
	unsigned char *map;
	long hugepages;		/* pool size to restore, or -1 */
};

struct dio_exporter {
	const char *name;
	int (*alloc)(struct dio_buf *buf);
};

extern const struct dio_exporter dio_heap;		/* large contiguous chunks */
extern const struct dio_exporter dio_udmabuf;		/* pages in scrambled order */
extern const struct dio_exporter dio_udmabuf_huge;	/* 2 MiB hugetlb pages */

int dio_memfd(size_t size, unsigned int flags, int seals);
int dio_heap_alloc(size_t size, int fd_flags);
int dio_udmabuf_create(int memfd, size_t size);
int dio_buf_alloc(struct dio_buf *buf, const struct dio_exporter *exporter,
		  size_t size);
void dio_buf_free(struct dio_buf *buf);

/* Bracket for CPU access through the mmap; @flags is DMA_BUF_SYNC_READ/WRITE. */
int dio_sync_start(struct dio_buf *buf, __u64 flags);
int dio_sync_end(struct dio_buf *buf, __u64 flags);

/* One number of a descriptor's fdinfo, e.g. "pos" or "dio_read_bytes". */
int dio_fdinfo(int fd, const char *key, long long *value);
long long dio_pos(int fd);

/* What came and went, READ being file to buffer, as fdinfo tells it. */
struct dio_counters {
	long long pos;
	long long dio_read, dio_write, copy_read, copy_write;
	char reason[16];
};

int dio_count(int fd, struct dio_counters *counters);

/* Devices that the buffer with this name is attached to, or -1. */
int dio_attached(const char *name);

#define DIO_BUFINFO	"/sys/kernel/debug/dma_buf/bufinfo"

/* ---- vfio.c: the memory of a PCI device ---- */

struct dio_vfio {
	char pci[32];
	int fd, iommufd;
	off_t config, memory;	/* of the device's file */
	size_t size;		/* of the memory */
};

struct dio_range {
	size_t off, len;
};

/* The device that DIO_P2P names, with its memory enabled. */
int dio_vfio_open(struct dio_vfio *dev);
void dio_vfio_close(struct dio_vfio *dev);

/* As a driver turns it on and off: off revokes the dma-bufs. */
int dio_vfio_enable(const struct dio_vfio *dev, bool on);
int dio_vfio_reset(const struct dio_vfio *dev);

/* A dma-buf of these ranges, mapped while the device is open. */
int dio_vfio_buf(const struct dio_vfio *dev, const struct dio_range *range,
		 int nr, struct dio_buf *buf);

/* ---- source.c: files and disks ---- */

/*
 * Named by the environment; a test of what is not named is skipped.
 *
 *   DIO_EXT4, DIO_XFS   directories on such file systems, on a disk that can
 *   DIO_F2FS            another one (file tests of all calls only)
 *   DIO_RAW             a disk, with SGLs if it is NVMe
 *   DIO_RAW_PRP         an NVMe disk; while it is open, none uses SGLs
 *   DIO_RAW_4K          a disk with logical blocks of 4 KiB
 *   DIO_PMEM            persistent memory, for a file system with DAX
 *   DIO_VICTIM          an NVMe disk to be taken away (splice_removal)
 *   DIO_MPATH           an NVMe disk with two paths, to be taken away as well
 *   DIO_PI              a disk with integrity metadata
 *   DIO_ZONED           a disk that has zones of 4 MiB to be written in sequence
 *   DIO_RAW_MDTS0       an NVMe disk that takes commands of 8 MiB
 *   DIO_OUT             a directory on 9p
 *   DIO_P2P             PCI address of a device for vfio-pci, whose BAR 2 is
 *                       memory that these disks can reach (splice_p2p)
 *
 * What is on the disks will be overwritten. DIO_RAW should have 4 GiB for the
 * file systems made on it, and more than 4 GiB for splice_large.
 */
struct dio_backing {
	const char *name;
	const char *env;	/* environment variable naming it */
	bool is_fs;		/* mount point, not device node */
	bool no_sgl;		/* by PRPs even where SGLs would do */
	bool all_sgl;		/* by SGLs even if segments are small */
};

/* Of a fixture's variant with a .backing and an .exporter. */
#define DIO_PAIR(from, to)	.backing = &dio_##from, .exporter = &dio_##to

extern const struct dio_backing dio_ext4, dio_xfs, dio_f2fs;
extern const struct dio_backing dio_raw, dio_raw_prp, dio_raw_4k, dio_pmem;
extern const struct dio_backing *const dio_backings[];	/* ends with NULL */

struct dio_src {
	const struct dio_backing *backing;
	const char *where;	/* mount point or device node */
	int fd;			/* O_RDONLY | O_DIRECT */
	int wr;			/* O_RDWR, through the page cache */
	unsigned int block;	/* alignment of file offset and length */
	unsigned int mem_align;	/* alignment of the buffer offset */
	loff_t base;		/* the pattern covers base .. base + size */
	size_t size;		/* may be lowered between create and write */
	size_t memory;		/* bytes of image and of oracle */
	__u64 seed;
	__u64 old_seed;		/* of what was there before, or 0 */
	unsigned char *image;	/* what was written; 0 where nothing was */
	unsigned char *oracle;	/* what read(2) found */
	unsigned char *rival;	/* what a racing writer puts there, or NULL */
	bool sgls_set;		/* sgl_threshold is to be restored */
};

/* Create, write everything, make ready. Enough for most tests. */
int dio_src_open(struct dio_src *src, const struct dio_backing *backing,
		 loff_t base, size_t size);

/* The same in steps, for files with holes or many extents. */
int dio_src_create(struct dio_src *src, const struct dio_backing *backing,
		   loff_t base, size_t size);
int dio_src_write(struct dio_src *src, loff_t off, size_t len);
int dio_src_ready(struct dio_src *src);

/* All that the pattern covers, as the disk has it; .memory bytes of room. */
int dio_src_read(struct dio_src *src, void *mem);

/* Its disk was away, and now it may have another name. */
int dio_src_again(struct dio_src *src);

void dio_src_close(struct dio_src *src);

/* Another descriptor of the same file. */
int dio_src_reopen(const struct dio_src *src, int flags);

/*
 * What direct I/O on a file wants of offsets and of memory, 0 if there is none.
 * What ext4, XFS, F2FS and disks say is compared with what the disk says in sysfs.
 */
int dio_alignment(int fd, unsigned int *block, unsigned int *mem_align);

/* Name of the disk below, or a partition of it, as in /sys/class/block. */
int dio_disk(int fd, char *name, size_t size);
int dio_src_disk(const struct dio_src *src, char *name, size_t size);

/*
 * What counts without knowing of dma-bufs: bytes that the disk below a file has
 * moved so far, as the block layer accounts them, and pages that the page cache
 * holds of a range of the file.
 *
 * What comes through the page cache either is there afterwards, or was there
 * before and does not come from the disk; what goes through it stays there.
 * What a driver moves through memory of its own looks like DMA from here, as
 * the disk moves the same bytes in the same commands: only the time or the
 * instructions that some CPU needs to copy can tell.
 */
struct dio_below {
	long long read, written;
	long long cached;
};

int dio_look_below(int fd, loff_t off, size_t len, struct dio_below *below);

/* The first extent of a range, by fiemap. */
int dio_extent(int fd, loff_t off, size_t len, unsigned int flags,
	       struct fiemap_extent *extent);

/* Where on that disk the byte at @off is. */
int dio_src_physical(const struct dio_src *src, loff_t off, loff_t *phys);

/* What there is of a range of a file before it is written. */
struct dio_before {
	const char *name;
	bool allocated;
	int halves;		/* so many of two are before the end of the file */
};

extern const struct dio_before dio_befores[];	/* ends without a name */

/* All of an empty file; @size is even. */
int dio_make_before(int fd, const struct dio_before *before, size_t size);

/* ---- data.c: pattern, poison, comparison ---- */

__u64 dio_random(void);
void dio_pattern(void *mem, __u64 seed, loff_t off, size_t len);

void dio_poison(struct dio_buf *buf, size_t off, size_t len);
bool dio_is_poison(struct dio_buf *buf, size_t off, size_t len);

/* The CPU writes to the buffer. */
void dio_fill(struct dio_buf *buf, size_t off, const void *data, size_t len);

/* Bytes at @off of the buffer are those of the file at @file_off. */
bool dio_is_data(struct dio_buf *buf, size_t off, const struct dio_src *src,
		 loff_t file_off, size_t len);

/* What a word may be where a transfer failed or raced with a writer. */
enum dio_may {
	DIO_MAY_POISON = 1,
	DIO_MAY_ZERO = 2,
};

/* ... or the rival writer's word. */
bool dio_is_data_or(struct dio_buf *buf, size_t off, const struct dio_src *src,
		    loff_t file_off, size_t len, unsigned int may);

/*
 * New data for a range of the file: its image has it, and the buffer. What was
 * there before is the oracle's.
 */
void dio_renew(struct dio_src *src, loff_t file_off, struct dio_buf *buf,
	       size_t off, size_t len);

/* Bytes at @off of the buffer are those that the file was to get. */
bool dio_is_image(struct dio_buf *buf, size_t off, const struct dio_src *src,
		  loff_t file_off, size_t len);

/*
 * What a write leaves that has said @done of @len bytes: so many new ones, and
 * then blocks of which each is new or old. @got is what is at @file_off.
 */
bool dio_is_new_or_old(const struct dio_src *src, const unsigned char *got,
		       loff_t file_off, size_t done, size_t len);

/*
 * The same for the file on the disk; what is beside the range is the oracle's.
 * Then image and oracle are what was found.
 */
bool dio_is_written(struct dio_src *src, loff_t file_off, size_t done, size_t len);

/* splice(2) with both offsets given, all direct; returns bytes or -errno. */
ssize_t dio_splice(int fd_in, loff_t off_in, int fd_out, loff_t off_out,
		   size_t len);

/* Poison, one call that must move all of @len, and a look at every byte. */
bool dio_transfer(const struct dio_src *src, loff_t file_off,
		  struct dio_buf *buf, size_t off, size_t len);

/*
 * The other way: new data for a range of the file, by one call from the buffer.
 * Then all that the pattern covers is read by read(2), and looked at.
 */
bool dio_store(struct dio_src *src, loff_t file_off, struct dio_buf *buf,
	       size_t off, size_t len);

/* Of a path to what the tests make. */
#define DIO_NAME	64

/* ---- call.c: the system calls that move data ---- */

/*
 * Each takes what splice(2) takes, and returns bytes or -errno; -ENOTSUP if it
 * has no such parameter: no offset for the output, or no flags.
 */
struct dio_call {
	const char *name;
	ssize_t (*move)(int in, loff_t *off_in, int out, loff_t *off_out,
			size_t len, unsigned int flags);
	bool takes_flags;
	bool out_position;	/* always at the position of the output */
};

extern const struct dio_call dio_call_splice, dio_call_copy_file_range;
extern const struct dio_call dio_call_sendfile, dio_call_io_uring;
extern const struct dio_call *const dio_calls[];	/* ends with NULL */

/*
 * What dio_call_io_uring is made of: the ring of this thread. One request and
 * one that cancels it may be under way.
 */
struct io_uring_sqe;
struct io_uring_cqe;
int dio_uring_submit(const struct io_uring_sqe *sqe);
int dio_uring_wait(struct io_uring_cqe *cqe);
void dio_uring_close(void);

/* Where in the output, for a call that can be told. */
static inline loff_t *dio_out(const struct dio_call *call, loff_t *off)
{
	return call->out_position ? NULL : off;
}

/* Move the position of a dma-buf, which lseek(2) does not, forward. */
int dio_advance(int fd, loff_t pos);

/* ---- place.c: where files are, direct or not ---- */

struct dio_place {
	const char *name;
	const struct dio_backing *backing;	/* what has to be set, or NULL */
	int (*make)(struct dio_place *place);
	bool direct;		/* O_DIRECT is by DMA */
	bool device;		/* one file, and its size is what it is */
	bool named;		/* files have to have names */
	char path[DIO_NAME];	/* directory or node; none for a memfd */
	int ret;		/* of making it */
	char reason[96];
};

extern struct dio_place dio_on_ext4, dio_on_xfs, dio_on_f2fs;
extern struct dio_place dio_on_raw, dio_on_raw_4k;
extern struct dio_place dio_on_tmpfs, dio_on_memfd, dio_on_btrfs;
extern struct dio_place dio_on_dax, dio_on_overlay, dio_on_loop;
extern struct dio_place *const dio_places[];		/* ends with NULL */

/* Not among them: they take time to make, and few tests need them. */
extern struct dio_place dio_on_ext4_crypt, dio_on_f2fs_crypt;
extern struct dio_place dio_on_f2fs_compr, dio_on_xfs_quota;
extern struct dio_place dio_on_ext4_quota, dio_on_fuse, dio_on_9p;
extern struct dio_place dio_on_ram, dio_on_zram, dio_on_dm_crypt;

#define DIO_LOOP_SIZE	(256 * DIO_KIB)	/* of dio_on_loop */

/* For all tests, before the first: mounts, loop devices; until the program ends. */
void dio_places_make(void);

/* Others, after that; the list ends with NULL. */
void dio_places_make_more(struct dio_place *const *places);

/* 0, -errno or DIO_SKIP. */
int dio_place_ready(const struct dio_place *place);

/* A new file, or the device, open for reading and writing. */
int dio_place_open(const struct dio_place *place);

/* A second descriptor of what is open. */
int dio_reopen(int fd, int flags);

/* ---- worker.c: a transfer, in either direction, that may break off ---- */

enum { DIO_READ, DIO_WRITE };		/* what is done to the file */

struct dio_move {
	int rw;
	struct dio_src *src;
	struct dio_buf *buf;
	int out;		/* of the file, O_DIRECT, if it is written */
	loff_t pos;
	size_t off, len;
};

int dio_move_open(struct dio_move *m, int rw, struct dio_src *src,
		  struct dio_buf *buf, loff_t pos, size_t off, size_t len);
void dio_move_close(struct dio_move *m);

/* Poison, and new data if the file gets it. */
void dio_move_prepare(struct dio_move *m);

/* The call: bytes or -errno. */
ssize_t dio_move(const struct dio_move *m);

/*
 * Of the destination @done bytes are what they had to become, each of the next
 * ones up to @tried is that or what it was, and all others are what they were; so
 * is the source. A negative @done is 0.
 */
bool dio_move_check(struct dio_move *m, ssize_t done, size_t tried);

/* ---- the same: transfers in the background ---- */

struct dio_worker {
	struct dio_src *src;
	struct dio_buf *buf;
	bool reads, writes;
	int out;		/* of the file, O_DIRECT, if it is written */
	loff_t file_off;	/* if it is written, a part of it that is ... */
	size_t off, len;	/* ... like that of the buffer this worker's alone */
	atomic_int rounds;	/* to do at most; 0 stops it */

	pthread_t thread;
	atomic_int done;	/* rounds that moved everything */
	atomic_bool ended;
	const char *failed;	/* the call that did not move all, or NULL */
	ssize_t last;		/* what the last call returned, or -errno */
	size_t written;		/* what the last write has said */
	bool good;		/* every byte was what it had to be */
};

/*
 * Until the rounds are done or a call fails. One that writes has new data each
 * time, and looks at it by read(2). One that reads has poison each time; what a
 * failed call leaves is the file's bytes or poison, a partial one is compared.
 */
int dio_worker_start(struct dio_worker *worker);
void dio_worker_join(struct dio_worker *worker);

/*
 * What one has left on the disk, when that can be read again: what it was told
 * that it has written, and of the rest of its part each block new or old.
 */
bool dio_worker_is_written(struct dio_worker *worker);

/* ---- blockdev.c: disks that must refuse, and ways to break disks ---- */

int dio_loop(int fd, char *node);
void dio_loop_free(const char *node);
int dio_zram(size_t size, char *node);
void dio_zram_free(const char *node);

/* /sys directory of the controller whose namespace @disk is; PATH_MAX bytes. */
int dio_controller(const char *disk, char *ctrl);

/* What a disk has counted in the file "stat" at @path in /sys; [1] is writes. */
struct dio_stat {
	long long commands[2], bytes[2];
};

int dio_stat(const char *path, struct dio_stat *stat);

int dio_dm_create(const char *name, const char *table, char *node);
void dio_dm_remove(const char *name);
int dio_partition_add(const char *disk, int number, loff_t start, loff_t len,
		      char *node);
void dio_partition_del(const char *disk, int number);

/* Bytes that the disk has read or written, as it counts them itself, or -1. */
long long dio_disk_bytes(const char *disk, bool write);

/* ---- cgroup.c: processes that are frozen, and whose disk is slow ---- */

struct dio_cgroup {
	char root[32];		/* where it is mounted */
	char name[32];
	char dev[16];		/* major:minor */
};

/* One with nobody in it, to limit the use of this (whole) disk. */
int dio_cgroup_make(struct dio_cgroup *cg, const char *disk);
void dio_cgroup_free(struct dio_cgroup *cg);

/* The process that calls, with all its threads. */
int dio_cgroup_enter(const struct dio_cgroup *cg);
int dio_cgroup_leave(const struct dio_cgroup *cg);

/* "bps" or "iops", in each direction; 0 for no limit. */
int dio_cgroup_limit(const struct dio_cgroup *cg, const char *what,
		     unsigned long limit);

int dio_cgroup_freeze(const struct dio_cgroup *cg, bool on);
bool dio_cgroup_frozen(const struct dio_cgroup *cg);

/* ---- paths.c: an NVMe disk with two paths ---- */

#define DIO_PATHS 2

extern const struct dio_backing dio_mpath;

/* Once, while they are there. */
int dio_paths_find(void);

/* Until both can be used; the disk can have another name then. */
int dio_paths_wait(void);

/* Those that were removed; and wait. */
int dio_paths_add(void);

int dio_paths_policy(const char *policy);

/* All paths are there, with the policy that there was first. */
int dio_paths_restore(void);

int dio_path_remove(int path);
int dio_path_reset(int path);

/* It hears no new command, until the driver has noticed and resets it. */
int dio_path_silence(int path);

/* What went over a path, or -1; writes, or reads. */
long long dio_path_bytes(int path, int write);

/* Commands that one path did not do, and the other did. */
long dio_paths_failovers(void);

/* Bios that had to wait for a path that can be used. */
long dio_paths_waits(void);

/* ---- fault.c: settings of the machine ---- */

/*
 * Like dio_write_file(), and what was there before is remembered. To be undone
 * by FIXTURE_TEARDOWN; if a test did not come so far, the next one that has a
 * setting does it, or the end of the program.
 */
__printf(2, 3) int dio_knob(const char *path, const char *fmt, ...);
int dio_knobs_restore(void);

/* The first line of a file, without its end. */
int dio_read_line(const char *path, char *line, size_t size);

/* ---- the same: allocations that fail ---- */

/* Sets *nth to a descriptor for the next two. There are knobs to be restored. */
int dio_fault_open(int *nth);

/* Of what this thread allocates from now on, the one with this number fails. */
int dio_fault_arm(int nth, int n);

/* -errno, or what is left of the number: 0 if one has failed. */
int dio_fault_disarm(int nth);

/* "program arguments" run quietly; 0 or -EIO, DIO_SKIP if not installed. */
__printf(1, 2) int dio_run(const char *fmt, ...);

__printf(2, 3) int dio_write_file(const char *path, const char *fmt, ...);

/* The number behind @key ("": the first) in a file of few lines, or -1. */
long dio_number(const char *path, const char *key);

/* DIO_SKIP unless so much is available. */
int dio_need_memory(size_t bytes);

#define DIO_HUGEPAGES	"/proc/sys/vm/nr_hugepages"

#endif /* DIO_H */
