"""What the source checks share: finding files, taking comments and strings out, reporting."""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]

_TOKEN = re.compile(
    r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.DOTALL)


def files(*patterns, root=ROOT):
    """The files that match the glob patterns, as sorted paths; build trees are not sources."""
    found = set()
    for pattern in patterns:
        found.update(path for path in root.glob(pattern)
                     if path.is_file() and "build" not in path.relative_to(root).parts)
    return sorted(found)


def blank_comments(text, strings=True):
    """Replace comments, and string and character literals, by blanks; line numbers stay."""
    def blank(match):
        token = match.group()
        if token[0] != "/" and not strings:
            return token
        return re.sub(r"[^\n]", " ", token)
    return _TOKEN.sub(blank, text)


def finish(name, problems, note):
    """Print the problems and leave with the check's exit code."""
    for problem in problems:
        print(problem)
    print(f"{name}: {note}, {len(problems)} problems")
    sys.exit(1 if problems else 0)
