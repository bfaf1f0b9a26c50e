// SPDX-License-Identifier: GPL-2.0
/* Places for files: what the environment names, and what can be made. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <linux/fs.h>
#include <linux/fscrypt.h>

#include "dio.h"

/* Of DIO_RAW, which itself is a place too: they begin behind that. */
#define PARTITIONS	6
#define PARTITION_SIZE	(512 * DIO_MIB)
#define FILLED_SIZE	(256 * DIO_MIB)		/* of those without a zero */

#define DM_NAME		"dmabuf-dio-place"

/* A tmpfs of our own, with everything in it that is made here. */
static char base[32];
static int base_ret;
static char upper[128];		/* directory on DIO_EXT4, for overlayfs */
static char loops[4][DIO_NAME];
static unsigned int nr_loops;
static char shared[128];	/* directory in DIO_OUT */
static char zram[DIO_NAME];
static bool partition[PARTITIONS + 1];
static bool dm;
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

static int make_partition(int number, size_t size, char *node)
{
	const char *disk = getenv(dio_raw.env);

	/* One that was killed has left it behind. */
	dio_partition_del(disk, number);
	partition[number] = true;
	return dio_partition_add(disk, number, number * PARTITION_SIZE, size,
				 node);
}

/* With what others may have left there: no block is zero. */
static int fill(const char *node, size_t size)
{
	void *mem = aligned_alloc(DIO_ALIGNED, DIO_MIB);
	int fd, ret = 0;
	size_t at;

	if (!mem)
		return -ENOMEM;
	memset(mem, 0xa5, DIO_MIB);
	fd = open(node, O_WRONLY | O_DIRECT | O_CLOEXEC);
	if (fd < 0)
		ret = -errno;
	for (at = 0; !ret && at < size; at += DIO_MIB)
		if (pwrite(fd, mem, DIO_MIB, at) != DIO_MIB)
			ret = -EIO;
	if (fd >= 0)
		close(fd);
	free(mem);
	return ret;
}

/* On a disk that takes dma-bufs: what does not go direct is not its fault. */
static int make_disk(struct dio_place *place, int number, size_t size,
		     const char *type, const char *features,
		     const char *options)
{
	char node[DIO_NAME], name[16];
	int ret;

	snprintf(name, sizeof(name), "disk%d", number);
	ret = make_partition(number, size, node) ?:
	      (size == FILLED_SIZE ? fill(node, size) : 0) ?:
	      dio_run("mkfs.%s -q %s %s %s", type,
		      strcmp(type, "ext4") ? "-f" : "-F", features, node) ?:
	      make_dir(place->path, sizeof(place->path), name);
	if (ret || !mount(node, place->path, type, 0, options))
		return ret;
	if (errno == EINVAL || errno == ENODEV)
		return dio_skip("no %s %s in this kernel", type, features);
	return -errno;
}

/* In a directory of its own: next to it, files are as ever. */
static int make_subdir(struct dio_place *place)
{
	strcat(place->path, "/sub");
	return mkdir(place->path, 0700) ? -errno : 0;
}

