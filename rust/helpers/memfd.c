// SPDX-License-Identifier: GPL-2.0

#include <linux/fs.h>
#include <linux/hugetlb.h>
#include <linux/memfd.h>
#include <linux/shmem_fs.h>

__rust_helper bool rust_helper_shmem_file(struct file *file)
{
	return shmem_file(file);
}

__rust_helper bool rust_helper_is_file_hugepages(const struct file *file)
{
	return is_file_hugepages(file);
}

#ifndef CONFIG_MEMFD_CREATE
__rust_helper long rust_helper_memfd_fcntl(struct file *file, unsigned int cmd,
					   unsigned int arg)
{
	return memfd_fcntl(file, cmd, arg);
}

__rust_helper struct file *rust_helper_memfd_alloc_file(const char *name,
							unsigned int flags)
{
	return memfd_alloc_file(name, flags);
}
#endif
