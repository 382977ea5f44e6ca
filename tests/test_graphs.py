"""Graphs and the questions about them, against solvers by brute force."""

import collections
import dataclasses
import itertools
import math
import tracemalloc

import keras
import numpy as np
import pytest

from keras_dnc import runs, training
from keras_dnc.__main__ import main
from keras_dnc.tasks import (
    FamilyInference,
    GraphShortestPath,
    GraphTraversal,
    family,
    triples,
)
from keras_dnc.tasks.graphs import load_graph, random_graphs
from keras_dnc.tasks.triples import DigitCrossentropy, RightTriples

TASKS = [GraphTraversal, GraphShortestPath, FamilyInference]
WITHOUT_HINTS = [
    GraphTraversal(),
    GraphShortestPath(hints=False),
    FamilyInference(hints=False),
]
OF_FILES = [
    GraphTraversal(graph="underground", max_length=7),
    GraphShortestPath(graph="underground", max_length=5, hints=False),
    FamilyInference(graph="family", max_length=4, hints=False),
]
NAMED = {"ids": lambda task: f"{task.name} {task.graph}".rstrip()}


def read(vector):
    """Reads three labels of three one-hot digits; None for one left open."""
    labels = []
    for part in range(3):
        digits = []
        for place in range(3):
            start = 30 * part + 10 * place
            ones = [digit for digit in range(10) if vector[start + digit]]
            digits.append(ones)
        if not any(digits):
            labels.append(None)
            continue
        assert all(len(ones) == 1 for ones in digits)
        labels.append(int("".join(str(ones[0]) for ones in digits)))
    return tuple(labels)


def heard(batch, example, task):
    """Reads one sequence: its facts, its question and its answer."""
    hears_answers = isinstance(task, GraphShortestPath)
    inputs, targets, weights = (part[example] for part in batch)
    assert inputs.shape[1] == 92 and targets.shape[1] == 90
    step = 0
    facts, query, answer = [], [], []
    while not inputs[step, 90:].any():
        facts.append(read(inputs[step]))
        assert None not in facts[-1]
        step += 1
    while inputs[step, 90] == 1:
        assert inputs[step, 91] == 0
        query.append(read(inputs[step]))
        step += 1
    asked = step + task.planning
    assert not inputs[step:asked].any()
    end = asked
    while end < len(inputs) and inputs[end].any():
        assert inputs[end, 90:].tolist() == [0, 1]
        before = read(inputs[end])
        assert before == (
            answer[-1] if answer and hears_answers else (None, None, None)
        )
        answer.append(read(targets[end]))
        assert None not in answer[-1]
        end += 1
    # Nothing counts but the answer, and nothing comes after it.
    assert not inputs[end:].any()
    expected = np.zeros(len(inputs))
    expected[asked:end] = 1
    np.testing.assert_array_equal(weights, expected)
    assert not targets[expected == 0].any()
    assert len(set(facts)) == len(facts)
    return facts, query, answer


def sequences(task, count=200, seed=0):
    """Reads sequences of a task, one after the other."""
    batch = task.sample(count, np.random.default_rng(seed))
    assert len(batch.inputs) == count
    for example in range(count):
        yield heard(batch, example, task)


# Traversal


@pytest.mark.parametrize(
    "task", [GraphTraversal(max_length=4, planning=2), OF_FILES[0]], **NAMED
)
def test_a_traversal_asks_for_the_nodes_that_the_edges_lead_to(task):
    lengths = collections.Counter()
    for facts, query, answer in sequences(task):
        leads_to = {
            (source, edge): destination for source, destination, edge in facts
        }
        assert len(leads_to) == len(facts)
        node, walked = query[0][0], []
        for number, (source, destination, edge) in enumerate(query):
            assert destination is None
            assert (source is None) == (number > 0)
            walked.append((node, leads_to[node, edge], edge))
            node = leads_to[node, edge]
        assert answer == walked
        lengths[len(walked)] += 1
    assert set(lengths) == set(range(1, task.max_length + 1))


def test_a_walk_begins_and_goes_on_uniformly():
    task = GraphTraversal(
        min_nodes=3, max_nodes=3, min_edges=2, max_edges=2, min_length=2,
        max_length=2,
    )  # fmt: skip
    count = 20_000
    (_, _, answers), exist = task.questions(count, np.random.default_rng(0))
    assert exist.all()
    walks = collections.Counter(
        tuple(walk) for walk in answers[..., :2].reshape(count, 4).tolist()
    )
    # Three beginnings, and twice two edges.
    assert len(walks) == 12
    bound = 5 * math.sqrt(1 / 12 * 11 / 12 / count)
    for times in walks.values():
        assert abs(times / count - 1 / 12) < bound


def test_a_walk_avoids_nodes_that_lead_nowhere(tmp_path):
    path = tmp_path / "graph.csv"
    path.write_text("source,destination,edge\na,b,1\nb,c,1\na,d,2\n")
    task = GraphTraversal(graph=str(path), min_length=2, max_length=2)
    for facts, _, answer in sequences(task, 20):
        assert len(facts) == 3
        (_, middle, _), (same, _, _) = answer
        assert middle == same
    with pytest.raises(ValueError, match="length of a walk.*max_length=3"):
        GraphTraversal(graph=str(path), max_length=3)


def test_two_edges_of_one_name_from_one_node_are_refused(tmp_path):
    path = tmp_path / "graph.csv"
    path.write_text("source,destination,edge\na,b,1\nb,a,1\na,c,1\n")
    with pytest.raises(
        ValueError, match=r"line 4: .* a second '1' from 'a', as in .*line 2"
    ):
        GraphTraversal(graph=str(path))


# Shortest paths


def shortest_paths(facts, first, last):
    """Returns all shortest paths, each a list of triples, level by level."""
    paths, seen = [([], first)], {first}
    while paths:
        found = [path for path, node in paths if node == last]
        if found:
            return found
        paths = [
            ([*path, fact], fact[1])
            for path, node in paths
            for fact in facts
            if fact[0] == node and fact[1] not in seen
        ]
        seen |= {node for _, node in paths}
    return []


def places_of(path):
    """Returns a path's edges, the one in the middle first."""
    middle = math.ceil(len(path) / 2) - 1
    return [path[middle], *path[:middle], *path[middle + 1 :]]


def least(paths):
    """Returns the path to be learned of some shortest ones."""
    return min(
        paths,
        key=lambda path: [
            (edge, source, destination)
            for source, destination, edge in places_of(path)
        ],
    )


PARALLEL = {"min_edges": 1, "parallel_edges": 0.4, "edge_names": 3}


