"""Graph traversal: hear a graph and the edges of a walk, then walk it."""

import dataclasses

import numpy as np

from keras_dnc.tasks.graphs import NONE, random_place
from keras_dnc.tasks.plane import PlaneTask
from keras_dnc.tasks.triples import Questions


@dataclasses.dataclass(frozen=True, kw_only=True)
class GraphTraversal(PlaneTask):
    """A graph, where a walk begins and what its edges are called; the walk.

    The question is one triple for each edge of the walk: the first has the
    label of the first node and that of the first edge, the others only that of
    their edge. The answer is the same triples in full. A walk begins at a
    random node and takes a random edge from each. On a graph of a file it
    never ends before its length: nodes that lead nowhere are avoided.

    Source: Graves et al. (2016), Methods, *Graph task descriptions*; phases and
    labels are those of `TriplesTask`.

    Raises:
        ValueError: If an option is out of its range, or the graph has two
            edges of one name from one node, or no walk of `max_length` edges.
        FileNotFoundError: If `graph` names no file.
    """

    name = "graph-traversal"
    summary = "follow named edges through a graph"

    def __post_init__(self):
        super().__post_init__()
        if not self.graph:
            return
        known = {}
        for (source, _, edge), place in zip(
            self.loaded.triples, self.loaded.places, strict=True
        ):
            if (source, edge) in known:
                raise ValueError(
                    f"{place}: expected edges of different names from one "
                    "node. Received a second "
                    f"{self.loaded.edges[edge]!r} from "
                    f"{self.loaded.nodes[source]!r}, as in "
                    f"{known[source, edge]}"
                )
            known[source, edge] = place
        triples = self.loaded.triples[None]
        if not _leads_on(triples, self.nodes, self.max_length)[-1].any():
            raise ValueError(
                f"`max_length` must be the length of a walk on {self.graph}. "
                f"Received: max_length={self.max_length}"
            )

    def questions(
        self, count: int, rng: np.random.Generator
    ) -> tuple[Questions, np.ndarray]:
        """Draws graphs and a walk on each.

        Args:
            count: How many.
            rng: Where graphs and walks are drawn from.

        Returns:
            Tuple of `Questions` and ones: each graph has one.
        """
        graphs = self.graphs(count, rng)
        lengths = rng.integers(self.min_length, self.max_length + 1, count)
        leads_on = _leads_on(graphs, self.nodes, self.max_length)
        every = np.arange(count)
        node = random_place(leads_on[lengths, every], rng)
        answer = np.full((count, self.max_length, 3), NONE)
        source, destination, _ = np.moveaxis(graphs, -1, 0)
        for step in range(self.max_length):
            # After the walk's end the rest is 0, and what is drawn is dropped.
            rest = np.maximum(lengths - step - 1, 0)
            goes_on = np.take_along_axis(
                leads_on[rest, every], destination, axis=-1
            )
            edge = random_place((source == node[:, None]) & goes_on, rng)
            is_walked = step < lengths
            answer[is_walked, step] = graphs[every, edge][is_walked]
            node = np.where(is_walked, destination[every, edge], node)
        query = answer.copy()
        query[..., 1] = NONE
        query[:, 1:, 0] = NONE
        return Questions(graphs, query, answer), np.ones(count, bool)


def _leads_on(graphs, nodes, longest):
    """Returns whether there is a walk of each length from each node.

    Args:
        graphs: Triples of shape `(B, E, 3)`.
        nodes: The number of nodes.
        longest: The largest length.

    Returns:
        Array of shape `(longest + 1, B, nodes)`.
    """
    graph, edge = np.nonzero(graphs[..., 0] != NONE)
    source, destination, _ = graphs[graph, edge].T
    leads_on = np.zeros((longest + 1, len(graphs), nodes), bool)
    leads_on[0] = True
    for length in range(longest):
        goes_on = leads_on[length, graph, destination]
        leads_on[length + 1, graph[goes_on], source[goes_on]] = True
    return leads_on
