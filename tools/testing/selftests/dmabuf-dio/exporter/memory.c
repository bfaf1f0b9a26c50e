// SPDX-License-Identifier: GPL-2.0
/* What the calls for memory do to that of a buffer. */

TEST_F(buffer, advice)
{
	static const struct {
		const char *name;
		int advice;
		long want;
	} rows[] = {
		{ "NORMAL", MADV_NORMAL, 0 },
		{ "RANDOM", MADV_RANDOM, 0 },
		{ "SEQUENTIAL", MADV_SEQUENTIAL, 0 },
		{ "WILLNEED", MADV_WILLNEED, ANY },
		{ "DONTNEED", MADV_DONTNEED, -EINVAL },
		{ "DONTNEED_LOCKED", MADV_DONTNEED_LOCKED, -EINVAL },
		{ "FREE", MADV_FREE, -EINVAL },
		{ "REMOVE", MADV_REMOVE, ANY },
		{ "DONTFORK", MADV_DONTFORK, 0 },
		{ "DOFORK", MADV_DOFORK, ANY },
		{ "MERGEABLE", MADV_MERGEABLE, ANY },
		{ "UNMERGEABLE", MADV_UNMERGEABLE, ANY },
		{ "HUGEPAGE", MADV_HUGEPAGE, ANY },
		{ "NOHUGEPAGE", MADV_NOHUGEPAGE, ANY },
		{ "COLLAPSE", MADV_COLLAPSE, -EINVAL },
		{ "DONTDUMP", MADV_DONTDUMP, 0 },
		{ "DODUMP", MADV_DODUMP, -EINVAL },
		{ "WIPEONFORK", MADV_WIPEONFORK, -EINVAL },
		{ "KEEPONFORK", MADV_KEEPONFORK, ANY },
		{ "COLD", MADV_COLD, -EINVAL },
		{ "PAGEOUT", MADV_PAGEOUT, -EINVAL },
		{ "POPULATE_READ", MADV_POPULATE_READ, ANY },
		{ "POPULATE_WRITE", MADV_POPULATE_WRITE, ANY },
		{ "GUARD_INSTALL", 102, -EINVAL },
		{ "GUARD_REMOVE", 103, ANY },
		{ "99", 99, -EINVAL },
	};
	size_t n = self->pages;
	unsigned char *map;
	int i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		ASSERT_EQ(0, map_all(&map, self->buf.size, self->fd));
		CALL(rows[i].want, madvise(map + 3 * PAGE, 10 * PAGE, rows[i].advice), "%s",
		     rows[i].name);
		OP(0, wrong(map, 0, n), "%s, data", rows[i].name);
		CALL(rows[i].want, madvise(map, self->buf.size, rows[i].advice), "%s touched",
		     rows[i].name);
		OP(0, wrong(map, 0, n), "%s touched, data", rows[i].name);
		munmap(map, self->buf.size);
	}
}

/* One line of smaps, or the line of maps, for the area at @at. */
static const char *area(unsigned char *at, const char *key)
{
	static char text[512];
	unsigned long start, end;
	bool inside = false;
	char line[512];
	FILE *f;
	int n;

	snprintf(text, sizeof(text), "missing");
	f = fopen("/proc/self/smaps", "r");
	if (!f)
		return text;
	while (fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = 0;
		if (sscanf(line, "%lx-%lx %n", &start, &end, &n) == 2) {
			inside = start <= (unsigned long)at &&
				 (unsigned long)at < end;
			if (inside && !strcmp(key, "perms")) {
				/* And the offset. */
				snprintf(text, 14, "%s", line + n);
				break;
			}
		} else if (inside && !strncmp(line, key, strlen(key))) {
			n = strlen(key);
			n += strspn(line + n, ": ");
			snprintf(text, sizeof(text), "%s", line + n);
			break;
		}
	}
	fclose(f);
	return text;
}

TEST_F(buffer, memory)
{
	static const char *const keys[] = {
		"perms", "Rss", "Pss", "Shared_Clean", "Private_Dirty", "Referenced",
		"Anonymous", "Locked", "THPeligible", "VmFlags",
	};
	unsigned char *map = self->buf.map, *fresh, vec[4];
	size_t n = self->pages, size = self->buf.size;
	struct iovec local, remote;
	char bytes[64];
	int mem, pipes[2], i;

	ASSERT_EQ(0, map_all(&fresh, size, self->fd));
	for (i = 0; i < ARRAY_SIZE(keys); i++) {
		SAY(NULL, area(map, keys[i]), "smaps %s touched", keys[i]);
		SAY(NULL, area(fresh, keys[i]), "smaps %s fresh", keys[i]);
	}
	CALL(ANY, mincore(fresh, 4 * PAGE, vec), "mincore fresh");
	OP(ANY, vec[3], "mincore fresh says");
	CALL(ANY, mincore(map, 4 * PAGE, vec), "mincore touched");
	OP(ANY, vec[3], "mincore touched says");
	CALL(ANY, mlock(map, size), "mlock touched");
	CALL(ANY, mlock(fresh, 5 * PAGE), "mlock fresh");
	CALL(ANY, mlock2(fresh, 5 * PAGE, MLOCK_ONFAULT), "mlock on fault");
	CALL(ANY, munlock(map, size), "munlock touched");
	CALL(ANY, munlock(fresh, 5 * PAGE), "munlock fresh");
	CALL(ANY, msync(map, size, MS_ASYNC), "msync async");
	CALL(ANY, msync(map, size, MS_SYNC), "msync sync");
	CALL(ANY, msync(map, size, MS_SYNC | MS_INVALIDATE), "msync invalidate");
	CALL(ANY, syscall(SYS_remap_file_pages, map, PAGE, 0, 5, 0), "remap_file_pages");
	munmap(fresh, size);
	CALL(0, munmap(map, size), "munmap");
	ASSERT_EQ(0, map_all(&map, size, self->fd));
	self->buf.map = map;

	/* Whoever wants the pages does not get them; copies are fine. */
	mem = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	CALL(ANY, pread(mem, bytes, 64, (off_t)map), "read by /proc");
	CALL(ANY, pwrite(mem, bytes, 64, (off_t)map + 8), "write by /proc");
	close(mem);
	local = (struct iovec){ bytes, sizeof(bytes) };
	remote = (struct iovec){ map, sizeof(bytes) };
	CALL(ANY, process_vm_readv(getpid(), &local, 1, &remote, 1, 0), "process_vm_readv");
	ASSERT_EQ(0, pipe(pipes));
	CALL(-EFAULT, vmsplice(pipes[1], &remote, 1, 0), "vmsplice");
	CALL(ANY, syscall(SYS_futex, map, FUTEX_WAKE, 1, NULL, NULL, 0), "futex");
	CALL(64, write(pipes[1], map + PAGE - 32, 64), "write from map");
	CALL(64, read(pipes[0], map + 2 * PAGE - 32, 64), "read to map");
	OP(1, !memcmp(map + PAGE - 32, map + 2 * PAGE - 32, 64), "copied");
	label(map, 3);
	ASSERT_EQ(0, map_all(&fresh, size, self->fd));
	munmap(fresh + PAGE, PAGE);
	CALL(-EFAULT, write(pipes[1], fresh + PAGE - 32, 64), "write from beyond the map");
	munmap(fresh, size);
	OP(0, wrong(map, 0, n), "data");
}