@pytest.mark.parametrize(
    "task",
    [
        GraphShortestPath(max_length=4, hints=False),
        GraphShortestPath(
            min_length=3, max_length=3, planning=0, hints=False, **PARALLEL
        ),
        GraphShortestPath(
            max_nodes=12, max_length=6, edge_names=3, hints=False
        ),
        OF_FILES[1],
    ],
    **NAMED,
)
def test_the_shortest_path_of_the_least_labels_is_learned(task):
    lengths, choices = collections.Counter(), 0
    for facts, query, answer in sequences(task, 60 if task.graph else 200):
        ((first, last, edge),) = query
        assert edge is None and first != last
        paths = shortest_paths(facts, first, last)
        assert answer == least(paths)
        choices += len(paths) > 1
        lengths[len(answer)] += 1
    assert set(lengths) == set(range(task.min_length, task.max_length + 1))
    # Else the test would not tell which is learned.
    assert choices > 20


def test_nodes_as_far_from_each_other_are_drawn_uniformly(tmp_path):
    path = tmp_path / "graph.csv"
    # Two ways from a to d, two edges from d to e, one way each else, and the
    # whole way from a to g is too long.
    path.write_text(
        "source,destination,edge\n"
        "a,b,1\na,c,2\nb,d,1\nc,d,1\nd,e,1\nd,e,2\ne,f,1\nf,g,1\n"
    )
    task = GraphShortestPath(graph=str(path), min_length=1, max_length=4)
    count = 8_000
    questions, exist = task.questions(count, np.random.default_rng(0))
    assert exist.all()
    nodes = task.loaded.nodes
    drawn = collections.Counter(
        nodes[first] + nodes[last] for first, last, _ in questions.query[:, 0]
    )
    apart = {
        1: ["ab", "ac", "bd", "cd", "de", "ef", "fg"],
        2: ["ad", "be", "ce", "df", "eg"],
        3: ["ae", "bf", "cf", "dg"],
        4: ["af", "bg", "cg"],
    }
    expected = {
        pair: 1 / 4 / len(pairs) for pairs in apart.values() for pair in pairs
    }
    assert set(drawn) == set(expected)
    for pair, share in expected.items():
        bound = 5 * math.sqrt(share * (1 - share) / count)
        assert abs(drawn[pair] / count - share) < bound


def answering(task, choose, given):
    """Returns a solver that goes on from what it hears, step by step."""

    def predict(inputs):
        given.append(inputs)
        outputs = np.zeros((*inputs.shape[:2], 90))
        for example, steps in enumerate(inputs):
            cues = steps[:, 90:].argmax(-1) + steps[:, 90:].sum(-1)
            facts = [read(x) for x, cue in zip(steps, cues, strict=True)]
            facts = [
                fact
                for fact, cue in zip(facts, cues, strict=True)
                if not cue and None not in fact
            ]
            ((first, last, _),) = (
                read(x) for x, cue in zip(steps, cues, strict=True) if cue == 1
            )
            for step in np.flatnonzero(cues == 2):
                before = read(steps[step])
                node = first if before[1] is None else before[1]
                paths = shortest_paths(facts, node, last)
                answer = choose(facts, [path[0] for path in paths if path])
                outputs[example, step] = triples.one_hot(np.array(answer))
        return outputs

    return predict


def test_a_network_hears_its_own_answers_and_each_shortest_path_is_right():
    task = GraphShortestPath(
        min_nodes=6, max_nodes=8, min_length=2, max_length=4, test_sequences=60
    )
    batch = task.test_data(np.random.default_rng(1))
    given = []
    predict = answering(task, lambda facts, found: max(found or facts), given)
    own, outputs = task.asked(predict, batch)
    assert len(given) == 4
    np.testing.assert_array_equal(own.inputs, given[-1])
    np.testing.assert_array_equal(own.weights, batch.weights)
    differ = 0
    for example in range(60):
        facts, query, answer = heard(own, example, task)
        ((first, last, _),) = query
        assert answer in shortest_paths(facts, first, last)
        differ += answer != heard(batch, example, task)[2]
    # Else the test would not tell whose answers are heard.
    assert differ > 5
    figures = task.score(outputs, own)
    assert figures["right questions in %"] == 100
    rng = np.random.default_rng(1)
    assert task.evaluate(predict, rng) == figures


@pytest.mark.parametrize("wrong", ["edge", "way", "gap"])
def test_other_answers_are_no_shortest_path(wrong, tmp_path):
    path = tmp_path / "graph.csv"
    # Two ways from a to d are all that there is of two edges.
    path.write_text("source,destination,edge\na,b,1\na,c,1\nb,d,1\nc,d,1\n")
    task = GraphShortestPath(
        graph=str(path), min_length=2, max_length=2, test_sequences=20
    )
    batch = task.test_data(np.random.default_rng(2))

    def choose(facts, found):
        """The first edge, then one that is not there, back, or unconnected."""
        source, destination, name = found[0] if found else facts[0]
        if any(fact[0] == destination for fact in facts):
            return source, destination, name
        if wrong == "edge":
            return source, destination, (name + 1) % 1000
        if wrong == "way":
            return next(fact for fact in facts if fact[1] == source)
        return next(
            fact
            for fact in facts
            if fact[1] == destination and fact[0] != source
        )

    own, outputs = task.asked(answering(task, choose, []), batch)
    np.testing.assert_array_equal(own.targets, batch.targets)
    assert task.score(outputs, own)["right questions in %"] == 0


def test_lengths_that_no_path_has_are_named():
    task = GraphShortestPath(
        graph="underground", min_length=30, max_length=31, test_sequences=2
    )
    with pytest.raises(ValueError, match="min_length=30, max_length=31"):
        task.test_data(np.random.default_rng(0))


# Thoughts


HINTED = [
    GraphShortestPath(max_nodes=10, max_length=4, planning=5, hints=True),
    FamilyInference(max_length=4, planning=5, hints=True),
    GraphShortestPath(graph="underground", max_length=5, hints=True),
    FamilyInference(graph="family", planning=3, hints=True),
]


def thought_of(task, count):
    """Yields graphs, questions and answers, and the edges of each thought."""
    rng = np.random.default_rng(2)
    asked, exist = task.questions(count, rng)
    assert exist.all()
    labels = rng.permuted(np.tile(np.arange(1000), (count, 3, 1)), axis=-1)
    answer = task.to_learn(asked, labels.swapaxes(1, 2))
    asked = asked._replace(answer=answer)
    thoughts = task.thoughts(asked)
    for facts, query, answer, chosen in zip(*asked, thoughts, strict=True):
        assert not chosen[:, facts[:, 0] < 0].any()
        of_step = [facts[edges].tolist() for edges in chosen]
        told = facts[facts[:, 0] >= 0].tolist()
        yield told, query[0], answer[answer[:, 0] >= 0].tolist(), of_step


