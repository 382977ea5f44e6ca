"""bAbI: read a story word by word and answer questions about it."""

import collections
import dataclasses
import functools
import itertools
import re
import statistics
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import keras
import numpy as np

from keras_dnc.tasks.babi_files import (
    ANSWER,
    LANGUAGES,
    TASKS,
    Line,
    file_pattern,
    parse,
    read,
)
from keras_dnc.tasks.babi_names import renamed
from keras_dnc.tasks.classes import ClassesTask
from keras_dnc.tasks.task import Batch, Recipe, Task, doubled, growing, option

ALL = "all"
# In percent: a task of a greater error is a failed one.
FAILED_ABOVE = 5.0
ERROR = "question error in %"
CHANCE = "error of chance in %"
COMMONEST = "error of the commonest answer in %"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Babi(ClassesTask):
    """Questions about stories, on the files of the official archive.

    One word is one step; "." and "?" are words. After a question stands the
    word "-" once for each word of its answer, and there, and only there, the
    answer's words are the targets. A question is right when all words of its
    answer are, and a task is failed when more than 5 % of its questions are
    wrong. Sequences are of word numbers; the model makes one-hot vectors of
    them, or trained ones of `embedding` numbers.

    Several tasks are trained on as one, with one vocabulary, in batches of
    stories of about the same length; each is evaluated on its own. Where
    training text is missing in a copy of the archive, as that of task 3 in
    `en-10k` is in some, `task="all"` warns and trains on the others: the test
    questions are those of all 20 tasks still. Asked for by its number, such a
    task cannot be trained on, but evaluated.

    In each pass through the training stories the people, places and things of
    each of them change places with others of their kind, so that no story can
    be learned by heart. The test stories are as they are.

    A curriculum begins with the stories up to their first question, and goes
    on with up to two, four and so on.

    Source: Weston et al., [Towards AI-Complete Question Answering](
    https://arxiv.org/abs/1502.05698), 2015; encoded as in Graves et al.
    (2016), Methods, *bAbI task descriptions*.

    Raises:
        ValueError: If an option is out of its range, or a file of training is
            damaged.
        FileNotFoundError: If one is missing, here or among those of `words`.
    """

    data: str = option(
        "", "the archive tasks_1-20_v1-2.tar.gz or its folder", path=()
    )
    task: str = option("1", "a task's number, several as 1,2,5 or 1-20, or all")
    language: str = option("en-10k", "en or en-10k")
    embedding: int = option(
        0,
        "width of the vectors that words become; 0: one-hot",
        zero=True,
        training=True,
    )
    max_questions: int = option(
        0, "questions of a training story; 0: all", zero=True, training=True
    )
    renamed: bool = option(
        True,
        "people, places and things are others in each pass",
        training=True,
    )
    words: str = option(
        "",
        "tasks whose words the model knows too, as 1-20 or all, so that one "
        "of these may begin with its weights [none]",
        training=True,
        before="",
    )
    vocabulary: tuple[str, ...] = ()

    name = "babi"
    summary = "answer questions about stories (bAbI)"
    metric = "right_words"
    grows = ("max_questions",)
    # By trial: layer normalization and batches of four let task 1 train, and
    # short stories first make it faster; task 6 is learned together with it.
    recipe = Recipe(
        controller=64,
        memory_size=64,
        word_size=32,
        num_reads=2,
        normalization=True,
        masked_keys=True,
        learning_rate=1e-3,
        clipnorm=10.0,
        batch_size=4,
        epochs=80,
        target=0.99,
        curriculum=0.8,
    )

    def __post_init__(self):
        for name in ("task", "words"):
            # One task may be a number. A frozen dataclass sets a field so.
            object.__setattr__(self, name, str(getattr(self, name)))
        super().__post_init__()
        if not self.data:
            raise ValueError(
                "`data` must be the path of the bAbI archive or its folder. "
                "Received none"
            )
        for name in ("task", "words"):
            tasks = getattr(self, name)
            if not _numbers(tasks) and (name == "task" or tasks):
                raise ValueError(
                    f"`{name}` must be a number from 1 to {TASKS}, several as "
                    f"1,2,5 or 1-20, or {ALL}. Received: {name}={tasks!r}"
                )
        if self.language not in LANGUAGES:
            raise ValueError(
                f"`language` must be one of {', '.join(LANGUAGES)}. "
                f"Received: language={self.language!r}"
            )
        if not self.vocabulary:
            stories = self.stories("train")
            if self.words:
                others = self._stories("train", self.words)
                stories = itertools.chain(stories, others)
            object.__setattr__(self, "vocabulary", vocabulary(stories))

    @property
    def tasks(self) -> tuple[int, ...]:
        """The numbers of the tasks, ascending."""
        return _numbers(self.task)

    def stories(self, part: str) -> Iterator[list[Line]]:
        """Returns the stories of the tasks, in the tasks' order.

        Args:
            part: "train" or "test".

        Returns:
            An iterator of stories as `parse` returns them.

        Raises:
            FileNotFoundError: If the archive, the folder or a task's file is
                missing; with `task="all"` one of test, or all of training.
            ValueError: If the archive is damaged or has two files of a task
                or, while the stories are read, if a line is malformed.
        """
        return self._stories(part, self.task)

    def _stories(self, part, tasks):
        texts = self._texts(part, tasks)
        missing = [task for task in _numbers(tasks) if task not in texts]
        names = ", ".join(
            file_pattern(self.language, task, part) for task in missing
        )
        may_miss = tasks == ALL and part == "train" and texts
        if missing and not may_miss:
            raise FileNotFoundError(
                f"{self.data}: expected a file {names} in it. There is none"
            )
        if missing:
            warnings.warn(
                f"{self.data}: there is no file {names} in it. What is asked "
                "for of all tasks is without",
                stacklevel=1,
            )
        return _parsed(texts)

    def _texts(self, part, tasks):
        return read(Path(self.data), self.language, _numbers(tasks), part)

    @property
    def input_labels(self) -> list[str]:
        """The vocabulary."""
        return list(self.vocabulary)

    @property
    def output_labels(self) -> list[str]:
        """The vocabulary."""
        return list(self.vocabulary)

    def model_inputs(self) -> tuple[keras.KerasTensor, keras.KerasTensor]:
        """Word numbers, and the vectors of the words."""
        inputs = keras.Input((None,), dtype="int32")
        count = len(self.vocabulary)
        if self.embedding:
            # Of size one; Keras' own are from -0.05 to 0.05.
            layer = keras.layers.Embedding(
                count,
                self.embedding,
                embeddings_initializer=keras.initializers.RandomNormal(
                    stddev=1.0
                ),
                name="words",
            )
        else:
            # One-hot vectors are the rows of the identity.
            layer = keras.layers.Embedding(
                count,
                count,
                embeddings_initializer="identity",
                trainable=False,
                name="words",
            )
        return inputs, layer(inputs)

    def encode(self, stories: Iterable[list[Line]]) -> Batch:
        """Turns stories into word numbers.

        Args:
            stories: Stories as `parse` returns them.

        Returns:
            A `Batch` of inputs and targets of shape `(B, T)`, padded after the
            end of each story with zeros to the power of two that holds the
            longest: so few lengths compile a model a few times.

        Raises:
            ValueError: If a word is not in the vocabulary.
        """
        number = {word: i for i, word in enumerate(self.vocabulary)}
        dtype = np.min_scalar_type(len(self.vocabulary))
        steps = [
            np.array(list(_steps(story, number)), dtype).T for story in stories
        ]
        shape = (3, len(steps), _room(max(story.shape[1] for story in steps)))
        # All 10,000 questions of all tasks take 0.2 GB so, and as one-hot
        # vectors they would take 40.
        parts = np.zeros(shape, dtype)
        for i, story in enumerate(steps):
            parts[:, i, : story.shape[1]] = story
        return Batch(*parts)

    def training_data(self, rng: np.random.Generator) -> Batch:
        """Returns the official training stories.

        Those of more than `max_questions` questions end with the last of these.
        """
        stories = self.stories("train")
        if self.max_questions:
            stories = (_beginning(x, self.max_questions) for x in stories)
        return self.encode(stories)

    def one_pass(self, data: Batch, rng: np.random.Generator) -> Batch:
        """Tells the stories of other people, places and things of their task.

        Names of all tasks would be twice as many, and a network takes much
        longer to learn to look for one of them.
        """
        if not self.renamed:
            return data
        tasks = zip(*(np.split(x, self._ends) for x in data), strict=True)
        told = [renamed(Batch(*of), self.vocabulary, rng) for of in tasks]
        return Batch(*map(np.concatenate, zip(*told, strict=True)))

    @functools.cached_property
    def _ends(self):
        """After how many stories each task but the last ends."""
        texts = self._texts("train", self.task).values()
        counts = [len(parse(text, place)) for place, text in texts]
        return np.cumsum(counts)[:-1]

    def lessons(self) -> list[Task]:
        """Returns tasks of 1 question to those of the longest story."""
        *sizes, _ = doubled(1, self.max_questions or self._most_questions)
        return growing(self, max_questions=[*sizes, self.max_questions])

    @functools.cached_property
    def _most_questions(self):
        return max(len(_asked(story)) for story in self.stories("train"))

    def batches(self, data: Batch, size: int) -> Iterator[Batch]:
        """Yields batches, each of stories of about the same length.

        A batch is as long as the power of two that holds its stories, or as
        the longest story of all. A story waits in its place of the pass until
        there are enough of its length for a batch; what is left in the end is
        batched in the order of lengths.
        """
        lengths = _lengths(data.weights)
        rooms = np.minimum(_room(lengths), lengths.max(initial=1))
        for stories in _alike(rooms, size):
            steps = rooms[stories].max()
            inputs, targets, weights = (part[stories, :steps] for part in data)
            yield Batch(
                inputs, targets.astype("int32"), weights.astype("float32")
            )

    def test_data(self, rng: np.random.Generator) -> Batch:
        """Returns the official test stories."""
        return self.encode(self.stories("test"))

    def evaluate(
        self,
        predict: Callable[[np.ndarray], np.ndarray],
        rng: np.random.Generator,
    ) -> dict[str, float]:
        """Returns the figures of a model on the official test stories.

        Those of `score`; of several tasks their sums and means, the error of
        each task, the mean of these and how many tasks are failed.

        Args:
            predict: Returns a model's outputs, of shape `(B, T, Y)`, to inputs.
            rng: Not drawn from: the stories are always the same.
        """
        if len(self.tasks) == 1:
            return super().evaluate(predict, rng)
        of_task = {
            task: dataclasses.replace(self, task=str(task)).evaluate(
                predict, rng
            )
            for task in self.tasks
        }
        return _joint(of_task)

    def score(self, outputs: np.ndarray, batch: Batch) -> dict[str, float]:
        """Counts questions of which not every answer word is right.

        Beside it stand two errors that need no story: of an answer drawn from
        those of the training questions, each equally likely, and of their
        commonest answer. Where the training text is missing they are too.
        """
        questions = _answers(batch.targets, batch.weights)
        answered = _answers(outputs.argmax(-1), batch.weights)
        wrong = sum(a != q for a, q in zip(answered, questions, strict=True))
        count = len(questions)
        asked = collections.Counter(
            tuple(self.vocabulary[word] for word in question)
            for question in questions
        )
        return {
            "questions": count,
            "wrong questions": wrong,
            ERROR: 100 * wrong / count,
            **self._errors_of_guesses(asked),
        }

    def _errors_of_guesses(self, asked):
        """Returns what answers that need no story come to, where known."""
        texts = self._texts("train", self.task)
        if len(texts) < len(self.tasks):
            return {}
        known = collections.Counter(
            tuple(line.answer)
            for line in itertools.chain.from_iterable(_parsed(texts))
            if line.answer
        )
        (commonest, _), *_ = known.most_common(1)
        right = {
            CHANCE: sum(asked[answer] for answer in known) / len(known),
            COMMONEST: asked[commonest],
        }
        return {
            name: 100 * (1 - count / asked.total())
            for name, count in right.items()
        }

    def shown_inputs(self, batch: Batch, example: int) -> np.ndarray:
        """Shows words as one-hot vectors."""
        return np.eye(len(self.vocabulary))[batch.inputs[example]]

    def input_text(self, inputs: np.ndarray) -> str:
        """Returns a word."""
        return self.vocabulary[inputs]


