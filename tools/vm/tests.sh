# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# Inside the guest: the programs of a directory (as installed by kselftest) that
# DIO_OUT/list names, their output in DIO_OUT; then what the kernel's checkers
# found.
#
# usage: sh tests.sh KSELFTEST_DIR TIMEOUT

dir=$1
limit=$2
cd "$dir" || exit 1
# The udmabuf test of the base wants 4 GiB of huge pages: on demand, since
# others want the memory too.
echo 2048 >/proc/sys/vm/nr_overcommit_hugepages
while IFS=: read -r collection program; do
	log=$DIO_OUT/$(printf '%s' "$collection:$program" | tr '/ ' '--').tap
	echo "$collection:$program"
	(
		cd "$dir/$collection" || exit 1
		# shellcheck disable=SC2086 # a program and its arguments
		timeout -k 10 "$limit" ./$program >"$log" 2>&1 </dev/null
		echo "exit status $?" >>"$log"
	)
done <"$DIO_OUT/list"
if [ -e /sys/kernel/debug/kmemleak ]; then
	echo kmemleak
	# Twice: an object may be on its way between two lists in the first.
	echo scan >/sys/kernel/debug/kmemleak
	sleep 6
	echo scan >/sys/kernel/debug/kmemleak
	cat /sys/kernel/debug/kmemleak >"$DIO_OUT/kmemleak"
fi
dmesg >"$DIO_OUT/dmesg"