@pytest.mark.parametrize("task", HINTED[::2], **NAMED)
def test_thoughts_of_paths_are_the_edges_at_their_ends_and_between(task):
    lengths = set()
    for facts, (first, last, _), answer, of_step in thought_of(task, 60):
        assert of_step[0] == [fact for fact in facts if fact[0] == first]
        assert of_step[1] == [fact for fact in facts if fact[1] == last]
        assert answer in shortest_paths(facts, first, last)
        assert of_step[2] == [places_of(answer)[0]]
        assert not any(of_step[3:])
        lengths.add(len(answer))
    assert lengths == set(range(1, task.max_length + 1))


@pytest.mark.parametrize("task", HINTED[1::2], **NAMED)
def test_thoughts_of_families_lead_on_from_the_person(task):
    names = list(family.RELATIONS)
    lengths = set()
    for facts, (person, _, name), answer, of_step in thought_of(task, 400):
        steps = family.RELATIONS[names[name]]
        people = {person}
        for edges, relations in zip(of_step, steps, strict=False):
            assert edges == [
                fact
                for fact in facts
                if fact[0] in people and fact[2] in relations
            ]
            people = {edge[1] for edge in edges}
        assert people == {answer[0][1]}
        assert not any(of_step[len(steps) :])
        lengths.add(len(steps))
    assert lengths == set(range(task.min_length, task.max_length + 1))


@pytest.mark.parametrize("task", HINTED, **NAMED)
def test_hints_change_the_targets_of_silent_steps_alone(task):
    plain = dataclasses.replace(task, hints=False)
    hinted, batch = (
        which.sample(20, np.random.default_rng(3)) for which in (task, plain)
    )
    np.testing.assert_array_equal(hinted.inputs, batch.inputs)
    answers = batch.weights > 0
    np.testing.assert_array_equal(
        hinted.targets[answers], batch.targets[answers]
    )
    np.testing.assert_array_equal(hinted.weights[answers], 1)
    asked, _ = plain.questions(20, np.random.default_rng(3))
    assert plain.thoughts(asked) is None
    for example in range(20):
        heard(batch, example, plain)
        (query,) = np.flatnonzero(batch.inputs[example, :, 90])
        silent = slice(query + 1, query + 1 + task.planning)
        digits = hinted.targets[example, silent].reshape(-1, 9, 10)
        has = hinted.weights[example, silent] > 0
        np.testing.assert_allclose(digits[has].sum(-1), 1, rtol=1e-6)
        assert not digits[~has].any()
        # The thoughts are of the nodes that are asked about.
        asked_of = batch.inputs[example, query, :90].reshape(9, 10)
        first, last = asked_of[:3], asked_of[3:6]
        np.testing.assert_allclose(digits[0, :3], first, rtol=1e-6)
        is_answer = answers[example].nonzero()[0]
        answer = batch.targets[example, is_answer].reshape(-1, 9, 10)
        if last.any():
            np.testing.assert_allclose(digits[1, 3:6], last, rtol=1e-6)
            middle = answer[(len(answer) - 1) // 2]
            assert (digits[2][middle > 0] > 0).all()
        else:
            destination = digits[has][-1, 3:6]
            np.testing.assert_allclose(destination, answer[0, 3:6], rtol=1e-6)
        # Nothing but answer and thoughts counts.
        others = np.delete(hinted.weights[example], silent)
        np.testing.assert_array_equal(
            others, np.delete(batch.weights[example], silent)
        )


def test_a_thought_is_the_mean_of_its_edges():
    facts = np.array([[[7, 123, 40], [123, 7, 40], [123, 8, 41], [-1] * 3]])
    chosen = np.array([[[1, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0]]], bool)

    class Thoughtful(GraphTraversal):
        def questions(self, count, rng):
            query = np.array([[[7, -1, 40]]])
            asked = triples.Questions(facts, query, facts[:, :1])
            return asked, np.ones(1, bool)

        def thoughts(self, asked):
            return chosen

    class Unmixed:
        """Labels are the numbers, and facts stay in their order."""

        def random(self, shape, *_):
            return np.broadcast_to(np.arange(shape[1]), shape)

    task = Thoughtful(planning=3)
    batch = task.draw(1, Unmixed())
    # Three facts, the question, three silent steps and the answer.
    assert batch.weights[0].tolist() == [0, 0, 0, 0, 1, 1, 0, 1, 0]
    np.testing.assert_array_equal(
        batch.targets[0, [4, 7]], triples.one_hot(facts[0, [0, 0]])
    )
    expected = triples.one_hot(facts[0, 1:3]).mean(0)
    np.testing.assert_allclose(batch.targets[0, 5], expected)
    assert task.text(batch.targets, batch, example=0).splitlines()[5:9] == [
        "4                      007 123 040  007 123 040",
        "5                      123 00? 04?  123 007 040",
        "6",
        "7     answer           007 123 040  007 123 040",
    ]
    assert not task.is_right(batch.targets[0, 5], batch.targets[0, 4])


@pytest.mark.parametrize("task", HINTED, **NAMED)
def test_nobody_is_asked_for_thoughts(task):
    plain = dataclasses.replace(task, hints=False, test_sequences=5)
    task = dataclasses.replace(task, test_sequences=5)
    with_hints, without = (
        which.test_data(np.random.default_rng(4)) for which in (task, plain)
    )
    for found, expected in zip(with_hints, without, strict=True):
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)
    hinted = task.sample(5, np.random.default_rng(4))
    # All thoughts are wrong, and all answers right.
    figures = task.score(without.targets, hinted)
    assert figures["wrong triples in %"] == 0
    assert figures == task.score(without.targets, without)
    first = np.unravel_index(without.weights.argmax(), without.weights.shape)
    without.targets[first] = np.roll(without.targets[first], 1)
    assert task.score(without.targets, hinted)["wrong questions"] == 1


def test_a_thought_of_several_edges_is_neither_right_nor_wrong():
    batch = HINTED[0].sample(50, np.random.default_rng(5))
    largest = batch.targets.reshape(*batch.targets.shape[:2], 9, 10).max(-1)
    is_one = np.isclose(largest, 1).all(-1) & (batch.weights > 0)
    assert is_one.sum() < batch.weights.sum()
    first = tuple(index[0] for index in is_one.nonzero())
    logits = np.where(is_one[..., None], batch.targets, -batch.targets)
    logits[first][:10] = np.roll(logits[first][:10], 1)
    metric = RightTriples()
    metric.update_state(batch.targets, logits, batch.weights)
    expected = (is_one.sum() - 1) / is_one.sum()
    assert float(metric.result()) == pytest.approx(expected)


