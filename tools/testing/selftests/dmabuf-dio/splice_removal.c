// SPDX-License-Identifier: GPL-2.0
/*
 * The disk goes away: pulled (PCI remove), taken from its driver (unbind), or
 * only reset; with nothing going on, and with transfers in flight. What was
 * loaded before stays loaded, what the disk was said to have it has when it is
 * back, nothing hangs, and the same buffer can be used with it again.
 *
 * DIO_VICTIM names an NVMe disk that can be spared, with nothing mounted on it.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#include "../kselftest_harness.h"
#include "lib/dio.h"

#define THREADS		3
#define LEN		(2 * DIO_MIB)
#define PART		(LEN + DIO_GUARD)
#define SIZE		(THREADS * LEN)
#define ENDLESS		1000000

static const struct dio_backing victim = { .name = "victim", .env = "DIO_VICTIM" };

static int pci_of(const char *disk, char *pci)
{
	char path[PATH_MAX + 16], ctrl[PATH_MAX];
	int ret;

	ret = dio_controller(disk, ctrl);
	if (ret)
		return ret;
	snprintf(path, sizeof(path), "%s/device", ctrl);
	return realpath(path, pci) ? 0 : -errno;
}

/* The disk at PCI device @pci, under whatever name it has come back. */
static int find_disk(const char *pci)
{
	char node[PATH_MAX], there[PATH_MAX];
	struct dirent *entry;
	int fd, ret = -ENODEV;
	DIR *dir;

	dir = opendir("/sys/block");
	while (ret && dir && (entry = readdir(dir))) {
		if (strncmp(entry->d_name, "nvme", 4) ||
		    pci_of(entry->d_name, there) || strcmp(there, pci))
			continue;
		snprintf(node, sizeof(node), "/dev/%s", entry->d_name);
		/* The paths below a multipath disk have no node; others live later. */
		fd = open(node, O_RDWR | O_CLOEXEC);
		if (fd < 0)
			continue;
		close(fd);
		ret = setenv(victim.env, node, 1) ? -errno : 0;
	}
	if (dir)
		closedir(dir);
	return ret;
}

static int wait_for_disk(const char *pci)
{
	return dio_wait_for(!find_disk(pci)) ? 0 : -ETIMEDOUT;
}

/* Where the disk is, or was. */
struct slot {
	char pci[PATH_MAX];
	bool unbind;		/* take it from its driver, else from the bus */
	bool gone;
};

FIXTURE(splice_removal)
{
	struct dio_src src;
	struct dio_buf buf;
	struct dio_move move;
	struct slot slot;
};

FIXTURE_VARIANT(splice_removal)
{
	const struct dio_exporter *exporter;
	int rw;
	bool unbind;
};

FIXTURE_VARIANT_ADD(splice_removal, remove_heap) { .exporter = &dio_heap };
FIXTURE_VARIANT_ADD(splice_removal, remove_udmabuf) { .exporter = &dio_udmabuf };
FIXTURE_VARIANT_ADD(splice_removal, unbind_heap) { .exporter = &dio_heap, .unbind = true };
FIXTURE_VARIANT_ADD(splice_removal, remove_heap_write) {
	.exporter = &dio_heap, .rw = DIO_WRITE,
};

FIXTURE_VARIANT_ADD(splice_removal, remove_udmabuf_write) {
	.exporter = &dio_udmabuf, .rw = DIO_WRITE,
};

FIXTURE_VARIANT_ADD(splice_removal, unbind_heap_write) {
	.exporter = &dio_heap, .rw = DIO_WRITE, .unbind = true,
};

static int take_away(struct slot *slot)
{
	char path[PATH_MAX + 32];

	slot->gone = true;
	if (slot->unbind) {
		snprintf(path, sizeof(path), "%s/driver/unbind", slot->pci);
		return dio_write_file(path, "%s", strrchr(slot->pci, '/') + 1);
	}
	snprintf(path, sizeof(path), "%s/remove", slot->pci);
	return dio_write_file(path, "1");
}

static int bring_back(struct slot *slot)
{
	int ret;

	if (!slot->gone)
		return 0;
	if (slot->unbind)
		ret = dio_write_file("/sys/bus/pci/drivers/nvme/bind", "%s",
				     strrchr(slot->pci, '/') + 1);
	else
		ret = dio_write_file("/sys/bus/pci/rescan", "1");
	ret = ret ?: wait_for_disk(slot->pci);
	slot->gone = ret;
	return ret;
}

/*
 * The name in the environment is good only until the disk is taken away; the
 * slot it sits in stays, for all tests of this run.
 */
static char slot_of_victim[PATH_MAX];

static void __attribute__((constructor)) find_victim(void)
{
	const char *node = getenv(victim.env);

	if (!node || strncmp(node, "/dev/", 5) ||
	    pci_of(node + 5, slot_of_victim))
		*slot_of_victim = 0;
}

