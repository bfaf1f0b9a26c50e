# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh

# checkpatch_series DIR TIP: every patch below DIR (they end in commit TIP) through checkpatch --strict.
# "Does MAINTAINERS need updating?" is answered here, for each new file, by
# get_maintainer: a section other than "THE REST" must cover it.
# What a Fixes: names is not known, as the base has no history; and if nobody
# signs off ($signoff), that is not asked for.
checkpatch_series() (
	# Its Python scripts need Debian's modules.
	PATH=/usr/bin:$PATH
	cp_tmp=$(mktemp -d "$cache/tmp.XXXXXX") || exit 1
	trap 'rm -rf "$cp_tmp"' EXIT
	look_tree "$cp_tmp/tree" "$2" "$2" && mkdir "$cp_tmp/bad" && cd "$cp_tmp/tree" || exit 1
	bad=0
	# shellcheck disable=SC2016 # for another shell
	git diff --no-renames --diff-filter=A --name-only "$base" "$2" | checkpatch_parallel '
		scripts/get_maintainer.pl --nogit --nogit-fallback --nokeywords --sections -f "$1" </dev/null 2>/dev/null |
			grep -E "^[A-Z][^:]*$" | grep -vqx "THE REST" || echo "$1"' >"$cp_tmp/unmaintained"
	if [ -s "$cp_tmp/unmaintained" ]; then
		bad=1
		sed 's/^/  | /' "$cp_tmp/unmaintained" >&2
		checkpatch_result FAIL "MAINTAINERS covers new files by 'THE REST' only"
	fi
	# The large ones first: nothing long is left for the end.
	(cd "$1" && find . -name '[0-9]*.patch' ! -name '0000-*' -printf '%s %P\n') | sort -rn | cut -d ' ' -f 2- >"$cp_tmp/patches"
	export CHECKPATCH_DIR="$1" CHECKPATCH_BAD="$cp_tmp/bad" CHECKPATCH_SIGNOFF="${signoff:+--signoff}"
	# shellcheck disable=SC2016 # for another shell
	checkpatch_parallel '
		report=$CHECKPATCH_BAD/$(echo "$1" | tr / ,)
		scripts/checkpatch.pl --strict --no-summary --terse --showfile --color=never \
			--ignore FILE_PATH_CHANGES,UNKNOWN_COMMIT_ID "${CHECKPATCH_SIGNOFF:---no-signoff}" \
			"$CHECKPATCH_DIR/$1" >"$report" 2>&1 </dev/null && rm "$report"' <"$cp_tmp/patches"
	sort "$cp_tmp/patches" >"$cp_tmp/sorted"
	while read -r patch; do
		report=$cp_tmp/bad/$(echo "$patch" | tr / ,)
		if [ -e "$report" ]; then
			bad=1
			sed 's/^/  | /' "$report" >&2
			checkpatch_result FAIL "$patch"
		else
			checkpatch_result ok "$patch"
		fi
	done <"$cp_tmp/sorted"
	exit "$bad"
)

# checkpatch_parallel SCRIPT: for each line of stdin, as many at once as there are processors.
checkpatch_parallel() { xargs -P "$(nproc)" -I '{}' sh -c "$1" sh '{}' || :; }

# A test result where tests are counted, otherwise only bad news.
checkpatch_result() {
	if [ -n "${results:-}" ]; then
		result "$1" checkpatch "$2"
	elif [ "$1" != ok ]; then
		say "checkpatch: $2"
	fi
}
