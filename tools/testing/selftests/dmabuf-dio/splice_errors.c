// SPDX-License-Identifier: GPL-2.0
/*
 * What splice(2) into a dma-buf refuses if it must not copy, as a table: file,
 * buffer, range, flags -> result. Each entry is tried on every disk it can be
 * tried on, and nothing may have changed afterwards: not the buffer, not the
 * file, not an offset, not a position, not a counter.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <linux/fs.h>
#include <linux/fsverity.h>

#include "../kselftest_harness.h"
#include "lib/dio.h"

#define SIZE		(256 * DIO_KIB)
#define LEN		(64 * DIO_KIB)

/* One attempt: the file and the buffer, and what was made for it. */
struct bench {
	struct dio_src src;
	struct dio_buf buf;
	bool read_only;		/* buffer cannot be poisoned */
	char node[DIO_NAME];	/* block device to be undone */
	char dir[PATH_MAX];	/* mount point to be undone */
	void (*undo)(struct bench *b);
};

typedef int (*opener)(struct bench *b);

/* ---- files; each returns a descriptor, -errno, or -DIO_SKIP ---- */

/* No descriptor has this value; -1 is EPERM. */
#define SKIPPED		(-4096)

static int direct(struct bench *b)
{
	return dio_src_reopen(&b->src, O_RDONLY | O_DIRECT);
}

static int buffered(struct bench *b)
{
	return dio_src_reopen(&b->src, O_RDONLY);
}

static int write_only(struct bench *b)
{
	return dio_src_reopen(&b->src, O_WRONLY | O_DIRECT);
}

static int read_write(struct bench *b)
{
	return dio_src_reopen(&b->src, O_RDWR | O_DIRECT);
}

static int path_only(struct bench *b)
{
	return dio_src_reopen(&b->src, O_PATH);
}

static int open_node(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT)
		return dio_skip("no %s", path), SKIPPED;
	return fd < 0 ? -errno : fd;
}

static int not_open(struct bench *b)
{
	(void)b;
	return 1000;
}

static int directory(struct bench *b)
{
	(void)b;
	return open_node(".", O_RDONLY | O_DIRECTORY);
}

static int proc_file(struct bench *b)
{
	(void)b;
	return open_node("/proc/self/maps", O_RDONLY);
}

static int char_device(struct bench *b)
{
	(void)b;
	return open_node("/dev/zero", O_RDONLY);
}

static int socket_end(struct bench *b)
{
	int fd[2];

	(void)b;
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fd))
		return -errno;
	if (write(fd[1], "text", 4) != 4)
		return -errno;
	close(fd[1]);
	return fd[0];
}

static int pipe_out(struct bench *b)
{
	int fd[2];

	(void)b;
	if (pipe(fd))
		return -errno;
	if (write(fd[1], "text", 4) != 4)
		return -errno;
	close(fd[1]);
	return fd[0];
}

/* Both ends in one: a pipe reopened for reading and writing. */
static int pipe_in(struct bench *b)
{
	int fd, rw;

	fd = pipe_out(b);
	if (fd < 0)
		return fd;
	rw = dio_reopen(fd, O_RDWR);
	close(fd);
	return rw;
}

static int on_tmpfs(struct bench *b)
{
	int fd, ret;

	fd = dio_memfd(SIZE, 0, 0);
	if (fd < 0 || pwrite(fd, b->src.image, SIZE, 0) != SIZE)
		return -errno;
	ret = dio_reopen(fd, O_RDONLY | O_DIRECT);
	close(fd);
	if (ret == -EINVAL)
		return dio_skip("tmpfs without O_DIRECT"), SKIPPED;
	return ret;
}

static int hole(struct bench *b)
{
	if (ftruncate(b->src.wr, 0) || ftruncate(b->src.wr, SIZE))
		return -errno;
	memset(b->src.oracle, 0, SIZE);
	return direct(b);
}

static int unwritten(struct bench *b)
{
	int fd = hole(b);

	if (fd >= 0 && fallocate(b->src.wr, 0, 0, SIZE))
		return -errno;
	return fd;
}

static void undo_loop(struct bench *b)
{
	dio_loop_free(b->node);
}

static int loop_device(struct bench *b)
{
	int ret = dio_loop(b->src.wr, b->node);

	if (ret)
		return ret == DIO_SKIP ? SKIPPED : ret;
	b->undo = undo_loop;
	return open_node(b->node, O_RDONLY | O_DIRECT);
}

