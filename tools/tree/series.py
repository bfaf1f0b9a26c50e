#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""From the repository's files to commits, and back.

The form:

  series/NN-posting/0000-cover-letter   subject, blank line, text
  series/NN-posting/NNNN-slug           commit message, "---", the commit's files
  path/to/file          new in the kernel, as it is after the last commit
  path/to/file.patch    one section "Series: slug" for each commit that changes
                        a file which is there already: upstream's, or one that
                        an earlier commit has brought

As commits, a posting is an empty one, whose message is the cover letter, and
its patches after it.
"""
import os
import re
import subprocess
import sys
import tempfile

HOUSE = ('README.md', 'COPYING', 'lab', '.gitignore')
HOUSE_DIRS = ('.ci/', 'series/', 'tools/tree/', 'tools/vm/', 'tools/dmabuf/')
NONE = ('000000', '0' * 40)


def die(text):
    sys.exit('lab: ' + text)


def say(text):
    print('lab: ' + text, file=sys.stderr)


def is_house(path):
    """Is that a path of the repository which is no part of the series?"""
    return path in HOUSE or path.startswith(HOUSE_DIRS)


class Git:
    """Runs git in a repository, with an index of its own if it is told one."""

    def __init__(self, directory, index=None):
        self.directory = directory
        self.env = dict(os.environ, GIT_INDEX_FILE=index) if index else None

    def run(self, *args, data=b'', check=True):
        done = subprocess.run(('git', '-C', self.directory) + args, input=data,
                              env=self.env, capture_output=True, check=False)
        if check and done.returncode:
            die('git %s: %s' % (args[0], done.stderr.decode().strip()))
        return done

    def __call__(self, *args, data=b''):
        return self.run(*args, data=data).stdout.decode()

    def index(self, files):
        """Puts files, path -> (mode, blob), into the index."""
        self('update-index', '-z', '--index-info',
             data=''.join('%s %s\t%s\0' % (*f, path) for path, f in files.items()).encode())

    def indexed(self):
        """Returns what is in the index: path -> (mode, blob)."""
        rows = (row.split('\t', 1) for row in self('ls-files', '-s', '-z').split('\0')[:-1])
        return {path: tuple(info.split()[:2]) for info, path in rows}

    def commits(self, parent, commits):
        """Makes a commit of each (message, {path: (mode, blob)}), one upon the other."""
        ident = [' '.join((os.environ['GIT_%s_NAME' % who], '<%s>' % os.environ['GIT_%s_EMAIL' % who],
                           os.environ['GIT_%s_DATE' % who])) for who in ('AUTHOR', 'COMMITTER')]
        ref = 'refs/lab/import-%d' % os.getpid()
        stream = []
        for number, (message, files) in enumerate(commits, 1):
            text = message.encode()
            stream += [b'commit %s\nmark :%d\nauthor %s\ncommitter %s\ndata %d\n%s\nfrom %s\n' % (
                ref.encode(), number, ident[0].encode(), ident[1].encode(), len(text), text,
                b':%d' % (number - 1) if number > 1 else parent.encode())]
            stream += [('D %s\n' % path if file == NONE else 'M %s %s %s\n' % (*file, path)).encode()
                       for path, file in files.items()]
        with tempfile.TemporaryDirectory() as tmp:
            marks = os.path.join(tmp, 'marks')
            self('fast-import', '--quiet', '--date-format=raw', '--export-marks=' + marks, data=b''.join(stream))
            self('update-ref', '-d', ref)
            with open(marks, encoding='ascii') as file:
                made = dict(row.split() for row in file)
        return [made[':%d' % number] for number in range(1, len(commits) + 1)]


class Entry:
    """A file of series/: a patch, or the cover letter that a posting begins with."""

    def __init__(self, path):
        self.path = path
        self.posting = path.split('/')[-2]
        self.cover = os.path.basename(path) == '0000-cover-letter'
        self.slug = os.path.basename(path)[5:]
        with open(path, encoding='utf-8') as file:
            self.message = file.read()
        self.files = []
        if not self.cover:
            # The list comes after the last "---".
            self.message, end, files = self.message.rpartition('\n---\n')
            if not end:
                die('%s: no line "---"' % self)
            self.message += '\n'
            self.files = files.split()

    def __str__(self):
        return 'series/%s/%s' % (self.posting, os.path.basename(self.path))


def load_entries(repo):
    entries = []
    top = os.path.join(repo, 'series')
    for posting in sorted(os.listdir(top)):
        here = os.path.join(top, posting)
        if not re.match(r'\d\d-', posting) or not os.path.isdir(here):
            die('series/%s: no posting (NN-name)' % posting)
        names = sorted(os.listdir(here))
        if names[:1] != ['0000-cover-letter']:
            die('series/%s: has no 0000-cover-letter' % posting)
        if len(names) > 16:
            die('series/%s: more than 15 patches' % posting)
        if len(names) == 1 or not all(re.match(r'\d{4}-', name) for name in names):
            die('series/%s: wants patches, NNNN-slug, and nothing else' % posting)
        entries += [Entry(os.path.join(here, name)) for name in names]
    slugs = [entry.slug for entry in entries if not entry.cover]
    for slug in set(slugs):
        if slugs.count(slug) > 1:
            die("series/: '%s' twice" % slug)
    return entries


class Series:
    """The series as the repository has it."""

    def __init__(self, repo):
        self.repo = repo
        self.entries = load_entries(repo)
        self.new = {}           # path -> entry that brings it
        self.sections = {}      # path -> {slug: text}
        for entry in self.entries:
            for name in entry.files:
                if not os.path.isfile(os.path.join(repo, name)):
                    die('%s: in %s, but not there' % (name, entry))
                if not name.endswith('.patch'):
                    if name in self.new:
                        die('%s: new in %s, and in %s' % (name, self.new[name], entry))
                    self.new[name] = entry
                    continue
                path = name[:-len('.patch')]
                if path not in self.sections:
                    self.sections[path] = self.load_sections(name)
                if entry.slug not in self.sections[path]:
                    die("%s: no section 'Series: %s'" % (name, entry.slug))
        for path, sections in self.sections.items():
            for slug in sections:
                if not any(e.slug == slug and path + '.patch' in e.files for e in self.entries):
                    die("%s.patch: section '%s' belongs to no entry of series/ that lists it" % (path, slug))

    def load_sections(self, name):
        with open(os.path.join(self.repo, name), encoding='utf-8') as file:
            parts = re.split(r'^Series: (.*)\n', file.read(), flags=re.M)[1:]
        if len(set(parts[::2])) != len(parts) / 2:
            die('%s: two sections with one name' % name)
        return dict(zip(parts[::2], parts[1::2]))

    def owned(self):
        """The files of the repository that are the series."""
        return {name for entry in self.entries for name in entry.files}

    def final(self, git):
        """New files as they are in the repository: path -> (mode, blob)."""
        paths = [os.path.join(self.repo, path) for path in self.new]
        blobs = git('hash-object', '-w', '--no-filters', '--stdin-paths', data='\n'.join(paths).encode())
        return {path: ('100755' if os.access(os.path.join(self.repo, path), os.X_OK) else '100644', blob)
                for path, blob in zip(self.new, blobs.split())}

    def apply(self, git, entry, paths, *options):
        """Applies, in the index, what a commit does to those files that it changes."""
        for path in paths:
            if entry.slug in self.sections.get(path, {}):
                done = git.run('apply', '--cached', '--whitespace=nowarn', *options, check=False,
                               data=self.sections[path][entry.slug].encode())
                if done.returncode:
                    return "%s.patch, section '%s', does not apply\n%s" % (path, entry.slug, done.stderr.decode().strip())
        return None

    def states(self, git):
        """New files as each commit leaves them: entry -> {path: (mode, blob)}."""
        final = self.final(git)
        states = {entry: {} for entry in self.entries}
        for path, file in final.items():
            touching = [entry for entry in self.entries
                        if self.new[path] is entry or entry.slug in self.sections.get(path, {})]
            blobs = self.history(git, path, file[1], touching)
            states.update((entry, {**states[entry], path: (file[0], blob)}) for entry, blob in zip(touching, blobs))
        return states

    def history(self, git, path, end, touching):
        """The blobs of a new file after each of the commits touching it.

        The repository has the end of it, and what came after the beginning, so go
        back.  If that meets an edit, go back from the version before it: the edit
        is in the last commit then.
        """
        blobs, why = self.back(git, path, end, touching)
        if blobs:
            return blobs
        log = Git(self.repo)('log', '--format=', '--raw', '--no-abbrev', '--no-renames', '--', path)
        for known in (row.split()[3] for row in log.splitlines()):
            text = Git(self.repo).run('cat-file', 'blob', known, check=False).stdout
            before = git('hash-object', '-w', '--stdin', data=text).strip()
            blobs, _ = self.back(git, path, before, touching)
            if blobs:
                say("%s: an edit meets a later commit, and is taken into the last one ('lab tree', 'lab sync' "
                    'write that down)' % path)
                return blobs[:-1] + [end]
        return die(why)

    def back(self, git, path, end, touching):
        """The blobs of a new file after each of the commits, and why there are none."""
        blobs = [end]
        git.index({path: ('100644', end)})
        for entry in reversed(touching[1:]):
            why = self.apply(git, entry, [path], '-R')
            if why:
                return None, why
            blobs.insert(0, git('rev-parse', ':' + path).strip())
        return blobs, None

    def commits(self, git, base):
        """Makes the commits in git, upon base, and returns them."""
        with tempfile.TemporaryDirectory() as tmp:
            states = self.states(Git(git.directory, os.path.join(tmp, 'new')))

            # An index of what is touched only: git is quick with it.
            git = Git(git.directory, os.path.join(tmp, 'index'))
            upstream = [path for path in self.sections if path not in self.new]
            rows = git('ls-tree', '-r', '-z', base, '--', *upstream) if upstream else ''
            git.index({path: tuple(info.split()[::2]) for info, path in
                       (row.split('\t', 1) for row in rows.split('\0')[:-1])})
            before = git.indexed()
            made = []
            for entry in self.entries:
                if states[entry]:
                    git.index(states[entry])
                why = self.apply(git, entry, upstream)
                if why:
                    die(why)
                now = git.indexed()
                changes = {path: now.get(path, NONE) for path in {**before, **now}
                           if now.get(path) != before.get(path)}
                if not changes and not entry.cover:
                    die('%s changes nothing' % entry)
                made.append((entry.message, changes))
                before = now
        return git.commits(base, made)


def slug_of(subject):
    """At most 40 letters."""
    slug = re.sub(r'[^a-z0-9]+', '-', subject.lower()).strip('-')
    if len(slug) > 40:
        slug = (slug[:41].rpartition('-')[0] or slug[:40]).strip('-')
    return slug


class Tree:
    """The commits of a kernel tree since the base, and its edits, to become a series."""

    def __init__(self, directory, root, final):
        self.git = Git(directory)
        self.root = root
        self.commits = []       # (message, {path: (mode, blob)})
        last, state, todo = {}, {}, []
        for commit in self.git('rev-list', '--reverse', root + '..HEAD').split():
            message = self.git('stripspace', data=self.git('log', '-1', '--format=%B', commit).encode())
            touched = self.changes(commit + '^', commit)
            last.update((path, len(todo)) for path in touched)
            todo.append((message, touched))
        edits = self.changes('HEAD', final)
        unowned = [path for path in edits if path not in last]
        if unowned:
            die('%s: these are in no commit yet, commit them first (or remove them)\n  %s' % (
                directory, '\n  '.join(unowned)))
        for path, (_, file) in edits.items():
            todo[last[path]][1][path] = (todo[last[path]][1][path][0], file)
        if edits:
            say('%d uncommitted file(s) go into the last commit that touches them' % len(edits))
        for message, touched in todo:
            left = {path: new for path, (old, new) in touched.items() if state.get(path, old) != new}
            state.update(left)
            if touched and not left:
                say("'%s' has nothing left of its own: dropped" % message.split('\n', 1)[0])
            else:
                self.commits.append((message, left))

    def changes(self, old, new):
        """path -> ((mode, blob) before, and after)."""
        words = self.git('diff-tree', '-r', '-z', '--no-renames', '--no-commit-id', old, new).split('\0')
        found = {}
        for raw, path in zip(words[::2], words[1::2]):
            old_mode, mode, old_blob, blob, _ = raw[1:].split()
            found[path] = (old_mode, old_blob), (mode, blob)
        return found

    def write(self, new):
        """Writes the repository's form into the directory new."""
        made = self.git.commits(self.root, self.commits)
        paths = sorted({path for _, touched in self.commits for path in touched})
        upstream = set(self.git('ls-tree', '-r', '-z', '--name-only', self.root, '--', *paths).split('\0'))
        brought, slugs = {}, set()
        posting, postings, number = None, 0, 0
        files = {}      # name in the repository -> text
        for (message, touched), commit in zip(self.commits, made):
            subject = message.split('\n', 1)[0]
            if re.match(r'(fixup|squash|amend)! ', subject):
                die("'%s': squash it first (git rebase -i --autosquash)" % subject)
            if not touched:
                postings, number = postings + 1, 0
                posting = 'series/%02d-%s' % (postings, self.unique(slugs, subject, subject))
                files[posting + '/0000-cover-letter'] = message.encode()
                continue
            if not posting:
                die("'%s' belongs to no posting: an empty commit with a cover letter begins one" % subject)
            if '\n---\n' in message:
                die("'%s': a line '---' in the message would end it" % subject)
            number += 1
            slug = self.unique(slugs, subject.rpartition(': ')[2], subject)
            names = []
            diffs = self.diffs(commit)
            for path, (mode, blob) in touched.items():
                self.check(subject, path, mode, path in diffs)
                is_new = path not in upstream and path not in brought
                if path not in upstream:
                    brought[path] = mode, blob
                if is_new:
                    names.append(path)
                    continue
                names.append(path + '.patch')
                files[path + '.patch'] = files.get(path + '.patch', b'') + \
                    b'Series: %s\n%s' % (slug.encode(), diffs[path])
            files['%s/%04d-%s' % (posting, number, slug)] = \
                (message + '---\n' + ''.join(name + '\n' for name in sorted(names))).encode()
        for path, (mode, blob) in brought.items():
            if mode == NONE[0]:
                die('%s: new in one commit, removed by another' % path)
            files[path] = self.git.run('cat-file', 'blob', blob).stdout
        for name, text in files.items():
            os.makedirs(os.path.dirname(os.path.join(new, name)), exist_ok=True)
            with open(os.path.join(new, name), 'wb') as file:
                file.write(text)
            os.chmod(file.name, 0o755 if brought.get(name, NONE)[0] == '100755' else 0o644)
        return made

    def diffs(self, commit):
        """The changes of a commit as text: path -> bytes from its "--- " on."""
        text = self.git.run('diff-tree', '-p', '--no-commit-id', '--no-color', '--no-ext-diff', '--no-textconv',
                            '--no-renames', '--diff-algorithm=myers', '--src-prefix=a/', '--dst-prefix=b/',
                            '-U1', '--inter-hunk-context=0', commit).stdout
        found = {}
        for part in re.split(rb'^diff --git ', text, flags=re.M)[1:]:
            head, dashes, body = part.partition(b'\n--- ')
            if dashes and b'\nold mode ' not in head:
                path = head.split(b'\n', 1)[0].split(b' b/', 1)[1].decode()
                found[path] = b'--- ' + body
        return found

    @staticmethod
    def check(subject, path, mode, has_text):
        if is_house(path):
            die("%s ('%s') is a name of the repository's own files" % (path, subject))
        if path.endswith('.patch'):
            die("%s ('%s'): must not be called .patch" % (path, subject))
        if re.search(r'[^A-Za-z0-9._/+,@=-]', path):
            die("%s ('%s'): strange file name" % (path, subject))
        if mode not in ('100644', '100755', NONE[0]):
            die("%s ('%s'): neither file nor patch (mode %s)" % (path, subject, mode))
        if not has_text:
            die("%s ('%s'): no text, or another mode: cannot be kept as a patch" % (path, subject))

    @staticmethod
    def unique(slugs, *names):
        for name in names:
            slug = slug_of(name)
            if slug and slug not in slugs:
                slugs.add(slug)
                return slug
        return die("two commits with the subject '%s'" % names[-1])


