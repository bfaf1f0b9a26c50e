# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# What the work needs and how it comes here.  Every function is quick when
# nothing is missing.

# need PACKAGE...: Debian packages of the machine's own release.
need() {
	missing=
	for package; do
		dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed ||
			missing="$missing $package"
	done
	[ -n "$missing" ] || return 0
	# shellcheck disable=SC2086 # a list of names
	need_install $missing || die "cannot install:$missing"
}

need_install() {
	if [ -z "${need_updated:-}" ]; then
		step "apt-get update" as_root apt-get -q update || return 1
		need_updated=1
	fi
	step "apt-get install $*" as_root env DEBIAN_FRONTEND=noninteractive \
		apt-get -q -y install --no-install-recommends "$@"
}

# version_ge A B: is A at least B?
version_ge() {
	[ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$2" ]
}
version_of() { "$@" 2>/dev/null | grep -o '[0-9][0-9]*\.[0-9][0-9.]*[0-9]' | head -n 1; }
min_version() { sh "$src/scripts/min-tool-version.sh" "$1"; }

llvm=19
bindgen_version=0.72.1
qemu_min=10.0
vng_version=1.42

# What builds a kernel.  Sets PATH, LIBCLANG_PATH and RUST_LIB_SRC.
need_build() {
	need gcc make flex bison bc libelf-dev libssl-dev kmod cpio rsync xz-utils perl python3 git \
		"clang-$llvm" "lld-$llvm" "llvm-$llvm" "libclang-$llvm-dev"
	base_get || return 1
	{ have rustc && have cargo; } ||
		die "no Rust toolchain: take rustup's (https://rustup.rs), or 'apt-get install rustc cargo' on Debian 13"
	version_ge "$(version_of rustc --version)" "$(min_version rustc)" ||
		die "rustc $(version_of rustc --version) is older than the kernel's minimum $(min_version rustc)"
	need_rust_src || return 1
	need_bindgen || return 1
	LIBCLANG_PATH=/usr/lib/llvm-$llvm/lib
	export LIBCLANG_PATH RUST_LIB_SRC PATH
}

need_bindgen() {
	PATH=$cache/tools/bin:$PATH
	have bindgen && version_ge "$(version_of bindgen --version)" "$(min_version bindgen)" && return
	if version_ge "$(apt-cache policy bindgen | sed -n 's/^  Candidate: //p')" "$(min_version bindgen)"; then
		need bindgen
		return
	fi
	# It runs for seconds: no point in minutes of optimising it.
	step "cargo install bindgen-cli $bindgen_version" env CARGO_PROFILE_RELEASE_OPT_LEVEL=1 \
		CARGO_PROFILE_RELEASE_LTO=false CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 cargo install --locked --root "$cache/tools" \
		--version "$bindgen_version" bindgen-cli
}

# The kernel compiles core itself: the source of exactly this rustc's library.
# Where neither rustup nor apt has put it, some suite of the mirror has it.
need_rust_src() {
	RUST_LIB_SRC=$(rustc --print sysroot)/lib/rustlib/src/rust/library
	[ -e "$RUST_LIB_SRC/core/src/lib.rs" ] && return
	rust_version=$(version_of rustc --version)
	if dpkg-query -S "$(command -v rustc)" >/dev/null 2>&1; then
		need rust-src
		[ -e "$RUST_LIB_SRC/core/src/lib.rs" ] && return
	fi
	unpacked=$cache/rust-src-$rust_version
	RUST_LIB_SRC=$unpacked/usr/src/rustc-$rust_version/library
	[ -e "$RUST_LIB_SRC/core/src/lib.rs" ] && return
	if have rustup; then
		# The component, where the toolchain can still get it.
		step "rustup component add rust-src" rustup component add rust-src || :
		if [ -e "$(rustc --print sysroot)/lib/rustlib/src/rust/library/core/src/lib.rs" ]; then
			RUST_LIB_SRC=$(rustc --print sysroot)/lib/rustlib/src/rust/library
			return
		fi
	fi
	for suite in trixie-backports trixie testing unstable; do
		version=$(apt_versions "$suite" rust-src | grep -e "^${rust_version}[+-]" | head -n 1)
		[ -n "$version" ] || continue
		deb=$(apt_fetch "$suite" "rust-src=$version") || continue
		mkdir -p "$unpacked" && step "unpacking rust-src $version" dpkg-deb -x "$deb" "$unpacked" &&
			[ -e "$RUST_LIB_SRC/core/src/lib.rs" ] && return
	done
	die "no source of rustc $rust_version's library: rustup component add rust-src, or set up another toolchain"
}

# What boots it.  The guest runs this machine's udev: without it nothing is in
# /dev/virtio-ports, where virtme-ng's output goes.
need_boot() {
	need python3 e2fsprogs xfsprogs f2fs-tools util-linux file udev iproute2
	version_ge "$(version_of qemu-system-x86_64 --version)" "$qemu_min" || need_qemu || return 1
	vng=$cache/vng/bin/virtme-run
	[ -x "$vng" ] && return
	python3 -c 'import ensurepip' 2>/dev/null || need python3-venv
	step "virtme-ng from PyPI" need_vng
}

need_vng() {
	rm -rf "$cache/vng"
	python3 -m venv "$cache/vng" && "$cache/vng/bin/pip" install -q "virtme-ng==$vng_version"
}

# A QEMU that is new enough is in the machine's release, or in its backports.
need_qemu() {
	codename=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
	need qemu-system-x86
	version_ge "$(version_of qemu-system-x86_64 --version)" "$qemu_min" && return
	step "qemu-system-x86 from $codename-backports" apt_private "$codename-backports" \
		install --no-install-recommends -t "$codename-backports" qemu-system-x86 || return 1
	version_ge "$(version_of qemu-system-x86_64 --version)" "$qemu_min" ||
		die "no QEMU $qemu_min for this machine"
}

# What tests need inside the guest, which sees the files of this machine.
need_tests() {
	need dmsetup kmod procps dosfstools f2fs-tools btrfs-progs fuse2fs
}

# Programs that others wrote, and liburing with its own tests: sets $liburing.
need_foreign() {
	need fio stress-ng coreutils gcc libc6-dev
	have busybox || need busybox
	liburing=$cache/tools/liburing
	[ -e "$liburing/done" ] || step "liburing, from its source" need_liburing_build
}

need_liburing_build() (
	need make dpkg-dev
	rm -rf "$liburing" && mkdir -p "$liburing" && cd "$liburing" || exit 1
	apt_source "$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)" liburing && mv liburing-*/* . && ./configure &&
		make -s -C src && make -s -C test || exit 1
	: >"$liburing/done"
)

# What builds and looks at the program.
need_crate() {
	need gcc libc6-dev
	have cargo || need cargo
	need_lints
}

# What only looks at sources.
need_static() {
	need shellcheck pyflakes3 python3-git python3-ply python3-sphinx python3-yaml && need_lints && need_sparse
}

need_lints() {
	have rustfmt || need rustfmt
	have clippy-driver || need rust-clippy
}

# Sets $sparse.  The kernel does without one that is too old, quietly; what it
# asks is whether __typeof_unqual__ is known.
need_sparse() {
	sparse=$(command -v sparse) && sparse_new_enough && return
	sparse=$cache/tools/sparse
	[ -x "$sparse" ] || step "sparse, from the source of Debian's newest" need_sparse_build
}

sparse_new_enough() {
	echo 'static inline int u(const int *q) { __typeof_unqual__(*q) v = *q; return v; }' >"$cache/sparse.c"
	! "$sparse" "$cache/sparse.c" 2>&1 | grep -q error
}

need_sparse_build() (
	need gcc make dpkg-dev
	build=$cache/tools/sparse-build
	rm -rf "$build"
	mkdir -p "$build" && cd "$build" && apt_source sid sparse || exit 1
	cd sparse-*/ || exit 1
	make -s -j"$(nproc)" CC=gcc HAVE_LLVM=no HAVE_SQLITE=no HAVE_GTK=no HAVE_LIBXML=no sparse || exit 1
	mv sparse "$sparse"
	rm -rf "$build"
	sparse_new_enough
)
