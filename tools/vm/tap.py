#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""What the tests of one boot said, one line for each result.

usage: tap.py PARSER GROUP ALLOWED kselftest DIR   programs run by run_kselftest.sh
       tap.py PARSER GROUP ALLOWED kunit DIR       suites, as debugfs has them
       tap.py PARSER GROUP ALLOWED file NAME FILE  TAP of one program

PARSER is the kernel's tools/testing/kunit, whose parser reads KTAP.  A line is

    ok NAME | FAIL NAME: why | skip NAME: why | xfail NAME: why | note TEXT

A skip or a failure that ALLOWED names for GROUP is printed as "skip" or "xfail".
Every other skip is a FAIL.  So is a test that passed where ALLOWED expects it to
fail, or that says more than what is expected there, and an entry of ALLOWED that met
no test of a program that ran.

ALLOWED has a line for each exception: "skip" or "fail", patterns of groups (separated
by commas), program, pattern of names (with _ for a space), of a failure a regular
expression in quotes which each complaint of the test matches, and the reason.

The last line is "end N", after N results.  The exit status is 0 if none is a FAIL, else
10, which Python does not use itself.
"""
import fnmatch
import os
import re
import sys

# What the harness of kselftest says of each test that is all right.
NOISE = re.compile(r"#\s+(RUN|OK)\s|^\s*#?\s*$")
# And of one that is not.
VERDICT = re.compile(r"#\s+FAIL\s|# \S+: Test failed$")
EXCEPTION = re.compile(r'(?:skip|(fail)) +(\S+) +(\S+) +(\S+) +(?(1)"([^"]+)" +)(\S.*)')


class Exceptions:
    """Which tests need not pass, and which of these entries were needed."""

    def __init__(self, path, group):
        self.entries = []
        with open(path, encoding="utf-8") as lines:
            for line in lines:
                if not line.strip() or line.startswith("#"):
                    continue
                match = EXCEPTION.match(line)
                if not match:
                    sys.exit(f"{path}: '{line.strip()}' is no exception")
                kind, groups, program, pattern, complaint, reason = match.groups()
                if any(fnmatch.fnmatchcase(group, one) for one in groups.split(",")):
                    self.entries.append([kind or "skip", program, pattern, reason, complaint, False])

    def find(self, kind, program, test):
        """The reason if a test may be so, and what it complains of then; or None."""
        found = None
        for entry in self.entries:
            if entry[:2] == [kind, program] and fnmatch.fnmatchcase(test.replace(" ", "_"), entry[2]):
                entry[5] = True
                found = entry[3:5]
        return found

    def unused(self, programs):
        return [e for e in self.entries if e[1] in programs and not e[5]]


class Printer:
    """What the parser prints to: only its complaints about the form are of interest."""

    def __init__(self):
        self.errors = []

    def print_with_timestamp(self, message):
        if message.startswith("[ERROR]"):
            self.errors.append(message.removeprefix("[ERROR] Test: "))

    def color_len(self):
        return 0

    def __getattr__(self, color):
        return lambda text: text


class Results:
    """Prints the results of programs, and remembers which there were."""

    def __init__(self, parser, allowed):
        sys.path.insert(0, parser)
        import kunit_parser  # pylint: disable=import-error,import-outside-toplevel

        self.kunit = kunit_parser
        self.allowed = allowed
        self.programs = set()
        self.names = []
        self.count = self.failed = self.expected = self.printed = 0

    def say(self, line):
        print(line)
        self.printed += 1

    def fail(self, name, why, log=()):
        for line in [line for line in log if not NOISE.search(line)][-30:]:
            print("note   | " + line)
        self.say(f"FAIL {name}: {why}")
        self.failed += 1

    @staticmethod
    def as_expected(complaint, log):
        """Does a test complain, and of nothing else?"""
        said = [line for line in log if not NOISE.search(line) and not VERDICT.search(line)]
        return said and all(re.search(complaint, line) for line in said)

    def result(self, program, test, status, reason, log):
        """One test of a program; a suite of KUnit is the name of all its tests."""
        test = test.removeprefix(program + ".")
        name = f"{program} {test}"
        state = self.kunit.TestStatus
        self.count += 1
        self.names.append(name)
        expected = self.allowed.find("fail", program, test)
        if status == state.SKIPPED:
            why = self.allowed.find("skip", program, test)
            if why is None:
                self.fail(name, f"skipped, and nothing allows it here: {reason}")
            else:
                self.say(f"skip {name}: {reason}")
        elif status == state.SUCCESS and expected:
            self.fail(name, f"passed, but is expected to fail: {expected[0]}")
        elif status == state.SUCCESS:
            self.say(f"ok {name}")
        elif status == state.FAILURE and expected and self.as_expected(expected[1], log):
            self.say(f"xfail {name}: {expected[0]}")
            self.expected += 1
        else:
            self.fail(name, status.name.lower().replace("_", " "), log)

    def walk(self, program, test, above):
        """All tests below TEST; a failure of its own that none of them has."""
        name = ".".join(filter(None, (above, test.name)))
        if not test.subtests:
            self.result(program, name or "(no name)", test.status, test.skip_reason, test.log)
            return
        before = self.failed + self.expected
        for sub in test.subtests:
            self.walk(program, sub, name)
        state = self.kunit.TestStatus
        if test.status not in (state.SUCCESS, state.SKIPPED) and before == self.failed + self.expected:
            self.fail(f"{program} {name}", "failed outside its cases", test.log)

    def program(self, program, lines):
        """Everything that PROGRAM, or a suite, has printed as KTAP."""
        self.programs.add(program)
        before = self.count
        lines = [line.rstrip("\n") for line in lines]
        # "1..0 # SKIP why": skipped as a whole.
        for line in lines:
            match = re.match(r"\s*1\.\.0 # SKIP ?(.*)", line)
            if match:
                self.result(program, "all", self.kunit.TestStatus.SKIPPED, match.group(1), ())
                return
        printer = Printer()
        test = self.kunit.parse_run_tests(lines, printer)
        for sub in test.subtests:
            self.walk(program, sub, "")
        # The parser ends at the number of tests that were announced.
        if self.count == before:
            self.fail(program, "no result", lines[-10:])
        elif test.expected_count is None:
            self.fail(program, "did not say how many tests there are")
        elif test.expected_count != len(test.subtests) or printer.errors:
            self.fail(program, "incomplete: " + "; ".join(dict.fromkeys(printer.errors)), lines[-10:])

    def end(self):
        for kind, program, pattern, *_ in self.allowed.unused(self.programs):
            self.fail(f"{program} {pattern}", f"no test needs this entry ({kind}) of the allowed")
        print("end", self.printed)


def kselftest(results, where):
    """The runner's own results, and the log of each program."""
    with open(os.path.join(where, "list"), encoding="utf-8") as lines:
        planned = [line.split()[0].split(":")[1] for line in lines if line.strip()]
    ended = {}
    begin = None
    try:
        with open(os.path.join(where, "runner"), encoding="utf-8", errors="replace") as lines:
            for line in lines:
                uptime, _, line = line.rstrip("\n").partition(" ")
                match = re.match(r"(ok|not ok) \d+ selftests: \S+: (\S+)(.*)", line)
                if match:
                    seconds = float(uptime) - (begin or float(uptime))
                    ended[match.group(2)] = (match.group(1), match.group(3), seconds)
                    begin = None
                elif line.startswith("# selftests: "):
                    begin = float(uptime)
    except FileNotFoundError:
        pass
    for program in planned:
        results.programs.add(program)
        if program not in ended:
            results.fail(program, "has not run to its end")
        count, bad = results.count, results.failed + results.expected
        try:
            with open(os.path.join(where, "tap", program), encoding="utf-8", errors="replace") as lines:
                # The runner prefixes everything that a program prints.
                results.program(program, [line.removeprefix("# ") for line in lines])
        except FileNotFoundError:
            results.fail(program, "has printed nothing")
        if program in ended:
            state, why, seconds = ended[program]
            # A crash after the last test, or a limit of time: no result tells it.
            if state != "ok" and (why != " # exit=1" or bad == results.failed + results.expected):
                results.fail(program, "ended with" + why)
            elif state == "ok" and bad != results.failed + results.expected:
                results.fail(program, "ended well, though not each test did")
            print(f"note {program}: {seconds:.0f} s, {results.count - count} results")


