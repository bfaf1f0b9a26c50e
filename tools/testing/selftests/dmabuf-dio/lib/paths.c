// SPDX-License-Identifier: GPL-2.0
/* An NVMe disk with two paths on PCI, and what can happen to one. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <glob.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <linux/pci_regs.h>

#include "dio.h"

const struct dio_backing dio_mpath = { "two paths", "DIO_MPATH" };

/* What stays when a path, or with the last one the disk, goes away. */
static char serial[DIO_NAME];
static char pci[DIO_PATHS][PATH_MAX];

/* As they were. */
static char policy_was[DIO_NAME];
static long timeout_was = -1;

static bool read_word(const char *path, char *line, size_t size)
{
	if (dio_read_line(path, line, size))
		return false;
	line[strcspn(line, " ")] = 0;
	return true;
}

static void policy_file(char *file)
{
	snprintf(file, PATH_MAX, "/sys/block/%s/device/iopolicy",
		 getenv(dio_mpath.env) + strlen("/dev/"));
}

/* A file of a path's controller, or of the path; false if there is none. */
static bool find_file(int path, const char *name, char *file)
{
	char pattern[PATH_MAX + DIO_NAME];
	glob_t found;

	snprintf(pattern, sizeof(pattern), "%s/nvme/nvme*/%s", pci[path], name);
	if (glob(pattern, 0, NULL, &found))
		return false;
	snprintf(file, PATH_MAX, "%s", found.gl_pathv[0]);
	globfree(&found);
	return true;
}

int dio_paths_find(void)
{
	const char *node = getenv(dio_mpath.env);
	char path[PATH_MAX];
	glob_t found;
	size_t i;
	int ret;

	if (!node || !*node)
		return dio_skip("%s is not set", dio_mpath.env);
	ret = dio_skip("%s is no NVMe disk with two paths on PCI", node);
	snprintf(path, sizeof(path), "/sys/block/%s/device/serial",
		 node + strlen("/dev/"));
	if (!read_word(path, serial, sizeof(serial)))
		return ret;
	policy_file(path);
	if (!read_word(path, policy_was, sizeof(policy_was)))
		return ret;
	snprintf(path, sizeof(path), "/sys/block/%s/multipath/nvme*/device/device",
		 node + strlen("/dev/"));
	if (glob(path, 0, NULL, &found))
		return ret;
	if (found.gl_pathc == DIO_PATHS)
		ret = 0;
	for (i = 0; i < found.gl_pathc && !ret; i++)
		if (!realpath(found.gl_pathv[i], pci[i]))
			ret = -errno;
	globfree(&found);
	if (!ret && find_file(0, "io_timeout", path))
		timeout_was = dio_number(path, "");
	return ret;
}

/* Under whatever name it has now. */
static bool find_disk(void)
{
	char found_serial[DIO_NAME], node[DIO_NAME];
	bool there = false;
	glob_t found;
	size_t i;

	if (glob("/sys/block/nvme*/device/serial", 0, NULL, &found))
		return false;
	for (i = 0; i < found.gl_pathc && !there; i++) {
		if (!read_word(found.gl_pathv[i], found_serial,
			       sizeof(found_serial)) ||
		    strcmp(found_serial, serial))
			continue;
		/* The paths have no node. */
		snprintf(node, sizeof(node), "/dev/%s",
			 basename(dirname(dirname(found.gl_pathv[i]))));
		there = !access(node, R_OK | W_OK) &&
			!setenv(dio_mpath.env, node, 1);
	}
	globfree(&found);
	return there;
}

static int write_to(int path, const char *name, int value)
{
	char file[PATH_MAX];

	return find_file(path, name, file) ? dio_write_file(file, "%d", value) :
	       -ENODEV;
}

static bool is_live(int path)
{
	char file[PATH_MAX], state[DIO_NAME];

	return find_file(path, "nvme*c*n*/stat", file) &&
	       find_file(path, "state", file) &&
	       read_word(file, state, sizeof(state)) && !strcmp(state, "live");
}

int dio_paths_wait(void)
{
	int path, ret = 0;

	for (path = 0; path < DIO_PATHS && !ret; path++) {
		while (!is_live(path))
			usleep(10000);
		ret = write_to(path, "io_timeout", timeout_was);
	}
	while (!find_disk())
		usleep(10000);
	return ret;
}

int dio_paths_add(void)
{
	return dio_write_file("/sys/bus/pci/rescan", "1") ?: dio_paths_wait();
}

int dio_paths_policy(const char *policy)
{
	char file[PATH_MAX];

	policy_file(file);
	return dio_write_file(file, "%s", policy);
}

int dio_paths_restore(void)
{
	return dio_paths_add() ?: dio_paths_policy(policy_was);
}

int dio_path_remove(int path)
{
	char file[PATH_MAX + DIO_NAME];

	snprintf(file, sizeof(file), "%s/remove", pci[path]);
	return dio_write_file(file, "1");
}

int dio_path_reset(int path)
{
	return write_to(path, "reset_controller", 1);
}

/*
 * What is under way ends as ever. So nothing is written late, after it was done
 * by another path.
 */
int dio_path_silence(int path)
{
	int fd, ret = write_to(path, "io_timeout", 1000);
	char file[PATH_MAX + DIO_NAME];
	__u16 command;

	if (ret)
		return ret;
	snprintf(file, sizeof(file), "%s/config", pci[path]);
	fd = open(file, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (pread(fd, &command, sizeof(command), PCI_COMMAND) != sizeof(command))
		ret = -EIO;
	command &= ~PCI_COMMAND_MEMORY;
	if (!ret && pwrite(fd, &command, sizeof(command), PCI_COMMAND) != sizeof(command))
		ret = -EIO;
	close(fd);
	return ret;
}

long long dio_path_bytes(int path, int write)
{
	struct dio_stat stat;
	char file[PATH_MAX];

	if (!find_file(path, "nvme*c*n*/stat", file) || dio_stat(file, &stat))
		return -1;
	return stat.bytes[write];
}

long dio_paths_failovers(void)
{
	char file[PATH_MAX];
	long sum = 0;
	int path;

	for (path = 0; path < DIO_PATHS; path++)
		if (find_file(path, "nvme*c*n*/diag/multipath_failover_count", file))
			sum += dio_number(file, "");
	return sum;
}

long dio_paths_waits(void)
{
	char file[PATH_MAX];

	snprintf(file, sizeof(file),
		 "/sys/block/%s/diag/io_requeue_no_usable_path_count",
		 getenv(dio_mpath.env) + strlen("/dev/"));
	return dio_number(file, "");
}
