# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh

# checkpatch_series DIR TIP: every patch of DIR (they end in commit TIP) through checkpatch --strict.
# "Does MAINTAINERS need updating?" is answered here, for each new file, by
# get_maintainer: a section other than "THE REST" must cover it.
checkpatch_series() (
	# Its Python scripts need Debian's modules.
	PATH=/usr/bin:$PATH
	cp_tree=$(mktemp -d "$cache/tmp.XXXXXX") || exit 1
	list=$(mktemp "$cache/tmp.XXXXXX") || exit 1
	trap 'rm -rf "$list" "$list.new" "$cp_tree"' EXIT
	look_tree "$cp_tree" "$2" "$2" && cd "$cp_tree" || exit 1
	bad=0
	git diff --no-renames --diff-filter=A --name-only "$base" "$2" >"$list.new"
	while read -r file; do
		scripts/get_maintainer.pl --nogit --nogit-fallback --nokeywords --sections -f "$file" </dev/null 2>/dev/null |
			grep -E '^[A-Z][^:]*$' | grep -vqx 'THE REST' || echo "$file"
	done <"$list.new" >"$list"
	if [ -s "$list" ]; then
		bad=1
		sed 's/^/  | /' "$list" >&2
		checkpatch_result FAIL "MAINTAINERS covers new files by 'THE REST' only"
	fi
	for patch in "$1"/[0-9]*.patch; do
		case $patch in */0000-*) continue ;; esac
		if scripts/checkpatch.pl --strict --no-summary --terse --showfile \
			--color=never --ignore FILE_PATH_CHANGES "$patch" >"$list" 2>&1 </dev/null; then
			checkpatch_result ok "$(basename "$patch")"
		else
			bad=1
			sed 's/^/  | /' "$list" >&2
			checkpatch_result FAIL "$(basename "$patch")"
		fi
	done
	exit "$bad"
)

# A test result where tests are counted, otherwise only bad news.
checkpatch_result() {
	if [ -n "${results:-}" ]; then
		result "$1" checkpatch "$2"
	elif [ "$1" != ok ]; then
		say "checkpatch: $2"
	fi
}
