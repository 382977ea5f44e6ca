"""Shortest path: hear a graph and two of its nodes, then the way between."""

import dataclasses
from collections.abc import Callable

import numpy as np

from keras_dnc.tasks.graphs import NONE, incidence, random_place
from keras_dnc.tasks.plane import PlaneTask
from keras_dnc.tasks.task import Batch, option
from keras_dnc.tasks.triples import (
    LABELS,
    WIDTH,
    Questions,
    is_answer,
    one_hot,
    said,
)

# How many silent steps have a target with hints.
HINTS = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class GraphShortestPath(PlaneTask):
    """A graph, a first and a last node; the edges of a way between them.

    The question is one triple with the labels of the two nodes. The answer is
    the edges of a shortest path, and at each of them the network hears the one
    that was answered before: in training that of the path to be learned, and
    when it is asked its own. There each shortest path is right. Lengths that a
    graph has paths of are asked about equally often.

    Of several shortest paths the one to be learned can be foreseen, so that a
    network learns to decide for one: its edge in the middle has the least
    labels of those that may stand there, first that of the edge, then that of
    its source, then that of its destination; after it the other edges have,
    from the first on.

    In the source the network hears its own answers in a part of the training,
    too, and learns how to go on from where they lead.

    With `hints` a network learns at its first silent steps, too, where to look:
    the targets are the mean of the edges that lead from the first node, that of
    those that lead to the last, and the edge in the middle. By these paths of
    up to three edges can be found. What is asked and answered is the same with
    hints and without.

    Source: Graves et al. (2016), Methods, *Graph task descriptions*, which has
    ten silent steps and no hints; phases and labels are those of `TriplesTask`.

    Raises:
        ValueError: If an option is out of its range.
        FileNotFoundError: If `graph` names no file.
    """

    planning: int = option(4, "silent steps before the answer", zero=True)
    hints: bool = option(
        True,
        "targets at silent steps, too: edges that help to find the path",
        training=True,
        before=False,
    )

    name = "graph-shortest-path"
    summary = "find the shortest path between two nodes of a graph"
    # Without links, since edges are found by what they say and not by when they
    # were told, and by trial it is learned so with new weights.
    recipe = dataclasses.replace(
        PlaneTask.recipe, content_only=True, curriculum=0.8
    )

    def questions(
        self, count: int, rng: np.random.Generator
    ) -> tuple[Questions, np.ndarray]:
        """Draws graphs and two nodes of each.

        Args:
            count: How many.
            rng: Where graphs and nodes are drawn from.

        Returns:
            Tuple of `Questions`, whose answers are left to `to_learn`, and
            whether each graph has one.
        """
        graphs = self.graphs(count, rng)
        lengths = self._lengths(graphs).reshape(count, -1)
        asked = lengths >= self.min_length
        possible = np.stack(
            [
                (asked & (lengths == length)).any(-1)
                for length in range(self.max_length + 1)
            ],
            axis=-1,
        )
        length = random_place(possible, rng)
        pair = random_place(asked & (lengths == length[:, None]), rng)
        first, last = np.divmod(pair, self.nodes)
        query = np.full((count, 1, 3), NONE)
        query[:, 0, 0], query[:, 0, 1] = first, last
        answer = np.full((count, self.max_length, 3), NONE)
        return Questions(graphs, query, answer), possible.any(-1)

    def to_learn(self, asked: Questions, labels: np.ndarray) -> np.ndarray:
        """Returns the shortest paths of the least labels.

        Args:
            asked: Graphs, and two nodes of each.
            labels: Those of sources, of destinations and of edges by their
                numbers, shape `(B, L, 3)`.

        Returns:
            Array of shape `(B, max_length, 3)`.
        """
        graphs = asked.facts
        named = np.take_along_axis(labels, graphs, axis=1)
        source, destination, edge = np.moveaxis(named, -1, 0)
        rank = (edge * LABELS + source) * LABELS + destination
        lengths = self._lengths(graphs)
        first, last = asked.query[:, 0, 0], asked.query[:, 0, 1]
        return _least_paths(graphs, rank, lengths, first, last, self.max_length)

    def thoughts(self, asked: Questions) -> np.ndarray | None:
        """Returns the edges from the first node, to the last, and in between.

        Args:
            asked: Graphs, and a question about each.

        Returns:
            Array of truth values of shape `(B, planning, E)`, or None without
            hints.

        Raises:
            ValueError: If there are too few silent steps.
        """
        if not self.hints:
            return None
        if self.planning < HINTS:
            raise ValueError(
                f"`planning` must be at least {HINTS} with hints, a silent "
                f"step for each. Received: planning={self.planning}"
            )
        graphs, query, answer = asked
        first, last = query[..., 0], query[..., 1]
        source, destination, _ = np.moveaxis(graphs, -1, 0)
        length = (answer[..., 0] != NONE).sum(-1)
        between = answer[np.arange(len(graphs)), _middle(length)]
        thoughts = np.zeros((len(graphs), self.planning, graphs.shape[1]), bool)
        thoughts[:, 0] = source == first
        thoughts[:, 1] = destination == last
        thoughts[:, 2] = (graphs == between[:, None]).all(-1)
        return thoughts

    def _lengths(self, graphs):
        """Returns the lengths of shortest paths, `(B, nodes, nodes)`."""
        # All questions about one graph need its lengths only once.
        different = graphs[:1] if self.graph else graphs
        lengths = _shortest(different, self.nodes, self.max_length)
        shape = (len(graphs), self.nodes, self.nodes)
        return np.broadcast_to(lengths, shape)

    def _block(self, count, rng, thoughts):
        # What is heard of right answers makes a batch to learn from.
        batch = super()._block(count, rng, thoughts)
        return batch._replace(inputs=_heard(batch, batch.targets))

    def asked(
        self, predict: Callable[[np.ndarray], np.ndarray], batch: Batch
    ) -> tuple[Batch, np.ndarray]:
        """Asks a model, which hears its own answers.

        Args:
            predict: Returns a model's outputs, of shape `(B, T, Y)`, to inputs.
            batch: Sequences, each with one of the right answers.

        Returns:
            Tuple of a `Batch` with the model's answers where those are a
            shortest path, and of its outputs.
        """
        answers = np.zeros_like(batch.targets)
        # An answer depends on those before it alone.
        for _ in range(is_answer(batch).sum(-1).max()):
            inputs = _heard(batch, answers)
            outputs = predict(inputs)
            answers = one_hot(said(outputs))
        targets = batch.targets.copy()
        for example, steps in enumerate(is_answer(batch)):
            if _is_path(inputs[example], answers[example], steps):
                targets[example, steps] = answers[example, steps]
        return Batch(inputs, targets, batch.weights), outputs