def _numbers(tasks):
    """Returns the numbers of tasks, ascending; none if they are malformed."""
    if tasks == ALL:
        return tuple(range(1, TASKS + 1))
    numbers = set()
    for part in tasks.split(","):
        match = re.fullmatch(r"([0-9]+)(?:-([0-9]+))?", part.strip())
        if not match:
            return ()
        first, last = int(match[1]), int(match[2] or match[1])
        if not 1 <= first <= last <= TASKS:
            return ()
        numbers.update(range(first, last + 1))
    return tuple(sorted(numbers))


def _parsed(texts):
    """Yields the stories of files, one file after the other."""
    for place, text in texts.values():
        yield from parse(text, place)


def _asked(story):
    """Returns the places of a story's questions."""
    return [i for i, line in enumerate(story) if line.answer]


def _beginning(story, questions):
    """Returns a story up to the last of some questions."""
    *_, last = _asked(story)[:questions]
    return story[: last + 1]


def vocabulary(stories: Iterable[list[Line]]) -> tuple[str, ...]:
    """Returns the words of stories and answers in order, and `ANSWER`."""
    words = {
        word
        for line in itertools.chain.from_iterable(stories)
        for word in (*line.words, *line.answer)
    }
    return (*sorted(words), ANSWER)


def _steps(story, number):
    """Yields of each step the word, its target and whether it counts."""
    for line in story:
        for word in (*line.words, *line.answer):
            if word not in number:
                raise ValueError(
                    f"{line.place}: expected words of the vocabulary that the "
                    f"model was trained with. Received: {word!r}"
                )
        for word in line.words:
            yield number[word], 0, 0
        for word in line.answer:
            yield number[ANSWER], number[word], 1


