// SPDX-License-Identifier: GPL-2.0
/*
 * What user space sees of the system heap and of udmabuf, whoever wrote them.
 *
 * Both have twins in another language. Each operation here, bad ones above all,
 * prints its outcome in one line that is the same on every machine,
 *
 *	# op <exporter> <test> <operation>: <number, errno, signal or text>
 *
 * so that the lines of two kernels can be compared with diff. What has to hold
 * for any driver is expected as well; what is a matter of taste is only printed.
 *
 * The harness knows the tests of one file only, hence the includes.
 */
#define _GNU_SOURCE
#include "exporter/ops.h"

/* Any dma-buf, of three exporters. */
#include "exporter/buffer.c"
#include "exporter/file.c"
#include "exporter/ioctl.c"
#include "exporter/mmap.c"
#include "exporter/memory.c"
#include "exporter/share.c"
#include "exporter/device.c"

/* The exporters themselves. */
#include "exporter/node.c"
#include "exporter/heap.c"
#include "exporter/heap_memory.c"
#include "exporter/heap_cgroup.c"
#include "exporter/udmabuf.c"
#include "exporter/udmabuf_ioctl.c"
#include "exporter/udmabuf_list.c"
#include "exporter/udmabuf_limits.c"
#include "exporter/udmabuf_memfd.c"
#include "exporter/udmabuf_device.c"
#include "exporter/compat.c"

TEST_HARNESS_MAIN
