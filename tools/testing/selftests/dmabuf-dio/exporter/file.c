// SPDX-License-Identifier: GPL-2.0
/* What a buffer is to calls that take any file, and its name. */

static const char *link_of(int fd)
{
	static char text[PATH_MAX];
	char path[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, text, sizeof(text) - 1);
	text[n < 0 ? 0 : n] = 0;
	return text;
}

TEST_F(buffer, identity)
{
	static const struct {
		const char *name;
		off_t off;
		int whence;
		long want;		/* 1 for the size */
	} seeks[] = {
		{ "SEEK_END 0",		0, SEEK_END, 1 },
		{ "SEEK_SET 0",		0, SEEK_SET, 0 },
		{ "SEEK_CUR 0",		0, SEEK_CUR, -EINVAL },
		{ "SEEK_END 1",		1, SEEK_END, -EINVAL },
		{ "SEEK_END -1",	-1, SEEK_END, -EINVAL },
		{ "SEEK_END min",	LONG_MIN, SEEK_END, -EINVAL },
		{ "SEEK_SET 1",		1, SEEK_SET, -EINVAL },
		{ "SEEK_SET 4096",	4096, SEEK_SET, -EINVAL },
		{ "SEEK_SET -1",	-1, SEEK_SET, -EINVAL },
		{ "SEEK_SET max",	LONG_MAX, SEEK_SET, -EINVAL },
		{ "SEEK_DATA 0",	0, SEEK_DATA, -EINVAL },
		{ "SEEK_HOLE 0",	0, SEEK_HOLE, -EINVAL },
		{ "whence 9",		0, 9, -EINVAL },
	};
	struct stat st;
	int copy, i;

	for (i = 0; i < ARRAY_SIZE(seeks); i++)
		CALL(seeks[i].want == 1 ? (long)self->buf.size : seeks[i].want,
		     lseek(self->fd, seeks[i].off, seeks[i].whence), "lseek %s", seeks[i].name);

	CALL(0, fstat(self->fd, &st), "fstat");
	OP(self->buf.size, st.st_size, "st_size");
	OP(self->buf.size / 512, st.st_blocks, "st_blocks");
	OP(ANY, st.st_mode, "st_mode");
	OP(ANY, st.st_blksize, "st_blksize");
	OP(ANY, st.st_nlink, "st_nlink");
	OP(O_RDWR, sys(fcntl(self->fd, F_GETFL)) & O_ACCMODE, "F_GETFL access");
	CALL(ANY, fcntl(self->fd, F_GETFL), "F_GETFL");
	CALL(FD_CLOEXEC, fcntl(self->fd, F_GETFD), "F_GETFD");
	SAY("/dmabuf:", link_of(self->fd), "link");

	print_fdinfo(_metadata, self->fd, "mapped");
	munmap(self->buf.map, self->buf.size);
	self->buf.map = NULL;
	print_fdinfo(_metadata, self->fd, "unmapped");
	copy = dup(self->fd);
	print_fdinfo(_metadata, self->fd, "dup");
	close(copy);
	print_fdinfo(_metadata, self->fd, "dup closed");
}

