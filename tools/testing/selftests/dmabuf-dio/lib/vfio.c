// SPDX-License-Identifier: GPL-2.0
/* dma-bufs of the memory of a PCI device, by vfio-pci. */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/pci_regs.h>
#include <linux/vfio.h>

#include "dio.h"

#define DRIVER	"/sys/bus/pci/drivers/vfio-pci"

static int write_device(const struct dio_vfio *dev, const char *file,
			const char *text)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/%s", dev->pci,
		 file);
	return dio_write_file(path, "%s", text);
}

/* The name of its node, which is there while the driver has the device. */
static int find_node(const struct dio_vfio *dev, char *node, size_t size)
{
	struct dirent *entry;
	char path[128];
	int ret = -ENODEV;
	DIR *dir;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/vfio-dev",
		 dev->pci);
	dir = opendir(path);
	while (dir && (entry = readdir(dir)))
		if (!strncmp(entry->d_name, "vfio", 4)) {
			snprintf(node, size, "/dev/vfio/devices/%s",
				 entry->d_name);
			ret = 0;
		}
	if (dir)
		closedir(dir);
	return ret;
}

static int take_device(const struct dio_vfio *dev, char *node, size_t size)
{
	int ret;

	if (!find_node(dev, node, size))
		return 0;
	if (access(DRIVER, F_OK))
		return dio_skip("no vfio-pci in this kernel");
	ret = write_device(dev, "driver_override", "vfio-pci");
	if (ret)
		return ret;
	write_device(dev, "driver/unbind", dev->pci);
	/* An error here is the driver's. */
	dio_write_file("/sys/bus/pci/drivers_probe", "%s", dev->pci);
	if (find_node(dev, node, size))
		return dio_skip("vfio-pci does not take %s: no IOMMU?",
				dev->pci);
	return 0;
}

static void give_back_device(const struct dio_vfio *dev)
{
	dio_write_file(DRIVER "/unbind", "%s", dev->pci);
	write_device(dev, "driver_override", "\n");
}

static int find_region(const struct dio_vfio *dev, int index, off_t *offset,
		       size_t *size)
{
	struct vfio_region_info info = {
		.argsz = sizeof(info),
		.index = index,
	};

	if (ioctl(dev->fd, VFIO_DEVICE_GET_REGION_INFO, &info))
		return -errno;
	*offset = info.offset;
	*size = info.size;
	return info.size ? 0 : -ENXIO;
}

int dio_vfio_open(struct dio_vfio *dev)
{
	struct vfio_device_bind_iommufd bind = { .argsz = sizeof(bind) };
	const char *pci = getenv("DIO_P2P");
	char node[PATH_MAX];
	size_t size;
	int ret;

	*dev = (struct dio_vfio){ .fd = -1, .iommufd = -1 };
	if (!pci || !*pci)
		return dio_skip("DIO_P2P is not set");
	snprintf(dev->pci, sizeof(dev->pci), "%s", pci);
	dev->iommufd = open("/dev/iommu", O_RDWR | O_CLOEXEC);
	if (dev->iommufd < 0)
		return dio_skip("no iommufd in this kernel");
	ret = take_device(dev, node, sizeof(node));
	if (ret)
		return ret;
	dev->fd = open(node, O_RDWR | O_CLOEXEC);
	if (dev->fd < 0)
		return -errno;
	bind.iommufd = dev->iommufd;
	if (ioctl(dev->fd, VFIO_DEVICE_BIND_IOMMUFD, &bind))
		return -errno;
	return find_region(dev, VFIO_PCI_CONFIG_REGION_INDEX, &dev->config,
			   &size) ?:
	       find_region(dev, VFIO_PCI_BAR2_REGION_INDEX, &dev->memory,
			   &dev->size) ?:
	       dio_vfio_enable(dev, true);
}

void dio_vfio_close(struct dio_vfio *dev)
{
	if (dev->fd >= 0)
		close(dev->fd);
	if (*dev->pci)
		give_back_device(dev);
	if (dev->iommufd >= 0)
		close(dev->iommufd);
	*dev = (struct dio_vfio){ .fd = -1, .iommufd = -1 };
}

int dio_vfio_enable(const struct dio_vfio *dev, bool on)
{
	off_t at = dev->config + PCI_COMMAND;
	__u16 command;

	if (pread(dev->fd, &command, sizeof(command), at) != sizeof(command))
		return -errno;
	if (on)
		command |= PCI_COMMAND_MEMORY;
	else
		command &= ~PCI_COMMAND_MEMORY;
	if (pwrite(dev->fd, &command, sizeof(command), at) != sizeof(command))
		return -errno;
	return 0;
}

int dio_vfio_reset(const struct dio_vfio *dev)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };

	if (ioctl(dev->fd, VFIO_DEVICE_GET_INFO, &info))
		return -errno;
	if (!(info.flags & VFIO_DEVICE_FLAGS_RESET))
		return dio_skip("%s cannot be reset", dev->pci);
	return ioctl(dev->fd, VFIO_DEVICE_RESET) ? -errno : 0;
}

static int export(const struct dio_vfio *dev, const struct dio_range *range,
		  int nr)
{
	struct vfio_device_feature_dma_buf *dma_buf;
	struct vfio_device_feature *feature;
	size_t size;
	int i, ret;

	size = sizeof(*feature) + sizeof(*dma_buf) +
	       nr * sizeof(dma_buf->dma_ranges[0]);
	feature = calloc(1, size);
	if (!feature)
		return -ENOMEM;
	feature->argsz = size;
	feature->flags = VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_DMA_BUF;
	dma_buf = (void *)feature->data;
	dma_buf->region_index = VFIO_PCI_BAR2_REGION_INDEX;
	dma_buf->open_flags = O_RDWR | O_CLOEXEC;
	dma_buf->nr_ranges = nr;
	for (i = 0; i < nr; i++) {
		dma_buf->dma_ranges[i].offset = range[i].off;
		dma_buf->dma_ranges[i].length = range[i].len;
	}
	ret = ioctl(dev->fd, VFIO_DEVICE_FEATURE, feature);
	if (ret < 0)
		ret = -errno;
	free(feature);
	return ret;
}

int dio_vfio_buf(const struct dio_vfio *dev, const struct dio_range *range,
		 int nr, struct dio_buf *buf)
{
	size_t at = 0;
	int i;

	*buf = (struct dio_buf){ .fd = -1, .memfd = -1, .hugepages = -1 };
	for (i = 0; i < nr; i++)
		buf->size += range[i].len;
	buf->fd = export(dev, range, nr);
	if (buf->fd == -ENOTTY)
		return dio_skip("no dma-bufs of vfio-pci in this kernel");
	if (buf->fd < 0)
		return buf->fd;

	/* The dma-buf has no mmap of its own: piece by piece, by the device. */
	buf->map = mmap(NULL, buf->size, PROT_NONE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (buf->map == MAP_FAILED) {
		buf->map = NULL;
		return -errno;
	}
	for (i = 0; i < nr; i++) {
		if (mmap(buf->map + at, range[i].len, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_FIXED, dev->fd,
			 dev->memory + range[i].off) == MAP_FAILED)
			return -errno;
		at += range[i].len;
	}
	return 0;
}