def test_sequences_may_have_weights_of_their_own():
    # As many sequences as steps, of which the last sequence is wrong.
    targets = np.tile(triples.one_hot(np.array([7, 123, 40])), (5, 5, 1))
    logits = targets.astype(float)
    logits[-1] *= -1
    weights = np.array([1, 1, 1, 1, 0])
    for shaped in (weights, weights[:, None], weights[:, None, None]):
        metric = RightTriples()
        metric.update_state(targets, logits, shaped)
        assert float(metric.result()) == 1
    metric.reset_state()
    metric.update_state(targets, logits)
    assert float(metric.result()) == pytest.approx(4 / 5)


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (GraphShortestPath, "at least 3 with hints.*planning=2"),
        (FamilyInference, "at least max_length=3 with hints.*planning=2"),
    ],
)
def test_hints_need_silent_steps_in_training_alone(task, message):
    task = task(planning=2, hints=True, test_sequences=3)
    with pytest.raises(ValueError, match=f"`planning` must be {message}"):
        training.check(task, task.recipe, seed=0)
    batch = task.test_data(np.random.default_rng(0))
    assert (batch.weights.sum(-1) <= task.max_length).all()


# Random graphs


class Recorder:
    """Draws numbers and remembers them."""

    def __init__(self, seed):
        self.rng, self.drawn = np.random.default_rng(seed), []

    def random(self, shape):
        """Draws numbers from [0, 1)."""
        self.drawn.append(self.rng.random(shape))
        return self.drawn[-1]


def test_edges_lead_to_the_nearest_points():
    rng = np.random.default_rng(0)
    nodes = rng.integers(4, 8, 50)
    edges = rng.integers(1, 4, (50, 7))
    recorder = Recorder(1)
    graphs = random_graphs(nodes, edges, 3, 5, recorder)
    assert graphs.shape == (50, 21, 3)
    points = recorder.drawn[0]
    for graph, count, wanted, where in zip(
        graphs, nodes, edges, points, strict=True
    ):
        lead_to = collections.defaultdict(dict)
        for source, destination, name in graph.tolist():
            if source == -1:
                assert destination == name == -1
                continue
            assert name not in lead_to[source] and 0 <= name < 5
            lead_to[source][name] = destination
        assert set(lead_to) == set(range(count))
        for source, destinations in lead_to.items():
            others = [node for node in range(count) if node != source]
            others.sort(key=lambda node: math.dist(where[node], where[source]))
            nearest = others[: wanted[source]]
            assert sorted(destinations.values()) == sorted(nearest)


def test_a_share_of_the_edges_runs_beside_the_one_before():
    share, count = 0.3, 2_000
    nodes, edges = np.full(count, 6), np.full((count, 6), 4)
    recorder = Recorder(2)
    graphs = random_graphs(nodes, edges, 4, 4, recorder, share)
    beside = others = 0
    for graph, where in zip(
        graphs.reshape(count, 6, 4, 3).tolist(), recorder.drawn[0], strict=True
    ):
        for node, from_node in enumerate(graph):
            assert {source for source, *_ in from_node} == {node}
            assert len({name for *_, name in from_node}) == 4
            nearest = sorted(
                set(range(6)) - {node},
                key=lambda other: math.dist(where[other], where[node]),
            )
            leads_to = [destination for _, destination, _ in from_node]
            assert leads_to[0] == nearest[0]
            for place in range(1, 4):
                parallel = leads_to[place] == leads_to[place - 1]
                assert parallel or leads_to[place] == nearest[place]
                beside, others = beside + parallel, others + (not parallel)
    drawn = beside + others
    bound = 5 * math.sqrt(share * (1 - share) / drawn)
    assert abs(beside / drawn - share) < bound


def test_sizes_of_random_graphs_are_within_their_bounds():
    task = GraphTraversal(
        min_nodes=4, max_nodes=6, min_edges=1, max_edges=3, edge_names=4
    )
    sizes, degrees, repeated = set(), set(), 0
    for facts, *_ in sequences(task, 300):
        sources = collections.Counter(source for source, *_ in facts)
        sizes.add(len(sources))
        degrees |= set(sources.values())
        names = [name for *_, name in facts]
        assert len(set(names)) <= 4
        repeated += len(set(names)) < len(names)
    assert sizes == {4, 5, 6}
    assert degrees == {1, 2, 3}
    assert repeated > 290


@pytest.mark.parametrize("task", WITHOUT_HINTS, **NAMED)
def test_labels_are_drawn_anew(task):
    nodes, names = collections.Counter(), collections.Counter()
    for facts, *_ in sequences(task, 300):
        nodes.update({node for fact in facts for node in fact[:2]})
        names.update({fact[2] for fact in facts})
    assert len(nodes) > 700 and max(nodes) > 980 and min(nodes) < 20
    if task.name == "family-inference":
        assert set(names) == set(range(6))
    else:
        assert len(names) > 700


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_nodes": 9}, "at most max_nodes=8.*min_nodes=9"),
        ({"min_edges": 4}, "at most max_edges=3.*min_edges=4"),
        ({"min_nodes": 3}, "below min_nodes=3.*max_edges=3"),
        ({"edge_names": 2}, "at most edge_names=2.*max_edges=3"),
        ({"max_nodes": 1001}, "at most 1000.*max_nodes=1001"),
        ({"edge_names": 1001}, "at most 1000.*edge_names=1001"),
        ({"parallel_edges": 1.5}, "number from 0 to 1.*parallel_edges=1.5"),
        ({"parallel_edges": -0.1}, "`parallel_edges` must be a .*-0.1"),
        ({"max_length": 0}, "`max_length` must be a positive integer"),
        ({"planning": -1}, "`planning` must be an integer of at least 0"),
        ({"min_length": 5}, "at most max_length=3.*min_length=5"),
    ],
)
@pytest.mark.parametrize("task", TASKS[:2])
def test_options_that_do_not_fit_are_named(task, options, message):
    with pytest.raises(ValueError, match=message):
        task(**options)


@pytest.mark.parametrize("task", OF_FILES[1:], **NAMED)
def test_edges_are_told_in_random_order(task):
    (told, *_), _ = task.questions(1, np.random.default_rng(0))
    sources = [collections.Counter() for _ in range(2)]
    count = 400
    for facts, *_ in sequences(task, count):
        # A source is known by the number of edges from it.
        degrees = collections.Counter(source for source, *_ in facts)
        sources[0][degrees[facts[0][0]]] += 1
        sources[1][degrees[facts[-1][0]]] += 1
    _, degrees = np.unique(told[0, :, 0], return_counts=True)
    for degree in set(degrees.tolist()):
        share = degree * (degrees == degree).sum() / degrees.sum()
        bound = 5 * math.sqrt(share * (1 - share) / count)
        for drawn in sources:
            assert abs(drawn[degree] / count - share) < bound


# Families


