# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# Builds kernels of the series.  "plain" (gcc) has the exporters in C, "rust" those in
# Rust.  "debug" (clang) has those in Rust as modules, and every checker that the tests
# can stand; "race" has KCSAN, which excludes the others.  "base" is "plain" without
# the series.  "uml" is configured and run by kunit.py.

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
	[ "$1" != rust ] || echo "$repo/tools/vm/compiled.config"
	case $1 in rust|race|debug) echo "$repo/tools/vm/rust.config" ;; esac
	[ "$1" != debug ] || echo "$src/tools/testing/selftests/dmabuf-dio/config"
	case $1 in race|debug) echo "$repo/tools/vm/$1.config" ;; esac
}

# The suites: the base's of what we change, and those of the series.
kernel_kunitconfigs() {
	echo "$repo/tools/vm/kunit.config"
	git -C "$src" diff --no-renames --diff-filter=A --name-only "$base" HEAD -- '*.kunitconfig' | sed "s|^|$src/|"
}

# "rust" differs from "plain" in a few objects, and shares all others.
kernel_obj() {
	case $1 in
	rust) echo "$base_dir/obj-plain" ;;
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

# config_took CONFIG [modules]: the options that stdin wants, and CONFIG has not.  An
# option that quietly did not take would make tests pass which never ran.  With "modules"
# what is wanted may be a module.
config_took() {
	awk -F = -v modules="${2:-}" '
		NR == FNR { if (/^CONFIG_[A-Z0-9_a-z]+=/) have[$1] = substr($0, length($1) + 2); next }
		/^# CONFIG_[A-Za-z0-9_]+ is not set/ { split($0, w, " "); want[w[2]] = "n" }
		/^CONFIG_[A-Za-z0-9_]+=/ { want[$1] = substr($0, length($1) + 2) }
		END {
			for (o in want) {
				h = (o in have) ? have[o] : "n"
				if (modules == "modules" && h == "m" && want[o] == "y") continue
				if (h != want[o]) { print "did not take: " o "=" want[o] " (is " h ")"; bad = 1 }
			}
			exit bad
		}' "$1" -
}

kernel_config() {
	variant=$1
	obj=$(kernel_obj "$variant")
	mkdir -p "$obj"
	kernel_fragments "$variant" | while read -r file; do
		cat "$file" || exit 1
	done >"$obj/lab.config" || return 1
	if ! cmp -s "$obj/lab.config" "$obj/lab.config.used" || [ ! -e "$obj/.config" ] ||
		[ "$(git -C "$src" rev-parse 'HEAD^{tree}')" != "$(cat "$obj/lab.config.tip" 2>/dev/null)" ]; then
		kernel_make "$variant" KCONFIG_ALLCONFIG="$obj/lab.config" allnoconfig || return 1
		git -C "$src" rev-parse 'HEAD^{tree}' >"$obj/lab.config.tip"
		cp "$obj/lab.config" "$obj/lab.config.used"
	fi
	config_took "$obj/.config" <"$obj/lab.config"
}

kernel_build_here() {
	kernel_env
	# In a tree of its own: a change of headers to and fro would have everything
	# built again, both times.
	if [ "$1" = base ]; then
		[ -e "$base_dir/src-base" ] || git -C "$src" worktree add -q -f --detach "$base_dir/src-base" "$base" || return 1
		src=$base_dir/src-base
	fi
	rm -f "$(kernel_obj "$1")/lab.built"
	base_checkout "$2" && kernel_config "$1" && kernel_make "$1" bzImage || return 1
	[ "$1" != debug ] || kernel_make "$1" modules || return 1
	# What another one has compiled may still be there.
	(cd "$obj" && echo "${kernel##*/}" && ar t vmlinux.a) >"$obj/lab.linked-$1" || return 1
	echo "${kernel##*/}" >"$obj/lab.built"
}

# kernel_linked VARIANT: does a list tell what $kernel has linked?
kernel_linked() { [ "$(head -n 1 "$(kernel_obj "$1")/lab.linked-$1" 2>/dev/null)" = "${kernel##*/}" ]; }

# kernel_objects VARIANT: as kernel_get, and sets $obj, where the objects of just that
# kernel are.
kernel_objects() {
	kernel_get "$1" || return 1
	obj=$(kernel_obj "$1")
	[ "$(cat "$obj/lab.built" 2>/dev/null)" = "${kernel##*/}" ] && kernel_linked "$1" && return
	(
		src_lock
		step "kernel ($1)" kernel_build_here "$1" "$kernel_commit"
	)
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
	# What is not compiled into it does not count.
	kernel_key=$({
		git -C "$src" ls-tree -r "$kernel_commit" | grep -v -P '\t(Documentation|MAINTAINERS|samples|tools/testing/selftests)\b'
		git -C "$src" ls-tree "$kernel_commit" tools/testing/selftests/dmabuf-dio/config
		cat "$repo"/tools/vm/*.config
		"clang-$llvm" --version | head -n 1
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
			from=$(kernel_obj "$1") && cp "$from/.config" "$kernel/config" &&
			{ [ "$1" != debug ] || (cd "$from" && sed 's/\.o$/.ko/' modules.order | xargs cp -t "$kernel"); } &&
			cp "$from/arch/x86/boot/bzImage" "$kernel/bzImage.new" &&
			mv "$kernel/bzImage.new" "$kernel/bzImage"
	) || return 1
	# The newest few are enough.
	# shellcheck disable=SC2012 # names are ours
	ls -dt "$base_dir/kernel"/* | tail -n +9 | xargs -r rm -rf
}

# selftests_get COMMIT: the programs, as kselftest installs them; sets $selftests.
selftests_get() {
	selftests_commit=$1
	selftests=$base_dir/selftests/$(git -C "$src" ls-tree -r "$1" tools/testing/selftests include/uapi | sha256sum | cut -c 1-16)
	[ ! -e "$selftests/done" ] || return 0
	step "kselftests" selftests_build && : >"$selftests/done"
}

# In a small tree of its own: a kernel may be under construction in the other one.
selftests_build() (
	work=$(mktemp -d "$cache/tmp.XXXXXX") || exit 1
	trap 'rm -rf "$work"' EXIT
	kernel_env
	rm -rf "$selftests"
	mkdir -p "$selftests" "$work/out" &&
		git -c init.defaultBranch=look clone -q --shared --no-checkout "$src" "$work/src" && cd "$work/src" &&
		git sparse-checkout set --no-cone '/*' '!/*/' /scripts/ /include/ /usr/ /arch/x86/ /tools/include/ /tools/scripts/ \
			/tools/lib/ /tools/arch/ /tools/build/ /tools/testing/selftests/ &&
		git checkout -q --detach "$selftests_commit" || exit 1
	set -- -s -j"$kernel_jobs" O="$work/out"
	make "$@" headers && make "$@" -C tools/testing/selftests KHDR_INCLUDES="-isystem $work/out/usr/include" \
		TARGETS="dmabuf-dio dmabuf-heaps drivers/dma-buf" FORCE_TARGETS=1 INSTALL_PATH="$selftests" install
)
