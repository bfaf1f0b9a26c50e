// SPDX-License-Identifier: GPL-2.0
/* The heap's memory: how much of it, zeroed, and given up by who is killed. */

TEST_F(heap, lengths)
{
	static const struct {
		const char *name;
		size_t len;
		long want;
	} rows[] = {
		{ "0", 0, -EINVAL },
		{ "1", 1, PAGE },
		{ "777", 777, PAGE },
		{ "4095", 4095, PAGE },
		{ "4096", 4096, PAGE },
		{ "4097", 4097, 2 * PAGE },
		{ "12345", 12345, 4 * PAGE },
		{ "64K-1", 64 * DIO_KIB - 1, 64 * DIO_KIB },
		{ "64K", 64 * DIO_KIB, 64 * DIO_KIB },
		{ "64K+1", 64 * DIO_KIB + 1, 68 * DIO_KIB },
		{ "64K+4K", 68 * DIO_KIB, 68 * DIO_KIB },
		{ "128K-4K", 124 * DIO_KIB, 124 * DIO_KIB },
		{ "1M-4K", DIO_MIB - PAGE, DIO_MIB - PAGE },
		{ "1M", DIO_MIB, DIO_MIB },
		{ "1M+1", DIO_MIB + 1, DIO_MIB + PAGE },
		{ "1M+4K", DIO_MIB + PAGE, DIO_MIB + PAGE },
		{ "2M", 2 * DIO_MIB, 2 * DIO_MIB },
		{ "2M+64K+4K", 2 * DIO_MIB + 68 * DIO_KIB, 2 * DIO_MIB + 68 * DIO_KIB },
		{ "4M-1", 4 * DIO_MIB - 1, 4 * DIO_MIB },
		{ "32M", 32 * DIO_MIB, 32 * DIO_MIB },
		/* Rounded up, these are nothing. */
		{ "max", ULONG_MAX, -EINVAL },
		{ "max - 1", ULONG_MAX - 1, -EINVAL },
		{ "max - 4094", ULONG_MAX - 4094, -EINVAL },
	};
	unsigned char *map, *more;
	long ret;
	int i, fd;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		fd = heap_alloc(self->fd, rows[i].len, O_RDWR);
		ret = fd < 0 ? fd : sys(lseek(fd, 0, SEEK_END));
		OP(rows[i].want, ret, "%s", rows[i].name);
		if (ret <= 0)
			continue;
		OP(0, map_all(&map, ret, fd), "%s, mmap", rows[i].name);
		OP(1, is_filled(map, 0, ret), "%s, zeroed", rows[i].name);
		label(map, ret / PAGE);
		OP(0, wrong(map, 0, ret / PAGE), "%s, data", rows[i].name);
		OP(-EINVAL, map_all(&more, ret + 1, fd), "%s, mmap more", rows[i].name);
		munmap(map, ret);
		OP(1, close_from(self->next), "%s, descriptors", rows[i].name);
	}
}

