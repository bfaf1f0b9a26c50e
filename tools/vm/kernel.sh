# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# Builds kernels of the series: "plain" (gcc) is what measurements and most
# tests boot, "rust" is the same with the Rust exporters in place of those in C,
# "debug" (clang) is that with every checker that the tests can stand, and "race"
# with the one that goes with no other; "base" is
# "plain" without the series, "module" is "rust" with modules of what can be one,
# "uml" is configured and run by kunit.py.

kernel_jobs=$(nproc)

# Nothing of place and time in the objects.
kernel_env() {
	KBUILD_BUILD_TIMESTAMP='Thu Jan  1 00:00:00 UTC 2026' KBUILD_BUILD_USER=lab KBUILD_BUILD_HOST=lab LOCALVERSION=
	export KBUILD_BUILD_TIMESTAMP KBUILD_BUILD_USER KBUILD_BUILD_HOST LOCALVERSION
}

# kernel_tip: the commit to build, that of the repository, or with $tree_dir (a
# directory made by 'lab tree') everything in that tree, committed or not.
kernel_tip() {
	if [ -n "${tree_dir:-}" ]; then
		snap=$(tree_snapshot "$tree_dir") || return 1
		snap=$(fixed_ident; echo snapshot | git -C "$tree_dir" commit-tree "$snap" -p HEAD) &&
			git -C "$tree_dir" update-ref refs/worktree/lab-snapshot "$snap" &&
			git -C "$src" fetch -q "$tree_dir" "+refs/worktree/lab-snapshot:refs/lab/snapshot" || return 1
		echo "$snap"
	else
		series_commits "$repo" "$src" "$base"
	fi
}

# kernel_fragments VARIANT: the files that make its configuration, last wins.
# Suites bring their own: a .kunitconfig of ours in the series, and the config of
# our kselftest.
kernel_fragments() {
	echo "$repo/tools/vm/vm.config"
	kernel_kunitconfigs
	case $1 in rust|module|race|debug) echo "$repo/tools/vm/rust.config" ;; esac
	case $1 in module|race) echo "$repo/tools/vm/$1.config" ;; esac
	[ "$1" = debug ] || return 0
	echo "$src/tools/testing/selftests/dmabuf-dio/config"
	echo "$repo/tools/vm/debug.config"
}

# The suites: the base's of what we change, and those of the series.
kernel_kunitconfigs() {
	echo "$repo/tools/vm/kunit.config"
	git -C "$src" diff --no-renames --diff-filter=A --name-only "$base" HEAD -- '*.kunitconfig' | sed "s|^|$src/|"
}

# "rust" and "module" differ from "plain" in a few objects, and share all others.
kernel_obj() {
	case $1 in
	rust|module) echo "$base_dir/obj-plain" ;;
	*) echo "$base_dir/obj-$1" ;;
	esac
}

kernel_make() {
	case $1 in
	race|debug) set -- "$@" "LLVM=-$llvm" ;;
	esac
	obj=$(kernel_obj "$1")
	shift
	nice make -C "$src" O="$obj" -j"$kernel_jobs" "$@"
}

# An option that quietly did not take would make tests pass which never ran.
kernel_config() {
	variant=$1
	obj=$(kernel_obj "$variant")
	mkdir -p "$obj"
	kernel_fragments "$variant" | while read -r file; do
		[ -e "$file" ] && cat "$file"
	done >"$obj/lab.config"
	if ! cmp -s "$obj/lab.config" "$obj/lab.config.used" || [ ! -e "$obj/.config" ] ||
		[ "$(git -C "$src" rev-parse 'HEAD^{tree}')" != "$(cat "$obj/lab.config.tip" 2>/dev/null)" ]; then
		kernel_make "$variant" KCONFIG_ALLCONFIG="$obj/lab.config" allnoconfig || return 1
		git -C "$src" rev-parse 'HEAD^{tree}' >"$obj/lab.config.tip"
		cp "$obj/lab.config" "$obj/lab.config.used"
	fi
	awk -F = '
		NR == FNR { if (/^CONFIG_[A-Z0-9_a-z]+=/) have[$1] = substr($0, length($1) + 2); next }
		/^# CONFIG_[A-Za-z0-9_]+ is not set/ { split($0, w, " "); want[w[2]] = "n" }
		/^CONFIG_[A-Za-z0-9_]+=/ { want[$1] = substr($0, length($1) + 2) }
		END {
			for (o in want) {
				h = (o in have) ? have[o] : "n"
				if (h != want[o]) { print "did not take: " o "=" want[o] " (is " h ")"; bad = 1 }
			}
			exit bad
		}' "$obj/.config" "$obj/lab.config"
}

