"""The tutorials are clean as committed, and run whole in a fresh kernel."""

import ast
import json
import pathlib
import re

import keras
import pytest

FOLDER = pathlib.Path(__file__).parents[1] / "tutorials"
NAMES = [
    "1-gradient-descent",
    "2-networks-as-maps",
    "3-memory-by-hand",
    "4-the-echo-task",
    "5-weights-as-distributions",
    "6-a-bayesian-dnc",
    "7-questions-about-stories",
    "8-into-production",
]
MOST_LINES = 18
MOST_BYTES = 200_000
# Folders of one machine, and drives of another.
MACHINE = re.compile(
    r"(?<![\w.])(/(home|tmp|work|root|Users|usr|opt|mnt)\b|[A-Z]:\\)"
)


def notebook(name):
    return json.loads((FOLDER / f"{name}.ipynb").read_text("utf-8"))


def source(cell):
    return "".join(cell["source"])


def code_of(name):
    return [
        source(cell)
        for cell in notebook(name)["cells"]
        if cell["cell_type"] == "code"
    ]


def count_asserts(code):
    """Counts assert statements, and calls such as `assert_allclose`."""
    return sum(
        isinstance(node, ast.Assert)
        or (
            isinstance(node, ast.Attribute)
            and isinstance(node.ctx, ast.Load)
            and node.attr.startswith("assert_")
        )
        for node in ast.walk(ast.parse(code))
    )


def test_every_tutorial_is_here():
    assert sorted(path.name for path in FOLDER.iterdir()) == [
        f"{name}.ipynb" for name in NAMES
    ]


@pytest.mark.parametrize("name", NAMES)
class TestAsCommitted:
    def test_it_has_no_outputs(self, name):
        for cell in notebook(name)["cells"]:
            if cell["cell_type"] == "code":
                assert cell["outputs"] == []
                assert cell["execution_count"] is None

    def test_it_is_of_a_plain_kernel_and_its_cells_have_ids(self, name):
        found = notebook(name)
        assert (found["nbformat"], found["nbformat_minor"]) == (4, 5)
        assert found["metadata"]["kernelspec"]["name"] == "python3"
        assert set(found["metadata"]) == {"kernelspec", "language_info"}
        ids = [cell["id"] for cell in found["cells"]]
        assert all(ids) and len(set(ids)) == len(ids)

    def test_it_begins_with_its_only_title(self, name):
        cells = notebook(name)["cells"]
        assert cells[0]["cell_type"] == "markdown"
        assert source(cells[0]).startswith("# ")
        titles = [
            line
            for cell in cells
            if cell["cell_type"] == "markdown"
            for line in source(cell).splitlines()
            if line.startswith("# ")
        ]
        assert len(titles) == 1

    def test_it_names_no_folder_of_a_machine(self, name):
        for cell in notebook(name)["cells"]:
            # What a web address has in its path is no folder.
            text = re.sub(r"https?://\S+", "", source(cell))
            assert not MACHINE.search(text)

    def test_it_checks_what_it_claims(self, name):
        assert sum(map(count_asserts, code_of(name))) >= 3

    def test_its_cells_are_short(self, name):
        assert max(len(code.splitlines()) for code in code_of(name)) <= (
            MOST_LINES
        )

    def test_tutorials_that_it_links_to_are_here(self, name):
        for cell in notebook(name)["cells"]:
            if cell["cell_type"] == "markdown":
                for target in re.findall(r"\]\(([^):]+)\)", source(cell)):
                    assert (FOLDER / target).is_file()


# Building the documentation runs them too.
@pytest.mark.exhaustive
@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow",
    reason="the tutorials are for TensorFlow",
)
@pytest.mark.parametrize("name", NAMES)
def test_it_runs_whole(name, tmp_path):
    import nbclient
    import nbformat

    found = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    nbformat.validate(found)
    nbclient.NotebookClient(
        found,
        timeout=300,
        kernel_name="python3",
        resources={"metadata": {"path": str(tmp_path)}},
    ).execute()
    for cell in found.cells:
        for output in cell.get("outputs", ()):
            assert len(json.dumps(output)) < MOST_BYTES