def _middle(length):
    """Returns how many edges of paths come before the one in the middle."""
    return (length - 1) // 2


def _least_paths(graphs, rank, lengths, first, last, longest):
    """Chooses of the shortest paths.

    Args:
        graphs: Triples of shape `(B, E, 3)`.
        rank: Where several edges would do, the one of the least rank is taken,
            shape `(B, E)`.
        lengths: Of shortest paths, as `_shortest` returns them.
        first: The nodes where the paths begin, shape `(B,)`.
        last: Those where they end.
        longest: The largest length.

    Returns:
        Array of shape `(B, longest, 3)`.
    """
    every = np.arange(len(graphs))
    source, destination, _ = np.moveaxis(graphs, -1, 0)

    def least(node, before, goal, after):
        """Finds the edge that is so far from a node, and from a goal."""
        to_source = np.take_along_axis(lengths[every, node], source, -1)
        to_goal = np.take_along_axis(lengths[every, :, goal], destination, -1)
        is_one = (
            (source != NONE)
            & (to_source == before[:, None])
            & (to_goal == after[:, None])
        )
        return np.where(is_one, rank, LABELS**3).argmin(-1)

    length = lengths[every, first, last]
    middle = _middle(length)
    between = least(first, middle, last, length - 1 - middle)
    paths = np.full((len(graphs), longest, 3), NONE)
    node, here = first, np.zeros_like(first)
    for step in range(longest):
        goal = np.where(step < middle, source[every, between], last)
        edge = least(node, here, goal, lengths[every, node, goal] - 1)
        edge = np.where(step == middle, between, edge)
        is_walked = step < length
        paths[is_walked, step] = graphs[every, edge][is_walked]
        node = np.where(is_walked, destination[every, edge], node)
    return paths


def _heard(batch, answers):
    """Returns inputs in which answers are heard, each a step later."""
    steps = is_answer(batch)[..., None]
    before = np.roll(np.where(steps, answers, 0), 1, axis=1)
    inputs = batch.inputs.copy()
    inputs[..., :WIDTH] = np.where(steps, before, inputs[..., :WIDTH])
    return inputs


def _is_path(inputs, answers, steps):
    """Whether the answers at some steps are a path between the two nodes."""
    is_query = inputs[:, WIDTH] > 0
    is_fact = inputs[:, :WIDTH].any(-1) & ~is_query & ~steps
    ((first, last, _),) = said(inputs[is_query, :WIDTH])
    edges = said(inputs[is_fact, :WIDTH])
    path = said(answers[steps])
    is_known = set(map(tuple, path)) <= set(map(tuple, edges))
    return is_known and [*path[:, 0], last] == [first, *path[:, 1]]


def _shortest(graphs, nodes, longest):
    """Returns the lengths of shortest paths.

    Args:
        graphs: Triples of shape `(B, E, 3)`.
        nodes: The number of nodes.
        longest: The largest length that is looked for.

    Returns:
        Array of shape `(B, nodes, nodes)`, `NONE` for longer ones and 0 from a
        node to itself.
    """
    edges = incidence(graphs, nodes)
    lengths = np.full(edges.shape, NONE)
    lengths[:, np.arange(nodes), np.arange(nodes)] = 0
    walks = edges
    for length in range(1, longest + 1):
        # A walk as short as the shortest path is one.
        lengths[(walks > 0) & (lengths == NONE)] = length
        # One is as good as more, and stays exact.
        walks = np.minimum(walks @ edges, 1)
    return lengths
