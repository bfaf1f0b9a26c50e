// SPDX-License-Identifier: GPL-2.0
/* Processes that are frozen, and whose disk is slow. */
#define _GNU_SOURCE
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dio.h"

static int write_group(const struct dio_cgroup *cg, const char *file,
		       const char *text)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s/%s", cg->root, cg->name, file);
	return dio_write_file(path, "%s", text);
}

static int make(struct dio_cgroup *cg, const char *disk)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "/sys/class/block/%s/dev", disk);
	f = fopen(path, "r");
	if (!f)
		return -errno;
	if (fscanf(f, "%15s", cg->dev) != 1)
		*cg->dev = 0;
	fclose(f);

	snprintf(cg->root, sizeof(cg->root), "/tmp/dmabuf-dio.XXXXXX");
	if (!mkdtemp(cg->root)) {
		*cg->root = 0;
		return -errno;
	}
	if (mount("none", cg->root, "cgroup2", 0, NULL))
		return errno == ENODEV ? dio_skip("no cgroup2 in this kernel") :
					 -errno;
	if (write_group(cg, "cgroup.subtree_control", "+io"))
		return dio_skip("cgroups do not control I/O in this kernel");
	snprintf(cg->name, sizeof(cg->name), "dmabuf-dio.%d", getpid());
	snprintf(path, sizeof(path), "%s/%s", cg->root, cg->name);
	if (mkdir(path, 0700)) {
		*cg->name = 0;
		return -errno;
	}
	snprintf(path, sizeof(path), "%s/%s/io.max", cg->root, cg->name);
	return access(path, W_OK) ? dio_skip("no io.max in this kernel") : 0;
}

int dio_cgroup_make(struct dio_cgroup *cg, const char *disk)
{
	int ret;

	*cg = (struct dio_cgroup){ };
	ret = make(cg, disk);
	if (ret)
		dio_cgroup_free(cg);
	return ret;
}

void dio_cgroup_free(struct dio_cgroup *cg)
{
	char path[128];

	if (*cg->name) {
		dio_cgroup_freeze(cg, false);
		dio_cgroup_limit(cg, "bps", 0);
		dio_cgroup_limit(cg, "iops", 0);
		dio_cgroup_leave(cg);
		snprintf(path, sizeof(path), "%s/%s", cg->root, cg->name);
		if (rmdir(path))
			dio_log("%s: %s", path, strerror(errno));
	}
	if (*cg->root) {
		umount2(cg->root, MNT_DETACH);
		rmdir(cg->root);
	}
	*cg = (struct dio_cgroup){ };
}

int dio_cgroup_enter(const struct dio_cgroup *cg)
{
	return write_group(cg, "cgroup.procs", "0");
}

int dio_cgroup_leave(const struct dio_cgroup *cg)
{
	return write_group(cg, "../cgroup.procs", "0");
}

int dio_cgroup_limit(const struct dio_cgroup *cg, const char *what,
		     unsigned long limit)
{
	char text[128], number[24] = "max";

	if (limit)
		snprintf(number, sizeof(number), "%lu", limit);
	snprintf(text, sizeof(text), "%s r%s=%s w%s=%s", cg->dev, what, number,
		 what, number);
	return write_group(cg, "io.max", text);
}

int dio_cgroup_freeze(const struct dio_cgroup *cg, bool on)
{
	return write_group(cg, "cgroup.freeze", on ? "1" : "0");
}

bool dio_cgroup_frozen(const struct dio_cgroup *cg)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s/cgroup.events", cg->root, cg->name);
	return dio_number(path, "frozen ") == 1;
}