static void undo_zram(struct bench *b)
{
	dio_zram_free(b->node);
}

static int zram_disk(struct bench *b)
{
	int fd, ret;

	ret = dio_zram(SIZE, b->node);
	if (ret)
		return ret == DIO_SKIP ? SKIPPED : ret;
	b->undo = undo_zram;
	fd = open_node(b->node, O_RDWR | O_DIRECT);
	if (fd >= 0 && pwrite(fd, b->src.oracle, SIZE, 0) != SIZE)
		return -errno;
	return fd;
}

static int ram_disk(struct bench *b)
{
	int fd = open_node("/dev/ram0", O_RDWR | O_DIRECT);

	if (fd >= 0 && pwrite(fd, b->src.oracle, SIZE, 0) != SIZE)
		return -errno;
	return fd;
}

#define DM_NAME "dmabuf-dio-test"

static void undo_dm(struct bench *b)
{
	(void)b;
	dio_dm_remove(DM_NAME);
}

static int dm_crypt(struct bench *b)
{
	char table[256];
	int ret;

	snprintf(table, sizeof(table),
		 "0 %lu crypt aes-xts-plain64 %064d 0 %s 0", SIZE / 512, 0,
		 b->src.where);
	ret = dio_dm_create(DM_NAME, table, b->node);
	if (ret)
		return ret == DIO_SKIP ? SKIPPED : ret;
	b->undo = undo_dm;
	return open_node(b->node, O_RDONLY | O_DIRECT);
}

/* ---- files on file systems made for the purpose ---- */

static void undo_mount(struct bench *b)
{
	umount2(b->dir, MNT_DETACH);
	rmdir(b->dir);
	if (*b->node)
		dio_loop_free(b->node);
}

static int mount_point(struct bench *b)
{
	snprintf(b->dir, sizeof(b->dir), "/tmp/dmabuf-dio.XXXXXX");
	return mkdtemp(b->dir) ? 0 : -errno;
}

static int mkfs_and_mount(struct bench *b, const char *mkfs, const char *size,
			  const char *type, const char *options,
			  const char *device)
{
	int ret;

	/* A disk that somebody may write to can often not be mounted. */
	if (device == b->src.where) {
		close(b->src.wr);
		b->src.wr = -1;
	}
	ret = dio_run("%s %s %s", mkfs, device, size);
	if (ret)
		return ret == DIO_SKIP ? SKIPPED : ret;
	ret = mount_point(b);
	if (ret)
		return ret;
	b->undo = undo_mount;
	if (!mount(device, b->dir, type, 0, options))
		return 0;
	if (errno == ENODEV)
		return dio_skip("no %s in this kernel", type), SKIPPED;
	return -errno;
}

static int file_in(struct bench *b, size_t size)
{
	char path[PATH_MAX + 8];
	int fd;

	snprintf(path, sizeof(path), "%s/file", b->dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || pwrite(fd, b->src.image, size, 0) != (ssize_t)size ||
	    fsync(fd))
		return -errno;
	close(fd);
	return open_node(path, O_RDONLY | O_DIRECT);
}

static int on_btrfs(struct bench *b)
{
	return mkfs_and_mount(b, "mkfs.btrfs -f -K -b 256M", "", "btrfs",
			      NULL, b->src.where) ?: file_in(b, SIZE);
}

/* Stands for all users of the older direct I/O code. */
static int on_vfat(struct bench *b)
{
	return mkfs_and_mount(b, "mkfs.vfat -I -F 16", "65536", "vfat",
			      NULL, b->src.where) ?: file_in(b, SIZE);
}

static int on_inline_data(struct bench *b)
{
	return mkfs_and_mount(b, "mkfs.ext4 -F -I 256 -O inline_data", "32M",
			      "ext4", NULL, b->src.where) ?: file_in(b, 60);
}

/* ext4 takes direct I/O on such a file, and does buffered I/O. */
static int on_journalled_data(struct bench *b)
{
	return mkfs_and_mount(b, "mkfs.ext4 -F", "64M", "ext4", "data=journal",
			      b->src.where) ?: file_in(b, SIZE);
}

