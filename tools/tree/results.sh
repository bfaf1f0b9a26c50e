# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# One line for each test, failures once more at the end, and the closing line
# "N passed, N failed".  Counted in a file, in the directory that results_begin()
# was told: results come from subshells too.

results_begin() {
	results=$1/results
	: >"$results" || exit 1
	results_start=$(date +%s)
}

# result ok|FAIL|skip GROUP NAME
result() {
	printf '%-4s  %-12s %s\n' "$1" "$2" "$3" | tee -a "$results"
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

# result_lines GROUP: lines "ok NAME" and so on, from stdin.
result_lines() {
	while read -r line_state line_name; do
		result "$line_state" "$1" "$line_name"
	done
}

# Exit status: did anything fail?  With $LAB_COUNT, a file, the counts go there
# and the closing line is left to the caller, who adds several up.
results_end() {
	passed=$(grep -c '^ok ' "$results")
	failed=$(grep -c '^FAIL ' "$results")
	skipped=$(grep -c '^skip ' "$results")
	if [ "$failed" != 0 ]; then
		echo
		grep '^FAIL ' "$results"
	fi
	[ "$skipped" = 0 ] || echo "$skipped skipped"
	echo "$(($(date +%s) - results_start)) s, logs in $cache/log"
	if [ -n "${LAB_COUNT:-}" ]; then
		echo "$passed $failed" >>"$LAB_COUNT"
	else
		echo "$passed passed, $failed failed"
	fi
	[ "$failed" = 0 ] && [ "$passed" != 0 ]
}
