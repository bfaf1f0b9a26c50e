// SPDX-License-Identifier: GPL-2.0
/* dma-bufs of the exporters any machine has. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/dma-buf.h>
#include <linux/dma-heap.h>
#include <linux/udmabuf.h>

#include "dio.h"

#define PAGE		4096UL
#define HUGE		(2 * DIO_MIB)
#define MAX_ITEMS	1024UL	/* default of udmabuf's list_limit */

int dio_heap_alloc(size_t size, int fd_flags)
{
	struct dma_heap_allocation_data data = {
		.len = size,
		.fd_flags = fd_flags | O_CLOEXEC,
	};
	int heap, ret;

	heap = open("/dev/dma_heap/system", O_RDONLY | O_CLOEXEC);
	if (heap < 0)
		return -errno;
	ret = ioctl(heap, DMA_HEAP_IOCTL_ALLOC, &data) ? -errno : (int)data.fd;
	close(heap);
	return ret;
}

static int heap_alloc(struct dio_buf *buf)
{
	buf->fd = dio_heap_alloc(buf->size, O_RDWR);
	if (buf->fd == -ENOENT)
		return dio_skip("no /dev/dma_heap/system");
	return buf->fd < 0 ? buf->fd : 0;
}

static int udmabuf_open(void)
{
	int fd = open("/dev/udmabuf", O_RDWR | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT)
		return dio_skip("no /dev/udmabuf"), -ENOENT;
	return fd < 0 ? -errno : fd;
}

int dio_udmabuf_create(int memfd, size_t size)
{
	struct udmabuf_create create = {
		.memfd = memfd,
		.flags = UDMABUF_FLAGS_CLOEXEC,
		.size = size,
	};
	int dev, fd;

	dev = udmabuf_open();
	if (dev < 0)
		return dev;
	fd = ioctl(dev, UDMABUF_CREATE, &create);
	if (fd < 0)
		fd = -errno;
	close(dev);
	return fd;
}

int dio_memfd(size_t size, unsigned int flags, int seals)
{
	int fd, ret;

	fd = memfd_create("dmabuf-dio", MFD_CLOEXEC | MFD_ALLOW_SEALING | flags);
	if (fd < 0)
		return -errno;
	if (!ftruncate(fd, size) && (!seals || !fcntl(fd, F_ADD_SEALS, seals)))
		return fd;
	ret = -errno;
	close(fd);
	return ret;
}

/*
 * Neighbouring pages of a memfd often are neighbours in memory as well; taking
 * them in a scrambled order makes sure that the buffer's are not.
 */
static int udmabuf_alloc(struct dio_buf *buf)
{
	size_t pages = buf->size / PAGE;
	size_t items = pages < MAX_ITEMS ? pages : MAX_ITEMS;
	struct udmabuf_create_list *list;
	size_t i, step = 1, chunk;
	int dev, ret;

	buf->memfd = dio_memfd(buf->size, 0, F_SEAL_SHRINK);
	if (buf->memfd < 0)
		return buf->memfd;

	while (pages % items)
		items--;
	chunk = buf->size / items;

	/* A step with no common factor visits each item once. */
	for (i = items / 2 + 1; i < items; i++) {
		size_t a = items, b = i, t;

		while (b) {
			t = a % b;
			a = b;
			b = t;
		}
		if (a == 1) {
			step = i;
			break;
		}
	}

	list = calloc(1, sizeof(*list) + items * sizeof(list->list[0]));
	if (!list)
		return -ENOMEM;
	list->flags = UDMABUF_FLAGS_CLOEXEC;
	list->count = items;
	for (i = 0; i < items; i++) {
		list->list[i].memfd = buf->memfd;
		list->list[i].offset = i * step % items * chunk;
		list->list[i].size = chunk;
	}

	dev = udmabuf_open();
	if (dev < 0) {
		free(list);
		return dev == -ENOENT ? DIO_SKIP : dev;
	}
	buf->fd = ioctl(dev, UDMABUF_CREATE_LIST, list);
	ret = buf->fd < 0 ? -errno : 0;
	close(dev);
	free(list);
	return ret;
}

static int udmabuf_huge_alloc(struct dio_buf *buf)
{
	long need, free, total;

	buf->size = (buf->size + HUGE - 1) / HUGE * HUGE;
	need = buf->size / HUGE;
	free = dio_number("/proc/meminfo", "HugePages_Free:");
	total = dio_number(DIO_HUGEPAGES, "");
	if (free < 0 || total < 0 ||
	    dio_number("/proc/meminfo", "Hugepagesize:") != HUGE / DIO_KIB)
		return dio_skip("no huge pages of 2 MiB");
	if (free < need) {
		dio_write_file(DIO_HUGEPAGES, "%ld", total + need - free);
		buf->hugepages = total;
		if (dio_number("/proc/meminfo", "HugePages_Free:") < need)
			return dio_skip("no memory for %ld huge pages", need);
	}

	buf->memfd = dio_memfd(buf->size, MFD_HUGETLB, F_SEAL_SHRINK);
	if (buf->memfd < 0)
		return buf->memfd;
	buf->fd = dio_udmabuf_create(buf->memfd, buf->size);
	if (buf->fd == -ENOENT)
		return DIO_SKIP;
	return buf->fd < 0 ? buf->fd : 0;
}