static int on_verity(struct bench *b)
{
	struct fsverity_enable_arg arg = {
		.version = 1,
		.hash_algorithm = FS_VERITY_HASH_ALG_SHA256,
		.block_size = 4096,
	};
	int fd, ret;

	fd = mkfs_and_mount(b, "mkfs.ext4 -F -b 4096 -O verity", "32M", "ext4",
			    NULL, b->src.where) ?: file_in(b, SIZE);
	if (fd < 0)
		return fd;
	if (!ioctl(fd, FS_IOC_ENABLE_VERITY, &arg))
		return fd;
	ret = errno == EOPNOTSUPP ? (dio_skip("no fs-verity"), SKIPPED) : -errno;
	close(fd);
	return ret;
}

/* The file system would take it, its disk does not. */
static int on_loop(struct bench *b)
{
	int ret;

	if (ftruncate(b->src.wr, 16 * DIO_MIB))
		return -errno;
	ret = dio_loop(b->src.wr, b->node);
	if (ret)
		return ret == DIO_SKIP ? SKIPPED : ret;
	b->undo = undo_loop;
	return mkfs_and_mount(b, "mkfs.ext4 -F", "", "ext4", NULL, b->node) ?:
	       file_in(b, SIZE);
}

static int on_overlayfs(struct bench *b)
{
	char lower[PATH_MAX], path[PATH_MAX + 8], options[2 * PATH_MAX];
	int fd, ret;

	/* Unlike a temporary file, a lower file needs a name. */
	snprintf(lower, sizeof(lower), "%s/dmabuf-dio-lower", b->src.where);
	snprintf(path, sizeof(path), "%s/file", lower);
	if (mkdir(lower, 0700) && errno != EEXIST)
		return -errno;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || pwrite(fd, b->src.image, SIZE, 0) != SIZE || fsync(fd))
		return -errno;
	close(fd);

	ret = mount_point(b);
	if (ret)
		return ret;
	b->undo = undo_mount;
	snprintf(options, sizeof(options), "lowerdir=%s:%s", lower, "/dev");
	if (mount("overlay", b->dir, "overlay", 0, options))
		ret = errno == ENODEV ? (dio_skip("no overlayfs"), SKIPPED)
				      : -errno;
	if (!ret) {
		snprintf(options, sizeof(options), "%s/file", b->dir);
		ret = open_node(options, O_RDONLY | O_DIRECT);
	}
	unlink(path);
	rmdir(lower);
	return ret;
}

/* ---- buffers ---- */

static int other_dmabuf(struct bench *b)
{
	(void)b;
	return dio_heap_alloc(SIZE, O_RDWR);
}

static int same_dmabuf(struct bench *b)
{
	return dup(b->buf.fd);
}

/* Takes the place of the one that was poisoned. */
static int read_only_dmabuf(struct bench *b)
{
	dio_buf_free(&b->buf);
	b->buf.size = SIZE;
	b->buf.fd = dio_heap_alloc(SIZE, O_RDONLY);
	if (b->buf.fd < 0)
		return b->buf.fd;
	b->buf.map = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, b->buf.fd, 0);
	if (b->buf.map == MAP_FAILED)
		return -errno;
	b->read_only = true;
	return dup(b->buf.fd);
}

static int path_dmabuf(struct bench *b)
{
	return dio_reopen(b->buf.fd, O_PATH);
}

/* ---- the table ---- */

FIXTURE(refusal)
{
};

FIXTURE_VARIANT(refusal)
{
	opener file;		/* default: direct */
	opener buffer;		/* default: the poisoned one */
	const struct dio_backing *only;	/* what the file needs below it */
	bool from_end;		/* .in counts from the end of the file */
	bool in_pos, out_pos;	/* NULL for the offset */
	bool may_copy;		/* without SPLICE_F_NOCOPY */
	bool unaligned;		/* this is all that is wrong */
	bool big_blocks;	/* needs blocks of 4 KiB */
	loff_t in, out;
	size_t len;
	unsigned int flags;
	ssize_t result;
};

FIXTURE_SETUP(refusal)
{
}

FIXTURE_TEARDOWN(refusal)
{
}

#define ENTRY(name)	FIXTURE_VARIANT_ADD(refusal, name)
#define FILE_ENDS	(LLONG_MAX - DIO_ALIGNED + 1)

/* Ranges. */
ENTRY(nothing_asked)		{ .len = 0, .result = 0 };
ENTRY(length_one)		{ .len = 1, .unaligned = true,
				  .result = -EINVAL };
