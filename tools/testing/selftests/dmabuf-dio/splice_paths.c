// SPDX-License-Identifier: GPL-2.0
/*
 * An NVMe disk with two paths: both are used, and a path is reset, stops to answer,
 * goes away or comes back in the middle of transfers. While there is a path, no
 * call fails. Without one, no call hangs. Every byte that went to the disk is
 * compared with what read(2) finds there, and so is every byte that comes back.
 *
 * DIO_MPATH names such a disk, with nothing mounted on it.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/file.h>

#include "../kselftest_harness.h"
#include "lib/dio.h"

#define WORKERS		3
#define SIZE		(16 * DIO_MIB)

/* ---- transfers in the background ---- */

struct worker {
	struct dio_src src;	/* a range of the disk that is this worker's alone */
	struct dio_buf *buf;
	size_t off;		/* a part of the buffer, and a guard behind it */
	int out;		/* O_DIRECT, to write */

	pthread_t thread;
	atomic_int rounds;
	atomic_bool ended;
	const char *failed;	/* the call that did not move all, or NULL */
	ssize_t ret;		/* what it returned, or -errno */
	bool good;		/* every byte was what it had to be */
};

static atomic_bool stop;

static bool all(struct worker *w, const char *call, ssize_t ret)
{
	if (ret == (ssize_t)w->src.size)
		return true;
	w->failed = call;
	w->ret = ret;
	return false;
}

/* Out and back; what is on the disk, ordinary memory tells. */
static bool round_trip(struct worker *w)
{
	struct dio_src *src = &w->src;
	ssize_t ret;

	src->seed = 1 + src->seed % 0x7fff;
	dio_pattern(src->image, src->seed, src->base, src->size);
	dio_fill(w->buf, w->off, src->image, src->size);
	ret = dio_splice(w->buf->fd, w->off, w->out, src->base, src->size);
	if (!all(w, "splice to the disk", ret))
		return false;
	ret = pread(src->fd, src->oracle, src->size, src->base);
	if (!all(w, "pread", ret < 0 ? -errno : ret))
		return false;
	if (memcmp(src->oracle, src->image, src->size)) {
		dio_log("the disk does not return what was in the buffer");
		w->good = false;
	}

	dio_poison(w->buf, w->off, src->size);
	ret = dio_splice(src->fd, src->base, w->buf->fd, w->off, src->size);
	if (all(w, "splice from the disk", ret))
		w->good &= dio_is_data(w->buf, w->off, src, src->base, src->size);
	else
		w->good &= dio_is_data_or(w->buf, w->off, src, src->base,
					  src->size, DIO_MAY_POISON);
	w->good &= dio_is_poison(w->buf, w->off + src->size, DIO_GUARD);
	return w->good && !w->failed;
}

static void *work(void *arg)
{
	struct worker *w = arg;

	while (!stop && round_trip(w))
		w->rounds++;
	w->ended = true;
	return NULL;
}

/* Until every worker has done so many more, or has ended. */
static void wait_for_rounds(struct worker *worker, int more)
{
	int i, last[WORKERS];

	for (i = 0; i < WORKERS; i++)
		last[i] = worker[i].rounds + more;
	for (i = 0; i < WORKERS; i++)
		while (worker[i].rounds < last[i] && !worker[i].ended)
			usleep(1000);
}

static int worker_open(struct worker *w, struct dio_buf *buf, int number, size_t len)
{
	int ret = dio_src_open(&w->src, &dio_mpath, number * len, len);

	if (ret)
		return ret;
	w->buf = buf;
	w->off = number * (len + DIO_GUARD);
	w->out = dio_src_reopen(&w->src, O_WRONLY | O_DIRECT);
	return w->out < 0 ? w->out : 0;
}

static void worker_close(struct worker *w)
{
	dio_src_close(&w->src);
	if (w->out >= 0)
		close(w->out);
	w->out = -1;
}

static void start_all(struct __test_metadata *_metadata, struct worker *worker,
		      struct dio_buf *buf)
{
	int i;

	stop = false;
	dio_poison(buf, 0, buf->size);
	for (i = 0; i < WORKERS; i++) {
		worker[i].rounds = 0;
		worker[i].ended = false;
		worker[i].failed = NULL;
		worker[i].good = true;
		ASSERT_EQ(0, pthread_create(&worker[i].thread, NULL, work, &worker[i]));
	}
	wait_for_rounds(worker, 1);
}

static void join_all(struct worker *worker)
{
	int i;

	for (i = 0; i < WORKERS; i++)
		pthread_join(worker[i].thread, NULL);
}

