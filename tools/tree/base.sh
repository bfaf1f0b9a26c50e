# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# The base: a pristine kernel as the first commit of a git repository in the
# cache.  That repository is also where kernels are built; trees to edit in are
# clones which borrow its objects.  After base_get:
#
#   $base_dir   everything kept for this base
#   $src        the repository, and the tree that is built
#   $base       the commit of the pristine kernel

base_suite=trixie-backports
base_package=linux-source-7.3

base_get() {
	if [ -n "${LINUX:-}" ]; then
		base_from_tree
	else
		base_from_package
	fi || return 1
	src=$base_dir/src
	base=$(git -C "$src" rev-parse --verify -q refs/lab/base) || die "no base in $src: remove $base_dir"
}

base_from_package() {
	current=$cache/base
	if [ ! -e "$current" ] || [ -n "${LAB_REFRESH:-}" ]; then
		need git xz-utils
		deb=$(apt_fetch "$base_suite" "$base_package") || return 1
		version=$(dpkg-deb -f "$deb" Version)
		base_dir=$cache/$(printf '%s' "$version" | tr -c 'A-Za-z0-9.-' _)
		[ -d "$base_dir/src" ] || step "unpacking $base_package $version" base_unpack || return 1
		echo "$base_dir" >"$current"
	fi
	base_dir=$(cat "$current")
}

base_unpack() {
	new=$base_dir/src.new
	rm -rf "$new" && mkdir -p "$new" || return 1
	dpkg-deb --fsys-tarfile "$deb" | tar -xO --wildcards "./usr/src/$base_package.tar.*" |
		xz -dc -T0 | tar -x --strip-components=1 -C "$new" || return 1
	base_init "$new" && base_tree "$new" && mv "$new" "$base_dir/src"
}

# What is in the work tree of the new repository becomes the base.  -f: the
# kernel's own .gitignore would hide files of the package.
base_tree() {
	echo "adding files"
	git -C "$1" add -A -f . || return 1
	base_commit "$1" "$(git -C "$1" write-tree)"
}

base_init() {
	git -c init.defaultBranch=dmabuf-dio init -q "$1" || return 1
	git -C "$1" config core.looseCompression 1
	git -C "$1" config checkout.workers 0
	git -C "$1" config gc.auto 0
	git -C "$1" config advice.detachedHead false
}

base_commit() {
	(
		fixed_ident
		commit=$(echo "Base: Linux $(git -C "$1" cat-file blob "$2:Makefile" |
			awk '$2 == "=" { v[$1] = $3 }
			END { print v["VERSION"] "." v["PATCHLEVEL"] "." v["SUBLEVEL"] v["EXTRAVERSION"] }')" |
			git -C "$1" commit-tree "$2") &&
			git -C "$1" update-ref refs/lab/base "$commit" &&
			git -C "$1" update-ref HEAD "$commit"
	)
}

# LINUX=/path: the commit checked out there (what is not committed stays out),
# or the files themselves where there is no git.
base_from_tree() {
	LINUX=$(cd "$LINUX" 2>/dev/null && pwd) || die "LINUX: no such directory"
	[ -e "$LINUX/MAINTAINERS" ] || die "LINUX=$LINUX is no kernel tree"
	need git
	if top=$(git -C "$LINUX" rev-parse --show-toplevel 2>/dev/null) && [ "$top" = "$LINUX" ]; then
		tree=$(git -C "$LINUX" rev-parse 'HEAD^{tree}') || return 1
		base_dir=$cache/linux-$(printf '%.12s' "$tree")
		[ -d "$base_dir/src" ] || step "taking over $LINUX" base_clone
	else
		sum=$(printf '%s' "$LINUX" | cksum | cut -d ' ' -f 1)
		base_dir=$cache/linux-$sum
		[ -d "$base_dir/src" ] || step "copying $LINUX" base_copy
	fi
}

# Its objects are borrowed: nothing is copied but the files of one work tree.
base_clone() {
	new=$base_dir/src.new
	rm -rf "$new" && mkdir -p "$base_dir" && base_init "$new" || return 1
	(cd "$LINUX" && realpath "$(git rev-parse --git-path objects)") >"$new/.git/objects/info/alternates" &&
		base_commit "$new" "$tree" &&
		git -C "$new" reset -q --hard && mv "$new" "$base_dir/src"
}

base_copy() {
	new=$base_dir/src.new
	rm -rf "$new" && mkdir -p "$base_dir" && cp -a "$LINUX" "$new" &&
		base_init "$new" && base_tree "$new" && mv "$new" "$base_dir/src"
}

# src_lock: in a subshell, before the build's tree is used: one at a time.
src_lock() {
	exec 9>"$base_dir/lock"
	flock -n 9 || {
		say "another build is running, waiting for it"
		flock 9
	}
}

# base_checkout COMMIT: what the build's own tree shows.  Only files that differ
# are written, so make rebuilds no more than it must; nothing but builds may
# change what is there.
base_checkout() {
	[ "$(git -C "$src" rev-parse HEAD)" = "$1" ] && git -C "$src" diff --quiet HEAD && return
	git -C "$src" checkout -q -f --detach "$1"
}

# look_tree DIR COMMIT TIP: a small tree at COMMIT, made within seconds, with
# the kernel's scripts and what the commits up to TIP touch.
look_tree() {
	git -c init.defaultBranch=look clone -q --shared --no-checkout "$src" "$1" &&
		{
			printf '%s\n' '/*' '!/*/' /scripts/ /LICENSES/ /include/linux/ /tools/docs/ /tools/lib/python/
			# checkpatch knows a kernel tree by its directories.
			printf '/%s/Makefile\n' Documentation drivers fs init ipc kernel lib arch/x86
			git -C "$src" diff --no-renames --name-only "$base" "$3" | sed 's|^|/|'
		} | git -C "$1" sparse-checkout set --no-cone --stdin &&
		git -C "$1" config user.name "$lab_name" &&
		git -C "$1" config user.email "$lab_email" &&
		git -C "$1" checkout -q --detach "$2"
}
