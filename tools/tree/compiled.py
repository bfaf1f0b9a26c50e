#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Shows every C and Rust file of the series to the tools that check such files.

kbuild writes down the command of each object. The tools run with these commands,
beside the build: they generate nothing, and no object has to be made again.

What a tool says of a file in C counts unless it says the same of the base's version. For
that of a crate in Rust the whole base would have to be built: there, what it says of
lines that the series adds counts, and what a change does to lines elsewhere is not seen.
Nor are warnings in files that the series does not touch; those end the builds of each
commit, which have CONFIG_WERROR.

A line "ok TOOL FILE" or "FAIL TOOL FILE" tells of each tool and file, after what
the tool has to say. A file that a tool should have compiled and did not is a failure.
"""
import argparse
import collections
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

# What kernels that anything is measured on do not have: it is compiled as a file beside
# it is, and with these options.
NOT_CONFIGURED = {
    "mm/kmemleak.c": ("mm/util.c", ["-DCONFIG_DEBUG_KMEMLEAK=1", "-DCONFIG_DEBUG_KMEMLEAK_MEM_POOL_SIZE=16000"]),
}
SELFTESTS = "tools/testing/selftests/dmabuf-dio/"
PROGRAMS = (SELFTESTS, "samples/")


def run(words, **more):
    return subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          encoding="utf-8", errors="replace", check=False, **more)


def read(path):
    return Path(path).read_text(encoding="utf-8", errors="replace")


class Unit:
    """What one command compiles."""

    def __init__(self, command, source):
        # kbuild escapes what make would expand.
        words = shlex.split(command.replace("$(pound)", "#").replace("$$", "$"))
        words = words[:words.index(";")] if ";" in words else words
        start = next(i for i, word in enumerate(words) if not re.match(r"\w+=", word))
        self.env = dict(word.split("=", 1) for word in words[:start])
        self.compiler, self.source = words[start], source
        self.flags = list(self.without_output(iter(words[start + 1:])))

    def without_output(self, words):
        """All but what is compiled, and where the result goes."""
        for word in words:
            if word in ("-o", "--out-dir"):
                next(words)
            elif word not in ("-c", self.source) and not word.startswith(("-Wp,-MMD", "--emit=")):
                yield word


class Check:
    def __init__(self, args):
        self.src, self.look, self.obj, self.sparse = args.src, args.look, args.obj, args.sparse
        self.base, self.tip = args.base, args.tip
        self.linked = {line for path in args.linked for line in read(path).split()}
        names = run(["git", "-C", self.src, "diff", "--no-renames", "--diff-filter=AM", "--name-status",
                     args.base, args.tip, "--", "*.c", "*.h", "*.rs"]).stdout.split()
        self.files = dict(zip(names[1::2], names[::2]))     # A: new, M: changed
        # What the top makefile exports.
        self.env = {**os.environ, "LC_ALL": "C.UTF-8", "RUSTC_BOOTSTRAP": "1", "CLIPPY_CONF_DIR": self.src}
        self.seen = collections.defaultdict(set)        # file: tools
        self.said = collections.defaultdict(dict)       # tool, file: texts, each once

    def ours(self, path):
        """The file of the series that a path means."""
        for top in (self.src, self.look):
            file = os.path.relpath(os.path.join(self.obj, path), top)
            if file in self.files:
                return file
        return None

    def see(self, paths, *tools):
        for path in paths:
            if file := self.ours(path):
                self.seen[file].update(tools)

    def see_depends(self, makefile, *tools):
        """What a list of dependencies names.  A compiler that failed has told why."""
        if os.path.exists(makefile):
            self.see([word.rstrip(":") for word in read(makefile).replace("\\\n", " ").split()], *tools)

    def say(self, tool, path, text):
        if text:
            self.said[tool, self.ours(path) or path][text.replace(f"{self.src}/", "").replace(f"{self.look}/", "")] = True

    def make(self, where, expression, *words):
        """What the makefiles there make of an expression."""
        done = run(["make", "-s", "-C", where, *words, f"--eval=lab: ; @echo '{expression}'", "lab"])
        if done.returncode:
            sys.exit(done.stderr)
        return shlex.split(done.stdout)

    def kernel_units(self):
        """The commands that compile files of the series, for what the kernels link: kbuild
        keeps those of all that it ever compiled."""
        beside = {source: (file, options) for file, (source, options) in NOT_CONFIGURED.items() if file in self.files}
        for cmd in sorted(Path(self.obj).rglob(".*.cmd")):
            text = read(cmd)
            command = re.match(r"savedcmd_(\S+) := (.*)", text)
            source = re.search(r"^source_\S+ := (\S+\.(?:c|h|rs))$", text, re.M)
            if not command or not source:
                continue
            target = command[1]
            if target.endswith(".o") and target not in self.linked and not target.startswith(PROGRAMS):
                continue
            file, options = beside.get(os.path.relpath(os.path.join(self.obj, source[1]), self.src), (None, None))
            if file:
                unit = Unit(command[2], source[1])
                unit.source, unit.flags = os.path.join(self.src, file), [*options, *unit.flags]
                yield unit
            parts = [source[1], *re.findall(r"^  (\S+\.(?:c|rs)) \\$", text, re.M)]
            if " bindgen " in f" {command[2]}":
                self.see(parts, "bindgen")
            elif any(self.ours(path) for path in parts):
                yield Unit(command[2], source[1])

    def selftest_units(self):
        headers = f"KHDR_INCLUDES=-isystem {self.obj}/usr/include"
        flags = self.make(f"{self.look}/{SELFTESTS}", "$(CFLAGS)", headers)
        for source in self.make(f"{self.look}/{SELFTESTS}", "$(TEST_GEN_PROGS:=.c) $(LIB)", headers, "OUTPUT="):
            yield Unit(shlex.join(["gcc", *flags]), os.path.join(self.look, SELFTESTS, source.lstrip("/")))

    # C: gcc, and sparse for the kernel.  What the base's version of a file gives, too, is
    # not ours.

    def kernel_flags(self):
        """What W=1 makes different, as robots that test patches use it; what sparse is told."""
        flags = "$(KBUILD_CPPFLAGS) $(KBUILD_CFLAGS)"
        usual = self.make(self.obj, flags)
        w1 = self.make(self.obj, flags + " CHECK $(CHECKFLAGS)", "W=1")
        w1, self.checkflags = w1[:w1.index("CHECK")], w1[w1.index("CHECK") + 1:]
        self.less = set(usual) - set(w1)
        self.more = [word for word in w1 if word not in usual]

    def c(self, unit):
        if (self.ours(unit.source) or "").startswith(PROGRAMS):
            self.gcc(unit, unit.flags, "gcc")
        else:
            w1 = [word for word in unit.flags if word not in self.less] + self.more
            self.gcc(unit, w1, "gcc", "sparse")
            self.c_run("sparse", unit, [self.sparse, *self.checkflags, *unit.flags])

    def gcc(self, unit, flags, *tools):
        words = [unit.compiler, *flags, "-S", "-o", "/dev/null"]
        with tempfile.NamedTemporaryFile() as depends:
            self.c_run("gcc", unit, words, "-MMD", "-MF", depends.name)
            self.see_depends(depends.name, *tools)

    def c_run(self, tool, unit, words, *more):
        # The sources of programs are those of the tip, even if no kernel was built since.
        file = self.ours(unit.source) or ""
        source = f"{self.look}/{file}" if file.startswith(PROGRAMS) else unit.source
        said = list(self.c_said([*words, *more, source], source))
        known = collections.Counter()
        if said and self.files.get(file) == "M":
            with tempfile.TemporaryDirectory() as tmp:
                old = Path(tmp, os.path.basename(file))
                old.write_text(run(["git", "-C", self.src, "show", f"{self.base}:{file}"]).stdout, encoding="utf-8")
                words = [*words, f"-I{os.path.dirname(source)}", str(old)]
                known.update(self.no_numbers(text) for _, text in self.c_said(words, source))
        for path, text in said:
            known[self.no_numbers(text)] -= 1
            if known[self.no_numbers(text)] < 0:
                self.say(tool, path, text)

    def c_said(self, words, source):
        """What a tool says of our files, and if it fails, of itself."""
        done = run(words, cwd=self.obj, env=self.env)
        text = done.stderr.replace(words[-1], source)
        head = r"^\S+?:\d+:(?:\d+:)? (?:fatal )?(?:warning|error):"
        for part in re.split(f"(?={head})", text, flags=re.M):
            path = part.split(":", 1)[0]
            if re.match(head, part) and self.ours(path):
                yield path, part.rstrip()
        if done.returncode:
            yield source, f"exit status {done.returncode}: {text}"

    @staticmethod
    def no_numbers(text):
        return re.sub(r"\d+", "", text)

    # Rust: clippy and rustdoc.  In files of the base, our lines count.

    def rust(self, unit):
        with tempfile.TemporaryDirectory() as tmp:
            flags = [*unit.flags, "--error-format=json", "-Zunstable-options"]
            self.rust_run("clippy", unit, ["clippy-driver", *flags, f"--out-dir={tmp}",
                                           f"--emit=dep-info={tmp}/d", "--emit=metadata"])
            flags = [word for word in flags if not word.startswith("--remap-path-")]
            self.rust_run("rustdoc", unit, ["rustdoc", *flags, "--document-private-items", f"--out-dir={tmp}/doc"])
            self.see_depends(f"{tmp}/d", "clippy", "rustdoc")

    def rust_run(self, tool, unit, words):
        done = run([*words, unit.source], cwd=self.obj, env={**self.env, **unit.env})
        for line in done.stderr.splitlines():
            if not line.startswith("{"):
                self.say(tool, unit.source, line)
                continue
            message = json.loads(line)
            for span in message["spans"]:
                if span["is_primary"] and self.adds(self.ours(span["file_name"]), span["line_start"], span["line_end"]):
                    self.say(tool, span["file_name"], message["rendered"])
            if message["level"] == "error" and not message["spans"]:
                self.say(tool, unit.source, message["rendered"])
        if done.returncode:
            self.say(tool, unit.source, f"exit status {done.returncode}")

    def adds(self, file, first, last):
        """Does the series add one of these lines?"""
        if self.files.get(file) != "M":
            return file in self.files
        diff = run(["git", "-C", self.src, "diff", "-U0", self.base, self.tip, "--", file]).stdout
        hunks = re.findall(r"^@@ \S+ \+(\d+),?(\d*) @@", diff, re.M)
        return any(int(start) <= last and first < int(start) + int(count or 1) for start, count in hunks)

    def check(self, unit):
        (self.rust if unit.source.endswith(".rs") else self.c)(unit)


def wanted(file, seen):
    """The tools that have to see a file; of headers, whatever compiles them."""
    if file.endswith(".rs"):
        return {"clippy", "rustdoc"}
    if file.endswith(".h") and seen:
        return seen
    return {"gcc"} if file.endswith(".h") or file.startswith(PROGRAMS) else {"gcc", "sparse"}


def result(tool, file, texts):
    for line in "\n".join(texts).splitlines():
        print("  |", line)
    print("FAIL" if texts else "ok", tool, file)


def main():
    parser = argparse.ArgumentParser()
    for name in ("src", "look", "obj", "base", "tip", "sparse"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--linked", action="append", required=True)
    check = Check(parser.parse_args())
    check.kernel_flags()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(check.check, [*check.kernel_units(), *check.selftest_units()]))
    for file in check.files:
        seen = check.seen[file]
        for tool in sorted(seen | wanted(file, seen)):
            texts = list(check.said.pop((tool, file), ()))
            result(tool, file, texts if tool in seen else [*texts, "did not compile it"])
    for (tool, file), texts in check.said.items():
        result(tool, file, texts)


main()