def files_below(top):
    return {os.path.relpath(os.path.join(directory, name), top)
            for directory, _, names in os.walk(top) for name in names}


def read(path):
    """Content and mode, or None."""
    if not os.path.isfile(path):
        return None
    with open(path, 'rb') as file:
        return file.read(), os.access(path, os.X_OK)


def install(new, repo, old):
    """Makes the repository's files those of new, of which old is a list, touching only what differs."""
    now = files_below(new)
    for name in sorted(now):
        want = read(os.path.join(new, name))
        target = os.path.join(repo, name)
        if read(target) == want:
            continue
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, 'wb') as file:
            file.write(want[0])
        os.chmod(target, 0o755 if want[1] else 0o644)
        print('  ' + name)
    for name in sorted(old - now):
        target = os.path.join(repo, name)
        if os.path.exists(target):
            os.remove(target)
            print('  %s (removed)' % name)
            try:
                os.removedirs(os.path.dirname(target))
            except OSError:
                pass


def main_commits(repo, src, base):
    """Makes the commits of the repository's series in src: "commit posting/entry" of each."""
    series = Series(repo)
    for entry, commit in zip(series.entries, series.commits(Git(src), base)):
        print(commit, entry)


def main_needs(repo):
    """Prints each posting, after all that it needs, in order: those of "Needs: SUBJECT" and theirs."""
    names, needs = {}, {}
    for cover in (entry for entry in load_entries(repo) if entry.cover):
        posting = cover.posting
        found = set()
        for subject in re.findall('^Needs: (.*)$', cover.message, flags=re.M):
            if subject not in names:
                die("%s: no posting '%s' before it" % (cover, subject))
            found |= {names[subject]} | needs[names[subject]]
        names[cover.message.split('\n', 1)[0]] = posting
        needs[posting] = found
        print(*sorted(found), posting)