/* No worker has noticed anything. */
static void stop_all(struct __test_metadata *_metadata, struct worker *worker)
{
	int i;

	stop = true;
	join_all(worker);
	for (i = 0; i < WORKERS; i++) {
		EXPECT_TRUE(worker[i].good);
		EXPECT_EQ(NULL, worker[i].failed)
			TH_LOG("%s: %zd, after %d rounds", worker[i].failed,
			       worker[i].ret, worker[i].rounds);
	}
}

/* ---- tests ---- */

FIXTURE(splice_paths)
{
	struct worker worker[WORKERS];
	struct dio_buf buf;
};

FIXTURE_VARIANT(splice_paths)
{
	const struct dio_exporter *exporter;
	size_t len;
};

/* More than a command, so that both paths have a part. */
FIXTURE_VARIANT_ADD(splice_paths, heap) {
	.exporter = &dio_heap, .len = 4 * DIO_MIB,
};

/*
 * All in single pages, and more of them than a command has segments: without an
 * IOMMU, and only then, what the disk has split is split again at the path.
 */
FIXTURE_VARIANT_ADD(splice_paths, udmabuf) {
	.exporter = &dio_udmabuf, .len = 1280 * DIO_KIB,
};

static int found;

static void __attribute__((constructor)) find_paths(void)
{
	found = dio_paths_find();
}

FIXTURE_SETUP(splice_paths)
{
	int i;

	if (!dio_ready(_metadata, found))
		return;
	/* A test that was killed may have left a path removed. */
	ASSERT_EQ(0, dio_paths_add());
	ASSERT_EQ(0, dio_paths_policy("round-robin"));
	ASSERT_EQ(0, dio_buf_alloc(&self->buf, variant->exporter,
				   WORKERS * (variant->len + DIO_GUARD)));
	for (i = 0; i < WORKERS; i++)
		ASSERT_EQ(0, worker_open(&self->worker[i], &self->buf, i, variant->len));
}

FIXTURE_TEARDOWN(splice_paths)
{
	int i;

	for (i = 0; i < WORKERS; i++)
		worker_close(&self->worker[i]);
	dio_buf_free(&self->buf);
	EXPECT_EQ(0, dio_paths_add());
}

/* The paths count what they move; which they are depends on the policy. */
TEST_F(splice_paths, policies)
{
	static const struct {
		const char *name;
		bool one, both;
	} policy[] = {
		{ "numa", .one = true },
		{ "round-robin", .both = true },
		{ "queue-depth" },
	};
	long long moved[DIO_PATHS], least, most;
	struct dio_src src;
	struct dio_buf buf;
	int i, path, write;

	ASSERT_EQ(0, dio_src_open(&src, &dio_mpath, 0, SIZE));
	ASSERT_EQ(0, dio_buf_alloc(&buf, variant->exporter, SIZE + DIO_MIB));
	/* udev reads disks that were written to, but not while one is locked. */
	ASSERT_EQ(0, flock(src.wr, LOCK_EX));
	for (i = 0; i < ARRAY_SIZE(policy); i++) {
		ASSERT_EQ(0, dio_paths_policy(policy[i].name));
		for (write = 0; write < 2; write++) {
			for (path = 0; path < DIO_PATHS; path++)
				moved[path] = dio_path_bytes(path, write);
			EXPECT_TRUE(write ? dio_store(&src, 0, &buf, DIO_GUARD, SIZE) :
					    dio_transfer(&src, 0, &buf, DIO_GUARD, SIZE));
			for (path = 0; path < DIO_PATHS; path++)
				moved[path] = dio_path_bytes(path, write) - moved[path];

			least = moved[0] < moved[1] ? moved[0] : moved[1];
			most = moved[0] + moved[1] - least;
			TH_LOG("%s, %s: %lld and %lld bytes", policy[i].name,
			       write ? "write" : "read", moved[0], moved[1]);
			EXPECT_LE(SIZE, least + most);
			if (policy[i].one)
				EXPECT_TRUE(!least && most == SIZE);
			if (policy[i].both)
				EXPECT_LE(SIZE / 4, least);
		}
	}
	dio_buf_free(&buf);
	dio_src_close(&src);
}

/* One path after the other stops to answer. Its commands are done by the other. */
TEST_F(splice_paths, silent)
{
	long before;
	int path;

	start_all(_metadata, self->worker, &self->buf);
	for (path = 0; path < DIO_PATHS; path++) {
		before = dio_paths_failovers();
		ASSERT_EQ(0, dio_path_silence(path));
		while (dio_paths_failovers() == before && !self->worker[0].ended)
			usleep(1000);
		/* The driver has reset it. */
		ASSERT_EQ(0, dio_paths_wait());
		wait_for_rounds(self->worker, 1);
		EXPECT_LT(before, dio_paths_failovers());
	}
	stop_all(_metadata, self->worker);
}

