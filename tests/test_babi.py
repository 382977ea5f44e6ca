"""Reading and scoring bAbI, on files written here and on the official ones."""

import io
import tarfile

import numpy as np
import pytest

from keras_dnc.tasks import Babi
from keras_dnc.tasks.babi import ANSWER, parse

TRAIN = (
    "1 Mary got the milk.\n"
    "2 Mary got the apple.\n"
    "3 What is Mary carrying?\tmilk,apple\t1 2\n"
    "4 Is Mary here? \tno\t2\n"
    "1 John left.\n"
    "2 Is John here?\tno\t1\n"
    "3 Is John gone?\tyes\t1\n"
)
TEST = "1 John got the milk.\n2 What is John carrying?\tmilk\t1\n"


def write_folder(folder, train=TRAIN, test=TEST):
    """Writes a data set of task 8 in the official layout."""
    language = folder / "tasks_1-20_v1-2" / "en"
    language.mkdir(parents=True)
    for part, text in (("train", train), ("test", test)):
        content = text if isinstance(text, bytes) else text.encode()
        (language / f"qa8_lists-sets_{part}.txt").write_bytes(content)
    return folder / "tasks_1-20_v1-2"


def babi(data, **options):
    return Babi(data=str(data), task=8, language="en", **options)


@pytest.fixture
def task(tmp_path):
    return babi(write_folder(tmp_path))


def words(task, one_hot):
    """Reads a sequence back: each step's word, "" where there is none."""
    return [
        task.vocabulary[step.argmax()] if step.any() else "" for step in one_hot
    ]


def test_a_word_is_a_step_and_each_answer_word_has_its_own(task):
    inputs, targets, weights = task.encode(task.stories("train"))
    assert words(task, inputs[0]) == (
        [
            "mary",
            "got",
            "the",
            "milk",
            ".",
            "mary",
            "got",
            "the",
            "apple",
            ".",
            "what",
            "is",
            "mary",
            "carrying",
            "?",
            "-",
            "-",
            "is",
            "mary",
            "here",
            "?",
            "-",
        ]
    )
    assert words(task, inputs[1]) == (
        [
            "john",
            "left",
            ".",
            "is",
            "john",
            "here",
            "?",
            "-",
            "is",
            "john",
            "gone",
            "?",
            "-",
        ]
        + [""] * 9
    )
    asked = {
        (i, t): task.vocabulary[targets[i, t]]
        for i, t in zip(*weights.nonzero(), strict=True)
    }
    assert asked == {
        (0, 15): "milk",
        (0, 16): "apple",
        (0, 21): "no",
        (1, 7): "no",
        (1, 12): "yes",
    }
    assert set(np.unique(weights)) == {0, 1}


def test_the_vocabulary_is_that_of_training_and_the_answer_mark(task):
    assert task.vocabulary == (
        *sorted(
            [
                ".",
                "?",
                "apple",
                "carrying",
                "gone",
                "got",
                "here",
                "is",
                "john",
                "left",
                "mary",
                "milk",
                "no",
                "the",
                "what",
                "yes",
            ]
        ),
        ANSWER,
    )


def test_a_question_is_right_when_all_its_words_are(task):
    batch = task.encode(task.stories("train"))
    outputs = np.eye(len(task.vocabulary))[batch.targets]
    figures = task.score(outputs, batch)
    assert figures["questions"] == 4
    assert figures["wrong questions"] == 0
    # One of the two words of one answer; the other questions stay right.
    outputs[0, 16] = 0
    assert task.score(outputs, batch)["wrong questions"] == 1
    # Both words of one answer are still one question.
    outputs[0, 15] = 0
    assert task.score(outputs, batch)["wrong questions"] == 1
    assert task.score(outputs, batch)["question error in %"] == 25
    # A step that does not count may say anything.
    outputs[0, 3] = 5
    assert task.score(outputs, batch)["wrong questions"] == 1


def test_a_story_is_shown_word_by_word(task):
    batch = task.encode(task.stories("train"))
    outputs = np.eye(len(task.vocabulary))[batch.targets]
    yes = task.vocabulary.index("yes")
    outputs[1, 7] = np.eye(len(task.vocabulary))[yes]
    assert task.text(outputs, batch, example=1).splitlines() == [
        "step  input  target  answer",
        "0     john",
        "1     left",
        "2     .",
        "3     is",
        "4     john",
        "5     here",
        "6     ?",
        "7     -      no      yes     wrong",
        "8     is",
        "9     john",
        "10    gone",
        "11    ?",
        "12    -      yes     yes",
    ]


def test_errors_of_guessing_are_those_of_the_training_answers(task):
    batch = task.encode(task.stories("train"))
    figures = task.score(np.eye(len(task.vocabulary))[batch.targets], batch)
    # Answers known: "milk apple", "no" (twice), "yes": a third of 4 each.
    assert figures["error of chance in %"] == pytest.approx(100 * 2 / 3)
    assert figures["error of the commonest answer in %"] == 50