/* Access mode of the descriptor against that of the map. */
TEST_F(heap, access_modes)
{
	static const char *const names[] = { "RDONLY", "WRONLY", "RDWR", "3" };
	static const struct {
		const char *name;
		int prot;
		long want[4];		/* per mode of the descriptor */
	} maps[] = {
		{ "none", PROT_NONE, { 0, -EACCES, 0, ANY } },
		{ "read", PROT_READ, { 0, -EACCES, 0, ANY } },
		{ "write", PROT_WRITE, { -EACCES, -EACCES, 0, ANY } },
		{ "both", RW, { -EACCES, -EACCES, 0, ANY } },
	};
	static const int upgrades[] = { PROT_READ, PROT_WRITE, PROT_EXEC };
	unsigned char *map;
	int fd, mode, i, n;
	bool fits;
	__u64 flags;
	long ret;

	for (mode = 0; mode < 4; mode++) {
		fd = heap_alloc(self->fd, 2 * PAGE, mode | O_CLOEXEC);
		OP(0, fd - self->next, "%s", names[mode]);
		for (i = 0; i < ARRAY_SIZE(maps); i++) {
			ret = map_fd(&map, 2 * PAGE, maps[i].prot, MAP_SHARED,
				     fd, 0);
			OP(maps[i].want[mode], ret, "%s, %s", names[mode], maps[i].name);
			if (ret)
				continue;
			for (n = 0; n < ARRAY_SIZE(upgrades); n++) {
				fits = upgrades[n] == PROT_READ ||
				       (upgrades[n] == PROT_WRITE && mode == O_RDWR);
				CALL(fits ? 0 : -EACCES, mprotect(map, PAGE, upgrades[n]),
				     "%s, %s, mprotect %d", names[mode], maps[i].name, upgrades[n]);
			}
			munmap(map, 2 * PAGE);
		}
		for (i = 0; i < ARRAY_SIZE(maps); i++) {
			ret = map_fd(&map, PAGE, maps[i].prot, MAP_PRIVATE, fd,
				     0);
			OP(mode == O_WRONLY ? -EACCES : ANY, ret, "%s, private %s", names[mode],
			   maps[i].name);
			if (!ret)
				munmap(map, PAGE);
		}
		for (flags = 1; flags < 8; flags++)
			OP(flags == 4 ? -EINVAL : 0, sync_flags(fd, flags), "%s, sync %d",
			   names[mode], (int)flags);
		CALL(2 * PAGE, lseek(fd, 0, SEEK_END), "%s, lseek", names[mode]);
		CALL(mode == O_RDONLY || mode == O_RDWR ? -EINVAL : -EBADF, read(fd, &flags, 8),
		     "%s, read", names[mode]);
		CALL(mode == O_WRONLY || mode == O_RDWR ? -EINVAL : -EBADF, write(fd, &flags, 8),
		     "%s, write", names[mode]);
		print_fdinfo(_metadata, fd, names[mode]);
		close(fd);
	}
}

static long heap_alloc_any(void *arg)
{
	return made(heap_alloc(*(int *)arg, 4 * DIO_MIB, O_RDWR));
}

/* What was allocated has to go. */
TEST_F(heap, no_descriptors)
{
	try_without_fds(_metadata, self->next, heap_alloc_any, &self->fd, 4 * DIO_MIB);
}

/* A private map of a page: one's own copy once it is written to. */
TEST_F(heap, private)
{
	static const size_t sizes[] = { 1, 2, 16, 17, 256, 257, 512 };
	unsigned char *shared, *map;
	int i, fd;
	long ret;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		fd = heap_alloc(self->fd, sizes[i] * PAGE, O_RDWR);
		ASSERT_LE(0, fd);
		ASSERT_EQ(0, map_all(&shared, sizes[i] * PAGE, fd));
		label(shared, sizes[i]);
		ret = map_fd(&map, sizes[i] * PAGE, RW, MAP_PRIVATE, fd, 0);
		/* More pages may not follow each other in memory. */
		OP(sizes[i] == 1 ? 0 : ANY, ret, "%zu pages", sizes[i]);
		if (!ret) {
			OP(0, wrong(map, 0, sizes[i]), "%zu pages, read", sizes[i]);
			OP(9, touch(map + 100, 9), "%zu pages, write", sizes[i]);
			OP(0, touch(shared + 100, -1), "%zu pages, shared", sizes[i]);
			OP(8, touch(shared + 100, 8), "%zu pages, write shared", sizes[i]);
			OP(9, touch(map + 100, -1), "%zu pages, still", sizes[i]);
			OP(0, wrong(map, 0, sizes[i]), "%zu pages, data", sizes[i]);
			munmap(map, sizes[i] * PAGE);
		}
		munmap(shared, sizes[i] * PAGE);
		close(fd);
	}
}