class Family:
    """Who is whose parent, as facts tell it, and what follows from that."""

    def __init__(self, facts):
        told = [(one, other, family.TOLD[name]) for one, other, name in facts]
        self.people = {person for fact in told for person in fact[:2]}
        self.parents, self.sexes = {}, {}
        for one, other, name in told:
            is_male = name in ("father", "son", "brother")
            assert self.sexes.setdefault(other, is_male) == is_male
            if name in ("father", "mother"):
                assert self.parents.setdefault(one, {}).get(name) is None
                self.parents[one][name] = other
        assert all(len(both) == 2 for both in self.parents.values())
        # The facts agree with each other, and none is missing.
        assert {fact for fact in told if fact[2] in ("son", "daughter")} == {
            (parent, child, "son" if self.sexes[child] else "daughter")
            for child in self.parents
            for parent in self.parents_of(child)
        }
        assert {fact for fact in told if fact[2] in ("brother", "sister")} == {
            (one, other, "brother" if self.sexes[other] else "sister")
            for one, other in itertools.permutations(self.parents, 2)
            if self.parents[one] == self.parents[other]
        }

    def parents_of(self, person):
        """Father and mother, if they are known."""
        return set(self.parents.get(person, {}).values())

    def ancestors(self, person, generations):
        """Those so many generations before."""
        if generations == 0:
            return {person}
        return {
            ancestor
            for parent in self.parents_of(person)
            for ancestor in self.ancestors(parent, generations - 1)
        }

    def line(self, person, parent):
        """The father or the mother, as a set."""
        return {self.parents[person][parent]} if person in self.parents else ()

    def siblings(self, person):
        """Brothers and sisters."""
        return {
            other
            for other in self.parents
            if other != person
            and person in self.parents
            and self.parents[other] == self.parents[person]
        }

    def descendants(self, person, generations):
        """Those so many generations after."""
        return {
            other
            for other in self.people
            if person in self.ancestors(other, generations)
        }

    def after_siblings(self, people, generations):
        """Descendants of the siblings of people."""
        return {
            other
            for person in people
            for sibling in self.siblings(person)
            for other in self.descendants(sibling, generations)
        }

    def related(self, person, relation):
        """All who are in a relation to a person, by its English name."""
        *line, kind = relation.replace("-", " ").split(" ")
        sides = {"paternal": "father", "maternal": "mother"}
        side = sides.get(line[0]) if line else None
        male_kinds = {
            "father", "son", "brother", "uncle", "nephew", "grandfather",
            "grandson",
        }  # fmt: skip
        is_male = kind in male_kinds or "male" in line
        if relation in ("father", "mother"):
            people = self.line(person, relation)
        elif relation in ("son", "daughter"):
            people = self.descendants(person, 1)
        elif relation in ("brother", "sister"):
            people = self.siblings(person)
        elif kind in ("grandfather", "grandmother"):
            people = {
                ancestor
                for parent in self.line(person, side)
                for ancestor in self.ancestors(parent, 1)
            }
        elif kind in ("grandson", "granddaughter"):
            people = self.descendants(person, 3 if "great" in line else 2)
        elif kind in ("nephew", "niece"):
            people = self.after_siblings({person}, 2 if "great" in line else 1)
        elif kind in ("uncle", "aunt"):
            people = {
                other
                for parent in self.line(person, side)
                for ancestor in self.ancestors(parent, int("great" in line))
                for other in self.siblings(ancestor)
            }
        elif kind == "cousin" and side:
            people = self.after_siblings(self.line(person, side), 1)
        elif kind == "cousin":
            of = self.line(person, line[0].removesuffix("'s"))
            grandparents = {x for y in of for x in self.parents_of(y)}
            people = self.after_siblings(grandparents, 1)
        else:
            raise AssertionError(f"an unknown relation: {relation}")
        return {other for other in people if self.sexes[other] == is_male}


def cousins_children(tree, person, is_male):
    """Sons or daughters of the cousins of a person."""
    people = tree.after_siblings(tree.parents_of(person), 2)
    return {other for other in people if tree.sexes[other] == is_male}


@pytest.mark.parametrize(
    "task",
    [
        FamilyInference(min_length=2, hints=False),
        FamilyInference(max_length=4, min_people=3, max_people=17, hints=False),
        OF_FILES[2],
    ],
    **NAMED,
)
def test_a_family_has_one_person_of_whom_the_relation_is_true(task):
    names = list(family.RELATIONS)
    lengths = set()
    for facts, query, answer in sequences(task, 400):
        tree = Family(facts)
        ((person, other, relation),) = query
        assert other is None
        ((same, other, again),) = answer
        assert (same, again) == (person, relation)
        name = names[relation]
        if name.startswith("cousin's"):
            expected = cousins_children(tree, person, name.endswith("son"))
        else:
            expected = tree.related(person, name)
        assert expected == {other}, name
        lengths.add(len(family.RELATIONS[name]))
    assert lengths == set(range(task.min_length, task.max_length + 1))


def test_all_people_are_related_as_recursion_says():
    task = FamilyInference(min_people=14, max_people=17, planning=0)
    (facts, *_), _ = task.questions(60, np.random.default_rng(5))
    related = family.related_people(facts, task.people)
    seen = set()
    for told, by_name in zip(facts, related, strict=True):
        tree = Family([fact for fact in told.tolist() if fact[0] != -1])
        for name, matrix in zip(family.RELATIONS, by_name, strict=True):
            for person in tree.people:
                if name.startswith("cousin's"):
                    expected = cousins_children(
                        tree, person, name.endswith("son")
                    )
                else:
                    expected = tree.related(person, name)
                assert set(np.flatnonzero(matrix[person])) == expected
                if expected:
                    seen.add(name)
    assert seen == set(family.RELATIONS)


@pytest.mark.parametrize("people", range(3, 18))
def test_trees_have_all_their_people_and_room_for_their_facts(people):
    for seed in range(60):
        parents, is_male = family.random_tree(
            people, np.random.default_rng(seed)
        )
        assert len(parents) == len(is_male) == people
        children = collections.Counter()
        for child, (father, mother) in enumerate(parents.tolist()):
            assert (father == -1) == (mother == -1)
            if father != -1:
                assert father < child and mother < child
                assert is_male[father] and not is_male[mother]
                children[father, mother] += 1
        assert max(children.values()) <= 3
        # Each person is a child or a parent, and married at most once.
        couples = list(itertools.chain.from_iterable(children))
        assert len(couples) == len(set(couples))
        born = {i for i, (father, _) in enumerate(parents) if father != -1}
        assert born | set(couples) == set(range(people))


@pytest.mark.parametrize("people", range(3, 18))
def test_a_tree_has_room_for_the_most_facts(people):
    most = 0
    for seed in range(200):
        size = 3 + seed % (people - 2)
        parents, _ = family.random_tree(size, np.random.default_rng(seed))
        families = collections.Counter(map(tuple, parents[parents[:, 0] >= 0]))
        most = max(most, sum(n * (4 + n - 1) for n in families.values()))
    task = FamilyInference(min_people=3, max_people=people, min_length=1)
    (facts, *_), _ = task.questions(1, np.random.default_rng(0))
    assert most <= facts.shape[1]
    # The fullest of small trees is among those drawn.
    assert people > 9 or most == facts.shape[1]