ENTRY(file_offset_odd)		{ .in = 1, .len = LEN, .unaligned = true,
				  .result = -EINVAL };
ENTRY(file_offset_unaligned)	{ .in = 256, .len = LEN, .unaligned = true,
				  .result = -EINVAL };
ENTRY(file_offset_half_block)	{ .in = 512, .len = LEN, .big_blocks = true, .unaligned = true,
				  .result = -EINVAL };
ENTRY(file_position_unaligned)	{ .in = 256, .in_pos = true, .len = LEN, .result = -EINVAL };
ENTRY(file_offset_negative)	{ .in = -DIO_ALIGNED, .len = LEN, .result = -EINVAL };
ENTRY(file_range_wraps)		{ .in = FILE_ENDS, .len = LEN, .result = -EINVAL };
ENTRY(file_ended)		{ .from_end = true, .len = LEN, .result = 0 };
ENTRY(file_ended_before)	{ .in = LEN, .from_end = true, .len = LEN, .result = 0 };
ENTRY(file_position_ended)	{ .from_end = true, .in_pos = true, .len = LEN, .result = 0 };
ENTRY(buffer_offset_odd)	{ .out = 1, .len = LEN, .unaligned = true,
				  .result = -EINVAL };
ENTRY(buffer_offset_unaligned)	{ .out = 4094, .len = LEN, .unaligned = true,
				  .result = -EINVAL };
ENTRY(buffer_offset_negative)	{ .out = -DIO_ALIGNED, .len = LEN, .result = -EINVAL };
ENTRY(buffer_range_wraps)	{ .out = FILE_ENDS, .len = LEN, .result = -EINVAL };
ENTRY(buffer_full)		{ .out = SIZE, .len = LEN, .result = -ENOSPC };
ENTRY(buffer_ended_before)	{ .out = SIZE + LEN, .len = LEN, .result = -ENOSPC };
ENTRY(buffer_ended_far_before)	{ .out = 1LL << 40, .len = LEN, .result = -ENOSPC };

/* Flags. */
ENTRY(flag_unknown)		{ .len = LEN, .flags = 0x20, .result = -EINVAL };
ENTRY(flags_all)		{ .len = LEN, .flags = ~0U, .result = -EINVAL };

/* Access. */
ENTRY(file_not_open)		{ .file = not_open, .len = LEN, .result = -EBADF };
ENTRY(file_write_only)		{ .file = write_only, .len = LEN, .result = -EBADF };
ENTRY(file_path_only)		{ .file = path_only, .len = LEN, .result = -EBADF };
ENTRY(buffer_not_open)		{ .buffer = not_open, .len = LEN, .result = -EBADF };
ENTRY(buffer_path_only)		{ .buffer = path_dmabuf, .len = LEN, .result = -EBADF };
ENTRY(buffer_read_only)		{ .buffer = read_only_dmabuf, .len = LEN, .result = -EBADF };

/* Files that are no files, or not opened for it. */
ENTRY(file_buffered)		{ .file = buffered, .len = LEN, .result = -EOPNOTSUPP };
ENTRY(file_buffered_position)	{ .file = buffered, .in_pos = true, .out_pos = true,
				  .len = LEN, .result = -EOPNOTSUPP };
ENTRY(directory)		{ .file = directory, .len = LEN, .result = -EINVAL };
ENTRY(proc_file)		{ .file = proc_file, .len = LEN, .result = -EINVAL };
ENTRY(char_device)		{ .file = char_device, .len = LEN, .result = -EOPNOTSUPP };
ENTRY(socket)			{ .file = socket_end, .in_pos = true, .len = LEN,
				  .result = -EOPNOTSUPP };
ENTRY(socket_with_offset)	{ .file = socket_end, .len = LEN, .result = -ESPIPE };

/* File systems that have not opted in, and files that never can. */
ENTRY(tmpfs)			{ .file = on_tmpfs, .len = LEN, .result = -EOPNOTSUPP };
ENTRY(overlayfs)		{ .file = on_overlayfs, .only = &dio_ext4, .len = LEN,
				  .result = -EOPNOTSUPP };
ENTRY(btrfs)			{ .file = on_btrfs, .only = &dio_raw, .len = LEN,
				  .result = -EOPNOTSUPP };