/* Memory that was somebody's secret comes back as zeros. */
TEST_F(heap, zeroed)
{
	static const size_t sizes[] = {
		PAGE, 2 * PAGE, 64 * DIO_KIB, 68 * DIO_KIB, DIO_MIB,
		DIO_MIB + PAGE, 16 * DIO_MIB,
	};
	int fds[ARRAY_SIZE(sizes)];
	unsigned char *map;
	int i, round;

	for (round = 0; round < 3; round++) {
		for (i = 0; i < ARRAY_SIZE(sizes); i++) {
			fds[i] = heap_alloc(self->fd, sizes[i], O_RDWR);
			ASSERT_LE(0, fds[i]);
			ASSERT_EQ(0, map_all(&map, sizes[i], fds[i]));
			OP(1, is_filled(map, 0, sizes[i]), "round %d, %zu", round, sizes[i]);
			memset(map, 0xa5 + round, sizes[i]);
			munmap(map, sizes[i]);
		}
		for (i = 0; i < ARRAY_SIZE(sizes); i++)
			close(fds[i]);
	}
}

static atomic_int alarms;

static void on_alarm(int sig)
{
	(void)sig;
	alarms++;
}

/*
 * Only a signal that kills may stop it. The alarm comes earlier each time, until
 * it has come while memory was allocated.
 */
TEST_F(heap, interrupted)
{
	struct sigaction act = { .sa_handler = on_alarm };
	const struct itimerval never = {};
	struct itimerval once;
	int i, came, looks;
	long usec, size;

	ASSERT_EQ(0, sigaction(SIGALRM, &act, NULL));
	for (i = 0; i < 4; i++) {
		usec = 4000;
		looks = 0;
		do {
			came = alarms;
			once = (struct itimerval){ .it_value.tv_usec = usec };
			ASSERT_EQ(0, setitimer(ITIMER_REAL, &once, NULL));
			size = made(heap_alloc(self->fd, 16 * DIO_MIB, O_RDWR));
			came = alarms - came;
			ASSERT_EQ(0, setitimer(ITIMER_REAL, &never, NULL));
			ASSERT_EQ(16 * DIO_MIB, size);
			usec = usec * 3 / 4 + 1;
		} while (!came && ++looks < DIO_LOOKS);
		OP(1, came, "alarms, round %d", i);
	}
}

static long mem_free(void)
{
	return dio_number("/proc/meminfo", "MemFree:") * DIO_KIB;
}

static long out_of_memory(void)
{
	return dio_number("/proc/vmstat", "oom_kill ");
}

static bool has_ended(pid_t pid)
{
	siginfo_t info = {};

	return !waitid(P_PID, pid, &info, WEXITED | WNOHANG | WNOWAIT) &&
	       info.si_pid;
}

/*
 * How a process ends that is killed while it allocates @len bytes, which are
 * more than there are; -EAGAIN if memory ended before that.
 */
static long kill_at_it(int heap, size_t len, long before)
{
	long ooms = out_of_memory(), ret;
	pid_t pid = fork();

	if (!pid) {
		/* Should memory end before the parent looks. */
		dio_write_file("/proc/self/oom_score_adj", "1000");
		_exit(-heap_alloc(heap, len, O_RDWR));
	}
	if (pid < 0)
		return -errno;
	/* Well on its way, unless it has given up. */
	dio_wait_for(before - mem_free() > (long)(256 * DIO_MIB) || has_ended(pid));
	kill(pid, SIGKILL);
	ret = wait_for(pid);
	return ret == -ENOMEM || out_of_memory() != ooms ? -EAGAIN : ret;
}

/* If it is killed it stops, well before memory ends, and gives all of it back. */
TEST_F(heap, killed)
{
	static const struct {
		const char *name;
		size_t len;
	} rows[] = {
		{ "1T", 1UL << 40 },
		{ "1T+4K", (1UL << 40) + PAGE },
		{ "2^62", 1UL << 62 },
		{ "max - 4095", ULONG_MAX - 4095 },
	};
	long before, ret;
	int i, looks;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		before = mem_free();
		looks = 0;
		do
			ret = kill_at_it(self->fd, rows[i].len, before);
		while (ret == -EAGAIN && ++looks < 100);
		OP(KILLED(SIGKILL), ret, "%s", rows[i].name);
		EXPECT_TRUE(dio_wait_for(before - mem_free() < (long)(64 * DIO_MIB)))
			TH_LOG("%ld bytes did not come back", before - mem_free());
	}
}
