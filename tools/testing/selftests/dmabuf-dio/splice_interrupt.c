// SPDX-License-Identifier: GPL-2.0
/*
 * A long transfer is stopped, frozen, killed or cancelled in its middle. It ends
 * when what the disk was given has ended, however much is left to do, and the
 * count that it returns is true: all bytes up to there were moved, no others.
 *
 * The limit of a cgroup makes the disk slow until the middle is reached, and
 * keeps it there until the test has done what it has to.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/dma-buf.h>
#include <linux/fs.h>
#include <linux/io_uring.h>

#include "../kselftest_harness.h"
#include "lib/dio.h"

/* Of what a transfer gives to the disk at once, many fit into it. */
#define AT_ONCE		(32 * DIO_MIB)
#define SIZE		(6 * AT_ONCE)

/* What the disk has, and what the transfer may just be about to give to it. */
#define GIVEN		(2 * AT_ONCE)

#define FAST		(64 * DIO_MIB)	/* to begin with, bytes per second */
#define STILL		(AT_ONCE / 128)	/* for minutes, not for ever */

enum { READ, WRITE };

enum { SPLICE = 1, CANCEL };		/* .user_data */

/* What all read from, and what else they write. */
static struct dio_src src;
static int src_ret;

/* What the process that moves tells. */
struct told {
	atomic_bool done, acted;
	ssize_t ret;
	int cancel;
};

struct transfer {
	int rw;
	const struct dio_call *call;
	void (*act)(struct transfer *t);	/* by whoever has the ring */

	const struct dio_backing *backing;
	struct dio_buf buf;
	int fd;				/* of the file, O_DIRECT */
	struct dio_cgroup cg;
	char disk[32];
	int order[2];			/* a pipe, to the process */
	pid_t pid;
	struct told *told;
	long long begin, middle;	/* what the disk has moved */
	long long counted;		/* by the buffer, before */
};

/* ---- the process that moves ---- */

static int own_fd;

static void move(struct transfer *t)
{
	loff_t from = 0, to = 0;
	int in = t->rw == READ ? t->fd : t->buf.fd;
	int out = t->rw == READ ? t->buf.fd : t->fd;

	t->told->ret = t->call->move(in, &from, out, &to, SIZE,
				     SPLICE_F_NOCOPY);
	t->told->done = true;
}

static void wait_for_order(const struct transfer *t)
{
	char c;

	while (read(t->order[0], &c, 1) < 0)
		;
}

/* Until it is told to, and then still there until it is told again. */
static void start_and_act(struct transfer *t)
{
	struct io_uring_sqe sqe = {
		.opcode = IORING_OP_SPLICE,
		.user_data = SPLICE,
		.len = SIZE,
		.splice_flags = SPLICE_F_NOCOPY,
	};

	/* Which is locked as long as the request has it. */
	own_fd = dio_reopen(t->fd, O_RDWR | O_DIRECT);
	if (own_fd < 0 || flock(own_fd, LOCK_EX))
		abort();
	sqe.fd = t->rw == READ ? t->buf.fd : own_fd;
	sqe.splice_fd_in = t->rw == READ ? own_fd : t->buf.fd;
	if (dio_uring_submit(&sqe))
		abort();
	wait_for_order(t);
	t->act(t);
	wait_for_order(t);
}

static void cancel(struct transfer *t)
{
	struct io_uring_sqe sqe = {
		.opcode = IORING_OP_ASYNC_CANCEL,
		.user_data = CANCEL,
		.addr = SPLICE,
	};
	struct io_uring_cqe cqe;

	if (dio_uring_submit(&sqe))
		abort();
	while (!t->told->done || !t->told->acted) {
		if (dio_uring_wait(&cqe))
			abort();
		if (cqe.user_data == SPLICE) {
			t->told->ret = cqe.res;
			t->told->done = true;
		} else {
			t->told->cancel = cqe.res;
			t->told->acted = true;
		}
	}
}

static void close_ring(struct transfer *t)
{
	dio_uring_close();
	close(own_fd);
	t->told->acted = true;
}

static void leave(struct transfer *t)
{
	(void)t;
	_exit(0);
}

/* ---- the test, which looks on ---- */

/* An empty file, or a disk full of zeros. */
static int prepare_file(struct transfer *t)
{
	unsigned long long all[2] = { 0, SIZE };

	if (t->rw == READ)
		return 0;
	if (t->backing->is_fs)
		return ftruncate(t->fd, 0) ? -errno : 0;
	return ioctl(t->fd, BLKZEROOUT, all) || ioctl(t->fd, BLKFLSBUF) ?
	       -errno : 0;
}