ENTRY(vfat)			{ .file = on_vfat, .only = &dio_raw, .len = LEN,
				  .result = -EOPNOTSUPP };
ENTRY(ext4_journalled_data)	{ .file = on_journalled_data, .only = &dio_raw, .len = LEN,
				  .result = -EOPNOTSUPP };
ENTRY(ext4_inline_data)		{ .file = on_inline_data, .only = &dio_raw, .len = LEN,
				  .result = -EOPNOTSUPP };
ENTRY(ext4_verity)		{ .file = on_verity, .only = &dio_raw, .len = LEN,
				  .result = -EOPNOTSUPP };
ENTRY(ext4_hole)		{ .file = hole, .only = &dio_ext4, .len = LEN,
				  .result = -EOPNOTSUPP };
ENTRY(ext4_unwritten)		{ .file = unwritten, .only = &dio_ext4, .len = LEN,
				  .result = -EOPNOTSUPP };
ENTRY(xfs_hole)			{ .file = hole, .only = &dio_xfs, .len = LEN,
				  .result = -EOPNOTSUPP };
ENTRY(xfs_unwritten)		{ .file = unwritten, .only = &dio_xfs, .len = LEN,
				  .result = -EOPNOTSUPP };

/* Queues without the feature. */
ENTRY(loop)			{ .file = loop_device, .only = &dio_ext4, .len = LEN,
				  .result = -EOPNOTSUPP };
ENTRY(ext4_on_loop)		{ .file = on_loop, .only = &dio_ext4, .len = LEN,
				  .result = -EOPNOTSUPP };
ENTRY(brd)			{ .file = ram_disk, .len = LEN, .result = -EOPNOTSUPP };
ENTRY(zram)			{ .file = zram_disk, .len = LEN, .result = -EOPNOTSUPP };
ENTRY(dm_crypt)			{ .file = dm_crypt, .only = &dio_raw, .len = LEN,
				  .result = -EOPNOTSUPP };

/* The dma-buf at the other end, at both, and at none. */
ENTRY(from_dmabuf_to_read_only)	{ .file = same_dmabuf, .buffer = buffered, .len = LEN,
				  .result = -EBADF };
ENTRY(from_dmabuf_to_dmabuf)	{ .file = other_dmabuf, .len = LEN, .result = -EINVAL };
ENTRY(from_dmabuf_to_itself)	{ .file = same_dmabuf, .len = LEN, .result = -EINVAL };
ENTRY(from_file_to_file)	{ .buffer = read_write, .len = LEN, .result = -EINVAL };

/* Through a pipe everything is copied, and has no offset. */
ENTRY(pipe_to_dmabuf)		{ .file = pipe_out, .in_pos = true, .out_pos = true,
				  .len = LEN, .result = -EINVAL };
ENTRY(pipe_to_dmabuf_offset)	{ .file = pipe_out, .in_pos = true, .len = LEN,
				  .result = -EINVAL };
ENTRY(pipe_offset_to_dmabuf)	{ .file = pipe_out, .len = LEN, .may_copy = true,
				  .result = -ESPIPE };
ENTRY(dmabuf_to_pipe)		{ .file = same_dmabuf, .buffer = pipe_in, .in_pos = true,
				  .out_pos = true, .len = LEN, .result = -EINVAL };
ENTRY(dmabuf_to_pipe_offset)	{ .file = same_dmabuf, .buffer = pipe_in, .len = LEN,
				  .may_copy = true, .result = -ESPIPE };

static loff_t end_of(int fd)
{
	return lseek(fd, 0, SEEK_END);
}