/* The disk, and a buffer, with a part of both for each thread. */
static int open_victim(struct dio_src *src, struct dio_buf *buf,
		       const struct dio_exporter *exporter, struct dio_move *move,
		       int rw)
{
	if (!*slot_of_victim)
		return dio_skip("no NVMe disk on PCI in %s", victim.env);
	return wait_for_disk(slot_of_victim) ?:
	       dio_src_open(src, &victim, 0, SIZE) ?:
	       dio_buf_alloc(buf, exporter, THREADS * PART) ?:
	       dio_move_open(move, rw, src, buf, LEN, DIO_GUARD, LEN);
}

FIXTURE_SETUP(splice_removal)
{
	snprintf(self->slot.pci, sizeof(self->slot.pci), "%s", slot_of_victim);
	self->slot.unbind = variant->unbind;
	dio_ready(_metadata, open_victim(&self->src, &self->buf, variant->exporter,
					 &self->move, variant->rw));
}

FIXTURE_TEARDOWN(splice_removal)
{
	dio_move_close(&self->move);
	dio_buf_free(&self->buf);
	dio_src_close(&self->src);
	EXPECT_EQ(0, bring_back(&self->slot));
}

static void expect_all(struct __test_metadata *_metadata, struct dio_move *m)
{
	dio_move_prepare(m);
	EXPECT_EQ(LEN, dio_move(m));
	EXPECT_TRUE(dio_move_check(m, LEN, LEN));
}

/* It may have another name, and what was open is of no use. */
static void disk_is_back(struct __test_metadata *_metadata, struct slot *slot,
			 struct dio_move *m)
{
	struct dio_move was = *m;

	ASSERT_EQ(0, bring_back(slot));
	dio_move_close(m);
	ASSERT_EQ(0, dio_src_again(was.src));
	ASSERT_EQ(0, dio_move_open(m, was.rw, was.src, was.buf, was.pos, was.off, was.len));
}

/*
 * An error; or the end of a disk whose size is 0 now, which a read tells by 0, and
 * a write by ENOSPC.
 */
static bool is_gone(ssize_t ret, int rw)
{
	return ret == (rw == DIO_WRITE ? -ENOSPC : 0) || ret == -EIO ||
	       ret == -ENODEV || ret == -ENXIO;
}

TEST_F(splice_removal, idle)
{
	struct dio_move *m = &self->move;
	struct dio_src other;
	ssize_t ret, want;
	void *mem;

	expect_all(_metadata, m);
	dio_move_prepare(m);
	ASSERT_EQ(0, take_away(&self->slot));

	/* As read(2) and write(2). */
	mem = aligned_alloc(DIO_ALIGNED, LEN);
	ASSERT_NE(NULL, mem);
	if (variant->rw == DIO_WRITE)
		want = pwrite(m->out, mem, LEN, m->pos);
	else
		want = pread(self->src.fd, mem, LEN, m->pos);
	if (want < 0)
		want = -errno;
	free(mem);
	ret = dio_move(m);
	EXPECT_EQ(want, ret);
	EXPECT_TRUE(is_gone(ret, variant->rw)) TH_LOG("splice: %zd", ret);
	EXPECT_TRUE(dio_is_poison(&self->buf, 0, m->off));
	EXPECT_TRUE(variant->rw == DIO_WRITE ?
		    dio_is_image(&self->buf, m->off, &self->src, m->pos, LEN) :
		    dio_is_poison(&self->buf, m->off, LEN));

	/* Losing one disk is no reason to lose the others. */
	ret = dio_src_open(&other, &dio_ext4, 0, LEN);
	EXPECT_LE(0, ret) TH_LOG("%s", strerror(-ret));
	if (!dio_is_missing(ret)) {
		EXPECT_TRUE(dio_transfer(&other, 0, &self->buf, LEN + 2 * DIO_GUARD, LEN));
		dio_src_close(&other);
	}
	disk_is_back(_metadata, &self->slot, m);
	EXPECT_TRUE(dio_is_written(&self->src, m->pos, 0, 0));
	expect_all(_metadata, m);
	dio_tell_missing(_metadata);
}

/* The buffer that knew the disk goes after the disk, but before it is back. */
TEST_F(splice_removal, buffer_freed_later)
{
	struct dio_move *m = &self->move;

	dio_move_prepare(m);
	ASSERT_EQ(LEN, dio_move(m));
	ASSERT_EQ(0, take_away(&self->slot));
	EXPECT_TRUE(variant->rw == DIO_WRITE ?
		    dio_is_image(&self->buf, m->off, &self->src, m->pos, LEN) :
		    dio_is_data(&self->buf, m->off, &self->src, m->pos, LEN));
	dio_buf_free(&self->buf);
	ASSERT_EQ(0, dio_buf_alloc(&self->buf, variant->exporter, THREADS * PART));
	disk_is_back(_metadata, &self->slot, m);
	if (variant->rw == DIO_WRITE)
		EXPECT_TRUE(dio_is_written(&self->src, m->pos, LEN, LEN));
	expect_all(_metadata, m);
}

