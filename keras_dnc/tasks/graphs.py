"""Directed graphs whose edges have labels: from files, and at random."""

import csv
import importlib.resources
import io
from pathlib import Path
from typing import NamedTuple

import numpy as np

COLUMNS = ["source", "destination", "edge"]
# What stands where there is no node, or no edge.
NONE = -1
FILES = {
    "underground": "underground.csv",
    "family": "family.csv",
}


class Graph(NamedTuple):
    """A directed graph whose nodes and edges have names.

    Attributes:
        nodes: The names of the nodes.
        edges: The different names of edges.
        triples: Array of shape `(E, 3)`: for each edge the numbers of its
            source, its destination and its name.
        places: For each edge its file and line, for messages.
    """

    nodes: tuple[str, ...]
    edges: tuple[str, ...]
    triples: np.ndarray
    places: tuple[str, ...]


def load_graph(name: str | Path) -> Graph:
    """Reads a graph from a CSV file of triples.

    The first line is `source,destination,edge`; each other one is one edge in
    one direction. Lines may end as on Windows.

    Two graphs are part of the package. `underground` are the stations of the
    London Underground in zone 1, as on Transport for London's map of 2021, with
    an edge for each line and direction between neighbours. `family` are
    five generations around Marie and Pierre Curie.

    Args:
        name: The path of a file, or `underground` or `family`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is empty or a line is malformed.

    Example:
    >>> from keras_dnc.tasks.graphs import load_graph
    >>> graph = load_graph("underground")
    >>> len(graph.nodes), len(graph.triples)
    (66, 260)
    """
    if str(name) in FILES:
        data = importlib.resources.files("keras_dnc.tasks") / "data"
        content, name = (data / FILES[str(name)]).read_bytes(), FILES[str(name)]
    elif not Path(name).is_file():
        raise FileNotFoundError(
            f"{name}: expected a CSV file of triples, or one of "
            f"{', '.join(FILES)}. There is none"
        )
    else:
        content = Path(name).read_bytes()
    return parse_graph(_decoded(content, name), str(name))


def parse_graph(text: str, name: str) -> Graph:
    """Reads a graph from the text of a CSV file of triples.

    Args:
        text: The text, as `load_graph` expects it.
        name: The file's name, for messages.

    Raises:
        ValueError: If there is no triple or a line is malformed.
    """
    rows = {}
    for place, row in _rows(text, name):
        if tuple(row) in rows:
            raise ValueError(
                f"{place}: expected each triple once. Received that of "
                f"{rows[tuple(row)]} again: {row}"
            )
        rows[tuple(row)] = place
    if not rows:
        line = len(text.splitlines()) + 1
        raise ValueError(
            f"{name}, line {line}: expected triples after the line "
            f"{','.join(COLUMNS)}. Received the end of the file"
        )
    nodes = {}
    edges = {}
    triples = [
        (
            nodes.setdefault(source, len(nodes)),
            nodes.setdefault(destination, len(nodes)),
            edges.setdefault(edge, len(edges)),
        )
        for source, destination, edge in rows
    ]
    return Graph(
        tuple(nodes), tuple(edges), np.array(triples), tuple(rows.values())
    )


def _rows(text, name):
    """Yields for each triple its place and its three names."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    while True:
        place = f"{name}, line {reader.line_num + 1}"
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise ValueError(
                f"{place}: expected a line of CSV. Received: {error}"
            ) from error
        is_first = place.endswith(" line 1")
        if is_first and row != COLUMNS:
            raise ValueError(
                f"{place}: expected the columns {','.join(COLUMNS)}. "
                f"Received: {','.join(row)!r}"
            )
        is_clean = all(cell and cell == cell.strip() for cell in row)
        if len(row) != len(COLUMNS) or not is_clean:
            raise ValueError(
                f"{place}: expected the names of a source, a destination and "
                "an edge, separated by commas without spaces around them. "
                f"Received: {','.join(row)!r}"
            )
        if not is_first:
            yield place, row


def _decoded(content, name):
    try:
        # Some programs put a mark of the byte order first.
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ValueError(
            f"{name}, line {line}: expected UTF-8 text. Received: {error}"
        ) from error


def random_graphs(
    nodes: np.ndarray,
    edges: np.ndarray,
    most: int,
    edge_names: int,
    rng: np.random.Generator,
    parallel_edges: float = 0,
) -> np.ndarray:
    """Draws graphs of points in the plane, joined to their neighbours.

    The nodes are points drawn uniformly from the unit square. From each, edges
    lead to the `K` that are nearest. The labels of the edges from one node
    differ; other edges may have the same.

    Source: Graves et al. (2016), Methods, *Graph task descriptions*, which has
    no parallel edges.

    Args:
        nodes: The number of nodes of each graph, shape `(B,)`.
        edges: The number `K` of edges from each node, which must be below the
            number of nodes, shape `(B, N)` with `N` at least the largest
            number of nodes.
        most: The largest `K` there is room for.
        edge_names: The number of different labels of edges, at least `most`.
        rng: Where points and labels are drawn from.
        parallel_edges: Probability that an edge from a node, but not its
            first, leads where the one before does and not to its own neighbour.

    Returns:
        Array of shape `(B, N · most, 3)`: for each edge the numbers of its
        source, its destination and its label, or `NONE` three times where
        there is no edge.
    """
    count, largest = edges.shape
    points = rng.random((count, largest, 2))
    exists = np.arange(largest) < nodes[:, None]
    distance = np.square(points[:, :, None] - points[:, None]).sum(-1)
    distance[:, np.arange(largest), np.arange(largest)] = np.inf
    distance[np.broadcast_to(~exists[:, None], distance.shape)] = np.inf
    nearest = distance.argsort(-1)[..., :most]
    if parallel_edges:
        nearest = _side_by_side(nearest, parallel_edges, rng)
    labels = rng.random((count, largest, edge_names)).argsort(-1)[..., :most]
    source = np.broadcast_to(np.arange(largest)[:, None], nearest.shape)
    triples = np.stack([source, nearest, labels], axis=-1)
    is_edge = exists[..., None] & (np.arange(most) < edges[..., None])
    triples[~is_edge] = NONE
    return triples.reshape(count, largest * most, 3)


def _side_by_side(destinations, share, rng):
    """Lets some edges from each node lead where the ones before them do."""
    places = np.arange(destinations.shape[-1])
    beside = (rng.random(destinations.shape) < share) & (places > 0)
    leader = np.maximum.accumulate(np.where(beside, 0, places), axis=-1)
    return np.take_along_axis(destinations, leader, axis=-1)


def incidence(triples: np.ndarray, nodes: int) -> np.ndarray:
    """Returns how many edges lead from each node to each other.

    Args:
        triples: Edges of shape `(B, E, 3)`, with `NONE` where there is none.
        nodes: The number of nodes.

    Returns:
        Array of shape `(B, nodes, nodes)`, from the source to the destination.
    """
    graph, edge = np.nonzero(triples[..., 0] != NONE)
    source, destination, _ = triples[graph, edge].T
    edges = np.zeros((len(triples), nodes, nodes), "float32")
    np.add.at(edges, (graph, source, destination), 1)
    return edges


def random_place(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draws one of the places of each row that are True.

    Args:
        mask: Array of shape `(B, P)`. In a row without one any place is drawn.
        rng: Where the places are drawn from.

    Returns:
        Array of places of shape `(B,)`.
    """
    return np.where(mask, rng.random(mask.shape), NONE).argmax(-1)
