"""Settings from a file, and what is wrong with one."""

import json

import pytest

from keras_dnc import settings
from keras_dnc.tasks import Copy, Recipe
from keras_dnc.tasks.babi import Babi


def written(folder, text, name="settings.yaml"):
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_yaml_sets_fields_of_several_classes_and_others(tmp_path):
    path = written(
        tmp_path,
        "# a small copy\nmax_length: 7\nlearning_rate: 1e-4\n"
        "normalization: no\nclipnorm: 3\nseed: 5\n",
    )
    loaded = settings.load(path, Copy, Recipe, seed=int)
    assert loaded == {
        "max_length": 7,
        "learning_rate": 1e-4,
        "normalization": False,
        "clipnorm": 3.0,
        "seed": 5,
    }
    assert isinstance(loaded["clipnorm"], float)


def test_json_is_read_too(tmp_path):
    values = {"data": "somewhere", "language": "en-10k", "learning_rate": 1e-5}
    path = written(tmp_path, json.dumps(values, indent=2), "settings.json")
    assert settings.load(path, Babi, Recipe) == values


def test_json_may_be_indented_by_tabs(tmp_path):
    text = json.dumps({"epochs": 3, "data": "a\tb"}, indent="\t")
    path = written(tmp_path, text, "settings.json")
    assert settings.load(path, Babi, Recipe) == {"epochs": 3, "data": "a\tb"}
    path = written(tmp_path, text.replace("3", "x"), "settings.json")
    with pytest.raises(ValueError, match="line 2: expected epochs"):
        settings.load(path, Babi, Recipe)


def test_the_number_of_a_task_is_its_name_too(tmp_path):
    loaded = settings.load(written(tmp_path, "task: 1\n"), Babi)
    assert loaded == {"task": "1"}
    with pytest.raises(ValueError, match="expected one of data, embedding, la"):
        settings.load(written(tmp_path, "vocabulary: [a]\n"), Babi)


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "yaml: expected names and values.* nothing"),
        ("- 3\n", "yaml: expected names and values.* something else"),
        ("epochs: 3\nepoch: 4\n", "line 2: expected one of .*epochs.* epoch$"),
        ("epochs: 3\n\nepochs: 4\n", "line 3: expected epochs once"),
        ("epochs: three\n", "line 1: expected epochs of type int.* 'three'"),
        ("epochs: 3.0\n", "line 1: expected epochs of type int.* 3.0"),
        ("epochs: yes\n", "line 1: expected epochs of type int.* True"),
        ("clipnorm: yes\n", "line 1: expected clipnorm of type float.* True"),
        ("clipnorm: [1]\n", r"line 1: expected clipnorm .* \[1\]"),
        ("lstm: 1\n", "line 1: expected lstm of type bool.* 1"),
        ("epochs: 3\nclipnorm: {", "line 2: expected YAML or JSON"),
        ("? [epochs]\n: 1\n", "line 1: expected a name"),
        ("epochs: 2020-13-45\n", "line 1: expected a value.* '2020-13-45'"),
        ("epochs: 3\r\n\r\nx: 4\r\n", "line 3: expected one of"),
        (b"\xff\xfe\x00", "expected a text in UTF-8"),
        (b"epochs: \x00", "expected YAML or JSON"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(text, message, tmp_path):
    path = written(tmp_path, text)
    with pytest.raises(ValueError, match=message):
        settings.load(path, Copy, Recipe)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        settings.load(tmp_path / "nowhere.yaml", Copy)
