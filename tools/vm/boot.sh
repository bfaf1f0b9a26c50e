# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# Boots a kernel under QEMU by virtme-ng, with the root of this machine
# visible inside, and the test disks behind an emulated IOMMU.

# The disks of a boot, all sparse and fresh each time.  The serial number is "dio-"
# and the name.  guest.sh finds a disk by it, and sets the variable.
#
# Every disk is a multipath disk, with so many paths: each has an nvme-subsys, with
# which all versions of QEMU say that there can be more controllers.  With
# nvme_core.multipath=N on the command line, no disk is.
#
# mdts: a command has at most 2^mdts pages; 0 is no limit.
boot_disks='
name    variable       size block file-system paths mdts namespace
ext4    DIO_EXT4_DEV   8G   512   ext4        1     9
xfs     DIO_XFS_DEV    8G   4096  xfs         1     9
f2fs    DIO_F2FS_DEV   8G   512   f2fs        1     9
raw     DIO_RAW        8G   512   none        1     9
raw4k   DIO_RAW_4K     8G   4096  none        1     9
prp     DIO_RAW_PRP    8G   512   none        1     9
victim  DIO_VICTIM     64M  512   none        1     9
mpath   DIO_MPATH      64M  512   none        2     9
pi      DIO_PI         65M  512   none        1     9    ms=8,pi=1
zoned   DIO_ZONED      64M  512   none        1     9    zoned=on,zoned.zone_size=4M
nolimit DIO_RAW_MDTS0  64M  512   none        1     0
'

# boot_has NAME: is that disk in this boot?  The command line says it.
#
# Without multipath, two paths would be two disks.
#
# QEMU has 1024 vectors for a command, and behind an IOMMU each page takes one: 4 MiB
# that do not start at a page are one too many.  So mdts is 9, as newer versions
# refuse 10, and only a boot without an IOMMU has a disk without a limit.
boot_has() {
	case $1 in
	name|'') return 1 ;;
	mpath) case " ${boot_cmdline:-} " in *" nvme_core.multipath=N "*) return 1 ;; esac ;;
	nolimit) case " ${boot_cmdline:-} " in *" intel_iommu=off "*) ;; *) return 1 ;; esac ;;
	esac
}

# boot_image NAME SIZE BLOCK FILE-SYSTEM: sets $image.
boot_image() {
	image=$cache/disks/$1-$2
	[ -e "$image" ] && return
	mkdir -p "$cache/disks"
	rm -f "$image.new"
	truncate -s "$2" "$image.new" || return 1
	# Nothing is left to be initialised later: that would be I/O and CPU time
	# in the middle of a measurement.
	case $4 in
	ext4) mkfs.ext4 -q -b 4096 -E lazy_itable_init=0,lazy_journal_init=0 "$image.new" ;;
	xfs) mkfs.xfs -q -s size="$3" "$image.new" ;;
	f2fs) mkfs.f2fs -q -f "$image.new" >/dev/null ;;
	esac || return 1
	mv "$image.new" "$image"
}

boot_quote() {
	for word; do
		printf "'%s' " "$(printf '%s' "$word" | sed "s/'/'\\\\''/g")"
	done
}