const struct dio_exporter dio_heap = { "system heap", heap_alloc };
const struct dio_exporter dio_udmabuf = { "udmabuf", udmabuf_alloc };
const struct dio_exporter dio_udmabuf_huge = { "udmabuf of hugetlb", udmabuf_huge_alloc };

int dio_buf_alloc(struct dio_buf *buf, const struct dio_exporter *exporter,
		  size_t size)
{
	int ret;

	*buf = (struct dio_buf){
		.fd = -1,
		.memfd = -1,
		.size = size,
		.hugepages = -1,
	};
	ret = exporter->alloc(buf);
	if (!ret) {
		buf->map = mmap(NULL, buf->size, PROT_READ | PROT_WRITE,
				MAP_SHARED, buf->fd, 0);
		if (buf->map == MAP_FAILED) {
			buf->map = NULL;
			ret = -errno;
		}
	}
	if (ret)
		dio_buf_free(buf);
	return ret;
}

void dio_buf_free(struct dio_buf *buf)
{
	if (buf->map)
		munmap(buf->map, buf->size);
	if (buf->fd >= 0)
		close(buf->fd);
	if (buf->memfd >= 0)
		close(buf->memfd);
	if (buf->hugepages >= 0)
		dio_write_file(DIO_HUGEPAGES, "%ld", buf->hugepages);
	buf->map = NULL;
	buf->fd = -1;
	buf->memfd = -1;
	buf->hugepages = -1;
}

static int sync_ioctl(struct dio_buf *buf, __u64 flags)
{
	struct dma_buf_sync sync = { .flags = flags };
	int ret;

	do {
		ret = ioctl(buf->fd, DMA_BUF_IOCTL_SYNC, &sync);
	} while (ret && (errno == EINTR || errno == EAGAIN));
	if (ret) {
		ret = -errno;
		dio_log("DMA_BUF_IOCTL_SYNC: %s", strerror(-ret));
	}
	return ret;
}

int dio_sync_start(struct dio_buf *buf, __u64 flags)
{
	return sync_ioctl(buf, DMA_BUF_SYNC_START | flags);
}

int dio_sync_end(struct dio_buf *buf, __u64 flags)
{
	return sync_ioctl(buf, DMA_BUF_SYNC_END | flags);
}

int dio_fdinfo(int fd, const char *key, long long *value)
{
	char path[64], line[256];
	int ret = -ENODATA;
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/thread-self/fdinfo/%d", fd);
	f = fopen(path, "r");
	if (!f)
		return -errno;
	n = strlen(key);
	while (ret && fgets(line, sizeof(line), f))
		if (!strncmp(line, key, n) && line[n] == ':' &&
		    sscanf(line + n + 1, "%lld", value) == 1)
			ret = 0;
	fclose(f);
	return ret;
}

long long dio_pos(int fd)
{
	long long pos;

	return dio_fdinfo(fd, "pos", &pos) ? -1 : pos;
}

int dio_count(int fd, struct dio_counters *c)
{
	struct {
		const char *key;
		long long *value;
	} keys[] = {
		{ "pos:", &c->pos },
		{ "dio_read_bytes:", &c->dio_read },
		{ "dio_write_bytes:", &c->dio_write },
		{ "copy_read_bytes:", &c->copy_read },
		{ "copy_write_bytes:", &c->copy_write },
	};
	char path[64], text[1024], *at;
	ssize_t n;
	int i, info;

	/* At once: tests do this a thousand times. */
	snprintf(path, sizeof(path), "/proc/thread-self/fdinfo/%d", fd);
	info = open(path, O_RDONLY | O_CLOEXEC);
	if (info < 0)
		return -errno;
	n = read(info, text, sizeof(text) - 1);
	close(info);
	text[n < 0 ? 0 : n] = 0;

	for (i = 0; i < ARRAY_SIZE(keys); i++) {
		at = strstr(text, keys[i].key);
		if (!at)
			return -ENODATA;
		*keys[i].value = strtoll(at + strlen(keys[i].key), NULL, 10);
	}
	at = strstr(text, "copy_reason:");
	return at && sscanf(at, "copy_reason: %15s", c->reason) == 1 ? 0 : -ENODATA;
}

int dio_attached(const char *name)
{
	size_t len = strlen(name);
	bool ours = false;
	char line[256];
	int n = -1;
	FILE *f;

	f = fopen(DIO_BUFINFO, "r");
	if (!f)
		return -1;
	/* The name ends the line of a buffer, and a count what is about it. */
	while (n < 0 && fgets(line, sizeof(line), f)) {
		char *at = strrchr(line, '\t');

		if (at && !strncmp(at + 1, name, len) && at[1 + len] == '\n')
			ours = true;
		else if (ours && sscanf(line, "Total %d devices", &n) != 1)
			n = -1;
	}
	fclose(f);
	return n;
}

int dio_advance(int fd, loff_t pos)
{
	loff_t at = dio_pos(fd);
	ssize_t n;
	int zero;

	if (at == pos)
		return 0;
	if (at < 0 || at > pos)
		return -EINVAL;
	zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	if (zero < 0)
		return -errno;
	while (at < pos) {
		n = splice(zero, NULL, fd, NULL, pos - at, 0);
		if (n <= 0)
			break;
		at += n;
	}
	close(zero);
	return at == pos ? 0 : -EIO;
}
