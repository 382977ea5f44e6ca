"""What the tasks about random graphs in the plane have in common."""

import dataclasses

import numpy as np

from keras_dnc.tasks.graphs import random_graphs
from keras_dnc.tasks.task import option
from keras_dnc.tasks.triples import LABELS, TriplesTask
from keras_dnc.validation import fraction


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlaneTask(TriplesTask):
    """A question about a random graph in the plane, or about one of a file.

    The numbers of nodes and, for each node, of the edges from it are uniform
    between their bounds. `edge_names` is how many different labels the edges
    of one graph have, so that an edge is known only by its source and its
    label together, as it is in a network of lines. There some run side by side,
    and with `parallel_edges` here: each edge from a node but its first leads,
    with this probability, where the one before it does. With `graph` these
    numbers play no part.
    """

    min_nodes: int = option(4, "fewest nodes of a random graph")
    max_nodes: int = option(8, "most nodes of a random graph")
    min_edges: int = option(2, "fewest edges from a node")
    max_edges: int = option(3, "most edges from a node")
    edge_names: int = option(10, "different labels of a random graph's edges")
    parallel_edges: float = option(
        0.0,
        "share of the edges from a node, but its first, that run beside "
        "another",
        zero=True,
        before=0.0,
    )

    largest = "max_nodes"

    def __post_init__(self):
        super().__post_init__()
        for lower, upper in (
            ("min_nodes", "max_nodes"),
            ("min_edges", "max_edges"),
            ("max_edges", "edge_names"),
        ):
            value, bound = getattr(self, lower), getattr(self, upper)
            if value > bound:
                raise ValueError(
                    f"`{lower}` must be at most {upper}={bound}. Received: "
                    f"{lower}={value}"
                )
        if self.max_edges >= self.min_nodes:
            raise ValueError(
                f"`max_edges` must be below min_nodes={self.min_nodes}. "
                f"Received: max_edges={self.max_edges}"
            )
        fraction("parallel_edges", self.parallel_edges)
        for name in ("max_nodes", "edge_names"):
            if getattr(self, name) > LABELS:
                raise ValueError(
                    f"`{name}` must be at most {LABELS}, the number of "
                    f"labels. Received: {name}={getattr(self, name)}"
                )

    @property
    def nodes(self) -> int:
        """The largest number of nodes of a graph."""
        return len(self.loaded.nodes) if self.graph else self.max_nodes

    @property
    def cells(self) -> int:
        """Pairs of nodes, or of a node and a random graph's label."""
        labels = 0 if self.graph else self.edge_names
        return self.nodes * max(self.nodes, labels)

    def graphs(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Draws graphs, or repeats that of the file.

        Args:
            count: How many.
            rng: Where they are drawn from.

        Returns:
            Array of triples of shape `(B, E, 3)`.
        """
        if self.graph:
            triples = self.loaded.triples
            return np.broadcast_to(triples, (count, *triples.shape))
        nodes = rng.integers(self.min_nodes, self.max_nodes + 1, count)
        shape = (count, self.max_nodes)
        edges = rng.integers(self.min_edges, self.max_edges + 1, shape)
        return random_graphs(
            nodes,
            edges,
            self.max_edges,
            self.edge_names,
            rng,
            self.parallel_edges,
        )
