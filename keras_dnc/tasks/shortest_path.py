"""Shortest path: hear a graph and two of its nodes, then the way between."""

import dataclasses

import numpy as np

from keras_dnc.tasks.graphs import NONE, incidence, random_place
from keras_dnc.tasks.plane import PlaneTask
from keras_dnc.tasks.task import option
from keras_dnc.tasks.triples import Questions


@dataclasses.dataclass(frozen=True, kw_only=True)
class GraphShortestPath(PlaneTask):
    """A graph, a first and a last node; the edges of the way between them.

    The question is one triple with the labels of the two nodes. The answer is
    the edges of the shortest path. Only such pairs of nodes are asked about as
    have one shortest path alone, also of several edges between the same
    nodes. The lengths that a graph has such pairs of are asked about equally
    often.

    The task differs from the source in the answer: there the network hears the
    triple that it answered last, and is trained on a mixture of its own
    answers and the right ones, and each shortest path is right. Here it hears
    the cue alone.

    Source: Graves et al. (2016), Methods, *Graph task descriptions*; phases and
    labels are those of `TriplesTask`.

    Raises:
        ValueError: If an option is out of its range.
        FileNotFoundError: If `graph` names no file.
    """

    planning: int = option(10, "silent steps before the answer", zero=True)

    name = "graph-shortest-path"
    summary = "find the shortest path between two nodes of a graph"

    def questions(
        self, count: int, rng: np.random.Generator
    ) -> tuple[Questions, np.ndarray]:
        """Draws graphs and two nodes of each.

        Args:
            count: How many.
            rng: Where graphs and nodes are drawn from.

        Returns:
            Tuple of `Questions` and whether each graph has one.
        """
        graphs = self.graphs(count, rng)
        # All questions about one graph need its lengths only once.
        different = graphs[:1] if self.graph else graphs
        lengths, is_only = _shortest(different, self.nodes, self.max_length)
        shape = (count, self.nodes, self.nodes)
        lengths = np.broadcast_to(lengths, shape).reshape(count, -1)
        is_only = np.broadcast_to(is_only, shape).reshape(count, -1)
        asked = is_only & (lengths >= self.min_length)
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
        answer = self._paths(graphs, lengths.reshape(shape), first, last)
        query = np.full((count, 1, 3), NONE)
        query[:, 0, 0], query[:, 0, 1] = first, last
        return Questions(graphs, query, answer), possible.any(-1)

    def _paths(self, graphs, lengths, node, last):
        """Returns the shortest paths, `(B, max_length, 3)`."""
        every = np.arange(len(graphs))
        to_last = lengths[every, :, last]
        source, destination, _ = np.moveaxis(graphs, -1, 0)
        answer = np.full((len(graphs), self.max_length, 3), NONE)
        rest_of_edge = np.take_along_axis(to_last, destination, axis=-1)
        for step in range(self.max_length):
            rest = to_last[every, node]
            is_next = (source == node[:, None]) & (
                rest_of_edge == rest[:, None] - 1
            )
            edge = is_next.argmax(-1)
            is_walked = rest > 0
            answer[is_walked, step] = graphs[every, edge][is_walked]
            node = np.where(is_walked, destination[every, edge], node)
        return answer


def _shortest(graphs, nodes, longest):
    """Returns the lengths of shortest paths, and where there is one alone.

    Args:
        graphs: Triples of shape `(B, E, 3)`.
        nodes: The number of nodes.
        longest: The largest length that is looked for.

    Returns:
        Tuple of two arrays of shape `(B, nodes, nodes)`, of lengths, `NONE` for
        longer ones and 0 from a node to itself, and of truth values.
    """
    edges = incidence(graphs, nodes)
    lengths = np.full(edges.shape, NONE)
    lengths[:, np.arange(nodes), np.arange(nodes)] = 0
    is_only = np.zeros(edges.shape, bool)
    walks = edges
    for length in range(1, longest + 1):
        # A walk as short as the shortest path is one.
        is_new = (walks > 0) & (lengths == NONE)
        lengths[is_new] = length
        is_only |= is_new & (walks == 1)
        # Two are as good as more, and stay exact.
        walks = np.minimum(walks @ edges, 2)
    return lengths, is_only
