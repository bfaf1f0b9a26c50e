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
#define ENDLESS		1000000

/* ---- transfers in the background ---- */

/* Until every worker has done so many more, or has ended. */
static void wait_for_rounds(struct dio_worker *worker, int more)
{
	int i, last[WORKERS];

	for (i = 0; i < WORKERS; i++)
		last[i] = worker[i].done + more;
	for (i = 0; i < WORKERS; i++)
		while (worker[i].done < last[i] && !worker[i].ended)
			usleep(1000);
}

static void start_all(struct __test_metadata *_metadata, struct dio_worker *worker)
{
	int i;

	dio_poison(worker->buf, 0, worker->buf->size);
	for (i = 0; i < WORKERS; i++) {
		worker[i].rounds = ENDLESS;
		ASSERT_EQ(0, dio_worker_start(&worker[i]));
	}
	wait_for_rounds(worker, 1);
}

static void join_all(struct __test_metadata *_metadata, struct dio_worker *worker)
{
	int i;

	for (i = 0; i < WORKERS; i++) {
		dio_worker_join(&worker[i]);
		EXPECT_TRUE(worker[i].good);
		EXPECT_TRUE(dio_is_poison(worker[i].buf, worker[i].off + worker[i].len,
					  DIO_GUARD));
	}
}

/* No worker has noticed anything. */
static void stop_all(struct __test_metadata *_metadata, struct dio_worker *worker)
{
	int i;

	for (i = 0; i < WORKERS; i++)
		worker[i].rounds = 0;
	join_all(_metadata, worker);
	for (i = 0; i < WORKERS; i++)
		EXPECT_EQ(NULL, worker[i].failed)
			TH_LOG("%s: %zd, after %d rounds", worker[i].failed,
			       worker[i].last, worker[i].done);
}

/* ---- tests ---- */

FIXTURE(splice_paths)
{
	struct dio_worker worker[WORKERS];	/* out and back */
	struct dio_src src;
	struct dio_buf buf;
	int out;
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

	self->out = -1;
	if (!dio_ready(_metadata, found))
		return;
	/* A test that was killed may have left a path removed. */
	ASSERT_EQ(0, dio_paths_add());
	ASSERT_EQ(0, dio_paths_policy("round-robin"));
	ASSERT_EQ(0, dio_buf_alloc(&self->buf, variant->exporter,
				   WORKERS * (variant->len + DIO_GUARD)));
	ASSERT_EQ(0, dio_src_open(&self->src, &dio_mpath, 0, WORKERS * variant->len));
	self->out = dio_src_reopen(&self->src, O_WRONLY | O_DIRECT);
	ASSERT_LE(0, self->out);
	for (i = 0; i < WORKERS; i++)
		self->worker[i] = (struct dio_worker){
			.src = &self->src,
			.buf = &self->buf,
			.reads = true,
			.writes = true,
			.out = self->out,
			.file_off = i * variant->len,
			.off = i * (variant->len + DIO_GUARD),
			.len = variant->len,
		};
}

FIXTURE_TEARDOWN(splice_paths)
{
	dio_buf_free(&self->buf);
	dio_src_close(&self->src);
	if (self->out >= 0)
		close(self->out);
	EXPECT_EQ(0, dio_paths_restore());
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

	start_all(_metadata, self->worker);
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

	start_all(_metadata, self->worker);
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
	start_all(_metadata, self->worker);
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

	start_all(_metadata, self->worker);
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

/*
 * An error; or the end of a disk whose size is 0 now, which a read tells by 0, and
 * a write by ENOSPC.
 */
static bool is_gone(const struct dio_worker *w)
{
	bool write = !strcmp(w->failed, "splice to the disk");

	return w->last == (write ? -ENOSPC : 0) || w->last == -EIO ||
	       w->last == -ENODEV || w->last == -ENXIO;
}

/* Without a path every call ends. When the paths are back, all is as before. */
TEST_F(splice_paths, none_left)
{
	struct dio_worker *w;
	struct dio_src src;

	start_all(_metadata, self->worker);
	ASSERT_EQ(0, dio_path_remove(0));
	wait_for_rounds(self->worker, 1);
	ASSERT_EQ(0, dio_path_remove(1));
	join_all(_metadata, self->worker);
	ASSERT_EQ(0, dio_paths_add());
	ASSERT_EQ(0, dio_src_again(&self->src));
	for (w = self->worker; w < self->worker + WORKERS; w++) {
		ASSERT_NE(NULL, w->failed);
		EXPECT_TRUE(w->last > 0 || is_gone(w))
			TH_LOG("%s: %zd", w->failed, w->last);
		EXPECT_TRUE(dio_worker_is_written(w))
			TH_LOG("%s: %zd, %zu bytes written", w->failed, w->last,
			       w->written);
	}

	/* The same buffer, which was mapped for the paths that went away. */
	ASSERT_EQ(0, dio_paths_policy("round-robin"));
	ASSERT_EQ(0, dio_src_open(&src, &dio_mpath, SIZE, variant->len));
	EXPECT_TRUE(dio_transfer(&src, SIZE, &self->buf, DIO_GUARD, variant->len));
	EXPECT_TRUE(dio_store(&src, SIZE, &self->buf, DIO_GUARD, variant->len));
	dio_src_close(&src);
}

TEST_HARNESS_MAIN