def test_an_unknown_word_at_evaluation_is_named_with_its_place(tmp_path):
    data = write_folder(tmp_path, test="1 Bob left.\n2 Is Bob here?\tno\t1\n")
    with pytest.raises(ValueError, match=r"qa8.*test.txt, line 1: .*'bob'"):
        babi(data).test_data(None)


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "empty file"),
        ("1 Mary left.\n", "line 1: expected a question in each story"),
        ("1 Is he?\tno\t1\n1 He left.\n", "line 2: expected a question in"),
        ("Mary left.\n", "line 1: expected a number and a sentence"),
        ("1 Mary left.\n\n2 Is she?\tno\t1\n", "line 2: expected a number"),
        ("1 Is she?\t\t1\n", "line 1: expected a question.s answer"),
        ("1 Is she?\n", "line 1: expected a question.s answer"),
        ("1 Is she?\tyes,,no\t1\n", "line 1: expected a question.s answer"),
        ("1 Mary left.\n3 Is she?\tno\t1\n", "line 2: .* Received number 3"),
        ("2 Mary left.\n", "line 1: .* Received number 2"),
    ],
)
def test_a_malformed_file_is_named_with_its_line(text, message):
    with pytest.raises(ValueError, match=message) as error:
        parse(text, "some file")
    assert "some file" in str(error.value)


def test_windows_line_ends_read_the_same():
    read = parse(TRAIN.replace("\n", "\r\n"), "name")
    assert read == parse(TRAIN, "name")


def test_text_in_another_encoding_is_named_with_its_line(tmp_path):
    train = TRAIN.replace("John", "J\xf6hn").encode("latin-1")
    with pytest.raises(ValueError, match=r"line 5: expected UTF-8"):
        babi(write_folder(tmp_path, train=train))


def test_an_archive_reads_as_its_folder(tmp_path, task):
    with tarfile.open(tmp_path / "babi.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "tasks_1-20_v1-2", "tasks_1-20_v1-2")
    packed = babi(tmp_path / "babi.tar.gz")
    assert packed.vocabulary == task.vocabulary
    for a, b in zip(
        packed.training_data(None), task.training_data(None), strict=True
    ):
        np.testing.assert_array_equal(a, b)


def test_the_language_folder_alone_is_enough(tmp_path, task):
    inner = babi(tmp_path / "tasks_1-20_v1-2" / "en")
    assert inner.vocabulary == task.vocabulary


def test_a_truncated_archive_is_named(tmp_path):
    write_folder(tmp_path, train=TRAIN * 2000)
    path = tmp_path / "babi.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.add(tmp_path / "tasks_1-20_v1-2", "tasks_1-20_v1-2")
    path.write_bytes(path.read_bytes()[:-600])
    with pytest.raises(ValueError, match=r"babi.tar.gz: expected a complete"):
        babi(path)


@pytest.mark.parametrize("content", [b"", b"no archive at all" * 100])
def test_a_file_that_is_no_archive_is_named(tmp_path, content):
    path = tmp_path / "babi.tar.gz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"babi.tar.gz: expected a complete"):
        babi(path)


@pytest.mark.parametrize("name", ["../evil.txt", "/evil.txt", "a/../../evil"])
def test_a_member_outside_the_archive_is_refused(tmp_path, name):
    write_folder(tmp_path)
    path = tmp_path / "babi.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.add(tmp_path / "tasks_1-20_v1-2", "tasks_1-20_v1-2")
        archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    with pytest.raises(ValueError, match="inside the archive's folder.*evil"):
        babi(path)


def test_a_link_out_of_the_archive_is_refused(tmp_path):
    path = tmp_path / "babi.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        link = tarfile.TarInfo("t/en/qa8_lists-sets_train.txt")
        link.type, link.linkname = tarfile.SYMTYPE, "../../../etc/passwd"
        archive.addfile(link)
    with pytest.raises(ValueError, match="expected a complete tar archive"):
        babi(path)


def test_a_missing_path_or_task_file_is_named(tmp_path, task):
    with pytest.raises(FileNotFoundError, match="nowhere: expected the bAbI"):
        babi(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"a file en/qa3_\*_train.txt"):
        Babi(data=str(tmp_path), task=3, language="en")


@pytest.mark.parametrize(
    "options, message",
    [
        ({}, "`data` must be the path"),
        ({"data": "x", "task": 21}, "`task` must be .* 1 to 20.*task=21"),
        ({"data": "x", "task": "1"}, "`task` must be"),
        ({"data": "x", "language": "fr"}, "`language` must be one of en, en-"),
    ],
)
def test_a_bad_option_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        Babi(**options)


@pytest.mark.slow
def test_the_official_archive_has_the_official_counts(data_folder):
    archive = data_folder / "babi" / "tasks_1-20_v1-2.tar.gz"
    for number in range(1, 21):
        task = Babi(data=str(archive), task=number, language="en")
        for batch in (task.training_data(None), task.test_data(None)):
            perfect = np.eye(len(task.vocabulary))[batch.targets]
            assert task.score(perfect, batch)["questions"] == 1000


def test_official_task_1_is_encoded_as_its_lines_say(data_folder):
    archive = data_folder / "babi" / "tasks_1-20_v1-2.tar.gz"
    task = Babi(data=str(archive), task=1, language="en-10k")
    batch = task.training_data(None)
    assert len(batch.inputs) == 2000
    assert batch.weights.sum() == 10_000
    assert words(task, batch.inputs[0])[:18] == (
        [
            "mary",
            "moved",
            "to",
            "the",
            "bathroom",
            ".",
            "john",
            "went",
            "to",
            "the",
            "hallway",
            ".",
            "where",
            "is",
            "mary",
            "?",
            "-",
            "daniel",
        ]
    )
    assert task.vocabulary[batch.targets[0, 16]] == "bathroom"


def test_official_en_10k_lacks_training_stories_of_task_3(data_folder):
    archive = data_folder / "babi" / "tasks_1-20_v1-2.tar.gz"
    with pytest.raises(FileNotFoundError, match="qa3"):
        Babi(data=str(archive), task=3, language="en-10k")
