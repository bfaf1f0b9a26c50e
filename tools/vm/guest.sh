# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# Inside the guest, before the command: mount the test disks, and say in the
# environment where they are.  Device names depend on probing: go by serial.
mount -t debugfs none /sys/kernel/debug 2>/dev/null
mount -t tracefs none /sys/kernel/tracing 2>/dev/null
# Tests want to write to /tmp.  DIO_OUT may be below it.
mkdir -p /run/lab/out /run/lab/tmp
mount --bind "$DIO_OUT" /run/lab/out
mount -t tmpfs none /run/lab/tmp && mkdir /run/lab/tmp/upper /run/lab/tmp/work
mount -t overlay -o lowerdir=/tmp,upperdir=/run/lab/tmp/upper,workdir=/run/lab/tmp/work none /tmp
chmod 1777 /tmp
case $DIO_OUT in /tmp/*) mount --bind /run/lab/out "$DIO_OUT" ;; esac
for block in /sys/block/nvme*n*; do
	[ -e "$block/size" ] || continue
	case $block in *c[0-9]*n*) continue ;; esac
	serial=$(tr -d ' ' <"$block/device/serial")
	case $serial in
	dio-ext4) DIO_EXT4_DEV=/dev/${block##*/} ;;
	dio-xfs) DIO_XFS_DEV=/dev/${block##*/} ;;
	dio-f2fs) DIO_F2FS_DEV=/dev/${block##*/} ;;
	dio-raw) DIO_RAW=/dev/${block##*/} ;;
	dio-raw4k) DIO_RAW_4K=/dev/${block##*/} ;;
	dio-prp) DIO_RAW_PRP=/dev/${block##*/} ;;
	dio-victim) DIO_VICTIM=/dev/${block##*/} ;;
	esac
done
# Of the host's /mnt only the mount points are in the way.
mount -t tmpfs none /mnt && mkdir -p /mnt/ext4 /mnt/xfs /mnt/f2fs
DIO_EXT4=/mnt/ext4 DIO_XFS=/mnt/xfs DIO_F2FS=/mnt/f2fs
mount -t ext4 "$DIO_EXT4_DEV" "$DIO_EXT4" && mount -t xfs "$DIO_XFS_DEV" "$DIO_XFS" &&
	mount -t f2fs "$DIO_F2FS_DEV" "$DIO_F2FS" ||
	echo "lab: the test disks cannot be mounted" >&2
[ -b /dev/pmem0 ] && DIO_PMEM=/dev/pmem0
export DIO_PMEM DIO_EXT4 DIO_XFS DIO_F2FS DIO_EXT4_DEV DIO_XFS_DEV DIO_F2FS_DEV DIO_RAW DIO_RAW_4K DIO_RAW_PRP DIO_VICTIM
