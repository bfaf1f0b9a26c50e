// SPDX-License-Identifier: GPL-2.0
/* Block devices made for one test. */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/blkpg.h>
#include <linux/loop.h>

#include "dio.h"

int dio_write_file(const char *path, const char *fmt, ...)
{
	char text[256];
	va_list ap;
	int fd, len, ret = 0;

	va_start(ap, fmt);
	len = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);

	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, text, len) != len)
		ret = -errno;
	close(fd);
	return ret;
}

long dio_number(const char *path, const char *key)
{
	char line[256];
	long value = -1;
	FILE *f;

	f = fopen(path, "r");
	if (!f)
		return -1;
	while (value < 0 && fgets(line, sizeof(line), f))
		if (!strncmp(line, key, strlen(key)))
			value = strtol(line + strlen(key), NULL, 10);
	fclose(f);
	return value;
}

int dio_need_memory(size_t bytes)
{
	long kib = dio_number("/proc/meminfo", "MemAvailable:");

	if (kib >= 0 && kib * DIO_KIB >= bytes)
		return 0;
	return dio_skip("%zu MiB of memory needed, %ld are available",
			bytes / DIO_MIB, kib / (long)DIO_KIB);
}

int dio_run(const char *fmt, ...)
{
	char command[512], line[600], said[512];
	size_t n, len = 0;
	va_list ap;
	int status;
	FILE *f;

	va_start(ap, fmt);
	vsnprintf(command, sizeof(command), fmt, ap);
	va_end(ap);

	snprintf(line, sizeof(line),
		 "PATH=$PATH:/usr/sbin:/sbin; %s 2>&1 </dev/null", command);
	f = popen(line, "r");
	if (!f)
		return -errno;
	/* Start over when there is too much: the end says why it failed. */
	while ((n = fread(said + len, 1, sizeof(said) - 1 - len, f)))
		len = (len + n) % (sizeof(said) - 1);
	said[len] = 0;
	status = pclose(f);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		return dio_skip("not installed: %s", command);
	if (status) {
		dio_log("failed: %s: %s", command, said);
		return -EIO;
	}
	return 0;
}

int dio_loop(int fd, char *node)
{
	struct loop_config config = { .fd = fd };
	int control, number, loop, ret = 0;

	control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	if (control < 0)
		return dio_skip("no loop driver");
	number = ioctl(control, LOOP_CTL_GET_FREE);
	close(control);
	if (number < 0)
		return -errno;

	snprintf(node, DIO_NAME, "/dev/loop%d", number);
	loop = open(node, O_RDWR | O_CLOEXEC);
	if (loop < 0)
		return -errno;
	if (ioctl(loop, LOOP_CONFIGURE, &config))
		ret = -errno;
	close(loop);
	return ret;
}

void dio_loop_free(const char *node)
{
	int loop = open(node, O_RDWR | O_CLOEXEC);

	if (loop >= 0) {
		ioctl(loop, LOOP_CLR_FD);
		close(loop);
	}
}

int dio_zram(size_t size, char *node)
{
	char path[128];
	int number;
	FILE *f;

	f = fopen("/sys/class/zram-control/hot_add", "r");
	if (!f)
		return dio_skip("no zram driver");
	if (fscanf(f, "%d", &number) != 1)
		number = -1;
	fclose(f);
	if (number < 0)
		return -EIO;

	snprintf(node, DIO_NAME, "/dev/zram%d", number);
	snprintf(path, sizeof(path), "/sys/block/zram%d/disksize", number);
	return dio_write_file(path, "%zu", size);
}

/* Whoever looks at new block devices may still have it open. */
void dio_zram_free(const char *node)
{
	if (!dio_wait_for(!dio_write_file("/sys/class/zram-control/hot_remove",
					  "%s", node + strlen("/dev/zram"))))
		dio_log("%s stays behind", node);
}

int dio_controller(const char *disk, char *ctrl)
{
	char path[PATH_MAX];
	struct dirent *entry;
	int ret = -ENODEV;
	DIR *dir;

	snprintf(path, sizeof(path), "/sys/block/%s/device", disk);
	if (!realpath(path, ctrl))
		return -errno;
	if (!strstr(ctrl, "/nvme-subsys"))
		return 0;

	/* A multipath disk hangs on a subsystem, which lists its controllers. */
	snprintf(path, sizeof(path), "%s", ctrl);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		char link[PATH_MAX + 256];
		int number, end = 0;

		if (sscanf(entry->d_name, "nvme%d%n", &number, &end) != 1 ||
		    entry->d_name[end])
			continue;
		snprintf(link, sizeof(link), "%s/%s", path, entry->d_name);
		if (realpath(link, ctrl))
			ret = 0;
	}
	if (dir)
		closedir(dir);
	return ret;
}

int dio_stat(const char *path, struct dio_stat *stat)
{
	FILE *f = fopen(path, "r");
	int i, found = 0;

	if (!f)
		return -errno;
	for (i = 0; i < 2; i++) {
		found += fscanf(f, "%lld %*d %lld %*d", &stat->commands[i],
				&stat->bytes[i]);
		stat->bytes[i] *= 512;
	}
	fclose(f);
	return found == 4 ? 0 : -EIO;
}

long long dio_disk_bytes(const char *disk, bool write)
{
	struct dio_stat stat;
	char path[128];

	snprintf(path, sizeof(path), "/sys/class/block/%s/stat", disk);
	return dio_stat(path, &stat) ? -1 : stat.bytes[write];
}

/* Without udev: the node has to be there when dmsetup returns. */
int dio_dm_create(const char *name, const char *table, char *node)
{
	int ret;

	ret = dio_run("dmsetup version");
	if (ret)
		return ret == DIO_SKIP ? ret : dio_skip("no device mapper");
	ret = dio_run("dmsetup create --noudevrules --noudevsync %s --table '%s'",
		      name, table);
	if (!ret)
		ret = dio_run("dmsetup mknodes %s", name);
	snprintf(node, DIO_NAME, "/dev/mapper/%s", name);
	return ret;
}

void dio_dm_remove(const char *name)
{
	dio_run("dmsetup remove --retry --noudevrules --noudevsync %s", name);
}

static int partition_op(const char *disk, struct blkpg_partition *part, int op)
{
	struct blkpg_ioctl_arg arg = {
		.op = op,
		.datalen = sizeof(*part),
		.data = part,
	};
	int fd, ret = 0;

	fd = open(disk, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (ioctl(fd, BLKPG, &arg))
		ret = -errno;
	close(fd);
	return ret;
}

/* Only the kernel's idea of the disk changes, nothing is written to it. */
int dio_partition_add(const char *disk, int number, loff_t start, loff_t len,
		      char *node)
{
	struct blkpg_partition part = {
		.start = start,
		.length = len,
		.pno = number,
	};
	char last = disk[strlen(disk) - 1];

	snprintf(node, DIO_NAME, "%s%s%d", disk,
		 last >= '0' && last <= '9' ? "p" : "", number);
	return partition_op(disk, &part, BLKPG_ADD_PARTITION);
}

void dio_partition_del(const char *disk, int number)
{
	struct blkpg_partition part = { .pno = number };

	partition_op(disk, &part, BLKPG_DEL_PARTITION);
}
