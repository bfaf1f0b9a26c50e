#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Nothing vanishes in tap.py.

usage: PARSER=directory of kunit_parser.py, tap_test.py
"""
import os
import subprocess
import sys
import tempfile
import unittest

TAP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tap.py")
HEAD = "TAP version 13\n1..2\n"
GOOD = HEAD + "ok 1 a.b\nok 2 a.c\n"
RUNNER = "1.0 # selftests: dir: prog\n3.5 ok 1 selftests: dir: prog\n"


class Tap(unittest.TestCase):
    def tap(self, log=None, allowed="", runner=RUNNER, kunit=None, suites=""):
        """The lines that are printed, but for notes, of one program or suite."""
        with tempfile.TemporaryDirectory() as where:
            os.mkdir(where + "/tap")
            os.mkdir(where + "/kunit")
            files = {"allowed": allowed, "list": "dir:prog\n", "runner": runner, "suites": suites}
            if log is not None:
                files["tap/prog"] = "".join("# " + line + "\n" for line in log.splitlines())
            for name, text in (kunit or {}).items():
                files["kunit/" + name] = text
            for name, text in files.items():
                with open(f"{where}/{name}", "w", encoding="utf-8") as out:
                    out.write(text)
            mode = "kselftest" if kunit is None else "kunit"
            done = subprocess.run(
                [sys.executable, TAP, os.environ["PARSER"], "group", where + "/allowed", mode, where],
                capture_output=True,
                text=True,
                check=False,
            )
        self.assertEqual(done.stderr, "")
        *lines, end = [line for line in done.stdout.splitlines() if not line.startswith("note ")]
        self.assertEqual(end, f"end {len(lines)}")
        self.assertEqual(done.returncode, 10 if any(line.startswith("FAIL ") for line in lines) else 0)
        return lines

    def fails(self, why, *args, **kwargs):
        lines = [line for line in self.tap(*args, **kwargs) if line.startswith("FAIL ")]
        self.assertTrue(any(why in line for line in lines), lines)

    def test_good(self):
        self.assertEqual(self.tap(GOOD), ["ok prog a.b", "ok prog a.c"])

    def test_failed(self):
        self.fails("prog a.c: failure", HEAD + "ok 1 a.b\nnot ok 2 a.c\n")

    def test_nothing_printed(self):
        self.fails("has printed nothing")

    def test_no_result(self):
        self.fails("incomplete", "TAP version 13\n1..2\n")

    def test_no_plan(self):
        self.fails("how many", "TAP version 13\nok 1 a.b\n")

    def test_ended_early(self):
        self.fails("incomplete", HEAD + "ok 1 a.b\n")

    def test_not_run(self):
        self.fails("has not run to its end", GOOD, runner="1.0 # selftests: dir: prog\n")

    def test_crashed_after_the_last(self):
        self.fails("exit=139", GOOD, runner="1.0 not ok 1 selftests: dir: prog # exit=139\n")

    def test_time(self):
        self.fails("TIMEOUT", GOOD, runner="1.0 not ok 1 selftests: dir: prog # TIMEOUT 9 seconds\n")

    def test_skip(self):
        self.fails("nothing allows it", HEAD + "ok 1 a.b\nok 2 a.c # SKIP no disk\n")

    def test_skip_of_another_group(self):
        self.fails("nothing allows it", HEAD + "ok 1 a.b\nok 2 a.c # SKIP no disk\n", "skip other prog a.c why\n")

    def test_skip_allowed(self):
        log = HEAD + "ok 1 a.b\nok 2 a.c # SKIP no disk\n"
        self.assertEqual(self.tap(log, "skip group prog a.c why\n"), ["ok prog a.b", "skip prog a.c: no disk"])

    def test_whole_program_skipped(self):
        self.fails("nothing allows it", "TAP version 13\n1..0 # SKIP no disk\n")

    def test_whole_program_allowed(self):
        log = "TAP version 13\n1..0 # SKIP no disk\n"
        self.assertEqual(self.tap(log, "skip group prog all why\n"), ["skip prog all: no disk"])

    def test_skip_of_groups(self):
        log = HEAD + "ok 1 a.b\nok 2 a.c # SKIP no disk\n"
        self.assertEqual(self.tap(log, "skip other,gr* prog a.c why\n")[1], "skip prog a.c: no disk")

    def test_no_list_of_exceptions(self):
        for bad in ("fail group prog\n", "fail group prog a.c why\n", "fails group prog a.c why\n"):
            with self.subTest(bad), self.assertRaisesRegex(AssertionError, "is no exception"):
                self.tap(GOOD, bad)

    def expected(self, said, how="exit=1", allowed='fail * prog a.c "1 == |2 ==" why\n', more=""):
        log = f"{HEAD}ok 1 a.b\n#  RUN           a.c ...\n{said}#          FAIL  a.c\nnot ok 2 a.c\n{more}"
        return log, allowed, f"1.0 not ok 1 selftests: dir: prog # {how}\n"

    def test_expected(self):
        said = "# a.c:7:c:Expected 1 == x (3)\n# a.c:8:c:Expected 2 == y (3)\n# c: Test failed\n"
        self.assertEqual(self.tap(*self.expected(said)), ["ok prog a.b", "xfail prog a.c: why"])
        self.fails("exit=139", *self.expected(said, "exit=139"))
        self.fails("TIMEOUT", *self.expected(said, "TIMEOUT 9 seconds"))
        self.fails("prog a.c: failure", *self.expected("# a.c:9:c:Expected 0 == z (3)\n" + said))
        self.fails("prog a.c: failure", *self.expected(said + "# c: Test terminated unexpectedly by signal 11\n"))
        self.fails("prog a.c: failure", *self.expected("# c: Test terminated by timeout\n"))
        self.fails("prog a.c: failure", *self.expected(""))
        # A program that did not tell of its failure.
        self.fails("ended well", *self.expected(said)[:2])

    def test_expected_among_others(self):
        said = "# a.c:7:c:Expected 1 == x (3)\n"
        log, allowed, _ = self.expected(said)
        log = log.replace("1..2", "1..3") + "not ok 3 a.d\n"
        self.fails("exit=139", log, allowed, "1.0 not ok 1 selftests: dir: prog # exit=139\n")

    def test_expected_passes(self):
        self.fails("passed, but", GOOD, 'fail group prog a.c "1 ==" why\n')

    def test_entry_unused(self):
        self.fails("no test needs", GOOD, "skip group prog x* why\n")

    def test_suites(self):
        good = "KTAP version 1\n1..1\n    KTAP version 1\n    # Subtest: s\n    1..1\n    ok 1 c\nok 1 s\n"
        self.assertEqual(self.tap(kunit={"s": good}, suites="s\n"), ["ok s c"])
        self.fails("t: this suite", kunit={"s": good}, suites="s\nt\n")
        example = {"s": good.replace("ok 1 c", "ok 1 a_rs_0")}
        self.assertEqual(self.tap(kunit=example, suites="s a_rs_ 1\n"), ["ok s a_rs_0"])
        self.fails("1 tests, not 2", kunit=example, suites="s a_rs_ 2\n")
        self.fails("0 tests, not 1", kunit=example, suites="s a_ 1\n")
        self.fails("no suite", kunit={})
        self.fails("s", kunit={"s": ""})
        self.fails("s", kunit={"s": good.replace("    ok 1 c\n", "")})
        self.fails("outside its cases", kunit={"s": good.replace("ok 1 s", "not ok 1 s")})
        self.fails("s c", kunit={"s": good.replace("ok 1 c", "not ok 1 c").replace("ok 1 s", "not ok 1 s")})


if __name__ == "__main__":
    unittest.main()