def kunit(results, where):
    """Each suite has a directory in debugfs, whether it has run or not; and none is missing
    of those that "suites" names: "SUITE", or "SUITE PREFIX N" for N tests or more whose
    names are PREFIX and a number."""
    suites = sorted(os.listdir(os.path.join(where, "kunit"))) if os.path.isdir(os.path.join(where, "kunit")) else []
    if not suites:
        results.fail("kunit", "no suite was there")
    for suite in suites:
        with open(os.path.join(where, "kunit", suite), encoding="utf-8", errors="replace") as lines:
            results.program(suite, lines)
    with open(os.path.join(where, "suites"), encoding="utf-8") as lines:
        for suite, *tests in map(str.split, lines):
            if suite not in suites:
                results.fail(suite, "this suite was not there")
            elif tests:
                prefix, least = tests
                have = sum(re.fullmatch(re.escape(f"{suite} {prefix}") + r"\d+", name) is not None for name in results.names)
                if have < int(least):
                    results.fail(f"{suite} {prefix}*", f"{have} tests, not {least}")


def main():
    parser, group, allowed, mode, *rest = sys.argv[1:]
    results = Results(parser, Exceptions(allowed, group))
    if mode == "kselftest":
        kselftest(results, *rest)
    elif mode == "kunit":
        kunit(results, *rest)
    else:
        name, path = rest
        try:
            with open(path, encoding="utf-8", errors="replace") as lines:
                results.program(name, lines)
        except FileNotFoundError:
            results.fail(name, "has printed nothing")
    results.end()
    sys.exit(10 if results.failed else 0)


if __name__ == "__main__":
    main()
