// SPDX-License-Identifier: GPL-2.0
/* What the descriptors of devices do that have nothing but ioctls. */

struct node_op {
	const char *name;
	int flags;
	long want;
};

static void node_calls(struct __test_metadata *_metadata, const char *path,
		       long seek)
{
	static const struct node_op opens[] = {
		{ "O_RDONLY", O_RDONLY },
		{ "O_WRONLY", O_WRONLY },
		{ "O_RDWR", O_RDWR },
		{ "O_ACCMODE", O_ACCMODE },
		{ "O_RDWR O_NONBLOCK", O_RDWR | O_NONBLOCK },
		{ "O_RDWR O_APPEND", O_RDWR | O_APPEND },
		{ "O_RDWR O_TRUNC", O_RDWR | O_TRUNC },
		{ "O_RDWR O_SYNC", O_RDWR | O_SYNC },
		{ "O_RDWR O_DIRECT", O_RDWR | O_DIRECT, -EINVAL },
		{ "O_DIRECTORY", O_RDONLY | O_DIRECTORY, -ENOTDIR },
		{ "O_CREAT O_EXCL", O_RDWR | O_CREAT | O_EXCL, -EEXIST },
		{ "O_PATH", O_PATH },
	};
	struct pollfd p = { .events = POLLIN | POLLOUT };
	unsigned char *map;
	char byte = 0;
	struct stat st;
	int i, fd;

	ASSERT_EQ(0, stat(path, &st));
	OP(ANY, st.st_mode, "st_mode");
	for (i = 0; i < ARRAY_SIZE(opens); i++) {
		fd = open(path, opens[i].flags | O_CLOEXEC, 0600);
		OP(opens[i].want, fd < 0 ? -errno : 0, "open %s", opens[i].name);
		if (fd >= 0)
			close(fd);
	}

	fd = open(path, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, fd);
	CALL(-EINVAL, read(fd, &byte, 1), "read");
	CALL(-EINVAL, write(fd, &byte, 1), "write");
	CALL(ANY, pread(fd, &byte, 1, 0), "pread");
	CALL(ANY, pwrite(fd, &byte, 1, 0), "pwrite");
	CALL(seek, lseek(fd, 0, SEEK_END), "lseek");
	CALL(seek, lseek(fd, 0, SEEK_SET), "lseek to start");
	OP(-ENODEV, map_all(&map, PAGE, fd), "mmap");
	OP(-ENODEV, map_fd(&map, PAGE, RW, MAP_PRIVATE, fd, 0), "mmap private");
	CALL(-EINVAL, fsync(fd), "fsync");
	CALL(-EINVAL, ftruncate(fd, 0), "ftruncate");
	CALL(ANY, fallocate(fd, 0, 0, PAGE), "fallocate");
	p.fd = fd;
	CALL(1, poll(&p, 1, 0), "poll");
	OP(POLLIN | POLLOUT, p.revents, "poll says");
	CALL(ANY, fcntl(fd, F_SETFL, O_ASYNC), "F_SETFL O_ASYNC");
	CALL(ANY, fcntl(fd, F_SETFL, O_DIRECT), "F_SETFL O_DIRECT");
	print_fdinfo(_metadata, fd, "node");
	close(fd);
}