/* Each of them has moved its data @rounds times more, or has ended. */
static bool all_go_on(const struct dio_worker *worker, int rounds)
{
	int was[THREADS], i;
	bool good = true;

	for (i = 0; i < THREADS; i++)
		was[i] = worker[i].done;
	for (i = 0; i < THREADS; i++)
		good &= dio_wait_for(worker[i].done >= was[i] + rounds ||
				     worker[i].ended);
	return good;
}

static void start_all(struct __test_metadata *_metadata, const struct dio_move *m,
		      struct dio_worker *worker)
{
	int i;

	dio_poison(m->buf, 0, THREADS * PART);
	for (i = 0; i < THREADS; i++) {
		worker[i] = (struct dio_worker){
			.src = m->src,
			.buf = m->buf,
			.reads = m->rw == DIO_READ,
			.writes = m->rw == DIO_WRITE,
			.out = m->out,
			.file_off = i * LEN,
			.off = i * PART,
			.len = LEN,
			.rounds = ENDLESS,
		};
		ASSERT_EQ(0, dio_worker_start(&worker[i]));
	}
	EXPECT_TRUE(all_go_on(worker, 2));
}

static void join_all(struct __test_metadata *_metadata, struct dio_worker *worker)
{
	int i;

	for (i = 0; i < THREADS; i++) {
		dio_worker_join(&worker[i]);
		EXPECT_TRUE(worker[i].good);
		EXPECT_TRUE(dio_is_poison(worker[i].buf, worker[i].off + LEN,
					  DIO_GUARD));
	}
}

TEST_F(splice_removal, in_flight)
{
	struct dio_worker worker[THREADS], *w;
	struct dio_move *m = &self->move;
	int round;

	for (round = 0; round < 2; round++) {
		start_all(_metadata, m, worker);
		usleep(dio_random() % 50000);
		ASSERT_EQ(0, take_away(&self->slot));
		join_all(_metadata, worker);
		disk_is_back(_metadata, &self->slot, m);
		for (w = worker; w < worker + THREADS; w++) {
			EXPECT_LT(0, w->done);
			ASSERT_NE(NULL, w->failed);
			/* The last of them may have got a part. */
			EXPECT_TRUE(w->last > 0 ||
				    is_gone(w->last, !strcmp(w->failed, "pread") ?
						     DIO_READ : variant->rw))
				TH_LOG("%s: %zd", w->failed, w->last);
			if (w->writes)
				EXPECT_TRUE(dio_worker_is_written(w))
					TH_LOG("%s: %zd, %zu bytes written", w->failed,
					       w->last, w->written);
		}
		/* What is there now is what the next round begins with. */
		ASSERT_EQ(0, dio_src_read(&self->src, self->src.oracle));
		memcpy(self->src.image, self->src.oracle, SIZE);
		expect_all(_metadata, m);
	}
}

/* ---- the disk is only reset ---- */

FIXTURE(splice_reset)
{
	struct dio_src src;
	struct dio_buf buf;
	struct dio_move move;
};

FIXTURE_VARIANT(splice_reset)
{
	const struct dio_exporter *exporter;
	int rw;
};

FIXTURE_VARIANT_ADD(splice_reset, heap) { .exporter = &dio_heap };
FIXTURE_VARIANT_ADD(splice_reset, udmabuf) { .exporter = &dio_udmabuf };
FIXTURE_VARIANT_ADD(splice_reset, heap_write) { .exporter = &dio_heap, .rw = DIO_WRITE };
FIXTURE_VARIANT_ADD(splice_reset, udmabuf_write) { .exporter = &dio_udmabuf, .rw = DIO_WRITE };

FIXTURE_SETUP(splice_reset)
{
	dio_ready(_metadata, open_victim(&self->src, &self->buf, variant->exporter,
					 &self->move, variant->rw));
}

FIXTURE_TEARDOWN(splice_reset)
{
	dio_move_close(&self->move);
	dio_buf_free(&self->buf);
	dio_src_close(&self->src);
}

/* A reset is none of the caller's business: it takes longer, that is all. */
TEST_F(splice_reset, in_flight)
{
	char ctrl[PATH_MAX], path[PATH_MAX + 32];
	struct dio_worker worker[THREADS];
	int i;

	ASSERT_EQ(0, dio_controller(strrchr(getenv(victim.env), '/') + 1, ctrl));
	snprintf(path, sizeof(path), "%s/reset_controller", ctrl);
	start_all(_metadata, &self->move, worker);
	for (i = 0; i < 3; i++) {
		EXPECT_EQ(0, dio_write_file(path, "1"));
		EXPECT_TRUE(all_go_on(worker, 2));
	}
	for (i = 0; i < THREADS; i++)
		worker[i].rounds = 0;
	join_all(_metadata, worker);
	for (i = 0; i < THREADS; i++) {
		EXPECT_EQ(NULL, worker[i].failed)
			TH_LOG("%s: %zd", worker[i].failed, worker[i].last);
		if (worker[i].writes)
			EXPECT_TRUE(dio_worker_is_written(&worker[i]));
	}
}

TEST_HARNESS_MAIN
