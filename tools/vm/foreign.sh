# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# Inside the guest: programs that others wrote, as users of the calls and of the
# paths that the series changes; and Python and liburing, as users of dma-bufs.
# TAP goes to DIO_OUT/tap, what the programs say to DIO_OUT/NAME.log.
#
# usage: sh foreign.sh TOOLS_DIR LIBURING_TESTS URING_PROGRAM

here=$1
liburing=$2
uring=$3
work=/run/lab/tmp/foreign
mkdir -p "$work" && cd "$work" || exit 1
ip link set lo up
count=0

tap() {
	count=$((count + 1))
	echo "$1 $count $2" >>"$work.tap"
}

# one NAME COMMAND...: by exit status; 77 is liburing's for "skipped", 3 and 4 are
# stress-ng's: no such resource here, not on this machine.
one() {
	one_name=$1
	shift
	echo "$one_name"
	log=$DIO_OUT/$(printf '%s' "$one_name" | tr '/ ' '--').log
	timeout -k 5 60 "$@" >"$log" 2>&1 </dev/null
	status=$?
	case ${one_name%% *}:$status in
	*:0) tap ok "$one_name" ;;
	liburing:77|stress-ng:[34]) tap ok "$one_name # SKIP $(tail -n 1 "$log")" ;;
	*) tap "not ok" "$one_name"
		echo "exit status $status" >>"$log" ;;
	esac
}

# several NAME COMMAND...: a program that prints TAP by itself.
several() {
	several_log=$DIO_OUT/$1.log
	echo "$1"
	shift
	timeout -k 5 120 "$@" >"$several_log" 2>&1 </dev/null
	grep -E '^(not )?ok [0-9]' "$several_log" >"$work/lines"
	while read -r line; do
		state=${line%%ok *}
		line=${line#*ok }
		tap "${state}ok" "${line#* }"
	done <"$work/lines"
	planned=$(sed -n 's/^1\.\.//p' "$several_log")
	[ "$planned" = "$(wc -l <"$work/lines")" ] || tap "not ok" "${several_log##*/}: all of it"
}

several python-files /usr/bin/python3 "$here/foreign.py" files "$DIO_EXT4" "$DIO_XFS" "$DIO_F2FS"
several python-dmabuf /usr/bin/python3 "$here/foreign.py" dmabuf "$DIO_EXT4" "$DIO_XFS" "$DIO_F2FS"
several liburing-dmabuf "$uring" "$DIO_EXT4" "$DIO_XFS" "$DIO_F2FS" "$work"

# fio: what it writes, it reads back and verifies.  A process for each engine, as
# they take long to start.
for engine in "splice" "psync direct=1" "libaio direct=1 iodepth=8" "io_uring direct=1 iodepth=8" \
	"io_uring direct=1 iodepth=8 fixedbufs=1 registerfiles=1"; do
	# shellcheck disable=SC2086 # a list
	set -- $engine
	for option; do
		set -- "$@" "--$option"
		shift
	done
	engine_name=$1
	shift
	one "fio $engine" fio --name=global --ioengine="${engine_name#--}" "$@" --rw=randwrite --bsrange=4k-128k \
		--size=8m --verify=crc32c --verify_fatal=1 --randseed=7 --fallocate=none --thread --stonewall \
		--name=ext4 --filename="$DIO_EXT4/fio" --name=xfs --filename="$DIO_XFS/fio" \
		--name=f2fs --filename="$DIO_F2FS/fio" --name=raw --filename="$DIO_RAW_4K"
	rm -f "$DIO_EXT4/fio" "$DIO_XFS/fio" "$DIO_F2FS/fio"
done

# stress-ng: counts, not times, and the same numbers every time.
for stressor in "splice 2000" "vm-splice 2000" "tee 500" "sendfile 400" "pipe 20000" "zero 500" "memfd 3"; do
	one "stress-ng ${stressor% *}" stress-ng --"${stressor% *}" 2 --"${stressor% *}-ops" "${stressor#* }" \
		--verify --seed 7 --timeout 20 --temp-path "$work"
done
for where in "$DIO_EXT4" "$DIO_XFS" "$DIO_F2FS"; do
	for stressor in "copy-file 40" "sendfile 200" "io-uring 100" "aiol 100" "hdd 300" "readahead 200" \
		"fallocate 3" "iomix 200"; do
		more=
		case $stressor in hdd*) more="--hdd-opts direct,wr-rnd,rd-rnd --hdd-bytes 8m --hdd-write-size 64k" ;; esac
		# shellcheck disable=SC2086 # some words
		one "stress-ng $where ${stressor% *}" stress-ng --"${stressor% *}" 1 --"${stressor% *}-ops" "${stressor#* }" \
			--verify --seed 7 --timeout 10 --temp-path "$where" $more
	done
done
one "stress-ng dev-shm" stress-ng --dev-shm 1 --dev-shm-ops 5 --verify --seed 7 --timeout 10

# liburing's own tests of I/O on files; those that take one, on a disk, too.
mkdir -p "$DIO_EXT4/liburing" "$DIO_XFS/liburing"
for test in splice read-write short-read file-verify fixed-buf-iter fpos rw_merge_test d4ae271dfaae eeed8b54e0df iopoll; do
	for where in "$DIO_EXT4" "$DIO_XFS"; do
		cd "$where/liburing" || continue
		one "liburing $where $test" "$liburing/$test.t"
	done
done
cd "$work" || exit 1
one "liburing raw iopoll" "$liburing/iopoll.t" "$DIO_RAW"
one "liburing raw d4ae271dfaae" "$liburing/d4ae271dfaae.t" "$DIO_RAW"

# cp and dd of coreutils and of busybox, within and between file systems.
head -c 5000001 /dev/urandom >"$DIO_EXT4/cp.src"
truncate -s +3M "$DIO_EXT4/cp.src"
head -c 70000 /dev/urandom >>"$DIO_EXT4/cp.src"
for to in "$DIO_EXT4" "$DIO_XFS" "$DIO_F2FS" "$work"; do
	for command in "cp --reflink=never" "cp --reflink=auto" "cp --sparse=always" "cp --sparse=never" "busybox cp" \
		"dd bs=1M iflag=direct"; do
		case $command in
		*dd*) set -- if="$DIO_EXT4/cp.src" of="$to/cp.dst" ;;
		*) set -- "$DIO_EXT4/cp.src" "$to/cp.dst" ;;
		esac
		# shellcheck disable=SC2016,SC2086 # for that shell; words
		one "$command to $to" sh -c 'a=$1 b=$2; shift 2; "$@" && cmp "$a" "$b"' sh "$DIO_EXT4/cp.src" "$to/cp.dst" $command "$@"
		rm -f "$to/cp.dst"
	done
done
# shellcheck disable=SC2016 # for that shell
one "dd oflag=direct to xfs" sh -c 'dd bs=64k if=/dev/urandom count=16 of="$1" && dd bs=64k iflag=direct oflag=direct if="$1" of="$2" && cmp "$1" "$2"' \
	sh "$DIO_EXT4/dd" "$DIO_XFS/dd"
{ echo "TAP version 13" && echo "1..$count" && cat "$work.tap"; } >"$DIO_OUT/tap"
. "$here/end.sh"
