# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# From the repository's files to commits.  The form, in short:
#
#   series/0000-cover-letter   subject, blank line, text
#   series/NNNN-slug           commit message, a line "---", the commit's files
#   path/to/file               new in the kernel, belongs to one commit
#   path/to/file.patch         change of an upstream file: one section for each
#                              commit, introduced by a line "Series: slug"

# series_entries REPO: the entries in order, without the cover letter.
series_entries() {
	for entry in "$1"/series/[0-9][0-9][0-9][0-9]-*; do
		case $entry in
		*/0000-*|*'*') ;;
		*) echo "$entry" ;;
		esac
	done
}

entry_slug() { basename "$1" | cut -c 6-; }

# The list comes after the last "---".
entry_message() { awk '{ l[NR] = $0 } $0 == "---" { n = NR } END { for (i = 1; i < n; i++) print l[i] }' "$1"; }
entry_files() { awk '$0 == "---" { n = 0; split("", l); next } { l[++n] = $0 } END { for (i = 1; i <= n; i++) if (l[i] != "") print l[i] }' "$1"; }

# patch_section SLUG FILE: that commit's part of a .patch file.
patch_section() {
	awk -v want="Series: $1" '/^Series: / { on = ($0 == want); next } on' "$2"
}

# The paths of the repository that are no part of the series.
series_is_house() {
	case $1 in
	README.md|COPYING|lab|.gitignore|.ci/*|series/*|tools/tree/*|tools/vm/*|tools/dmabuf/*) return 0 ;;
	esac
	return 1
}

# series_commits REPO GIT BASE: makes the commits of REPO's series in the git
# repository GIT (its work tree is left alone) and prints the tip.  The identity
# in the environment counts; without one it is the fixed one.
series_commits() (
	tmp=$(mktemp -d "$cache/tmp.XXXXXX") || exit 1
	trap 'rm -rf "$tmp"' EXIT
	[ -n "${GIT_AUTHOR_NAME:-}" ] || fixed_ident
	GIT_INDEX_FILE=$tmp/index
	export GIT_INDEX_FILE
	parent=$3
	git -C "$2" read-tree "$3" || exit 1
	series_entries "$1" >"$tmp/entries"
	series_check "$1" "$tmp" || exit 1
	while read -r entry; do
		slug=$(entry_slug "$entry")
		entry_files "$entry" >"$tmp/files"
		: >"$tmp/patch" && : >"$tmp/new"
		while read -r file; do
			[ -f "$1/$file" ] || die "$file: in series/$(basename "$entry"), but not there"
			case $file in
			*.patch)
				patch_section "$slug" "$1/$file" >"$tmp/section"
				[ -s "$tmp/section" ] || die "$file: no section 'Series: $slug'"
				cat "$tmp/section" >>"$tmp/patch"
				;;
			*)
				mode=100644
				[ -x "$1/$file" ] && mode=100755
				printf '%s %s\t%s\n' "$mode" "$(git -C "$2" hash-object -w --no-filters "$1/$file")" "$file" >>"$tmp/new"
				;;
			esac
		done <"$tmp/files"
		git -C "$2" update-index --index-info <"$tmp/new" || exit 1
		if [ -s "$tmp/patch" ] && ! git -C "$2" apply --cached --whitespace=nowarn "$tmp/patch" 2>"$tmp/why"; then
			# Which one?  The whole did not touch the index.
			while read -r file; do
				case $file in *.patch) ;; *) continue ;; esac
				patch_section "$slug" "$1/$file" >"$tmp/section"
				if ! git -C "$2" apply --cached --check --whitespace=nowarn "$tmp/section" 2>"$tmp/why"; then
					sed 's/^/  | /' "$tmp/why" >&2
					die "$file, section '$slug', does not apply"
				fi
			done <"$tmp/files"
			sed 's/^/  | /' "$tmp/why" >&2
			die "the patches of '$slug' do not apply"
		fi
		tree=$(git -C "$2" write-tree) || exit 1
		[ "$tree" != "$(git -C "$2" rev-parse "$parent^{tree}")" ] || die "series/$(basename "$entry") changes nothing"
		parent=$(entry_message "$entry" | git -C "$2" commit-tree "$tree" -p "$parent") || exit 1
	done <"$tmp/entries"
	echo "$parent"
)

# What the loop above cannot notice: sections and files that nobody lists.
series_check() {
	while read -r entry; do
		slug=$(entry_slug "$entry")
		entry_files "$entry" | sed "s|^|$slug |"
	done <"$2/entries" >"$2/listed"
	awk '$2 !~ /\.patch$/ && n[$2]++ { print $2 ": a new file in two commits"; bad = 1 } END { exit bad }' "$2/listed" >&2 ||
		die "series/ is inconsistent"
	cut -d ' ' -f 2- "$2/listed" | sort -u >"$2/owned"
	grep '\.patch$' "$2/owned" | while read -r file; do
		[ -f "$1/$file" ] || continue
		sed -n 's/^Series: //p' "$1/$file" | while read -r slug; do
			grep -qxF "$slug $file" "$2/listed" || die "$file: section '$slug' belongs to no entry of series/ that lists it"
		done || exit 1
	done
}

# series_orphans REPO: files that neither the house nor the series knows.
series_orphans() {
	series_entries "$1" | while read -r entry; do entry_files "$entry"; done | sort -u >"$cache/owned.$$"
	git -C "$1" ls-files -co --exclude-standard | while read -r file; do
		[ -e "$1/$file" ] || continue
		series_is_house "$file" || echo "$file"
	done | sort | comm -23 - "$cache/owned.$$"
	rm -f "$cache/owned.$$"
}

# tree_snapshot DIR: the tree of everything in a work tree, committed or not.
tree_snapshot() (
	[ -z "$(git -C "$1" ls-files -u | head -n 1)" ] || die "$1: unfinished merge"
	tmp=$(mktemp "$cache/tmp.XXXXXX") || exit 1
	trap 'rm -f "$tmp" "$tmp.lock"' EXIT
	cp "$(cd "$1" && realpath "$(git rev-parse --git-path index)")" "$tmp" || exit 1
	GIT_INDEX_FILE=$tmp
	export GIT_INDEX_FILE
	git -C "$1" add -A . && git -C "$1" write-tree
)

# Debian's package ignores, in the .gitignore of the kernel's top, everything:
# new files would neither be seen nor added.  A tree of ours has that file
# without these lines, and git is told not to look at it.
tree_unignore() {
	grep -qx '/\*' "$1/.gitignore" || return 0
	grep -vx -e '/\*' -e '!/debian/' "$1/.gitignore" >"$1/.gitignore.new" &&
		mv "$1/.gitignore.new" "$1/.gitignore" &&
		git -C "$1" update-index --skip-worktree .gitignore
}

# tree_hidden DIR: files that such a .gitignore hides in somebody else's tree.
tree_hidden() {
	grep -qx '/\*' "$1/.gitignore" || return 0
	grep -vx -e '/\*' -e '!/debian/' "$1/.gitignore" >"$cache/ignore.$$"
	git -C "$1" ls-files -o -X "$cache/ignore.$$"
	rm -f "$cache/ignore.$$"
}

# What a tree and the repository last agreed on: HEAD and content of the tree.
tree_state() { (cd "$1" && realpath -m "$(git rev-parse --git-path lab-synced)"); }