@pytest.mark.parametrize(
    "task, sizes",
    [
        (GraphTraversal(), [(1, 4), (2, 8), (3, 8)]),
        (
            GraphShortestPath(
                min_nodes=6, max_nodes=30, max_length=2, hints=False
            ),
            [(1, 6), (2, 12), (2, 24), (2, 30)],
        ),
        (
            FamilyInference(min_length=2, max_length=4, max_people=20),
            [(2, 8), (4, 16), (4, 20)],
        ),
        (FamilyInference(min_length=2, max_length=2, min_people=12), [(2, 12)]),
    ],
)
def test_paths_and_graphs_grow_together(task, sizes):
    lessons = task.lessons()
    _, size = task.grows
    assert [(x.max_length, getattr(x, size)) for x in lessons] == sizes
    assert lessons[-1] == task
    rng = np.random.default_rng(0)
    for lesson in lessons:
        batch = lesson.sample(50, rng)
        answers = batch.weights.sum(1)
        assert answers.max() <= (
            # An answer, and hints before it.
            1 + lesson.max_length
            if task.name == "family-inference"
            else lesson.max_length
        )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_length": 5}, "at most 4.*max_length=5"),
        ({"min_people": 2}, "at least 3.*min_people=2"),
        ({"min_people": 13}, "from min_people=13.*max_people=12"),
        ({"max_people": 1001}, "to 1000.*max_people=1001"),
        (
            {"graph": "underground"},
            "underground.csv, line 2: expected one of the relations father, "
            ".*Received: 'Bakerloo north'",
        ),
    ],
)
def test_options_that_do_not_fit_a_family_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        FamilyInference(**options)


# Graphs of files


def test_the_underground_is_that_of_zone_1():
    graph = load_graph("underground")
    assert len(graph.nodes) == 66
    edges = {
        tuple(names)
        for names in zip(
            *(
                [words[number] for number in numbers]
                for words, numbers in zip(
                    (graph.nodes, graph.nodes, graph.edges),
                    graph.triples.T,
                    strict=True,
                )
            ),
            strict=True,
        )
    }
    assert len(edges) == len(graph.triples) == 260
    lines = collections.defaultdict(set)
    for source, destination, edge in edges:
        line, direction = edge.rsplit(" ", 1)
        lines[source, destination].add(line)
        assert direction in {
            "north", "south", "east", "west", "clockwise", "anticlockwise",
        }  # fmt: skip
    for (source, destination), names in lines.items():
        assert lines[destination, source] == names
    for one, other, names in (
        ("Baker Street", "Bond Street", {"Jubilee"}),
        ("Oxford Circus", "Tottenham Court Road", {"Central"}),
        ("Oxford Circus", "Piccadilly Circus", {"Bakerloo"}),
        ("Oxford Circus", "Green Park", {"Victoria"}),
        ("Holborn", "Covent Garden", {"Piccadilly"}),
        ("Waterloo", "Bank", {"Waterloo & City"}),
        ("Kennington", "Nine Elms", {"Northern (Charing Cross)"}),
        ("Bank", "London Bridge", {"Northern (Bank)"}),
        ("Temple", "Embankment", {"Circle", "District"}),
        ("Tower Hill", "Aldgate", {"Circle"}),
        ("Tower Hill", "Aldgate East", {"District"}),
        ("Farringdon", "Barbican", {
            "Circle", "Hammersmith & City", "Metropolitan",
        }),
        ("Leicester Square", "Charing Cross", {"Northern (Charing Cross)"}),
        ("Victoria", "Pimlico", {"Victoria"}),
        ("Earl's Court", "High Street Kensington", {"District"}),
    ):  # fmt: skip
        assert lines[one, other] == names
    assert {
        line
        for (source, _), names in lines.items()
        if source == "King's Cross St Pancras"
        for line in names
    } == {
        "Circle", "Hammersmith & City", "Metropolitan", "Northern (Bank)",
        "Piccadilly", "Victoria",
    }  # fmt: skip
    reached, new = set(), {"Bank"}
    while new:
        reached |= new
        new = {b for a, b in lines if a in new} - reached
    assert reached == set(graph.nodes)


def test_each_direction_of_a_line_goes_one_way():
    graph = load_graph("underground")
    assert len(graph.edges) == 26
    for number, edge in enumerate(graph.edges):
        leads_to = {
            source: destination
            for source, destination, name in graph.triples.tolist()
            if name == number
        }
        ends = set(leads_to) - set(leads_to.values())
        # A line is one way from its end; the Circle is taken as a ring.
        assert len(ends) == (0 if edge.startswith("Circle") else 1)
        station = next(iter(ends or leads_to))
        seen = set()
        while station in leads_to and station not in seen:
            seen.add(station)
            station = leads_to[station]
        assert len(seen) == len(leads_to)


def test_the_family_is_that_of_the_curies():
    graph = load_graph("family")
    told = np.array([family.TOLD.index(name) for name in graph.edges])
    facts = graph.triples.copy()
    facts[:, 2] = told[facts[:, 2]]
    related = family.related_people(facts[None], len(graph.nodes))[0]
    assert len(graph.nodes) == 17
    for person, name, others in (
        ("Hélène Langevin-Joliot", "maternal great uncle", {"Jacques Curie"}),
        ("Hélène Langevin-Joliot", "maternal aunt", {"Ève Curie"}),
        ("Irène Joliot-Curie", "paternal male cousin", {"Maurice Curie"}),
        ("Maurice Curie", "paternal uncle", {"Pierre Curie"}),
        ("Yves Langevin", "maternal grandmother", {"Irène Joliot-Curie"}),
        (
            "Marie Skłodowska Curie",
            "great-grandson",
            {"Yves Langevin", "Marc Joliot", "Alain Joliot"},
        ),
        ("Yves Langevin", "maternal male cousin", {
            "Marc Joliot", "Alain Joliot",
        }),
    ):  # fmt: skip
        matrix = related[list(family.RELATIONS).index(name)]
        numbers = np.flatnonzero(matrix[graph.nodes.index(person)])
        assert {graph.nodes[number] for number in numbers} == others


LINES = "source,destination,edge\na,b,x\nb,c,x\n"