# boot DIR COMMAND...: uses $boot_kernel, $boot_cmdline, $boot_icount,
# $boot_memory.  COMMAND's output and exit status are passed through; DIR keeps
# the console log, and is writable for the guest.
#
# $boot_cut: once that file is there, the power goes, and the disks stay in DIR:
# the next boot there has them.
boot() {
	boot_dir=$1
	shift
	mkdir -p "$boot_dir" && rm -f "$boot_dir/done" "$boot_dir/missing" && : >"$boot_dir/console" || return 1
	echo "$boot_disks" | while read -r name rest; do
		boot_has "$name" && echo "$name $rest"
	done >"$boot_dir/disks"
	# Modules are beside a kernel that has some.
	DIO_MODULES=''
	[ -z "$(find "${boot_kernel%/*}" -maxdepth 1 -name '*.ko')" ] || DIO_MODULES=${boot_kernel%/*}
	export DIO_MODULES
	set -- "$(boot_quote "$@")"
	{
		echo "#!/bin/sh"
		export -p | grep -E "^export (LANG|LC_ALL|PATH|TERM|DIO_[A-Z0-9_]*|LAB_[A-Z0-9_]*)="
		echo "cd $(boot_quote "$PWD") 2>/dev/null || cd /"
		echo "DIO_OUT=$(boot_quote "$boot_dir")"
		echo "export DIO_OUT"
		cat "$repo/tools/vm/guest.sh"
		echo "$1"
		# shellcheck disable=SC2016 # for the guest
		printf '%s\n' 'rc=$?' ': >"$DIO_OUT/done"' 'exit $rc'
	} >"$boot_dir/script"

	set -- --kimg "$boot_kernel" --mods none --disable-kvm --disable-microvm --force-9p \
		--memory "${boot_memory:-6G}" --rwdir "$boot_dir" \
		--kopt memmap=64M!512M --kopt console=hvc0 --kopt loglevel=7 --kopt panic=-1
	# Nothing changes on this machine's root: the guest can keep what it has read.
	# Programs start twice as fast.
	set -- "$@" --kopt "rootflags=version=9p2000.L,trans=virtio,access=any,msize=524288,cache=loose"
	# Before the virtio console is there, messages go to the serial port only.
	[ -z "${boot_show:-}" ] || set -- "$@" --show-boot-console
	for option in ${boot_cmdline:-}; do
		set -- "$@" --kopt "$option"
	done
	# With caching mode, as of an IOMMU that a hypervisor shadows, the kernel does not
	# unmap lazily.
	case " ${boot_cmdline:-} " in
	*" iommu.strict=0 "*) boot_caching=off ;;
	*) boot_caching=on ;;
	esac
	set -- "$@" --script-sh "exec sh $(boot_quote "$boot_dir/script")" --qemu-opts \
		-device "intel-iommu,intremap=on,caching-mode=$boot_caching,device-iotlb=on" \
		-chardev "file,id=klog,path=$boot_dir/console" -device virtio-serial-pci -device virtconsole,chardev=klog
	# Memory of a device, which a disk can reach if the CPU is one whose root
	# complex the kernel trusts with that: AMD's, since family 23.  Behind a port
	# of its own the device can be reset.
	set -- "$@" -cpu max,family=23 -object memory-backend-ram,id=p2p,size=16M,share=on \
		-device pcie-root-port,id=port-p2p,chassis=30,addr=0x1e -device ivshmem-plain,bus=port-p2p,memdev=p2p
	if [ -n "${boot_icount:-}" ]; then
		set -- "$@" -accel tcg,thread=single -icount shift=0,sleep=off -smp 1
	else
		set -- "$@" -accel tcg,thread=multi -smp "${boot_cpus:-2}"
	fi
	boot_addr=16
	while read -r name _ size block fs paths mdts format; do
		boot_image "$name" "$size" "$block" "$fs" || return 1
		[ -e "$boot_dir/$name.img" ] ||
			cp --sparse=always --reflink=auto "$image" "$boot_dir/$name.img" || return 1
		set -- "$@" -device "nvme-subsys,id=subsys-$name"
		path=1
		while [ "$path" -le "$paths" ]; do
			set -- "$@" -device "nvme,id=$name-$path,subsys=subsys-$name,serial=dio-$name,mdts=$mdts,addr=$(printf '%#x' "$boot_addr")"
			path=$((path + 1)) boot_addr=$((boot_addr + 1))
		done
		set -- "$@" -drive "if=none,id=$name,format=raw,cache=unsafe,discard=unmap,file=$boot_dir/$name.img" \
			-device "nvme-ns,bus=$name-1,drive=$name,logical_block_size=$block,physical_block_size=$block${format:+,$format}"
	done <"$boot_dir/disks"

	# QEMU opens its standard descriptors anew: pipes can stand that, whatever
	# our own are.  timeout puts QEMU into a process group that can be ended.
	rm -f "$boot_dir/out" "$boot_dir/err"
	mkfifo "$boot_dir/out" "$boot_dir/err" || return 1
	cat <"$boot_dir/out" &
	boot_out=$!
	cat <"$boot_dir/err" >&2 &
	boot_err=$!
	timeout -k 10 "${boot_timeout:-86400}" "$vng" "$@" </dev/null >"$boot_dir/out" 2>"$boot_dir/err" &
	boot_vm=$!
	trap 'kill $boot_vm; boot_clean; exit 130' INT TERM HUP
	if [ -n "${boot_cut:-}" ]; then
		while [ ! -e "$boot_cut" ] && kill -0 "$boot_vm" 2>/dev/null; do sleep 0.1; done
		kill -s KILL -- "-$boot_vm" 2>/dev/null
	fi
	boot_rc=0
	wait "$boot_vm" || boot_rc=$?
	wait "$boot_out" "$boot_err"
	trap 'exit 130' INT TERM HUP
	boot_clean
	if [ "$boot_rc" = 255 ] || [ "$boot_rc" = 124 ] && [ ! -e "$boot_dir/done" ]; then
		tail -n 25 "$boot_dir/console" | sed 's/^/  | /' >&2
		if [ "$boot_rc" = 124 ]; then
			say "the guest took more than $boot_timeout s and was ended"
		else
			say "the guest died; its console: $boot_dir/console"
		fi
	fi
	return "$boot_rc"
}

boot_clean() {
	rm -f "$boot_dir/out" "$boot_dir/err"
	[ -n "${boot_cut:-}" ] || rm -f "$boot_dir"/*.img
}