kernel_build_here() {
	kernel_env
	# In a tree of its own: a change of headers to and fro would have everything
	# built again, both times.
	if [ "$1" = base ]; then
		[ -e "$base_dir/src-base" ] || git -C "$src" worktree add -q -f --detach "$base_dir/src-base" "$base" || return 1
		src=$base_dir/src-base
	fi
	base_checkout "$2" && kernel_config "$1" && kernel_make "$1" bzImage || return 1
	[ "$1" != module ] || kernel_make "$1" modules
}

# kernel_get VARIANT: builds it unless it is there, and sets $kernel, the
# directory with its bzImage, config and modules.  Kept by content: going back to what
# was built before costs nothing.
kernel_get() {
	need_build || return 1
	case $1 in
	base) kernel_commit=$base ;;
	*) kernel_commit=$(kernel_tip) || return 1 ;;
	esac
	kernel_key=$({
		git -C "$src" rev-parse "$kernel_commit^{tree}"
		cat "$repo"/tools/vm/*.config
		rustc --version
		gcc --version | head -n 1
		bindgen --version
	} | sha256sum | cut -c 1-16)
	kernel=$base_dir/kernel/$1-$kernel_key
	[ -e "$kernel/bzImage" ] && return
	(
		# One build at a time in one tree.
		src_lock
		[ -e "$kernel/bzImage" ] && exit
		step "kernel ($1)" kernel_build_here "$1" "$kernel_commit" || exit 1
		mkdir -p "$kernel" &&
			obj=$(kernel_obj "$1") && cp "$obj/.config" "$kernel/config" &&
			{ [ "$1" != module ] || find "$obj/drivers" -name '*.ko' -exec cp {} "$kernel" ';'; } &&
			cp "$obj/arch/x86/boot/bzImage" "$kernel/bzImage.new" &&
			mv "$kernel/bzImage.new" "$kernel/bzImage"
	) || return 1
	# The newest few are enough.
	# shellcheck disable=SC2012 # names are ours
	ls -dt "$base_dir/kernel"/* | tail -n +9 | xargs -r rm -rf
}

# kernel_each_commit TIP: does every commit of the series build, with Rust and
# without?  In the plain configuration, and that of the suites.
kernel_each_commit() (
	need_build || exit 1
	src_lock
	bad=0
	for commit in $(git -C "$src" rev-list --reverse "$base..$1"); do
		name=$(git -C "$src" log -1 --format=%s "$commit")
		for rust in n y; do
			step "build with RUST=$rust: $name" kernel_commit_build "$commit" "$rust" || bad=1
		done
	done
	exit "$bad"
)

kernel_commit_build() {
	kernel_env
	base_checkout "$1" || return 1
	obj=$base_dir/obj-each-$2
	mkdir -p "$obj"
	# Suites that come later in the series are not there yet: no check here.
	{
		kernel_fragments plain | xargs cat
		echo "CONFIG_RUST=$2"
		echo "CONFIG_WERROR=y"
	} >"$obj/lab.config"
	kernel_make "each-$2" KCONFIG_ALLCONFIG="$obj/lab.config" allnoconfig &&
		kernel_make "each-$2" vmlinux
}
