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

# missing NAME: a test would be skipped if its disk is missing.  DIO_OUT/missing has
# the names of the variables, one in a line, for whoever runs the tests.
missing() {
	echo "lab: $1 is missing" >&2
	echo "$1" >>"$DIO_OUT/missing"
}

# disk_up NAME PATHS: sets $disk.  A path of a multipath disk has no node.
disk_up() {
	for block in /sys/block/nvme*n*; do
		disk=/dev/${block##*/}
		[ -b "$disk" ] || continue
		# Without a process: there are many to ask.
		read -r serial <"$block/device/serial"
		[ "$serial" = "dio-$1" ] || continue
		[ "$multipath" = Y ] || return 0
		paths=$2
		set -- "$block"/multipath/nvme*
		[ -e "$1" ] && [ $# = "$paths" ]
		return
	done
	return 1
}

# Disks are probed in the background, and their names depend on the order.
tries=600
multipath=$(cat /sys/module/nvme_core/parameters/multipath)
while read -r name variable _ _ _ paths _; do
	while ! disk_up "$name" "$paths" && [ "$tries" -gt 0 ]; do
		tries=$((tries - 1))
		sleep 0.1
	done
	if disk_up "$name" "$paths"; then
		export "$variable=$disk"
	else
		missing "$variable"
	fi
done <"$DIO_OUT/disks"
# Of what memmap= has set aside.
while [ ! -b /dev/pmem0 ] && [ "$tries" -gt 0 ]; do
	tries=$((tries - 1))
	sleep 0.1
done
if [ -b /dev/pmem0 ]; then
	export DIO_PMEM=/dev/pmem0
else
	missing DIO_PMEM
fi

# mount_disk VARIABLE TYPE DISK
mount_disk() {
	if mkdir "/mnt/$2" && mount -t "$2" "$3" "/mnt/$2"; then
		export "$1=/mnt/$2"
	else
		missing "$1"
	fi
}

# A kernel may have reasons for another kind of IOMMU than it was told to use.
type=$(cat /sys/class/nvme/nvme0/device/iommu_group/type 2>/dev/null)
case " $(cat /proc/cmdline) " in
*" intel_iommu=off "*) want_type='' ;;
*" iommu.strict=0 "*) want_type=DMA-FQ ;;
*" iommu.strict=1 "*) want_type=DMA ;;
*) want_type=$type ;;
esac
[ "$type" = "$want_type" ] || missing "IOMMU of type '$want_type' ('$type' is there)"

# QEMU's shared memory.
for pci in /sys/bus/pci/devices/*; do
	read -r vendor <"$pci/vendor"
	read -r device <"$pci/device"
	[ "$vendor:$device" != 0x1af4:0x1110 ] || export DIO_P2P="${pci##*/}"
done
[ -n "${DIO_P2P:-}" ] || missing DIO_P2P
# Of the host's /mnt only the mount points are in the way.
mount -t tmpfs none /mnt
mount_disk DIO_EXT4 ext4 "${DIO_EXT4_DEV:-}"
mount_disk DIO_XFS xfs "${DIO_XFS_DEV:-}"
mount_disk DIO_F2FS f2fs "${DIO_F2FS_DEV:-}"
for module in ${DIO_MODULES:+"$DIO_MODULES"/*.ko}; do
	insmod "$module" || echo "WARNING: insmod $module" >/dev/kmsg
done
