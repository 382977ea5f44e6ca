"""bAbI: read a story word by word and answer questions about it."""

import collections
import dataclasses
import fnmatch
import itertools
import re
import tarfile
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from keras_dnc.tasks.classes import ClassesTask
from keras_dnc.tasks.task import Batch, Recipe, option

LANGUAGES = ("en", "en-10k")
TASKS = 20
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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Babi(ClassesTask):
    """Questions about stories, on the files of the official archive.

    One word is one step, as a one-hot vector; "." and "?" are words. After a
    question stands the word "-" once for each word of its answer, and there,
    and only there, the answer's words are the targets. A question is right
    when all words of its answer are.

    Source: Weston et al., [Towards AI-Complete Question Answering](
    https://arxiv.org/abs/1502.05698), 2015; encoded as in Graves et al.
    (2016), Methods, *bAbI task descriptions*.

    Raises:
        ValueError: If an option is out of its range.
    """

    data: str = option("", "the archive tasks_1-20_v1-2.tar.gz or its folder")
    task: int = option(1, "number of the task, 1 to 20")
    language: str = option("en-10k", "en or en-10k")
    vocabulary: tuple[str, ...] = ()

    name = "babi"
    summary = "answer questions about stories (bAbI)"
    metric = "right_words"
    # Layer normalization and batches of four are what lets task 1 train.
    recipe = Recipe(
        controller=64,
        memory_size=64,
        word_size=32,
        num_reads=2,
        normalization=True,
        learning_rate=1e-3,
        clipnorm=10.0,
        batch_size=4,
        epochs=12,
    )

    def __post_init__(self):
        if not self.data:
            raise ValueError(
                "`data` must be the path of the bAbI archive or its folder. "
                "Received none"
            )
        if not isinstance(self.task, int) or not 1 <= self.task <= TASKS:
            raise ValueError(
                f"`task` must be an integer from 1 to {TASKS}. "
                f"Received: task={self.task!r}"
            )
        if self.language not in LANGUAGES:
            raise ValueError(
                f"`language` must be one of {', '.join(LANGUAGES)}. "
                f"Received: language={self.language!r}"
            )
        if not self.vocabulary:
            stories = self.stories("train")
            # A frozen dataclass sets a field that follows from others so.
            object.__setattr__(self, "vocabulary", vocabulary(stories))

    def stories(self, part: str) -> list[list[Line]]:
        """Reads the stories of this task.

        Args:
            part: "train" or "test".

        Raises:
            FileNotFoundError: If the archive, the folder or the task's file
                is missing.
            ValueError: If the archive is damaged or a line is malformed.
        """
        name, text = _read(Path(self.data), self.language, self.task, part)
        return parse(text, name)

    @property
    def input_labels(self) -> list[str]:
        """The vocabulary."""
        return list(self.vocabulary)

    @property
    def output_labels(self) -> list[str]:
        """The vocabulary."""
        return list(self.vocabulary)

    def encode(self, stories: list[list[Line]]) -> Batch:
        """Turns stories into one-hot words and class numbers.

        Args:
            stories: Stories as `parse` returns them.

        Returns:
            A `Batch` padded after the end of each story to the longest, the
            targets as word numbers.

        Raises:
            ValueError: If a word is not in the vocabulary.
        """
        number = {word: i for i, word in enumerate(self.vocabulary)}
        steps = [list(_steps(story, number)) for story in stories]
        shape = (len(stories), max(map(len, steps)))
        inputs = np.zeros((*shape, len(self.vocabulary)), "uint8")
        targets = np.zeros(shape, "int32")
        weights = np.zeros(shape, "float32")
        for i, story in enumerate(steps):
            for t, (word, answer) in enumerate(story):
                inputs[i, t, word] = 1
                if answer is not None:
                    targets[i, t] = answer
                    weights[i, t] = 1
        return Batch(inputs, targets, weights)

    def training_data(self, rng: np.random.Generator) -> Batch:
        """Returns the official training stories."""
        return self.encode(self.stories("train"))

    def test_data(self, rng: np.random.Generator) -> Batch:
        """Returns the official test stories."""
        return self.encode(self.stories("test"))

    def score(self, outputs: np.ndarray, batch: Batch) -> dict[str, float]:
        """Counts questions of which not every answer word is right.

        Beside it stand two errors that need no story: of an answer drawn from
        those of the training questions, each equally likely, and of their
        commonest answer.
        """
        questions = _answers(batch.targets, batch.weights)
        answered = _answers(outputs.argmax(-1), batch.weights)
        wrong = sum(a != q for a, q in zip(answered, questions, strict=True))
        known = collections.Counter(
            tuple(line.answer)
            for story in self.stories("train")
            for line in story
            if line.answer
        )
        commonest = known.most_common(1)[0][0]
        asked = collections.Counter(
            tuple(self.vocabulary[word] for word in question)
            for question in questions
        )
        count = len(questions)
        return {
            "questions": count,
            "wrong questions": wrong,
            "question error in %": 100 * wrong / count,
            "error of chance in %": 100
            * (1 - sum(asked[answer] for answer in known) / len(known) / count),
            "error of the commonest answer in %": 100
            * (1 - asked[commonest] / count),
        }


