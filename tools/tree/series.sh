# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# The repository's files as commits, see series.py, and what a tree to edit needs.

# series_list REPO GIT BASE: makes the commits of REPO's series in the git
# repository GIT (its work tree is left alone): "commit series/posting/entry" of
# each.  The identity in the environment counts; without one it is the fixed one.
series_list() { series_py commits "$@"; }

# series_commits REPO GIT BASE: the same, and just the last commit.
series_commits() {
	series_made=$(series_list "$@") && printf '%s\n' "$series_made" | sed -n '$s/ .*//p'
}

# series_needs REPO: a line for each posting: those that it needs, and itself.
series_needs() { series_py needs "$1"; }

# series_read DIR ROOT TREE: the way back: the commits of DIR upon ROOT, and the
# edits that make its files TREE, become the repository's.
series_read() { series_py sync "$repo" "$src" "$base" "$@"; }

# series_orphans REPO: files that neither the house nor the series knows.
series_orphans() { series_py orphans "$1"; }

series_py() (
	[ -n "${GIT_AUTHOR_NAME:-}" ] || fixed_ident
	need git python3
	python3 "$repo/tools/tree/series.py" "$@"
)

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
