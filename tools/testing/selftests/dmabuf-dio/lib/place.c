// SPDX-License-Identifier: GPL-2.0
/* Places for files: what the environment names, and what can be made. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dio.h"

/* A tmpfs of our own, with everything in it that is made here. */
static char base[32];
static char upper[128];		/* directory on DIO_EXT4, for overlayfs */
static char loops[4][DIO_NAME];
static unsigned int nr_loops;
static pid_t maker;

static int make_dir(char *path, size_t size, const char *name)
{
	snprintf(path, size, "%s/%s", base, name);
	return mkdir(path, 0700) ? -errno : 0;
}

static int make_mount(const char *source, struct dio_place *place,
		      const char *type, const char *options)
{
	int ret = make_dir(place->path, sizeof(place->path), type);

	if (ret)
		return ret;
	if (!mount(source, place->path, type, 0, options))
		return 0;
	return errno == ENODEV ? dio_skip("no %s in this kernel", type) : -errno;
}

static int make_loop(int fd, char *node)
{
	int ret = dio_loop(fd, node);

	if (!ret)
		snprintf(loops[nr_loops++], DIO_NAME, "%s", node);
	return ret;
}

static int make_named(struct dio_place *place)
{
	const char *where = getenv(place->backing->env);

	snprintf(place->path, sizeof(place->path), "%s", where);
	return 0;
}

static int make_tmpfs(struct dio_place *place)
{
	return make_mount("none", place, "tmpfs", "size=64m");
}

static int make_memfd(struct dio_place *place)
{
	(void)place;
	return 0;
}

static int make_btrfs(struct dio_place *place)
{
	char image[64], node[DIO_NAME];
	int fd, ret;

	snprintf(image, sizeof(image), "%s/image", base);
	fd = open(image, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, 256 * DIO_MIB))
		return -errno;
	ret = dio_run("mkfs.btrfs -f -K -m single %s", image) ?:
	      make_loop(fd, node);
	close(fd);
	return ret ?: make_mount(node, place, "btrfs", NULL);
}

static int make_dax(struct dio_place *place)
{
	const char *device = getenv(place->backing->env);
	int ret = dio_run("mkfs.ext4 -q -F -b 4096 -O ^has_journal %s", device);

	return ret ?: make_mount(device, place, "ext4", "dax=always");
}

static int make_overlay(struct dio_place *place)
{
	char options[512];
	int ret;

	snprintf(upper, sizeof(upper), "%s/dmabuf-dio.%d",
		 getenv(place->backing->env), getpid());
	snprintf(options, sizeof(options), "%s/upper", upper);
	if (mkdir(upper, 0700) || mkdir(options, 0700))
		return -errno;
	snprintf(options, sizeof(options), "%s/work", upper);
	if (mkdir(options, 0700))
		return -errno;
	ret = make_dir(place->path, sizeof(place->path), "lower");
	if (ret)
		return ret;
	snprintf(options, sizeof(options),
		 "lowerdir=%s,upperdir=%s/upper,workdir=%s/work", place->path,
		 upper, upper);
	return make_mount("overlay", place, "overlay", options);
}

static int make_loop_device(struct dio_place *place)
{
	int fd, ret = 0;

	fd = open(getenv(place->backing->env), O_RDWR | O_TMPFILE | O_CLOEXEC,
		  0600);
	if (fd < 0 || ftruncate(fd, DIO_LOOP_SIZE))
		return -errno;
	ret = make_loop(fd, place->path);
	close(fd);
	return ret;
}

#define PLACE(id, name, backing, make, direct, device)			\
	struct dio_place dio_on_##id = { name, backing, make, direct, device }

PLACE(ext4, "ext4", &dio_ext4, make_named, true, false);
PLACE(xfs, "XFS", &dio_xfs, make_named, true, false);
PLACE(f2fs, "F2FS", &dio_f2fs, make_named, true, false);
PLACE(raw, "raw", &dio_raw, make_named, true, true);
PLACE(raw_4k, "raw 4k", &dio_raw_4k, make_named, true, true);
PLACE(tmpfs, "tmpfs", NULL, make_tmpfs, false, false);
PLACE(memfd, "memfd", NULL, make_memfd, false, false);
PLACE(btrfs, "btrfs", NULL, make_btrfs, false, false);
PLACE(dax, "DAX", &dio_pmem, make_dax, false, false);
PLACE(overlay, "overlayfs", &dio_ext4, make_overlay, false, false);
PLACE(loop, "loop", &dio_ext4, make_loop_device, false, true);

struct dio_place *const dio_places[] = {
	&dio_on_ext4, &dio_on_xfs, &dio_on_f2fs, &dio_on_raw, &dio_on_raw_4k,
	&dio_on_tmpfs, &dio_on_memfd, &dio_on_btrfs, &dio_on_dax,
	&dio_on_overlay, &dio_on_loop, NULL
};

static int make(struct dio_place *place)
{
	const char *where;

	if (place->backing) {
		where = getenv(place->backing->env);
		if (!where || !*where)
			return dio_skip("%s is not set", place->backing->env);
	}
	return place->make(place);
}

/* The harness ends its children without, and itself by exit(). */
static void unmake(void)
{
	struct dio_place *const *place;

	if (getpid() != maker)
		return;
	for (place = dio_places; *place; place++)
		if (!(*place)->device && (*place)->make != make_named)
			umount2((*place)->path, MNT_DETACH);
	while (nr_loops)
		dio_loop_free(loops[--nr_loops]);
	umount2(base, MNT_DETACH);
	rmdir(base);
	if (*upper)
		dio_run("rm -r %s", upper);
}

void dio_places_make(void)
{
	struct dio_place *const *place;
	int ret = 0;

	maker = getpid();
	atexit(unmake);
	snprintf(base, sizeof(base), "/tmp/dmabuf-dio.XXXXXX");
	/* What is mounted here goes when the last process of the test does. */
	if (unshare(CLONE_NEWNS) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    !mkdtemp(base) || mount("none", base, "tmpfs", 0, "size=512m"))
		ret = -errno;
	for (place = dio_places; *place; place++) {
		(*place)->ret = ret ?: make(*place);
		snprintf((*place)->reason, sizeof((*place)->reason), "%s",
			 dio_reason());
	}
}

int dio_place_ready(const struct dio_place *place)
{
	if (place->ret == DIO_SKIP)
		dio_skip("%s", place->reason);
	return place->ret;
}

int dio_place_open(const struct dio_place *place)
{
	int fd, flags = O_RDWR | O_CLOEXEC;

	if (!*place->path)
		fd = memfd_create("dmabuf-dio", MFD_CLOEXEC);
	else
		fd = open(place->path, place->device ? flags : flags | O_TMPFILE,
			  0600);
	return fd < 0 ? -errno : fd;
}