/* Descriptors and buffer are as @variant wants them; look before and after. */
static void attempt(struct __test_metadata *_metadata,
		    FIXTURE_VARIANT(refusal) const *variant, struct bench *b,
		    int in_fd, int out_fd)
{
	static unsigned char now[SIZE];
	long long before = -1, after = -1;
	loff_t in = variant->in, out = variant->out, in_at, out_at;
	loff_t pos_in, pos_out;
	ssize_t ret;

	if (variant->from_end)
		in += end_of(in_fd);
	if (variant->in_pos)
		lseek(in_fd, in, SEEK_SET);
	in_at = in;
	out_at = out;
	pos_in = dio_pos(in_fd);
	pos_out = dio_pos(out_fd);
	dio_fdinfo(b->buf.fd, "dio_read_bytes", &before);

	ret = splice(in_fd, variant->in_pos ? NULL : &in, out_fd,
		     variant->out_pos ? NULL : &out, variant->len,
		     variant->flags |
		     (variant->may_copy ? 0 : SPLICE_F_NOCOPY));
	if (ret < 0)
		ret = -errno;

	EXPECT_EQ(variant->result, ret)
		TH_LOG("%s", ret < 0 ? strerror(-ret) : "no error");
	EXPECT_EQ(in_at, in);
	EXPECT_EQ(out_at, out);
	EXPECT_EQ(pos_in, dio_pos(in_fd));
	EXPECT_EQ(pos_out, dio_pos(out_fd));
	dio_fdinfo(b->buf.fd, "dio_read_bytes", &after);
	EXPECT_EQ(before, after);

	if (b->read_only) {
		memset(now, 0, SIZE);
		EXPECT_EQ(0, memcmp(b->buf.map, now, SIZE));
	} else {
		EXPECT_TRUE(dio_is_poison(&b->buf, 0, SIZE));
	}
	if (!b->undo) {
		EXPECT_EQ(SIZE, pread(b->src.fd, now, SIZE, 0));
		EXPECT_EQ(0, memcmp(b->src.oracle, now, SIZE));
	}
}

/* Of @len bytes: all, or those before and after whole blocks. */
static ssize_t must_copy(FIXTURE_VARIANT(refusal) const *variant,
			 const struct dio_src *src, ssize_t len)
{
	size_t block = src->block, head = (block - variant->in % block) % block;

	if (!variant->unaligned || head >= len ||
	    (variant->out + head) % src->mem_align)
		return len;
	return len - (len - head) / block * block;
}

/* The same, but copying is allowed: the data is that of an ordinary read. */
static void attempt_copy(struct __test_metadata *_metadata,
			 FIXTURE_VARIANT(refusal) const *variant,
			 struct bench *b, int in_fd, int out_fd)
{
	static unsigned char want[SIZE];
	loff_t in = variant->in, out = variant->out;
	long long before = -1, after = -1;
	ssize_t want_len, ret;
	int fd;

	fd = dio_reopen(in_fd, O_RDONLY);
	ASSERT_LE(0, fd);
	want_len = pread(fd, want, variant->len, in);
	EXPECT_LT(0, want_len);
	close(fd);

	dio_fdinfo(b->buf.fd, "copy_read_bytes", &before);
	ret = splice(in_fd, &in, out_fd, &out, variant->len, variant->flags);
	EXPECT_EQ(want_len, ret)
		TH_LOG("%s", strerror(errno));
	if (ret != want_len)
		return;
	EXPECT_EQ(variant->in + ret, in);
	EXPECT_EQ(variant->out + ret, out);
	dio_fdinfo(b->buf.fd, "copy_read_bytes", &after);
	EXPECT_EQ(must_copy(variant, &b->src, ret), after - before);

	EXPECT_TRUE(dio_is_poison(&b->buf, 0, variant->out));
	EXPECT_EQ(0, memcmp(b->buf.map + variant->out, want, ret));
	EXPECT_TRUE(dio_is_poison(&b->buf, out, SIZE - out));
}

/* 1: tried, 0: this machine cannot. */
static int try_one(struct __test_metadata *_metadata,
		   FIXTURE_VARIANT(refusal) const *variant,
		   const struct dio_backing *backing,
		   const struct dio_exporter *exporter)
{
	struct bench b = {};
	int ret, tried = 0, in_fd = -1, out_fd = -1;

	ret = dio_src_open(&b.src, backing, 0, SIZE) ?:
	      dio_buf_alloc(&b.buf, exporter, SIZE);
	EXPECT_LE(0, ret);
	dio_is_missing(ret);
	if (ret) {
		dio_src_close(&b.src);
		return 0;
	}
	if (variant->big_blocks && b.src.block < DIO_ALIGNED) {
		dio_skip("no disk with blocks of 4 KiB");
		goto out;
	}
	dio_poison(&b.buf, 0, SIZE);

	in_fd = (variant->file ?: direct)(&b);
	if (in_fd == SKIPPED) {
		dio_is_missing(DIO_SKIP);
		goto out;
	}
	EXPECT_LE(0, in_fd)
		TH_LOG("cannot make the file: %s", strerror(-in_fd));
	out_fd = (variant->buffer ?: same_dmabuf)(&b);
	EXPECT_LE(0, out_fd)
		TH_LOG("cannot make the buffer: %s", strerror(-out_fd));
	if (in_fd >= 0 && out_fd >= 0) {
		attempt(_metadata, variant, &b, in_fd, out_fd);
		if (!variant->in_pos &&
		    (variant->result == -EOPNOTSUPP || variant->unaligned))
			attempt_copy(_metadata, variant, &b, in_fd, out_fd);
		tried = 1;
	}
	if (in_fd >= 0)
		close(in_fd);
	if (out_fd >= 0)
		close(out_fd);
out:
	if (b.undo)
		b.undo(&b);
	dio_buf_free(&b.buf);
	dio_src_close(&b.src);
	return tried;
}