def main_orphans(repo):
    """Prints the files that neither the house nor the series knows."""
    owned = Series(repo).owned()
    for path in Git(repo)('ls-files', '-z', '-co', '--exclude-standard').split('\0')[:-1]:
        if not is_house(path) and path not in owned and os.path.exists(os.path.join(repo, path)):
            print(path)


def main_sync(repo, src, base, directory, root, final):
    """Brings the commits of directory since root, which end in the tree final, to the repository."""
    tree = Tree(directory, root, final)
    with tempfile.TemporaryDirectory() as new:
        made = tree.write(new)
        # The proof: the same trees, commit for commit.
        again = Series(new).commits(Git(src), base)
        if Git(src)('rev-parse', base + '^{tree}') == tree.git('rev-parse', root + '^{tree}'):
            for git, commits in ((tree.git, made), (Git(src), again)):
                commits[:] = git('rev-parse', *(commit + '^{tree}' for commit in commits)).split()
            if made != again or made[-1] != final:
                die('internal: the new form gives other files')
        # What is in the repository may be anything: --force.
        old = {'series/' + name for name in files_below(os.path.join(repo, 'series'))}
        old |= {name for entry in load_entries(repo) for name in entry.files}
        install(new, repo, old)
        say('%d commit(s), %d file(s) in the repository' % (len(made), len(files_below(new))))


if __name__ == '__main__':
    if len(sys.argv) < 2 or 'main_' + sys.argv[1] not in globals():
        die('usage: series.py commits|needs|orphans|sync ...')
    globals()['main_' + sys.argv[1]](*sys.argv[2:])
