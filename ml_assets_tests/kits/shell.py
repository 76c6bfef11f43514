"""Shell text taken apart into the commands that it runs, without running any."""

import re
import shlex
from collections.abc import Iterator

OPERATOR = re.compile(r"[();<>|&]+")
REDIRECTION = re.compile(r"[<>]+&?")
HEREDOC = re.compile(r"<<-?\s*'?(?P<end>\w+)'?")
ASSIGNMENT = re.compile(r"[A-Za-z_]\w*\+?=.*", re.DOTALL)
SUBSTITUTION = re.compile(r"\$\((?P<script>[^()]*)\)")
FUNCTION = re.compile(r"^\s*(?P<name>[\w-]+)\s*\(\)", re.MULTILINE)
# Words after which a command follows, and those that stand alone.
BEFORE = {"if", "elif", "then", "else", "while", "until", "do", "!", "{", "time"}
ALONE = {"done", "fi", "esac", "}"}


def commands(script: str) -> list[list[str]]:
    """Every simple command in `script`, with its arguments as the shell splits them.

    Parameters
    ----------
    script : str
        Bash: lists, pipes, loops, substitutions and here-documents.

    Returns
    -------
    list of list of str
        Program and arguments; redirections and leading assignments are left out.

    Examples
    --------
    >>> commands("KEY=1 make demo | tail -3 && echo '$(a b)' > log  # at last")
    [['make', 'demo'], ['tail', '-3'], ['echo', '$(a b)']]
    >>> commands("x=$(ml-assets versions churn --json)")
    [['ml-assets', 'versions', 'churn', '--json']]
    """
    functions = {found["name"] for found in FUNCTION.finditer(script)}
    found = [
        words
        for line in _logical_lines(script)
        for words in _of_line(line)
        if words[0] not in functions
    ]
    return found


def _logical_lines(script: str) -> Iterator[str]:
    """Lines with their continuations and open quotes, without here-documents."""
    lines = iter(script.splitlines())
    for line in lines:
        while line.endswith("\\") or _is_open(line):
            following = next(lines, None)
            if following is None:
                break
            line = f"{line.removesuffix(chr(92))}\n{following}"
        heredoc = HEREDOC.search(line)
        if heredoc is not None:
            for body in lines:
                if body.strip() == heredoc["end"]:
                    break
            line = HEREDOC.sub("", line)
        yield line


def _is_open(line: str) -> bool:
    """Whether a quote goes on in the next line."""
    try:
        shlex.split(line, comments=True)
    except ValueError:
        return True
    return False


def _of_line(line: str) -> Iterator[list[str]]:
    # What a substitution between quotes runs is a command, too.
    quoted = re.sub(r"'[^']*'", "", line)
    for inner in SUBSTITUTION.finditer(quoted):
        yield from _of_line(inner["script"])
    lexer = shlex.shlex(
        SUBSTITUTION.sub("SUBSTITUTED", line) if SUBSTITUTION.search(quoted) else line,
        posix=True,
        punctuation_chars=True,
    )
    lexer.whitespace_split = True
    words: list[str] = []
    target_follows = False
    for token in lexer:
        if target_follows:
            target_follows = False
        elif REDIRECTION.fullmatch(token):
            target_follows = True
            if words and words[-1].isdigit():
                words.pop()
        elif OPERATOR.fullmatch(token):
            yield from _stripped(words)
            words = []
        else:
            words.append(token)
    yield from _stripped(words)


def _stripped(words: list[str]) -> Iterator[list[str]]:
    """The command without keywords and assignments, if one is left."""
    while words and (words[0] in BEFORE or ASSIGNMENT.fullmatch(words[0])):
        words = words[1:]
    if words and words[0] not in {*ALONE, "for", "case", "function"}:
        yield words