TEST_F(refusal, changes_nothing_or_copies)
{
	int tried = 0, i;

	/* One exporter for each disk, in turn, not to try everything twice. */
	for (i = 0; dio_backings[i]; i++)
		if (!variant->only || variant->only == dio_backings[i])
			tried += try_one(_metadata, variant, dio_backings[i],
					 i % 2 ? &dio_udmabuf : &dio_heap);
	if (!tried && !*dio_missing() && !_metadata->exit_code)
		SKIP(return, "%s", dio_reason());
	dio_tell_missing(_metadata);
}

/*
 * The table proves little where everything is refused: the same bench, asked
 * properly.
 */
TEST(control)
{
	struct bench b = {};
	int i, ret;

	if (!dio_ready(_metadata, dio_buf_alloc(&b.buf, &dio_heap, SIZE)))
		return;
	for (i = 0; dio_backings[i]; i++) {
		ret = dio_src_open(&b.src, dio_backings[i], 0, SIZE);
		ASSERT_LE(0, ret) TH_LOG("%s: %s", dio_backings[i]->name, strerror(-ret));
		if (dio_is_missing(ret))
			continue;
		EXPECT_TRUE(dio_transfer(&b.src, 0, &b.buf, LEN, LEN));
		dio_src_close(&b.src);
	}
	dio_buf_free(&b.buf);
	dio_tell_missing(_metadata);
}

static bool booted_with(const char *option)
{
	static char line[4096];
	FILE *f = fopen("/proc/cmdline", "r");
	bool found;

	found = f && fgets(line, sizeof(line), f) && strstr(line, option);
	if (f)
		fclose(f);
	return found;
}

/*
 * 1 if an IOMMU translates what the disk reads and writes, 0 if not, or -errno:
 * the nearest device above the disk that has a group tells.
 */
static int is_translated(const struct dio_src *src)
{
	char disk[DIO_NAME], at[PATH_MAX], path[PATH_MAX + 32], type[32];
	int ret;
	FILE *f;

	ret = dio_src_disk(src, disk, sizeof(disk)) ?: dio_controller(disk, at);
	if (ret)
		return ret;
	for (; *at; *strrchr(at, '/') = 0) {
		snprintf(path, sizeof(path), "%s/iommu_group/type", at);
		f = fopen(path, "r");
		if (!f)
			continue;
		ret = fgets(type, sizeof(type), f) && !strncmp(type, "DMA", 3);
		fclose(f);
		return ret;
	}
	return 0;
}

/*
 * Memory that is copied to and fro for the disk is refused, and the CPU copies
 * instead; where an IOMMU translates, nothing has to be. To be run alone:
 * everything that expects direct I/O fails there.
 */
static void bounce_one(struct __test_metadata *_metadata, struct dio_src *src,
		       struct dio_buf *buf, bool direct)
{
	loff_t in = 0, out = LEN;
	struct dio_counters c;

	dio_poison(buf, 0, buf->size);
	EXPECT_EQ(direct ? (ssize_t)LEN : -EOPNOTSUPP,
		  dio_splice(src->fd, 0, buf->fd, LEN, LEN));
	EXPECT_TRUE(direct ? dio_is_data(buf, LEN, src, 0, LEN) :
			     dio_is_poison(buf, LEN, LEN));
	EXPECT_TRUE(dio_is_poison(buf, 0, LEN));
	EXPECT_TRUE(dio_is_poison(buf, 2 * LEN, buf->size - 2 * LEN));

