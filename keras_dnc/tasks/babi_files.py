"""The files of the bAbI data set: where they are and how they read."""

import fnmatch
import lzma
import os
import re
import tarfile
import zlib
from collections.abc import Collection
from pathlib import Path, PureWindowsPath
from typing import NamedTuple

LANGUAGES = ("en", "en-10k")
TASKS = 20
# The word that is heard where an answer is asked for.
ANSWER = "-"


class Line(NamedTuple):
    """One line of a story.

    Attributes:
        words: The words of the sentence or question, in lower case, with "."
            and "?" as words of their own.
        answer: The words of the answer; none for a sentence.
        place: File and line number, for messages.
    """

    words: list[str]
    answer: list[str]
    place: str


def read(
    data: Path, language: str, tasks: Collection[int], part: str
) -> dict[int, tuple[str, str]]:
    """Returns name and text of the files of some tasks, by task.

    A task whose file is missing is not among them.

    Args:
        data: The official archive or its folder.
        language: One of `LANGUAGES`.
        tasks: The numbers of the tasks.
        part: "train" or "test".

    Raises:
        FileNotFoundError: If there is no archive or folder.
        ValueError: If the archive is damaged or a text is not UTF-8.
    """
    patterns = {task: file_pattern(language, task, part) for task in tasks}
    if data.is_dir():
        contents = _read_folder(data, patterns)
    elif data.exists():
        contents = _read_archive(data, patterns)
    else:
        raise FileNotFoundError(
            f"{data}: expected the bAbI archive or its folder. There is neither"
        )
    return {
        task: _decoded(*contents[task]) for task in tasks if task in contents
    }


def file_pattern(language: str, task: int, part: str) -> str:
    """Returns the pattern that a file's name ends in."""
    return f"{language}/qa{task}_*_{part}.txt"


def parse(text: str, name: str) -> list[list[Line]]:
    """Reads stories from the text of a bAbI file.

    Args:
        text: Lines of a number and a sentence, or of a number and a question
            and, after a tab each, its answer and the numbers of the sentences
            that support it. A number of 1 begins a story.
        name: The file's name, for messages.

    Raises:
        ValueError: If a line is malformed or there is none.
    """
    stories = []
    for number, text_line in enumerate(text.splitlines(), start=1):
        place = f"{name}, line {number}"
        match = re.fullmatch(r"(\d+) ([^\t]*\S) *(\t.*)?", text_line)
        if not match:
            raise ValueError(
                f"{place}: expected a number and a sentence. "
                f"Received: {text_line!r}"
            )
        index, sentence, fields = match.groups()
        is_question = fields is not None or sentence.endswith("?")
        answer = _answer(fields or "", place) if is_question else []
        if int(index) == 1:
            stories.append([])
        expected = len(stories[-1]) + 1 if stories else 1
        if int(index) != expected:
            raise ValueError(
                f"{place}: expected line {expected} of a story, or line 1 of "
                f"the next. Received number {index}"
            )
        words = re.findall(r"[^\s.?]+|[.?]", sentence.lower())
        if ANSWER in (*words, *answer):
            raise ValueError(
                f"{place}: expected no word {ANSWER!r}, which asks for an "
                f"answer. Received: {text_line!r}"
            )
        stories[-1].append(Line(words, answer, place))
    if not stories:
        raise ValueError(
            f"{name}, line 1: expected stories. Received an empty file"
        )
    for story in stories:
        if not any(line.answer for line in story):
            raise ValueError(
                f"{story[-1].place}: expected a question in each story. "
                "Received the end of one without"
            )
    return stories


def _answer(fields, place):
    """Returns the words of an answer from the columns after a question."""
    _, answer, *support = fields.split("\t") if fields else ("", "")
    words = [word.strip() for word in answer.lower().split(",")]
    if not all(words):
        raise ValueError(
            f"{place}: expected a question's answer after a tab, its words "
            f"separated by commas. Received: {fields!r}"
        )
    if len(support) != 1 or not re.fullmatch(r"\d+( \d+)*", support[0].strip()):
        raise ValueError(
            f"{place}: expected three columns for a question, the last of them "
            "the numbers of the sentences that support the answer. Received "
            f"after the question: {fields!r}"
        )
    return words


def _read_folder(folder, patterns):
    """Returns place and content of the files of tasks that are there."""
    # Names of links, not of what they lead to.
    paths = {
        Path(os.path.abspath(path)).as_posix(): path
        for path in folder.rglob("qa*.txt")
    }
    return {
        task: (str(paths[name]), paths[name].read_bytes())
        for task, name in _found(folder, patterns, sorted(paths)).items()
    }


def _read_archive(path, patterns):
    """Returns place and content of the files of tasks that are there.

    Nothing is unpacked, so that no member's name can lead anywhere; one that
    would lead out of the folder is refused all the same.
    """
    contents = {}
    try:
        with tarfile.open(path) as archive:
            names = archive.getnames()
            _check_inside(path, names)
            # A member may be there in two versions; the last one is read.
            names = dict.fromkeys(names)
            for task, name in _found(path, patterns, names).items():
                file = archive.extractfile(name)
                if file is None:
                    raise ValueError(
                        f"{path}: expected {name} to be a file in it"
                    )
                contents[task] = f"{path}: {name}", file.read()
    except (
        tarfile.TarError,
        zlib.error,
        lzma.LZMAError,
        EOFError,
        OSError,
        # Of a link in the archive to a member that is not there.
        KeyError,
    ) as error:
        raise ValueError(
            f"{path}: expected a complete tar archive like the official one. "
            f"Received one that cannot be read: {error}"
        ) from error
    return contents


def _check_inside(path, names):
    for name in names:
        # It takes slashes of both kinds for what they are.
        inner = PureWindowsPath(name)
        if inner.anchor or ".." in inner.parts:
            raise ValueError(
                f"{path}: expected members inside the archive's folder. "
                f"Received: {name!r}"
            )


def _found(path, patterns, names):
    """Returns the name of each task's pattern, in the names' order."""
    found = {}
    for name in names:
        for task, wanted in patterns.items():
            if not fnmatch.fnmatchcase(f"/{name}", f"*/{wanted}"):
                continue
            if task in found:
                raise ValueError(
                    f"{path}: expected one file {wanted} in it. Received: "
                    f"{found[task]} and {name}"
                )
            found[task] = name
    return found


def _decoded(place: str, content: bytes) -> tuple[str, str]:
    """Returns place and text."""
    try:
        return place, content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ValueError(
            f"{place}, line {line}: expected UTF-8 text. Received: {error}"
        ) from error