@pytest.mark.parametrize(
    "content",
    [
        LINES,
        LINES.replace("\n", "\r\n"),
        LINES.rstrip("\n"),
        "\ufeff" + LINES,
        LINES.replace("a,b,x", '"a","b","x"'),
    ],
    ids=["plain", "windows", "no last line end", "byte order mark", "quotes"],
)
def test_files_of_triples_are_read(tmp_path, content):
    path = tmp_path / "graph.csv"
    path.write_bytes(content.encode())
    graph = load_graph(path)
    assert (graph.nodes, graph.edges) == (("a", "b", "c"), ("x",))
    assert graph.triples.tolist() == [[0, 1, 0], [1, 2, 0]]
    assert graph.places == (f"{path}, line 2", f"{path}, line 3")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "line 1: expected triples.*Received the end of the file"),
        ("source,destination,edge\n", "line 2: .*the end of the file"),
        ("a,b,x\n", "line 1: expected the columns .*Received: 'a,b,x'"),
        ("source;destination;edge\na;b;x\n", "line 1: expected the columns"),
        (LINES + "c,d\n", "line 4: expected the names.*Received: 'c,d'"),
        (LINES + "c,d,x,y\n", "line 4: expected the names"),
        (LINES + "c,,x\n", "line 4: expected the names.*Received: 'c,,x'"),
        (LINES + "c, d,x\n", "line 4: .*without spaces.*Received: 'c, d,x'"),
        (LINES + "\n", "line 4: expected the names.*Received: ''"),
        (LINES + "a,b,x\n", "line 4: expected each triple once.*line 2 again"),
        (LINES + 'c,"d,x\n', "line 4: expected a line of CSV"),
        (LINES.encode() + b"c,\xff,x\n", "line 4: expected UTF-8 text"),
    ],
)
def test_a_bad_file_is_named_with_its_line(tmp_path, content, message):
    path = tmp_path / "graph.csv"
    path.write_bytes(
        content if isinstance(content, bytes) else content.encode()
    )
    with pytest.raises(ValueError, match=rf"graph\.csv, {message}"):
        GraphShortestPath(graph=str(path))


def test_a_graph_may_move_after_training(tmp_path):
    path = tmp_path / "graph.csv"
    path.write_text("source,destination,edge\na,b,x\nb,a,x\n")
    task = GraphTraversal(graph=str(path))
    runs.save_settings(tmp_path, task, task.recipe, 0)
    moved = path.rename(tmp_path / "moved.csv")
    with pytest.raises(FileNotFoundError, match="graph.csv: expected"):
        runs.load_task(tmp_path)
    for graph in (str(moved), "underground"):
        assert runs.load_task(tmp_path, graph=graph).graph == graph
    # A training goes on with a graph that was moved, and with no other one.
    loaded, *_ = runs.load_settings(tmp_path, task.name, graph=str(moved))
    assert loaded.graph == str(moved)
    for graph in ("", "underground"):
        task = GraphTraversal(graph=graph)
        runs.save_settings(tmp_path, task, task.recipe, 0)
        found, *_ = runs.load_settings(tmp_path, task.name, graph=str(moved))
        assert found == task


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.csv: .*underground"):
        GraphTraversal(graph=str(tmp_path / "none.csv"))
    with pytest.raises(FileNotFoundError, match="expected a CSV file"):
        load_graph(tmp_path)


def test_a_file_of_too_many_names_is_refused(tmp_path):
    path = tmp_path / "graph.csv"
    rows = [f"{i},{i + 1},x\n" for i in range(1000)]
    path.write_text("source,destination,edge\n" + "".join(rows))
    with pytest.raises(ValueError, match="at most 1000 names of nodes.*1001"):
        GraphTraversal(graph=str(path))


# What the tasks have in common