static int prepare_buffer(struct transfer *t)
{
	int ret;

	if (t->rw == READ) {
		dio_poison(&t->buf, 0, SIZE);
		return 0;
	}
	ret = dio_sync_start(&t->buf, DMA_BUF_SYNC_WRITE);
	if (ret)
		return ret;
	memcpy(t->buf.map, src.image, SIZE);
	return dio_sync_end(&t->buf, DMA_BUF_SYNC_WRITE);
}

static int transfer_open(struct transfer *t, const struct dio_backing *backing)
{
	const char *where = getenv(backing->env);

	t->backing = backing;
	t->fd = -1;
	t->order[0] = -1;
	t->order[1] = -1;
	t->buf.fd = -1;
	t->buf.memfd = -1;
	t->buf.hugepages = -1;
	if (src_ret)
		return src_ret;
	if (!where || !*where)
		return dio_skip("%s is not set", backing->env);
	t->told = mmap(NULL, sizeof(*t->told), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (t->told == MAP_FAILED || pipe(t->order))
		return -ENOMEM;
	if (t->rw == READ)
		t->fd = dio_src_reopen(&src, O_RDWR | O_DIRECT);
	else
		t->fd = open(where, O_RDWR | O_DIRECT | O_CLOEXEC |
			     (backing->is_fs ? O_TMPFILE : 0), 0600);
	if (t->fd < 0)
		return -errno;
	return dio_need_memory(2 * SIZE) ?:
	       dio_buf_alloc(&t->buf, &dio_heap, SIZE) ?:
	       dio_disk(t->fd, t->disk, sizeof(t->disk)) ?:
	       dio_cgroup_make(&t->cg, t->disk);
}

static void transfer_close(struct transfer *t)
{
	if (t->pid) {
		dio_cgroup_limit(&t->cg, "bps", 0);
		kill(t->pid, SIGKILL);
		waitpid(t->pid, NULL, 0);
	}
	dio_cgroup_free(&t->cg);
	dio_buf_free(&t->buf);
	if (t->fd >= 0)
		close(t->fd);
	if (t->order[0] >= 0) {
		close(t->order[0]);
		close(t->order[1]);
	}
}

/* What the buffer says: also when nobody is left to be told. */
static long long counted(const struct transfer *t)
{
	struct dio_counters now;

	if (dio_count(t->buf.fd, &now) || now.copy_read || now.copy_write)
		return -1;
	return (t->rw == READ ? now.dio_read : now.dio_write) - t->counted;
}

static int begin(struct transfer *t)
{
	*t->told = (struct told){ };
	t->counted = 0;
	t->counted = counted(t);
	t->begin = dio_disk_bytes(t->disk, t->rw);
	t->pid = fork();
	if (t->pid < 0)
		return -errno;
	if (t->pid)
		return 0;
	if (dio_cgroup_enter(&t->cg))
		abort();
	if (t->act)
		start_and_act(t);
	else
		move(t);
	_exit(0);
}

static long long moved(const struct transfer *t)
{
	return dio_disk_bytes(t->disk, t->rw) - t->begin;
}

/*
 * Some of it was moved, most of it not, and nothing moves: only what the disk
 * already had may still end.
 */
static bool reach_middle(struct __test_metadata *_metadata, struct transfer *t)
{
	unsigned long rate;

	for (rate = FAST; rate >= FAST / 64; rate /= 4) {
		ASSERT_EQ(0, prepare_file(t) ?: prepare_buffer(t));
		ASSERT_EQ(0, dio_cgroup_limit(&t->cg, "bps", rate));
		ASSERT_EQ(0, begin(t));
		while (moved(t) < AT_ONCE && !t->told->done)
			usleep(1000);
		ASSERT_EQ(0, dio_cgroup_limit(&t->cg, "bps", STILL));
		t->middle = moved(t);
		if (t->middle + GIVEN + AT_ONCE < SIZE && !t->told->done)
			return true;
		ASSERT_EQ(0, dio_cgroup_limit(&t->cg, "bps", 0));
		kill(t->pid, SIGKILL);
		waitpid(t->pid, NULL, 0);
		t->pid = 0;
	}
	return false;
}

static void go_on(struct __test_metadata *_metadata, struct transfer *t)
{
	ASSERT_EQ(0, dio_cgroup_limit(&t->cg, "bps", 0));
}

static int wait_for_end(struct transfer *t)
{
	int status = 0;

	if (waitpid(t->pid, &status, 0) != t->pid)
		return -1;
	t->pid = 0;
	return status;
}

static bool file_is(struct transfer *t, size_t n)
{
	struct stat st;
	size_t at, part;
	bool same;
	char *mem;

	if (t->backing->is_fs && (fstat(t->fd, &st) || st.st_size != n)) {
		dio_log("the file has %lld bytes, not %zu",
			(long long)st.st_size, n);
		return false;
	}
	mem = aligned_alloc(DIO_ALIGNED, DIO_MIB);
	same = mem;
	for (at = 0; same && at < (t->backing->is_fs ? n : SIZE); at += part) {
		part = at < n && n - at < DIO_MIB ? n - at : DIO_MIB;
		same = pread(t->fd, mem, part, at) == part &&
		       (at < n ? !memcmp(mem, src.image + at, part) :
				 !mem[0] && !memcmp(mem, mem + 1, part - 1));
		if (!same)
			dio_log("wrong in the file, between %#zx and %#zx",
				at, at + part);
	}
	free(mem);
	return same;
}

/* These and no others. */
static bool has_moved(struct transfer *t, long long n)
{
	if (n < 0 || n > SIZE)
		return false;
	if (t->rw == READ)
		return dio_is_data(&t->buf, 0, &src, 0, n) &&
		       dio_is_poison(&t->buf, n, SIZE - n);
	return file_is(t, n);
}

static void check_count(struct __test_metadata *_metadata, struct transfer *t,
			ssize_t n)
{
	EXPECT_LT(0, n);
	EXPECT_EQ(n, counted(t));
	EXPECT_TRUE(has_moved(t, n));
}

static void check_end(struct __test_metadata *_metadata, struct transfer *t)
{
	/* With what a file system writes beside. */
	EXPECT_GE(t->middle + GIVEN + DIO_MIB, moved(t))
		TH_LOG("%lld of %lu bytes were moved, %lld when it had to end",
		       moved(t), SIZE, t->middle);
}

/* ---- stop, freeze, kill ---- */

FIXTURE(interrupt)
{
	struct transfer t;
};

FIXTURE_VARIANT(interrupt)
{
	int rw;
	const struct dio_call *call;
	const struct dio_backing *backing;
};

FIXTURE_VARIANT_ADD(interrupt, read) {
	.rw = READ, .call = &dio_call_splice, .backing = &dio_ext4,
};

FIXTURE_VARIANT_ADD(interrupt, append) {
	.rw = WRITE, .call = &dio_call_splice, .backing = &dio_ext4,
};

FIXTURE_VARIANT_ADD(interrupt, write_raw) {
	.rw = WRITE, .call = &dio_call_copy_file_range, .backing = &dio_raw,
};

FIXTURE_VARIANT_ADD(interrupt, uring_read) {
	.rw = READ, .call = &dio_call_io_uring, .backing = &dio_ext4,
};

FIXTURE_SETUP(interrupt)
{
	self->t.rw = variant->rw;
	self->t.call = variant->call;
	dio_ready(_metadata, transfer_open(&self->t, variant->backing));
}

FIXTURE_TEARDOWN(interrupt)
{
	transfer_close(&self->t);
}

static void stop(struct __test_metadata *_metadata, struct transfer *t)
{
	int status;

	ASSERT_TRUE(reach_middle(_metadata, t));
	ASSERT_EQ(0, kill(t->pid, SIGSTOP));
	go_on(_metadata, t);
	ASSERT_EQ(t->pid, waitpid(t->pid, &status, WUNTRACED));
	ASSERT_TRUE(WIFSTOPPED(status));
}

static void go_on_after_stop(struct __test_metadata *_metadata,
			     struct transfer *t)
{
	ASSERT_EQ(0, kill(t->pid, SIGCONT));
	EXPECT_EQ(0, wait_for_end(t));
	EXPECT_TRUE(t->told->done);
}

/*
 * As read(2) and write(2) do not, a transfer does not return for this, which
 * nobody asked for.
 */
TEST_F(interrupt, stop)
{
	struct transfer *t = &self->t;

	stop(_metadata, t);
	go_on_after_stop(_metadata, t);
	EXPECT_EQ(SIZE, t->told->ret);
	check_count(_metadata, t, t->told->ret);
}

TEST_F(interrupt, freeze)
{
	struct transfer *t = &self->t;

	ASSERT_TRUE(reach_middle(_metadata, t));
	ASSERT_EQ(0, dio_cgroup_freeze(&t->cg, true));
	go_on(_metadata, t);
	while (!dio_cgroup_frozen(&t->cg) && !t->told->done)
		usleep(1000);
	ASSERT_EQ(0, dio_cgroup_freeze(&t->cg, false));
	EXPECT_EQ(0, wait_for_end(t));
	EXPECT_TRUE(t->told->done);
	EXPECT_EQ(SIZE, t->told->ret);
	check_count(_metadata, t, t->told->ret);
}

TEST_F(interrupt, kill)
{
	struct transfer *t = &self->t;

	ASSERT_TRUE(reach_middle(_metadata, t));
	ASSERT_EQ(0, kill(t->pid, SIGKILL));
	go_on(_metadata, t);
	EXPECT_EQ(SIGKILL, wait_for_end(t));
	EXPECT_FALSE(t->told->done);
	check_end(_metadata, t);
	check_count(_metadata, t, counted(t));
}

/* ---- requests ---- */

FIXTURE(request)
{
	struct transfer t;
};

FIXTURE_VARIANT(request)
{
	int rw;
	const struct dio_backing *backing;
};

FIXTURE_VARIANT_ADD(request, read) { .rw = READ, .backing = &dio_ext4 };
FIXTURE_VARIANT_ADD(request, append) { .rw = WRITE, .backing = &dio_ext4 };

FIXTURE_SETUP(request)
{
	self->t.rw = variant->rw;
	dio_ready(_metadata, transfer_open(&self->t, variant->backing));
}

FIXTURE_TEARDOWN(request)
{
	transfer_close(&self->t);
}

static void order(struct __test_metadata *_metadata, struct transfer *t)
{
	ASSERT_EQ(1, write(t->order[1], "", 1));
}

static void act(struct __test_metadata *_metadata, struct transfer *t,
		void (*what)(struct transfer *t))
{
	t->act = what;
	ASSERT_TRUE(reach_middle(_metadata, t));
	order(_metadata, t);
	while (!t->told->acted)
		usleep(1000);
	go_on(_metadata, t);
}

static void act_cancel(struct __test_metadata *_metadata, struct transfer *t)
{
	act(_metadata, t, cancel);
	order(_metadata, t);
	EXPECT_EQ(0, wait_for_end(t));
	EXPECT_TRUE(t->told->done);
	/* It has begun. */
	EXPECT_EQ(-EALREADY, t->told->cancel);
}

TEST_F(request, cancel)
{
	act_cancel(_metadata, &self->t);
	check_count(_metadata, &self->t, self->t.told->ret);
}

TEST_F(request, cancel_ends_it)
{
	act_cancel(_metadata, &self->t);
	check_end(_metadata, &self->t);
}

/* The process stays, and nobody is told what the request has moved. */
static void act_close(struct __test_metadata *_metadata, struct transfer *t)
{
	act(_metadata, t, close_ring);
	ASSERT_EQ(0, flock(t->fd, LOCK_EX));
	order(_metadata, t);
	EXPECT_EQ(0, wait_for_end(t));
}

TEST_F(request, close)
{
	act_close(_metadata, &self->t);
	check_count(_metadata, &self->t, counted(&self->t));
}

TEST_F(request, close_ends_it)
{
	act_close(_metadata, &self->t);
	check_end(_metadata, &self->t);
}

TEST_F(request, exit)
{
	struct transfer *t = &self->t;
	int status;

	t->act = leave;
	ASSERT_TRUE(reach_middle(_metadata, t));
	/* Stops when it has begun to exit, and its threads have to. */
	ASSERT_EQ(0, ptrace(PTRACE_SEIZE, t->pid, NULL, PTRACE_O_TRACEEXIT));
	order(_metadata, t);
	ASSERT_EQ(t->pid, waitpid(t->pid, &status, 0));
	ASSERT_EQ(SIGTRAP | PTRACE_EVENT_EXIT << 8, status >> 8);
	ASSERT_EQ(0, ptrace(PTRACE_CONT, t->pid, NULL, NULL));
	go_on(_metadata, t);
	EXPECT_EQ(0, wait_for_end(t));
	check_end(_metadata, t);
	check_count(_metadata, t, counted(t));
}

int main(int argc, char **argv)
{
	src_ret = dio_need_memory(4 * SIZE) ?:
		  dio_src_open(&src, &dio_ext4, 0, SIZE);
	return test_harness_run(argc, argv);
}