TEST_F(buffer, calls)
{
	char path[64], bytes[16] = "";
	struct iovec iov = { bytes, sizeof(bytes) };
	int fd = self->fd, other, pipes[2];
	struct flock lock = { .l_type = F_WRLCK };
	loff_t off = 0, to;

	other = memfd_create("other", MFD_CLOEXEC);
	ASSERT_LE(0, other);
	ASSERT_EQ(0, ftruncate(other, PAGE));
	ASSERT_EQ(0, pipe(pipes));

	CALL(-EINVAL, read(fd, bytes, 16), "read");
	CALL(-EINVAL, read(fd, bytes, 0), "read nothing");
	CALL(-EINVAL, write(fd, bytes, 16), "write");
	CALL(-EINVAL, write(fd, bytes, 0), "write nothing");
	CALL(ANY, pread(fd, bytes, 16, 0), "pread");
	CALL(ANY, pwrite(fd, bytes, 16, 0), "pwrite");
	CALL(ANY, preadv(fd, &iov, 1, 0), "preadv");
	CALL(ANY, pwritev(fd, &iov, 1, 0), "pwritev");
	CALL(-EINVAL, readv(fd, &iov, 1), "readv");
	/* To another file and back, so that nothing changes */
	CALL(16, sendfile(other, fd, &off, 16), "sendfile from");
	off = 0;
	CALL(16, sendfile(fd, other, &off, 16), "sendfile to");
	off = 0;
	to = 0;
	CALL(16, copy_file_range(fd, &off, other, &to, 16, 0), "copy_file_range from");
	off = 0;
	to = 0;
	CALL(16, copy_file_range(other, &off, fd, &to, 16, 0), "copy_file_range to");
	off = 0;
	CALL(16, splice(fd, &off, pipes[1], NULL, 16, 0), "splice to pipe");
	off = 0;
	CALL(16, splice(pipes[0], NULL, fd, &off, 16, 0), "splice from pipe");
	CALL(ANY, ftruncate(fd, 0), "ftruncate 0");
	CALL(ANY, ftruncate(fd, 2 * self->buf.size), "ftruncate more");
	CALL(ANY, fallocate(fd, 0, 0, PAGE), "fallocate");
	CALL(ANY, fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE),
	     "fallocate hole");
	CALL(ANY, posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), "fadvise");
	CALL(ANY, readahead(fd, 0, PAGE), "readahead");
	CALL(ANY, sync_file_range(fd, 0, PAGE, 0), "sync_file_range");
	CALL(-EINVAL, fsync(fd), "fsync");
	CALL(-EINVAL, fdatasync(fd), "fdatasync");
	CALL(ANY, syncfs(fd), "syncfs");
	CALL(ANY, fchmod(fd, 0600), "fchmod");
	CALL(ANY, flock(fd, LOCK_EX | LOCK_NB), "flock");
	CALL(ANY, fcntl(fd, F_SETLK, &lock), "F_SETLK");
	CALL(-EINVAL, fcntl(fd, F_GET_SEALS), "F_GET_SEALS");
	CALL(-EINVAL, fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), "F_ADD_SEALS");
	CALL(0, fcntl(fd, F_SETFL, O_NONBLOCK), "F_SETFL O_NONBLOCK");
	CALL(-EINVAL, fcntl(fd, F_SETFL, O_DIRECT), "F_SETFL O_DIRECT");
	CALL(ANY, fcntl(fd, F_SETFL, O_APPEND), "F_SETFL O_APPEND");
	CALL(ANY, fcntl(fd, F_SETFL, O_ASYNC), "F_SETFL O_ASYNC");
	CALL(0, fcntl(fd, F_SETFL, 0), "F_SETFL 0");
	CALL(ANY, fcntl(fd, F_SETLEASE, F_RDLCK), "F_SETLEASE");
	CALL(-ENOTDIR, fchdir(fd), "fchdir");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	CALL(-ENXIO, open(path, O_RDONLY), "open the link");
	CALL(-ENXIO, open(path, O_RDWR), "open the link O_RDWR");
	other = open(path, O_PATH);
	CALL(-EBADF, ioctl(other, DMA_BUF_SET_NAME_A, "x"), "O_PATH ioctl");
	OP(0, wrong(self->buf.map, 0, self->pages), "data");
}

TEST_F(buffer, names)
{
	static const struct {
		const char *name;
		const char *what;
		long want;
	} names[] = {
		{ "a name", "plain", 0 },
		{ "another name", "again", 0 },
		{ "", "empty", 0 },
		{ "1234567890123456789012345678901", "31", 0 },
		{ "12345678901234567890123456789012", "32", -EINVAL },
		{ "123456789012345678901234567890123", "33", -EINVAL },
		{ "with\nlines\t", "control", 0 },
		{ "last", "last", 0 },
	};
	static const unsigned int numbers[] = {
		DMA_BUF_SET_NAME_A, DMA_BUF_SET_NAME_B,
	};
	unsigned char *page = last_page();
	int i, n;

	for (n = 0; n < 2; n++) {
		for (i = 0; i < ARRAY_SIZE(names); i++)
			CALL(names[i].want, ioctl(self->fd, numbers[n], names[i].name), "%c %s",
			     'A' + n, names[i].what);
		SAY("/dmabuf:last", link_of(self->fd), "%c link", 'A' + n);
		CALL(-EFAULT, ioctl(self->fd, numbers[n], NULL), "%c NULL", 'A' + n);
		CALL(-EFAULT, ioctl(self->fd, numbers[n], KERNEL_ADDRESS), "%c kernel address",
		     'A' + n);
		memset(page, 'x', PAGE);
		CALL(-EFAULT, ioctl(self->fd, numbers[n], page + PAGE - 8), "%c without end",
		     'A' + n);
		CALL(-EINVAL, ioctl(self->fd, numbers[n], page), "%c long", 'A' + n);
	}
	CALL(-ENOTTY, ioctl(self->fd, _IOW(DMA_BUF_BASE, 1, __u16), "x"), "size 2");
	CALL(-ENOTTY, ioctl(self->fd, _IO(DMA_BUF_BASE, 1), "x"), "size 0");
	print_fdinfo(_metadata, self->fd, "named");
}