@pytest.mark.parametrize("task", OF_FILES, **NAMED)
def test_questions_about_a_file_follow_from_the_seed(task):
    one, same, other = (
        task.sample(20, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    for a, b in zip(one, same, strict=True):
        np.testing.assert_array_equal(a, b)
    assert (one.inputs != other.inputs).any()


@pytest.mark.parametrize("task", WITHOUT_HINTS, **NAMED)
def test_sequences_are_drawn_in_blocks(task, monkeypatch):
    monkeypatch.setattr(triples, "BLOCK", 7)
    counts = []
    questions = type(task).questions

    def counted(self, count, rng):
        counts.append(count)
        return questions(self, count, rng)

    monkeypatch.setattr(type(task), "questions", counted)
    drawn = list(sequences(task, 20))
    assert max(counts) == 7
    assert len({tuple(facts) for facts, *_ in drawn}) == 20


def ring(folder):
    """Writes a graph of 300 nodes, one after the other."""
    file = folder / "ring.csv"
    rows = [f"{i},{(i + 1) % 300},line" for i in range(300)]
    file.write_text("\n".join(["source,destination,edge", *rows]))
    return str(file)


@pytest.mark.parametrize(
    "make, megabytes",
    [
        # With all 200 at a time it would be 325, 578, 1,154 and 195.
        (lambda f: GraphShortestPath(graph=ring(f), hints=False), 160),
        (lambda f: GraphTraversal(max_nodes=300), 320),
        (lambda f: GraphTraversal(max_nodes=300, edge_names=900), 320),
        (lambda f: FamilyInference(max_people=100), 150),
    ],
    ids=["distances", "neighbours", "names", "families"],
)
def test_large_graphs_take_little_memory(make, megabytes, tmp_path):
    task = make(tmp_path)
    tracemalloc.start()
    task.sample(200, np.random.default_rng(0))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < megabytes * 1e6


def test_labels_drawn_alike_are_in_an_order_of_their_own():
    keys = np.random.default_rng(0).random((200, 1000), "float32")
    assert any(len(set(row)) < 1000 for row in keys.tolist())
    expected = [
        sorted(range(1000), key=row.__getitem__) for row in keys.tolist()
    ]
    labels = triples._distinct(200, np.random.default_rng(0))
    np.testing.assert_array_equal(labels, expected)


@pytest.mark.parametrize(
    "length, least, most", [(5, 0.02, 0.1), (6, 0.002, 0.02)]
)
def test_questions_that_few_graphs_have_are_drawn_nevertheless(
    length, least, most
):
    task = GraphShortestPath(min_length=length, max_length=length, hints=False)
    _, exist = task.questions(10_000, np.random.default_rng(0))
    assert least < exist.mean() < most
    for count in (1, 300):
        batch = task.sample(count, np.random.default_rng(1))
        assert len(batch.inputs) == count
        assert (batch.weights.sum(1) == length).all()


def test_questions_that_no_graph_has_are_refused():
    task = GraphShortestPath(min_length=8, max_length=9, hints=False)
    message = "none of 10001 in a row .*max_length=9, max_nodes=8"
    with pytest.raises(ValueError, match=message):
        task.sample(1, np.random.default_rng(0))
    longer = GraphShortestPath(graph="family", min_length=8, max_length=9)
    with pytest.raises(ValueError, match=r"this one .*max_length=9$"):
        longer.sample(3, np.random.default_rng(0))


@pytest.mark.parametrize(
    "task, lengths",
    [
        (GraphTraversal(graph="underground", max_length=3), [1, 2, 3]),
        (GraphShortestPath(graph="underground"), [1, 2, 3]),
        (FamilyInference(graph="family"), [1, 2, 3]),
    ],
)
def test_the_graph_of_a_file_does_not_grow(task, lengths):
    assert task.grows == ("max_length",)
    lessons = task.lessons()
    assert [lesson.max_length for lesson in lessons] == lengths
    assert lessons[-1] == task


@pytest.mark.parametrize("task", TASKS)
def test_sizes_of_graphs_leave_the_width_as_it_is(task):
    larger = {"max_length": 4, "planning": 5}
    if task is not FamilyInference:
        larger |= {"max_nodes": 12, "edge_names": 20}
    for options in ({}, larger):
        sized = dataclasses.replace(task(), **options)
        batch = sized.sample(2, np.random.default_rng(0))
        assert batch.inputs.shape[2] == len(sized.input_labels) == 92
        assert batch.targets.shape[2] == len(sized.output_labels) == 90
        assert len(set(sized.input_labels)) == 92


@pytest.mark.parametrize("task", WITHOUT_HINTS, **NAMED)
def test_questions_are_counted_right_where_all_their_digits_are(task):
    batch = task.sample(10, np.random.default_rng(1))
    outputs = np.where(batch.weights[..., None] > 0, batch.targets, 3.0)
    figures = task.score(outputs, batch)
    assert figures["questions"] == 10
    assert figures["wrong questions"] == figures["wrong triples in %"] == 0
    assert figures["right questions in %"] == 100
    step = int(batch.weights[4].nonzero()[0][-1])
    outputs[4, step, 80:] = np.roll(outputs[4, step, 80:], 1)
    figures = task.score(outputs, batch)
    assert figures["wrong questions"] == 1
    assert figures["right questions in %"] == 90
    count = batch.weights.sum()
    assert figures["wrong triples in %"] == pytest.approx(100 / count)


def test_the_loss_is_that_of_nine_softmaxes_where_the_weight_is_one():
    rng = np.random.default_rng(0)
    batch = GraphTraversal().sample(3, rng)
    logits = rng.normal(size=batch.targets.shape)
    losses, right = [], []
    for example, step in zip(*batch.weights.nonzero(), strict=True):
        vector, is_right = logits[example, step], []
        for start in range(0, 90, 10):
            digits = vector[start : start + 10]
            (digit,) = np.flatnonzero(
                batch.targets[example, step, start : start + 10]
            )
            total = sum(math.exp(value) for value in digits)
            losses.append(-math.log(math.exp(digits[digit]) / total))
            is_right.append(max(digits) == digits[digit])
        right.append(all(is_right))
    loss = DigitCrossentropy()(batch.targets, logits, batch.weights)
    assert float(loss) == pytest.approx(np.mean(losses), rel=1e-5)
    other = np.where(batch.weights[..., None] > 0, logits, 50.0)
    again = DigitCrossentropy()(batch.targets, other, batch.weights)
    assert float(again) == float(loss)

    metric = RightTriples()
    answers = batch.targets.astype(float)
    first = tuple(index[0] for index in batch.weights.nonzero())
    answers[first][:10] = np.roll(answers[first][:10], 1)
    metric.update_state(batch.targets, answers, batch.weights)
    count = batch.weights.sum()
    assert float(metric.result()) == pytest.approx((count - 1) / count)


@pytest.mark.parametrize("task", TASKS)
def test_a_compiled_model_is_saved_with_loss_and_metric(task, tmp_path):
    task = task()
    model = keras.Sequential(
        [keras.Input((None, 92)), keras.layers.Dense(90, name="answers")]
    )
    model.compile("sgd", **task.compile_arguments())
    batch = task.sample(4, np.random.default_rng(0))
    model.fit(
        batch.inputs, batch.targets, sample_weight=batch.weights, verbose=0
    )
    path = tmp_path / "model.keras"
    model.save(path)
    loaded = keras.saving.load_model(path)
    figures = (
        which.evaluate(
            batch.inputs,
            batch.targets,
            sample_weight=batch.weights,
            verbose=0,
            return_dict=True,
        )
        for which in (model, loaded)
    )
    before, after = figures
    assert set(before) == {"loss", "right_triples"}
    assert after == pytest.approx(before)


def test_a_sequence_of_triples_is_shown_step_by_step():
    task = GraphTraversal(
        min_nodes=2, max_nodes=2, min_edges=1, max_edges=1, edge_names=1,
        min_length=2, max_length=2, planning=1,
    )  # fmt: skip
    asked = triples.Questions(
        np.array([[[7, 123, 40], [123, 7, 40]]]),
        np.array([[[7, -1, 40], [-1, -1, 40]]]),
        np.array([[[7, 123, 40], [123, 7, 40]]]),
    )
    batch = triples.encode(asked, planning=1)
    outputs = batch.targets.astype(float)
    outputs[0, -1, 89] = 2
    assert task.text(outputs, batch, example=0).splitlines() == [
        "step  input            target       answer",
        "0     007 123 040",
        "1     123 007 040",
        "2     007 _ 040 query",
        "3     _ _ 040 query",
        "4",
        "5     answer           007 123 040  007 123 040",
        "6     answer           123 007 040  123 007 049  wrong",
    ]


def test_a_picture_shows_the_probability_of_each_digit():
    task = GraphTraversal()
    batch = task.sample(2, np.random.default_rng(0))
    outputs = np.zeros(batch.targets.shape)
    outputs[..., ::10] = math.log(11)
    targets, answers = task.shown(outputs, batch, example=1)
    counts = batch.weights[1] > 0
    np.testing.assert_array_equal(targets[counts], batch.targets[1, counts])
    np.testing.assert_allclose(answers[counts][:, ::10], 11 / 20)
    np.testing.assert_allclose(answers[counts][:, 1::10], 1 / 20)
    assert np.isnan(answers[~counts]).all()


@pytest.mark.slow
def test_a_model_for_random_graphs_answers_about_a_file(
    tmp_path, capsys, untrained
):
    out = str(tmp_path / "run")
    sizes = ["--sequences=8", "--test-sequences=5", "--controller=4"]
    sizes += ["--memory-size=3", "--word-size=2", "--no-picture"]
    task = "graph-traversal"
    assert main(["train", task, *sizes, f"--out={out}"]) == 0
    capsys.readouterr()
    words = ["evaluate", task, out, "--graph"]
    assert main([*words, "underground", "--show=1"]) == 0
    text = capsys.readouterr().out
    assert "right questions in %" in text
    # After the head of the table and the edges comes the question.
    assert " query" not in text.splitlines()[260]
    assert " query" in text.splitlines()[261]
    assert main([*words, "nowhere.csv"]) == 1
    assert "nowhere.csv: expected a CSV file" in capsys.readouterr().err