TEST_F(splice_paths, reset)
{
	int round;

	start_all(_metadata, self->worker, &self->buf);
	for (round = 0; round < 4; round++) {
		EXPECT_EQ(0, dio_path_reset(round % DIO_PATHS));
		wait_for_rounds(self->worker, 1);
	}
	stop_all(_metadata, self->worker);
}

static void *reset_first(void *arg)
{
	*(int *)arg = dio_path_reset(0);
	return NULL;
}

/* While no path can be used, transfers wait. */
TEST_F(splice_paths, reset_both)
{
	long before = dio_paths_waits();
	pthread_t thread;
	int round, ret = -1;

	ASSERT_LE(0, before);
	start_all(_metadata, self->worker, &self->buf);
	for (round = 0; round < 100 && dio_paths_waits() == before; round++) {
		ASSERT_EQ(0, pthread_create(&thread, NULL, reset_first, &ret));
		EXPECT_EQ(0, dio_path_reset(1));
		pthread_join(thread, NULL);
		EXPECT_EQ(0, ret);
		wait_for_rounds(self->worker, 1);
	}
	stop_all(_metadata, self->worker);
	EXPECT_LT(before, dio_paths_waits());
}

/* One path after the other goes away and comes back. */
TEST_F(splice_paths, remove_and_add)
{
	long long before;
	int round, path;

	start_all(_metadata, self->worker, &self->buf);
	for (round = 0; round < 2 * DIO_PATHS; round++) {
		path = round % DIO_PATHS;
		ASSERT_EQ(0, dio_path_remove(path));
		before = dio_path_bytes(!path, 1);
		wait_for_rounds(self->worker, 2);
		EXPECT_EQ(-1, dio_path_bytes(path, 1));
		EXPECT_LE(before + WORKERS * (long long)variant->len, dio_path_bytes(!path, 1));

		ASSERT_EQ(0, dio_paths_add());
		/* It is used again, by transfers that have gone on all the time. */
		before = dio_path_bytes(path, 1);
		while (dio_path_bytes(path, 1) == before && !self->worker[0].ended)
			usleep(1000);
		wait_for_rounds(self->worker, 1);
	}
	stop_all(_metadata, self->worker);
}

/* An error, or the end of a disk whose size is 0 now. */
static bool is_gone(ssize_t ret)
{
	return !ret || ret == -EIO || ret == -ENODEV || ret == -ENXIO;
}

/* After a write that was not finished, each sector is the new one or the old one. */
static void check_disk(struct __test_metadata *_metadata, struct dio_src *src,
		       unsigned char *got)
{
	int fd = open(getenv(dio_mpath.env), O_RDONLY | O_DIRECT | O_CLOEXEC);
	size_t at;

	ASSERT_LE(0, fd);
	ASSERT_EQ(src->size, pread(fd, got, src->size, src->base));
	close(fd);
	for (at = 0; at < src->size; at += src->block)
		if (memcmp(got + at, src->image + at, src->block) &&
		    memcmp(got + at, src->oracle + at, src->block))
			break;
	EXPECT_EQ(src->size, at);
}

/* Without a path every call ends. When the paths are back, all is as before. */
TEST_F(splice_paths, none_left)
{
	unsigned char *got = aligned_alloc(DIO_ALIGNED, variant->len);
	struct worker *w;
	struct dio_src src;

	ASSERT_NE(NULL, got);
	start_all(_metadata, self->worker, &self->buf);
	ASSERT_EQ(0, dio_path_remove(0));
	wait_for_rounds(self->worker, 1);
	ASSERT_EQ(0, dio_path_remove(1));
	join_all(self->worker);
	ASSERT_EQ(0, dio_paths_add());
	for (w = self->worker; w < self->worker + WORKERS; w++) {
		EXPECT_TRUE(w->good);
		ASSERT_NE(NULL, w->failed);
		EXPECT_TRUE(w->ret > 0 || is_gone(w->ret))
			TH_LOG("%s: %zd", w->failed, w->ret);
		check_disk(_metadata, &w->src, got);
	}
	free(got);

	/* The same buffer, which was mapped for the paths that went away. */
	ASSERT_EQ(0, dio_paths_policy("round-robin"));
	ASSERT_EQ(0, dio_src_open(&src, &dio_mpath, SIZE, variant->len));
	EXPECT_TRUE(dio_transfer(&src, SIZE, &self->buf, DIO_GUARD, variant->len));
	EXPECT_TRUE(dio_store(&src, SIZE, &self->buf, DIO_GUARD, variant->len));
	dio_src_close(&src);
}

TEST_HARNESS_MAIN
