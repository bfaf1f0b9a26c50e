# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# One line for each test, failures once more at the end, and the closing line
# "N passed, N failed".  Results are kept in a file, in the directory that
# results_begin() was told, since they come from subshells too.  With $LAB_RESULTS
# they go to that file, and whoever set it prints the end.

results_begin() {
	results=${LAB_RESULTS:-$1/results}
	results_seconds=$results.seconds
	results_start=$(date +%s)
	: >>"$results_seconds" && : >>"$results"
}

# result ok|FAIL|skip|xfail GROUP NAME
result() {
	printf '%-5s %-13s %s\n' "$1" "$2" "$3" | tee -a "$results"
}

# result_of GROUP NAME COMMAND...: by exit status.
result_of() {
	of_group=$1 of_name=$2
	shift 2
	if step "$of_name" "$@"; then
		result ok "$of_group" "$of_name"
	else
		result FAIL "$of_group" "$of_name"
		return 1
	fi
}

# result_lines GROUP: lines "ok NAME" and so on from stdin; "note" is not counted.
result_lines() {
	while read -r line_state line_name; do
		case $line_state in
		note) printf '%-5s %-13s %s\n' '' "$1" "$line_name" ;;
		*) result "$line_state" "$1" "$line_name" ;;
		esac
	done
}

# results_timed NAME COMMAND...: how long it took is printed at the end.
results_timed() {
	timed_name=$1
	shift
	timed_start=$(date +%s)
	timed_rc=0
	"$@" || timed_rc=$?
	printf '%6d s  %s\n' "$(($(date +%s) - timed_start))" "$timed_name" >>"$results_seconds"
	return "$timed_rc"
}

results_count() { grep -c "^$1 " "$results"; }

# Exit status: did anything fail?
results_end() {
	passed=$(results_count ok)
	failed=$(results_count FAIL)
	if [ -z "${LAB_RESULTS:-}" ]; then
		[ "$failed" = 0 ] || { echo; grep '^FAIL ' "$results"; }
		echo
		cat "$results_seconds"
		printf '%6d s  in all; logs are in %s\n' "$(($(date +%s) - results_start))" "$cache/log"
		echo "$(results_count skip) skipped, $(results_count xfail) failed as expected"
		echo "$passed passed, $failed failed"
	fi
	[ "$failed" = 0 ] && [ "$passed" != 0 ]
}
