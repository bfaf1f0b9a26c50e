# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# Boots a kernel under QEMU by virtme-ng, with the root of this machine
# visible inside, and the test disks behind an emulated IOMMU.

# The disks, by the serial number they carry: name, logical block size, file
# system.  All sparse, all fresh at every boot.
boot_disks='
ext4 512 ext4
xfs 4096 xfs
f2fs 512 f2fs
raw 512 none
raw4k 4096 none
prp 512 none
victim 512 none
'
boot_disk_size=8G

boot_image() {
	image=$cache/disks/$1-$boot_disk_size
	[ -e "$image" ] && return
	mkdir -p "$cache/disks"
	rm -f "$image.new"
	truncate -s "$boot_disk_size" "$image.new" || return 1
	# Nothing is left to be initialised later: that would be I/O and CPU time
	# in the middle of a measurement.
	case $3 in
	ext4) mkfs.ext4 -q -b 4096 -E lazy_itable_init=0,lazy_journal_init=0 "$image.new" ;;
	xfs) mkfs.xfs -q -s size="$2" "$image.new" ;;
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
	mkdir -p "$boot_dir" && rm -f "$boot_dir/done" && : >"$boot_dir/console" || return 1
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
		--kopt memmap=64M!512M --kopt console=hvc0 --kopt "loglevel=${boot_loglevel:-7}" --kopt panic=-1
	# Before the virtio console is there, messages go to the serial port only.
	[ -z "${boot_show:-}" ] || set -- "$@" --show-boot-console
	for option in ${boot_cmdline:-}; do
		set -- "$@" --kopt "$option"
	done
	set -- "$@" --script-sh "exec sh $(boot_quote "$boot_dir/script")" --qemu-opts \
		-device "intel-iommu,intremap=on,caching-mode=on,device-iotlb=on" \
		-chardev "file,id=klog,path=$boot_dir/console" -device virtio-serial-pci -device virtconsole,chardev=klog
	if [ -n "${boot_icount:-}" ]; then
		set -- "$@" -accel tcg,thread=single -icount shift=0,sleep=off -smp 1
	else
		set -- "$@" -accel tcg,thread=multi -smp "${boot_cpus:-2}"
	fi
	boot_addr=10
	echo "$boot_disks" >"$boot_dir/disks"
	while read -r name block fs; do
		[ -n "$name" ] || continue
		boot_image "$name" "$block" "$fs" || return 1
		[ -e "$boot_dir/$name.img" ] ||
			cp --sparse=always --reflink=auto "$image" "$boot_dir/$name.img" || return 1
		# Commands of up to 2 MiB (mdts=9: 2^9 pages).  QEMU has 1024 vectors, one
		# for each page behind an IOMMU: 4 MiB that do not start at a page are one
		# too many, and newer versions refuse mdts=10.
		set -- "$@" -drive "if=none,id=$name,format=raw,cache=unsafe,discard=unmap,file=$boot_dir/$name.img" \
			-device "nvme,id=nvme-$name,serial=dio-$name,mdts=9,addr=0x$boot_addr" \
			-device "nvme-ns,bus=nvme-$name,drive=$name,logical_block_size=$block,physical_block_size=$block"
		boot_addr=$((boot_addr + 1))
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
