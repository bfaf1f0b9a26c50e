# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# Inside the guest: the programs of a directory (as installed by kselftest) that
# DIO_OUT/list names.  To DIO_OUT go results of KUnit (kunit/SUITE), of the runner with
# the time of each line (runner), of each program (tap/PROGRAM), and what the kernel's
# checkers found.
#
# usage: sh tests.sh KSELFTEST_DIR TIMEOUT

here=$(cd "$(dirname "$0")" && pwd)
dir=$1
limit=$2
cd "$dir" || exit 1
# The udmabuf test of the base wants 4 GiB of huge pages: on demand, since
# others want the memory too.
echo 2048 >/proc/sys/vm/nr_overcommit_hugepages
# With LAB_PRESSURE memory is short: so many MiB are left, caches are dropped all
# the time, and what the tests have is reclaimed when it is more than a few MiB.
if [ -n "${LAB_PRESSURE:-}" ]; then
	mount -o remount,size=100% /run/lab/tmp
	free=$(awk '/^MemAvailable/ { print int($2 / 1024) }' /proc/meminfo)
	head -c $((free - LAB_PRESSURE))M /dev/zero >/run/lab/tmp/hog
	mkdir -p /run/lab/cgroup && mount -t cgroup2 none /run/lab/cgroup
	echo +memory >/run/lab/cgroup/cgroup.subtree_control
	mkdir /run/lab/cgroup/tests
	echo 24M >/run/lab/cgroup/tests/memory.high
	while sleep 0.2; do
		echo 3 >/proc/sys/vm/drop_caches
	done &
	pressure=$!
	echo $$ >/run/lab/cgroup/tests/cgroup.procs
fi
# A suite that has not run has a directory, and no results.
mkdir -p "$DIO_OUT/kunit" "$DIO_OUT/tap"
for suite in /sys/kernel/debug/kunit/*; do
	[ ! -e "$suite/results" ] || cat "$suite/results" >"$DIO_OUT/kunit/${suite##*/}"
done
set --
while read -r program arguments; do
	set -- "$@" -t "$program"
	# Where the runner looks for them.
	name=$(printf '%s' "${program##*:}" | tr -c '[:alnum:]' _ | tr '[:lower:]' '[:upper:]')
	export "KSELFTEST_${name}_ARGS=$arguments"
done <"$DIO_OUT/list"
[ $# = 0 ] || ./run_kselftest.sh -f -o "$limit" -p "$DIO_OUT/tap" "$@" 2>&1 | while IFS= read -r line; do
	read -r uptime _ </proc/uptime
	echo "$uptime $line"
done | tee "$DIO_OUT/runner"
if [ -n "${LAB_PRESSURE:-}" ]; then
	kill "$pressure"
	# What follows may take what it needs.
	echo $$ >/run/lab/cgroup/cgroup.procs
	rm -f /run/lab/tmp/hog
	# Was it?
	cat /run/lab/cgroup/tests/memory.events /proc/meminfo
	grep -q '^high [1-9]' /run/lab/cgroup/tests/memory.events || echo "WARNING: memory was not short" >/dev/kmsg
fi
. "$here/end.sh"