static int encrypt(const struct dio_place *place)
{
	struct {
		struct fscrypt_add_key_arg arg;
		__u8 raw[FSCRYPT_MAX_KEY_SIZE];
	} key = {
		.arg = {
			.key_spec.type = FSCRYPT_KEY_SPEC_TYPE_IDENTIFIER,
			.raw_size = FSCRYPT_MAX_KEY_SIZE,
		},
	};
	struct fscrypt_policy_v2 policy = {
		.version = FSCRYPT_POLICY_V2,
		.contents_encryption_mode = FSCRYPT_MODE_AES_256_XTS,
		.filenames_encryption_mode = FSCRYPT_MODE_AES_256_CTS,
	};
	int fd, ret = 0;

	dio_pattern(key.raw, dio_random() % 0x7fff, 0, sizeof(key.raw));
	fd = open(place->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (ioctl(fd, FS_IOC_ADD_ENCRYPTION_KEY, &key)) {
		ret = errno == EOPNOTSUPP ? dio_skip("no encryption") : -errno;
	} else {
		memcpy(policy.master_key_identifier, key.arg.key_spec.u.identifier,
		       sizeof(policy.master_key_identifier));
		if (ioctl(fd, FS_IOC_SET_ENCRYPTION_POLICY, &policy))
			ret = -errno;
	}
	close(fd);
	return ret;
}

static int make_ext4_crypt(struct dio_place *place)
{
	return make_disk(place, 1, FILLED_SIZE, "ext4",
			 "-E nodiscard -O encrypt", NULL) ?:
	       make_subdir(place) ?: encrypt(place);
}

static int make_f2fs_crypt(struct dio_place *place)
{
	return make_disk(place, 2, FILLED_SIZE, "f2fs", "-t 0 -O encrypt",
			 NULL) ?:
	       make_subdir(place) ?: encrypt(place);
}

static int make_f2fs_compr(struct dio_place *place)
{
	int flags = FS_COMPR_FL;
	int fd, ret;

	ret = make_disk(place, 3, FILLED_SIZE, "f2fs",
			"-t 0 -O extra_attr,compression",
			"compress_algorithm=lz4") ?: make_subdir(place);
	if (ret)
		return ret;
	fd = open(place->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (ioctl(fd, FS_IOC_SETFLAGS, &flags))
		ret = errno == EOPNOTSUPP ? dio_skip("no compression") : -errno;
	close(fd);
	return ret;
}

static int make_xfs_quota(struct dio_place *place)
{
	return make_disk(place, 4, PARTITION_SIZE, "xfs", "", "uquota");
}

static int make_ext4_quota(struct dio_place *place)
{
	return make_disk(place, 5, PARTITION_SIZE, "ext4", "-O quota",
			 "usrquota,errors=remount-ro");
}

static int make_dm_crypt(struct dio_place *place)
{
	char node[DIO_NAME], table[256];
	int ret = make_partition(PARTITIONS, PARTITION_SIZE, node);

	if (ret)
		return ret;
	snprintf(table, sizeof(table),
		 "0 %lu crypt aes-xts-plain64 %064d 0 %s 0",
		 PARTITION_SIZE / 512, 0, node);
	dm = true;
	return dio_dm_create(DM_NAME, table, place->path);
}

static int make_zram(struct dio_place *place)
{
	int ret = dio_zram(4 * DIO_MIB, place->path);

	if (!ret)
		snprintf(zram, sizeof(zram), "%s", place->path);
	return ret;
}

static int make_ram(struct dio_place *place)
{
	snprintf(place->path, sizeof(place->path), "/dev/ram0");
	return access(place->path, F_OK) ? dio_skip("no RAM disk") : 0;
}

static int make_fuse(struct dio_place *place)
{
	char image[64];
	int fd, ret;

	if (access("/dev/fuse", F_OK))
		return dio_skip("no FUSE");
	snprintf(image, sizeof(image), "%s/fuse-image", base);
	fd = open(image, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, 64 * DIO_MIB))
		return -errno;
	close(fd);
	ret = make_dir(place->path, sizeof(place->path), "fuse");
	return ret ?: dio_run("mkfs.ext4 -q -F -O ^has_journal %s", image) ?:
	       dio_run("fuse2fs -o rw %s %s", image, place->path);
}

/* statfs(2) tells what the other side has. */
static bool on_9p(const char *path)
{
	unsigned int high, low;
	char line[1024];
	bool is = false;
	struct stat st;
	FILE *f;

	f = fopen("/proc/self/mountinfo", "r");
	if (!f)
		return false;
	if (!stat(path, &st))
		while (!is && fgets(line, sizeof(line), f))
			is = sscanf(line, "%*d %*d %u:%u", &high, &low) == 2 &&
			     makedev(high, low) == st.st_dev &&
			     strstr(line, " - 9p ");
	fclose(f);
	return is;
}

static int make_9p(struct dio_place *place)
{
	int ret;

	if (!on_9p(getenv(place->backing->env)))
		return dio_skip("%s is not on 9p", place->backing->env);
	snprintf(shared, sizeof(shared), "%s/dmabuf-dio.%d",
		 getenv(place->backing->env), getpid());
	ret = make_dir(place->path, sizeof(place->path), "9p");
	if (!ret && (mkdir(shared, 0700) ||
		     mount(shared, place->path, NULL, MS_BIND, NULL)))
		ret = -errno;
	return ret;
}

static const struct dio_backing dio_9p = { "9p", "DIO_OUT", true };

#define PLACE(id, name, backing, make, direct, device, ...)		\
	struct dio_place dio_on_##id = { name, backing, make, direct,	\
					 device, ## __VA_ARGS__ }

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
PLACE(ext4_crypt, "ext4 encrypted", &dio_raw, make_ext4_crypt, false, false);
PLACE(f2fs_crypt, "F2FS encrypted", &dio_raw, make_f2fs_crypt, false, false);
PLACE(f2fs_compr, "F2FS compressed", &dio_raw, make_f2fs_compr, false, false, .named = true);
PLACE(xfs_quota, "XFS with quotas", &dio_raw, make_xfs_quota, true, false);
PLACE(ext4_quota, "ext4 with quotas", &dio_raw, make_ext4_quota, true, false);
PLACE(fuse, "FUSE", NULL, make_fuse, false, false, .named = true);
PLACE(9p, "9p", &dio_9p, make_9p, false, false, .named = true);
PLACE(ram, "RAM disk", NULL, make_ram, false, true);
PLACE(zram, "zram", NULL, make_zram, false, true);
PLACE(dm_crypt, "dm-crypt", &dio_raw, make_dm_crypt, false, true);

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
	int i;

	if (getpid() != maker)
		return;
	/* And all that is mounted in it, and with FUSE what serves it. */
	umount2(base, MNT_DETACH);
	rmdir(base);
	if (dm)
		dio_dm_remove(DM_NAME);
	if (*zram)
		dio_zram_free(zram);
	while (nr_loops)
		dio_loop_free(loops[--nr_loops]);
	for (i = 1; i <= PARTITIONS; i++)
		if (partition[i])
			dio_partition_del(getenv(dio_raw.env), i);
	if (*upper)
		dio_run("rm -r %s", upper);
	if (*shared)
		dio_run("rm -r %s", shared);
}

void dio_places_make(void)
{
	maker = getpid();
	atexit(unmake);
	snprintf(base, sizeof(base), "/tmp/dmabuf-dio.XXXXXX");
	/* What is mounted here goes when the last process of the test does. */
	if (unshare(CLONE_NEWNS) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    !mkdtemp(base) || mount("none", base, "tmpfs", 0, "size=512m"))
		base_ret = -errno;
	dio_places_make_more(dio_places);
}

void dio_places_make_more(struct dio_place *const *place)
{
	for (; *place; place++) {
		(*place)->ret = base_ret ?: make(*place);
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
	char path[DIO_NAME + 16];
	int fd, flags = O_RDWR | O_CLOEXEC;

	if (place->named) {
		snprintf(path, sizeof(path), "%s/XXXXXX", place->path);
		fd = mkostemp(path, O_CLOEXEC);
	} else if (*place->path) {
		fd = open(place->path, place->device ? flags : flags | O_TMPFILE,
			  0600);
	} else {
		fd = memfd_create("dmabuf-dio", MFD_CLOEXEC);
	}
	return fd < 0 ? -errno : fd;
}
