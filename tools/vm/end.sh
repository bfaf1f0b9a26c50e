# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# Inside the guest, after the tests: DIO_OUT/wrong says, a line each, which of the
# kernel's checkers did not stay on, and which file system is damaged. DIO_OUT/looked
# says that this was looked at.

wrong() { echo "$*" >>"$DIO_OUT/wrong"; }

# whole PLACE DISK COMMAND...
whole() {
	[ -n "$1" ] || return 0
	tries=5
	until umount "$1"; do
		tries=$((tries - 1))
		[ "$tries" -gt 0 ] || { wrong "$1 is still in use"; return; }
		sleep 1
	done
	shift
	"$@" || wrong "$*: exit status $?"
}

cd /
if [ -e /sys/kernel/debug/kmemleak ] && ! grep -qw kmemleak=off /proc/cmdline; then
	echo kmemleak
	# Twice: an object may be on its way between two lists in the first.
	for pause in 6 0; do
		echo scan >/sys/kernel/debug/kmemleak || wrong "kmemleak has switched itself off"
		sleep "$pause"
	done
	cat /sys/kernel/debug/kmemleak >"$DIO_OUT/kmemleak"
fi
# DMA debugging stops when it has no memory, lockdep when it has complained.
[ ! -e /sys/kernel/debug/dma-api/disabled ] || grep -q N /sys/kernel/debug/dma-api/disabled ||
	wrong "DMA debugging has switched itself off"
[ ! -e /proc/lockdep_stats ] || grep -q 'debug_locks: *1' /proc/lockdep_stats || wrong "lockdep has switched itself off"
whole "${DIO_EXT4:-}" e2fsck -fn "${DIO_EXT4_DEV:-}"
whole "${DIO_XFS:-}" xfs_repair -n "${DIO_XFS_DEV:-}"
whole "${DIO_F2FS:-}" fsck.f2fs --dry-run "${DIO_F2FS_DEV:-}"
dmesg >"$DIO_OUT/dmesg"
: >"$DIO_OUT/looked"
