# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# Builds each commit of the series twice: without Rust and all built in; with Rust and
# modules of all that can be one.  What ends a posting is built the other two ways as
# well.  A variant has one tree of objects, through which the commits go in order.
# What was built is remembered by content, so a run goes on where another one was
# stopped.  Expects kernel.sh.

# kernel_each_commit LIST: "commit name" of each, first to last.  The last line
# says how many builds there are, and how many of them are good.
kernel_each_commit() {
	need_build && need ccache || return 1
	each=$base_dir/each
	mkdir -p "$each/done" || return 1
	exec 9>"$each/lock"
	flock -n 9 || die "another run builds each commit"
	# Variants, and neighbours, have most objects in common.
	CCACHE_DIR=$each/ccache CCACHE_MAXSIZE=20G
	export CCACHE_DIR CCACHE_MAXSIZE
	[ -e "$each/src" ] || git -C "$src" worktree add -q -f --detach "$each/src" "$base" || return 1
	each_key=$({
		cat "$repo/tools/vm/each.config" "$repo/tools/vm/rust.config"
		sed -n '/^each_kernel/,/^each_make/p' "$repo/tools/vm/each.sh"
		gcc --version
		rustc --version
		bindgen --version
	} | sha256sum | cut -c 1-16)
	each_good=0 each_all=0
	# Whether one ends its posting, the next line tells.
	each_commit=''
	while read -r each_next; do
		each_one </dev/null
		each_commit=${each_next%% *} each_name=${each_next#* }
	done <"$1"
	each_next=''
	each_one
	say "$each_good of $each_all built"
	[ "$each_good" = "$each_all" ]
}

# each_one: all builds of $each_commit that it can make a difference to.
each_one() {
	[ -n "$each_commit" ] || return 0
	case $each_next in
	*" ${each_name%/*}/"*) each_variants='c rust-modules' ;;
	*) each_variants='c c-modules rust rust-modules' ;;
	esac
	git -C "$src" diff --no-renames --diff-filter=AM --name-only "$each_commit^" "$each_commit" >"$each/files"
	grep -vE '^(Documentation|tools)/|^MAINTAINERS$' "$each/files" >"$each/kernel"
	: >"$each/missing"
	each_builds=0
	for each_variant in $each_variants; do
		case $each_variant in
		rust*) [ -s "$each/kernel" ] ;;
		*) grep -qvE '^rust/|\.rs$' "$each/kernel" ;;
		esac || continue
		each_builds=$((each_builds + 1))
		each_build "$each_variant" each_kernel
		[ ! -e "$each_done" ] || cat "$each_done" >>"$each/missing"
	done
	# Compiled later is compiled too late.
	sort "$each/missing" | uniq -c | awk -v n="$each_builds" '$1 == n { print "  " $2 }' >"$each/never"
	if [ -s "$each/never" ]; then
		each_all=$((each_all + 1))
		say "$each_name: no build compiles"
		cat "$each/never" >&2
	fi
	sed -n 's|^tools/testing/selftests/\([^/]*\)/.*|\1|p' "$each/files" | sort -u >"$each/targets"
	while read -r target; do
		each_build "selftests-$target" each_selftests
	done <"$each/targets"
}

# each_build VARIANT COMMAND: once for a content.
each_build() {
	each_all=$((each_all + 1))
	each_done=$each/done/$(git -C "$src" rev-parse "$each_commit^{tree}")-$1-$each_key
	[ -e "$each_done" ] || step "build ($1): $each_name" "$2" "$1" || return
	each_good=$((each_good + 1))
}

each_checkout() {
	kernel_env
	git -C "$each/src" checkout -q -f --detach "$each_commit"
}

# each_kernel VARIANT: leaves a list of those files that it did not compile.
each_kernel() {
	obj=$each/obj-$1
	mkdir -p "$obj" && each_checkout || return 1
	{
		cat "$repo/tools/vm/each.config"
		# Binder in Rust is touched, and wants the network.
		case $1 in rust*)
			cat "$repo/tools/vm/rust.config"
			printf 'CONFIG_%s=y\n' RUST RUST_KERNEL_DOCTESTS NET ANDROID_BINDER_IPC_RUST
			;;
		esac
	} >"$obj/lab.config"
	each_make KCONFIG_ALLCONFIG="$obj/lab.config" allnoconfig || return 1
	case $1 in *-modules) each_modules || return 1 ;; esac
	# What an earlier commit does not know yet, it cannot have.
	git -C "$each/src" grep -hE '^[[:space:]]*(menu)?config [A-Z0-9_a-z]+' -- '*Kconfig*' | awk '{ print "CONFIG_" $2 }' >"$obj/lab.known"
	grep -wFf "$obj/lab.known" "$obj/lab.config" | config_took "$obj/.config" "${1##*-}" || return 1
	# What an object of now has been made of is in a record that is newer than this.
	grep -E '\.(c|rs)$' "$each/kernel" >"$each/sources"
	: >"$each/stamp"
	(cd "$each/src" && xargs -r touch -c) <"$each/sources"
	each_make all || return 1
	find "$obj" -name '.*.cmd' -newer "$each/stamp" -exec grep -ohFf "$each/sources" {} + | sort -u >"$each/compiled"
	sort "$each/sources" | comm -23 - "$each/compiled" >"$each_done.new"
	sed 's/^/not compiled: /' "$each_done.new"
	mv "$each_done.new" "$each_done"
}

# All that can be a module is one, but for KUnit: examples, and suites in Rust, depend
# on its being built in, and would go with it.
each_modules() {
	cp "$obj/.config" "$obj/lab.all" && each_make yes2modconfig && grep '=m$' "$obj/.config" >"$obj/lab.modules" &&
		{ cat "$obj/lab.all" "$obj/lab.modules" && echo CONFIG_KUNIT=y; } >"$obj/.config" && each_make olddefconfig
}

each_make() { nice make -C "$each/src" O="$obj" CC="ccache gcc" -j"$kernel_jobs" "$@"; }

each_selftests() {
	obj=$each/obj-selftests
	mkdir -p "$obj" && each_checkout || return 1
	rm -rf "$obj/kselftest"
	each_make headers &&
		make -s -C "$each/src/tools/testing/selftests" O="$obj" KHDR_INCLUDES="-isystem $obj/usr/include" \
			TARGETS="${1#selftests-}" FORCE_TARGETS=1 all && : >"$each_done"
}