def _lengths(weights):
    """Returns the number of steps up to the last that counts, shape `(B,)`."""
    return weights.shape[1] - (weights[:, ::-1] > 0).argmax(axis=1)


def _room(lengths):
    """Returns the powers of two that hold sequences."""
    return 2 ** np.ceil(np.log2(lengths)).astype(int)


def _alike(rooms, size):
    """Returns the numbers of the stories of each batch."""
    batches, waiting = [], collections.defaultdict(list)
    for story, room in enumerate(rooms):
        waiting[room].append(story)
        if len(waiting[room]) == size:
            batches.append(waiting.pop(room))
    left = [story for room in sorted(waiting) for story in waiting[room]]
    batches += [left[i : i + size] for i in range(0, len(left), size)]
    # Keras on TensorFlow takes an axis for one of any length only where the
    # first two batches differ in it.
    longest = [rooms[stories].max() for stories in batches]
    other = next((i for i, n in enumerate(longest) if n != longest[0]), 0)
    if other:
        batches.insert(1, batches.pop(other))
    return batches


def _answers(words, weights):
    """Returns the words of each question, where the weights ask for them."""
    answers = []
    for story, asked in zip(words, weights > 0, strict=True):
        # The steps of one answer follow each other, those of two do not.
        steps = np.flatnonzero(asked)
        breaks = np.flatnonzero(np.diff(steps) > 1) + 1
        answers += [tuple(story[run]) for run in np.split(steps, breaks)]
    return answers


def _joint(of_task):
    """Returns the figures of several tasks from those of each, by number."""
    figures = of_task.values()
    questions = sum(one["questions"] for one in figures)
    wrong = sum(one["wrong questions"] for one in figures)
    errors = {task: one[ERROR] for task, one in of_task.items()}
    guesses = {
        name: statistics.fmean(one[name] for one in figures)
        for name in (CHANCE, COMMONEST)
        # A mean over some of the tasks would be another's.
        if all(name in one for one in figures)
    }
    return {
        "questions": questions,
        "wrong questions": wrong,
        ERROR: 100 * wrong / questions,
        **guesses,
        **{f"error of task {task} in %": errors[task] for task in errors},
        "mean error in %": statistics.fmean(errors.values()),
        "failed tasks": sum(error > FAILED_ABOVE for error in errors.values()),
    }