def vocabulary(stories: list[list[Line]]) -> tuple[str, ...]:
    """Returns the words of stories and answers in order, and `ANSWER`."""
    words = {
        word
        for line in itertools.chain.from_iterable(stories)
        for word in (*line.words, *line.answer)
    }
    return (*sorted(words), ANSWER)


def parse(text: str, name: str) -> list[list[Line]]:
    """Reads stories from the text of a bAbI file.

    Args:
        text: Lines of a number, a sentence and, after tabs, the answer and
            the numbers of the supporting sentences. A number of 1 begins a
            story.
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
        if index == "1":
            stories.append([])
        expected = len(stories[-1]) + 1 if stories else 1
        if int(index) != expected:
            raise ValueError(
                f"{place}: expected line {expected} of a story, or line 1 of "
                f"the next. Received number {index}"
            )
        words = re.findall(r"[^\s.?]+|[.?]", sentence.lower())
        stories[-1].append(Line(words, answer, place))
    if not stories:
        raise ValueError(f"{name}: expected stories. Received an empty file")
    for story in stories:
        if not any(line.answer for line in story):
            raise ValueError(
                f"{story[-1].place}: expected a question in each story. "
                "Received the end of one without"
            )
    return stories


def _answer(fields, place):
    answer = fields.partition("\t")[2].partition("\t")[0]
    answer = answer.strip().lower().split(",")
    if not all(answer):
        raise ValueError(
            f"{place}: expected a question's answer after a tab, its words "
            f"separated by commas. Received: {fields!r}"
        )
    return answer


def _steps(story, number):
    """Yields for each step the word's number and the answer's, if asked."""
    for line in story:
        for word in (*line.words, *line.answer):
            if word not in number:
                raise ValueError(
                    f"{line.place}: expected words of the vocabulary that the "
                    f"model was trained with. Received: {word!r}"
                )
        for word in line.words:
            yield number[word], None
        for word in line.answer:
            yield number[ANSWER], number[word]


def _answers(words, weights):
    """Returns the words of each question, where the weights ask for them."""
    answers = []
    for story, asked in zip(words, weights > 0, strict=True):
        # The steps of one answer follow each other, those of two do not.
        steps = np.flatnonzero(asked)
        breaks = np.flatnonzero(np.diff(steps) > 1) + 1
        answers += [tuple(story[run]) for run in np.split(steps, breaks)]
    return answers


def _read(data: Path, language: str, task: int, part: str) -> tuple[str, str]:
    """Returns the name and the text of one file of the data set."""
    pattern = f"{language}/qa{task}_*_{part}.txt"
    if data.is_dir():
        return _read_folder(data, pattern)
    if data.exists():
        return _read_archive(data, pattern)
    raise FileNotFoundError(
        f"{data}: expected the bAbI archive or its folder. There is neither"
    )


def _read_folder(folder, pattern):
    paths = {str(path.resolve()): path for path in folder.rglob("qa*.txt")}
    path = paths[_find(pattern, sorted(paths), folder)]
    return str(path), _decode(path.read_bytes(), path)


def _read_archive(path, pattern):
    try:
        with tarfile.open(path) as archive:
            names = archive.getnames()
            for name in names:
                if Path(name).is_absolute() or ".." in Path(name).parts:
                    raise ValueError(
                        f"{path}: expected members inside the archive's "
                        f"folder. Received: {name!r}"
                    )
            name = _find(pattern, names, path)
            file = archive.extractfile(name)
            if file is None:
                raise ValueError(f"{path}: expected {name} to be a file in it")
            content = file.read()
    except FileNotFoundError:
        raise
    # A link in the archive to a member that is not there is a KeyError.
    except (tarfile.TarError, zlib.error, EOFError, OSError, KeyError) as error:
        raise ValueError(
            f"{path}: expected a complete tar archive like the official one. "
            f"Received one that cannot be read: {error}"
        ) from error
    place = f"{path}: {name}"
    return place, _decode(content, place)


def _find(pattern, names, place):
    for name in names:
        if fnmatch.fnmatchcase(f"/{name}", f"*/{pattern}"):
            return name
    raise FileNotFoundError(
        f"{place}: expected a file {pattern} in it. There is none"
    )


def _decode(content: bytes, place) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ValueError(
            f"{place}, line {line}: expected UTF-8 text. Received: {error}"
        ) from error
