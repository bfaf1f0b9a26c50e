# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh

# checkpatch_series DIR TIP: every patch of DIR (they end in commit TIP) through checkpatch --strict.
# "Does MAINTAINERS need updating?" is answered here, for each new file, by
# get_maintainer: a section other than "THE REST" must cover it.
checkpatch_series() (
	series_tip=$2
	list=$(mktemp "$cache/tmp.XXXXXX") || exit 1
	trap 'rm -f "$list"' EXIT
	base_checkout "$series_tip" || exit 1
	cd "$src" || exit 1
	bad=0
	git diff --no-renames --diff-filter=A --name-only "$base" "$series_tip" >"$list"
	while read -r file; do
		scripts/get_maintainer.pl --nogit --nogit-fallback --nokeywords --sections -f "$file" </dev/null 2>/dev/null |
			grep -E '^[A-Z][^:]*$' | grep -vqx 'THE REST' || {
			say "MAINTAINERS covers $file by 'THE REST' only"
			bad=1
		}
	done <"$list"
	for patch in "$1"/[0-9]*.patch; do
		case $patch in */0000-*) continue ;; esac
		scripts/checkpatch.pl --strict --no-summary --terse --showfile \
			--color=never --ignore FILE_PATH_CHANGES "$patch" >"$list" 2>&1 </dev/null || {
			bad=1
			sed 's/^/  | /' "$list" >&2
			say "checkpatch: $(basename "$patch")"
		}
	done
	exit $bad
)