	dio_poison(buf, 0, buf->size);
	EXPECT_EQ(LEN, splice(src->fd, &in, buf->fd, &out, LEN, 0));
	EXPECT_TRUE(dio_is_data(buf, LEN, src, 0, LEN));
	EXPECT_TRUE(dio_is_poison(buf, 0, LEN));
	EXPECT_TRUE(dio_is_poison(buf, 2 * LEN, buf->size - 2 * LEN));

	ASSERT_EQ(0, dio_count(buf->fd, &c));
	EXPECT_EQ(direct ? 2 * LEN : 0, c.dio_read);
	EXPECT_EQ(direct ? 0 : LEN, c.copy_read);
	EXPECT_STREQ(direct ? "none" : "mapping", c.reason);
}

TEST(bounced)
{
	const struct dio_exporter *exporters[] = { &dio_heap, &dio_udmabuf };
	const size_t size = 4 * DIO_MIB;	/* has blocks too large to bounce */
	int i, e, ret, direct;
	struct dio_buf buf;
	struct dio_src src;

	if (!booted_with("swiotlb=force"))
		SKIP(return, "not booted with swiotlb=force");

	for (i = 0; dio_backings[i]; i++) {
		ret = dio_src_open(&src, dio_backings[i], 0, SIZE);
		ASSERT_LE(0, ret) TH_LOG("%s: %s", dio_backings[i]->name, strerror(-ret));
		if (dio_is_missing(ret))
			continue;
		direct = is_translated(&src);
		EXPECT_LE(0, direct) TH_LOG("%s: %s", src.where, strerror(-direct));
		for (e = 0; direct >= 0 && e < ARRAY_SIZE(exporters); e++) {
			ret = dio_buf_alloc(&buf, exporters[e], size);
			EXPECT_LE(0, ret) TH_LOG("%s: %s", exporters[e]->name, strerror(-ret));
			dio_is_missing(ret);
			if (ret)
				continue;
			bounce_one(_metadata, &src, &buf, direct);
			if (_metadata->exit_code)
				TH_LOG("%s from %s, %s", exporters[e]->name, src.where,
				       direct ? "translated" : "not translated");
			dio_buf_free(&buf);
		}
		dio_src_close(&src);
	}
	dio_tell_missing(_metadata);
}

/* A file opened for direct I/O still goes into a pipe, and out of it again. */
TEST(pipes_still_work)
{
	static unsigned char got[LEN];
	struct dio_src src;
	int fd[2], from;

	if (!dio_ready(_metadata, dio_src_open(&src, &dio_ext4, 0, SIZE)))
		return;
	ASSERT_EQ(0, pipe(fd));

	ASSERT_EQ(LEN, splice(src.fd, NULL, fd[1], NULL, LEN, 0));
	ASSERT_EQ(LEN, read(fd[0], got, LEN));
	EXPECT_EQ(0, memcmp(got, src.oracle, LEN));

	from = dio_src_reopen(&src, O_RDONLY);
	ASSERT_LE(0, from);
	ASSERT_EQ(LEN, splice(from, NULL, fd[1], NULL, LEN, 0));
	ASSERT_EQ(LEN, splice(fd[0], NULL, src.wr, NULL, LEN, 0));
	ASSERT_EQ(LEN, pread(src.wr, got, LEN, 0));
	EXPECT_EQ(0, memcmp(got, src.oracle, LEN));
	close(from);
	close(fd[0]);
	close(fd[1]);
	dio_src_close(&src);
}

/* Other calls still refuse; pread(2) and pwrite(2) now with EINVAL, not ESPIPE. */
TEST(other_calls_unchanged)
{
	struct dio_src src;
	struct dio_buf buf;

	if (!dio_ready(_metadata, dio_src_open(&src, &dio_ext4, 0, SIZE) ?:
				  dio_buf_alloc(&buf, &dio_heap, SIZE)))
		return;
	dio_poison(&buf, 0, SIZE);

	EXPECT_EQ(-1, write(buf.fd, src.oracle, LEN));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, pwrite(buf.fd, src.oracle, LEN, 0));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, read(buf.fd, src.image, LEN));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, lseek(buf.fd, LEN, SEEK_SET));
	EXPECT_EQ(EINVAL, errno);

	EXPECT_EQ(0, dio_pos(buf.fd));
	EXPECT_TRUE(dio_is_poison(&buf, 0, SIZE));
	dio_buf_free(&buf);
	dio_src_close(&src);
}

TEST_HARNESS_MAIN
